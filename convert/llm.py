"""The decoder to `llm.gguf`: a plain llama.cpp model with its tokenizer and chat template."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import gguf
from gguf import GGMLQuantizationType as Type

from magicvl.convert.checkpoint import DTYPES, read_json_if_there
from magicvl.convert.decoder import FAMILIES, Decoder, decoder_sizes, decoder_tensors
from magicvl.convert.gguf_file import Field, OutTensor, write_gguf
from magicvl.convert.layout import Array
from magicvl.convert.progress import Steps
from magicvl.convert.quantise import LLM_TYPES, quantise_llm
from magicvl.convert.source import Source
from magicvl.convert.tensors import Loader
from magicvl.convert.vocabulary import STOP_KEYS, Vocabulary
from magicvl.mmproj.contract import Layout, Tensor

PLAIN_TYPES = ("F32", "F16", "BF16")
"""Those of LLM_TYPES that this module writes itself; the others are the runtime's."""
SAMPLING = {
    "top_k": Field("general.sampling.top_k", "int32", None),
    "top_p": Field("general.sampling.top_p", "float32", None),
    "min_p": Field("general.sampling.min_p", "float32", None),
    "temperature": Field("general.sampling.temp", "float32", None),
    "repetition_penalty": Field("general.sampling.penalty_repeat", "float32", None),
}
"""The recommendations of generation_config.json that a file has a key for."""


def make_llm(source: Source, vocabulary: Vocabulary, path: Path, wanted: str, steps: Steps) -> list[str]:
    """Makes the half in any of LLM_TYPES; gives the tensors whose rows the type cannot hold, each with its own type.

    A block type is made from a file of the checkpoint's own types, which lies beside it meanwhile: nothing is
    rounded twice. Raises CheckpointError for numbers that the type cannot hold, EngineError where quantising fails.
    """
    if wanted in PLAIN_TYPES:
        write_llm(source, vocabulary, path, steps, wanted)
        return []
    wide = path.with_name(f"{path.stem}-wide.gguf")
    write_llm(source, vocabulary, wide, steps)
    try:
        return quantise_llm(wide, path, wanted, steps)
    finally:
        wide.unlink()


def write_llm(source: Source, vocabulary: Vocabulary, path: Path, steps: Steps, wanted: str | None = None) -> None:
    """Writes matrices in one of PLAIN_TYPES, or each in its own type for None, and everything else in F32.

    The runtime's convolutions over neighbouring tokens compute in F32 alone.
    """
    decoder = source.decoder
    sizes = decoder_sizes(decoder)
    tensors = [
        OutTensor(
            name=tensor.target,
            shape=_shape(tensor),
            type=_type(tensor, source, wanted),
            source=tensor.source,
            load=Loader(source.stored[tensor.source], tensor, sizes),
            rows=_rows(tensor, source),
        )
        for tensor in decoder_tensors(decoder)
    ]
    write_gguf(path, decoder.architecture, llm_fields(source, vocabulary, LLM_TYPES[wanted or "F16"]), tensors, steps)


def llm_fields(source: Source, vocabulary: Vocabulary, kind: gguf.LlamaFileType) -> list[Field]:
    """The metadata of the half; `kind` is what the file says of its types."""
    return [
        *_general(source.name, kind, source.decoder),
        *_sampling(source.directory),
        *_model(source.decoder),
        *_tokenizer(vocabulary, FAMILIES[source.decoder.architecture].pre),
    ]


def _type(tensor: Tensor, source: Source, wanted: str | None) -> Type:
    if len(tensor.shape) == 1 or tensor.layout is Layout.CONVOLUTION:
        return Type.F32
    own = source.stored[tensor.source].dtype
    return Type[wanted or (own if own in DTYPES else "F32")]


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return (tensor.shape[0], tensor.shape[2]) if tensor.layout is Layout.CONVOLUTION else tensor.shape


def _rows(tensor: Tensor, source: Source) -> Callable[[int, int], Array] | None:
    """How to read a matrix piece by piece; None where its rows change places, or where it is none."""
    if len(tensor.shape) != 2 or tensor.layout is not Layout.SAME:
        return None
    return source.stored[tensor.source].raw


