"""Synthetic scenes: what is in a picture, decided before anything is drawn.

A scene is objects in the cells of a 3 x 3 grid, perhaps printed numbers or words, and a background. Cells make
every position unambiguous; the truth about a scene is the scene itself.
"""

import random
from dataclasses import dataclass

SHAPES = ("circle", "square", "triangle", "star", "heart", "diamond", "cross", "ring")
COLOURS = {
    "red": (214, 36, 36),
    "orange": (250, 140, 20),
    "yellow": (245, 220, 40),
    "green": (40, 160, 60),
    "blue": (40, 90, 215),
    "purple": (130, 50, 165),
    "pink": (250, 150, 195),
    "brown": (120, 72, 36),
    "black": (18, 18, 18),
    "white": (248, 248, 248),
    "grey": (140, 140, 140),
}
POSITIONS = (
    "top left", "top", "top right",
    "left", "centre", "right",
    "bottom left", "bottom", "bottom right",
)  # fmt: skip
TRAINING_BACKGROUNDS = ("plain", "gradient", "noise", "stripes", "blotches")
HELD_OUT_BACKGROUNDS = ("checks", "dots")

_SIGNS = """
open closed exit stop push pull sale free menu cafe hotel taxi bus shop bank post park north south
east west hot cold new old red blue total cash gate left right up down start home back next help
news mail love tea
""".split()
_ONSETS = ("b", "c", "d", "f", "g", "h", "l", "m", "n", "p", "r", "s", "t", "v", "w", "st", "tr", "ch", "")
_VOWELS = ("a", "e", "i", "o", "u", "ea", "oo")
_CODAS = ("", "", "n", "r", "t", "l", "s", "m", "nd", "ck")

CHARACTER = 14
"""Px that a character of print is given at least; a patch of the encoder is 16 px wide."""


@dataclass(frozen=True)
class Content:
    """What pictures show, as far as it is up to the one who draws them."""

    most_shapes: int = 5
    """Most shapes of one picture, up to 9; questions are about up to 5, a crowd is for the dense targets."""
    prints: float = 0.45
    """Share of pictures with printed numbers or words."""
    lines: int = 1
    """Most lines of print in one picture, up to 3."""
    numbers: float = 0.65
    """Share of numbers among what is printed; the rest are words."""
    character: int = CHARACTER
    """Least width in px that a character of print is given."""


STANDARD = Content()


@dataclass(frozen=True)
class Shape:
    """One drawn object."""

    kind: str
    colour: str
    cell: int
    """Index into POSITIONS."""
    size: float
    """Share of the cell's smaller side."""


@dataclass(frozen=True)
class Print:
    """A printed number or word."""

    text: str
    colour: str
    row: int
    """The row of cells that it fills: 0, 1 or 2. Where the picture has nothing else it is 1 and means nothing."""
    character: int = CHARACTER
    """Least width in px of a character, as near as fonts allow."""

    @property
    def is_number(self) -> bool:
        """Whether it is a number."""
        return self.text.isdigit()

    @property
    def noun(self) -> str:
        """What it is called: number or word."""
        return "number" if self.is_number else "word"


@dataclass(frozen=True)
class Scene:
    """Everything that is true of a picture, and how it is to be drawn."""

    width: int
    """In px."""
    height: int
    """In px."""
    background: str
    """Colour name."""
    texture: str
    """One of the background kinds above."""
    shapes: tuple[Shape, ...]
    prints: tuple[Print, ...]
    """From top to bottom, each in a row of its own."""
    seed: int
    """Of everything random in the drawing: jitter, shades, font, noise."""
    held_out: bool
    """Whether fonts come from the held-out side."""


