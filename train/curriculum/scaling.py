"""Rules that carry the paper's learning rates and warm-ups over to another batch.

MagicVL-2B gives rates for its own batch and not the batch itself. It follows from what it does give: each stage goes
once over its samples, so stage 1 takes 10 M / 65 k = 154 samples a step, stage 2 256, stage 3 386, stage 4 264.

AdamW divides the gradient by its own root mean square. Where the gradient is mostly noise, as in fine-tuning with
batches of hundreds, k times the samples make that noise, and with it the divisor, sqrt(k) smaller: the step that is
worth taking grows with the square root of the batch (Malladi et al., arXiv 2205.10287), and so does the rate here. The
linear rule (Goyal et al., arXiv 1706.02677) is SGD's, and there for comparison.

A warm-up fills AdamW's averages of squares and lets fresh layers find their place; both count samples seen, not steps
made. So a warm-up that the paper gives in steps is carried over by samples, within bounds: not shorter than the
averages need, 1 / (1 - beta2) steps, and not longer than a tenth of the stage. One given as a share stays that share.
"""

from magicvl.errors import UsageError

PAPER_BATCH = {"stage1": 10_000_000 // 65_000, "stage2": 23_000_000 // 90_000, "stage3": 54_000_000 // 140_000,
               "stage4": 66_000_000 // 250_000}  # fmt: skip
"""Samples of one step in the paper's stages, from its samples and steps."""
RULES = ("sqrt", "linear")


def scaled_rate(rate: float, batch: int, new_batch: int, rule: str = "sqrt") -> float:
    """A learning rate for steps of `new_batch` samples, where `rate` was good for `batch`. Raises UsageError."""
    if batch < 1 or new_batch < 1 or rule not in RULES:
        raise UsageError(f"from {batch} to {new_batch} samples a step by the rule {rule!r}; there are {RULES}")
    ratio = new_batch / batch
    return rate * (ratio if rule == "linear" else ratio**0.5)


def scaled_warmup(warmup: float, batch: int, new_batch: int, steps: int, beta2: float = 0.98) -> float:
    """A warm-up for `steps` steps of `new_batch` samples: a share as it is, steps by the samples they see."""
    if batch < 1 or new_batch < 1 or steps < 1:
        raise UsageError(f"from {batch} to {new_batch} samples a step over {steps} steps; each must be at least 1")
    if warmup < 1:
        return warmup
    least = round(1 / (1 - beta2))
    return float(max(1, min(max(round(warmup * batch / new_batch), least), max(1, steps // 10))))
