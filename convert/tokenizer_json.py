"""The way back of magicvl.convert.vocabulary: a GGUF vocabulary to the tokenizer files of a checkpoint."""

import json
from pathlib import Path
from typing import Any

from magicvl.convert.vocabulary import CONTROL, PRE_TOKENIZERS, STOP_KEYS, UNUSED, USER_DEFINED, Vocabulary
from magicvl.edge.gguf_check import GgufFile
from magicvl.errors import BundleError

_TRIM = {"trim_offsets": True}


def vocabulary_from_gguf(file: GgufFile) -> Vocabulary:
    """The vocabulary of an `llm.gguf`. Raises BundleError for one that is no byte-level BPE of ours."""
    if (model := file.text("tokenizer.ggml.model")) != "gpt2":
        raise BundleError(f"{file.path}: tokenizer model {model!r}; byte-level BPE (gpt2) can be restored")
    if (pre := file.text("tokenizer.ggml.pre")) not in PRE_TOKENIZERS:
        raise BundleError(f"{file.path}: pre-tokenizer {pre!r}; {', '.join(PRE_TOKENIZERS)} can be restored")
    tokens = list(file.texts("tokenizer.ggml.tokens"))
    types = file.metadata.get("tokenizer.ggml.token_type")
    if not isinstance(types, tuple) or len(types) != len(tokens):
        raise BundleError(f"{file.path}: tokenizer.ggml.token_type does not belong to its {len(tokens):,} tokens")
    stops = [file.integer(key) for key in STOP_KEYS if key in file.metadata]
    bos, pad, unk = (_optional(file, f"tokenizer.ggml.{role}_token_id") for role in ("bos", "padding", "unknown"))
    if not stops or any(not 0 <= index < len(tokens) for index in (*stops, bos or 0, pad or 0, unk or 0)):
        raise BundleError(f"{file.path}: the token that ends an answer is missing, or a special id is out of range")
    return Vocabulary(
        tokens=tokens,
        types=[int(kind) for kind in types],
        merges=list(file.texts("tokenizer.ggml.merges")),
        pre=pre,
        eos=stops[0],
        bos=bos,
        pad=pad,
        unk=unk,
        stops=stops,
        add_bos=bool(file.metadata.get("tokenizer.ggml.add_bos_token", False)),
        chat_template=file.text("tokenizer.chat_template"),
    )


def write_tokenizer(vocabulary: Vocabulary, directory: Path) -> None:
    """Writes tokenizer.json, tokenizer_config.json, chat_template.jinja and generation_config.json."""
    tokens = vocabulary.tokens
    special = {
        "eos_token": vocabulary.eos,
        "bos_token": vocabulary.bos,
        "pad_token": vocabulary.pad,
        "unk_token": vocabulary.unk,
    }
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
    }
    settings |= {role: tokens[index] for role, index in special.items() if index is not None}
    ids = {
        "bos_token_id": vocabulary.bos,
        "eos_token_id": vocabulary.stops if len(vocabulary.stops) > 1 else vocabulary.eos,
        "pad_token_id": vocabulary.pad,
    }
    generation = {key: value for key, value in ids.items() if value is not None}
    write_json(directory / "tokenizer.json", tokenizer_json(vocabulary))
    write_json(directory / "tokenizer_config.json", settings)
    write_json(directory / "generation_config.json", generation)
    (directory / "chat_template.jinja").write_text(vocabulary.chat_template, encoding="utf-8")


def tokenizer_json(vocabulary: Vocabulary) -> dict[str, Any]:
    """The object that the tokenizers library loads."""
    kind = PRE_TOKENIZERS[vocabulary.pre]
    steps = [step | (_TRIM if step["type"] == "ByteLevel" else {}) for step in kind.steps]
    pairs = list(enumerate(zip(vocabulary.tokens, vocabulary.types, strict=True)))
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(i, token, kind) for i, (token, kind) in pairs if kind in (CONTROL, USER_DEFINED)],
        "normalizer": kind.normaliser and {"type": kind.normaliser},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps} if len(steps) > 1 else steps[0],
        "post_processor": _post_processor(vocabulary),
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": kind.ignore_merges,
            "vocab": {token: i for i, (token, kind) in pairs if kind != UNUSED},
            "merges": [merge.split(" ") for merge in vocabulary.merges],
        },
    }


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Writes an object as people like to read it."""
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _added(index: int, token: str, kind: int) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": index, "content": token, **flags, "special": kind == CONTROL}


def _post_processor(vocabulary: Vocabulary) -> dict[str, Any] | None:
    if not vocabulary.add_bos or vocabulary.bos is None:
        return None
    bos = vocabulary.tokens[vocabulary.bos]
    first = {"SpecialToken": {"id": bos, "type_id": 0}}
    text, second = ({"Sequence": {"id": name, "type_id": i}} for i, name in enumerate("AB"))
    return {
        "type": "TemplateProcessing",
        "single": [first, text],
        "pair": [first, text, {"SpecialToken": {"id": bos, "type_id": 1}}, second],
        "special_tokens": {bos: {"id": bos, "ids": [vocabulary.bos], "tokens": [bos]}},
    }


def _optional(file: GgufFile, key: str) -> int | None:
    return file.integer(key) if key in file.metadata else None
