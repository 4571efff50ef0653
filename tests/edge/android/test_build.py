"""Builds with real ninja and processes: a stand-in CMake writes steps that copy, fail or wait."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from magicvl.edge.android.build import Job, build, is_finished, locked, make_recipe
from magicvl.edge.android.flags import PROGRAMS
from magicvl.edge.android.source import Source
from magicvl.edge.android.toolchain import Tools, find_tools
from magicvl.edge.variant import ARMV8, DOTPROD, HOST, read_record
from magicvl.errors import MagicVLError

# Makes three objects, one after another, and from them each program; the second object waits where a file says so.
CMAKE = """#!/bin/sh
echo "$@" >> {folder}/cmake.calls
while [ $# -gt 0 ]; do
    case $1 in
        -B) build=$2 ;;
        -S) source=$2 ;;
        -DGGML_CPU_ARM_ARCH=*) arch=${{1#*=}} ;;
    esac
    shift
done
mkdir -p "$build/bin"
cat > "$build/build.ninja" <<END
rule object
  command = echo \\$out >> {folder}/compiled; test ! -e {folder}/fail || {{ echo 'x.c:1: error: bad'; exit 1; }}; \
$
 if test -e {folder}/wait && test \\$out = b.o; then touch {folder}/waiting; sleep 60; fi; cat \\$in > \\$out
rule arch
  command = echo \\$out >> {folder}/compiled; echo $arch > \\$out
rule link
  command = cat \\$in > \\$out
build a.o: object $source/a
build b.o: object $source/a
build c.o: arch
build bin/llama-server: link a.o b.o c.o
build bin/llama-mtmd-cli: link a.o b.o c.o
build bin/llama-bench: link a.o b.o c.o
build llama-server: phony bin/llama-server
build llama-mtmd-cli: phony bin/llama-mtmd-cli
build llama-bench: phony bin/llama-bench
END
"""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job with that CMake and a zig that only says its version."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in {"cmake": CMAKE.format(folder=tmp_path), "zig": "#!/bin/sh\necho 0.17.1\n"}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "a").write_text("object\n")
    (tmp_path / "work").mkdir()
    source = Source(folder, "0.3.36", "0c1e57098bba43ac29e6e3b677cdceebdd22334f", "f" * 64, {"one.patch": "e" * 64})
    ninja = find_tools([]).ninja
    return Job(tmp_path / "work", source, Tools(tools / "cmake", ninja, tools / "zig"), 1)


def quiet(text: str) -> None:
    """Progress that nobody reads."""


def compiled(job: Job) -> list[str]:
    """What was compiled since the last call."""
    path = job.work.parent / "compiled"
    lines = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def test_a_variant_is_built_and_recorded(job: Job) -> None:
    seen: list[str] = []
    folder = build(job, DOTPROD, seen.append)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*PROGRAMS, "build.json"])
    record = read_record(folder)
    assert record is not None
    assert (record["variant"], record["arch"], record["build"]) == ("dotprod", DOTPROD.arch, "b1-0c1e570")
    assert (record["machine"], record["compiler"]) == ("aarch64", "zig 0.17.1")
    assert record["flags"]["GGML_CPU_ARM_ARCH"] == DOTPROD.arch
    assert record["files"]["llama-server"]["size"] == len("object\nobject\n") + len(DOTPROD.arch) + 1
    assert str(job.work.parent) not in json.dumps(record)
    assert seen[0] == "variant dotprod: configuring"
    assert any(text.startswith("variant dotprod: compiling, step 6 of 6 (0:0") for text in seen)


def test_a_finished_variant_is_not_built_again(job: Job) -> None:
    folder = build(job, ARMV8, quiet)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    (job.work.parent / "cmake.calls").unlink()
    assert build(job, ARMV8, quiet) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert not (job.work.parent / "cmake.calls").exists()


def test_the_second_variant_compiles_what_differs(job: Job) -> None:
    first = build(job, ARMV8, quiet)
    assert sorted(compiled(job)) == ["a.o", "b.o", "c.o"]
    second = build(job, DOTPROD, quiet)
    assert compiled(job) == ["c.o"]
    assert (first / "llama-server").read_text().endswith(f"{ARMV8.arch}\n")
    assert (second / "llama-server").read_text().endswith(f"{DOTPROD.arch}\n")


def damaged(folder: Path) -> None:
    (folder / "llama-bench").write_text("other")


def lost(folder: Path) -> None:
    (folder / "llama-bench").unlink()


def unreadable(folder: Path) -> None:
    (folder / "build.json").write_text("{")


@pytest.mark.parametrize("harm", [damaged, lost, unreadable])
def test_a_damaged_result_is_made_again(job: Job, harm: Callable[[Path], None]) -> None:
    folder = build(job, ARMV8, quiet)
    whole = (folder / "llama-bench").read_bytes()
    harm(folder)
    assert not is_finished(folder, make_recipe(job, ARMV8))
    build(job, ARMV8, quiet)
    assert (folder / "llama-bench").read_bytes() == whole


def test_another_source_is_another_recipe(job: Job) -> None:
    folder = build(job, ARMV8, quiet)
    for change in ({"commit": "1" * 40}, {"sha256": None}, {"patches": {}}):
        other = replace(job, source=replace(job.source, **change))
        assert not is_finished(folder, make_recipe(other, ARMV8))


def test_a_failed_step_names_its_cause_and_keeps_the_rest(job: Job) -> None:
    (job.work.parent / "fail").touch()
    with pytest.raises(MagicVLError, match=r"variant armv8: compiling failed: .*; the whole log is .*build\.log") as it:
        build(job, ARMV8, quiet)
    assert "x.c:1: error: bad" in str(it.value)
    assert "FAILED: a.o" in job.log.read_text()
    assert not (job.work / "done" / "armv8").exists()
    (job.work.parent / "fail").unlink()
    build(job, ARMV8, quiet)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_build_goes_on_where_it_was(job: Job, tmp_path: Path, kind: signal.Signals) -> None:
    (tmp_path / "wait").touch()
    code = f"""
from pathlib import Path
from magicvl.edge.android.build import Job, build
from magicvl.edge.android.process import stopping
from magicvl.edge.android.source import Source
from magicvl.edge.android.toolchain import Tools
from magicvl.edge.variant import ARMV8
PosixPath = Path
try:
    with stopping():
        build({job!r}, ARMV8, lambda text: None)
except KeyboardInterrupt:
    print("stopped")
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + 30
    while not (tmp_path / "waiting").exists() and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(child.pid, kind)
    said, _ = child.communicate(timeout=30)
    assert said == "stopped\n"
    assert not (job.work / "done" / "armv8").exists()
    assert compiled(job) == ["a.o", "b.o"]
    (tmp_path / "wait").unlink()
    folder = build(job, ARMV8, quiet)
    assert compiled(job) == ["b.o", "c.o"]
    assert (folder / "llama-server").read_text() == f"object\nobject\n{ARMV8.arch}\n"


def test_two_builds_do_not_share_a_folder(tmp_path: Path) -> None:
    work = tmp_path / "work"
    with locked(work), pytest.raises(MagicVLError, match="another build is running in"), locked(work):
        pass
    with locked(work):
        pass


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MagicVLError, match="name another folder with --work"), locked(tmp_path / "file" / "work"):
        pass


def test_the_machines_own_build_uses_its_own_compiler(job: Job) -> None:
    record = read_record(build(job, HOST, quiet))
    assert record is not None
    assert record["machine"] == os.uname().machine
    assert record["flags"]["GGML_NATIVE"] == "ON"
    assert "CMAKE_SYSTEM_PROCESSOR" not in record["flags"]
