"""Where the drawings lie: a folder of the user's data, or the one that MAGICVL_ASSETS names."""

import os
from pathlib import Path

from magicvl.edge.files import user_folder
from magicvl.errors import UsageError

VARIABLE = "MAGICVL_ASSETS"
_BASE = "XDG_DATA_HOME"
VARIABLES = (VARIABLE, _BASE, "HOME")
"""What decides where it is."""


def assets_folder() -> Path:
    """The folder. Raises UsageError for a user without a home."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen)
    try:
        return user_folder(_BASE, ".local/share") / "assets"
    except RuntimeError:
        raise UsageError(f"there is no home folder to keep drawings in; name one with {VARIABLE}") from None


def pack_file() -> Path:
    """The pack in it, whether or not it is there."""
    return assets_folder() / "drawings.zip"
