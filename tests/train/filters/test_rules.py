"""Rules that look at one sample: what goes, what stays, and where the line is."""

import string
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from magicvl.errors import UsageError
from magicvl.train.filters.characters import mixed_share, odd_characters, symbol_share
from magicvl.train.filters.repetition import longest_loop, repeated_share, repetition
from magicvl.train.filters.rules import RULES, broken_rule
from magicvl.train.filters.thresholds import Thresholds, read_thresholds
from magicvl.train.samples.sample import Sample, Turn

LINE = Thresholds()


def noise(width: int = 40, height: int = 40) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8))


def sample(answer: str = "A red cup.", prompt: str = "What is this?", picture: object = None) -> Sample:
    return Sample("1", "vqa", "s", (noise() if picture is None else picture,), (Turn(prompt, answer),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        ("empty", sample(" \n ")),
        ("length", sample("word " * 1601)),
        ("length", sample(prompt="why " * 4001)),
        ("length", Sample("1", "text", "s", (), (Turn("a", "b"),) * 65)),
        ("characters", sample("a\x00b")),
        ("characters", sample("a\u202eb")),
        ("characters", sample("\ue000 icon")),
        ("characters", sample("caf\ufffd")),
        ("characters", sample("Prіvate wоrds mіxed")),  # noqa: RUF001 - Cyrillic letters among Latin ones
        ("characters", sample(prompt="#$%^&*()_+{}|:<>?~`-=[];,./ a")),
        ("keywords", sample("Lorem Ipsum dolor")),
        ("keywords", sample("one&nbsp;two")),
        ("keywords", sample("the end<|endoftext|>")),
        ("keywords", sample("Itâ€™s late")),
        ("keywords", sample("cafÃ©")),
        ("refusal", sample("I'm sorry, but I cannot see the picture.")),
        ("refusal", sample("As an AI language model, I have no eyes.")),
        ("refusal", sample("I am unable to view images.")),
        ("repetition", sample("no " * 7)),
        ("repetition", sample("a" * 25)),
        (
            "repetition",
            sample(" ".join(f"{number} cups and plates stand on the table near the wall" for number in range(12))),
        ),
        ("picture", sample(picture=Image.new("RGB", (40, 40), "white"))),
        ("picture", sample(picture=noise(15, 40))),
        ("picture", sample(picture=noise(16, 481))),
        ("picture", sample(picture=Path("gone.png"))),
        ("picture", sample(picture=b"\x89PNG\r\n\x1a\n but no more")),
    ],
)
def test_what_goes(rule: str, bad: Sample) -> None:
    broken = broken_rule(bad, LINE)
    assert broken is not None
    assert broken[0] == rule
    assert RULES[rule](bad, LINE) == broken[1]


@pytest.mark.parametrize(
    "answer",
    [
        "$4.20",
        "-",
        "?",
        "[12, 340, 500, 999]",
        "5 μm, 10 kΩ and 3 °C",
        "Straße, naïve, 東京 or Привет",
        "Tokyo東京2020",
        "مرحبا بالعالم",
        "नमस्ते दुनिया",
        "👩‍👩‍👧 ✅",
        "Name\tPrice\nTea\t2.20\n" + "-" * 60 + "\nTotal\t2.20",
        "one red star, one blue star, one green star, one red square, one blue square and one green square",
        "bye bye bye",
        "It says: I'm sorry, we are closed.",
        "def f(x: int) -> int:\n    return {1: [x]}[1]",
        "<p> is a paragraph",
    ],
)
def test_what_stays(answer: str) -> None:
    assert broken_rule(sample(answer), LINE) is None


@given(st.text(string.ascii_letters + string.digits + " .,", max_size=300))
def test_plain_letters_are_never_odd(text: str) -> None:
    assert odd_characters(text, LINE) is None or symbol_share(text) > LINE.most_symbols
    assert mixed_share(text) == 0


@given(st.lists(st.sampled_from("abcdef"), max_size=40), st.integers(1, 4))
def test_the_share_of_repeated_words_is_a_share(words: list[str], count: int) -> None:
    share = repeated_share(words, count)
    assert 0 <= share < 1
    doubled = repeated_share(words + words, count)
    if len(words) >= count:
        assert doubled >= share
    assert repeated_share([f"{number}" for number in range(len(words))], count) == 0


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=8), st.integers(2, 9), st.lists(st.sampled_from("xyz")))
def test_a_loop_is_found_wherever_it_stands(part: list[str], times: int, before: list[str]) -> None:
    loops, found = longest_loop([*before, *part * times])
    assert loops >= times
    assert 1 <= len(found) <= 8
    assert longest_loop([f"{number}" for number in range(30)]) == (1, [])


@given(st.text(max_size=400))
def test_every_rule_takes_any_text(text: str) -> None:
    anything = Sample("1", "text", "s", (), (Turn(text, text),))
    for rule in RULES.values():
        why = rule(anything, LINE)
        assert why is None or (why and "\n" not in why)


def test_lines_can_be_moved() -> None:
    assert broken_rule(sample("no " * 7), Thresholds(most_loops=7)) is None
    assert broken_rule(sample("I cannot see it."), Thresholds(refusals=())) is None
    assert broken_rule(sample("Lorem ipsum"), Thresholds(keywords=())) is None
    assert broken_rule(sample("yes"), Thresholds(keywords=("YE.",))) == ("keywords", "'yes'")
    assert repetition("very " * 6, Thresholds(most_loops=5)) is not None
    assert broken_rule(sample(picture=Image.new("RGB", (40, 40))), Thresholds(fewest_contrast=0)) is None


def test_a_toml_file_moves_them(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text('most_answer = 100\nmost_symbols = 1\nkeywords = ["foo"]\n')
    found = read_thresholds(path)
    assert found == Thresholds(most_answer=100, most_symbols=1.0, keywords=("foo",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("most = 3", "most: no thresholds; there are most_control"),
        ("most_answer = 'x'", "most_answer = 'x'; a int is due"),
        ("most_answer = 1.5", "most_answer = 1.5; a int is due"),
        ("most_answer = -1", "most_answer = -1; it must be at least 0"),
        ("most_answer = true", "most_answer = True; a int is due"),
        ("keywords = 'x'", "keywords = 'x'; a list of regular expressions is due"),
        ("keywords = ['(']", r"'\(' is no regular expression"),
        ("same_text = 2.0", "same_text = 2.0: it must be above 0"),
        ("same_picture = 500", "same_picture = 500: it must be 0 to 128 bits"),
        ("permutations = 1", "permutations = 1: it must be 16 to 1024"),
        ("shingle = 0", "shingle = 0: it must be at least 1"),
        ("= 3", "it can't be read as TOML"),
    ],
)
def test_a_wrong_toml_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_thresholds(tmp_path / "t.toml")
