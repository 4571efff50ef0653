"""LLaVA's files: what is read, in which order, and what is said about what is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from magicvl.errors import MagicVLError, PictureError, SampleError, UsageError
from magicvl.train.samples.open import open_samples
from magicvl.train.samples.opening import Opened
from magicvl.train.samples.sample import Turn
from magicvl.train.samples.source import Samples

Write = Callable[..., Path]
Said = Callable[..., list[dict[str, Any]]]


def opened(spec: str) -> Samples:
    stream = open_samples(spec)
    assert isinstance(stream, Samples)
    return stream


def test_a_row_is_read_with_its_pictures_and_turns(llava: Write, said: Said) -> None:
    path = llava(
        [
            {
                "id": 5,
                "image": ["a.png", "b/b.png"],
                "conversations": said("<image><image>\nWhat? ", "This.", "And?", "That."),
            }
        ]
    )
    (sample,) = opened(f"llava:{path}")
    assert (sample.id, sample.category, sample.source) == ("5", "vqa", "data")
    assert sample.pictures == (path.parent / "a.png", path.parent / "b/b.png")
    assert sample.turns == (Turn("What?", "This."), Turn("And?", "That."))


def test_category_and_source_are_the_rows_or_the_options(llava: Write, said: Said) -> None:
    rows = [
        {"category": "ocr", "source": "scans", "conversations": said("a", "b")},
        {"category": "maths", "conversations": said("a", "b")},
        {"conversations": said("a", "b")},
    ]
    path = llava(rows)
    found = opened(f"llava:{path}?category=reasoning&source=mine")
    assert [(sample.category, sample.source) for sample in found] == [
        ("ocr", "scans"),
        ("reasoning", "mine"),
        ("reasoning", "mine"),
    ]
    plain = opened(f"llava:{path}")
    assert plain[2].category == "text"
    with pytest.raises(SampleError, match=r"row 2: category is 'maths'; one of reasoning, .* is due"):
        plain[1]


@pytest.mark.parametrize("name", ["data.json", "data.jsonl"])
def test_numbers_slices_shards_and_orders(llava: Write, said: Said, name: str) -> None:
    samples = opened(f"llava:{llava([{'id': n, 'conversations': said('q', 'a')} for n in range(23)], name)}")
    assert len(samples) == 23
    assert samples[-1].id == "22"
    assert [sample.id for sample in samples[3:9:2]] == ["3", "5", "7"]
    mixed = [sample.id for sample in samples.shuffled(4)]
    assert mixed == [sample.id for sample in samples.shuffled(4)] != [sample.id for sample in samples]
    parts = [[sample.id for sample in samples.shuffled(4).shard(worker, 5)] for worker in range(5)]
    assert sorted((each for part in parts for each in part), key=int) == [str(n) for n in range(23)]
    with pytest.raises(IndexError):
        samples[23]


def test_a_marker_amid_words_names_its_picture(llava: Write, said: Said) -> None:
    rows = [{"image": ["a.png", "c.jpg"], "conversations": said("Is <image> like <image>?", "No.")}]
    assert opened(f"llava:{llava(rows)}")[0].turns[0].prompt == "Is picture 1 like picture 2?"


def test_the_systems_words_come_first(llava: Write) -> None:
    turns = [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "Why?"},
        {"from": "gpt", "value": "So."},
    ]
    assert opened(f"llava:{llava([{'conversations': turns}])}")[0].turns == (Turn("Be brief.\n\nWhy?", "So."),)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"conversations": "hello"}, "row 2: conversations is a str; a list is due"),
        ({"conversations": []}, "row 2: 0 turns; a question and an answer are due"),
        ({"conversations": [{"from": "human", "value": "a"}]}, "row 2: 1 turns; a question and an answer"),
        ({"conversations": [{"from": "cat", "value": "a"}]}, "row 2: from of conversations 1 is 'cat'; human, gpt"),
        ({"conversations": [{"from": "gpt", "value": "a"}] * 2}, "row 2: turn 1 is the assistant's"),
        ({"conversations": [{"from": "human", "value": 5}]}, "row 2: value of conversations 1 is a int; a text is due"),
        ({"question": "\ud800", "answer": "a"}, "row 2: question holds half a character"),
        ({"question": "<image>?", "answer": "a"}, "row 2: 1 <image> markers and 0 pictures; as many of each are due"),
        ({"image": 3, "question": "?", "answer": "a"}, "row 2: image is '3'; a picture's name is due"),
        ({"question": "what?"}, "row 2: no conversations, messages, question with answer, caption or text"),
        ({"text": "a", "boxes": [{"label": "b"}]}, "row 2: left of box 1 is 'None'; a number is due"),
        ({"text": "a", "metric": "best"}, "row 2: metric is 'best'; one of exact, .* is due"),
        ({"image": "../x.png", "text": "a"}, "row 2: picture '../x.png' lies outside of"),
        ({"image": "/etc/x.png", "text": "a"}, "row 2: picture '/etc/x.png' lies outside of"),
        ({"image": "b/../../x.png", "text": "a"}, "row 2: picture 'b/../../x.png' lies outside of"),
        ({"image": "http://a/x.png", "text": "a"}, "row 2: picture 'http://a/x.png'; the name of a file"),
        ({"image": "a\0.png", "text": "a"}, r"row 2: picture 'a\\x00.png'; the name of a file"),
    ],
)
@pytest.mark.parametrize("name", ["data.json", "data.jsonl"])
def test_a_wrong_row_is_named_with_what_is_due(llava: Write, row: object, message: str, name: str) -> None:
    samples = opened(f"llava:{llava([{'text': 'fine'}, row, {'text': 'fine'}], name)}")
    assert samples[2].turns[0].answer == "fine"
    with pytest.raises(SampleError, match=message) as caught:
        samples[1]
    assert "\n" not in str(caught.value)


def test_training_passes_over_what_cannot_be_read_and_counts_it(llava: Write, said: Said) -> None:
    rows = [
        {"image": "a.png", "conversations": said("<image>?", "red")},
        {"image": "gone.png", "conversations": said("<image>?", "red")},
        {"conversations": 1},
        {"image": "c.jpg", "conversations": said("<image>?", "red")},
    ]
    stream = open_samples(f"llava:{llava(rows)}")
    with pytest.raises(PictureError, match=r"sample 2 of data: .*gone.png: no such file"):
        list(Opened(stream))
    tolerant = Opened(stream, skip=True)
    assert [sample.id for sample in tolerant] == ["1", "4"]
    assert tolerant.passed_over == 2
    assert "gone.png" in tolerant.messages[0]
    with pytest.raises(SampleError, match="none of 1 samples can be read; the first: "):
        list(Opened(stream.shard(1, 4), skip=True))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it begins with b''; a JSON array is due"),
        (b"hello", "it begins with b'h'"),
        (b"[]", "no row in it"),
        (b'[{"a": 1}', "cut short in or after row 2; its last bracket is missing"),
        (b'[{"a": "]}', "cut short in or after row 1"),
        (b'[{"a": 1}] {"b": 2}', "stands behind the array's end"),
        (b"[" * 100 + b"]" * 100, "row 1 has more than 64 brackets in each other"),
        (b'[{"a": ' + b"[" * 90 + b"]" * 90 + b"}]", "row 1 has more than 64 brackets"),
    ],
)
def test_a_damaged_file_is_one_line(llava: Write, data: bytes, message: str) -> None:
    with pytest.raises(SampleError, match=message):
        opened(f"llava:{llava(data)}")


@pytest.mark.parametrize(
    ("data", "index", "message"),
    [
        (b'[{"text": "a"} 7 {"text": "b"}]', 1, "row 2: b'7' stands beside it, where b',' is due"),
        (b'[1, {"text": "a"}]', 0, r"row 1: b'\[1,' stands beside it"),
        (b'[{"text": "a"}, "b"]', 0, "row 1: b', \"b\"' stands beside it, where b'' is due"),
        (b'[{"text": "a"}, [1]]', 1, "row 2: list, where an object is due"),
        (b'[{"text": a}]', 0, "row 1: no JSON"),
        (b'{"text": "a"}\n' + b"[" * 200_000 + b"\n", 1, r"row 2: no JSON \(too deep\)"),
        (b'{"text": "a"}\n{"text": "b"\n', 1, "row 2: no JSON"),
    ],
)
def test_what_is_no_row_is_found_when_it_is_read(llava: Write, data: bytes, index: int, message: str) -> None:
    with pytest.raises(SampleError, match=message):
        opened(f"llava:{llava(data)}")[index]


def test_a_row_beyond_all_size_is_not_read(llava: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    from magicvl.train.samples import json_rows

    monkeypatch.setattr(json_rows, "MOST_ROW", 1000)
    monkeypatch.setattr(json_rows, "BLOCK", 100)
    rows = json.dumps([{"text": "a"}, {"text": [["b"]] * 500}]).encode()
    with pytest.raises(SampleError, match=r"row 2: 3,\d+ bytes; at most 1,000 are read"):
        opened(f"llava:{llava(rows)}")[1]
    with pytest.raises(SampleError, match="begins a string without an end, or over 1,000 bytes without"):
        opened(f"llava:{llava(json.dumps([{'text': 'b' * 2000}]).encode())}")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("llava:no.json", "no.json: no such file"),
        ("llava:", "nothing is named behind llava:"),
        ("tfrecord:a", "'tfrecord:a' names no samples: give llava:..., webdataset:..., hf:..., generated:..."),
        ("llava:a.json?colour=red", "'colour=red' is no option; there are pictures=, category=, source=, prompt="),
        ("llava:a.json?category=video", "category 'video'; there are reasoning"),
        ("llava:a.json?source=a&source=b", "source= is given twice"),
        ("generated:ocr?source=a", "generated samples know their category and source; drop source"),
    ],
)
def test_a_spec_that_names_nothing_is_one_line(spec: str, message: str) -> None:
    with pytest.raises(MagicVLError, match=message.replace("?", r"\?")):
        open_samples(spec)


def test_shares_and_splits_are_checked(llava: Write) -> None:
    samples = opened(f"llava:{llava([{'text': 'a'}])}")
    for worker, workers in ((-1, 2), (2, 2), (0, 0)):
        with pytest.raises(UsageError, match=f"worker {worker} of {workers}"):
            samples.shard(worker, workers)
    with pytest.raises(UsageError, match="split 'dev': there are train"):
        open_samples("llava:a.json", split="dev")  # type: ignore[arg-type]
