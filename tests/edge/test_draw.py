"""The painted plan: borders where tiles meet, visible on any ground, written whole or not at all."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magicvl.edge.draw import draw_plan, save_png
from magicvl.edge.plan import Grid, plan
from magicvl.errors import MagicVLError, UsageError


@pytest.mark.parametrize("ground", [(0, 0, 0), (255, 255, 255), (128, 128, 128), (255, 0, 0)])
def test_borders_and_grid_stand_out_on_any_ground(ground: tuple[int, int, int]) -> None:
    made = plan(500, 420, Grid())
    drawn = np.asarray(draw_plan(Image.new("RGB", (500, 420), ground), made, Grid())).astype(int)
    assert drawn.shape == (made.resized[1], made.resized[0], 3)
    contrast = np.abs(drawn - ground).max(axis=2)
    for left, top, right, bottom in made.tile_boxes:
        border = contrast[top + 1 : bottom - 1, left : left + 3]
        assert (border.max(axis=1) > 100).all()
        assert (contrast[top : top + 3, left + 1 : right - 1].max(axis=0) > 100).all()
    # A line of the token grid inside the first tile, and bare ground beside it.
    assert (contrast[300:318, 351:353].max(axis=1) > 40).all()
    assert (contrast[300:318, 360:375] == 0).all()


def test_each_tile_carries_a_number() -> None:
    made = plan(800, 384, Grid())
    drawn = np.asarray(draw_plan(Image.new("RGB", (800, 384), "white"), made, Grid())).astype(int)
    corners = [drawn[4:60, left + 4 : left + 28] for left, _, _, _ in made.tile_boxes[:2]]
    assert np.abs(corners[0] - corners[1]).max() > 100


def test_the_file_is_a_png_and_needs_force_to_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "drawn.png"
    picture = Image.new("RGB", (32, 32), "red")
    save_png(picture, path)
    with pytest.raises(UsageError, match="--force"):
        save_png(Image.new("RGB", (32, 32), "blue"), path)
    with Image.open(path) as found:
        assert found.format == "PNG" and found.getpixel((0, 0)) == (255, 0, 0)
    save_png(Image.new("RGB", (32, 32), "blue"), path, force=True)
    with Image.open(path) as found:
        assert found.getpixel((0, 0)) == (0, 0, 255)
    assert [each.name for each in tmp_path.iterdir()] == ["drawn.png"]


def test_another_ending_and_a_missing_directory_are_refused(tmp_path: Path) -> None:
    picture = Image.new("RGB", (32, 32))
    with pytest.raises(UsageError, match=r"ends in \.png"):
        save_png(picture, tmp_path / "drawn.jpg")
    with pytest.raises(MagicVLError, match="cannot be written"):
        save_png(picture, tmp_path / "nowhere" / "drawn.png")


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "drawn.png"
    path.write_bytes(b"old")

    def fail(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(MagicVLError, match="No space left"):
        save_png(Image.new("RGB", (32, 32)), path, force=True)
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["drawn.png"]
