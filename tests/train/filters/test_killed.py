"""A process that is killed, or stopped by Ctrl-C, anywhere: the same command ends as if it had run through."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def command(out: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "magicvl", "train", *words, "generated:ocr,text", "--count", "120", "-o", str(out)]


def stop(words: list[str], growing: Path, lines: int, by: signal.Signals) -> int:
    """Starts a command and signals it when a file has so many lines; its exit code."""
    with subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and (not growing.exists() or growing.read_bytes().count(b"\n") < lines):
            time.sleep(0.02)
        process.send_signal(by)
        return process.wait(60)


def files(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("by", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
@pytest.mark.parametrize("words", [("filter",), ("filter", "--format", "webdataset"), ("draw",)])
def test_the_same_command_goes_on(tmp_path: Path, words: tuple[str, ...], by: signal.Signals, code: int) -> None:
    through, stopped = tmp_path / "through", tmp_path / "stopped"
    subprocess.run(command(through, *words), check=True, capture_output=True)
    growing = stopped / ("samples.jsonl" if words == ("draw",) else "decisions.jsonl")
    assert stop(command(stopped, *words), growing, 40, by) == code
    done = subprocess.run(command(stopped, *words), check=True, capture_output=True, text=True)
    assert "already" in done.stderr or "going on" in done.stderr
    left, right = files(through), files(stopped)
    # The figure's file tells when it was drawn by what.
    assert left.keys() == right.keys()
    assert {name for name in left if left[name] != right[name]} <= {Path("report.png")}
