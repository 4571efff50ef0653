"""Perplexities are those of a plain loop through transformers, whatever the model came in."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from magicvl.errors import BundleError, CheckpointError
from magicvl.train.complexity.answer_nats import answer_nats
from magicvl.train.complexity.conversation import Speech, encode
from magicvl.train.complexity.language import load_language
from magicvl.train.samples.sample import Turn

TURNS = (
    Turn("What is in the picture?", "There are three red stars."),
    Turn("And the number on the sign?", "1905"),
)


def by_hand(model: Any, tokenizer: Any, turns: Sequence[Turn]) -> list[float]:
    """Perplexity of each answer, a token at a time: the whole conversation before it is read anew for each."""
    said: list[dict[str, str]] = []
    found: list[float] = []
    for turn in turns:
        said.append({"role": "user", "content": turn.prompt})
        before = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
        ids = tokenizer(before, add_special_tokens=False).input_ids
        nats = []
        for token in tokenizer(turn.answer, add_special_tokens=False).input_ids:
            with torch.no_grad():
                chances = model(torch.tensor([ids])).logits[0, -1].softmax(-1)
            nats.append(-math.log(float(chances[token])))
            ids = [*ids, token]
        found.append(min(math.exp(sum(nats) / len(nats)), model.config.vocab_size))
        said.append({"role": "assistant", "content": turn.answer})
    return found


def test_perplexity_against_a_plain_loop(
    tiny_llm: Path, tiny_llm_model: Any, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    language = load_language(tiny_llm)
    each = by_hand(tiny_llm_model, tiny_tokenizer, TURNS)
    read = language.read(TURNS)
    assert read.perplexity == pytest.approx(sum(each) / 2, rel=1e-4)
    assert language.read(TURNS[:1]).perplexity == pytest.approx(each[0], rel=1e-4)
    tokens = [len(tiny_tokenizer(turn.answer).input_ids) for turn in TURNS]
    assert read.length == sum(tokens) / 2
    both = [tiny_tokenizer(turn.prompt).input_ids + tiny_tokenizer(turn.answer).input_ids for turn in TURNS]
    assert read.diversity == pytest.approx(sum(len(set(ids)) / len(ids) for ids in both) / 2)


def test_all_logits_or_those_of_the_answers_give_the_same(
    tiny_llm_model: Any, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    class Plain:
        device = torch.device("cpu")

        def forward(self) -> None: ...

        def __call__(self, input_ids: torch.Tensor, use_cache: bool) -> Any:
            return tiny_llm_model(input_ids=input_ids, use_cache=use_cache)

    speech = Speech(lambda text: list(tiny_tokenizer(text.text).input_ids))
    encoded = encode((*TURNS, Turn("Empty?", "")), speech)
    kept, every = answer_nats(tiny_llm_model, encoded), answer_nats(Plain(), encoded)
    assert [tokens for _, tokens in kept] == [end - begin for begin, end in encoded.answers]
    assert kept[2] == (0.0, 0)
    assert [nats for nats, _ in kept] == pytest.approx([nats for nats, _ in every], rel=1e-5)


def test_without_a_template_prompt_and_answer_are_lines(
    tiny_llm_model: Any, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    def ids(text: str) -> list[int]:
        return list(tiny_tokenizer(text).input_ids)

    encoded = encode(TURNS, Speech(lambda text: ids(text.text), bos="<|user|>"))
    first, second = TURNS
    begin = len(ids(f"<|user|>{first.prompt}\n"))
    assert encoded.answers[0] == (begin, begin + len(ids(first.answer)))
    lines = ["<|user|>", f"{first.prompt}\n", first.answer, "\n", f"{second.prompt}\n", second.answer, "\n"]
    assert list(encoded.ids) == [token for line in lines for token in ids(line)]


def test_words_that_look_special_are_words(tiny_llm: Path, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    language = load_language(tiny_llm)
    assert len(language.tokens("<|end|>")) > 1
    assert len(tiny_tokenizer("<|end|>").input_ids) == 1


def test_what_cannot_be_read(tiny_llm_model: Any, tiny_tokenizer: PreTrainedTokenizerFast, tiny_llm: Path) -> None:
    language = load_language(tiny_llm)
    assert language.read((Turn("Nothing?", ""),)).perplexity is None
    long = language.read((Turn("Say much.", "a red circle " * 9000),))
    assert long.perplexity is None
    assert long.length is not None
    assert long.length > 8192


def test_a_magicvl_checkpoint_and_its_gguf_say_the_same(
    tiny_checkpoint: Path, tiny_bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ours = load_language(tiny_checkpoint).read(TURNS)
    stored = load_language(tiny_bundle / "llm.gguf").read(TURNS)
    assert (stored.length, stored.diversity) == (ours.length, ours.diversity)
    assert stored.perplexity == pytest.approx(ours.perplexity, rel=0.02)
    assert capfd.readouterr().err == ""


def test_what_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("not a model")
    (tmp_path / "config.json").write_text('{"model_type": "none-of-these"}')
    for path, kind in ((tmp_path / "none", CheckpointError), (tmp_path / "text.gguf", BundleError)):
        with pytest.raises(kind) as error:
            load_language(path)
        assert "\n" not in str(error.value)
    with pytest.raises(CheckpointError, match="cannot be loaded as a causal LM"):
        load_language(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"it has no config\.json"):
        load_language(tmp_path)
