"""Looking on while the encoder computes: what its graph calls `pos_embed`, `layer_out-0`, ..., and its patches.

libmtmd hands every node of the graph to a callback, first to ask whether it is wanted, then with its numbers. The
patches are the node that the convolution unfolds the picture into (IM2COL): the pixels as the encoder gets them,
normalised, whatever was done to the picture on the way.
"""

import ctypes
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from magicvl.edge.ggml import ggml

Floats = npt.NDArray[np.float32]

PATCHES = "patches"
"""The name that the unfolded picture gets here: (patches, 3 * patch * patch), channel slowest."""
_UNFOLD = b"IM2COL"
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_bool, ctypes.c_void_p)


class Watch:
    """Keeps the wanted nodes of the last tile, each as float32 (rows, width); made once for an encoder."""

    def __init__(self, names: Iterable[str], width: int, pixels: int) -> None:
        """`width` is the encoder's, `pixels` the numbers of one patch."""
        self.found: dict[str, Floats] = {}
        self._wanted = {name.encode(): width for name in names}
        self._pixels = pixels
        self._library = ggml()
        self.callback = _CALLBACK(self._see)

    def clear(self) -> None:
        """Forgets what was seen."""
        self.found = {}

    def _see(self, tensor: int, ask: bool, _user_data: object) -> bool:
        """Whether a node is wanted; or takes its numbers, and true lets the graph go on."""
        name, width = self._name(tensor)
        if ask:
            return width > 0
        if width:
            # ctypes would print what is raised here; a node that is no such matrix is as if it were not there.
            with suppress(ValueError):
                self.found[name] = self._read(tensor, width)
        return True

    def _name(self, tensor: int) -> tuple[str, int]:
        if self._library.ggml_op_desc(tensor) == _UNFOLD:
            return PATCHES, self._pixels
        name: bytes = self._library.ggml_get_name(tensor)
        return name.decode("utf-8", "replace"), self._wanted.get(name, 0)

    def _read(self, tensor: int, width: int) -> Floats:
        count, size = self._library.ggml_nelements(tensor), self._library.ggml_nbytes(tensor)
        kind: Any = {2: np.float16, 4: np.float32}.get(size // count)
        if kind is None or size % count:
            raise ValueError(f"{size} bytes for {count} numbers")
        numbers = np.empty(count, dtype=kind)
        self._library.ggml_backend_tensor_get(tensor, numbers.ctypes.data_as(ctypes.c_void_p), 0, size)
        return numbers.astype(np.float32).reshape(-1, width)
