"""Token ids of llama.cpp and of transformers are the same, and tokenizers it would get wrong are refused."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from magicvl.convert.bundle import convert
from magicvl.convert.vocabulary import PRE_TOKENIZERS, UNUSED, USER_DEFINED, read_vocabulary
from magicvl.edge.decoding import NFC_PRE_TOKENIZERS
from magicvl.edge.llama import Model
from magicvl.errors import CheckpointError

TEXTS = [
    "",
    " ",
    "What is in the picture?",
    "  two  spaces\t tab\n\n\nlines \r\n end ",
    "1905 3.14159 1,000,000 ٣٤٥ ½ Ⅷ x²",
    "it's, I'LL, they've, we'd, 'tis 're",
    "Straße naïve 東京の天気 Привет мир مرحبا नमस्ते ខ្មែរ",
    "🙂👩‍👩‍👧‍👦🇫🇷 ✅ e\u0301 \u200d \ufeff",
    "def f(x: int) -> int:\n    return x**2  # <b>&amp;</b>\n",
    "<|end|> <|user|>hi<|assistant|> <|image|><|nothing|> <|end|",
    "NUL \x00 and bell \x07",
    "WE'LL I'Re 'S ''d \u00a0\u3000 x \t\r\n\n  if  12345678 4 x\u0308 \u1100\u1161 \u00c5 \u212b",
]


@pytest.fixture(scope="module")
def model(tiny_bundle: Path) -> Iterator[Model]:
    with Model(tiny_bundle / "llm.gguf") as loaded:
        yield loaded


def hugging_face(tokenizer: PreTrainedTokenizerFast, text: str, special: bool) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False, split_special_tokens=not special).input_ids
    return ids


@pytest.mark.parametrize("special", [True, False], ids=["template text", "user text"])
@pytest.mark.parametrize("text", TEXTS)
def test_ids_are_equal(text: str, special: bool, model: Model, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    assert model.tokenise(text, special=special) == hugging_face(tiny_tokenizer, text, special)


@settings(deadline=None)
@given(text=st.text(st.characters(codec="utf-8"), max_size=40), special=st.booleans())
def test_ids_are_equal_for_any_text(
    text: str, special: bool, model: Model, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    assert model.tokenise(text, special=special) == hugging_face(tiny_tokenizer, text, special)


def test_user_text_spells_no_special_token(model: Model) -> None:
    assert set(model.tokenise("<|end|><|image|>", special=False)).isdisjoint(range(8))
    assert model.tokenise("<|end|><|image|>", special=True) == [2, 7]


def test_generation_ends_where_the_model_says(model: Model) -> None:
    assert [token for token in range(model.tokens) if model.ends(token)] == [2]


def build(pre_tokenizer: pre_tokenizers.PreTokenizer, **more: Any) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=340,
        special_tokens=["<|end|>", "<|image|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["In 1905 and in 1984 there were 1905 words, 42 1905 1984"] * 9, trainer)
    if more:
        tokenizer = Tokenizer.from_str(json.dumps(changed(json.loads(tokenizer.to_str()), **more)))
    tokenizer.add_tokens([AddedToken("[user made]", special=False, normalized=False)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", bos_token="<|image|>")
    fast.chat_template = "{{ messages }}"
    return fast


def changed(data: dict[str, Any], *, normalizer: dict[str, str] | None, ignore_merges: bool) -> dict[str, Any]:
    """A tokenizer.json with a token in it that no merge leads to."""
    vocab = data["model"]["vocab"] | {"\u0120unreachable": len(data["model"]["vocab"])}
    model = data["model"] | {"ignore_merges": ignore_merges, "vocab": vocab}
    return data | {"normalizer": normalizer, "model": model}


WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|NUMBERS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""As Qwen2's and Llama 3's own files have it."""
SPLITS = {"qwen2": (r"\p{N}", {"type": "NFC"}), "llama-bpe": (r"\p{N}{1,3}", None)}
# What this Python's Unicode does not know, the two libraries may not know alike; the long s: see PRE_TOKENIZERS.
KNOWN = st.characters(codec="utf-8", exclude_categories=["Cn"], exclude_characters="\u017f")


