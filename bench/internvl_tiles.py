"""How InternVL's authors cut a picture: whole tiles in the grid nearest to its shape, and a thumbnail.

`dynamic_preprocess` of the published model code. Stock llama.cpp takes the same grids, but picks among them by
LLaVA-NeXT's rule, the most pixels kept.
"""

from PIL import Image

from magicvl.edge.reference_sizes import lfm2_grid


def internvl_tiles(picture: Image.Image, tile: int, most: int) -> list[Image.Image]:
    """The tiles row by row, at most `most`, and last the thumbnail where there are several."""
    # LFM2-VL took its rule from InternVL.
    columns, rows = lfm2_grid(*picture.size, tile, 1, most)
    whole = picture.resize((columns * tile, rows * tile), Image.Resampling.BICUBIC)
    tiles = [
        whole.crop((column * tile, row * tile, (column + 1) * tile, (row + 1) * tile))
        for row in range(rows)
        for column in range(columns)
    ]
    if len(tiles) > 1:
        tiles.append(picture.resize((tile, tile), Image.Resampling.BICUBIC))
    return tiles
