"""Letters of one face at one size, rendered once and then set again and again.

FreeType renders a letter in some 30 µs, which is most of the time that a page of print takes; a letter that is kept
costs a tenth of it. Letters are set at whole px without kerning, as Pillow's basic layout does for most fonts.
"""

from typing import TYPE_CHECKING, TypeAlias

from PIL import Image
from PIL.ImageFont import FreeTypeFont

from magicvl.train.generator.themes import Rgb

if TYPE_CHECKING:
    from PIL._imaging import ImagingCore

Rect = tuple[float, float, float, float]
"""Left, top, right, bottom in px."""
_Box = tuple[int, int, int, int]
_Glyph: TypeAlias = "tuple[ImagingCore | None, int, int, int, int, float]"
"""Its ink (Pillow's own storage, mode L); left and top of it from the pen on the base line, its width and height; how
far the pen goes on."""


class Letters:
    """A font that prints."""

    def __init__(self, font: FreeTypeFont) -> None:
        self._font = font
        self._glyphs: dict[str, _Glyph] = {}
        self.size = round(font.size)
        """In px of the em."""
        self.ascent, self.descent = font.getmetrics()

    @property
    def height(self) -> int:
        """From one line to the next, in px."""
        return self.ascent + self.descent

    def width(self, text: str) -> float:
        """How far the pen goes, in px."""
        return sum([self._glyph(letter)[5] for letter in text])

    def ink(self, text: str) -> Rect:
        """Where the ink is, from the pen at the start of the base line; all zeros where there is none."""
        return _around([box for _, box in self._set(text, 0, 0)])

    def paint(self, picture: Image.Image, x: float, y: float, text: str, colour: Rgb, anchor: str = "la") -> Rect:
        """Prints a line on an RGB picture and returns where its ink is.

        The anchor is what of the line lies at x, y: l, m or r (left, middle, right), then a, m, s or d (ascender,
        middle, base line, descender), as in Pillow.
        """
        start, base = round(self._start(x, text, anchor[0])), round(y + self._drop(anchor[1]))
        letters = self._set(text, start, base)
        # What Image.paste does in the end; its checks of each call would take most of the time.
        pixels = picture.im
        for mask, box in letters:
            pixels.paste(colour, box, mask)
        return _around([box for _, box in letters])

    def _set(self, text: str, start: int, base: int) -> "list[tuple[ImagingCore, _Box]]":
        """Each letter that has ink, and its box, with the pen starting there."""
        letters, pen = [], float(start)
        for letter in text:
            mask, left, top, width, height, advance = self._glyphs.get(letter) or self._glyph(letter)
            if mask is not None:
                x, y = round(pen) + left, base + top
                letters.append((mask, (x, y, x + width, y + height)))
            pen += advance
        return letters

    def _start(self, x: float, text: str, anchor: str) -> float:
        return x if anchor == "l" else x - self.width(text) * (0.5 if anchor == "m" else 1)

    def _drop(self, anchor: str) -> float:
        """From the anchor down to the base line."""
        return {"a": self.ascent, "m": (self.ascent - self.descent) / 2, "s": 0, "d": -self.descent}[anchor]

    def _glyph(self, letter: str) -> _Glyph:
        glyph = self._glyphs.get(letter)
        if glyph is None:
            glyph = self._glyphs[letter] = self._render(letter)
        return glyph

    def _render(self, letter: str) -> _Glyph:
        advance = self._font.getlength(letter)
        mask, (left, top) = self._font.getmask2(letter, mode="L", anchor="ls")
        ink = mask.getbbox() if mask.size[0] and mask.size[1] else None
        if ink is None:
            return None, 0, 0, 0, 0, advance
        mask = mask.crop(ink)
        return mask, round(left) + ink[0], round(top) + ink[1], *mask.size, advance


def _around(boxes: list[_Box]) -> Rect:
    if not boxes:
        return 0, 0, 0, 0
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
