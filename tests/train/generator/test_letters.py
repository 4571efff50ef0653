"""Kept letters print what Pillow prints, and their boxes hold the ink."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageDraw, ImageFont

from magicvl.train.generator.faces import pick_face
from magicvl.train.generator.letters import Letters
from magicvl.train.generator.page import Page, shorten, wrap

WORDS = st.text("abcgjpqyÄMW019.,-", min_size=1, max_size=9)


def letters(seed: int, size: int = 24) -> Letters:
    return pick_face(random.Random(seed), "train").at(size)


@settings(max_examples=30, deadline=None)
@given(WORDS, st.integers(0, 20), st.sampled_from(["la", "lm", "ls", "ld", "ma", "mm", "ra", "rm", "rd"]))
def test_a_box_is_exactly_the_ink(text: str, seed: int, anchor: str) -> None:
    page = Page(400, 120, (255, 255, 255))
    box = page.write(200, 60, text, letters(seed), (0, 0, 0), anchor)
    ink = ImageChops.invert(page.picture.convert("L")).getbbox()
    assert ink == (box.left, box.top, box.right, box.bottom)
    assert (box.label, box.kind) == (text, "text")


def test_letters_are_pillows_own() -> None:
    path = pick_face(random.Random(1), "train", ("sans",)).path
    font = ImageFont.truetype(path, 28, layout_engine=ImageFont.Layout.BASIC)
    ours, theirs = (Image.new("RGB", (300, 50)) for _ in range(2))
    Letters(font).paint(ours, 5, 4, "Handgloves 1234", (255, 255, 255))
    ImageDraw.Draw(theirs).text((5, 4), "Handgloves 1234", font=font, fill=(255, 255, 255))
    difference = ImageChops.difference(ours, theirs).convert("L").histogram()
    # Pillow moves letters of fonts with a kern table; these have none.
    assert sum(difference[64:]) < 20


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text("abcdefgh", min_size=1, max_size=12), min_size=1, max_size=30), st.integers(10, 500))
def test_wrapping_loses_nothing_and_fits(words: list[str], width: int) -> None:
    font = letters(0, 13)
    lines = wrap(" ".join(words), font, width)
    assert " ".join(lines).split() == words
    assert all(font.width(line) <= width + 0.01 or " " not in line for line in lines)
    assert shorten(" ".join(words), font, width) == lines[0]


def test_space_has_no_ink() -> None:
    font = letters(3)
    assert font.ink(" ") == (0, 0, 0, 0) and font.width(" ") > 0
    assert font.height == font.ascent + font.descent


@pytest.mark.parametrize("anchor, at", [("la", 0), ("ma", 0.5), ("ra", 1)])
def test_anchors_move_the_line(anchor: str, at: float) -> None:
    font, page = letters(4), Page(300, 60, (0, 0, 0))
    box = page.write(150, 10, "mmmm", font, (255, 255, 255), anchor)
    assert abs(box.left - (150 - at * font.width("mmmm"))) < 4
