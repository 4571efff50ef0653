"""Attention within segments of one long row: packed samples, or packed tiles, that can't see one another.

    |---- sample 0 ----|-- sample 1 --|--- sample 2 ---|     bounds 0, 18, 32, 48

Registered with transformers as an attention function, so its own layers run with it. On a GPU in half precision this is
torch's variable-length FlashAttention, one kernel for all segments; elsewhere a loop over them, which still computes
only what is seen and needs no mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import AttentionInterface

NAME = "magicvl_segments"


@dataclass(frozen=True)
class Segments:
    """Where the segments of a row begin and end."""

    bounds: torch.Tensor
    """(segments + 1,) int32, from 0 to the row's length."""
    longest: int
    """Tokens of the longest segment."""

    @staticmethod
    def of(lengths: Sequence[int], device: torch.device) -> "Segments":
        """Segments of so many tokens each."""
        bounds = torch.tensor([0, *lengths]).cumsum(0).to(device=device, dtype=torch.int32)
        return Segments(bounds, max(lengths))


def attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: Segments | torch.Tensor | None,
    scaling: float | None = None,
    segments: Segments | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """(1, heads, n, width) queries, keys and values -> (1, n, heads, width); fewer heads of keys are shared.

    The segments come as `segments` where layers hand on keywords (the decoders), as the mask where they do not
    (Siglip2). Whether attention is causal says the module.
    """
    found = segments if segments is not None else attention_mask
    if not isinstance(found, Segments):
        raise TypeError("a row of segments needs its bounds")
    causal = bool(getattr(module, "is_causal", False))
    # Rotary embeddings leave queries and keys in float32 under autocast.
    query, key = query.to(value.dtype), key.to(value.dtype)
    if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16):
        return _flash(query, key, value, found, causal, scaling), None
    return _loop(query, key, value, found, causal, scaling), None


def _flash(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, segments: Segments, causal: bool, scale: float | None
) -> torch.Tensor:
    from torch.nn.attention.varlen import varlen_attn

    shared = query.shape[1] // key.shape[1]
    rows = [each[0].transpose(0, 1).contiguous() for each in (query, key, value)]
    if shared > 1:
        # The option for shared heads has changed between torch's releases; copies of a few heads cost little.
        rows[1:] = [each.repeat_interleave(shared, dim=1) for each in rows[1:]]
    # Older releases call a window without a future by its own name.
    windows = "window_size" in signature(varlen_attn).parameters
    kind: dict[str, Any] = {"window_size": (-1, 0) if causal else (-1, -1)} if windows else {"is_causal": causal}
    default = scale is None or abs(scale * query.shape[-1] ** 0.5 - 1) < 1e-6
    if not default:
        kind["scale"] = scale
    bounds, longest = segments.bounds, segments.longest
    out = varlen_attn(rows[0], rows[1], rows[2], bounds, bounds, longest, longest, **kind)
    assert isinstance(out, torch.Tensor)
    return out[None]


def _loop(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, segments: Segments, causal: bool, scale: float | None
) -> torch.Tensor:
    lengths = segments.bounds.diff().tolist()
    grouped = query.shape[1] != key.shape[1]
    # Split and not sliced: the gradient of each slice would be a whole row, all zeros but for its segment.
    split = (each.split(lengths, dim=2) for each in (query, key, value))
    parts = [
        F.scaled_dot_product_attention(queries, keys, values, is_causal=causal, scale=scale, enable_gqa=grouped)
        for queries, keys, values in zip(*split, strict=True)
    ]
    return torch.cat(parts, dim=2).transpose(1, 2)


AttentionInterface.register(NAME, attend)
