"""MagicVL on llama.cpp: ask pictures questions, on your own machine.

    import magicvl

    vl = magicvl.load()
    print(vl.ask("receipt.png", "What is the total?"))

Importing this package loads neither NumPy nor native code; `load` does.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from magicvl.errors import (
    BundleError,
    CheckpointError,
    EngineError,
    MagicVLError,
    PictureError,
    UsageError,
)

if TYPE_CHECKING:
    from magicvl.edge.engine import Engine

    __version__: str

__all__ = [
    "DEFAULT_BUNDLE",
    "BundleError",
    "CheckpointError",
    "EngineError",
    "MagicVLError",
    "PictureError",
    "UsageError",
    "__version__",
    "load",
]

DEFAULT_BUNDLE = Path(__file__).parent / "models" / "magicvl-nano"
"""The bundle that comes along with the package."""


def load(
    bundle: str | os.PathLike[str] | None = None,
    *,
    threads: int | None = None,
    context: int | None = None,
    sequences: int = 1,
    cache: str | os.PathLike[str] | None = None,
    cache_bytes: int | None = None,
    runtime: str = "auto",
) -> "Engine":
    """Loads a bundle, by default the one that comes along; see `magicvl.edge.engine.Engine`.

    Raises BundleError where the bundle is missing, damaged or mismatched, EngineError where nothing here can run it,
    UsageError.
    """
    from magicvl.edge.engine import Engine

    return Engine(
        DEFAULT_BUNDLE if bundle is None else bundle,
        threads=threads,
        context=context,
        sequences=sequences,
        cache=cache,
        cache_bytes=cache_bytes,
        runtime=runtime,
    )


def __getattr__(name: str) -> str:
    # importlib.metadata takes longer to import than all of the above.
    if name == "__version__":
        from importlib.metadata import version

        return version("magicvl")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
