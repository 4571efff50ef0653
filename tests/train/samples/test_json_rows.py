"""Rows by number: what the index finds is what a parser of the whole file finds, wherever blocks end."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from magicvl.train.samples import json_rows
from magicvl.train.samples.json_rows import index_rows

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.text(max_size=12)
    | st.sampled_from(['"', "\\", "]}", '\\"[']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
ROWS = st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=4), min_size=1, max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(rows=ROWS, indent=st.sampled_from([None, 0, 2]), block=st.integers(1, 40), ascii_only=st.booleans())
def test_an_array_gives_the_rows_of_a_whole_parse(
    tmp_path: Path, rows: list[dict[str, object]], indent: int | None, block: int, ascii_only: bool
) -> None:
    path = tmp_path / "rows.json"
    path.write_text(
        f" {json.dumps(rows, indent=indent, ensure_ascii=ascii_only)}\n", encoding="utf-8", errors="surrogatepass"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "BLOCK", max(block, 3))
        found = index_rows(path)
        assert [found.read(index) for index in range(len(found))] == rows


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    rows=ROWS,
    block=st.integers(3, 40),
    gaps=st.lists(st.sampled_from(["\n", "\r\n", "\n\n", "\n \t\n"]), min_size=6, max_size=6),
)
def test_lines_give_the_rows_too(tmp_path: Path, rows: list[dict[str, object]], block: int, gaps: list[str]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + gap for row, gap in zip(rows, gaps, strict=False)), newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "BLOCK", block)
        found = index_rows(path)
        assert [found.read(index) for index in range(len(found))] == rows


def test_a_byte_order_mark_and_a_missing_last_line_end_are_no_matter(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    for data in (b'\xef\xbb\xbf[{"a": 1}, {"a": 2}]', b'\xef\xbb\xbf{"a": 1}\n{"a": 2}'):
        path.write_bytes(data)
        found = index_rows(path)
        assert [found.read(index)["a"] for index in range(len(found))] == [1, 2]


def test_the_index_of_a_large_file_takes_no_memory_for_its_rows(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "large.json"
    with path.open("w") as file:
        file.write("[")
        for number in range(8_000):
            file.write(("," if number else "") + json.dumps({"id": number, "text": "word " * 200}))
        file.write("]")
    assert path.stat().st_size > 8_000_000
    tracemalloc.start()
    try:
        found = index_rows(path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found) == 8_000
    assert found.read(7_999)["id"] == 7_999
    assert most < 6_000_000
