"""The child's life: private, watched, and never left behind, however its parent ends."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from magicvl.edge.server.folder import LONGEST, PREFIX, STALE_SECONDS, make_folder
from magicvl.edge.server.keeper import Keeper
from magicvl.edge.server.process import ServerProcess
from magicvl.errors import EngineError

LIGHT = Path(__file__).with_name("light_server.py")


@pytest.fixture(scope="module")
def program(make_program: Callable[..., Path]) -> Path:
    return make_program(LIGHT, bare=True)


@pytest.fixture(autouse=True)
def base() -> Iterator[Path]:
    """A short folder of our own for all sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


def start(program: Path) -> ServerProcess:
    server = ServerProcess(program, ["--model", "x"])
    server.wait_until_ready(30)
    return server


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Killed and not yet fetched by init is gone too.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def gone(pid: int, folder: Path, seconds: float = 5) -> bool:
    """Whether a server and its folder are gone within the time that is promised."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not alive(pid) and not folder.exists():
            return True
        time.sleep(0.02)
    return False


def test_it_is_private_and_leaves_nothing(program: Path, base: Path) -> None:
    server = start(program)
    try:
        assert server.folder.parent == base
        assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
        key = next(
            entry.removeprefix("LLAMA_API_KEY=")
            for entry in Path(f"/proc/{server.pid}/environ").read_text().split("\0")
            if entry.startswith("LLAMA_API_KEY=")
        )
        assert len(key) == 64
        assert key not in Path(f"/proc/{server.pid}/cmdline").read_text()
        assert server.running
    finally:
        server.close()
    assert not server.running
    assert gone(server.pid, server.folder)
    server.close()


def test_each_has_its_own_key_and_socket(program: Path) -> None:
    first, second = start(program), start(program)
    assert first.folder != second.folder
    assert first.client._headers != second.client._headers
    first.close()
    assert second.running
    assert second.client.ready()
    second.close()


def test_ctrl_c_of_a_terminal_does_not_reach_it(program: Path) -> None:
    server = start(program)
    assert os.getsid(server.pid) == server.pid != os.getsid(0)
    server.close()


def test_it_outlives_the_thread_that_started_it(program: Path) -> None:
    made: list[ServerProcess] = []
    thread = threading.Thread(target=lambda: made.append(start(program)))
    thread.start()
    thread.join()
    time.sleep(0.3)
    assert made[0].client.ready()
    made[0].close()


PARENT = """
import os, sys, time
from pathlib import Path
from magicvl.edge.server.process import ServerProcess
server = ServerProcess(Path(sys.argv[1]), [])
server.wait_until_ready(30)
forked = os.fork() if sys.argv[2] == "fork" else None
if forked != 0:
    print(server.pid, server.folder, forked or 0, flush=True)
if sys.argv[2] == "end":
    sys.exit()
time.sleep(60)
"""


def parent(program: Path, how: str) -> tuple["subprocess.Popen[str]", int, Path, int]:
    """A process with a server: itself, the server's id and folder, and the id of a process that it forked."""
    command = [sys.executable, "-c", PARENT, str(program), how]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pid, folder, forked = process.stdout.readline().split()
    process.stdout.close()
    return process, int(pid), Path(folder), int(forked)


@pytest.mark.parametrize("how", ["kill", "fork", "end"])
def test_no_orphan_after_five_seconds(program: Path, how: str) -> None:
    process, pid, folder, forked = parent(program, how)
    if how != "end":
        assert alive(pid)
        process.kill()
    process.wait(10)
    try:
        assert gone(pid, folder)
    finally:
        if forked:
            os.kill(forked, signal.SIGKILL)


def test_a_forked_process_that_ends_does_not_take_it_along(program: Path) -> None:
    server = start(program)
    forked = os.fork()
    if forked == 0:
        try:
            server.close()
        finally:
            os._exit(0)
    os.waitpid(forked, 0)
    assert server.client.ready()
    server.close()


