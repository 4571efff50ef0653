"""PEFT LoRA adapters: read strictly, merged tensor by tensor, or written as llama.cpp's `lora.gguf`.

adapter_config.json + adapter_model.safetensors --> pairs (A, B) of one tensor each --> W + scale * B @ A

The decoder's pairs can stay apart, as a file of their own that the runtime adds while it computes. The
runtime knows no adapters of the encoder, so those are always merged.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from magicvl.convert.adapter_names import find_places
from magicvl.convert.checkpoint import DTYPES, StoredTensor, read_header, read_json, widen
from magicvl.convert.decoder import decoder_sizes, decoder_tensors
from magicvl.convert.gguf_file import Field, OutTensor, write_gguf
from magicvl.convert.layout import Array, to_gguf
from magicvl.convert.progress import Steps
from magicvl.convert.reader import Reader
from magicvl.convert.source import Source
from magicvl.convert.tensors import blocks, listing
from magicvl.errors import CheckpointError
from magicvl.mmproj.contract import Layout

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
"""What PEFT puts before the names of a model's modules."""
LORA_TYPES = {"F32": gguf.LlamaFileType.ALL_F32, "F16": gguf.LlamaFileType.MOSTLY_F16}
CHUNK = 2**22
"""Numbers of a matrix that are merged at once."""

_REFUSED = (
    "alora_invocation_tokens",
    "arrow_config",
    "fan_in_fan_out",
    "kasa_config",
    "layer_replication",
    "lora_bias",
    "megatron_config",
    "modules_to_save",
    "monteclora_config",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_dora",
    "use_qalora",
    "velora_config",
)
"""What makes an adapter something else than W + scale * B @ A of linear layers."""
_PLAIN_STARTS = (True, False, None, "gaussian", "eva", "orthogonal")
"""The ways to begin that leave the base model's weights alone."""


@dataclass(frozen=True)
class Pair:
    """The two factors of what is added to one matrix (out, in)."""

    module: str
    """The layer, by its name in the adapter."""
    source: str
    """The matrix, by its name in the checkpoint; in an adapter that was not placed, what the adapter says."""
    down: StoredTensor
    """A, (rank, in)."""
    up: StoredTensor
    """B, (out, rank)."""
    scale: float

    @property
    def rank(self) -> int:
        """Rows of A."""
        return self.down.shape[0]

    @property
    def shape(self) -> tuple[int, int]:
        """Of the matrix that it is added to: (out, in)."""
        return self.up.shape[0], self.down.shape[1]

    def factors(self) -> tuple[Array, Array]:
        """A and scale * B, float32."""
        up = np.asarray(self.up.read(), dtype=np.float32)
        return np.asarray(self.down.read(), dtype=np.float32), up * np.float32(self.scale)


@dataclass(frozen=True)
class Adapter:
    """A directory of PEFT's, understood."""

    directory: Path
    pairs: tuple[Pair, ...]
    alpha: float
    targets: tuple[str, ...]
    """The modules that the adapter says it changes; empty where it says so by a pattern."""


@dataclass(frozen=True)
class Change:
    """What an adapter does to one tensor."""

    source: str
    """Its name in the checkpoint."""
    how: str
    """`merged`, or the name of the file that it is in."""
    change: float
    """Root mean square of what is added over that of the tensor."""