def make_scene(
    rng: random.Random, width: int, height: int, content: Content = STANDARD, *, held_out: bool = False
) -> Scene:
    """Draws up a scene for a picture of width x height px."""
    background = rng.choice(list(COLOURS))
    others = [colour for colour in COLOURS if colour not in too_close(background)]
    kind = rng.choices(("shapes", "print", "both"), (1 - content.prints, content.prints * 2 / 3, content.prints / 3))[0]
    small = min(width, height) < 64
    if kind == "both" and (height < 6 * content.character or height < 96 or width < 64):
        kind = rng.choice(("shapes", "print"))
    printed = _make_prints(rng, others, width, height, content, alone=kind == "print") if kind != "shapes" else ()
    shapes: tuple[Shape, ...] = ()
    if kind != "print":
        rows = [row for row in range(3) if all(line.row != row for line in printed)]
        cells = [4] if small else [row * 3 + column for row in rows for column in range(3)]
        shapes = _make_shapes(
            rng, others, cells, min(width, height) if small else min(width, height) / 3, content.most_shapes
        )
    textures = HELD_OUT_BACKGROUNDS if held_out else TRAINING_BACKGROUNDS
    return Scene(width, height, background, rng.choice(textures), shapes, printed, rng.getrandbits(32), held_out)


def too_close(background: str) -> tuple[str, ...]:
    """Colours that can't be told from a shaded background of that colour, itself included."""
    near = {
        "red": ("orange", "brown", "pink"),
        "orange": ("red", "yellow", "brown"),
        "yellow": ("orange", "white"),
        "blue": ("purple",),
        "purple": ("blue", "pink"),
        "pink": ("red", "purple", "white"),
        "brown": ("red", "orange", "black"),
        "black": ("brown",),
        "white": ("yellow", "pink", "grey"),
        "grey": ("white",),
    }
    return (background, *near.get(background, ()))


def _make_shapes(rng: random.Random, colours: list[str], cells: list[int], room: float, most: int) -> tuple[Shape, ...]:
    # Below 16 px a heart is hard to tell from a triangle, for people too.
    sizes = [size for size in (0.5, 0.62, 0.78) if size * room >= 16] + [0.95]
    count = min(rng.randint(1, most), len(cells))
    places = rng.sample(cells, count)
    # Few kinds and colours make repeats, and so counts that are worth asking for: often all are of one.
    kinds = rng.sample(SHAPES, 1 if rng.random() < 0.35 else rng.randint(1, min(4, count + 1)))
    shades = rng.sample(colours, 1 if rng.random() < 0.2 else rng.randint(1, min(4, count + 1, len(colours))))
    return tuple(Shape(rng.choice(kinds), rng.choice(shades), cell, rng.choice(sizes)) for cell in places)


def _make_prints(
    rng: random.Random, colours: list[str], width: int, height: int, content: Content, *, alone: bool
) -> tuple[Print, ...]:
    """One line that may fill the picture, or several of at most a third of its height each."""
    # A line is about twice as high as its characters are wide. Beside shapes one row stays free for them.
    room = min(content.lines, 3 if alone else 2) if height >= 6 * content.character else 1

    def line(digits: int, row: int) -> Print:
        text = _text(rng, width // content.character, content.numbers, digits)
        return Print(text, rng.choice(colours), row, content.character)

    if room == 1:
        return (line(4, 1 if alone else rng.choice((0, 1, 2))),)
    return tuple(line(8, row) for row in sorted(rng.sample(range(3), rng.randint(1, room))))


def _text(rng: random.Random, room: int, numbers: float, digits: int) -> str:
    """A number of so many digits at most, or a word, of no more than `room` characters."""
    longest = max(1, min(room, 8))
    number = rng.random() < numbers or longest < 3
    return _number(rng, min(digits, longest)) if number else _word(rng)[:longest]


def _number(rng: random.Random, longest: int) -> str:
    digits = rng.choices(range(1, longest + 1), range(1, longest + 1))[0]
    return str(rng.randrange(10 ** (digits - 1) if digits > 1 else 0, 10**digits))


def _word(rng: random.Random) -> str:
    if rng.random() < 0.3:
        word = rng.choice(_SIGNS)
    else:
        syllables = rng.choice((1, 2, 2))
        word = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(syllables))
    return rng.choice((str.lower, str.upper, str.capitalize))(word)
