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


@dataclass(frozen=True)
class PreTokenizer:
    """What tokenizer.json holds where the runtime knows the same by a name."""

    steps: tuple[dict[str, Any], ...]
    """How a text is cut into words."""
    normaliser: str | None = None
    """The Unicode form that a text is brought into first. The runtime does not: magicvl.edge.llama does."""
    ignore_merges: bool = False
    """Whether a word that is a token of its own stays whole, whatever the merges say."""


_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
_BYTES_ONLY = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
_DIGITS = {"type": "Digits", "individual_digits": True}


def _words(numbers: str) -> dict[str, Any]:
    """The words of Llama 3 and Qwen2, which differ in the most digits of one word."""
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
        + numbers
        + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


PRE_TOKENIZERS = {
    "smollm": PreTokenizer((_DIGITS, _BYTE_LEVEL)),
    "gpt-2": PreTokenizer((_BYTE_LEVEL,)),
    "qwen2": PreTokenizer((_words(r"\p{N}"), _BYTES_ONLY), normaliser="NFC"),
    "llama-bpe": PreTokenizer((_words(r"\p{N}{1,3}"), _BYTES_ONLY), ignore_merges=True),
    "lfm2": PreTokenizer((_words(r"\p{N}{1,3}"), _BYTES_ONLY), ignore_merges=True),
}
"""The runtime's name of a pre-tokenizer, and what tokenizer.json has for it. `lfm2` is Llama 3's in files of LFM2.

For `qwen2` the ids were compared on 175,975 code points in five contexts, for the others on texts of several languages.
One assigned character differs: after an apostrophe transformers takes U+017F, the long s, for an s. Letters that newer
versions of Unicode added may be cut otherwise.
"""


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
    unk: int | None
    """What stands for text that cannot be spelled; byte-level BPE spells everything."""
    stops: list[int]
    """Every id at which generation ends, `eos` among them."""
    add_bos: bool
    chat_template: str


def read_vocabulary(
    directory: Path, rows: int, *, extra_tokens: Iterable[str] = (), chat_template: str | None = None
) -> Vocabulary:
    """Reads the tokenizer of a checkpoint; `rows` is the length of the embedding table.

    `extra_tokens` are special tokens that the model appends to the tokenizer's, as transformers numbers them;
    `chat_template` stands in for the tokenizer's. Ids without a token become unused pads. Raises CheckpointError for
    anything that llama.cpp would tokenise otherwise than transformers does.
    """
    data = read_json(directory / "tokenizer.json")
    settings = read_json_if_there(directory / "tokenizer_config.json")
    _check_model(data, directory)
    added = _added_tokens(data, directory)
    _append(extra_tokens, data["model"]["vocab"], added)
    tokens, types = _token_list(data["model"]["vocab"], added, rows, directory)
    ids = {token: i for i, token in enumerate(tokens)}
    bos, eos, pad = (_special_id(settings, role, ids, directory) for role in ("bos", "eos", "pad"))
    stops = _stops(directory, eos, tokens, types)
    return Vocabulary(
        tokens=tokens,
        types=types,
        merges=_merges(data["model"]["merges"], directory),
        pre=_pre_tokenizer(data, directory),
        eos=stops[0],
        bos=bos,
        pad=pad,
        unk=ids.get(_special_text(settings, "unk") or ""),
        stops=stops,
        add_bos=bos is not None and _adds_bos(data, settings, tokens[bos]),
        chat_template=_chat_template(directory, settings) if chat_template is None else chat_template,
    )


def read_chat_template(directory: Path) -> str:
    """The chat template of a tokenizer. Raises CheckpointError where there is none."""
    return _chat_template(directory, read_json_if_there(directory / "tokenizer_config.json"))


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
        )
        if model.get(key)
    ]
    if odd:
        raise CheckpointError(
            f"{directory}: tokenizer.json sets {', '.join(odd)}, which the runtime's BPE would ignore"
        )


def _pre_tokenizer(data: dict[str, Any], directory: Path) -> str:
    found = data.get("pre_tokenizer")
    steps = found.get("pretokenizers", [found]) if isinstance(found, dict) else []
    for name, known in PRE_TOKENIZERS.items():
        if len(steps) == len(known.steps) and all(map(_same_step, steps, known.steps)):
            _check_beside(data, name, known, directory)
            return name
    raise CheckpointError(
        f"{directory}: pre-tokenizer {json.dumps(found)} is not known; byte-level BPE as GPT-2, SmolLM2, Qwen2 "
        f"and Llama 3 have it can be converted"
    )


def _check_beside(data: dict[str, Any], name: str, known: PreTokenizer, directory: Path) -> None:
    """The runtime takes these from the pre-tokenizer's name, so they must be what the name means."""
    normaliser = data.get("normalizer")
    due = known.normaliser and {"type": known.normaliser}
    if normaliser != due:
        raise CheckpointError(
            f"{directory}: normalizer {json.dumps(normaliser)} beside the pre-tokenizer {name}; "
            f"{json.dumps(due)} can be converted"
        )
    if (merges := bool(data["model"].get("ignore_merges"))) != known.ignore_merges:
        raise CheckpointError(
            f"{directory}: ignore_merges is {merges} beside the pre-tokenizer {name}; "
            f"{known.ignore_merges} can be converted"
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


def _append(extra: Iterable[str], vocab: dict[str, int], added: dict[int, dict[str, Any]]) -> None:
    """Gives each token that is not there yet the next free id, as transformers' add_special_tokens does."""
    known = set(vocab) | {str(entry["content"]) for entry in added.values()}
    following = max([*vocab.values(), *added], default=-1) + 1
    for token in extra:
        if token not in known:
            added[following] = {"id": following, "content": token, "special": True}
            following += 1


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


def _special_text(settings: dict[str, Any], role: str) -> str | None:
    value = settings.get(f"{role}_token")
    text = value.get("content") if isinstance(value, dict) else value
    return None if text is None else str(text)


def _special_id(settings: dict[str, Any], role: str, ids: dict[str, int], directory: Path) -> int | None:
    text = _special_text(settings, role)
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
