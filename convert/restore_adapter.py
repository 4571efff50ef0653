"""The way back of a caption adapter: from caption.gguf to a directory of PEFT's, which training goes on with."""

import json
from collections.abc import Iterator
from pathlib import Path

from magicvl.convert.adapter import CONFIG, PREFIX, TENSORS
from magicvl.convert.decoder import Decoder, decoder_sizes, decoder_tensors
from magicvl.convert.progress import Steps
from magicvl.convert.restored_tensors import Part, write_safetensors
from magicvl.edge.gguf_check import GgufFile
from magicvl.errors import BundleError
from magicvl.mmproj.contract import Layout, Tensor

CAPTION_ADAPTER = "caption_adapter"
"""The directory in a restored checkpoint."""


def restore_adapter(lora: GgufFile, decoder: Decoder, folder: Path, steps: Steps) -> None:
    """Writes the LoRA that `lora` holds into a new folder, factors in F32.

    Raises BundleError for tensors that are no part of it.
    """
    pairs = [tensor for tensor in decoder_tensors(decoder) if f"{tensor.target}.lora_a" in lora.tensors]
    halves = [half for tensor in pairs for half in _halves(tensor, lora)]
    if odd := sorted(set(lora.tensors) ^ {half.target for half in halves}):
        raise BundleError(f"{lora.path}: tensors that are no pair of its decoder's: {', '.join(odd)}")
    alpha = lora.metadata.get("adapter.lora.alpha")
    ranks = {lora.tensors[f"{tensor.target}.lora_a"].shape[1] for tensor in pairs}
    if not isinstance(alpha, float) or len(ranks) != 1:
        raise BundleError(f"{lora.path}: alpha {alpha!r}, ranks {sorted(ranks)}; a number and one rank are due")
    folder.mkdir()
    config = {
        "peft_type": "LORA",
        "r": ranks.pop(),
        "lora_alpha": alpha,
        # Whole names: an encoder may have layers that end alike.
        "target_modules": [_module(tensor) for tensor in pairs],
        "bias": "none",
        "inference_mode": True,
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=1), encoding="utf-8")
    parts = [Part(lora, half, decoder_sizes(decoder)) for half in halves]
    steps.begin(TENSORS, len(parts), sum(part.size for part in parts))
    write_safetensors(folder / TENSORS, parts, steps)


def _halves(tensor: Tensor, lora: GgufFile) -> Iterator[Tensor]:
    """A (rank, in) and B (out, rank), whose rows lie as the matrix's own."""
    out, into = tensor.shape
    rank = lora.tensors[f"{tensor.target}.lora_a"].shape[1]
    for letter, shape, layout in (("a", (rank, into), Layout.SAME), ("b", (out, rank), tensor.layout)):
        yield Tensor(
            f"{PREFIX}{_module(tensor)}.lora_{letter.upper()}.weight", f"{tensor.target}.lora_{letter}", shape, layout
        )


def _module(tensor: Tensor) -> str:
    return tensor.source.removesuffix(".weight")
