"""Which samples speak for a dataset: so many of each, the same ones whoever asks and in whatever order they come."""

import hashlib
import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from magicvl.errors import PictureError, SampleError, UsageError
from magicvl.train.samples.open import open_samples
from magicvl.train.samples.sample import Category, Sample
from magicvl.train.samples.source import Endless, Samples, Stream, Try


@dataclass(frozen=True)
class Chosen:
    """A dataset and the samples that are measured."""

    source: str
    category: Category
    """Of most of its samples."""
    samples: int | None
    """How many it has; None without end."""
    readers: tuple[Try, ...]
    """What reads each chosen one."""
    strays: int = 0
    """Those of another category, which are scored along."""


@dataclass(frozen=True)
class Choice:
    """What is measured."""

    datasets: tuple[Chosen, ...]
    """By the names of their sources."""
    unreadable: int
    """Stored samples that cannot be read; they count nowhere."""


def choose(specs: Sequence[str], count: int, seed: int = 0) -> Choice:
    """At most `count` samples of every dataset that the specs name (see `magicvl.train.samples.spec`), by source.

    Of stored samples those are taken whose names hash lowest: a random choice that no order of the file can bias; every
    sample is read for it once, but no picture decoded. Of shards the chosen ones are kept in memory. Raises UsageError
    for a spec that names nothing, and for a source that two specs name.
    """
    if count < 1:
        raise UsageError(f"--count {count}: it must be at least 1")
    if not specs:
        raise UsageError("no samples: name at least one source, such as generated:all")
    found: dict[str, Chosen] = {}
    unreadable = 0
    for spec in specs:
        stream = open_samples(spec, seed)
        choice = _drawn(stream, count) if isinstance(stream, Endless) else _stored(stream, count, seed)
        unreadable += choice.unreadable
        for chosen in choice.datasets:
            if chosen.source in found:
                raise UsageError(f"{spec}: {chosen.source} was named before; each dataset can be scored once")
            found[chosen.source] = chosen
    if not found:
        raise UsageError(f"{', '.join(specs)}: no sample can be read")
    return Choice(tuple(found[source] for source in sorted(found)), unreadable)


def _drawn(stream: Endless, count: int) -> Choice:
    """Datasets that are drawn in turn, without end."""
    turns: dict[str, Sample] = {}
    while (sample := stream[len(turns)]).source not in turns:
        turns[sample.source] = sample
    every = len(turns)
    datasets = [
        Chosen(source, first.category, None, tuple(partial(stream.read, turn + i * every) for i in range(count)))
        for turn, (source, first) in enumerate(turns.items())
    ]
    return Choice(tuple(datasets), 0)


def _stored(stream: Stream, count: int, seed: int) -> Choice:
    """Datasets of a file, a folder or shards."""
    lowest: dict[str, list[tuple[int, int, Try]]] = defaultdict(list)
    categories: dict[str, Counter[Category]] = defaultdict(Counter)
    unreadable = 0
    for number, attempt in enumerate(stream.tries()):
        try:
            sample = attempt()
        except (SampleError, PictureError):
            unreadable += 1
            continue
        categories[sample.source][sample.category] += 1
        # The heap's first is the one to go: the highest hash. A number of its own each, so that no two compare further.
        reader = attempt if isinstance(stream, Samples) else partial(_same, sample)
        item = (-_hash(sample, seed), -number, reader)
        kept = lowest[sample.source]
        if len(kept) < count:
            heapq.heappush(kept, item)
        else:
            heapq.heappushpop(kept, item)
    return Choice(tuple(_dataset(source, categories[source], kept) for source, kept in lowest.items()), unreadable)


def _dataset(source: str, categories: Counter[Category], kept: Iterable[tuple[int, int, Try]]) -> Chosen:
    most = min(categories, key=lambda category: (-categories[category], category))
    readers = tuple(reader for _, _, reader in sorted(kept, key=lambda item: -item[1]))
    return Chosen(source, most, categories.total(), readers, categories.total() - categories[most])


def _hash(sample: Sample, seed: int) -> int:
    name = f"{seed} {sample.source} {sample.id}".encode(errors="surrogatepass")
    return int.from_bytes(hashlib.sha256(name).digest()[:8], "big")


def _same(sample: Sample) -> Sample:
    return sample
