"""WebDataset's format: tar files whose members `key.jpg`, `key.json`, `key.txt` make one sample.

Read by the standard library's tarfile, not by the package `webdataset`: that one opens `pipe:COMMAND` in a shell
wherever a shard is named, reads members of any size, and gives workers whole shards only. Nothing here is
unpickled or fetched; members that are neither pictures nor text are passed over.
"""

import re
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from magicvl.errors import MagicVLError, SampleError
from magicvl.train.samples.json_rows import parse_object
from magicvl.train.samples.row import MOST_PICTURES, make_sample
from magicvl.train.samples.sample import Sample
from magicvl.train.samples.shard_names import shard_paths
from magicvl.train.samples.source import Stream, Try, check_share
from magicvl.train.samples.spec import Defaults, Spec

PICTURES = frozenset({"jpg", "jpeg", "png", "webp", "gif"})
MOST_MEMBER = 64 << 20
"""Bytes of one member, and of anything else that is read of a shard at once."""
BUFFER = 256
"""Samples that are held to shuffle among them."""


@dataclass(frozen=True)
class Shards(Stream):
    """The samples of some shards, in their order."""

    paths: tuple[Path, ...]
    defaults: Defaults
    first: int = 0
    """Number of the first sample that is read ..."""
    step: int = 1
    """... and how far it is to the next."""
    seed: int | None = None
    """Of the order; None for the files' own."""

    def tries(self, begin: int = 0) -> Iterator[Try]:
        """What reads each sample, from number `begin` on; of those before only the headers are read."""
        if self.seed is None:
            yield from islice(self._all(), self.first + begin * self.step, None, self.step)
        else:
            yield from islice(self._mixed(self.seed), begin, None)

    def shard(self, worker: int, workers: int) -> "Shards":
        """Whole shards where there are as many as workers, else every so many-th sample of all of them."""
        check_share(worker, workers)
        if len(self.paths) >= workers and self.step == 1:
            return replace(self, paths=self.paths[worker::workers])
        return replace(self, first=self.first + worker * self.step, step=self.step * workers)

    def shuffled(self, seed: int) -> "Shards":
        """Shards in another order, and within it samples mixed as far as 256 of them at a time go."""
        order = np.random.default_rng(seed).permutation(len(self.paths))
        return replace(self, paths=tuple(self.paths[number] for number in order), seed=seed)

    def _all(self) -> Iterator[Try]:
        for path in self.paths:
            yield from _tries(path, self.defaults)

    def _mixed(self, seed: int) -> Iterator[Try]:
        draw = np.random.default_rng((seed, self.first, self.step))
        held: list[Try] = []
        for attempt in islice(self._all(), self.first, None, self.step):
            held.append(_settled(attempt))
            if len(held) == BUFFER:
                place = int(draw.integers(BUFFER))
                held[place], held[-1] = held[-1], held[place]
                yield held.pop()
        yield from (held[place] for place in draw.permutation(len(held)))


def open_shards(spec: Spec) -> Shards:
    """Finds the shards of a name with globs and braces. Raises SampleError."""
    return Shards(shard_paths(spec.place), spec.named())


@dataclass(frozen=True)
class _Group:
    """The members of one key."""

    key: str
    members: dict[str, tarfile.TarInfo]
    """By what stands behind the key's dot, in lower case."""


class _Bounded(BufferedReader):
    """A file that gives no more than a member's limit at once: what a header claims is no reason to take memory."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0 or size > MOST_MEMBER + tarfile.BLOCKSIZE:
            raise tarfile.ReadError(f"a part of {size:,} bytes" if size else "a part without end")
        return super().read(size)


def _tries(path: Path, defaults: Defaults) -> Iterator[Try]:
    """The samples of one shard; where it is damaged, the last try raises."""
    try:
        with (
            path.open("rb", buffering=0) as raw,
            closing(_Bounded(raw)) as file,
            tarfile.open(fileobj=file, mode="r:") as tar,
        ):
            for group in _groups(tar):
                yield partial(_sample, path, tar, group, defaults)
    except (OSError, tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        yield partial(_fail, f"{path}: damaged, or no tar file ({error})")


def _fail(message: str) -> NoReturn:
    raise SampleError(message)


def _settled(attempt: Try) -> Try:
    """The same try, its sample read already."""
    try:
        sample = attempt()
    except MagicVLError as error:
        return partial(_fail, str(error))
    return lambda: sample


def _groups(tar: tarfile.TarFile) -> Iterator[_Group]:
    """Neighbouring members with the same key: what stands before the first dot of the file's name."""
    group: _Group | None = None
    while (member := tar.next()) is not None:
        # tarfile keeps every member that it has seen.
        tar.members = []  # type: ignore[attr-defined]
        folder, slash, name = member.name.rpartition("/")
        stem, dot, extension = name.partition(".")
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or not dot or not stem:
            continue
        key, extension = f"{folder}{slash}{stem}", extension.lower()
        if group is not None and (group.key != key or extension in group.members):
            yield group
            group = None
        group = group or _Group(key, {})
        if len(group.members) > MOST_PICTURES + 16:
            raise ValueError(f"the key {key!r} has more than {len(group.members) - 1} members")
        group.members[extension] = member
    if group is not None:
        yield group


def _sample(path: Path, tar: tarfile.TarFile, group: _Group, defaults: Defaults) -> Sample:
    where = f"{path}: {group.key}"
    row: dict[str, Any] = {}
    if "json" in group.members:
        row = parse_object(_read(tar, group.members["json"], where), where)
    if "txt" in group.members:
        row.setdefault("txt", _text(_read(tar, group.members["txt"], where), where))
    if not row:
        raise SampleError(f"{where}: it has {', '.join(group.members)}; a json or txt member is due")
    row.setdefault("__key__", group.key)
    names = sorted((name for name in group.members if name.rpartition(".")[2] in PICTURES), key=_natural)
    pictures = [_read(tar, group.members[name], where) for name in names]
    return make_sample(row, pictures, defaults, where, 0)


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo, where: str) -> bytes:
    if member.size > MOST_MEMBER:
        raise SampleError(f"{where}: {member.name} has {member.size:,} bytes; at most {MOST_MEMBER:,} are read")
    try:
        file = tar.extractfile(member)
        data = b"" if file is None else file.read()
    except (OSError, tarfile.TarError, EOFError) as error:
        raise SampleError(f"{where}: {member.name} is cut short ({error})") from None
    return data


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise SampleError(f"{where}: its text is not UTF-8 at byte {error.start + 1}") from None


def _natural(name: str) -> list[tuple[int, str]]:
    """An order in which 2.png stands before 10.png."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d{1,9})", name)]
