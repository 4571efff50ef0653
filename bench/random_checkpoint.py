"""A checkpoint of any preset with random BF16 weights, written in shards without ever holding a large tensor.

For measuring conversions: the numbers mean nothing, their count and layout are those of a real checkpoint.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from magicvl.mmproj.presets import PRESETS

SHARD = 2**31
"""Most bytes of one shard, where no single tensor is larger."""
BLOCK = 2**22 + 3
"""Random numbers that are drawn; each tensor takes them from another place on, again and again."""
CHUNK = 2**20
"""Numbers that are written at once."""
SPECIALS = ("<|end|>", "<|image_start|>", "<|image_end|>", "<|tile|>", "<|row|>", "<|image|>")
TEMPLATE = "{% for m in messages %}{{ m['content'] }}<|end|>{% endfor %}"

Shapes = Mapping[str, tuple[int, ...]]


def write_random_checkpoint(preset: str, directory: Path, *, text_only: bool = False) -> int:
    """Writes a whole MagicVL checkpoint, or the decoder alone as transformers saves it; gives the numbers in it."""
    config, processor = _configs(preset)
    image_token = config.image_token_id
    shapes = _shapes(config)
    if text_only:
        config = config.text_config
        shapes = {
            name.replace("model.language_model.", "model."): shape
            for name, shape in shapes.items()
            if name.startswith(("model.language_model.", "lm_head."))
        }
        kind = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
        config.architectures = [kind[config.model_type]]
    assert text_only or image_token is not None
    directory.mkdir(parents=True)
    config.save_pretrained(directory)
    processor.save_pretrained(directory)
    _write_shards(directory, shapes)
    return sum(map(math.prod, shapes.values()))


def _configs(preset: str) -> tuple[Any, Any]:
    from magicvl.mmproj.configuration import config_from_preset
    from magicvl.mmproj.processing import MagicVLProcessor

    tokenizer = _tokenizer()
    end = tokenizer.convert_tokens_to_ids("<|end|>")
    config = config_from_preset(PRESETS[preset], eos_token_id=end, bos_token_id=None)
    config.image_token_id = tokenizer.convert_tokens_to_ids("<|image|>")
    return config, MagicVLProcessor(tokenizer)


def _tokenizer() -> Any:
    """Byte-level BPE with one merge; the other rows of the embedding table have no token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    symbols = [*SPECIALS, *sorted(pre_tokenizers.ByteLevel.alphabet()), "th"]
    vocabulary = {symbol: i for i, symbol in enumerate(symbols)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [("t", "h")]))
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIALS))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")
    fast.chat_template = TEMPLATE
    return fast


def _shapes(config: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the model's state, from a model without memory."""
    import torch

    from magicvl.mmproj.modeling import MagicVLForConditionalGeneration

    with torch.device("meta"):
        state = MagicVLForConditionalGeneration(config).state_dict()
    tied = {"lm_head.weight"} if config.tie_word_embeddings else set()
    return {name: tuple(weight.shape) for name, weight in state.items() if name not in tied}


def _write_shards(directory: Path, shapes: Shapes) -> None:
    shards: list[dict[str, tuple[int, ...]]] = [{}]
    for name, shape in shapes.items():
        if shards[-1] and _bytes(shards[-1]) + 2 * math.prod(shape) > SHARD:
            shards.append({})
        shards[-1][name] = shape
    numbers = _random_bits()
    weight_map: dict[str, str] = {}
    for i, shard in enumerate(shards, 1):
        file = f"model-{i:05}-of-{len(shards):05}.safetensors"
        _write_shard(directory / file, shard, numbers)
        weight_map |= dict.fromkeys(shard, file)
    index = {"metadata": {"total_size": _bytes(shapes)}, "weight_map": weight_map}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))


def _bytes(shapes: Shapes) -> int:
    return 2 * sum(map(math.prod, shapes.values()))


def _random_bits() -> npt.NDArray[np.uint16]:
    numbers = np.random.default_rng(0).standard_normal(BLOCK, dtype=np.float32) * np.float32(0.02)
    return (numbers.view(np.uint32) >> np.uint32(16)).astype("<u2")


def _write_shard(path: Path, shapes: Shapes, numbers: npt.NDArray[np.uint16]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape in shapes.items():
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    place = 0
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for shape in shapes.values():
            left = math.prod(shape)
            while left:
                piece = numbers[place : place + min(left, CHUNK)]
                file.write(piece.data)
                left -= len(piece)
                place = (place + len(piece)) % BLOCK
