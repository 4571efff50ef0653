"""The bundle: a directory with both halves of a model and the lock that says what they are.

bundle/
  llm.gguf       the decoder, its tokenizer and chat template
  mmproj.gguf    encoder and projector
  lora.gguf      perhaps: an adapter of the decoder
  caption.gguf   perhaps: another, on top of it, for films alone
  magicvl.json   the lock: sizes, hashes, shapes, how pictures are cut, what stands around tiles
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from importlib.util import find_spec
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from magicvl.edge.plan import Grid
from magicvl.edge.prompt import Pieces
from magicvl.edge.reference_sizes import Lfm2Rules
from magicvl.errors import BundleError, UsageError

T = TypeVar("T")

LOCK_NAME = "magicvl.json"
LOCK_FORMAT = 1


@dataclass(frozen=True)
class FileEntry:
    """One file of the bundle."""

    path: str
    """Relative to the bundle; or to an installed package where `package` is set."""
    size: int
    """Bytes."""
    sha256: str
    package: str | None = None
    """Import name of the package that carries the file, None for a file in the bundle."""


@dataclass(frozen=True)
class VisionInfo:
    """Shape of encoder and projector."""

    width: int
    layers: int
    heads: int
    feed_forward: int
    patch: int
    """Side of a patch in px."""
    unshuffle: int
    """Patches on a side of one visual token."""
    positions: int
    """Side of the position table in patches."""
    projector_width: int | None
    """Width of the projector's hidden layer, None where it is one linear layer."""
    projector: str = "lfm2"
    """The runtime's name of the projector, a key of magicvl.mmproj.contract.PROJECTORS."""


@dataclass(frozen=True)
class LanguageInfo:
    """Shape of the decoder."""

    architecture: str
    """llama.cpp's name of it, as `general.architecture` has it."""
    width: int
    """Also the width of a visual embedding."""
    layers: int
    vocabulary: int
    context: int
    """Positions that it was made for, in tokens."""


@dataclass(frozen=True)
class PictureInfo:
    """How a picture becomes tiles and numbers."""

    tile: int
    """Side of a full tile in px."""
    max_tiles: int
    """Most tiles of one picture, an overview among them."""
    mean: tuple[float, float, float]
    """Per channel, of values in 0..1."""
    std: tuple[float, float, float]
    resample: str = "bilinear"
    """Filter of the resize, one of magicvl.edge.plan.RESAMPLES; Pillow's, antialiased."""
    policy: str = "native"
    """How pictures are cut, one of magicvl.edge.plan.POLICIES."""
    longest: int | None = None
    """Longest side in px that a policy resizes to, None where it has none."""
    enlarge: bool = True
    """Whether a smaller picture is enlarged to `longest`."""
    overview: bool = True
    """Whether several tiles come with an overview, where the policy leaves a choice."""
    min_tokens: int | None = None
    """lfm2: fewest visual tokens of a whole picture. native: of a picture, None for any. None with the others."""
    max_tokens: int | None = None
    """lfm2: most visual tokens of a whole picture, and of the overview of one that is split. None with the other
    policies, and so the next two."""
    min_tiles: int | None = None
    """lfm2: fewest tiles that a picture is split into, an overview not counted."""
    split_above: int | None = None
    """lfm2: px above which a picture is split, each side rounded to whole tokens."""


@dataclass(frozen=True)
class Lock:
    """What `magicvl.json` says."""

    name: str
    files: dict[str, FileEntry]
    """Keys `llm` and `mmproj`; `lora` where an adapter of the decoder comes along, `caption_lora` where one does that
    captions of films alone are written with."""
    vision: VisionInfo
    language: LanguageInfo
    picture: PictureInfo
    pieces: Pieces
    provenance: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    """What the conversion did to each tensor."""
    parity: dict[str, Any] = field(default_factory=dict)
    """What `magicvl parity` found."""
    lora_scale: float = 1.0
    """What the decoder's adapter is multiplied with, beside its own alpha / rank."""
    format: int = LOCK_FORMAT
    film_tracks: bool = False
    """Whether films are described with tracks (magicvl.edge.video.track)."""

    @property
    def answering(self) -> dict[str, FileEntry]:
        """The files that decide what is said about pictures."""
        return {role: entry for role, entry in sorted(self.files.items()) if role != "caption_lora"}

    @property
    def grid(self) -> Grid:
        """The grid that plans are made with."""
        picture = self.picture
        return Grid(
            unit=self.vision.patch * self.vision.unshuffle,
            tile=picture.tile,
            max_tiles=picture.max_tiles,
            policy=picture.policy,
            longest=picture.longest,
            enlarge=picture.enlarge,
            overview=picture.overview,
            lfm2=self._lfm2_rules,
            resample=picture.resample,
            min_tokens=1 if picture.policy == "lfm2" else picture.min_tokens or 1,
        )

    @property
    def _lfm2_rules(self) -> Lfm2Rules | None:
        picture = self.picture
        least = picture.min_tokens if picture.policy == "lfm2" else None
        rules = (least, picture.max_tokens, picture.min_tiles, picture.split_above)
        given = [value for value in rules if value is not None]
        if given and len(given) < len(rules):
            raise UsageError("min_tokens, max_tokens, min_tiles and split_above belong together")
        return Lfm2Rules(self.vision.patch, *given) if given else None


