"""The decoder to `llm.gguf`: a plain llama.cpp model with its tokenizer and chat template."""

from pathlib import Path

import gguf
from gguf import GGMLQuantizationType as Type

from magicvl.convert.checkpoint import DTYPES
from magicvl.convert.decoder import Decoder, decoder_sizes, decoder_tensors
from magicvl.convert.gguf_file import Field, OutTensor, write_gguf
from magicvl.convert.progress import Steps
from magicvl.convert.source import Source
from magicvl.convert.tensors import Loader
from magicvl.convert.vocabulary import STOP_KEYS, Vocabulary


def write_llm(source: Source, vocabulary: Vocabulary, path: Path, steps: Steps, *, wide: bool) -> None:
    """Writes the half: matrices in F16, or where `wide` is set in the checkpoint's own type, the rest in F32.

    A wide file is what the block types are made from: nothing is rounded twice.
    """
    decoder = source.decoder
    sizes = decoder_sizes(decoder)
    own = {name: Type[stored.dtype] for name, stored in source.stored.items() if stored.dtype in DTYPES}
    tensors = [
        OutTensor(
            name=tensor.target,
            shape=tensor.shape,
            type=Type.F32 if len(tensor.shape) == 1 else own[tensor.source] if wide else Type.F16,
            source=tensor.source,
            load=Loader(source.stored[tensor.source], tensor, sizes),
        )
        for tensor in decoder_tensors(decoder)
    ]
    steps.begin(path.name, len(tensors), sum(tensor.size for tensor in tensors))
    fields = _general(source.name) + _model(decoder) + _tokenizer(vocabulary)
    write_gguf(path, decoder.architecture, fields, tensors, steps)


def _general(name: str) -> list[Field]:
    return [
        Field("general.type", "string", "model"),
        Field("general.name", "string", name),
        Field("general.file_type", "uint32", int(gguf.LlamaFileType.MOSTLY_F16)),
        Field("general.quantization_version", "uint32", gguf.GGML_QUANT_VERSION),
    ]


def _model(decoder: Decoder) -> list[Field]:
    arch = decoder.architecture
    return [
        Field(f"{arch}.vocab_size", "uint32", decoder.vocabulary),
        Field(f"{arch}.context_length", "uint32", decoder.context),
        Field(f"{arch}.embedding_length", "uint32", decoder.width),
        Field(f"{arch}.block_count", "uint32", decoder.layers),
        Field(f"{arch}.feed_forward_length", "uint32", decoder.feed_forward),
        Field(f"{arch}.attention.head_count", "uint32", decoder.heads),
        Field(f"{arch}.attention.head_count_kv", "uint32", decoder.kv_heads),
        Field(f"{arch}.attention.key_length", "uint32", decoder.head_dim),
        Field(f"{arch}.attention.value_length", "uint32", decoder.head_dim),
        Field(f"{arch}.attention.layer_norm_rms_epsilon", "float32", decoder.norm_eps),
        Field(f"{arch}.rope.dimension_count", "uint32", decoder.head_dim),
        Field(f"{arch}.rope.freq_base", "float32", decoder.rope_theta),
    ]


def _tokenizer(vocabulary: Vocabulary) -> list[Field]:
    fields = [
        Field("tokenizer.ggml.model", "string", "gpt2"),
        Field("tokenizer.ggml.pre", "string", vocabulary.pre),
        Field("tokenizer.ggml.tokens", "string[]", vocabulary.tokens),
        Field("tokenizer.ggml.token_type", "int32[]", vocabulary.types),
        Field("tokenizer.ggml.merges", "string[]", vocabulary.merges),
    ]
    ids = dict(zip(STOP_KEYS, vocabulary.stops, strict=False)) | {
        "tokenizer.ggml.bos_token_id": vocabulary.bos,
        "tokenizer.ggml.padding_token_id": vocabulary.pad,
    }
    fields += [Field(key, "uint32", value) for key, value in ids.items() if value is not None]
    return [
        *fields,
        Field("tokenizer.ggml.add_bos_token", "bool", vocabulary.add_bos),
        Field("tokenizer.chat_template", "string", vocabulary.chat_template),
    ]