@dataclass(frozen=True)
class Merged(StoredTensor):
    """A stored tensor plus its pair, in float32 whatever type the base has: merging rounds nothing."""

    base: StoredTensor
    pair: Pair

    def read(self) -> Array:
        """W + scale * B @ A, float32."""
        return self.raw()

    def raw(self, begin: int = 0, end: int | None = None) -> Array:
        """The same for the rows `begin` to `end`."""
        numbers = np.array(widen(self.base.raw(begin, end)), dtype=np.float32)
        down, up = self.pair.factors()
        up = up[begin:end]
        step = max(1, CHUNK // numbers.shape[1])
        for first in range(0, len(numbers), step):
            numbers[first : first + step] += up[first : first + step] @ down
        return numbers


def open_adapter(directory: Path) -> Adapter:
    """Reads an adapter's directory. Raises CheckpointError with every problem in one line."""
    if not directory.is_dir():
        raise CheckpointError(f"{directory}: no such adapter directory")
    config = read_json(directory / CONFIG)
    if problems := _config_problems(config):
        raise CheckpointError(f"{directory}: {'; '.join(problems)}")
    if not (directory / TENSORS).is_file():
        raise CheckpointError(f"{directory}: it has no {TENSORS}")
    stored = read_header(directory / TENSORS)
    modules, problems = _modules(stored)
    pairs = []
    for module, (down, up) in modules.items():
        if problem := _pair_problem(module, down, up):
            problems.append(problem)
        else:
            pairs.append(Pair(module, f"{module}.weight", down, up, _scale(config, module, down.shape[0])))
    if problems or not pairs:
        raise CheckpointError(f"{directory}: {'; '.join(problems) or 'it holds no pair of lora_A and lora_B'}")
    targets = config.get("target_modules")
    return Adapter(
        directory=directory,
        pairs=tuple(pairs),
        alpha=float(config["lora_alpha"]),
        targets=tuple(map(str, targets)) if isinstance(targets, list) else (),
    )


def place(adapter: Adapter, source: Source) -> tuple[Adapter, list[str]]:
    """The adapter with each matrix by its name in the checkpoint, and why that cannot be said of some."""
    there = {tensor.source: tensor.shape for tensor in source.tensors}
    places = find_places({pair.source: pair.shape for pair in adapter.pairs}, there)
    pairs = [replace(pair, source=(places[pair.source] or [pair.source])[0]) for pair in adapter.pairs]
    counts = Counter(pair.source for pair in pairs)
    found = {
        "with no place in the checkpoint": [name for name, to in places.items() if not to],
        "with more than one place in the checkpoint": [
            f"{name} ({' or '.join(to)})" for name, to in places.items() if len(to) > 1
        ],
        "that add to the same tensor": [f"{p.module} (to {p.source})" for p in pairs if counts[p.source] > 1],
    }
    return replace(adapter, pairs=tuple(pairs)), _problems(adapter, found)


def adapter_problems(adapter: Adapter, source: Source) -> list[str]:
    """Why a placed adapter does not fit a checkpoint, or would change nothing of what it should change."""
    due = {tensor.source: tensor for tensor in source.tensors}
    misshapen, idle = [], []
    for pair in adapter.pairs:
        if (tensor := due.get(pair.source)) is None:
            continue
        if pair.shape != tensor.shape:
            out, into = pair.shape
            misshapen.append(f"{pair.source} adds {out} x {into} to {' x '.join(map(str, tensor.shape))}")
        else:
            size = _added(pair)
            if not math.isfinite(size):
                misshapen.append(f"{pair.source} (numbers that are not finite)")
            elif size == 0:
                idle.append(pair.source)
    silent = [
        name
        for name in adapter.targets
        if not any(pair.module.endswith(f".{name}") or pair.module == name for pair in adapter.pairs)
    ]
    found = {
        "that do not fit": misshapen,
        "identical to the base, where it should have changed them (A or B is all zero)": idle,
        "named in target_modules, with no tensor": silent,
    }
    return _problems(adapter, found)


def _problems(adapter: Adapter, found: Mapping[str, list[str]]) -> list[str]:
    return [f"{adapter.directory}: adapter tensors {listing(what, names)}" for what, names in found.items() if names]


def encoder_problems(adapter: Adapter, source: Source) -> list[str]:
    """Why an adapter that has to stay apart cannot: the runtime adds none to the encoder while it computes."""
    decoder = {tensor.source for tensor in decoder_tensors(source.decoder)}
    others = [pair.source for pair in adapter.pairs if pair.source not in decoder]
    return _problems(adapter, {"of the encoder, which a caption adapter cannot change": others})


def merge(source: Source, adapter: Adapter, *, llm: bool) -> Source:
    """The checkpoint with the encoder's part of an adapter merged, and with `llm` the decoder's too."""
    decoder = {tensor.source for tensor in decoder_tensors(source.decoder)}
    stored = dict(source.stored)
    for pair in adapter.pairs:
        if llm or pair.source not in decoder:
            base = stored[pair.source]
            size = 4 * math.prod(base.shape)
            stored[pair.source] = Merged(base.file, "F32", base.shape, base.offset, size, base, pair)
    return replace(source, stored=stored)


def changes(adapter: Adapter, source: Source, file: str) -> list[Change]:
    """What the adapter does to each tensor, largest first; `source` is the merged one, `file` holds what is not."""
    found = []
    for pair in adapter.pairs:
        stored = source.stored[pair.source]
        # What another adapter was merged into is a base like any other.
        if isinstance(stored, Merged) and stored.pair is pair:
            how, base = "merged", stored.base
        else:
            how, base = file, stored
        size = math.sqrt(_squares(base))
        found.append(Change(pair.source, how, _added(pair) / size if size else math.inf))
    return sorted(found, key=lambda change: -change.change)


def write_lora(source: Source, adapter: Adapter, path: Path, steps: Steps, kind: str = "F32") -> bool:
    """Writes the pairs that are not merged as llama.cpp's adapter; False, and no file, where there are none.

    `kind` is one of LORA_TYPES.
    """
    tensors = list(_lora_tensors(source, adapter, gguf.GGMLQuantizationType[kind]))
    if not tensors:
        return False
    fields = [
        Field("general.type", "string", "adapter"),
        Field("general.name", "string", f"{source.name} LoRA"),
        Field("general.file_type", "uint32", int(LORA_TYPES[kind])),
        Field("adapter.type", "string", "lora"),
        Field("adapter.lora.alpha", "float32", adapter.alpha),
    ]
    write_gguf(path, source.decoder.architecture, fields, tensors, steps)
    return True


def _lora_tensors(source: Source, adapter: Adapter, kind: gguf.GGMLQuantizationType) -> Iterable[OutTensor]:
    sizes = decoder_sizes(source.decoder)
    due = {tensor.source: tensor for tensor in decoder_tensors(source.decoder)}
    for pair in adapter.pairs:
        stored = source.stored[pair.source]
        if isinstance(stored, Merged) and stored.pair is pair:
            continue
        tensor = due[pair.source]
        for letter, factor in (("a", pair.down), ("b", pair.up)):
            yield OutTensor(
                name=f"{tensor.target}.lora_{letter}",
                shape=factor.shape,
                type=kind,
                source=pair.source,
                load=_Factor(factor, pair, adapter.alpha, tensor.layout if letter == "b" else None, sizes),
            )


@dataclass(frozen=True)
class _Factor:
    """Loads A as it is; B with its rows in GGUF's order, and with what the file's one alpha does not say."""

    stored: StoredTensor
    pair: Pair
    alpha: float
    layout: Layout | None
    sizes: Mapping[str, int]

    def __call__(self) -> Array:
        numbers = np.asarray(self.stored.read(), dtype=np.float32)
        if self.layout is None:
            return numbers
        # The runtime multiplies by alpha / rank.
        rest = self.pair.scale / (self.alpha / self.pair.rank)
        return to_gguf(numbers * np.float32(rest) if rest != 1 else numbers, self.layout, self.sizes)


def _config_problems(config: Mapping[str, Any]) -> list[str]:
    problems: list[str] = []
    if (kind := config.get("peft_type")) != "LORA":
        problems.append(f"{CONFIG}: peft_type {kind!r}, LORA can be converted")
    if (bias := config.get("bias", "none")) != "none":
        problems.append(f"{CONFIG}: bias {bias!r}, an adapter with biases cannot be converted; train it with 'none'")
    if odd := [key for key in _REFUSED if config.get(key)]:
        problems.append(f"{CONFIG} sets {', '.join(odd)}; merge it with PEFT's merge_and_unload, convert the result")
    if (start := config.get("init_lora_weights", True)) not in _PLAIN_STARTS:
        problems.append(f"{CONFIG}: init_lora_weights {start!r} changes the base; convert it to a plain LoRA with PEFT")
    for key in ("r", "lora_alpha"):
        Reader(CONFIG, config, problems).real(key)
    for key in ("rank_pattern", "alpha_pattern"):
        if not isinstance(config.get(key) or {}, dict):
            problems.append(f"{CONFIG}: {key} is {config[key]!r}, an object is due")
    if not problems and (odd := [key for key in config.get("alpha_pattern") or {} if not _is_pattern(key)]):
        problems.append(f"{CONFIG}: alpha_pattern has keys that are no regular expressions: {', '.join(odd)}")
    return problems


def _is_pattern(key: str) -> bool:
    try:
        re.compile(key)
    except re.error:
        return False
    return True


def _modules(stored: Mapping[str, StoredTensor]) -> tuple[dict[str, tuple[StoredTensor, StoredTensor]], list[str]]:
    """The pairs by module, and what is no part of one."""
    halves: dict[str, dict[str, StoredTensor]] = {}
    odd = []
    for name, tensor in stored.items():
        match = re.fullmatch(r"(.+)\.lora_([AB])(?:\.default)?\.weight", name.removeprefix(PREFIX))
        if match is None or tensor.dtype not in DTYPES or len(tensor.shape) != 2:
            odd.append(f"{name} ({tensor.dtype}, {' x '.join(map(str, tensor.shape))})")
        else:
            halves.setdefault(match[1], {})[match[2]] = tensor
    alone = sorted(module for module, pair in halves.items() if len(pair) != 2)
    problems = [listing("adapter tensors that are no LoRA of a linear layer", odd)] if odd else []
    problems += [listing("modules with only one of lora_A and lora_B", alone)] if alone else []
    return {name: (pair["A"], pair["B"]) for name, pair in halves.items() if len(pair) == 2}, problems


def _pair_problem(module: str, down: StoredTensor, up: StoredTensor) -> str | None:
    if down.shape[0] == up.shape[1]:
        return None
    return f"{module}: lora_A has rank {down.shape[0]}, lora_B {up.shape[1]}"


def _scale(config: Mapping[str, Any], module: str, rank: int) -> float:
    """alpha / rank, or alpha / sqrt(rank) for rsLoRA; a pattern's key matches the end of a module's name."""
    alpha = float(config["lora_alpha"])
    for key, value in (config.get("alpha_pattern") or {}).items():
        if re.match(rf"(.*\.)?({key})$", module):
            alpha = float(value)
            break
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _added(pair: Pair) -> float:
    """The Frobenius norm of scale * B @ A, from matrices of rank x rank alone."""
    down, up = (factor.astype(np.float64) for factor in pair.factors())
    return math.sqrt(max(0.0, float(((up.T @ up) * (down @ down.T)).sum())))


def _squares(stored: StoredTensor) -> float:
    return sum(float(np.dot(block.ravel(), block.ravel())) for block in blocks(stored, CHUNK))
