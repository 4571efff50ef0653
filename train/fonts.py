"""The fonts of magicvl-nano: files of installed packages, split into training and held out.

What the generator prints with is in generator/faces.py.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

from magicvl.errors import UsageError

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
def font_files(held_out: bool = False) -> tuple[Path, ...]:
    """The font files of one side of the split. Raises UsageError where a package is missing."""
    found: list[Path] = []
    for package, names in (HELD_OUT if held_out else TRAINING).items():
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise UsageError(f"fonts: the package {package} is missing; install magicvl[train]")
        root = Path(spec.submodule_search_locations[0])
        for name in names:
            matches = sorted(root.rglob(name))
            if not matches:
                raise UsageError(f"fonts: {package} has no {name}; install the versions of magicvl[train]")
            found.append(matches[0])
    return tuple(found)


@cache
def font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    """A font at a size in px, loaded once."""
    return ImageFont.truetype(path, size)
