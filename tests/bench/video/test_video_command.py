"""`magicvl bench video` from end to end: texts on disk, a small bundle, files of public benchmarks."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from magicvl.bench.video.clips_suite import SEED
from magicvl.cli import run
from magicvl.edge.video import caption as caption_module
from magicvl.edge.video.choose import uniform_times
from magicvl.edge.video.description import Description, write
from magicvl.train.clips.clip import Clip
from magicvl.train.clips.make import make_clip

Write = Callable[..., Path]
Run = Callable[..., tuple[int, str, str]]
FRAMES = 4
SIMPLE = ("--suite", "clips/shapes/simple", "--frames", FRAMES, "--judge", "words")


@pytest.fixture
def video(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process: exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = run(["bench", "video", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def clip(index: int) -> Clip:
    return make_clip(SEED, index, "test", "shapes/simple")


def truth(index: int, of: int | None = None) -> dict[str, object]:
    """The row of a model that says of a clip what is true of it, or of another one."""
    shown, meant = clip(index), clip(index if of is None else of)
    description = meant.description(uniform_times(shown.seconds, FRAMES))
    return {"id": shown.id, "text": write(description)}


def test_the_truth_scores_full_marks_and_another_films_truth_does_not(video: Run, write_lines: Write) -> None:
    right = write_lines("right.jsonl", [truth(index) for index in range(4)])
    wrong = write_lines("wrong.jsonl", [truth(index, (index + 1) % 4) for index in range(4)])
    code, out, err = video(right, wrong, *SIMPLE, "--films", 4, "--examples", 2, "--json")
    assert (code, err) == (0, "")
    (suite,), (shown,) = json.loads(out)["suites"], json.loads(out)["examples"]
    # Of as many films as were asked for what each arm said: here as it was written.
    assert [each["run"] for each in shown[0]["said"]] == ["right", "wrong"] and len(shown) == 2
    assert shown[0]["said"][0]["text"] in {truth(index)["text"] for index in range(4)}
    scores = {(row["arm"], row["measure"]): row["value"] for row in suite["scores"]}
    assert scores["right", "action F1"] == scores["right", "object F1"] == scores["right", "valid format"] == 1.0
    assert scores["wrong", "event F1"] < 0.5 < 0.8 <= scores["right", "event F1"]
    assert suite["films"] == 4 and "no language model" in suite["notes"][0]
    changes = {row["measure"]: row for row in suite["differences"]}
    assert changes["object F1"]["over"] == "right" and changes["object F1"]["high"] < 0
    assert all(row["low"] <= row["value"] <= row["high"] for row in suite["scores"])


def test_arms_of_several_seeds_are_tables_and_pictures(video: Run, write_lines: Write, tmp_path: Path) -> None:
    good = [truth(index) for index in range(3)]
    paths = {
        "base": write_lines("base.jsonl", [{"id": row["id"], "text": "{"} for row in good]),
        "sft/1": write_lines("s1.jsonl", [good[0], truth(1, 2), truth(2, 1)]),
        "sft/2": write_lines("s2.jsonl", [good[0], good[1], truth(2, 0)]),
        "grpo/1": write_lines("g1.jsonl", good),
        "grpo/2": write_lines("g2.jsonl", good),
    }
    runs = [f"{name}={path}" for name, path in paths.items()]
    figure, sheet = tmp_path / "figure.png", tmp_path / "sheet.png"
    code, out, err = video(*runs, *SIMPLE, "--films", 3, "--figure", figure, "--sheet", sheet, "--examples", 2)
    assert code == 0 and f"wrote {figure}" in err and f"wrote {sheet}" in err
    assert "base" in out and "sft (2 runs)" in out and "grpo (2 runs)" in out
    headings = [line for line in out.splitlines() if line.endswith("on the same films")]
    assert headings == [f"{arm} over {over}, on the same films" for arm, over in
                        (("sft", "base"), ("grpo", "base"), ("grpo", "sft"))]  # fmt: skip
    assert out.count("by seed") >= 3
    for path in (figure, sheet):
        with Image.open(path) as picture:
            assert picture.format == "PNG" and min(picture.size) > 300


def test_a_caption_alone_is_scored_by_its_events(video: Run, write_lines: Write) -> None:
    rows = [{"id": clip(index).id, "caption": clip(index).caption} for index in range(2)]
    code, out, _ = video(write_lines("other.jsonl", rows), *SIMPLE, "--films", 2, "--json")
    measured = [row["measure"] for row in json.loads(out)["suites"][0]["scores"]]
    assert code == 0 and "event F1" in measured
    assert not {"action F1", "object F1", "valid format"} & set(measured)


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The films that a model was shown; it says of each what is true of another one."""
    shown: list[str] = []
    real = caption_module.caption

    def describing(engine: Any, film: Any, *arguments: Any) -> Any:
        shown.append(film.name)
        return real(engine, film, *arguments)

    monkeypatch.setattr(caption_module, "caption", describing)
    return shown


