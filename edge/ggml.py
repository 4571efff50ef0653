"""The few functions of ggml itself that llama-cpp-python does not name.

libllama depends on ggml, so a symbol asked of libllama is found in whichever ggml it was loaded with.
"""

import ctypes
from functools import cache
from typing import Any

from magicvl.errors import EngineError

_FUNCTIONS: dict[str, tuple[list[Any], Any]] = {
    "ggml_get_type_traits": ([ctypes.c_int], ctypes.c_void_p),
    "ggml_get_name": ([ctypes.c_void_p], ctypes.c_char_p),
    "ggml_op_desc": ([ctypes.c_void_p], ctypes.c_char_p),
    "ggml_nbytes": ([ctypes.c_void_p], ctypes.c_size_t),
    "ggml_nelements": ([ctypes.c_void_p], ctypes.c_int64),
    "ggml_backend_tensor_get": ([ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t], None),
}


@cache
def ggml() -> Any:
    """The library, its functions typed. Raises EngineError where the runtime lacks one of them."""
    # Loading it through the engine's own module keeps its environment and its silence.
    from magicvl.edge.llama import LIBRARY

    for name, (arguments, result) in _FUNCTIONS.items():
        try:
            function = getattr(LIBRARY, name)
        except AttributeError:
            raise EngineError(f"this llama.cpp exports no {name}; install the pinned llama-cpp-python") from None
        function.argtypes, function.restype = arguments, result
    return LIBRARY
