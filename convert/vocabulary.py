"""The tokenizer, from tokenizer.json to what llama.cpp reads: tokens, merges, types, special ids.

The pre-tokenizer is recognised by its structure, never by a hash of what it does to a sample text.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magicvl.convert.checkpoint import read_json, read_json_if_there
from magicvl.errors import CheckpointError

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5
"""llama.cpp's token types."""

BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
DIGITS = {"type": "Digits", "individual_digits": True}
PRE_TOKENIZERS: dict[str, list[dict[str, Any]]] = {
    "smollm": [DIGITS, BYTE_LEVEL],
    "gpt-2": [BYTE_LEVEL],
}
"""llama.cpp's name of a pre-tokenizer, and its steps as tokenizer.json has them."""


IMAGE_TOKEN = "<|image|>"
"""The processor's default placeholder for one visual token."""
STOP_KEYS = ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id")
"""Where the ids that end an answer go, in order: llama.cpp stops at each of them."""


@dataclass(frozen=True)
class Vocabulary:
    """A byte-level BPE vocabulary as GGUF holds it."""

    tokens: list[str]
    types: list[int]
    merges: list[str]
    """Both parts with a space between, highest priority first."""
    pre: str
    """The key of PRE_TOKENIZERS."""
    eos: int
    bos: int | None
    pad: int | None
    stops: list[int]
    """Every id at which generation ends, `eos` among them."""
    add_bos: bool
    chat_template: str


def read_vocabulary(directory: Path, rows: int) -> Vocabulary:
    """Reads the tokenizer of a checkpoint; `rows` is the length of the embedding table.

    Ids without a token become unused pads. Raises CheckpointError for anything that llama.cpp would tokenise
    otherwise than transformers does.
    """
    data = read_json(directory / "tokenizer.json")
    settings = read_json_if_there(directory / "tokenizer_config.json")
    _check_model(data, directory)
    added = _added_tokens(data, directory)
    tokens, types = _token_list(data["model"]["vocab"], added, rows, directory)
    ids = {token: i for i, token in enumerate(tokens)}
    bos, eos, pad = (_special_id(settings, role, ids, directory) for role in ("bos", "eos", "pad"))
    stops = _stops(directory, eos, tokens, types)
    return Vocabulary(
        tokens=tokens,
        types=types,
        merges=_merges(data["model"]["merges"], directory),
        pre=_pre_tokenizer(data.get("pre_tokenizer"), directory),
        eos=stops[0],
        bos=bos,
        pad=pad,
        stops=stops,
        add_bos=bos is not None and _adds_bos(data, settings, tokens[bos]),
        chat_template=_chat_template(directory, settings),
    )


def check_image_token(vocabulary: Vocabulary, token: str, wanted: int | None, directory: Path) -> None:
    """Model and processor must mean the same placeholder. Raises CheckpointError."""
    found = vocabulary.tokens.index(token) if token in vocabulary.tokens else None
    if found is None or found != wanted:
        where = "not in the vocabulary" if found is None else f"token {found}"
        raise CheckpointError(
            f"{directory}: image_token {token!r} of processor_config.json is {where}, "
            f"image_token_id of config.json is {wanted!r}"
        )


def _check_model(data: dict[str, Any], directory: Path) -> None:
    model = data.get("model")
    if not isinstance(model, dict) or model.get("type") != "BPE":
        raise CheckpointError(f"{directory}: tokenizer.json holds no BPE model; byte-level BPE can be converted")
    if not model.get("merges") or not isinstance(model.get("vocab"), dict):
        raise CheckpointError(f"{directory}: tokenizer.json lacks the vocabulary or its merges")
    odd = [
        key
        for key in (
            "dropout",
            "unk_token",
            "continuing_subword_prefix",
            "end_of_word_suffix",
            "fuse_unk",
            "byte_fallback",
            "ignore_merges",
        )
        if model.get(key)
    ]
    if data.get("normalizer") is not None:
        odd.append("normalizer")
    if odd:
        raise CheckpointError(
            f"{directory}: tokenizer.json sets {', '.join(odd)}, which the runtime's BPE would ignore"
        )


def _pre_tokenizer(found: Any, directory: Path) -> str:
    steps = found.get("pretokenizers", [found]) if isinstance(found, dict) else []
    for name, wanted in PRE_TOKENIZERS.items():
        if len(steps) == len(wanted) and all(map(_same_step, steps, wanted)):
            return name
    raise CheckpointError(
        f"{directory}: pre-tokenizer {json.dumps(found)} is not known; byte-level BPE as GPT-2 has it "
        f"(ByteLevel) and as SmolLM2 has it (individual Digits, then ByteLevel) can be converted"
    )


