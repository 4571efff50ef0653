"""What is kept for testing: colours of shapes, and pairs of actions, that no training film shows."""

from magicvl.train.generator.dataset import Split

LOOKS = frozenset(
    {
        ("circle", "purple"), ("square", "orange"), ("triangle", "grey"), ("star", "green"), ("heart", "black"),
        ("diamond", "pink"), ("cross", "blue"), ("ring", "brown"),
    }
)  # fmt: skip
"""Shapes and their colours; also what a shape turns into."""
PAIRS = frozenset({("jump", "spin"), ("grow", "move"), ("spin", "turn"), ("turn", "jump"), ("move", "shrink")})
"""What one actor does, and then, as its next event."""
SHARE = 0.3
"""Of a test film's shapes, those that are drawn from LOOKS alone."""


def may_show(split: Split, kind: str, colour: str) -> bool:
    """Whether films of a split have shapes of a kind in a colour."""
    return tested(split) or (kind, colour) not in LOOKS


def may_pair(split: Split, before: str, after: str) -> bool:
    """Whether an actor of a split does one thing after another; they are named by their rules."""
    return tested(split) or (before, after) not in PAIRS


def tested(split: Split) -> bool:
    """Whether a split is none that is trained on or chosen by."""
    return split in ("test", "style")