def _general(name: str, kind: gguf.LlamaFileType, decoder: Decoder) -> list[Field]:
    count = sum(math.prod(tensor.shape) for tensor in decoder_tensors(decoder))
    return [
        Field("general.type", "string", "model"),
        Field("general.name", "string", name),
        Field("general.size_label", "string", gguf.size_label(count, 0, 0, 0)),
        Field("general.file_type", "uint32", int(kind)),
        Field("general.quantization_version", "uint32", gguf.GGML_QUANT_VERSION),
    ]


def _sampling(directory: Path) -> list[Field]:
    asked = read_json_if_there(directory / "generation_config.json")
    found = ((field, asked.get(name)) for name, field in SAMPLING.items())
    return [
        replace(field, value=value)
        for field, value in found
        if isinstance(value, int if field.kind == "int32" else int | float) and not isinstance(value, bool)
    ]


def _model(decoder: Decoder) -> list[Field]:
    """What llama.cpp's own converter writes for the family."""
    arch, family = decoder.architecture, FAMILIES[decoder.architecture]
    fields = [
        Field(f"{arch}.block_count", "uint32", decoder.layers),
        Field(f"{arch}.context_length", "uint32", decoder.context),
        Field(f"{arch}.embedding_length", "uint32", decoder.width),
        Field(f"{arch}.feed_forward_length", "uint32", decoder.feed_forward),
        Field(f"{arch}.attention.head_count", "uint32", decoder.heads),
        _kv_heads(decoder),
        Field(f"{arch}.attention.layer_norm_rms_epsilon", "float32", decoder.norm_eps),
        Field(f"{arch}.rope.freq_base", "float32", decoder.rope_theta),
    ]
    if not family.square:
        # Where the heads together are as wide as the model, their size follows.
        fields += [
            Field(f"{arch}.attention.key_length", "uint32", decoder.head_dim),
            Field(f"{arch}.attention.value_length", "uint32", decoder.head_dim),
        ]
    if family.interleaved:
        fields += [
            Field(f"{arch}.vocab_size", "uint32", decoder.vocabulary),
            Field(f"{arch}.rope.dimension_count", "uint32", decoder.head_dim),
        ]
    if family.hybrid:
        fields += [
            Field(f"{arch}.vocab_size", "uint32", decoder.vocabulary),
            Field(f"{arch}.shortconv.l_cache", "uint32", decoder.taps),
        ]
    return fields


def _kv_heads(decoder: Decoder) -> Field:
    """One number; for a hybrid one of each layer, 0 where it has a convolution in place of attention."""
    key = f"{decoder.architecture}.attention.head_count_kv"
    if not FAMILIES[decoder.architecture].hybrid:
        return Field(key, "uint32", decoder.kv_heads)
    each = [0 if layer in decoder.convolutions else decoder.kv_heads for layer in range(decoder.layers)]
    return Field(key, "int32[]", each)


def _tokenizer(vocabulary: Vocabulary, names: Mapping[str, str]) -> list[Field]:
    fields = [
        Field("tokenizer.ggml.model", "string", "gpt2"),
        Field("tokenizer.ggml.pre", "string", names.get(vocabulary.pre, vocabulary.pre)),
        Field("tokenizer.ggml.tokens", "string[]", vocabulary.tokens),
        Field("tokenizer.ggml.token_type", "int32[]", vocabulary.types),
        Field("tokenizer.ggml.merges", "string[]", vocabulary.merges),
    ]
    ids = dict(zip(STOP_KEYS, vocabulary.stops, strict=False)) | {
        "tokenizer.ggml.bos_token_id": vocabulary.bos,
        "tokenizer.ggml.unknown_token_id": vocabulary.unk,
        "tokenizer.ggml.padding_token_id": vocabulary.pad,
    }
    fields += [Field(key, "uint32", value) for key, value in ids.items() if value is not None]
    return [
        *fields,
        Field("tokenizer.ggml.add_bos_token", "bool", vocabulary.add_bos),
        Field("tokenizer.chat_template", "string", vocabulary.chat_template),
    ]
