"""From a row of anybody's file to a Sample; what is wrong is said with row, field and what is due."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, cast

from magicvl.edge.pixels import PictureSource
from magicvl.errors import SampleError, UsageError
from magicvl.train.samples.conversation import text_of, turns_of
from magicvl.train.samples.sample import CATEGORIES, Box, Category, Event, Sample
from magicvl.train.samples.spec import Defaults

SOURCES = ("source", "dataset", "data_source", "dataset_name")
IDS = ("id", "question_id", "sample_id", "__key__")
MOST_PICTURES = 256
"""Of one sample."""
MOST_BOXES = 100_000


def make_sample(
    row: Mapping[str, Any], pictures: Sequence[PictureSource], defaults: Defaults, where: str, number: int
) -> Sample:
    """The sample of a row. `where` names the row in messages; its `number` is its id where it has none.

    Raises SampleError.
    """
    try:
        if len(pictures) > MOST_PICTURES:
            raise ValueError(f"{len(pictures):,} pictures; at most {MOST_PICTURES} are read")
        return Sample(
            id=_identity(row, number),
            category=_category(row, len(pictures), defaults),
            source=_source(row, defaults),
            pictures=tuple(pictures),
            turns=turns_of(row, len(pictures), defaults.prompt),
            boxes=_boxes(row.get("boxes")),
            events=_events(row.get("events")),
        )
    except (ValueError, UsageError) as error:
        raise SampleError(f"{where}: {error}") from None


def picture_names(row: Mapping[str, Any], where: str) -> list[str]:
    """The names of a row's pictures, in order: `image`, a text or a list, or `images`. Raises SampleError."""
    value = row.get("image")
    field = "image" if value is not None else "images"
    value = row.get(field) if value is None else value
    if value is None:
        return []
    names = value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) and name for name in names):
        raise SampleError(f"{where}: {field} is {str(value)[:60]!r}; a picture's name is due, or a list of them")
    return names


def picture_path(folder: Path, name: str, where: str) -> Path:
    """The path of a picture in a folder. Raises SampleError for a name that leads out of it.

    Links that lie in the folder are followed: whoever made the folder set them.
    """
    if "\0" in name or "://" in name:
        raise SampleError(f"{where}: picture {name!r}; the name of a file in {folder} is due, nothing is fetched")
    base = os.path.abspath(folder)
    path = os.path.normpath(os.path.join(base, PurePosixPath(name)))
    if os.path.commonpath((base, path)) != base or path == base:
        raise SampleError(f"{where}: picture {name!r} lies outside of {folder}; set pictures= to the folder it is in")
    return folder / os.path.relpath(path, base)


def _identity(row: Mapping[str, Any], number: int) -> str:
    for name in IDS:
        value = row.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool):
            return text_of(str(value), name)
    return str(number)


def _category(row: Mapping[str, Any], pictures: int, defaults: Defaults) -> Category:
    """The field's, else the option's, else the usual one; the option also stands for names that are none of ours."""
    named = row.get("category")
    if named in CATEGORIES:
        return cast(Category, named)
    if defaults.category is not None:
        return defaults.category
    if named is not None:
        raise ValueError(f"category is {named!r}; one of {', '.join(CATEGORIES)} is due, or set category= for all rows")
    return "vqa" if pictures else "text"


def _source(row: Mapping[str, Any], defaults: Defaults) -> str:
    named = next((row[name] for name in SOURCES if isinstance(row.get(name), str) and row[name]), None)
    return defaults.source if named is None else text_of(named, "source")


def _boxes(value: object) -> tuple[Box, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > MOST_BOXES:
        raise ValueError(f"boxes is a {type(value).__name__}; a list of at most {MOST_BOXES:,} is due")
    return tuple(_box(each, number) for number, each in enumerate(value, 1))


def _box(value: object, number: int) -> Box:
    if not isinstance(value, Mapping):
        raise ValueError(f"box {number} is a {type(value).__name__}; an object is due")
    sides = [_number(value.get(name), f"{name} of box {number}") for name in ("left", "top", "right", "bottom")]
    kind, picture = value.get("kind", "object"), value.get("picture", 0)
    if kind not in ("object", "text") or type(picture) is not int or picture < 0:
        raise ValueError(
            f"box {number} is of kind {kind!r} in picture {picture!r}; object or text and a number are due"
        )
    label = text_of(value.get("label"), f"label of box {number}")
    return Box(label, sides[0], sides[1], sides[2], sides[3], kind, picture)


def _events(value: object) -> tuple[Event, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise ValueError("events is no list of objects")
    return tuple(
        Event(
            text_of(each.get("label"), f"label of event {number}"),
            _number(each.get("begin"), f"begin of event {number}"),
            _number(each.get("end"), f"end of event {number}"),
        )
        for number, each in enumerate(value, 1)
    )


def _number(value: object, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{field} is {str(value)[:40]!r}; a number is due")
    return value
