"""Typefaces: whole families of installed font packages (one PyPI package each), split into training and held out.

Every package brings its index, `metadata.json`: its files with style and weight, its axes and its licence.
"""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from PIL import ImageFont

from magicvl.errors import UsageError
from magicvl.train.generator.dataset import Split
from magicvl.train.generator.letters import Letters

Style = Literal["sans", "serif", "mono", "display", "hand", "arabic", "devanagari"]
"""The last two: families that have the digits of that script."""

TRAINING: Mapping[Style, str] = {
    "sans": "albert-sans archivo-narrow barlow cabin dm-sans exo-2 figtree fira-sans ibm-plex-sans inter jost karla "
    "lexend montserrat mulish noto-sans nunito open-sans oswald poppins pt-sans public-sans quicksand raleway "
    "roboto-condensed rubik titillium-web work-sans",
    "serif": "bitter crimson-text domine eb-garamond libre-baskerville lora merriweather playfair-display pt-serif "
    "roboto-slab zilla-slab",
    "mono": "inconsolata jetbrains-mono roboto-mono space-mono",
    "display": "abril-fatface anton comfortaa lobster righteous",
    "hand": "caveat delius indie-flower shadows-into-light",
    "arabic": "amiri noto-sans-arabic",
    "devanagari": "mukta noto-sans-devanagari",
}
"""Families by style, as the packages are called after `fontpkg-`."""
VALIDATION: Mapping[Style, str] = {
    "sans": "overpass signika",
    "serif": "spectral",
    "mono": "source-code-pro",
    "display": "acme",
    "hand": "satisfy",
    "arabic": "tajawal",
    "devanagari": "rajdhani",
}
TEST: Mapping[Style, str] = {
    "sans": "be-vietnam-pro heebo hind manrope red-hat-text sora",
    "serif": "cardo slabo-27px vollkorn",
    "mono": "geist-mono",
    "display": "oleo-script titan-one",
    "hand": "kalam",
    "arabic": "almarai",
    "devanagari": "hind",
}
FAMILIES: Mapping[Split, Mapping[Style, str]] = {
    "train": TRAINING,
    "validation": VALIDATION,
    "test": TEST,
    "style": TEST,
}
PLAIN: tuple[Style, ...] = ("sans", "serif", "mono")
"""What documents and screens are set in."""
ALL_LATIN: tuple[Style, ...] = ("sans", "serif", "mono", "display", "hand")
SIZES = (13, 14, 15, 16, 18, 20, 22, 24, 28, 32, 36, 42, 48, 56, 64, 80, 96, 128)
"""The sizes in px that print comes in: few, so that loaded fonts are met again. 13 px is 9 px of capital height."""
_WEIGHTS = (400, 700)


@dataclass(frozen=True)
class Face:
    """One cut of a family."""

    family: str
    path: str
    weight: int
    italic: bool

    def at(self, size: float) -> Letters:
        """The face at the largest of SIZES that is not above the size (in px), loaded once."""
        return _load(self.path, self.weight, size_below(size))

    @property
    def bold(self) -> bool:
        """Whether it is heavier than what running text is set in."""
        return self.weight > 500


def size_below(size: float) -> int:
    """The largest of SIZES that is not above a size in px, at least the smallest."""
    return max((step for step in SIZES if step <= size), default=SIZES[0])


@cache
def faces(split: Split, style: Style) -> tuple[Face, ...]:
    """Every face of a style on one side of the split. Raises UsageError where a package is missing."""
    return tuple(face for family in FAMILIES[split][style].split() for face in _cuts(family))


def pick_face(rng: random.Random, split: Split, styles: tuple[Style, ...] = PLAIN, *, bold: bool | None = None) -> Face:
    """A face: first a family, each as likely as another, then one of its cuts, most often upright and regular."""
    families = [family for style in styles for family in FAMILIES[split][style].split()]
    cuts = _cuts(rng.choice(families))
    if bold is not None:
        cuts = [cut for cut in cuts if cut.bold == bold] or cuts
    upright = [cut for cut in cuts if not cut.italic]
    return rng.choice(upright if upright and rng.random() < 0.9 else cuts)


def mate(face: Face, *, bold: bool) -> Face:
    """The upright bold or regular cut of the same family, for headings and names; the face itself if there is none."""
    cuts = [cut for cut in _cuts(face.family) if cut.bold == bold and not cut.italic]
    return min(cuts, key=lambda cut: abs(cut.weight - (700 if bold else 400)), default=face)


@cache
def _cuts(family: str) -> list[Face]:
    return list(_read_cuts(family))


def _read_cuts(family: str) -> Iterator[Face]:
    root, index = _package(family)
    weights = next((axis for axis in index["axes"] if axis["tag"] == "wght"), None)
    files = sorted(index["files"], key=lambda file: str(file["path"]))
    only = len(files) == 1
    for file in files:
        path, italic = str(root / file["path"]), file["style"] == "italic"
        if file["variable"] and weights:
            for weight in _WEIGHTS:
                if weights["min"] <= weight <= weights["max"]:
                    yield Face(family, path, weight, italic)
        elif file["weight"] in _WEIGHTS or only:
            yield Face(family, path, file["weight"] or 400, italic)


def _package(family: str) -> tuple[Path, dict[str, Any]]:
    """Folder and index of a family's package."""
    name = f"fontpkg_{family.replace('-', '_')}"
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(f"fonts: the package fontpkg-{family} is missing; install magicvl[train]")
    root = Path(spec.submodule_search_locations[0])
    return root, json.loads((root / "metadata.json").read_text(encoding="utf-8"))


def licence(family: str) -> str:
    """The licence that a family's package states, such as OFL-1.1."""
    return str(_package(family)[1]["license"])


@lru_cache(maxsize=1024)
def _load(path: str, weight: int, size: int) -> Letters:
    # Basic layout: Latin print and digits need no shaping, and it is quicker.
    return Letters(open_font(path, weight, size, ImageFont.Layout.BASIC))


def open_font(path: str, weight: int, size: int, layout: ImageFont.Layout | None = None) -> ImageFont.FreeTypeFont:
    """A font file at a size in px; a variable one at that weight."""
    font = ImageFont.truetype(path, size, layout_engine=layout)
    if "[" in Path(path).name:
        font.set_variation_by_axes(list(_axes(path, weight)))
    return font


@cache
def _axes(path: str, weight: int) -> tuple[float, ...]:
    """The place on each axis of a variable font: that weight, and the default of the others."""
    axes = ImageFont.truetype(path, 16).get_variation_axes()
    return tuple(float(weight if _is_weight(axis["name"]) else axis["default"] or 0) for axis in axes)


def _is_weight(name: bytes | str | None) -> bool:
    return bytes(name if isinstance(name, bytes) else (name or "").encode()).lower() in (b"weight", b"wght")
