"""Pictures to measure with: their content costs nothing, so it is drawn or noise."""

import io

import numpy as np
from PIL import Image, ImageDraw

TABLE_PICTURES = {
    "photo": (1280, 720),
    "screenshot": (1080, 2400),
    "page": (1654, 2339),
    "icon": (512, 512),
}
"""The pictures of the deployment table, width and height in px."""


def noise(size: tuple[int, int], seed: int) -> Image.Image:
    """A picture that nothing has seen."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1] // 8 + 1, size[0] // 8 + 1, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def drawn(size: tuple[int, int], seed: int) -> Image.Image:
    """A picture of boxes on a ground, as a screen or a page has them: its file is small and quick to open."""
    random = np.random.default_rng(seed)
    picture = Image.new("RGB", size, tuple(random.integers(160, 256, 3).tolist()))
    pen = ImageDraw.Draw(picture)
    for _ in range(40):
        left, top = random.integers(0, size).tolist()
        across, down = random.integers((8, 4), (size[0] // 3 + 9, size[1] // 12 + 5)).tolist()
        pen.rectangle((left, top, left + across, top + down), fill=tuple(random.integers(0, 256, 3).tolist()))
    return picture


def png(picture: Image.Image) -> bytes:
    """A picture's file."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
