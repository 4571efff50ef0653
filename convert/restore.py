"""The way back: a bundle of any type to a MagicVL checkpoint, by the same tables read from right to left.

It serves those who want to fine-tune a shipped bundle, and a parity test where the checkpoint is not at hand.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from magicvl.convert.decoder import FAMILIES, Decoder, DecoderNames, decoder_sizes, decoder_tensors
from magicvl.convert.place import beside, check_target
from magicvl.convert.progress import Quiet, Steps
from magicvl.convert.restore_adapter import CAPTION_ADAPTER, restore_adapter
from magicvl.convert.restored_tensors import Part, write_safetensors
from magicvl.convert.sources.magicvl import MODEL_TYPE, OWN_POLICIES
from magicvl.convert.tokenizer_json import vocabulary_from_gguf, write_json, write_tokenizer
from magicvl.convert.vocabulary import IMAGE_TOKEN, Vocabulary
from magicvl.edge.bundle import Lock, read_bundle
from magicvl.edge.gguf_check import GgufFile, read_gguf
from magicvl.edge.pair import check_lora, check_pair
from magicvl.errors import BundleError
from magicvl.mmproj.contract import ACTIVATION, Tensor, mmproj_tensors


def restore(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    force: bool = False,
    steps: Steps | None = None,
) -> None:
    """Writes the checkpoint of a bundle, all tensors in F32, which holds every number of every type exactly.

    A caption adapter becomes a directory in it, CAPTION_ADAPTER, that `convert --caption-adapter` takes.
    Raises BundleError for a damaged bundle or one that lacks or has more tensors than a MagicVL model,
    UsageError for a target that exists.
    """
    steps = steps or Quiet()
    check_target(Path(target), source=Path(source), force=force, mark="config.json")
    bundle = read_bundle(source)
    if "lora" in bundle.lock.files:
        raise BundleError(f"{source}: its lora.gguf would be lost; convert the checkpoint with --merge, restore that")
    bundle.verify()
    llm, mmproj = read_gguf(bundle.path("llm")), read_gguf(bundle.path("mmproj"))
    check_pair(bundle.lock, llm, mmproj)
    captions = read_gguf(bundle.path("caption_lora")) if "caption_lora" in bundle.lock.files else None
    if captions is not None:
        check_lora(llm, captions)
    if bundle.lock.vision.projector != "lfm2" or bundle.lock.picture.policy not in OWN_POLICIES:
        raise BundleError(f"{bundle.directory}: of another maker's layout; bundles of MagicVL's own can be restored")
    vocabulary, decoder = vocabulary_from_gguf(llm), _decoder(llm, bundle.lock)
    projector_norm = "mm.input_norm.weight" in mmproj.tensors
    vision_half = mmproj_tensors(bundle.lock.vision, decoder.width, projector_norm=projector_norm)
    parts = [
        *_parts(mmproj, vision_half, {"patch": bundle.lock.vision.patch}),
        *_parts(llm, decoder_tensors(decoder), decoder_sizes(decoder)),
    ]
    with beside(Path(target)) as partial:
        write_tokenizer(vocabulary, partial)
        image_token = str(bundle.lock.provenance.get("image_token", IMAGE_TOKEN))
        norm_eps = _number(mmproj, "clip.vision.attention.layer_norm_epsilon")
        config = _config(bundle.lock, decoder, vocabulary, norm_eps, projector_norm)
        write_json(partial / "config.json", config | {"image_token_id": _image_id(llm, vocabulary, image_token)})
        write_json(partial / "processor_config.json", _processor(bundle.lock, image_token))
        steps.begin("model.safetensors", len(parts), sum(part.size for part in parts))
        write_safetensors(partial / "model.safetensors", parts, steps)
        if captions is not None:
            restore_adapter(captions, decoder, partial / CAPTION_ADAPTER, steps)


def _parts(file: GgufFile, due: Iterable[Tensor], sizes: dict[str, int]) -> list[Part]:
    due = list(due)
    names = {tensor.target for tensor in due}
    if wrong := sorted(names ^ set(file.tensors)):
        what = [f"{name} ({'missing' if name in names else 'extra'})" for name in wrong]
        raise BundleError(f"{file.path}: its tensors are not those of a MagicVL model: {', '.join(what)}")
    return [Part(file, tensor, sizes) for tensor in due]


def _decoder(llm: GgufFile, lock: Lock) -> Decoder:
    arch = lock.language.architecture
    if arch not in FAMILIES:
        raise BundleError(f"{llm.path}: architecture {arch!r}; {', '.join(FAMILIES)} can be restored")
    heads = llm.integer(f"{arch}.attention.head_count")
    length, taps = f"{arch}.attention.key_length", f"{arch}.shortconv.l_cache"
    kv_heads, convolutions = _kv_heads(llm, f"{arch}.attention.head_count_kv", lock.language.layers)
    return Decoder(
        architecture=arch,
        width=lock.language.width,
        layers=lock.language.layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=llm.integer(length) if length in llm.metadata else lock.language.width // max(1, heads),
        feed_forward=llm.integer(f"{arch}.feed_forward_length"),
        vocabulary=lock.language.vocabulary,
        context=lock.language.context,
        rope_theta=_number(llm, f"{arch}.rope.freq_base"),
        norm_eps=_number(llm, f"{arch}.attention.layer_norm_rms_epsilon"),
        tied="output.weight" not in llm.tensors,
        attention_bias="blk.0.attn_q.bias" in llm.tensors,
        mlp_bias="blk.0.ffn_up.bias" in llm.tensors,
        output_bias="blk.0.attn_output.bias" in llm.tensors,
        names=DecoderNames(modules=FAMILIES[arch].modules),
        convolutions=convolutions,
        taps=llm.integer(taps) if taps in llm.metadata else 0,
    )


def _kv_heads(llm: GgufFile, key: str, layers: int) -> tuple[int, frozenset[int]]:
    """How many heads of keys, and the layers that have none because they have a short convolution."""
    found = llm.metadata.get(key)
    if not isinstance(found, tuple):
        return llm.integer(key), frozenset()
    counts = {count for count in found if count != 0}
    if len(found) != layers or len(counts) != 1 or not isinstance(count := counts.pop(), int):
        raise BundleError(f"{llm.path}: {key} is {found}, one number of heads and zeros for {layers} layers are due")
    return count, frozenset(layer for layer, each in enumerate(found) if each == 0)


def _number(file: GgufFile, key: str) -> float:
    """A float32 as the shortest decimal that means it: 1e-05, and not 9.999999747378752e-06."""
    value = file.metadata.get(key)
    if not isinstance(value, float):
        raise BundleError(f"{file.path}: {key} is {value!r}, a number is due; convert the checkpoint again")
    return float(str(np.float32(value)))


def _image_id(llm: GgufFile, vocabulary: Vocabulary, token: str) -> int:
    if token not in vocabulary.tokens:
        raise BundleError(f"{llm.path}: the placeholder {token!r} of visual tokens is not in the vocabulary")
    return vocabulary.tokens.index(token)


def _config(
    lock: Lock, decoder: Decoder, vocabulary: Vocabulary, norm_eps: float, projector_norm: bool
) -> dict[str, Any]:
    vision = lock.vision
    return {
        "architectures": ["MagicVLForConditionalGeneration"],
        "model_type": MODEL_TYPE,
        "dtype": "float32",
        "downsample_factor": vision.unshuffle,
        "projector_hidden_size": vision.projector_width,
        "projector_hidden_act": ACTIVATION,
        "projector_bias": True,
        "projector_use_layernorm": projector_norm,
        "tie_word_embeddings": decoder.tied,
        "tile_size": lock.picture.tile,
        "max_tiles": lock.picture.max_tiles,
        "policy": lock.picture.policy,
        "min_tokens": lock.grid.min_tokens,
        "picture_pieces": dict(vars(lock.pieces)),
        "film_tracks": lock.film_tracks,
        "vision_config": {
            "model_type": "siglip2_vision_model",
            "hidden_size": vision.width,
            "num_hidden_layers": vision.layers,
            "num_attention_heads": vision.heads,
            "intermediate_size": vision.feed_forward,
            "patch_size": vision.patch,
            "num_patches": vision.positions**2,
            "num_channels": 3,
            "hidden_act": ACTIVATION,
            "layer_norm_eps": norm_eps,
            "vision_use_head": False,
        },
        "text_config": _text_config(decoder, vocabulary),
    }


def _text_config(decoder: Decoder, vocabulary: Vocabulary) -> dict[str, Any]:
    return {
        "model_type": decoder.architecture,
        "hidden_size": decoder.width,
        "num_hidden_layers": decoder.layers,
        "num_attention_heads": decoder.heads,
        "num_key_value_heads": decoder.kv_heads,
        "head_dim": decoder.head_dim,
        "intermediate_size": decoder.feed_forward,
        "vocab_size": decoder.vocabulary,
        "max_position_embeddings": decoder.context,
        "rope_parameters": {"rope_type": "default", "rope_theta": decoder.rope_theta},
        "tie_word_embeddings": decoder.tied,
        "bos_token_id": vocabulary.bos,
        "eos_token_id": vocabulary.eos,
        # No pad here: its row would get no gradient, and it often is the token that ends an answer.
        "pad_token_id": None,
    } | (_hybrid(decoder) if FAMILIES[decoder.architecture].hybrid else _plain(decoder))


def _plain(decoder: Decoder) -> dict[str, Any]:
    return {"rms_norm_eps": decoder.norm_eps, "hidden_act": "silu"} | _biases(decoder)


def _hybrid(decoder: Decoder) -> dict[str, Any]:
    """LFM2's own names; its rule for the feed-forward width is off, the width is the one that there is."""
    kinds = ["conv" if layer in decoder.convolutions else "full_attention" for layer in range(decoder.layers)]
    return {
        "norm_eps": decoder.norm_eps,
        "block_auto_adjust_ff_dim": False,
        "layer_types": kinds,
        "conv_L_cache": decoder.taps,
        "conv_bias": False,
    }


def _biases(decoder: Decoder) -> dict[str, bool]:
    """What a family's configuration says of biases: Qwen2's nothing, it always has the same ones."""
    match decoder.architecture:
        case "llama":
            return {"attention_bias": decoder.attention_bias, "mlp_bias": decoder.mlp_bias}
        case "qwen2":
            return {}
        case _:
            return {"attention_bias": decoder.attention_bias}


def _processor(lock: Lock, image_token: str) -> dict[str, Any]:
    return {
        "processor_class": "MagicVLProcessor",
        "patch_size": lock.vision.patch,
        "downsample_factor": lock.vision.unshuffle,
        "tile_size": lock.picture.tile,
        "max_tiles": lock.picture.max_tiles,
        "policy": lock.picture.policy,
        "min_tokens": lock.grid.min_tokens,
        "image_mean": list(lock.picture.mean),
        "image_std": list(lock.picture.std),
        "image_token": image_token,
        "picture_pieces": dict(vars(lock.pieces)),
    }
