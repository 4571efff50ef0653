"""Filtering from end to end: what is kept and written, what the report says, and a run that was stopped."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from magicvl.cli import run
from magicvl.errors import MagicVLError
from magicvl.train.filters.examine import NAMES, Bench, Examiner
from magicvl.train.filters.filtering import filter_samples
from magicvl.train.filters.judge import Way
from magicvl.train.filters.judge_prompt import Case, Check, cases_of, facts_of, messages
from magicvl.train.filters.planted import Agreement, best_line, measure, planted_pairs, usable
from magicvl.train.filters.report import Tally, to_text
from magicvl.train.filters.thresholds import Thresholds
from magicvl.train.samples.open import open_samples
from magicvl.train.samples.sample import Box, Sample, Turn
from magicvl.train.samples.writer import make_writer

STORY = "A dog and a cat lived in one house by the sea, and they never quarrelled, as the sea was loud enough for both."


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A LLaVA file with good samples and one or more for each rule."""
    folder = tmp_path / "in"
    folder.mkdir()
    random = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []

    def add(question: str, answer: str, picture: str | None = None, **more: object) -> None:
        marker = "" if picture is None else "<image>\n"
        talk = [{"from": "human", "value": f"{marker}{question}"}, {"from": "gpt", "value": answer}]
        rows.append(
            {"id": f"s{len(rows)}", "conversations": talk} | ({} if picture is None else {"image": picture}) | more
        )

    for number in range(12):
        tiles = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        tiles.resize((120, 90), Image.Resampling.NEAREST).save(folder / f"{number}.png")
        add(f"How many in {number}?", f"{number}", f"{number}.png", source="counts")
    Image.open(folder / "3.png").convert("RGB").save(folder / "copy.jpg", quality=70)
    Image.new("RGB", (60, 60), "white").save(folder / "blank.png")
    add("How many in 3?", "3", "copy.jpg", source="others")
    add("What?", "nothing", "blank.png")
    add("What?", "nothing", "gone.png")
    add("What?", " ")
    add("What?", "a\x00b")
    add("What?", "one&nbsp;two")
    add("What?", "I'm sorry, but I can't help.")
    add("What?", "no " * 9)
    add("Tell me a story.", STORY)
    add("Tell me a story!", STORY.replace("house", "home"))
    rows.append({"id": "wrong", "conversations": 5})
    rows.append({"id": "outside", "image": "../x.png", "text": "a"})
    add("And at the end?", "This.")
    path = folder / "mixed.json"
    path.write_text(json.dumps(rows))
    return path


OUT = {
    "unreadable": 2,
    "empty": 1,
    "characters": 1,
    "keywords": 1,
    "refusal": 1,
    "repetition": 1,
    "picture": 2,
    "duplicate": 2,
}


