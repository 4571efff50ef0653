"""The typefaces of magicvl-nano, split into training and held out.

Training prints with these files and with the plain families that the generator is trained on (generator/faces.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

from magicvl.errors import UsageError
from magicvl.train.generator.faces import PLAIN, Face, faces, open_font

# Package -> the files of it that are used; every package is on PyPI and named in the extra `train`.
TRAINING = {
    "font_roboto": ("Roboto-Regular.ttf", "Roboto-Bold.ttf", "Roboto-Italic.ttf"),
    "font_source_sans_pro": ("SourceSansPro-Regular.ttf", "SourceSansPro-Semibold.ttf"),
    "font_source_serif_pro": ("SourceSerifPro-Regular.ttf", "SourceSerifPro-Bold.ttf"),
    "font_hanken_grotesk": ("HankenGrotesk-Medium.otf", "HankenGrotesk-Bold.otf"),
    "font_lato": ("Lato-Regular.ttf", "Lato-Black.ttf"),
    "font_fredoka_one": ("FredokaOne-Regular.ttf",),
    "font_fjallaone": ("FjallaOne-Regular.ttf",),
    "matplotlib": ("DejaVuSans.ttf", "DejaVuSerif-Bold.ttf", "DejaVuSansMono.ttf"),
}
HELD_OUT = {
    "font_caladea": ("Caladea-Regular.ttf", "Caladea-Bold.ttf"),
    "font_manrope": ("Manrope-Medium.ttf", "Manrope-ExtraBold.ttf"),
}


@cache
def nano_faces(held_out: bool = False) -> tuple[Face, ...]:
    """The faces of one side of the split. Raises UsageError where a package is missing."""
    # Files of one weight each, which need none to be named.
    found = [Face(package, str(path), 0, False) for package, path in _files(HELD_OUT if held_out else TRAINING)]
    return tuple(found) if held_out else (*found, *(face for style in PLAIN for face in faces("train", style)))


def _files(packages: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, Path]]:
    for package, names in packages.items():
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise UsageError(f"fonts: the package {package} is missing; install magicvl[train]")
        root = Path(spec.submodule_search_locations[0])
        for name in names:
            matches = sorted(root.rglob(name))
            if not matches:
                raise UsageError(f"fonts: {package} has no {name}; install the versions of magicvl[train]")
            yield package, matches[0]


@lru_cache(maxsize=1024)
def font(face: Face, size: int) -> ImageFont.FreeTypeFont:
    """A face at a size in px, kept while it is among the last used."""
    return open_font(face.path, face.weight, size)
