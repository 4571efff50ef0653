"""The very archive on emulated arm64: qemu for the processor, proot so that emulated programs start each other.

    MAGICVL_ANDROID_ARCHIVE   what `magicvl android build` made
    MAGICVL_ARM64_ROOT        what make_root.sh, beside this file, made
    MAGICVL_ARM64_LIBRARY     a folder with libllama and libmtmd of the pinned llama.cpp for arm64 Debian (make_lib.sh)

Emulated is the processor with glibc's Python around it; Android's own C library, its kernel and Termux are not here.
"""

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

import magicvl
from magicvl.edge.android.archive import unpack_archive
from magicvl.edge.variant import PHONE_VARIANTS, llama_pin

QEMU = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
PROOT = shutil.which("proot")
ARCHIVE = os.environ.get("MAGICVL_ANDROID_ARCHIVE")
ROOT = os.environ.get("MAGICVL_ARM64_ROOT")
LIBRARY = os.environ.get("MAGICVL_ARM64_LIBRARY")
CORES = {"cortex-a53": "armv8", "cortex-a76": "dotprod", "max": "i8mm"}
PICTURE = "demo.png"
QUESTIONS = ("Where is everything?", "How many shapes are there?", "What is on the left?")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not QEMU, reason="needs qemu-aarch64: apt-get install qemu-user-static"),
    pytest.mark.skipif(not ARCHIVE, reason="MAGICVL_ANDROID_ARCHIVE names no archive of magicvl android build"),
]
needs_root = pytest.mark.skipif(
    not (PROOT and ROOT), reason="needs proot, and MAGICVL_ARM64_ROOT that make_root.sh makes"
)

Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive, unpacked and its sums checked."""
    assert ARCHIVE
    return unpack_archive(Path(ARCHIVE), tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def home(unpacked: Path) -> Path:
    """A home where install.sh has put all variants."""
    done = emulated("max", unpacked.parent, "sh", f"{unpacked.name}/install.sh", "--all-variants")
    assert done.returncode == 0, done.stderr
    return unpacked.parent


@pytest.fixture(scope="module")
def answers() -> list[str]:
    """What this machine's own llama.cpp answers, in this process."""
    with magicvl.load() as engine:
        return [engine.ask(magicvl.DEFAULT_BUNDLE / PICTURE, question, max_tokens=64) for question in QUESTIONS]


def emulated(core: str, home: Path, *command: str, **more: str) -> Done:
    """Runs a command in the root as on that core; what it starts is emulated too.

    The home keeps its name inside, and files in it are best named whole: proot 5.1 does not translate the names that
    faccessat2 is asked about.
    """
    assert PROOT and ROOT
    start = [PROOT, "-q", f"{QEMU} -cpu {core}", "-r", ROOT, "-b", "/proc", "-b", "/dev", "-b", str(home)]
    start += ["-w", str(home)]
    environment = {"HOME": str(home), "PATH": f"{home}/.local/bin:/usr/bin:/bin", "TMPDIR": str(home)} | more
    return subprocess.run([*start, *command], env=environment, capture_output=True, text=True, check=False, timeout=900)


