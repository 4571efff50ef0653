"""Intervals of what was measured on the same films with several seeds: films and seeds are both drawn.

A model trained anew is another model, and other films would have been other films: both are drawn with replacement,
each film and each seed as a whole (the pigeonhole bootstrap, Owen 2007, arXiv 0712.1111, whose intervals are wide
enough). With one seed it is the usual bootstrap over films.
"""

from collections.abc import Iterator

import numpy as np

from magicvl.bench.accuracy.bootstrap import RESAMPLES, SEED
from magicvl.bench.video.measures import Floats

AT_ONCE = 500
"""Draws that are held at a time."""


def means(values: Floats) -> Floats:
    """Means over seeds and films: shape (seeds, films, columns) in, (columns,) out; NaN is what was not measured."""
    known = ~np.isnan(values)
    return _divided(np.where(known, values, 0.0).sum(axis=(0, 1)), known.sum(axis=(0, 1)).astype(np.float64))


def resampled_means(values: Floats) -> Floats:
    """Means of RESAMPLES draws, shape (RESAMPLES, columns).

    The draws are the same for all values of the same numbers of seeds and films, so that what two models have in
    common cancels in a difference of theirs.
    """
    seeds, films, columns = values.shape
    known = ~np.isnan(values)
    told = np.where(known, values, 0.0).transpose(1, 0, 2).reshape(films, -1)
    there = known.astype(np.float64).transpose(1, 0, 2).reshape(films, -1)
    parts = []
    for of_films, of_seeds in _draws(films, seeds):
        shape = (len(of_films), seeds, columns)
        sums = ((of_films @ told).reshape(shape) * of_seeds[..., None]).sum(axis=1)
        counts = ((of_films @ there).reshape(shape) * of_seeds[..., None]).sum(axis=1)
        parts.append(_divided(sums, counts))
    return np.concatenate(parts)


def _draws(films: int, seeds: int) -> Iterator[tuple[Floats, Floats]]:
    """How often each film and each seed is drawn: shapes (draws, films) and (draws, seeds)."""
    random = np.random.default_rng(SEED)
    for start in range(0, RESAMPLES, AT_ONCE):
        count = min(AT_ONCE, RESAMPLES - start)
        yield _counts(random, films, count), _counts(random, seeds, count)


def _counts(random: np.random.Generator, size: int, count: int) -> Floats:
    """How often each of `size` comes in as many draws with replacement, `count` times."""
    return random.multinomial(size, np.full(size, 1 / size), count).astype(np.float64)


def _divided(sums: Floats, counts: Floats) -> Floats:
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
