"""complexity.json goes out and comes back, and what cannot be is refused in one line."""

import json
from pathlib import Path
from typing import Any

import pytest

from magicvl.errors import UsageError
from magicvl.train.complexity.table import Entry, Table, levels, read_table, write_table
from magicvl.train.complexity.terms import Terms
from magicvl.train.complexity.text import to_text

TABLE = Table(
    {
        "generated/sign": Entry("ocr", 0.2, 0.1, 0.05, 0.12, "low", None, 200, Terms(2.0, 0.9, 30.0, 2.0, 1e-4, 0.0)),
        "reçus": Entry("ocr", 0.5, 0.9, 0.4, 0.7, "high", 12_000, 200, Terms(9.0, 0.7, 3e12, 5.0, None, None)),
        "chats": Entry("text", 0.6, None, None, 0.6, "low", 50, 50, Terms(80.0, 0.5, 9.0, None, None, None)),
    },
    {"ocr": 0.41, "text": None},
    {"beta": 1.1},
)


def test_out_and_back(tmp_path: Path) -> None:
    path = tmp_path / "complexity.json"
    write_table(TABLE, path)
    assert read_table(path) == TABLE
    data = json.loads(path.read_text())
    assert data["version"] == 1
    assert data["datasets"]["generated/sign"].items() >= {
        "category": "ocr", "s_text": 0.2, "s_image": 0.1, "s_task": 0.05, "s": 0.12, "level": "low",
    }.items()  # fmt: skip
    assert levels(read_table(path)) == {"generated/sign": "low", "reçus": "high", "chats": "low"}
    assert list(tmp_path.iterdir()) == [path]


def test_the_contract_alone_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "complexity.json"
    entry = {"category": "vqa", "s_text": 0, "s_image": 1, "s_task": None, "s": 0.5, "level": "high", "more": [1]}
    path.write_text(json.dumps({"version": 1, "datasets": {"a": entry}}))
    assert levels(read_table(path)) == {"a": "high"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"category": "poem"}, "dataset 'signs': category 'poem'; there are reasoning"),
        ({"category": ["ocr"]}, "category ['ocr']"),
        ({"level": "middle"}, "level 'middle'; there are low, high"),
        ({"s": 1.01}, "s 1.01; it must be a number from 0 to 1"),
        ({"s": None}, "s None"),
        ({"s_text": -0.1}, "s_text -0.1"),
        ({"s_image": "0.5"}, "s_image '0.5'"),
        ({"s_task": True}, "s_task True"),
        ({"s_task": float("nan")}, "s_task nan"),
        ({"s_image": 10**400}, "s_image 1000"),
        ({"samples": -1}, "samples -1"),
        ({"measured": 1.5}, "measured 1.5"),
        ({"terms": {"length": "long"}}, "length 'long'"),
        ({"terms": 7}, "dataset 'signs' is no object of scores"),
    ],
)
def test_what_an_entry_cannot_be(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    entry = {"category": "ocr", "s_text": 0.2, "s_image": 0.1, "s_task": 0.05, "s": 0.12, "level": "low"} | change
    refused(json.dumps({"version": 1, "datasets": {"signs": entry}}), said, tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "a JSON list where an object is due"),
        ("{", "no valid JSON"),
        ("[" * 100_000, "no valid JSON"),
        ('{"version": 2, "datasets": {}}', "version 2 of complexity.json; this program reads 1"),
        ('{"datasets": {}}', "version None"),
        ('{"version": 1, "datasets": []}', "must each be an object"),
        ('{"version": 1, "datasets": {"a": 1}}', "dataset 'a' is no object of scores"),
        ('{"version": 1, "datasets": {"a": {"category": "ocr"}}}', "dataset 'a' lacks 's_text'"),
        ('{"version": 1, "datasets": {}, "cuts": {"ocr": "x"}}', "cut 'x' of category 'ocr'"),
        ('{"version": 1, "datasets": {}, "cuts": {"poem": 1}}', "cut 1 of category 'poem'"),
    ],
)
def test_what_a_file_cannot_be(text: str, said: str, tmp_path: Path) -> None:
    refused(text, said, tmp_path)


def refused(text: str, said: str, folder: Path) -> None:
    path = folder / "complexity.json"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        read_table(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert said in message
    assert "\n" not in message


def test_no_file_and_no_place(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="magicvl train complexity makes one"):
        read_table(tmp_path / "none.json")
    with pytest.raises(UsageError, match="it cannot be written"):
        write_table(TABLE, tmp_path / "none" / "complexity.json")


def test_as_text() -> None:
    text = to_text(TABLE)
    lines = text.splitlines()
    assert [line.split()[-1] for line in lines[1:5]] == ["low", "-", "high", "low"]
    assert lines[2].strip() == "- cut at 0.410 -"
    terms, scores = "200 2.0 0.90 30.0 2.00 100.0 0.0", "0.200 0.100 0.050 0.120"
    assert lines[1].split() == f"ocr generated/sign {terms} {scores} low".split()
    assert lines[3].split()[5] == "3.0e+12"
    assert lines[5:] == [
        "S_image: left out, no pictures; S is of the others: chats",
        "left out, printed text: no boxes (--ocr reads it with tesseract): reçus",
        "left out, objects: no boxes: reçus",
        "not cut, one dataset or all alike, so low: text",
    ]
