"""The same batch over Ray Data: two workers on this machine, and one output with a batch without Ray."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from magicvl.batch_ray import share
from magicvl.edge.answer import Options
from magicvl.edge.batch_rows import Row
from magicvl.errors import UsageError

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'magicvl[ray]'")


@pytest.mark.parametrize(
    ("machines", "workers", "threads", "wanted"),
    [
        ([8], None, None, (1, 8)),
        ([8, 4], None, None, (2, 4)),
        ([2], 2, None, (2, 1)),
        ([8, 8], 6, None, (6, 2)),
        ([8, 8], 6, 1, (6, 1)),
        ([4], 1, 2, (1, 2)),
    ],
)
def test_workers_share_the_processors(
    machines: list[int], workers: int | None, threads: int | None, wanted: tuple[int, int]
) -> None:
    assert share(machines, workers, threads) == wanted


@pytest.mark.parametrize(
    ("machines", "workers", "threads", "words"),
    [
        ([2], 3, None, "3 workers of 1 threads: the 2 processors of the cluster have room for 2"),
        ([3, 3], 3, 2, "room for 2"),
        ([2], None, 4, "1 workers of 4 threads"),
        ([], None, None, "no machine"),
    ],
)
def test_workers_that_would_wait_for_ever_are_refused(
    machines: list[int], workers: int | None, threads: int | None, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        share(machines, workers, threads)


def test_rows_and_their_options_travel() -> None:
    for options in (Options(choices=("yes", "no")), Options(schema={"type": "integer"}), Options(temperature=1.0)):
        row = Row(3, "a", (Path("a.png"),), "what?", options, meta={"b": [1]})
        assert pickle.loads(pickle.dumps(row)) == row


def call(engine: str, file: Path, output: Path, bundle: Path) -> list[str]:
    common = ["--batch", file, "-o", output, "--model", bundle, "-p", "what?", "--max-tokens", 6]
    own = ["--engine", "ray", "--workers", 2] if engine == "ray" else ["--threads", 1]
    return [sys.executable, "-m", "magicvl", "ask", *map(str, [*common, *own])]


def rows_of(path: Path) -> dict[int, dict[str, Any]]:
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len({row["row"] for row in found}) == len(found)
    return {row["row"]: row for row in found}


def untimed(rows: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    return {
        number: {name: value for name, value in row.items() if name not in ("timings_ms", "usage")}
        for number, row in rows.items()
    }


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_the_way_to_get_it_is_said(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"image": "a.png"}\n')
    done = subprocess.run(
        call("ray", tmp_path / "in.jsonl", tmp_path / "out.jsonl", tiny_bundle),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "magicvl: --engine ray needs Ray: pip install 'magicvl[ray]'\n"
    assert list(tmp_path.iterdir()) == [tmp_path / "in.jsonl"]


@needs_ray
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_workers_killed_and_resumed_give_what_one_engine_gives(
    tiny_bundle: Path, tmp_path: Path, make_picture: Callable[..., Image.Image]
) -> None:
    for number in range(3):
        make_picture(200 + 100 * number, 300, number).save(tmp_path / f"{number}.png")
    rows: list[dict[str, Any]] = [{"id": i, "image": f"{i % 3}.png", "meta": {"i": i}} for i in range(60)]
    rows[5]["image"] = "nowhere.png"
    file = tmp_path / "in.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    path = tmp_path / "ray.jsonl"
    process = subprocess.Popen(
        call("ray", file, path, tiny_bundle), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 400
    while not path.exists() or path.read_bytes().count(b"\n") < 8:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    first = rows_of(path)
    assert 8 <= len(first) < 60

    done = subprocess.run(
        call("ray", file, path, tiny_bundle), capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 1, done.stderr
    assert f"{len(first)} of 60 rows are there already" in done.stderr
    assert ("row 6 (5) failed: " in done.stderr) == (6 not in first)
    found = rows_of(path)
    assert {number: found[number] for number in first} == first
    # Each engine took a time of its own to load: in this run there were two.
    loads = {row["timings_ms"]["load"] for number, row in found.items() if number not in first and "answer" in row}
    assert len(loads) == 2

    alone = tmp_path / "alone.jsonl"
    assert subprocess.run(call("local", file, alone, tiny_bundle), capture_output=True, check=False).returncode == 1
    assert untimed(found) == untimed(rows_of(alone))
    again = subprocess.run(call("local", file, path, tiny_bundle), capture_output=True, text=True, check=False)
    assert (again.returncode, rows_of(path)) == (1, found)
