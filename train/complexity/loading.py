"""Loading a model of transformers: where to, how wide, and what may go wrong. Needs torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers.utils import logging

from magicvl.errors import CheckpointError

_ERRORS = (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError)


@contextmanager
def loading(path: Path, what: str) -> Iterator[None]:
    """Around from_pretrained: it shows no bar, and for what is not `what` raises a CheckpointError of one line."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    except _ERRORS as error:
        said = " ".join(str(error).split())
        raise CheckpointError(f"{path}: it cannot be loaded as {what} ({said})") from None
    finally:
        if shown:
            logging.enable_progress_bar()


def device() -> torch.device:
    """What computes: the first GPU, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def number_type() -> torch.dtype | str:
    """Weights are widened on a CPU, where narrow ones are slow, and stay as they are stored on a GPU."""
    return "auto" if device().type == "cuda" else torch.float32
