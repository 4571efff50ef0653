"""Photographs and patterns of the wallpaper packages, in parts that objects can be put on."""

import hashlib
import io
from collections.abc import Iterable
from pathlib import Path

from PIL import Image, ImageStat

from magicvl.train.generator.dataset import Split

_SIDE = 448
"""Px of a part's longer side."""
# Things with a name can be seen in these: they would be counted.
_WITH_THINGS = (
    "elephants", "ladybird", "twowings", "flower", "colorfulcups", "onestandsout", "flyingkonqui", "safelanding",
    "symbolic", "float-into-mate", "screenshot", "kite", "arc-colors",
)  # fmt: skip
_TESTED = 4
"""One photograph in so many is kept for testing."""


def backdrops_of(roots: Iterable[Path]) -> list[tuple[str, Split, bytes]]:
    """Source, side of the split and WebP of each part; all parts of a photograph are on one side."""
    found = []
    for root in roots:
        for file in _pictures(root):
            source = f"{root.name}/{file.relative_to(root / 'usr/share')}"
            split = _split(_title(file))
            found += [(source, split, data) for data in _parts(file)]
    return found


def _pictures(root: Path) -> list[Path]:
    """The largest of each wallpaper's sizes."""
    largest: dict[str, Path] = {}
    for file in sorted(root.rglob("*")):
        shown = file.suffix in (".jpg", ".jpeg", ".png", ".webp") and file.stat().st_size > 60_000
        if shown and not any(word in file.as_posix().lower() for word in _WITH_THINGS):
            best = largest.setdefault(_title(file), file)
            if file.stat().st_size > best.stat().st_size:
                largest[_title(file)] = file
    return [largest[title] for title in sorted(largest)]


def _title(file: Path) -> str:
    """What all sizes, and the day's and the night's picture, of a wallpaper share."""
    folder = next((part.name for part in file.parents if part.parent.name == "wallpapers"), "")
    return folder or file.stem.removesuffix("-d").removesuffix("-l").partition("_")[0].lower()


def _split(title: str) -> Split:
    number = int.from_bytes(hashlib.sha256(title.encode()).digest()[:4], "big")
    return "train" if number % _TESTED else "test"


def _parts(file: Path) -> list[bytes]:
    """The whole, and the four quarters of it in which something can be seen."""
    with Image.open(file) as opened:
        opened.draft("RGB", (4 * _SIDE, 4 * _SIDE))
        picture = opened.convert("RGB")
    picture.thumbnail((2 * _SIDE, 2 * _SIDE), Image.Resampling.BICUBIC, reducing_gap=2.0)
    across, down = picture.width // 2, picture.height // 2
    quarters = [picture.crop((x, y, x + across, y + down)) for x in (0, across) for y in (0, down)]
    parts = [picture, *(quarter for quarter in quarters if ImageStat.Stat(quarter.convert("L")).stddev[0] > 8)]
    return [_encoded(part) for part in parts]


def _encoded(picture: Image.Image) -> bytes:
    picture = picture.copy()
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=74, method=4)
    return file.getvalue()