@pytest.mark.parametrize("variant", [each.name for each in PHONE_VARIANTS])
@pytest.mark.parametrize("program", ["llama-server", "llama-mtmd-cli"])
def test_each_program_starts_without_any_library(unpacked: Path, variant: str, program: str) -> None:
    assert QEMU
    path = unpacked / "native" / variant / program
    done = subprocess.run(
        [QEMU, "-cpu", "max", path, "--version"], capture_output=True, text=True, check=False, env={}, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "aarch64" in done.stdout + done.stderr


@pytest.mark.parametrize(("core", "variant"), [("cortex-a53", "dotprod"), ("cortex-a76", "i8mm")])
def test_a_variant_that_is_too_new_would_die(unpacked: Path, core: str, variant: str, tmp_path: Path) -> None:
    # Why the chooser matters: this is what it keeps from happening.
    assert QEMU
    program = unpacked / "native" / variant / "llama-bench"
    model = magicvl.DEFAULT_BUNDLE / "llm.gguf"
    command = [QEMU, "-cpu", core, program, "-m", model, "-p", "16", "-n", "0", "-r", "1", "-t", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=300)
    assert done.returncode in {-4, 132}, done.stderr


@needs_root
@pytest.mark.parametrize(("core", "variant"), list(CORES.items()))
def test_the_installer_takes_the_best_for_the_core(unpacked: Path, core: str, variant: str, tmp_path: Path) -> None:
    shutil.copytree(unpacked, tmp_path / "archive")
    for _ in range(2):  # the second time there is nothing left to do
        done = emulated(core, tmp_path, "sh", "archive/install.sh")
        assert done.returncode == 0, done.stderr
        assert f"with llama.cpp for {variant} as" in done.stderr
    native = tmp_path / ".local" / "share" / "magicvl" / "native" / llama_pin()
    assert [path.name for path in native.iterdir() if path.name != "lib"] == [variant]
    assert emulated(core, tmp_path, "magicvl", "--version").stdout == f"magicvl {magicvl.__version__}\n"


@needs_root
@pytest.mark.parametrize(("core", "variant"), list(CORES.items()))
def test_the_chooser_finds_it_again(home: Path, core: str, variant: str) -> None:
    code = "from magicvl.edge.variant import find_server; print(find_server().variant)"
    python = str(next(home.glob(".local/share/magicvl/installs/*/venv/bin/python")))
    done = emulated(core, home, python, "-c", code)
    assert done.stdout == f"{variant}\n", done.stderr


@needs_root
@pytest.mark.parametrize("core", list(CORES))
def test_each_variant_answers_as_this_machine_does(home: Path, core: str, answers: list[str]) -> None:
    picture = shutil.copy(magicvl.DEFAULT_BUNDLE / PICTURE, home)
    for question, expected in zip(QUESTIONS, answers, strict=True):
        done = emulated(
            core, home, "magicvl", "ask", str(picture), "-p", question, "--max-tokens", "64", "--threads", "1"
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.rstrip("\n") == expected


@needs_root
@pytest.mark.parametrize(("core", "variant"), list(CORES.items()))
def test_the_doctor_finds_what_runs(home: Path, core: str, variant: str) -> None:
    done = emulated(core, home, "magicvl", "doctor", "--limit", "300")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"llama-server (variant {variant})" in done.stdout
    assert "no llama-cpp-python" in done.stdout
    assert "magicvl answers on this machine" in done.stdout


@needs_root
@pytest.mark.skipif(not LIBRARY, reason="MAGICVL_ARM64_LIBRARY names no libraries that make_lib.sh made")
def test_it_answers_in_process_too(home: Path, answers: list[str]) -> None:
    assert LIBRARY
    packages = home / "llama-cpp-python"
    for module in ("llama_cpp", "typing_extensions"):
        # The half of llama-cpp-python that is Python alone.
        found = find_spec(module)
        assert found is not None
        assert found.origin is not None
        if found.submodule_search_locations:
            shutil.copytree(Path(found.origin).parent, packages / module, ignore=shutil.ignore_patterns("lib"))
        else:
            shutil.copy(found.origin, packages)
    shutil.copytree(LIBRARY, home / "lib")
    picture = shutil.copy(magicvl.DEFAULT_BUNDLE / PICTURE, home / "inproc.png")
    ask = ["magicvl", "ask", str(picture), "--max-tokens", "64", "--threads", "1", "--runtime", "inproc"]
    places = {"PYTHONPATH": str(packages), "MAGICVL_LIBRARY": str(home / "lib")}
    for question, expected in zip(QUESTIONS, answers, strict=True):
        done = emulated("cortex-a76", home, *ask, "-p", question, **places)
        assert done.returncode == 0, done.stderr
        assert done.stdout.rstrip("\n") == expected
    told = emulated("cortex-a76", home, "magicvl", "doctor", "--limit", "300", **places).stdout
    assert f"llama-cpp-python with the libraries in {home / 'lib'}" in told
    assert "inproc: llama.cpp in the own process" in told