def _same_step(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    # `use_regex` came later than ByteLevel; where it is missing, it is true.
    return all(found.get(key, True if key == "use_regex" else None) == value for key, value in wanted.items())


def _added_tokens(data: dict[str, Any], directory: Path) -> dict[int, dict[str, Any]]:
    added = {int(entry["id"]): entry for entry in data.get("added_tokens", ())}
    if odd := [
        entry["content"]
        for entry in added.values()
        if entry.get("single_word") or entry.get("lstrip") or entry.get("rstrip")
    ]:
        raise CheckpointError(
            f"{directory}: added tokens {odd} depend on what stands beside them (single_word, lstrip or "
            f"rstrip), which the runtime does not know"
        )
    return added


def _token_list(
    vocab: dict[str, int], added: dict[int, dict[str, Any]], rows: int, directory: Path
) -> tuple[list[str], list[int]]:
    by_id = {index: token for token, index in vocab.items()} | {i: str(e["content"]) for i, e in added.items()}
    if by_id and max(by_id) >= rows:
        raise CheckpointError(
            f"{directory}: the tokenizer has ids up to {max(by_id)}, the embedding table {rows} rows; resize it"
        )
    tokens, types = [], []
    for i in range(rows):
        tokens.append(by_id.get(i, f"[PAD{i}]"))
        if i not in by_id:
            types.append(UNUSED)
        elif i in added:
            types.append(CONTROL if added[i].get("special") else USER_DEFINED)
        else:
            types.append(NORMAL)
    if twice := sorted(token for token, count in Counter(tokens).items() if count > 1):
        raise CheckpointError(f"{directory}: tokens that have two ids: {twice}")
    return tokens, types


def _merges(merges: Iterable[str | list[str]], directory: Path) -> list[str]:
    """Older files have `"a b"`, newer ones `["a", "b"]`; byte-level tokens hold no space themselves."""
    joined = [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
    if odd := [merge for merge in joined if merge.count(" ") != 1]:
        raise CheckpointError(f"{directory}: merges that are no pair of byte-level tokens: {odd[:5]}")
    return joined


def _special_id(settings: dict[str, Any], role: str, ids: dict[str, int], directory: Path) -> int | None:
    value = settings.get(f"{role}_token")
    text = value.get("content") if isinstance(value, dict) else value
    if text is None:
        return None
    if text not in ids:
        raise CheckpointError(f"{directory}: {role}_token {text!r} of tokenizer_config.json is not in the vocabulary")
    return ids[text]


def _stops(directory: Path, eos: int | None, tokens: list[str], types: list[int]) -> list[int]:
    """The ids that end generation: the tokenizer's, then those of generation_config.json."""
    found = read_json_if_there(directory / "generation_config.json").get("eos_token_id")
    more = [] if found is None else found if isinstance(found, list) else [found]
    stops = list(dict.fromkeys([*([] if eos is None else [eos]), *more]))
    if not stops:
        raise CheckpointError(
            f"{directory}: nothing ends an answer; set eos_token in tokenizer_config.json "
            f"or eos_token_id in generation_config.json"
        )
    for stop in stops:
        if not isinstance(stop, int) or not 0 <= stop < len(tokens):
            raise CheckpointError(f"{directory}: eos_token_id {stop!r} is not in the vocabulary of {len(tokens)}")
        if types[stop] == NORMAL:
            # LlamaConfig's default eos is 2, whatever token that may be.
            raise CheckpointError(
                f"{directory}: generation_config.json ends answers at token {stop} ({tokens[stop]!r}), an "
                f"ordinary token; set its eos_token_id to the token that ends a turn"
            )
    if len(stops) > len(STOP_KEYS):
        raise CheckpointError(
            f"{directory}: {len(stops)} tokens end an answer {[tokens[stop] for stop in stops]}; "
            f"GGUF has room for {len(STOP_KEYS)}"
        )
    return stops


def _adds_bos(data: dict[str, Any], settings: dict[str, Any], bos: str) -> bool:
    if "add_bos_token" in settings:
        return bool(settings["add_bos_token"])
    post = data.get("post_processor") or {}
    steps = [step for part in post.get("processors", [post]) for step in part.get("single", ())]
    first = steps[0].get("SpecialToken", {}) if steps and isinstance(steps[0], dict) else {}
    return bool(first.get("id") == bos)


def _chat_template(directory: Path, settings: dict[str, Any]) -> str:
    file = directory / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    value = settings.get("chat_template")
    if isinstance(value, list):
        value = {entry.get("name"): entry.get("template") for entry in value}.get("default")
    if not isinstance(value, str) or not value:
        raise CheckpointError(f"{directory}: no chat template, neither {file.name} nor in tokenizer_config.json")
    return value