@dataclass(frozen=True)
class Bundle:
    """A lock and where it lies."""

    directory: Path
    lock: Lock

    def path(self, role: str) -> Path:
        """Where the file of that role lies. Raises BundleError where its package is missing."""
        entry = self.lock.files[role]
        if entry.package is None:
            return self.directory / entry.path
        spec = find_spec(entry.package)
        if spec is None or not spec.submodule_search_locations:
            raise BundleError(f"{entry.path} comes with the package {entry.package}: install it first")
        return Path(spec.submodule_search_locations[0]) / entry.path

    def verify(self, hashed: Callable[[Path], str] | None = None) -> None:
        """Compares every file with its size and hash. Raises BundleError at the first that differs.

        `hashed` gives a file's hash, by default of every byte as it is now.
        """
        for role, entry in self.lock.files.items():
            path = self.path(role)
            if not path.is_file():
                raise BundleError(f"{path}: the lock names this file, and it is not there")
            size = path.stat().st_size
            if size != entry.size:
                raise BundleError(f"{path}: {size:,} bytes, the lock says {entry.size:,}; copy or convert it again")
            if (found := (hashed or sha256)(path)) != entry.sha256:
                raise BundleError(
                    f"{path}: sha256 {found[:12]}…, the lock says {entry.sha256[:12]}…; copy or convert it again"
                )


def read_bundle(directory: str | os.PathLike[str]) -> Bundle:
    """Reads the lock of a bundle; no file beside it is touched. Raises BundleError."""
    path = Path(directory) / LOCK_NAME
    # Path.is_file would pass on what the system says to a name that no file can have.
    if not os.path.isfile(path):
        raise BundleError(f"{Path(directory)}: no bundle, it has no {LOCK_NAME}")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Bundle(Path(directory), lock_from_json(data))
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BundleError(f"{path}: damaged ({error}); copy or convert the bundle again") from None


def lock_from_json(data: dict[str, Any]) -> Lock:
    """The lock of its JSON object. Raises BundleError for another format, ValueError and kin for damage."""
    if data.get("format") != LOCK_FORMAT:
        raise BundleError(f"lock format {data.get('format')!r}, this version reads {LOCK_FORMAT}")
    picture = data["picture"]
    lock = Lock(
        name=str(data["name"]),
        files={role: _file_entry(data["files"][role]) for role in _roles(data["files"])},
        vision=_typed(VisionInfo, data["vision"]),
        language=_typed(LanguageInfo, data["language"]),
        picture=_typed(PictureInfo, picture | {"mean": _triple(picture["mean"]), "std": _triple(picture["std"])}),
        pieces=_typed(Pieces, data["pieces"]),
        provenance=dict(data.get("provenance", {})),
        report=dict(data.get("report", {})),
        parity=dict(data.get("parity", {})),
        lora_scale=_finite(data.get("lora_scale", 1.0)),
        film_tracks=_flag(data.get("film_tracks", False)),
    )
    try:
        lock.grid  # noqa: B018 - its own check is what is wanted
    except UsageError as error:
        raise BundleError(str(error)) from None
    return lock


def lock_to_json(lock: Lock) -> dict[str, Any]:
    """The JSON object of a lock."""
    return asdict(lock)


def sha256(path: Path) -> str:
    """Hash of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _roles(files: dict[str, Any]) -> list[str]:
    return ["llm", "mmproj", *(role for role in ("lora", "caption_lora") if role in files)]


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _finite(value: Any) -> float:
    number = float(value)
    if not isfinite(number):
        raise ValueError(f"{value!r} is no finite number")
    return number


def _file_entry(data: dict[str, Any]) -> FileEntry:
    entry = _typed(FileEntry, data)
    path = PurePosixPath(entry.path)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{entry.path!r} leads out of the bundle")
    # A dotted name would make find_spec import its parent.
    if entry.package is not None and not entry.package.isidentifier():
        raise ValueError(f"{entry.package!r} is no name of a package")
    return entry


def _typed(kind: type[T], data: dict[str, Any]) -> T:
    """A dataclass of its JSON object. ValueError, TypeError where a value is not what the field says."""
    made = kind(**data)
    for item in fields(made):  # type: ignore[arg-type]
        value = getattr(made, item.name)
        if item.type in (int, str, bool, str | None, int | None):
            if not isinstance(value, item.type) or isinstance(value, bool) != (item.type is bool):  # type: ignore[arg-type]
                raise TypeError(f"{item.name} is {value!r}")
            if isinstance(value, int) and item.type is not bool and value < 1:
                raise ValueError(f"{item.name} is {value}, it must be at least 1")
    return made


def _triple(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
