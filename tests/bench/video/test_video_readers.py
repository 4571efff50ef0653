"""Files of public benchmarks, small ones in their forms, and the videos that they name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from magicvl.bench.video.carebench import read_carebench
from magicvl.bench.video.dream import read_dream
from magicvl.bench.video.item import Pair
from magicvl.bench.video.runs import parse_runs
from magicvl.bench.video.texts import Said, read_texts
from magicvl.bench.video.vdc import read_vdc
from magicvl.bench.video.video_files import find_videos, missing_message
from magicvl.errors import SampleError, UsageError

Write = Callable[..., Path]
DREAM = {
    "idx": 3,
    "dataset": "DREAM/movie_animation",
    "text": {"prompt": "<video>\nDescribe the video in detail.", "response": "Animals jump into\na pipe."},
    "video_file": "<placeholder>",
    "extra_info": {"duration": 4.88, "n_subjects": 6, "n_shots": 1, "events": ["Animals jump.", " "], "n_events": 2},
    "vid": 17,
}


def test_dream_rows_are_read(write_lines: Write) -> None:
    path = write_lines("DREAM-1k.jsonl", [DREAM, DREAM | {"vid": "b", "video_file": "/old/place/b.mp4"}])
    first, second = read_dream(path)
    assert (first.id, first.video, second.video) == ("17", "17", "/old/place/b.mp4")
    assert first.reference.events == ("Animals jump.",) and first.reference.caption == "Animals jump into a pipe."
    assert first.groups == {
        "source": "movie_animation", "subjects": "4 or more", "shots": "1", "events": "1 to 3"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"text": "Animals jump."}, "row 1: text is 'Animals jump.', where an object is due: is this DREAM-1k.jsonl?"),
        ({"extra_info": {"events": "one"}}, "row 1: events is 'one', where a list of texts is due"),
        ({"text": {"response": ""}}, "row 1: response is '', where a text is due"),
        ({"vid": True}, "row 1: vid is 'True', where a name is due"),
    ],
)
def test_wrong_dream_rows_are_told_by_number(write_lines: Write, row: dict[str, Any], words: str) -> None:
    with pytest.raises(SampleError, match=words):
        read_dream(write_lines("dream.jsonl", [DREAM | row]))


def test_carebench_takes_lists_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "metadata.json"
    rows = [
        {"idx": 0, "video": "v_1.mp4", "caption": "A man lifts.", "events": ["A man lifts."], "objects": ["a man"]},
        {"idx": 1, "video": "v_2.mp4", "caption": "A dog.", "events": None, "other": 5},
        {"video": "v_3.mp4", "caption": "A cat."},
    ]
    path.write_text(json.dumps(rows))
    first, second, third = read_carebench(path)
    assert (first.id, first.video, first.objects) == ("0", "v_1.mp4", ("a man",))
    assert first.reference.events == ("A man lifts.",) and second.reference.events == ()
    assert third.id == "v_3.mp4" and third.objects == ()


def test_vdc_questions_by_video_with_names_from_beside(tmp_path: Path, write_lines: Write) -> None:
    folder = tmp_path / "VDCScore_qa"
    folder.mkdir()
    pair = {"question": "What colour?", "answer": "Red."}
    (folder / "short.jsonl").write_text(json.dumps({"a1": [pair], "b2": [pair, pair]}) + "\n")
    assert [each.video for each in read_vdc(folder / "short.jsonl")] == ["a1", "b2"]
    write_lines("VDC_1k.jsonl", [{"video_id": "a1", "video_name": "film one.mp4", "short_caption": "x"}])
    first, second = read_vdc(folder / "short.jsonl")
    assert (first.id, first.video, second.video) == ("a1", "film one.mp4", "b2")
    assert first.pairs == (Pair("What colour?", "Red."),) and len(second.pairs) == 2


def test_vdc_rows_of_lmms_eval(write_lines: Write) -> None:
    row = {"video_name": "v", "caption": "c", "qa_list": [{"question": "q?", "answer": "a"}]}
    (found,) = read_vdc(write_lines("vdc.jsonl", [row]))
    assert (found.id, found.video, found.pairs) == ("v", "v", (Pair("q?", "a"),))
    with pytest.raises(SampleError, match="row 1: 'none', where a list of questions"):
        read_vdc(write_lines("other.jsonl", [row | {"qa_list": "none"}]))
    with pytest.raises(SampleError, match="answer is 'None', where a text is due"):
        read_vdc(write_lines("third.jsonl", [row | {"qa_list": [{"question": "q?"}]}]))


def test_videos_are_found_by_name_whatever_their_ending(tmp_path: Path) -> None:
    (tmp_path / "part 1").mkdir()
    for name in ("one.mp4", "part 1/Two.MKV", "three.five.webm"):
        (tmp_path / name).touch()
    found = find_videos(tmp_path, ["one", "one.mp4", "two.mp4", "/far/away/one.avi", "three.five", "four"])
    assert [path and path.name for path in found] == [
        "one.mp4", "one.mp4", "Two.MKV", "one.mp4", "three.five.webm", None
    ]  # fmt: skip
    with pytest.raises(UsageError, match="nowhere: no such directory"):
        find_videos(tmp_path / "nowhere", ["one"])


def test_all_missing_videos_are_told_in_one_line() -> None:
    said = missing_message(Path("videos"), [f"v{number}" for number in range(23)], 40)
    assert said.startswith("videos: 23 of 40 videos are not there: v0, v1, ") and said.endswith("v19 and 3 more")


def test_runs_are_named_by_arm_and_seed_or_by_their_place(tmp_path: Path) -> None:
    (tmp_path / "x=y").mkdir()
    given = ["one/model", "grpo/3=out/b", f"{tmp_path}/x=y", "said.json", "two/model", "said.jsonl"]
    runs = parse_runs(given)
    assert [run.name for run in runs] == ["one/model", "grpo/3", "x=y", "said.json", "two/model", "said.jsonl"]
    assert (runs[1].arm, runs[1].seed, runs[1].path) == ("grpo", "3", Path("out/b"))
    assert [run.from_texts for run in runs] == [False, False, False, True, False, True]
    assert [run.name for run in parse_runs(["here/said.jsonl", "nano"])] == ["said", "nano"]


def test_an_array_of_texts_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    path.write_text(json.dumps([{"id": "a", "event": 0.5, "text": "A", "times": [0.5]}], indent=1))
    assert read_texts(path, ["a"]) == [Said("A", (0.5,))]


def test_texts_are_told_apart_by_film(write_lines: Write) -> None:
    rows = [
        {"id": "b", "answer": "B", "key": "k", "times": [0.5, 1]},
        {"id": "x", "text": "elsewhere"},
        {"id": "a", "text": "A", "caption": "not this"},
        {"id": 3, "caption": "C alone."},
        {"id": "b", "answer": "B", "key": "k", "times": [0.5, 1]},
    ]
    path = write_lines("texts.jsonl", rows)
    assert read_texts(path, ["a", "b", "3"]) == [
        Said("A", None), Said("B", (0.5, 1.0)), Said("C alone.", None, plain=True)
    ]  # fmt: skip
    with pytest.raises(SampleError, match="no text about 2 of 3 films: c, d"):
        read_texts(path, ["a", "c", "d"])


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"id": "a", "text": "other"}, "row 2: another text about a; the texts of each model need a file of their own"),
        ({"id": "a"}, "row 2: no text, answer or caption in it"),
        ({"id": "a", "text": 5}, "row 2: no text, answer or caption in it"),
        ({"id": "a", "text": "A", "times": ["1"]}, "times is .*, where a list of seconds is due"),
        ({"id": None, "text": "A"}, "id is 'None', where a name is due"),
    ],
)
def test_wrong_rows_of_texts_are_told_by_number(write_lines: Write, row: dict[str, Any], words: str) -> None:
    with pytest.raises(SampleError, match=words):
        read_texts(write_lines("texts.jsonl", [{"id": "a", "text": "A"}, row]), ["a"])
