"""Pictures to measure with that are quick to open; noise comes from magicvl.edge.noise."""

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
