from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from magicvl.train.assets.drawings import colour_of, draw, fingerprint, mean_colour, style_of
from magicvl.train.assets.sources import Found
from magicvl.train.nano.scenes import COLOURS


def found(file: Path) -> Found:
    return Found("openclipart", file.stem, file, (file.stem,))


def two_coloured(path: Path, size: tuple[int, int], box: tuple[int, int, int, int]) -> Path:
    picture = Image.new("RGBA", size)
    pen = ImageDraw.Draw(picture)
    pen.rectangle(box, fill="red")
    pen.rectangle((*box[:2], (box[0] + box[2]) // 2, box[3]), fill="navy")
    picture.save(path)
    return path


def test_is_cropped_and_at_most_192_px(tmp_path: Path) -> None:
    sprite = draw(found(two_coloured(tmp_path / "a.png", (900, 700), (100, 200, 699, 499))))
    assert sprite is not None
    assert (sprite.mode, sprite.size) == ("RGBA", (192, 96))


def test_a_page_in_points_without_a_view_box_is_drawn(tmp_path: Path) -> None:
    file = tmp_path / "a.svg"
    file.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="90pt" height="60pt"><rect width="40" height="20" fill="red"/>'
        '<rect x="40" width="40" height="20" fill="blue"/></svg>'
    )
    sprite = draw(found(file))
    assert sprite is not None
    assert sprite.width / sprite.height == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize("text", ["", "<svg", "<svg xmlns='http://www.w3.org/2000/svg' width='0' height='0'/>"])
def test_a_bad_drawing_is_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.svg"
    file.write_text(text)
    assert draw(found(file)) is None


def test_nothing_to_be_seen_is_none(tmp_path: Path) -> None:
    Image.new("RGBA", (90, 90)).save(tmp_path / "clear.png")
    assert draw(found(tmp_path / "clear.png")) is None
    assert draw(found(two_coloured(tmp_path / "dot.png", (90, 90), (4, 4, 9, 9)))) is None


def test_the_white_ground_of_a_jpeg_is_taken_away_yet_not_white_inside(tmp_path: Path) -> None:
    picture = Image.new("RGB", (200, 200), "white")
    pen = ImageDraw.Draw(picture)
    pen.ellipse((40, 40, 160, 160), fill="red")
    pen.ellipse((80, 80, 120, 120), fill="white")
    picture.save(tmp_path / "a.jpg", quality=95)
    sprite = draw(found(tmp_path / "a.jpg"))
    assert sprite is not None
    alpha = np.asarray(sprite)[..., 3]
    assert alpha[0, 0] == 0
    assert alpha[alpha.shape[0] // 2, alpha.shape[1] // 2] == 255
    assert max(sprite.size) == pytest.approx(121, abs=3)


@pytest.mark.parametrize("name", COLOURS)
def test_every_colour_is_known_by_its_own(name: str) -> None:
    assert colour_of(Image.new("RGBA", (40, 40), (*COLOURS[name], 255))) == name


def test_two_colours_are_none(tmp_path: Path) -> None:
    sprite = draw(found(two_coloured(tmp_path / "a.png", (100, 100), (0, 0, 99, 99))))
    assert sprite is not None
    assert colour_of(sprite) is None
    assert mean_colour(sprite) == pytest.approx((128, 0, 64), abs=4)


def test_photographs_are_told_from_drawings(tmp_path: Path) -> None:
    drawn = found(two_coloured(tmp_path / "a.png", (100, 100), (0, 0, 99, 99)))
    sprite = draw(drawn)
    assert sprite is not None
    assert style_of(drawn, sprite) == "drawing"
    grain = np.random.default_rng(1).integers(0, 256, (100, 100, 4)).astype(np.uint8)
    grain[..., 3] = 255
    assert style_of(drawn, Image.fromarray(grain)) == "photo"


def test_a_smaller_copy_has_nearly_the_same_fingerprint(tmp_path: Path) -> None:
    one = draw(found(two_coloured(tmp_path / "a.png", (400, 300), (100, 50, 300, 250))))
    other = draw(found(two_coloured(tmp_path / "b.png", (200, 150), (50, 25, 150, 125))))
    assert one is not None and other is not None
    assert (fingerprint(one) != fingerprint(other)).sum() <= 6
