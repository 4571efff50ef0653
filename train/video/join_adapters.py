"""Several adapters of one model, trained one after the other, as a single one.

    W + s1 B1 A1 + s2 B2 A2  =  W + [s1 B1  s2 B2] [A1]
                                                   [A2]

So ranks add up, and nothing is lost but the rounding of s B.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from peft import LoraConfig
from safetensors.torch import save_file

from magicvl.convert.adapter import PREFIX, TENSORS, Adapter, Pair, open_adapter
from magicvl.errors import CheckpointError, UsageError


def join_adapters(folders: Sequence[Path], output: Path) -> Path:
    """Writes an adapter that does what all of these do together; returns its directory.

    Raises UsageError for fewer than two adapters or an `output` that is there, CheckpointError for what is no LoRA of
    linear layers, or for adapters of different models.
    """
    if len(folders) < 2:
        raise UsageError(f"{len(folders)} adapters to join; two at least are due")
    if output.exists():
        raise UsageError(f"{output} is there already; name another directory")
    adapters = [open_adapter(folder) for folder in folders]
    modules = sorted({pair.module for adapter in adapters for pair in adapter.pairs})
    joined = {module: _join(module, adapters) for module in modules}
    rank = max(len(down) for down, _ in joined.values())
    tensors = {}
    for module, (down, up) in joined.items():
        tensors[f"{PREFIX}{module}.lora_A.weight"] = _widened(down, rank, 0)
        tensors[f"{PREFIX}{module}.lora_B.weight"] = _widened(up, rank, 1)
    _write(tensors, LoraConfig(r=rank, lora_alpha=rank, target_modules=modules, lora_dropout=0.0, bias="none"), output)
    return output


def _join(module: str, adapters: Sequence[Adapter]) -> tuple[torch.Tensor, torch.Tensor]:
    """A (ranks together, in) and B (out, ranks together) of one matrix; the scales are in B."""
    pairs = [pair for adapter in adapters for pair in adapter.pairs if pair.module == module]
    if len(shapes := {pair.shape for pair in pairs}) > 1:
        raise CheckpointError(f"{module}: adapters of matrices of different shapes, {sorted(shapes)}; name one model's")
    factors = [_factors(pair) for pair in pairs]
    return torch.cat([down for down, _ in factors]), torch.cat([up for _, up in factors], dim=1)


def _factors(pair: Pair) -> tuple[torch.Tensor, torch.Tensor]:
    down, up = pair.factors()
    return torch.tensor(down), torch.tensor(up)


def _widened(matrix: torch.Tensor, rank: int, dim: int) -> torch.Tensor:
    """Zeros for the ranks that a matrix lacks: one that only some adapters change."""
    lacking = list(matrix.shape)
    lacking[dim] = rank - matrix.shape[dim]
    return torch.cat([matrix, matrix.new_zeros(lacking)], dim=dim).contiguous()


def _write(tensors: dict[str, torch.Tensor], config: LoraConfig, output: Path) -> None:
    fresh = output.with_name(f"{output.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    config.save_pretrained(str(fresh))
    save_file(tensors, fresh / TENSORS)
    fresh.rename(output)
