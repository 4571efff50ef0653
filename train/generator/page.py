"""A picture that remembers what was printed on it and where."""

from PIL import Image, ImageDraw

from magicvl.train.generator.letters import Letters, Rect
from magicvl.train.generator.themes import Rgb
from magicvl.train.samples.sample import Box


class Page:
    """An RGB picture that is drawn on, and its boxes."""

    def __init__(self, width: int, height: int, ground: Rgb) -> None:
        self.picture = Image.new("RGB", (width, height), ground)
        self.pen = ImageDraw.Draw(self.picture)
        self.boxes: list[Box] = []

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        return self.picture.size

    def write(self, x: float, y: float, text: str, font: Letters, colour: Rgb, anchor: str = "la") -> Box:
        """Prints one line with its anchor (left ascender, unless told) at x, y; keeps and returns its box."""
        box = Box(text, *font.paint(self.picture, x, y, text, colour, anchor), kind="text")
        self.boxes.append(box)
        return box

    def mark(self, label: str, rect: Rect) -> Box:
        """Keeps an object's place: a button, a picture, a bar."""
        box = Box(label, *rect)
        self.boxes.append(box)
        return box

    def bar(self, rect: Rect, colour: Rgb, radius: float = 0, outline: Rgb | None = None) -> None:
        """A filled rectangle, its corners rounded if asked for."""
        left, top, right, bottom = (round(side) for side in rect)
        inner = (left, top, max(left, right - 1), max(top, bottom - 1))
        if radius >= 1:
            radius = min(radius, (inner[2] - left) / 2, (inner[3] - top) / 2)
            self.pen.rounded_rectangle(inner, radius, fill=colour, outline=outline)
        else:
            self.pen.rectangle(inner, fill=colour, outline=outline)

    def rule(self, x1: float, y1: float, x2: float, y2: float, colour: Rgb, width: int = 1) -> None:
        """A straight line."""
        self.pen.line((round(x1), round(y1), round(x2), round(y2)), fill=colour, width=width)


def wrap(text: str, font: Letters, width: float) -> list[str]:
    """The text in lines that are no wider than that many px, a longer word on a line of its own."""
    lines: list[str] = []
    room, space = 0.0, font.width(" ")
    for word in text.split():
        length = font.width(word)
        if lines and room >= space + length:
            lines[-1] += f" {word}"
            room -= space + length
        else:
            lines.append(word)
            room = width - length
    return lines


def shorten(text: str, font: Letters, width: float) -> str:
    """The words of the text that fit into that many px; at least the first."""
    return wrap(text, font, width)[0]
