"""nanoVLM in torch, its modules named as its checkpoints name them, so that nothing translates names in between.

Written after https://github.com/huggingface/nanoVLM, models/*.py. One tile or prompt at a time is all that parity
needs, so the decoder has no batch: (tokens, width).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from magicvl.errors import CheckpointError

Past = list[tuple[Tensor, Tensor]]
"""Keys and values of each layer so far, (heads of keys, tokens, width of a head)."""


class EncoderAttention(nn.Module):
    """Every patch looks at every patch."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(tiles, patches, width) -> the same."""
        count, width = x.shape[1:]
        q, k, v = (part.view(len(x), count, self.heads, -1).transpose(1, 2) for part in self.qkv_proj(x).chunk(3, -1))
        mixed = functional.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(len(x), count, width))
        return out


class EncoderBlock(nn.Module):
    """Attention and two layers, each behind a norm and beside a shortcut."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width, inner, eps = config["vit_hidden_dim"], config["vit_inter_dim"], config.get("vit_ln_eps", 1e-6)
        self.ln1, self.ln2 = nn.LayerNorm(width, eps=eps), nn.LayerNorm(width, eps=eps)
        self.attn = EncoderAttention(width, config["vit_n_heads"])
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, inner), "fc2": nn.Linear(inner, width)})

    def forward(self, x: Tensor) -> Tensor:
        """(tiles, patches, width) -> the same."""
        x = x + self.attn(self.ln1(x))
        hidden = functional.gelu(self.mlp["fc1"](self.ln2(x)), approximate="tanh")
        out: Tensor = x + self.mlp["fc2"](hidden)
        return out


class Patches(nn.Module):
    """Pixels to patches, each with its position."""

    def __init__(self, width: int, patch: int, count: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, patch, patch)
        self.position_embedding = nn.Parameter(torch.zeros(1, count, width))

    def forward(self, tiles: Tensor) -> Tensor:
        """(tiles, 3, side, side) -> (tiles, patches, width)."""
        x: Tensor = self.conv(tiles).flatten(2).transpose(1, 2)
        return x + self.position_embedding


class Encoder(nn.Module):
    """SigLIP without its pooling head."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width, patch = config["vit_hidden_dim"], config["vit_patch_size"]
        self.patch_embedding = Patches(width, patch, (config["vit_img_size"] // patch) ** 2)
        self.blocks = nn.ModuleList(EncoderBlock(config) for _ in range(config["vit_n_blocks"]))
        self.layer_norm = nn.LayerNorm(width, eps=config.get("vit_ln_eps", 1e-6))

    def forward(self, tiles: Tensor) -> Tensor:
        """(tiles, 3, side, side) -> (tiles, patches, width)."""
        x = self.patch_embedding(tiles)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.layer_norm(x)
        return out


class RmsNorm(nn.Module):
    """Root mean square 1, times a weight."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(tokens, width) -> the same."""
        return x * torch.rsqrt((x**2).mean(-1, keepdim=True) + self.eps) * self.weight


class Rotation(nn.Module):
    """Angles by position; the frequencies are a tensor of the checkpoint."""

    def __init__(self, side: int, base: float) -> None:
        super().__init__()
        self.inv_freq: Tensor
        self.register_buffer("inv_freq", base ** (-torch.arange(0, side, 2) / side))

    def forward(self, begin: int, count: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines of `count` positions from `begin`, (count, width of a head)."""
        angles = torch.outer(torch.arange(begin, begin + count).float(), self.inv_freq)
        angles = torch.cat((angles, angles), -1)
        return angles.cos(), angles.sin()


class DecoderAttention(nn.Module):
    """Several heads share one of keys and values."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width = config["lm_hidden_dim"]
        self.heads, self.shared = config["lm_n_heads"], config["lm_n_kv_heads"]
        narrow = width // self.heads * self.shared
        self.q_proj, self.out_proj = (nn.Linear(width, width, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(width, narrow, bias=False) for _ in range(2))

    def forward(
        self, x: Tensor, turn: tuple[Tensor, Tensor], past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(tokens, width) and what came before -> (tokens, width) and what came so far."""
        q, k, v = (project(x).view(len(x), count, -1).transpose(0, 1) for project, count in self._projections())
        q, k = (_turned(each, *turn) for each in (q, k))
        if past is not None:
            k, v = (torch.cat(each, 1) for each in zip(past, (k, v), strict=True))
        wide_k, wide_v = (each.repeat_interleave(self.heads // self.shared, 0) for each in (k, v))
        mixed = functional.scaled_dot_product_attention(q, wide_k, wide_v, is_causal=past is None)
        return self.out_proj(mixed.transpose(0, 1).reshape(len(x), -1)), (k, v)

    def _projections(self) -> list[tuple[nn.Linear, int]]:
        return [(self.q_proj, self.heads), (self.k_proj, self.shared), (self.v_proj, self.shared)]


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat((-second, first), -1) * sin


class DecoderBlock(nn.Module):
    """Attention and a gated pair of layers, each behind a norm and beside a shortcut."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width, inner, eps = config["lm_hidden_dim"], config["lm_inter_dim"], config["lm_rms_eps"]
        sides = {"gate_proj": (width, inner), "up_proj": (width, inner), "down_proj": (inner, width)}
        self.mlp = nn.ModuleDict({name: nn.Linear(*size, bias=False) for name, size in sides.items()})
        self.attn = DecoderAttention(config)
        self.norm1, self.norm2 = RmsNorm(width, eps), RmsNorm(width, eps)

    def forward(
        self, x: Tensor, turn: tuple[Tensor, Tensor], past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """As DecoderAttention."""
        mixed, so_far = self.attn(self.norm1(x), turn, past)
        x = x + mixed
        h = self.norm2(x)
        gated = functional.silu(self.mlp["gate_proj"](h)) * self.mlp["up_proj"](h)
        return x + self.mlp["down_proj"](gated), so_far


class Decoder(nn.Module):
    """SmolLM2, or another of the Llama family."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width, vocabulary = config["lm_hidden_dim"], config["lm_vocab_size"]
        self.token_embedding = nn.Embedding(vocabulary, width)
        self.rotary_embd = Rotation(width // config["lm_n_heads"], config["lm_re_base"])
        self.blocks = nn.ModuleList(DecoderBlock(config) for _ in range(config["lm_n_blocks"]))
        self.norm = RmsNorm(width, config["lm_rms_eps"])
        self.head = nn.Linear(width, vocabulary, bias=False)
        if config.get("lm_tie_weights", True):
            self.head.weight = self.token_embedding.weight

    def forward(self, x: Tensor, past: Past | None = None) -> tuple[Tensor, Past]:
        """Embeddings (tokens, width) behind `past` -> logits of the last one (vocabulary,), and the past with them."""
        turn = self.rotary_embd(past[0][0].shape[1] if past else 0, len(x))
        so_far: Past = []
        for i, block in enumerate(self.blocks):
            x, kept = block(x, turn, past[i] if past else None)
            so_far.append(kept)
        return self.head(self.norm(x[-1])), so_far


class NanoVLM(nn.Module):
    """The whole model; `config` is the object in its config.json."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.factor = config["mp_pixel_shuffle_factor"]
        self.vision_encoder, self.decoder = Encoder(config), Decoder(config)
        wide = config["vit_hidden_dim"] * self.factor**2
        self.MP = nn.ModuleDict({"proj": nn.Linear(wide, config["lm_hidden_dim"], bias=False)})

    def embed(self, tiles: Tensor) -> Tensor:
        """(tiles, 3, side, side) in 0..1 -> (tiles, visual tokens, width of the decoder)."""
        x = self.vision_encoder(tiles)
        side, f = int(x.shape[1] ** 0.5), self.factor
        x = x.view(len(x), side // f, f, side // f, f, -1).permute(0, 1, 3, 2, 4, 5)
        out: Tensor = self.MP["proj"](x.reshape(len(x), (side // f) ** 2, -1))
        return out

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes the tensors of a checkpoint, each by its own name, as float32.

        Of the two names of a tied table one is stored; the frequencies of the rotation may be missing. Raises
        CheckpointError where anything else is, or is left over.
        """
        found = {name: tensor.float() for name, tensor in tensors.items()}
        tied = ("decoder.token_embedding.weight", "decoder.head.weight")
        if self.decoder.head.weight is self.decoder.token_embedding.weight:
            stored = next((found[name] for name in tied if name in found), None)
            found |= {name: stored for name in tied if stored is not None}
        found.setdefault("decoder.rotary_embd.inv_freq", self.decoder.rotary_embd.inv_freq)
        try:
            self.load_state_dict(found)
        except RuntimeError as error:
            raise CheckpointError(f"no nanoVLM of its config.json: {' '.join(str(error).split())}") from None
