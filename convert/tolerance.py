"""How far a converted bundle may be from the checkpoint in torch, by type: the one place that says so."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """Limits for one type of a file."""

    cosine: float
    """Least cosine of a visual embedding with torch's, over every single token; never a mean."""
    logits: float
    """Most root-mean-square difference of next-token logits, as a share of their standard deviation."""


TOLERANCES = {
    "F32": Tolerance(cosine=0.9999, logits=0.01),
    "F16": Tolerance(cosine=0.999, logits=0.02),
    "Q8_0": Tolerance(cosine=0.99, logits=0.10),
    "Q4_K_M": Tolerance(cosine=0.90, logits=0.60),
}
