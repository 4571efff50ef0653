"""A judge is measured before it is trusted; one that cannot tell who does what is refused."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from magicvl.cli import run
from magicvl.errors import BundleError, MagicVLError, UsageError
from magicvl.train.rewards.agreement import measure, measure_judge, require
from magicvl.train.rewards.broken import BROKEN, broken
from magicvl.train.rewards.chooser import Question
from magicvl.train.rewards.embedding import Embedder, EmbeddingSimilarity
from magicvl.train.rewards.entailment import WordEntailer
from magicvl.train.rewards.event_judge import AskedJudge
from magicvl.train.rewards.event_score import Asked
from magicvl.train.rewards.gguf_model import GgufModel
from magicvl.train.rewards.judge_prompt import MARKS
from magicvl.train.rewards.open_judge import open_model, trusted_entailer
from magicvl.train.rewards.planted import PlantedFilm, planted_films
from magicvl.train.rewards.planted_clips import clip_films
from magicvl.train.rewards.reference import Reference
from magicvl.train.rewards.similarity import LemmaSimilarity, Similarity
from magicvl.train.rewards.whole_agreement import good_captions, measure_completeness, measure_naturalness
from magicvl.train.rewards.whole_agreement import require as require_whole
from magicvl.train.rewards.whole_caption import AskedNaturalness, WholeScorer, likely_naturalness

FILMS = planted_films()
FEW = [
    PlantedFilm(film.events, tuple(each for each in film.captions if each.kind in {"right", "swapped"}))
    for film in (FILMS[0], FILMS[2])
]
PHRASES = json.loads(Path(__file__).with_name("phrases.json").read_text(encoding="utf-8"))


class Knowing:
    """Knows the truth; asked whether it minds who does it."""

    name = "knowing"

    def __init__(self, *, blind: bool = False) -> None:
        self._blind = blind
        self._told = {(each.caption, film.events): each for film in FILMS for each in film.captions}

    def sure(self, asked: Sequence[Asked]) -> list[tuple[float, ...]]:
        known = [self._told[each.caption, each.events] for each in asked]
        return [tuple(float(told or (self._blind and one.kind == "swapped")) for told in one.told) for one in known]


class Marker:
    """Answers with marks by what the question says last."""

    name = "marker"

    def __init__(self, liked: str) -> None:
        self._liked = liked

    def choose(self, questions: Sequence[Question]) -> list[tuple[float, ...]]:
        last = [str(question.messages[-1].parts[0]) for question in questions]
        return [(0.0, 0.0, 0.0, 0.0, 1.0) if self._liked in each else (1.0, 0.0, 0.0, 0.0, 0.0) for each in last]


def test_one_that_knows_is_trusted() -> None:
    found = require(measure_judge(Knowing(), FILMS))
    assert (found.told, found.untold, found.swapped) == (1, 1, 1)
    assert found.line == 0.5
    assert found.pairs >= 15


def test_one_that_does_not_mind_who_does_it_is_refused_with_its_score() -> None:
    found = measure_judge(Knowing(blind=True), FILMS)
    assert found.balanced > 0.85
    with pytest.raises(
        MagicVLError, match=rf"knowing: it cannot judge .* 0% of {found.pairs} swapped actors noticed"
    ) as told:
        require(found)
    assert "\n" not in str(told.value)


def test_words_alone_judge_what_is_planted() -> None:
    natural = require(measure(WordEntailer(), FILMS))
    assert natural.untold >= 0.98
    assert natural.swapped >= 0.95
    assert natural.order == 1
    clips = require(measure(WordEntailer(), clip_films(24)))
    assert clips.balanced > 0.97


def test_a_random_model_is_refused(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("train_judge_command", "train.rewards.open_judge"):
        monkeypatch.setattr(f"magicvl.{module}.planted_films", lambda: FEW)
    figure = tmp_path / "judges.png"
    judge = str(tiny_bundle / "llm.gguf")
    assert run(["train", "judge", "words", judge, "--figure", str(figure), "--threads", "1"]) == 1
    out, err = capsys.readouterr()
    assert "words (no language model)" in out
    assert out.count("refused") == 2
    assert "it cannot judge captions" in err
    assert figure.read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(MagicVLError, match="it cannot judge"), trusted_entailer(judge, threads=1):
        pytest.fail("a random model was trusted")


def test_words_are_tried_and_told_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "judge", "words", "--clips", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["films"] for each in found["films"]] == ["24 films in natural language", "4 generated clips"]
    assert found["films"][0]["judges"][0]["trusted"] is True


@pytest.mark.parametrize(("judge", "error"), [("no-such-file.gguf", UsageError), ("ftp://host#m", UsageError)])
def test_a_judge_that_is_none(judge: str, error: type[Exception]) -> None:
    with pytest.raises(error, match="judge"), open_model(judge):
        pytest.fail("it was opened")


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "judge.gguf").write_bytes(b"GGUF")
    with pytest.raises(BundleError), open_model(str(tmp_path / "judge.gguf")):
        pytest.fail("it was opened")


def test_one_film_of_clips_is_too_few() -> None:
    assert run(["train", "judge", "words", "--clips", "1"]) == 2


def test_a_model_in_this_process_gives_shares(tiny_bundle: Path) -> None:
    with GgufModel(tiny_bundle / "llm.gguf", 1) as model:
        asked = [Asked("A red circle.", ("a circle", "a star"))]
        first = AskedJudge(model).sure(asked)
        assert AskedJudge(model).sure(asked)[0] == pytest.approx(first[0], abs=1e-2)
        good = good_captions(FILMS)[:4]
        natural = likely_naturalness(model, good)
        scores = WholeScorer(model, natural).score(good, [Reference(events=("a dog runs",))] * 4)
    assert all(0 <= each.completeness <= 1 and 0 <= each.naturalness <= 1 for each in scores)
    assert all(each.value == (each.completeness + each.naturalness) / 2 for each in scores)


def test_marks_are_told_as_0_to_1() -> None:
    liking = Marker("Caption: good")
    scorer = WholeScorer(liking, AskedNaturalness(liking))
    scores = scorer.score(["good", "bad"], [Reference(caption="it is")] * 2)
    assert [each.value for each in scores] == [1, 0]
    assert len(MARKS) == 5


def test_broken_captions_are_told_from_good_ones() -> None:
    films = FILMS[:4]
    for kind in BROKEN:
        assert all(broken(kind, each) != each for each in good_captions(films))
    blind = Marker("never said")
    completeness = measure_completeness(blind, films)
    naturalness = measure_naturalness(AskedNaturalness(blind), films)
    assert {each.share for each in (*completeness, *naturalness)} == {0.5}
    with pytest.raises(MagicVLError, match=r"marker: it cannot judge captions: 50% .* 50% by naturalness"):
        require_whole("marker", completeness, naturalness)


def same_and_different(similarity: Similarity) -> tuple[float, float]:
    """Shares of phrases rightly found the same, and different."""
    alike = {
        kind: [float(similarity.table([a], [b])[0, 0]) >= similarity.threshold for a, b in pairs]
        for kind, pairs in PHRASES.items()
    }
    return sum(alike["same"]) / len(alike["same"]), 1 - sum(alike["different"]) / len(alike["different"])


def test_words_alone_hardly_ever_take_the_different_for_the_same() -> None:
    same, different = same_and_different(LemmaSimilarity())
    assert same > 0.6
    assert different > 0.95


@pytest.mark.slow
def test_the_embedding_finds_other_words_and_keeps_opposites_apart() -> None:
    embedder = Embedder()
    same, different = same_and_different(EmbeddingSimilarity(embedder))
    assert same > 0.9
    assert different > 0.75
    left, right = embedder.vectors(["moves left", "moves right"])
    assert left @ right > 0.8
    assert EmbeddingSimilarity(embedder).table(["moves left"], ["moves right"])[0, 0] == 0
    table = EmbeddingSimilarity(embedder).table(["cup", "sofa"], ["couch", "mug"])
    assert (table >= 0.65).tolist() == [[False, True], [True, False]]
    found = require(measure(WordEntailer(embedder), FILMS))
    assert found.balanced > measure(WordEntailer(), FILMS).balanced
    assert found.swapped == 1