def test_what_it_said_last_is_in_the_error(program: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHT_FAIL", "1")
    server = ServerProcess(program, [])
    with pytest.raises(
        EngineError, match=r"ended before it was ready \(exit code 3; error: failed to open the model\)"
    ):
        server.wait_until_ready(30)
    server.close()
    assert not list(base.iterdir())


def test_one_that_takes_too_long_is_an_error(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHT_LOADING", "60")
    server = ServerProcess(program, [])
    with pytest.raises(EngineError, match=r"not ready after 0.5 seconds"):
        server.wait_until_ready(0.5)
    server.close()


@pytest.mark.parametrize("mode", [0o644, 0o755])
def test_what_is_no_program_is_an_error(tmp_path: Path, base: Path, mode: int) -> None:
    file = tmp_path / "llama-server"
    file.write_bytes(b"\x7fELF no program")
    file.chmod(mode)
    with pytest.raises(EngineError, match="cannot be started"):
        ServerProcess(file, [])
    assert not list(base.iterdir())


def test_options_in_the_environment_do_not_reach_it(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_ARG_CTX_SIZE", "1")
    server = start(program)
    assert "LLAMA_ARG_CTX_SIZE" not in Path(f"/proc/{server.pid}/environ").read_text()
    server.close()


def test_what_killed_processes_left_is_removed(base: Path, program: Path) -> None:
    old = time.time() - STALE_SECONDS - 1

    def leave(name: str, *files: str, when: float = old) -> Path:
        folder = base / name
        folder.mkdir()
        for file in files:
            (folder / file).touch()
        os.utime(folder, (when, when))
        return folder

    stale, empty = leave(f"{PREFIX}a", "llama.sock"), leave(f"{PREFIX}b")
    young, others = leave(f"{PREFIX}c", "llama.sock", when=time.time()), leave(f"{PREFIX}d", "work.txt")
    living = start(program)
    os.utime(living.folder, (old, old))
    folder = make_folder()
    assert [path.exists() for path in (stale, empty)] == [False, False]
    assert [path.exists() for path in (young, others, living.folder, folder)] == [True, True, True, True]
    living.close()


def test_a_path_too_long_for_a_socket_gives_way(
    base: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: Path
) -> None:
    deep = base / ("d" * LONGEST)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    monkeypatch.setattr(tempfile, "tempdir", str(base))
    server = start(program)
    assert server.folder.parent == base
    server.close()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    monkeypatch.setenv("HOME", str(deep))
    with pytest.raises(EngineError, match=r"too long for a socket.*set TMPDIR"):
        make_folder()


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk without room for another file."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=1", "none", str(tmp_path)], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip(f"no right to mount a small disk here: {done.stderr.decode().strip()}")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_full_disk_gives_way_or_is_one_clear_error(
    full: Path, base: Path, monkeypatch: pytest.MonkeyPatch, program: Path
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(full))
    monkeypatch.setattr(tempfile, "tempdir", str(base))
    server = start(program)
    assert server.folder.parent == base
    server.close()
    monkeypatch.setattr(tempfile, "tempdir", str(full))
    monkeypatch.setenv("HOME", str(full))
    with pytest.raises(EngineError, match=r"No space left on device.*set TMPDIR to another folder"):
        ServerProcess(program, [])


def test_an_idle_server_stops_and_starts_again(program: Path) -> None:
    keeper = Keeper(lambda: start(program), 0.2)
    with keeper.use() as first:
        time.sleep(0.5)
        assert first.running
        with keeper.use() as same:
            assert same is first
        time.sleep(0.5)
        assert first.running
    assert gone(first.pid, first.folder)
    with keeper.use() as second:
        assert second.pid != first.pid
    keeper.stop()
    assert not second.running
    assert keeper.server is None


def test_one_that_was_killed_is_started_again(program: Path) -> None:
    keeper = Keeper(lambda: start(program), float("inf"))
    with keeper.use() as first:
        pass
    os.kill(first.pid, signal.SIGKILL)
    time.sleep(0.1)
    with keeper.use() as second:
        assert second.client.ready()
    assert not first.folder.exists()
    keeper.stop()
