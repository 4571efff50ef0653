"""What bar and line charts share: colours, title, legend, the axis of values with its marks."""

import random
from dataclasses import dataclass

from magicvl.train.generator.chart.data import ChartData
from magicvl.train.generator.dataset import Split
from magicvl.train.generator.faces import Face, mate, pick_face
from magicvl.train.generator.letters import Letters, Rect
from magicvl.train.generator.page import Page
from magicvl.train.generator.themes import Rgb, Theme, contrast, mix, pick_theme, shade


@dataclass(frozen=True)
class ChartStyle:
    """How a chart looks."""

    theme: Theme
    face: Face
    size: int
    """Of labels, in px."""
    colours: tuple[Rgb, ...]
    """Of the series or slices, far from each other and from the ground."""
    grid: bool

    @property
    def font(self) -> Letters:
        """Of labels."""
        return self.face.at(self.size)

    @property
    def heading(self) -> Letters:
        """Of the title."""
        return mate(self.face, bold=True).at(self.size * 1.3)


def pick_style(rng: random.Random, split: Split, colours: int) -> ChartStyle:
    """Some look with so many colours."""
    theme = pick_theme(rng, 0.25)
    face = pick_face(rng, split, ("sans", "sans", "sans", "serif"), bold=False)
    first, saturation = rng.random(), rng.uniform(0.5, 0.9)
    hues = [(first + number / max(colours, 3)) % 1 for number in range(colours)]
    pens = tuple(_seen(shade(hue, saturation, rng.uniform(0.4, 0.55)), theme.ground) for hue in hues)
    return ChartStyle(theme, mate(face, bold=False), rng.choice((13, 14, 15, 16)), pens, rng.random() < 0.8)


def _seen(colour: Rgb, ground: Rgb) -> Rgb:
    away = (0, 0, 0) if contrast(ground, (0, 0, 0)) > contrast(ground, (255, 255, 255)) else (255, 255, 255)
    while contrast(colour, ground) < 1.8:
        colour = mix(colour, away, 0.2)
    return colour


def open_chart(
    what: ChartData, style: ChartStyle, plot: tuple[float, float], sideways: bool = False
) -> tuple[Page, Rect]:
    """A page with title and legend around an empty plot of that width and height in px, and where the plot lies."""
    font, heading, pad = style.font, style.heading, style.size
    left = pad + _beside(what, font, sideways)
    width = max(left + plot[0] + 1.5 * pad, heading.width(what.title) + 2 * pad, _legend_width(what, font) + 2 * pad)
    top = 2 * pad + 0.7 * font.height + heading.height + (1.6 * font.height if len(what.series) > 1 else 0)
    page = Page(round(width), round(top + plot[1] + font.height + 1.5 * pad), style.theme.ground)
    page.write(page.size[0] / 2, pad * 0.6, what.title, heading, style.theme.ink, "ma")
    if len(what.series) > 1:
        _legend(page, what, style, pad * 0.8 + heading.height)
    return page, (left, top, left + plot[0], top + plot[1])


def _beside(what: ChartData, font: Letters, sideways: bool) -> float:
    """Room for what stands on the left of the plot."""
    return max(font.width(text) for text in (what.categories if sideways else (str(what.top),))) + font.size * 0.6


def _legend_width(what: ChartData, font: Letters) -> float:
    return sum(font.width(series.name) + 2.5 * font.size for series in what.series) if len(what.series) > 1 else 0


def _legend(page: Page, what: ChartData, style: ChartStyle, top: float) -> None:
    font, side = style.font, style.size * 0.8
    x = (page.size[0] - _legend_width(what, font)) / 2
    for series, colour in zip(what.series, style.colours, strict=False):
        y = top + font.height / 2
        page.bar((x, y - side / 2, x + side, y + side / 2), colour)
        page.write(x + side * 1.5, y, series.name, font, style.theme.ink, "lm")
        x += font.width(series.name) + 2.5 * style.size


def value_axis(page: Page, what: ChartData, style: ChartStyle, plot: Rect, sideways: bool = False) -> None:
    """Marks with numbers, and lines across the plot; values grow upwards, or to the right."""
    left, top, right, bottom = plot
    theme, faint = style.theme, mix(style.theme.ground, style.theme.ink, 0.16)
    room = (right - left if sideways else bottom - top) / (
        style.font.width(f"{what.top}0") if sideways else 1.2 * style.size
    )
    every = max(1, -(-what.top // what.step // max(1, min(10, int(room)))))
    for mark in range(0, what.top + 1, what.step * every):
        share = mark / what.top
        if sideways:
            x = left + share * (right - left)
            page.write(x, bottom + style.size * 0.3, str(mark), style.font, theme.muted, "ma")
            line = (x, top, x, bottom)
        else:
            y = bottom - share * (bottom - top)
            page.write(left - style.size * 0.5, y, str(mark), style.font, theme.muted, "rm")
            line = (left, y, right, y)
        if style.grid or mark == 0:
            page.rule(*line, theme.ink if mark == 0 else faint)
