"""The deployment table on small shapes: stock llama.cpp runs them, and what is measured is kept."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from PIL import Image

from magicvl.bench.deployment import Row, Setting, measure, medians, read_rows, shares, table_models, to_text
from magicvl.bench.internvl_tiles import internvl_tiles
from magicvl.bench.peer_shapes import Peer
from magicvl.bench.pictures import TABLE_PICTURES
from magicvl.cli import run
from magicvl.edge.noise import noise
from magicvl.errors import UsageError
from magicvl.mmproj.presets import Preset

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peaks of memory are read from /proc")

ICON_TOKENS = {
    # 512 x 512 px: 16 x 16 tokens of 32 px.
    "small": 256,
    # Stock llama.cpp keeps every pixel, four tiles and an overview of 256 tokens; the authors cut one tile.
    "internvl2.5-2b": 5 * 256,
    "internvl2.5-2b-tiles": 256,
    # Enlarged to 1536 px: 4 x 4 tiles and an overview, of 81 tokens each.
    "smolvlm2-2.2b": 17 * 81,
    # 18 x 18 tokens of 28 px.
    "qwen2-vl-2b": 324,
}


def test_every_model_runs_and_is_measured_once(
    small_preset: Preset, small_peers: Sequence[Peer], tmp_path: Path
) -> None:
    models = table_models([small_preset], small_peers)
    results, shapes, setting = tmp_path / "rows.jsonl", tmp_path / "shapes", Setting(threads=1, tokens=2)
    asked: list[str] = []
    table = measure(models, ["icon"], setting, shapes, results, lambda what, _done, _total: asked.append(what))
    assert table.failures == ()
    assert {row.model: row.visual_tokens for row in table.rows} == ICON_TOKENS
    assert all(min(row.encode_s, row.prefill_s, row.decode_s, row.cpu_s) > 0 for row in table.rows)
    assert all(30 < row.peak_mib < 2000 and row.answered == 2 for row in table.rows)
    assert len(asked) == len(models)
    # A line that was cut short is measured again, and nothing else.
    text = results.read_text()
    results.write_text(text[:-20])
    again = measure(models, ["icon"], setting, shapes, results, lambda what, _done, _total: asked.append(what))
    assert asked[len(models) :] == ["qwen2-vl-2b, icon"]
    assert again.rows[:-1] == table.rows[:-1]
    assert read_rows(results) == list(again.rows)
    # Another setting is another measurement.
    fewer = {"small": models["small"]}
    other = measure(fewer, ["icon"], replace(setting, tokens=3), shapes, results)
    assert other.rows[0].answered == 3
    assert len(read_rows(results)) == len(models) + 1


def test_a_question_that_fails_is_a_line_and_not_a_row(small_preset: Preset, tmp_path: Path) -> None:
    def broken(_folder: Path, _llm: str, _mmproj: str) -> dict[str, object]:
        return {"bundle": str(tmp_path)}

    models = {"broken": broken} | table_models([small_preset], [])
    table = measure(models, ["icon"], Setting(threads=1, tokens=2), tmp_path / "shapes", tmp_path / "rows.jsonl")
    assert [row.model for row in table.rows] == ["small"]
    assert len(table.failures) == 1
    assert table.failures[0].startswith("broken on the icon failed: ")
    assert "no bundle" in table.failures[0]


def test_shares_are_of_the_model_that_the_paper_names() -> None:
    base = Row("internvl2.5-2b-tiles", "icon", 0, "F16", "F16", 1, 2, "b", 256, 9, 1, 1, 1, 1, 2, 3, 4.0, 100)
    rows = [
        base,
        replace(base, model="magicvl-2b", cpu_s=1.0),
        replace(base, model="magicvl-2b", round=1, cpu_s=2.0),
        replace(base, model="magicvl-2b", round=2, cpu_s=9.0),
        replace(base, picture="page", cpu_s=6.0),
        replace(base, model="magicvl-2b", picture="page", cpu_s=3.0),
    ]
    assert medians(rows)["magicvl-2b", "icon"]["cpu_s"] == 2.0
    assert shares(rows)["magicvl-2b"] == {"icon": 0.5, "page": 0.5, "all": 0.5}
    assert shares(rows[1:4]) == {}
    assert "magicvl-2b             page" in to_text(rows)
    assert asdict(rows[0]) | {"cpu_s": 1.0, "model": "magicvl-2b"} == asdict(rows[1])


@pytest.mark.parametrize(("name", "tiles"), [("photo", 8 + 1), ("page", 2 * 3 + 1), ("icon", 1)])
def test_tiles_as_internvls_authors_cut_them(name: str, tiles: int) -> None:
    found = internvl_tiles(noise(TABLE_PICTURES[name], 1), 448, 12)
    assert len(found) == tiles
    assert {tile.size for tile in found} == {(448, 448)}


def test_rows_of_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    with pytest.raises(UsageError, match="line 1: no row of this table"):
        read_rows(tmp_path / "rows.jsonl")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--models", "gpt"), "model 'gpt': there are magicvl-2b, internvl2.5-2b, internvl2.5-2b-tiles"),
        (("--pictures", "sky"), "picture 'sky': there are photo"),
        (("--tokens", "1"), "at least 1, 1 and 2"),
    ],
)
def test_wrong_use_of_the_command(
    options: Sequence[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "deployment", str(tmp_path / "rows.jsonl"), *options]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1), err
    assert said in err


def test_the_command_draws_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    from magicvl.edge.llama import library_build

    results = tmp_path / "rows.jsonl"
    row = Row("magicvl-2b", "icon", 0, "Q4_K_M", "F16", 1, 8, library_build(), 256, 9, 1, 1, 1, 1, 8, 3, 4.0, 100)
    rows = [row, replace(row, model="internvl2.5-2b", cpu_s=8.0)]
    results.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows))
    options = ["--threads", "1", "--models", "magicvl-2b", "--models", "internvl2.5-2b", "--pictures", "icon"]
    assert run(["bench", "deployment", str(results), *options, "--figure", str(tmp_path / "bars.png")]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["rows"] == [asdict(row) for row in rows]
    assert found["cpu_shares"]["magicvl-2b"] == {"icon": 0.5, "all": 0.5}
    with Image.open(tmp_path / "bars.png") as picture:
        assert min(picture.size) > 400
