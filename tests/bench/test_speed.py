"""The speed bench measures what it says."""

import json
import subprocess
import sys

import magicvl
from magicvl.bench.speed import measure, noise


def test_every_case_is_measured_and_the_engine_looks_once() -> None:
    found = measure(magicvl.DEFAULT_BUNDLE, size=(96, 64), rounds=1, threads=1)
    costs = {cost.case: cost for cost in found.costs}
    assert list(costs) == [
        *("first", "second", "bare calls", "handler, first", "handler, second", "ten tiles", "one tile changed"),
        *("ten questions", "handler, ten questions", "from disk"),
    ]
    assert all(cost.cpu_s > 0 and cost.wall_s > 0 for cost in found.costs)
    # The same question about pictures of one size: the same tokens, whoever feeds them.
    assert costs["first"].tokens == costs["bare calls"].tokens > 6
    assert found.encoded_from_disk == 0
    assert len(found.ratios) == 6


def test_noise_is_new_every_time() -> None:
    assert noise((40, 30), 1).tobytes() == noise((40, 30), 1).tobytes() != noise((40, 30), 2).tobytes()


def test_the_command_prints_json_and_refuses_nothing_sized() -> None:
    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "magicvl", "bench", "speed", "--threads", "1", *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)

    done = run("--width", "64", "--height", "64", "--rounds", "1", "--json")
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {"costs", "ratios", "encoded_from_disk"}
    refused = run("--width", "0")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
