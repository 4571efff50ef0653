"""Pictures of every kind become the same upright RGB; broken ones become one line."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magicvl.edge import pixels
from magicvl.edge.pixels import check_header, cut, open_picture
from magicvl.edge.plan import Grid, plan
from magicvl.errors import PictureError


def encoded(picture: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.fixture
def corners() -> Image.Image:
    """20 x 10 px: red top left, green top right, blue bottom left, white bottom right."""
    picture = Image.new("RGB", (20, 10), "white")
    picture.paste("red", (0, 0, 10, 5))
    picture.paste("lime", (10, 0, 20, 5))
    picture.paste("blue", (0, 5, 10, 10))
    return picture


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_every_exif_orientation_comes_out_upright(corners: Image.Image, orientation: int, format: str) -> None:
    # The inverse of each orientation, so that a viewer who honours the tag sees `corners`.
    turn = Image.Transpose
    stored = {
        1: None,
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_90,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = corners if stored is None else corners.transpose(stored)
    options = {"lossless": True} if format == "WEBP" else {"quality": 100, "subsampling": 0} if format == "JPEG" else {}
    found = open_picture(encoded(picture, format, exif=exif.tobytes(), **options))
    assert found.size == (20, 10)
    difference = np.asarray(found).astype(int) - np.asarray(corners)
    assert np.abs(difference).max() <= (12 if format == "JPEG" else 0)


def test_alpha_is_flattened_on_white() -> None:
    picture = Image.new("RGBA", (3, 1))
    picture.putdata([(255, 0, 0, 255), (0, 0, 0, 0), (0, 0, 255, 128)])
    found = np.asarray(open_picture(encoded(picture, "PNG")))
    assert found.tolist()[0][:2] == [[255, 0, 0], [255, 255, 255]]
    assert np.abs(found[0, 2].astype(int) - (127, 127, 255)).max() <= 1


def test_a_palette_with_a_transparent_colour_is_flattened_on_white() -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putdata([0, 1])
    for transparency in (0, b"\x00\xff"):
        found = np.asarray(open_picture(encoded(picture, "PNG", transparency=transparency)))
        assert found.tolist() == [[[255, 255, 255], [200, 100, 50]]]
    assert np.asarray(open_picture(encoded(picture, "PNG"))).tolist() == [[[10, 20, 30], [200, 100, 50]]]


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 77, (77, 77, 77)),
        ("1", 1, (255, 255, 255)),
        ("LA", (0, 0), (255, 255, 255)),
        ("LA", (60, 255), (60, 60, 60)),
        ("RGB", (1, 2, 3), (1, 2, 3)),
        ("I;16", 0x4DFF, (0x4D, 0x4D, 0x4D)),
        ("I;16", 0xFFFF, (255, 255, 255)),
    ],
)
def test_grey_and_its_relatives(mode: str, colour: int | tuple[int, ...], expected: tuple[int, int, int]) -> None:
    if mode == "I;16":
        picture = Image.fromarray(np.full((2, 2), colour, np.uint16))
    else:
        picture = Image.new(mode, (2, 2), colour)
    for source in (picture, encoded(picture, "PNG")):
        found = open_picture(source)
        assert found.mode == "RGB"
        assert found.getpixel((1, 1)) == expected


def test_cmyk_jpeg_becomes_rgb() -> None:
    found = open_picture(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95))
    red, green, blue = found.getpixel((4, 4))
    assert found.mode == "RGB" and red > 240 and green < 15 and blue < 15


def test_the_first_frame_of_a_gif_is_read() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert open_picture(data).getpixel((0, 0)) == (255, 0, 0)


def test_paths_bytes_and_images_are_the_same_picture(corners: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    corners.save(path)
    for source in (path, str(path), path.read_bytes(), corners):
        assert np.array_equal(np.asarray(open_picture(source)), np.asarray(corners))


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims that size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_what_cannot_be_read_is_one_line_that_names_it(corners: Image.Image, tmp_path: Path) -> None:
    jpeg = encoded(Image.effect_noise((200, 200), 80).convert("RGB"), "JPEG")
    bad = {
        "text.png": (b"this is no picture\n", "not a picture"),
        "empty.png": (b"", "empty"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], "cut short"),
        "cut.png": (encoded(corners, "PNG")[:-30], "cut short"),
        "bomb.png": (bomb(100_000, 100_000), "134,217,728"),
        "bomb2.png": (bomb(12_000, 12_000), "134,217,728"),
        "picture.tif": (encoded(corners, "TIFF"), "JPEG, PNG"),
    }
    for name, (data, words) in bad.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(PictureError, match=words) as caught:
            open_picture(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_the_header_is_checked_alone(corners: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    path.write_bytes(encoded(corners, "PNG")[:-30])
    assert check_header(path) == (20, 10)
    path.write_bytes(bomb(100_000, 100_000))
    with pytest.raises(PictureError, match="134,217,728"):
        check_header(path)


def test_missing_files_and_directories_are_named(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="no such file"):
        open_picture(tmp_path / "nowhere.png")
    with pytest.raises(PictureError, match="directory"):
        open_picture(tmp_path)


@pytest.mark.parametrize(
    ("name", "words"), [("x" * 300, "File name too long"), ("a\0b", "null byte"), ("loop", "symbolic links")]
)
def test_names_that_no_file_can_have_are_one_line(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for read in (open_picture, check_header):
        with pytest.raises(PictureError, match=words) as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value) and "\0" not in str(caught.value)


def test_the_limit_counts_before_decoding(monkeypatch: pytest.MonkeyPatch, corners: Image.Image) -> None:
    monkeypatch.setattr(pixels, "MAX_PIXELS", 199)
    for source in (corners, encoded(corners, "PNG")):
        with pytest.raises(PictureError, match="20 x 10 px is more than the 199 px"):
            open_picture(source)


def test_a_picture_that_fits_the_grid_is_not_resampled() -> None:
    random = np.random.default_rng(0).integers(0, 256, (416, 800, 3), dtype=np.uint8)
    tiles = cut(Image.fromarray(random), plan(800, 416, Grid()))
    shapes = [(384, 384), (384, 384), (384, 32), (32, 384), (32, 384), (32, 32)]
    assert [tile.shape for tile in tiles] == [(*shape, 3) for shape in shapes]
    together = np.vstack([np.hstack(tiles[:3]), np.hstack(tiles[3:])])
    assert np.array_equal(together, random)
    assert all(tile.flags.c_contiguous and tile.dtype == np.uint8 for tile in tiles)


def test_resizing_is_pillows_antialiased_bilinear() -> None:
    picture = Image.effect_noise((500, 300), 100).convert("RGB")
    made = plan(500, 300, Grid(), 20)
    tiles = cut(picture, made)
    expected = np.asarray(picture.resize(made.resized, Image.Resampling.BILINEAR))
    assert len(tiles) == 1 and np.array_equal(tiles[0], expected)
    # Antialiasing averages the noise away; plain sampling of four neighbours would keep most of it.
    assert tiles[0].std() < 0.5 * np.asarray(picture).std()


def test_a_plan_of_another_picture_is_refused(corners: Image.Image) -> None:
    with pytest.raises(PictureError, match="does not belong"):
        cut(corners, plan(10, 20, Grid()))


def test_the_caller_keeps_the_image_unchanged(corners: Image.Image) -> None:
    before = corners.copy()
    open_picture(corners).paste("black", (0, 0, 5, 5))
    assert corners.tobytes() == before.tobytes()
