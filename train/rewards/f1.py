"""Precision, recall and F1 of things that were said against things that are true."""

from dataclasses import dataclass


@dataclass(frozen=True)
class F1:
    """Counts, and what follows from them. Nothing said where nothing is true is right."""

    hits: float
    """Things said that are true; of each true thing one at most."""
    said: int
    true: int

    @property
    def precision(self) -> float:
        """Share of what was said that is true; 1 where nothing was said."""
        return self.hits / self.said if self.said else 1.0

    @property
    def recall(self) -> float:
        """Share of what is true that was said; 1 where nothing is true."""
        return self.hits / self.true if self.true else 1.0

    @property
    def value(self) -> float:
        """Their harmonic mean."""
        whole = self.said + self.true
        return 2 * self.hits / whole if whole else 1.0

    def __add__(self, other: "F1") -> "F1":
        """Both counted together."""
        return F1(self.hits + other.hits, self.said + other.said, self.true + other.true)