def test_a_bundle_is_asked_once_a_film(video: Run, tiny_bundle: Path, described: list[str], tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    call = (tiny_bundle, *SIMPLE, "--films", 2, "--max-tokens", 24, "--threads", 1, "--resume", kept)
    code, out, err = video(*call)
    assert code == 0 and described == [clip(0).id, clip(1).id]
    rows = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [row["id"] for row in rows] == described
    assert rows[0]["times"] == list(uniform_times(clip(0).seconds, FRAMES))
    cut = sum(row["finish_reason"] == "length" for row in rows)
    assert (f"{cut} of 2 texts were cut short" in err) == bool(cut)
    code, again, err = video(*call)
    assert (code, again, len(described)) == (0, out, 2) and "2 texts are there already" in err
    # What was kept is a file of texts too, and other limits are other questions.
    assert video(f"bundle={kept}", *SIMPLE, "--films", 2)[:2] == (0, out)
    assert video(*call, "--max-tokens", 25)[0] == 0 and len(described) == 4


def test_a_stopped_measurement_goes_on(
    video: Run, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown: list[str] = []

    def stopping(engine: Any, film: Any, asked: Any, watcher: Any) -> Any:
        shown.append(film.name)
        if len(shown) == 2:
            raise KeyboardInterrupt
        raise caption_module.CutShortError("too long")

    monkeypatch.setattr(caption_module, "caption", stopping)
    call = (tiny_bundle, *SIMPLE, "--films", 3, "--threads", 1, "--resume", tmp_path / "kept.jsonl")
    assert video(*call)[:2] == (130, "")
    code, out, err = video(*call)
    assert code == 0 and "1 texts are there already" in err and "3 of 3 texts were cut short" in err
    assert shown == [clip(index).id for index in (0, 1, 1, 2)] and "valid format" in out


def write_gif(path: Path, colours: list[str]) -> None:
    """A film of a second and a half, half a second a colour."""
    pictures = [Image.new("RGB", (64, 48), colour) for colour in colours]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=500, loop=0)


@pytest.fixture
def dream(write_lines: Write, tmp_path: Path) -> Path:
    """Two films in the form of DREAM-1K, and their videos."""
    (tmp_path / "videos").mkdir()
    for vid in ("1", "2"):
        write_gif(tmp_path / "videos" / f"{vid}.gif", ["red", "green", "blue"])
    rows = [
        {"vid": vid, "dataset": f"DREAM/{source}", "text": {"response": "A man runs. A dog barks."},
         "extra_info": {"events": ["A man runs.", "A dog barks."], "n_subjects": 2}}
        for vid, source in ((1, "stock"), (2, "movie"))
    ]  # fmt: skip
    return write_lines("DREAM-1k.jsonl", rows)


def test_a_public_benchmark_with_the_users_videos(
    video: Run, dream: Path, write_lines: Write, tmp_path: Path, tiny_bundle: Path
) -> None:
    said = [
        {"id": "1", "text": write(Description((), "A man runs and a cat sleeps."))},
        {"id": "2", "caption": "A dog barks."},
    ]
    call = (write_lines("said.jsonl", said), "--suite", dream, "--judge", "words", "--videos", tmp_path / "videos")
    code, out, err = video(*call, "--json")
    assert (code, err) == (0, "")
    (suite,) = json.loads(out)["suites"]
    scores = {row["measure"]: row["value"] for row in suite["scores"]}
    assert scores["event precision"] == 0.75 and scores["event recall"] == 0.5
    assert [row["group"] for row in suite["groups"]["source"]] == ["movie", "stock"] and "shots" not in suite["groups"]
    code, out, err = video(
        tiny_bundle, *call[1:], "--max-tokens", 16, "--frames", 2, "--threads", 1,
        "--examples", 1, "--sheet", tmp_path / "sheet.png",
    )  # fmt: skip
    assert code == 0 and out.startswith("DREAM-1k: 2 films\n"), err


def test_missing_videos_are_told_at_once_or_left_out(
    video: Run, dream: Path, write_lines: Write, tmp_path: Path
) -> None:
    said = write_lines("said.jsonl", [{"id": "2", "caption": "A dog barks."}])
    (tmp_path / "videos" / "1.gif").unlink()
    call = (said, "--suite", f"dream={dream}", "--judge", "words", "--videos", tmp_path / "videos")
    code, out, err = video(*call)
    assert (code, out) == (2, "") and "1 of 2 videos are not there: 1; --skip-missing leaves them out" in err
    code, out, err = video(*call, "--skip-missing")
    assert (code, err) == (0, "") and "the scores are not the benchmark's" in out and "dream DREAM-1k: 1 films" in out
    shutil.rmtree(tmp_path / "videos")
    assert "no such directory" in video(*call, "--skip-missing")[2]


def test_questions_and_objects_of_public_benchmarks(video: Run, write_lines: Write, tmp_path: Path) -> None:
    write_gif(tmp_path / "v.gif", ["red", "blue"])
    pairs = [{"question": "Who runs?", "answer": "A man."}, {"question": "What barks?", "answer": "A dog."}]
    vdc = write_lines("vdc_short.jsonl", [{"v": pairs}])
    care = tmp_path / "metadata.json"
    care.write_text(json.dumps([{"idx": "v", "video": "v.mp4", "caption": "A man runs. A dog.", "objects": ["a man"]}]))
    said = write_lines("said.jsonl", [{"id": "v", "caption": "A man runs."}])
    suites = ("--suite", vdc, "--suite", f"carebench={care}", "--videos", tmp_path, "--judge", "words")
    code, out, err = video(said, *suites, "--json")
    assert (code, err) == (0, "")
    first, second = ({row["measure"]: row["value"] for row in each["scores"]} for each in json.loads(out)["suites"])
    assert first["answers right"] == 0.5 and "answer grade" not in first
    assert second["action recall"] == second["object recall"] == 1.0 and "object precision" not in second


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--films", "0"], "0 films: it must be at least 1"),
        (["--frames", "0"], "--frames 0: it must be at least 1"),
        (["--suite", "nowhere"], "suite 'nowhere': there are clips"),
        (["--suite", "train:clips"], "what is trained on tells nothing"),
        (["--suite", "clips/circles"], "suite clips/circles: styles are shapes/simple"),
        (["--suite", "clips", "--suite", "clips"], "given twice"),
        (["--suite", "what.jsonl"], "what.jsonl: the rules of which benchmark? There are dream, vdc, carebench"),
        (["--suite", "dream.jsonl"], "where are its videos? Say so with --videos"),
        (["--videos", "."], "--videos has no effect"),
        (["--verdicts", "x"], "--verdicts has no effect: the judge words keeps none"),
        (["--skip-missing"], "--skip-missing has no effect"),
        (["--sheet", "x.png"], "say how many with --examples"),
        (["--examples", "-1"], "it must be at least 0"),
        (["--figure", "x.jpg"], "a name that ends in .png"),
        (["--figure", "nowhere/x.png"], "nowhere: no such directory"),
        (["--resume", "nowhere/x.jsonl"], "nowhere: no such directory"),
        (["--force"], "--force has no effect"),
        (["a=x.jsonl", "a=y.jsonl"], "a: given twice; runs of one arm are told apart as ARM/SEED=PATH"),
        (["a=x.jsonl", "a/1=y.jsonl"], "x.jsonl: which run of a? Write a/SEED=x.jsonl"),
        (["x.jsonl", "--resume", "y.jsonl"], "--resume has no effect"),
    ],
)
def test_wrong_use_is_one_line(video: Run, arguments: list[str], words: str) -> None:
    code, out, err = video("--judge", "words", *arguments)
    assert (code, out) == (2, "") and words in err and err.count("\n") == 1


