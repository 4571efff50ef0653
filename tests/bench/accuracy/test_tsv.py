"""Tables of benchmarks: pictures in base64, by path and by another row's index; what is wrong is one line."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from magicvl.bench.accuracy import tsv
from magicvl.bench.accuracy.tsv import as_list, read_table
from magicvl.edge.pixels import open_picture
from magicvl.errors import PictureError, UsageError

Write = Callable[..., Path]


def test_pictures_in_the_row_in_another_row_and_in_files(
    write_table: Write, picture_text: Callable[[int], str], tmp_path: Path
) -> None:
    Image.new("RGB", (8, 4)).save(tmp_path / "file.png")
    later = picture_text(2)
    path = write_table(
        "t.tsv",
        [
            {"index": 1, "image": picture_text(1), "question": 'a "quoted"\nquestion\twith a tab', "answer": "x"},
            {"index": 2, "image": 4, "question": "q2", "answer": "x"},
            {"index": 3, "image": 1, "question": "q3", "answer": "x"},
            {"index": 4, "image": later, "question": "q4", "answer": "x"},
            {"index": 5, "image_path": "file.png", "question": "q5", "answer": "x"},
            {"index": 6, "question": "nothing to see", "answer": "x"},
            {"index": 7, "image": f"['{picture_text(1)}', '{later}']", "question": "q7", "answer": "x"},
        ],
    )
    table = read_table(path)
    assert [row.index for row in table.rows] == ["1", "2", "3", "4", "5", "7"] and table.without_picture == 1
    assert table.rows[0].fields["question"] == 'a "quoted"\nquestion\twith a tab'
    assert [row.picture for row in table.rows] == ["1", "4", "1", "4", "file.png", "7"]
    first, second, third, fourth, fifth, both = (table.pictures(row) for row in table.rows)
    assert first == third == (base64.b64decode(picture_text(1)),)
    assert second == fourth == (base64.b64decode(later),)
    assert both == (*first, *second)
    assert open_picture(fifth[0]).size == (8, 4)


def test_columns_and_empty_fields(write_table: Write, picture_text: Callable[[int], str]) -> None:
    path = write_table(
        "t.tsv",
        [{"Index": "x", "IMAGE": picture_text(0), "Question": "q", "Answer": "B", "A": "one", "B": "None", "C": "nan"}],
    )
    row = read_table(path).rows[0]
    # None is a text that can be chosen, nan and nothing are no text.
    assert row.options == {"A": "one", "B": "None"}
    assert dict(row.fields) == {"index": "x", "question": "q", "answer": "B", "A": "one", "B": "None"}


def test_a_mark_at_the_beginning_and_windows_lines(tmp_path: Path, picture_text: Callable[[int], str]) -> None:
    path = tmp_path / "t.tsv"
    lines = ["index\timage\tquestion\tanswer", f"1\t{picture_text(3)}\tq\ta", f"2\t{picture_text(4)}\tq\ta", ""]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    table = read_table(path)
    assert [open_picture(*table.pictures(row)).size for row in table.rows] == [(32, 32)] * 2
    assert table.pictures(table.rows[1]) == (base64.b64decode(picture_text(4)),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column index, question, answer, image or image_path"),
        ("index\tquestion\tanswer\n1\tq\ta\n", "no column image or image_path"),
        ("index\timage\tquestion\tanswer\n", "no row in it"),
        ("index\timage\tquestion\tanswer\n1\t\tq\ta\n", "none of its 1 rows has a picture"),
        ("index\timage\tquestion\tanswer\tanswer\n1\tx\tq\ta\tb\n", "two columns"),
        ("index\timage\tquestion\tanswer\n1\t2\tq\n", "index 1: 3 fields, the header has 4"),
        ("index\timage\tquestion\tanswer\n1\t2\tq\ta\n", "index 1: its picture is that of '2', which has none"),
        ("index\timage\tquestion\tanswer\n1\t2\tq\ta\n2\t1\tq\ta\n", "index 1: its picture is that of '2'"),
        ("index\timage_path\tquestion\tanswer\n1\tx\tq\ta\n1\tx\tq\ta\n", "index 1 stands twice"),
        ("index\timage_path\tquestion\tanswer\n\tx\tq\ta\n", "a row without an index"),
        ('index\timage_path\tquestion\tanswer\n1\t"x\tq\ta\n', "index 1: 2 fields"),
        (f"index\timage_path\tquestion\tanswer\n{'9' * 65}\tx\tq\ta\n", "more than 64 characters"),
    ],
)
def test_a_bad_table_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "t.tsv"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_table(path)
    assert words in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_no_text_and_what_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_bytes(b"index\timage\tquestion\tanswer\n1\t\xff\tq\ta\n")
    with pytest.raises(UsageError, match="line 2 is not UTF-8 at byte 3"):
        read_table(path)
    with pytest.raises(UsageError, match=r"nowhere.tsv: cannot be read \(No such file"):
        read_table(tmp_path / "nowhere.tsv")
    with pytest.raises(UsageError, match=r"cannot be read \(Is a directory"):
        read_table(tmp_path)


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.tsv"
    path.write_text(f"index\timage\tquestion\tanswer\n1\t{'A' * 200_000}\tq\ta\n")
    monkeypatch.setattr(tsv, "MOST_LINE", 100_000)
    with pytest.raises(UsageError, match="line 2 is longer than 100,000 bytes"):
        read_table(path)
    monkeypatch.setattr(tsv, "MOST_LINE", 10**6)
    monkeypatch.setattr(tsv, "MOST_FIELD", 150_000)
    with pytest.raises(UsageError, match=r"line 2 is no row of a table \(field larger than field limit"):
        read_table(path)
    # Python's own limit, 131,072, is not what counts.
    monkeypatch.setattr(tsv, "MOST_FIELD", 10**6)
    assert len(read_table(path).rows) == 1


def test_what_is_no_picture_is_said_when_it_is_opened(write_table: Write) -> None:
    table = read_table(
        write_table(
            "t.tsv",
            [
                {"index": 1, "image": "*" * 65, "question": "q", "answer": "a"},
                {"index": 2, "image": "A" * 68, "question": "q", "answer": "a"},
            ],
        )
    )
    with pytest.raises(PictureError, match=r"t.tsv: index 1: its image is no base64"):
        table.pictures(table.rows[0])
    with pytest.raises(PictureError, match="not a picture"):
        open_picture(*table.pictures(table.rows[1]))


def test_a_data_address(write_table: Write, picture_text: Callable[[int], str]) -> None:
    address = f"data:image/png;base64,{picture_text(0)}"
    table = read_table(write_table("t.tsv", [{"index": 1, "image": address, "question": "q", "answer": "a"}]))
    assert table.pictures(table.rows[0]) == (base64.b64decode(picture_text(0)),)


@pytest.mark.parametrize(
    ("field", "texts"),
    [
        ("['a', \"b's\"]", ["a", "b's"]),
        ("[1, 2.5]", ["1", "2.5"]),
        ("plain", ["plain"]),
        ("[broken", ["[broken"]),
        ("[a, b]", ["[a, b]"]),
        ("[]", ["[]"]),
        ("[['a']]", ["[['a']]"]),
        ("[" * 5000 + "]" * 5000, ["[" * 5000 + "]" * 5000]),
    ],
)
def test_lists_in_a_field(field: str, texts: list[str]) -> None:
    assert as_list(field) == texts
