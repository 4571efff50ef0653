"""What was predicted beside what happened: everything but the numbers."""

import json
from pathlib import Path

import pytest

from magicvl import cli
from magicvl.bench.prediction import Checked, Compared, Row


def test_small_pictures_are_compared(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["bench", "plan", str(tiny_bundle), "--rounds", "1", "--tiles", "1", "--threads", "1"]) == 0
    *table, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    assert [(row["tiles"], row["tokens"]) for row in found["rows"]] == [(1, 24), (1, 144)]
    assert found["threads"] == 1 and found["calibrate_s"] > 0
    names = {"encode_s", "prefill_s", "wall_s", "cpu_s"}
    names |= {"peak_mib"} if Path("/proc/self/statm").exists() else set()
    assert set(found["worst"]) == names
    for row in found["rows"]:
        assert all(row[name]["predicted"] > 0 and row[name]["happened"] > 0 for name in names)
        assert row["wall_s"]["happened"] >= row["encode_s"]["happened"] + row["prefill_s"]["happened"]
    assert len(table) == 1 + len(found["rows"]) + 1 and "off at worst" in table[-1]


def test_the_worst_is_the_farthest_on_either_side() -> None:
    def row(predicted: float) -> Row:
        exact = Compared(1.0, 1.0)
        return Row((1, 1), 1, 1, Compared(predicted, 2.0), exact, exact, exact, None)

    worst = Checked(1, 1.0, (row(2.2), row(1.4), row(2.5))).worst()
    assert worst == pytest.approx({"encode_s": 0.3, "prefill_s": 0, "wall_s": 0, "cpu_s": 0})


def test_what_fails_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], tiny_bundle: Path) -> None:
    (tmp_path / "magicvl.json").write_bytes((tiny_bundle / "magicvl.json").read_bytes())
    assert cli.run(["bench", "plan", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and "it is not there" in captured.err


@pytest.mark.parametrize("wrong", [["--rounds", "0"], ["--tiles", "0"], ["--threads", "0"]])
def test_less_than_one_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["bench", "plan", *wrong]) == 2
    assert "at least 1" in capsys.readouterr().err