def test_the_command_keeps_what_is_good_and_reports_the_rest(
    mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(["train", "filter", f"llava:{mixed}", "-o", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["seen"], report["kept"], report["out"]) == (25, 14, OUT)
    assert report == json.loads((out / "report.json").read_text())
    assert report["sources"]["others"] == {"duplicate": 1}
    assert "as s3 of counts" in report["examples"]["duplicate"][0]["why"]
    kept = list(open_samples(f"llava:{out}/samples.json"))
    assert [sample.id for sample in kept] == [*(f"s{number}" for number in range(12)), "s20", "s24"]
    assert "refusal: 1 (4.0%)" in (out / "report.txt").read_text()
    with Image.open(out / "report.png") as figure:
        assert figure.width > 800
    assert run(["train", "filter", f"llava:{mixed}", "-o", str(out)]) == 2
    assert "it is finished; see report.txt there, or --force" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["llava", "webdataset", "ids"])
@pytest.mark.parametrize("stops", [(1,), (5, 9), (20, 24)])
def test_a_stopped_run_goes_on_to_the_same_decisions(
    mixed: Path, tmp_path: Path, kind: str, stops: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from magicvl.train.samples import write_shards

    monkeypatch.setattr(write_shards.ShardWriter.__init__, "__defaults__", (4,))

    def go(folder: Path, stop: int | None) -> tuple[Tally, bool]:
        folder.mkdir(exist_ok=True)
        seen: list[int] = []
        writer = None if kind == "ids" else make_writer(kind, folder)  # type: ignore[arg-type]
        return filter_samples(
            open_samples(f"llava:{mixed}"),
            folder,
            Examiner(Thresholds()),
            writer,
            progress=lambda tally: seen.append(tally.seen),
            stopped=lambda: bool(seen) and seen[-1] == stop,
        )

    through, whole = go(tmp_path / "through", None)
    assert whole
    for stop in stops:
        tally, whole = go(tmp_path / "stopped", stop)
        assert (tally.seen, whole) == (stop, False)
    tally, whole = go(tmp_path / "stopped", None)
    assert (tally, whole) == (through, True)
    files = [
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "through", tmp_path / "stopped")
    ]
    assert files[0] == files[1]


def test_a_row_cut_short_by_a_kill_is_decided_again(mixed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["train", "filter", f"llava:{mixed}", "-o", str(out), "--format", "ids"]
    assert run([*command, "--count", "6"]) == 0
    (out / "report.json").unlink()
    decisions = (out / "decisions.jsonl").read_bytes()
    (out / "decisions.jsonl").write_bytes(decisions[:-30])
    assert run([*command, "--count", "6"]) == 0
    assert (out / "decisions.jsonl").read_bytes() == decisions
    kept = [json.loads(line) for line in (out / "kept.jsonl").read_text().splitlines()]
    assert kept == [{"source": "counts", "id": f"s{number}"} for number in range(6)]
    assert run([*command, "--count", "7"]) == 2, "another count is another job"
    assert run([*command, "--count", "7", "--force"]) == 0


def test_a_folder_of_others_is_never_touched(mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    for command in (["filter"], ["draw", "--count", "2"]):
        assert run(["train", command[0], f"llava:{mixed}", "-o", str(out), "--force", *command[1:]]) == 2
        assert "files that are not of this command are in it; give another -o" in capsys.readouterr().err
    assert (out / "thesis.txt").read_text() == "years of work"


def test_draw_writes_samples_and_a_sheet(mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec, out, sheet = f"llava:{mixed}", tmp_path / "out", tmp_path / "sheet.png"
    assert (
        run(["train", "draw", spec, "-o", str(out), "--count", "5", "--format", "webdataset", "--sheet", str(sheet)])
        == 0
    )
    assert capsys.readouterr().out.split() == [f"{out}/*.tar", str(sheet)]
    assert len(list(open_samples(f"webdataset:{out}/*.tar"))) == 5
    assert run(["train", "draw", spec, "-o", str(tmp_path / "bad")]) == 1
    assert "gone.png: No such file or directory" in capsys.readouterr().err
    assert run(["train", "draw", spec]) == 2
    assert "nothing to write: give -o FOLDER, --sheet PNG" in capsys.readouterr().err


# A judge of known skill. The prompts it gets are those of a real one.
class Overlap:
    """Good answers share words with question or facts."""

    def __init__(self, skill: float = 1.0) -> None:
        self._random = np.random.default_rng(0)
        self._skill = skill

    def score(self, way: Way, check: Check, case: Case) -> float | None:
        assert messages(check, case)
        words = {word.strip('".,?') for word in f"{case.prompt} {case.facts}".lower().split()}
        known = [word.strip('".,?') in words for word in case.answer.lower().split()]
        return self._skill * sum(known) / len(known) + (1 - self._skill) * float(self._random.random())


def test_planted_pairs_are_sound() -> None:
    pairs = planted_pairs()
    assert [(check, len(each)) for check, each in pairs.items()] == [("coherence", 50), ("facts", 40)]
    for check, each in pairs.items():
        for pair in each:
            assert pair.good.prompt == pair.bad.prompt
            assert pair.good.answer != pair.bad.answer
            assert (check == "facts") == bool(pair.good.facts)
    assert len({pair.good.prompt for pair in pairs["coherence"]}) == 50


def test_a_judge_that_can_tell_is_trusted_with_what_it_can_tell() -> None:
    pairs = planted_pairs()
    found = [measure(Overlap(), pairs[check], check, "asked") for check in pairs]
    assert found[0].balanced >= 0.8
    trusted = usable(found, 0.8, "a.gguf")
    assert "coherence" in [each.check for each in trusted]


def test_a_judge_that_guesses_is_refused() -> None:
    pairs = planted_pairs()
    found = [measure(Overlap(0.0), pairs[check], check, way) for check in pairs for way in ("asked", "likelihood")]
    with pytest.raises(
        MagicVLError, match=r"a.gguf: it cannot judge: .* coherence \d+%, facts \d+%, where 80% are due"
    ):
        usable(found, 0.8, "a.gguf")


def test_of_two_ways_the_better_one_is_taken() -> None:
    made = [
        Agreement("coherence", "asked", 25, 0.9, 0.6, 0.0),
        Agreement("coherence", "likelihood", 25, 0.9, 0.9, 0.0),
        Agreement("facts", "asked", 20, 0.6, 0.6, 0.0),
        Agreement("facts", "likelihood", 20, 0.5, 0.6, 0.0),
    ]
    assert [(each.check, each.way) for each in usable(made, 0.8, "a")] == [("coherence", "likelihood")]


def test_the_line_parts_what_can_be_parted() -> None:
    assert best_line([3, 4, 5], [0, 1, 2]) == 2.5
    assert best_line([1, 3], [0, 2]) in (0.5, 2.5)


def test_a_sample_is_asked_about_turn_by_turn_with_its_facts() -> None:
    boxes = (Box("cup", 0, 0, 1, 1), Box("cup", 2, 0, 3, 1), Box("spoon", 0, 0, 1, 1), Box("SALE", 0, 0, 1, 1, "text"))
    assert facts_of(boxes) == '2 x cup, 1 x spoon, text: "SALE"'
    picture = Image.new("RGB", (9, 9))
    asked = cases_of(Sample("1", "vqa", "s", (picture,), (Turn("a", "b"), Turn("c", "d")), boxes))
    assert [(check, case.prompt, bool(case.facts)) for check, case in asked] == [
        ("coherence", "a", False),
        ("facts", "a", True),
        ("coherence", "c", False),
        ("facts", "c", True),
    ]
    assert cases_of(Sample("1", "text", "s", (), (Turn("", "A text."),))) == []


def test_what_the_judge_rejects_goes_out() -> None:
    bench = Bench(Overlap(), (Agreement("coherence", "asked", 25, 1, 1, 0.2),))
    examiner = Examiner(Thresholds(), bench)
    good = Sample("1", "text", "s", (), (Turn("Is the cup red?", "The cup is red."),))
    bad = Sample("2", "text", "s", (), (Turn("Is the cup red?", "Trains leave hourly."),))
    decisions = [examiner.decide(lambda sample=sample: sample, 1)[0] for sample in (good, bad)]  # type: ignore[misc]
    assert [decision.rule for decision in decisions] == [None, "incoherent"]
    assert decisions[0].judged[0] > 0 >= decisions[1].judged[0]
    assert "the line is at 0.20" in decisions[1].why


def test_a_report_names_every_rule() -> None:
    tally = Tally()
    assert to_text(tally).startswith("0 samples, 0 kept")
    assert set(OUT) <= set(NAMES)
