from pathlib import Path

import pytest

from magicvl.errors import SampleError
from magicvl.train.assets import packages
from magicvl.train.assets.names import Named, find_name, group_of, phrase_of
from magicvl.train.assets.nouns import Nouns, read_nouns


@pytest.fixture(scope="module")
def nouns(made_up_roots: dict[str, Path]) -> Nouns:
    return read_nouns(made_up_roots[packages.WORDNET.name])


def test_reads_senses_words_and_parts(nouns: Nouns) -> None:
    assert nouns.senses[60].words == ("car", "auto", "automobile")
    assert nouns.senses[60].parts == (70,)
    assert nouns.chain(40) == {40, 30, 10, 1}
    assert nouns.senses[120].named
    assert nouns.exceptions == {"mice": "mouse"}


@pytest.mark.parametrize(
    ("phrase", "singular"),
    [("dogs", "dog"), ("mice", "mouse"), ("acoustic guitars", "acoustic guitar"), ("dog", "dog"), ("dogma", None)],
)
def test_singular(nouns: Nouns, phrase: str, singular: str | None) -> None:
    assert nouns.singular(phrase) == singular


def test_only_what_can_be_seen_has_a_sense(nouns: Nouns) -> None:
    assert nouns.sense("dog") == 20
    assert nouns.sense("red") is None
    assert nouns.sense("paris") is None


def test_missing_files_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="WordNet's nouns can't be read"):
        read_nouns(tmp_path)


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("A blue jay.", "blue jay"),
        ("A pair of cherries.", "cherries"),
        ("A laptop computer.  Tap. Tap. Tap.", "laptop computer"),
        ("Two wild boars.", "wild boars"),
        ("A “Fuji” apple.", "fuji apple"),
        ("A peacock (a male peafowl).", "peacock"),
        ("An iron for ironing clothes.", "iron"),
        ("magnifying_glass_03", "magnifying glass"),
        ("A t shirt.", "t shirt"),
        ("hot-air balloon", "hot air balloon"),
    ],
)
def test_phrase(text: str, phrase: str) -> None:
    assert phrase_of(text) == phrase


@pytest.mark.parametrize(
    ("text", "noun"),
    [
        ("A very happy dog!", "dog"),
        ("An acoustic guitar.", "acoustic guitar"),
        ("Some mice", "mouse"),
        ("Very Red", None),
        ("A pair of sunglasses.", "sunglasses"),
    ],
)
def test_name_of_a_caption(nouns: Nouns, text: str, noun: str | None) -> None:
    found = find_name(nouns, text)
    assert (found.noun if found else None) == noun


def test_groups(nouns: Nouns) -> None:
    assert group_of(nouns, Named("penguin", 40)) == "animal"
    assert group_of(nouns, Named("apple", 80)) == "food"
    assert group_of(nouns, Named("car", 60)) == "artifact"
