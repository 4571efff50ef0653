"""What all screens share: sizes, faces, the status bar at the top, the title below it."""

import random
from dataclasses import dataclass

from magicvl.train.generator.asking import ask
from magicvl.train.generator.dataset import Split
from magicvl.train.generator.distort import SCREEN, Shot, shoot
from magicvl.train.generator.faces import Face, mate, pick_face
from magicvl.train.generator.letters import Letters
from magicvl.train.generator.page import Page
from magicvl.train.generator.themes import Rgb, Theme, mix, pick_theme, shade
from magicvl.train.samples.sample import Box, Turn

_TIME = ("What time is it?", "What time does the phone show?", "Read the time in the status bar.")
_BATTERY = ("How full is the battery?", "What is the battery level?", "What percentage is the battery at?")
_TITLE = ("What is the title of the screen?", "Which screen is this? Read its title.", "What does the title bar say?")
COUNTABLE = 15
"""Most things that anyone is asked to count."""


@dataclass(frozen=True)
class Look:
    """How one phone draws its screens."""

    width: int
    height: int
    """Of one screen, in px."""
    theme: Theme
    plain: Face
    strong: Face
    rounded: float
    """Radius of corners in points."""
    clock: str
    battery: int
    """Percent."""
    centred: bool
    """Whether clock and title stand in the middle; such screens are kept for testing."""

    @property
    def unit(self) -> float:
        """Px of one point: a phone is 360 points wide."""
        return self.width / 360

    def font(self, points: float = 14) -> Letters:
        """Running text; at least as large as can be read."""
        return self.plain.at(points * self.unit)

    def bold(self, points: float = 14) -> Letters:
        """Titles and names."""
        return self.strong.at(points * self.unit)

    def px(self, points: float) -> float:
        """Points in px; rows keep the height that the smallest print needs."""
        return points * max(self.unit, 0.85)


def pick_look(rng: random.Random, split: Split) -> Look:
    """Some phone: 240 to 420 px wide, 16:9 to 20:9, light or dark."""
    width = rng.choice((240, 272, 300, 320, 360, 360, 400, 420))
    face = pick_face(rng, split, ("sans", "sans", "sans", "serif"), bold=False)
    plain = mate(face, bold=False)
    clock = f"{rng.randrange(24):02d}:{rng.randrange(60):02d}"
    if rng.random() < 0.4:
        clock = f"{rng.randint(1, 12)}:{rng.randrange(60):02d}"
    height = round(width * rng.uniform(16, 20) / 9)
    rounded = rng.choice((2, 6, 10, 14))
    centred = split != "train" and rng.random() < 0.5
    strong = mate(face, bold=True)
    return Look(width, height, pick_theme(rng, 0.4), plain, strong, rounded, clock, rng.randint(1, 100), centred)


def blank(look: Look, height: int | None = None) -> Page:
    """An empty screen, or a taller one."""
    return Page(look.width, height or look.height, look.theme.ground)


def status_bar(page: Page, look: Look, ground: Rgb | None = None) -> float:
    """Time on the left, battery on the right; returns where it ends, in px."""
    height, theme = look.px(26), look.theme
    page.bar((0, 0, look.width, height), ground or theme.ground)
    middle, font = height / 2, look.bold(12)
    if look.centred:
        page.write(look.width * 0.45, middle, look.clock, font, theme.ink, "mm")
    else:
        page.write(look.px(12), middle, look.clock, font, theme.ink, "lm")
    left = look.width - look.px(40)
    battery = (left, middle - look.px(5), left + look.px(24), middle + look.px(5))
    page.bar(battery, theme.surface, 2, theme.ink)
    page.bar((left + 2, battery[1] + 2, left + 2 + (look.px(24) - 4) * look.battery / 100, battery[3] - 2), theme.ink)
    page.mark("battery", battery)
    page.write(left - look.px(4), middle, f"{look.battery}%", look.font(12), theme.ink, "rm")
    _signal(page, look, left - look.px(58), middle)
    return height


def _signal(page: Page, look: Look, left: float, middle: float) -> None:
    for step in range(4):
        x = left + step * look.px(4)
        page.bar((x, middle + look.px(5 - 2.5 * (step + 1)), x + look.px(2.5), middle + look.px(5)), look.theme.ink)


def title_bar(page: Page, look: Look, top: float, title: str, back: bool = True) -> float:
    """An arrow and the title; returns where it ends, in px."""
    height, theme = look.px(44), look.theme
    page.bar((0, top, look.width, top + height), theme.surface)
    x, middle = look.px(16), top + height / 2
    if back:
        arm = look.px(6)
        page.rule(x + arm, middle - arm, x, middle, theme.ink, 2)
        page.rule(x, middle, x + arm, middle + arm, theme.ink, 2)
        page.mark("back arrow", (x - arm, middle - 1.5 * arm, x + 2 * arm, middle + 1.5 * arm))
        x += look.px(26)
    if look.centred:
        page.write(look.width / 2, middle, title, look.bold(18), theme.ink, "mm")
    else:
        page.write(x, middle, title, look.bold(18), theme.ink, "lm")
    return top + height


def button(page: Page, look: Look, rect: tuple[float, float, float, float], label: str, filled: bool = True) -> Box:
    """A button with its label in the middle; its box is called after it."""
    theme = look.theme
    fill, ink = (theme.accent, theme.on_accent) if filled else (theme.surface, theme.ink)
    page.bar(rect, fill, look.px(look.rounded), None if filled else theme.line)
    page.write((rect[0] + rect[2]) / 2, (rect[1] + rect[3]) / 2, label, look.bold(14), ink, "mm")
    return page.mark(f"button {label}", rect)


def toggle(page: Page, look: Look, right: float, middle: float, on: bool) -> tuple[float, float, float, float]:
    """A switch with its right end and its middle there; a knob on the right and the accent say that it is on."""
    theme, width, height = look.theme, look.px(36), look.px(20)
    rect = (right - width, middle - height / 2, right, middle + height / 2)
    track = theme.accent if on else mix(theme.ground, theme.ink, 0.35)
    page.bar(rect, track, height / 2)
    knob = right - height + 2 if on else right - width + 2
    page.pen.ellipse((knob, rect[1] + 2, knob + height - 4, rect[3] - 2), fill=(255, 255, 255))
    return rect


def avatar(rng: random.Random, page: Page, look: Look, left: float, top: float, side: float, name: str) -> None:
    """A coloured disc with the first letter, which is no line of print."""
    colour = shade(rng.random(), 0.5, 0.4)
    page.pen.ellipse((left, top, left + side, top + side), fill=colour)
    look.bold(14).paint(page.picture, left + side / 2, top + side / 2, name[0], (255, 255, 255), "mm")
    page.mark(f"picture of {name}", (left, top, left + side, top + side))


def common_turns(rng: random.Random, look: Look, title: str | None = None) -> list[Turn]:
    """What can be asked of every screen with a status bar."""
    turns = [
        ask(rng, _TIME, look.clock, task="clock"),
        ask(rng, _BATTERY, f"{look.battery}%", task="battery", others=[str(look.battery)]),
    ]
    return turns if title is None else [*turns, ask(rng, _TITLE, title, "anls", "title")]


def found(shot: Shot, label: str) -> Box:
    """The first box with that label, where it is now."""
    return next(box for box in shot.boxes if box.label == label)


def screenshot(rng: random.Random, page: Page) -> Shot:
    """The finished screen."""
    return shoot(rng, page, SCREEN)
