"""Colour schemes, light and dark, in which every print can be read."""

import colorsys
import random
from dataclasses import dataclass

Rgb = tuple[int, int, int]
WHITE: Rgb = (255, 255, 255)
BLACK: Rgb = (16, 16, 18)
READABLE = 4.5
"""Least contrast between print and its ground (WCAG 2.1, level AA)."""


@dataclass(frozen=True)
class Theme:
    """The colours of one document or screen."""

    ground: Rgb
    surface: Rgb
    """Cards, bars and fields that stand out from the ground a little."""
    ink: Rgb
    muted: Rgb
    """What is said beside: hints, times."""
    accent: Rgb
    """Buttons and headings."""
    on_accent: Rgb
    line: Rgb
    """Rules and frames."""
    dark: bool


def contrast(first: Rgb, second: Rgb) -> float:
    """From 1 (the same) to 21 (black on white), as WCAG 2.1 has it."""
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Rgb) -> float:
    red, green, blue = ((c / 255 / 12.92) if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def mix(first: Rgb, second: Rgb, share: float) -> Rgb:
    """The first colour with that share of the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def shade(hue: float, saturation: float, lightness: float) -> Rgb:
    """A colour by its hue, saturation and lightness, each from 0 to 1."""
    red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb(hue, lightness, saturation))
    return red, green, blue


def print_colour(ground: Rgb) -> Rgb:
    """Black or white, whichever is read better on that ground."""
    return max(WHITE, BLACK, key=lambda ink: contrast(ink, ground))


def readable(colour: Rgb, ground: Rgb, least: float = READABLE) -> Rgb:
    """The colour, moved towards black or white until it can be read on the ground."""
    target = print_colour(ground)
    for step in range(11):
        moved = mix(colour, target, step / 10)
        if contrast(moved, ground) >= least:
            return moved
    return target


def pick_theme(rng: random.Random, dark_share: float = 0.35) -> Theme:
    """Some scheme of one hue."""
    hue, dark = rng.random(), rng.random() < dark_share
    tint = rng.uniform(0, 0.35) if rng.random() < 0.6 else 0.0
    if dark:
        ground = shade(hue, tint, rng.uniform(0.03, 0.16))
        surface, ink = mix(ground, WHITE, rng.uniform(0.05, 0.12)), shade(hue, tint, rng.uniform(0.88, 1.0))
    else:
        ground = shade(hue, tint, rng.uniform(0.92, 1.0))
        surface, ink = (
            mix(ground, rng.choice((WHITE, BLACK)), rng.uniform(0.03, 0.08)),
            shade(hue, tint, rng.uniform(0, 0.18)),
        )
    accent = shade((hue + rng.choice((0, 0, 0.3, 0.5))) % 1, rng.uniform(0.5, 0.95), rng.uniform(0.35, 0.6))
    on_accent = print_colour(accent)
    worse = min((ground, surface), key=lambda one: contrast(mix(ink, ground, 0.35), one))
    muted = readable(mix(ink, ground, 0.35), worse)
    return Theme(ground, surface, ink, muted, accent, on_accent, mix(ground, ink, 0.2), dark)


def ink_on(rng: random.Random, ground: Rgb, least: float = READABLE) -> Rgb:
    """A colour for print on that ground: often dark or light, now and then bright."""
    if rng.random() < 0.5:
        return mix(print_colour(ground), ground, rng.uniform(0, 0.15))
    return readable(shade(rng.random(), rng.uniform(0.5, 1), rng.uniform(0.25, 0.7)), ground, least)
