"""Answers that are kept: whole lines only, nobody else's file, one writer."""

import json
from pathlib import Path

import pytest
from PIL import Image

from magicvl.bench.accuracy.answers import Answers, Kept, answer_key, picture_digest
from magicvl.bench.accuracy.question import Question
from magicvl.errors import MagicVLError, UsageError


def question(**fields: object) -> Question:
    made: dict[str, object] = {"id": "1", "prompt": "?", "truth": "a", "score": float, "max_tokens": 4}
    return Question(**(made | fields))  # type: ignore[arg-type]


def said(text: str) -> Kept:
    return Kept(text, "stop", 4)


def test_what_is_kept_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    with Answers(path) as kept:
        assert kept.get("k") is None
        kept.add("k", Kept("Straße\n\ud800", "length", 9), suite="s", id="1")
        kept.add("l", said(""))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    told = {"answer": "Straße\n\ud800", "finish_reason": "length", "visual_tokens": 9}
    assert rows[0] == {"key": "k", "suite": "s", "id": "1"} | told
    with Answers(path) as kept:
        assert (kept.get("k"), kept.get("l"), len(kept)) == (Kept("Straße\n\ud800", "length", 9), said(""), 2)
    with Answers(None) as nowhere:
        nowhere.add("k", said("a"))
        assert nowhere.get("k") == said("a")


def test_a_last_line_cut_short_is_taken_off(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    with Answers(path) as kept:
        kept.add("k", said("a"))
        kept.add("l", said("b"))
    text = path.read_bytes()
    for cut in range(len(text) // 2 + 1, len(text)):
        path.write_bytes(text[:cut])
        with Answers(path) as kept:
            assert (kept.get("k"), kept.get("l")) == (said("a"), None)
            kept.add("l", said("c"))
        assert path.read_text().count("\n") == 2
        with Answers(path) as kept:
            assert kept.get("l") == said("c")


@pytest.mark.parametrize(
    "text", ["a note\n", "a note", '{"key": 1, "answer": "a"}\n', '{"key": "k", "answer": "a"}\n', "[]\n", "\x00"]
)
def test_a_file_of_something_else_stays_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(text)
    with pytest.raises(UsageError, match="line 1 is no answer that was kept here"):
        Answers(path)
    assert path.read_text() == text


def test_one_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    with Answers(path), pytest.raises(MagicVLError, match="another process is writing it"):
        Answers(path)
    Answers(path).close()
    with pytest.raises(MagicVLError, match=r"cannot be written \(Is a directory\)"):
        Answers(tmp_path)


def test_a_key_is_what_decides_the_answer(tmp_path: Path) -> None:
    key = answer_key("bundle", question(), ["picture"], None)
    assert key == answer_key("bundle", question(id="2", truth="b", groups={"task": "x"}), ["picture"], None)
    others = [
        answer_key("other", question(), ["picture"], None),
        answer_key("bundle", question(prompt="!"), ["picture"], None),
        answer_key("bundle", question(max_tokens=5), ["picture"], None),
        answer_key("bundle", question(choices=("A",)), ["picture"], None),
        answer_key("bundle", question(), ["another"], None),
        answer_key("bundle", question(), [], None),
        answer_key("bundle", question(), ["picture"], 64),
    ]
    assert len({key, *others}) == len(others) + 1


def test_a_picture_is_told_by_what_it_shows(tmp_path: Path) -> None:
    red, other = Image.new("RGB", (4, 2), "red"), Image.new("RGB", (2, 4), "red")
    red.save(tmp_path / "red.png")
    data = (tmp_path / "red.png").read_bytes()
    assert picture_digest(red) == picture_digest(red.copy()) != picture_digest(other)
    assert picture_digest(data) == picture_digest(tmp_path / "red.png") == picture_digest(str(tmp_path / "red.png"))
    assert picture_digest(tmp_path / "none.png") == picture_digest("a\0b") != picture_digest(data)