@pytest.fixture(scope="module", params=SPLITS)
def split(
    request: pytest.FixtureRequest,
    build_tiny: Callable[..., Any],
    save_tiny: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, PreTrainedTokenizerFast, Model, Path]]:
    numbers, normalizer = SPLITS[request.param]
    steps = [
        pre_tokenizers.Split(Regex(WORDS.replace("NUMBERS", numbers)), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
    tokenizer = build(pre_tokenizers.Sequence(steps), normalizer=normalizer, ignore_merges=request.param == "llama-bpe")
    place = tmp_path_factory.mktemp("split")
    save_tiny(build_tiny(image_token_id=1, text={"eos_token_id": 0}), place / "checkpoint", tokenizer=tokenizer)
    convert(place / "checkpoint", place / "bundle")
    with Model(place / "bundle" / "llm.gguf") as loaded:
        yield request.param, tokenizer, loaded, place / "checkpoint"


def test_split_regexes_are_known(split: tuple[str, PreTrainedTokenizerFast, Model, Path]) -> None:
    name, tokenizer, model, checkpoint = split
    assert read_vocabulary(checkpoint, 384).pre == name
    for text in [*TEXTS, "1905[user made]1984", " unreachable", "a unreachable star"]:
        for special in (True, False):
            expected = hugging_face(tokenizer, text, special)
            assert model.tokenise(text, special=special) == expected, text
    whole = len(model.tokenise(" unreachable", special=False)) == 1
    assert whole == (name == "llama-bpe")
    composed = model.tokenise("e\u0301", special=False) == model.tokenise("\u00e9", special=False)
    assert composed == (name in NFC_PRE_TOKENIZERS)


@settings(deadline=None)
@given(text=st.text(KNOWN, max_size=40), special=st.booleans())
def test_split_ids_are_equal_for_any_text(
    text: str, special: bool, split: tuple[str, PreTrainedTokenizerFast, Model, Path]
) -> None:
    _, tokenizer, model, _ = split
    assert model.tokenise(text, special=special) == hugging_face(tokenizer, text, special)


def test_the_runtime_side_knows_which_vocabularies_compose() -> None:
    forms = {name: known.normaliser for name, known in PRE_TOKENIZERS.items()}
    assert set(forms.values()) <= {None, "NFC"}
    assert {name for name, form in forms.items() if form} == NFC_PRE_TOKENIZERS


def test_gpt2_added_tokens_and_unused_rows(
    build_tiny: Callable[..., Any], save_tiny: Callable[..., Path], tmp_path: Path
) -> None:
    """Numbers of several digits in one token, an added token that is not special, rows without a token."""
    tokenizer = build(pre_tokenizers.ByteLevel(add_prefix_space=False))
    model = build_tiny(image_token_id=1, text={"eos_token_id": 0})
    checkpoint = save_tiny(model, tmp_path / "checkpoint", tokenizer=tokenizer)
    convert(checkpoint, tmp_path / "bundle")
    found = read_vocabulary(checkpoint, 384)
    assert found.pre == "gpt-2"
    made = found.tokens.index("[user made]")
    assert found.types[made:] == [USER_DEFINED] + [UNUSED] * (383 - made)
    assert (found.eos, found.bos, found.pad, found.add_bos) == (0, 1, None, False)
    with Model(tmp_path / "bundle" / "llm.gguf") as loaded:
        for text in [*TEXTS, "1905[user made]1984", "[user made"]:
            for special in (True, False):
                expected = hugging_face(tokenizer, text, special)
                assert loaded.tokenise(text, special=special) == expected, text
    assert len(hugging_face(tokenizer, "1905", True)) < 4


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("pre_tokenizer", {"type": "Whitespace"}, "byte-level BPE as GPT-2"),
        ("pre_tokenizer", None, "byte-level BPE as GPT-2"),
        ("pre_tokenizer", {"type": "ByteLevel", "add_prefix_space": True, "use_regex": True}, "is not known"),
        ("normalizer", {"type": "NFC"}, 'normalizer {"type": "NFC"} beside the pre-tokenizer smollm'),
        ("model.type", "Unigram", "no BPE model"),
        ("model.ignore_merges", True, "ignore_merges is True beside"),
        ("model.byte_fallback", True, "byte_fallback"),
        ("model.merges", [["a", "b c"]], "no pair"),
        ("added_tokens.0.lstrip", True, "lstrip"),
    ],
)
def test_tokenizers_that_would_differ_are_refused(
    path: str, value: object, message: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    for name in ("tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        shutil.copy(tiny_checkpoint / name, tmp_path)
    data = json.loads((tiny_checkpoint / "tokenizer.json").read_text())
    *parents, last = path.split(".")
    place = data
    for step in parents:
        place = place[int(step)] if step.isdigit() else place[step]
    place[last] = value
    (tmp_path / "tokenizer.json").write_text(json.dumps(data))
    with pytest.raises(CheckpointError) as caught:
        read_vocabulary(tmp_path, 384)
    assert message in str(caught.value)


def test_a_vocabulary_larger_than_the_table(tiny_checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="ids up to 383, the embedding table 300 rows"):
        read_vocabulary(tiny_checkpoint, 300)


def test_the_chat_template_of_older_checkpoints(tiny_checkpoint: Path, tmp_path: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_checkpoint / name, tmp_path)
    with pytest.raises(CheckpointError, match="no chat template"):
        read_vocabulary(tmp_path, 384)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    for template in ("{{ x }}", [{"name": "default", "template": "{{ x }}"}]):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": template}))
        assert read_vocabulary(tmp_path, 384).chat_template == "{{ x }}"
