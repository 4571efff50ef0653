"""Families exist, are free, are split whole, and have every letter that is printed with them."""

import random

import pytest
from fontTools.ttLib import TTFont

from magicvl.train.generator import names
from magicvl.train.generator.faces import (
    ALL_LATIN,
    FAMILIES,
    PLAIN,
    SIZES,
    TEST,
    TRAINING,
    VALIDATION,
    faces,
    licence,
    mate,
    pick_face,
    size_below,
)
from magicvl.train.generator.locales import LOCALES, SCRIPT_DIGITS

SPLIT = {"train": TRAINING, "validation": VALIDATION, "test": TEST}
EVERY = sorted({family for styles in SPLIT.values() for listed in styles.values() for family in listed.split()})


def families(styles: dict[str, str]) -> set[str]:
    return {family for listed in styles.values() for family in listed.split()}


def test_no_family_is_on_two_sides() -> None:
    sides = [families(dict(styles)) for styles in SPLIT.values()]
    assert sum(map(len, sides)) == len(set().union(*sides)) == len(EVERY) > 70
    assert FAMILIES["style"] == TEST


def test_every_family_may_be_used() -> None:
    assert {licence(family) for family in EVERY} <= {"OFL-1.1", "Apache-2.0"}


def test_every_letter_is_in_every_font() -> None:
    printed = set("".join(map(chr, range(33, 127))) + "".join(loc.money(0) + "".join(loc.months) for loc in LOCALES))
    for split in SPLIT:
        for first, last in names._people(split):
            printed |= set("".join(first + last))
        printed |= set("".join(names._towns(split)))
        for style in (*ALL_LATIN, "arabic", "devanagari"):
            letters = {ord(letter) for letter in SCRIPT_DIGITS.get(style, printed)} - {32, 160}
            # One file of each family: its cuts are drawn for the same letters.
            for path in {face.family: face.path for face in faces(split, style)}.values():
                with TTFont(path, lazy=True) as font:
                    missing = letters - set(font.getBestCmap())
                assert not missing, f"{path} lacks {''.join(map(chr, missing))}"


@pytest.mark.parametrize("split", ["train", "validation", "test", "style"])
def test_a_face_is_of_its_side_and_style(split: str) -> None:
    rng = random.Random(1)
    for _ in range(40):
        assert pick_face(rng, split, PLAIN).family in " ".join(FAMILIES[split][s] for s in PLAIN).split()


def test_weights_look_different() -> None:
    rng = random.Random(2)
    for _ in range(12):
        face = pick_face(rng, "train", ("sans",))
        thin, thick = mate(face, bold=False), mate(face, bold=True)
        if thin != thick:
            assert ink_of(thick) > 1.05 * ink_of(thin), face.family


def ink_of(face: object) -> float:
    from PIL import Image

    picture = Image.new("RGB", (400, 80))
    face.at(40).paint(picture, 10, 10, "Hamburgefonts", (255, 255, 255))
    return float(sum(value * count for value, count in enumerate(picture.convert("L").histogram())))


def test_sizes_are_few_and_legible() -> None:
    assert SIZES[0] == 13 and size_below(5) == 13
    assert size_below(17.9) == 16 and size_below(1000) == SIZES[-1]
