"""Intervals of mean scores by the bootstrap (Efron 1979), resampling whole pictures."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]

RESAMPLES = 10_000
LEVEL = 0.95
SEED = 20
"""One seed for all, so that the same answers give the same interval."""
MOST_AT_ONCE = 2**20
"""Most draws that are held at a time."""
Z = 1.959964
"""Normal quantile of the level."""


def mean_interval(values: Sequence[float], clusters: Sequence[str]) -> Interval:
    """The 95 % percentile interval of the mean of values in 0 to 1; clusters are drawn with replacement.

    Where every cluster has the same mean the bootstrap sees no spread, however few there are; then it is Wilson's
    interval over the clusters, which is wide enough: no values in 0 to 1 vary more than zeros and ones.
    """
    sums, counts = _totals(values, clusters)
    means = sums / counts
    if np.ptp(means) < 1e-12:
        return wilson(float(means[0]), len(means))
    return percentiles(_resampled(sums, counts))


def difference(values: Sequence[float], others: Sequence[float], clusters: Sequence[str]) -> tuple[float, Interval]:
    """Mean of `values` - `others`, of the same questions in the same order, and its paired bootstrap interval.

    Both are resampled with the same clusters, so what is hard for both cancels. Where no cluster differs from the
    others the interval is the difference alone.
    """
    sums, counts = _totals(np.subtract(values, others).tolist(), clusters)
    return float(sums.sum() / counts.sum()), percentiles(_resampled(sums, counts))


def wilson(share: float, asked: int) -> Interval:
    """Wilson's 95 % interval of a share (Wilson 1927)."""
    z, n, p = Z, asked, share
    centre, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (centre - spread) / (1 + z * z / n), (centre + spread) / (1 + z * z / n)
    # Rounding must not put the share outside of it.
    return max(0.0, min(low, p)), min(1.0, max(high, p))


def _totals(values: Sequence[float], clusters: Sequence[str]) -> tuple[Floats, Floats]:
    """Sum and number of the values of each cluster."""
    _, numbers = np.unique(np.asarray(clusters), return_inverse=True)
    sums: Floats = np.bincount(numbers, np.asarray(values, dtype=np.float64)).astype(np.float64)
    return sums, np.bincount(numbers).astype(np.float64)


def _resampled(sums: Floats, counts: Floats) -> Floats:
    """Means of RESAMPLES draws of as many clusters as there are; no draw is empty, since each cluster has a value."""
    random, size = np.random.default_rng(SEED), len(sums)
    step = max(1, MOST_AT_ONCE // size)
    means = []
    for start in range(0, RESAMPLES, step):
        drawn = random.integers(size, size=(min(step, RESAMPLES - start), size))
        means.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    return np.concatenate(means)


def percentiles(means: Floats) -> Interval:
    """The 95 % interval of resampled values."""
    low, high = np.quantile(means, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)
