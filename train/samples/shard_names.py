"""The files that a name of shards means: `data/train-{000..127}.tar`, `data/{a,b}/*.tar`."""

import glob
import re
from itertools import product
from math import prod
from pathlib import Path

from magicvl.errors import SampleError, UsageError

MOST_SHARDS = 100_000

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})")


def shard_paths(name: str) -> tuple[Path, ...]:
    """The files, each once, in the order that they are named. Raises UsageError, SampleError where one is missing."""
    if "://" in name or name.startswith("pipe:"):
        raise UsageError(f"webdataset:{name}: shards are files here; nothing is fetched or run")
    paths: dict[Path, None] = {}
    for each in expand_braces(name):
        found = sorted(glob.glob(each, recursive=True)) if glob.has_magic(each) else [each]
        if not found:
            raise SampleError(f"{each}: no file matches")
        paths.update(dict.fromkeys(map(Path, found)))
        if len(paths) > MOST_SHARDS:
            raise UsageError(f"webdataset:{name}: more than {MOST_SHARDS:,} shards; name fewer at once")
    for path in paths:
        if not path.is_file():
            raise SampleError(f"{path}: no such file")
    return tuple(paths)


def expand_braces(name: str) -> list[str]:
    """The names that a shell's braces mean; a range keeps its leading noughts. Raises UsageError for too many."""
    pieces = _BRACES.split(name)
    choices = [_choices(part, name) if number % 2 else [part] for number, part in enumerate(pieces)]
    if prod(map(len, choices)) > MOST_SHARDS:
        raise UsageError(f"{name}: more than {MOST_SHARDS:,} shards; name fewer at once")
    return ["".join(parts) for parts in product(*choices)]


def _choices(body: str, name: str) -> list[str]:
    if (found := _RANGE.fullmatch(body)) is None:
        # As in a shell, braces without a comma are just braces.
        return body.split(",") if "," in body else [f"{{{body}}}"]
    first, last = int(found[1]), int(found[2])
    if not 0 <= last - first < MOST_SHARDS:
        raise UsageError(f"{name}: {{{body}}} names {last - first + 1:,} shards; 1 to {MOST_SHARDS:,} are taken")
    width = len(found[1]) if found[1].startswith("0") else 0
    return [f"{number:0{width}}" for number in range(first, last + 1)]
