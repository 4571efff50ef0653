"""The pack: one ZIP file of stored pictures, read in place.

It holds catalogue.json, the drawings as WebP with alpha at two sizes, the backgrounds as WebP, and each package's
copyright file. It is mapped into memory, so that forked workers share it and an entry costs no seek.
"""

import io
import json
import mmap
import os
import struct
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from magicvl.edge.files import whole_file
from magicvl.errors import SampleError
from magicvl.train.assets.catalogue import Backdrop, Catalogue, Name, Thing
from magicvl.train.assets.folder import VARIABLES, pack_file
from magicvl.train.generator.dataset import SPLITS, Split

VERSION = 1
SIDE = 192
"""Most px of a drawing's longer side."""
SMALL = 72
"""Most px of the longer side of its smaller copy, which most scenes are drawn from."""
_INDEX = "catalogue.json"
_LICENCES = "licences/"
_HEADER = struct.Struct("<26xHH")
"""A ZIP entry's local header up to the lengths of its name and its extra field."""


class Pack:
    """A pack that is open; the same in every process that opens it."""

    def __init__(self, path: Path) -> None:
        """Raises SampleError for a file that is not there, or is no pack."""
        self.path = path
        try:
            with path.open("rb") as file, zipfile.ZipFile(file) as archive:
                self._entries = {entry.filename: entry for entry in archive.infolist()}
                self.catalogue = _catalogue(json.loads(archive.read(_INDEX)))
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            raise SampleError(f"{path}: there are no drawings yet; make them with: magicvl train assets") from None
        except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
            raise SampleError(
                f"{path}: not a pack of drawings ({error}); make it with: magicvl train assets --force"
            ) from None

    @cached_property
    def names(self) -> Mapping[str, Name]:
        """Every name by itself."""
        return {name.name: name for name in self.catalogue.names}

    def things(self, split: Split) -> Mapping[str, tuple[Thing, ...]]:
        """The drawings of a split by name. Tested is only what is trained: names of train alone."""
        return self._by_split[split]

    @cached_property
    def _by_split(self) -> Mapping[Split, Mapping[str, tuple[Thing, ...]]]:
        found: dict[Split, dict[str, list[Thing]]] = {split: defaultdict(list) for split in SPLITS}
        trained = {thing.name for thing in self.catalogue.things if thing.split == "train"}
        for thing in self.catalogue.things:
            if thing.name in trained:
                found[thing.split][thing.name].append(thing)
        return {split: {name: tuple(found[split][name]) for name in sorted(found[split])} for split in found}

    @cached_property
    def backdrops(self) -> Mapping[bool, tuple[Backdrop, ...]]:
        """The backgrounds: under True those of training, under False the others."""
        backdrops = self.catalogue.backdrops
        return {train: tuple(b for b in backdrops if (b.split == "train") == train) for train in (True, False)}

    def sprite(self, thing: Thing, side: int) -> Image.Image:
        """A drawing as RGBA, its longer side `side` px; past SIDE it is enlarged."""
        level = SMALL if side <= SMALL < max(thing.width, thing.height) else SIDE
        # An opaque drawing comes back without alpha.
        picture = self._picture(_sprite_entry(thing.number, level)).convert("RGBA")
        scale = side / max(picture.size)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        return picture.resize(size, Image.Resampling.BILINEAR if scale < 1 else Image.Resampling.BICUBIC)

    def backdrop(self, backdrop: Backdrop) -> Image.Image:
        """A background as RGB."""
        return _opened(self, _backdrop_entry(backdrop.number))

    def licences(self) -> dict[str, str]:
        """The copyright file of each package."""
        return {
            name.removeprefix(_LICENCES).removesuffix(".txt"): self._data(name).decode()
            for name in self._entries
            if name.startswith(_LICENCES)
        }

    def _picture(self, entry: str) -> Image.Image:
        picture = Image.open(io.BytesIO(self._data(entry)), formats=("WEBP",))
        picture.load()
        return picture

    def _data(self, entry: str) -> bytes:
        found = self._entries[entry]
        name, extra = _HEADER.unpack_from(self._bytes, found.header_offset)
        start = found.header_offset + 30 + name + extra
        return self._bytes[start : start + found.file_size]


@lru_cache(maxsize=48)
def _opened(pack: Pack, entry: str) -> Image.Image:
    return pack._picture(entry)


def installed_pack() -> Pack:
    """The pack in the user's folder, opened once a process. Raises SampleError where there is none."""
    return _opened_pack(*(os.environ.get(variable) for variable in VARIABLES))


@cache
def _opened_pack(*_where: str | None) -> Pack:
    return Pack(pack_file())


@dataclass(frozen=True)
class Content:
    """What is put into a pack: encoded pictures beside the catalogue that numbers them."""

    catalogue: Catalogue
    sprites: Mapping[int, tuple[bytes, bytes | None]]
    """A drawing's WebP at SIDE, and at SMALL where it is larger than that."""
    backdrops: Mapping[int, bytes]
    licences: Mapping[str, str]


def write_pack(content: Content, path: Path) -> None:
    """Writes a pack whole or not at all; the same content gives the same bytes. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for name, data in _entries(content):
            archive.writestr(zipfile.ZipInfo(name), data)


def _entries(content: Content) -> Iterable[tuple[str, bytes]]:
    index = {"version": VERSION, **asdict(content.catalogue)}
    yield _INDEX, json.dumps(index, ensure_ascii=False).encode()
    for package, text in sorted(content.licences.items()):
        yield f"{_LICENCES}{package}.txt", text.encode()
    for number, (large, small) in sorted(content.sprites.items()):
        yield _sprite_entry(number, SIDE), large
        if small is not None:
            yield _sprite_entry(number, SMALL), small
    for number, data in sorted(content.backdrops.items()):
        yield _backdrop_entry(number), data


def _sprite_entry(number: int, side: int) -> str:
    return f"drawings/{number:05d}-{side}.webp"


def _backdrop_entry(number: int) -> str:
    return f"backgrounds/{number:03d}.webp"


def _catalogue(index: dict[str, Any]) -> Catalogue:
    if index["version"] != VERSION:
        raise ValueError(f"version {index['version']}; {VERSION} is read")
    names = (
        Name(**fields | {"others": tuple(fields["others"]), "kin": tuple(fields["kin"])}) for fields in index["names"]
    )
    things = (Thing(**fields | {"mean": tuple(fields["mean"])}) for fields in index["things"])
    backdrops = (Backdrop(**fields) for fields in index["backdrops"])
    return Catalogue(tuple(names), tuple(things), tuple(backdrops), index["packages"])
