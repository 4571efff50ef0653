"""The nano vocabulary spells anything, and keeps special tokens out of what users write."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from magicvl.train.nano.vocabulary import build_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer(1024)


@given(text=st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_text_round_trips(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text


def test_digits_stand_alone_and_question_words_are_whole(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.tokenize("4821") == ["4", "8", "2", "1"]
    assert tokenizer.tokenize("What colour is the star?") == ["What", "Ġcolour", "Ġis", "Ġthe", "Ġstar", "?"]


def test_building_is_deterministic(tokenizer: PreTrainedTokenizerFast) -> None:
    assert build_tokenizer(1024).get_vocab() == tokenizer.get_vocab()
