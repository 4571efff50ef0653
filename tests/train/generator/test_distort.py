"""Boxes go with what they are around, whatever the camera does."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from magicvl.train.generator.distort import (
    PAPER,
    PHOTO,
    SCREEN,
    Camera,
    Shot,
    photographed,
    project,
    projection,
    shoot,
    warped,
)
from magicvl.train.generator.page import Page
from magicvl.train.samples.sample import Box

RED = (250, 20, 20)
STILL = Camera(light=0, blur=0, noise=0, jpeg=0)
QUADS = st.tuples(*[st.floats(-15, 15)] * 8)


def red_box(picture: Image.Image) -> tuple[float, float, float, float]:
    """Where red is."""
    pixels = np.asarray(picture).astype(int)
    red = pixels[..., 0] - pixels[..., 1:].max(-1) > 50
    rows, columns = np.flatnonzero(red.any(1)), np.flatnonzero(red.any(0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def page_with_a_box(rng: random.Random) -> Page:
    page = Page(240, 160, (230, 230, 230))
    left, top = rng.randint(10, 120), rng.randint(10, 90)
    rect = (left, top, left + rng.randint(20, 90), top + rng.randint(15, 50))
    page.bar(rect, RED)
    page.mark("red", rect)
    return page


def assert_around(box: Box, picture: Image.Image, slack: float) -> None:
    found = red_box(picture)
    sides = (box.left, box.top, box.right, box.bottom)
    assert all(abs(a - b) <= slack for a, b in zip(found, sides, strict=True)), (found, sides)


@pytest.mark.parametrize("seed", range(12))
def test_a_photographed_box_is_where_it_is_seen(seed: int) -> None:
    rng = random.Random(seed)
    page = page_with_a_box(rng)
    shot = photographed(rng, Shot(page.picture, tuple(page.boxes)), (90, 90, 90))
    assert_around(shot.boxes[0], shot.picture, 2)


@settings(max_examples=15, deadline=None)
@given(QUADS, st.integers(0, 1000))
def test_any_perspective_moves_boxes_along(moves: tuple[float, ...], seed: int) -> None:
    page = page_with_a_box(random.Random(seed))
    corners = [(30, 30), (270, 30), (270, 190), (30, 190)]
    quad = tuple((x + moves[2 * at], y + moves[2 * at + 1]) for at, (x, y) in enumerate(corners))
    shot = warped(Shot(page.picture, tuple(page.boxes)), quad, (300, 220), (0, 0, 0))
    assert_around(shot.boxes[0], shot.picture, 2)


@settings(max_examples=30, deadline=None)
@given(QUADS)
def test_corners_go_to_corners(moves: tuple[float, ...]) -> None:
    quad = tuple(
        (x + moves[2 * at], y + moves[2 * at + 1]) for at, (x, y) in enumerate([(0, 0), (200, 0), (200, 100), (0, 100)])
    )
    matrix = projection((200, 100), quad)
    for (x, y), there in zip(((0, 0), (200, 0), (200, 100), (0, 100)), quad, strict=True):
        seen = matrix @ (x, y, 1)
        assert np.allclose(seen[:2] / seen[2], there, atol=1e-6)


def test_a_box_beside_the_picture_is_cut() -> None:
    shifted = projection((100, 100), ((-50, 0), (50, 0), (50, 100), (-50, 100)))
    box = project(Box("x", 10, 10, 90, 90), shifted, (100, 100))
    assert (box.left, box.right) == (0, 40)


def test_a_still_camera_changes_nothing() -> None:
    page = page_with_a_box(random.Random(1))
    shot = shoot(random.Random(2), page, STILL)
    assert shot.picture.tobytes() == page.picture.tobytes()
    assert shot.boxes == tuple(page.boxes)


@pytest.mark.parametrize("kind", ["light", "blur", "noise", "jpeg", "photograph"])
def test_each_change_shows_and_hides_nothing(kind: str) -> None:
    page = page_with_a_box(random.Random(3))
    off = {"light": 0.0, "blur": 0.0, "noise": 0.0, "jpeg": 0.0, "photograph": 0.0}
    shot = shoot(random.Random(4), page, Camera(**(off | {kind: 1.0})))
    assert shot.picture.tobytes() != page.picture.tobytes() and shot.picture.mode == "RGB"
    assert_around(shot.boxes[0], shot.picture, 3)


@pytest.mark.parametrize("camera", [PAPER, SCREEN, PHOTO])
def test_the_same_seed_gives_the_same_picture(camera: Camera) -> None:
    shots = [shoot(random.Random(5), page_with_a_box(random.Random(6)), camera) for _ in range(2)]
    assert shots[0].picture.tobytes() == shots[1].picture.tobytes() and shots[0].boxes == shots[1].boxes


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_everything_stays_in_the_picture(seed: int) -> None:
    rng = random.Random(seed)
    page = Page(rng.randint(64, 500), rng.randint(32, 500), (200, 200, 200))
    page.mark("all", (0, 0, *page.size))
    whole = Shot(page.picture, tuple(page.boxes))
    matrix_box = photographed(rng, whole).boxes[0]
    width, height = (matrix_box.right - matrix_box.left), (matrix_box.bottom - matrix_box.top)
    assert width > 0.85 * page.size[0] and height > 0.85 * page.size[1]