def test_texts_that_lack_films_are_found_before_anything_is_asked(
    video: Run, tiny_bundle: Path, described: list[str], write_lines: Write
) -> None:
    texts = write_lines("texts.jsonl", [truth(0)])
    code, out, err = video(tiny_bundle, texts, *SIMPLE, "--films", 2)
    assert (code, out, described) == (1, "", []) and f"no text about 1 of 2 films: {clip(1).id}" in err


@pytest.mark.slow
def test_the_usual_judge_tells_a_film_from_another(video: Run, write_lines: Write) -> None:
    """What is measured at its ends: a perfect model reaches all of it, one that describes other films nothing."""
    clips = [make_clip(SEED, index, "test", "shapes/mixed") for index in range(40)]
    said = [write(each.description(uniform_times(each.seconds, 8))) for each in clips]
    right = [{"id": each.id, "text": text} for each, text in zip(clips, said, strict=True)]
    wrong = [{"id": each.id, "text": text} for each, text in zip(clips, [*said[1:], said[0]], strict=True)]
    # Times of another film are none of this one's: then it is no description at all.
    for row, other in zip(wrong, [*clips[1:], clips[0]], strict=True):
        row["times"] = list(uniform_times(other.seconds, 8))
    code, out, _ = video(write_lines("r.jsonl", right), write_lines("w.jsonl", wrong), "--films", 40, "--json")
    (suite,) = json.loads(out)["suites"]
    scores = {(row["arm"], row["measure"]): row["value"] for row in suite["scores"]}
    assert code == 0 and "words and embedding (no language model)" in suite["notes"][0]
    assert min(scores["r", f"{what} F1"] for what in ("event", "action", "object")) > 0.97
    assert max(scores["w", f"{what} F1"] for what in ("event", "action")) < 0.1
