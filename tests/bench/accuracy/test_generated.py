"""Suites of generated pictures: whose they are, how they are asked, and that every truth is right."""

import json
from pathlib import Path

import pytest
from PIL import Image

from magicvl.bench.accuracy.generated import MAX_TOKENS, generated_suite, to_item
from magicvl.bench.accuracy.question import Scored
from magicvl.bench.scoring import score
from magicvl.cli import run
from magicvl.errors import UsageError
from magicvl.train.generator.registry import DATASETS
from magicvl.train.samples.sample import METRICS, Sample, Turn

PRINT = ("word", "line", "bars", "screen/dialog", "text/arithmetic")
"""Datasets that are drawn from fonts and words alone."""


def test_a_sample_becomes_questions_about_its_pictures() -> None:
    picture = Image.new("RGB", (4, 4))
    turns = (Turn("Where?", "[0, 0, 500, 500]", "iou", "box"), Turn("How many?", "two", others=("2",)))
    item = to_item(Sample("x/test/0/7", "grounding", "generated/x", (picture,), turns))
    assert (item.cluster, item.pictures) == ("x/test/0/7", (picture,))
    first, second = item.questions
    assert (first.id, second.id) == ("x/test/0/7/0", "x/test/0/7/1")
    assert (first.score("[0, 0, 499, 500]"), first.score("two")) == (1, 0)
    assert (second.score("2"), second.score("two"), second.score("[0, 0, 500, 500]")) == (1, 1, 0)
    assert first.groups == {"category": "grounding", "dataset": "x", "task": "grounding box", "metric": "iou"}
    assert second.groups["task"] == "grounding exact"
    assert (first.max_tokens, second.max_tokens) == (MAX_TOKENS["iou"], MAX_TOKENS["exact"])
    assert set(MAX_TOKENS) == set(METRICS)


@pytest.mark.parametrize("name", PRINT)
def test_a_suite_is_the_test_split_and_the_same_each_time(name: str) -> None:
    suite = generated_suite(name, 3)
    assert suite is not None and suite.items == 3
    items = list(suite.draw())
    assert [item.cluster for item in items] == [f"{name}/test/0/{number}" for number in range(3)]
    expected = [DATASETS[name].sample(0, number, "test") for number in range(3)]
    assert [item.pictures for item in suite.draw()] == [item.pictures for item in items]
    assert [q.prompt for item in items for q in item.questions] == [t.prompt for each in expected for t in each.turns]
    for item in items:
        for question in item.questions:
            assert question.score(question.truth) == 1 and question.score("") == 0


def test_names_of_suites() -> None:
    text = generated_suite("text", 1)
    assert text is not None
    assert {item.cluster.rpartition("/test")[0] for item in text.draw()} == {
        dataset.name for dataset in DATASETS.values() if dataset.category == "text"
    }
    other = generated_suite("validation:word", 1)
    assert other is not None and [item.cluster for item in other.draw()] == ["word/validation/0/0"]
    assert generated_suite("nothing", 1) is None and generated_suite("nothing:word", 1) is None
    with pytest.raises(UsageError, match="what is trained on tells nothing"):
        generated_suite("train:word", 1)


def test_the_table_has_everything_datasets_and_tasks() -> None:
    suite = generated_suite("text", 2)
    assert suite is not None
    answers = [
        Scored(question, item.cluster, question.truth, 1.0) for item in suite.draw() for question in item.questions
    ]
    lines = suite.lines(answers)
    assert [line.level for line in lines[:2]] == ["all", "dataset"]
    for level in ("all", "dataset", "task"):
        assert sum(len(line.values) for line in lines if line.level == level) == len(answers)


def test_two_suites_through_the_default_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure, sheet = tmp_path / "bars.png", tmp_path / "sheet.png"
    code = run(
        f"bench accuracy --suite text/arithmetic --suite style:word --pictures 2 --threads 1 --misses 3 --json "
        f"--figure {figure} --sheet {sheet}".split()
    )
    out, err = capsys.readouterr()
    assert code == 0, err
    told = json.loads(out.splitlines()[-1])
    assert {row["suite"] for row in told["scores"]} == {"text/arithmetic", "style:word"}
    assert all(0 <= row["low"] <= row["score"] <= row["high"] <= 1 for row in told["scores"])
    assert [row["asked"] for row in told["scores"] if row["level"] == "all"] == [
        sum(len(item.questions) for item in suite.draw())
        for suite in (generated_suite("text/arithmetic", 2), generated_suite("style:word", 2))
        if suite is not None
    ]
    assert all(miss["score"] < 0.5 and miss["expected"] for miss in told["misses"])
    for path in (figure, sheet):
        with Image.open(path) as picture:
            assert min(picture.size) > 100


def test_missing_drawings_are_told_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAGICVL_ASSETS", str(tmp_path))
    code = run(["bench", "accuracy", "--suite", "generated", "--resume", str(tmp_path / "kept.jsonl")])
    out, err = capsys.readouterr()
    assert (code, out) == (1, "") and str(tmp_path) in err and err.count("\n") == 1
    assert not (tmp_path / "kept.jsonl").exists()


@pytest.mark.slow
def test_every_truth_is_right_by_its_own_metric() -> None:
    """Of every dataset that can be drawn here; those of objects need the drawings."""
    drawn = 0
    for dataset in DATASETS.values():
        try:
            samples = [dataset.sample(3, index, "test") for index in range(8)]
        except UsageError as error:
            assert "drawings" in str(error)
            continue
        drawn += 1
        for turn in (turn for sample in samples for turn in sample.turns):
            for said in (turn.answer, *turn.others):
                assert score(turn, said) == 1, (dataset.name, turn)
    assert drawn >= 30
