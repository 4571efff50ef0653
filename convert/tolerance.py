"""How far a converted bundle may be from the checkpoint in torch, by type: the one place that says so."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """Limits for one type of a file."""

    cosine: float
    """Least cosine of a visual embedding with torch's, over every single token; never a mean. 1 for the types that
    no mmproj has."""
    logits: float
    """Most root-mean-square difference of next-token logits, as a share of their standard deviation. A shift common to
    all of them changes no answer; `magicvl parity` takes it out."""


TOLERANCES = {
    "F32": Tolerance(cosine=0.9999, logits=0.01),
    "F16": Tolerance(cosine=0.999, logits=0.02),
    "BF16": Tolerance(cosine=0.999, logits=0.05),
    "Q8_0": Tolerance(cosine=0.99, logits=0.10),
    "Q6_K": Tolerance(cosine=1.0, logits=0.30),
    "Q5_K_M": Tolerance(cosine=1.0, logits=0.50),
    "Q5_0": Tolerance(cosine=0.95, logits=0.60),
    "Q4_K_M": Tolerance(cosine=1.0, logits=0.60),
    "IQ4_NL": Tolerance(cosine=1.0, logits=0.90),
    "Q4_0": Tolerance(cosine=0.88, logits=1.00),
}
"""Random small models, whose layers amplify every error, were the worst that was measured, over every token of a
prompt: F32 0.0015, F16 0.003, BF16 0.022, Q8_0 0.071, Q6_K 0.17, Q5_K_M 0.32, Q4_K_M 0.50, IQ4_NL 0.56, Q4_0 0.73.
The least cosines, of encoders 64 wide in all three graphs: BF16 0.99994, Q8_0 0.9993, Q5_0 0.971, Q4_0 0.917."""
