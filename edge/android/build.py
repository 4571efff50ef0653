"""Builds of llama.cpp: each variant once, with a record, in a state that an interrupted build goes on from.

WORK/source/         llama.cpp, see source.py
WORK/static/         CMake's folder of all static variants: only the arithmetic is compiled anew for each
WORK/host/, lib/     CMake's folders of the machine's own build, and of the NDK's libraries
WORK/done/VARIANT/   the finished programs and build.json; written beside and renamed
"""

import fcntl
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magicvl.edge.android.flags import PROGRAMS, cmake_flags
from magicvl.edge.android.ndk import NDK, ndk_commands, ndk_libraries
from magicvl.edge.android.process import Show, run_logged
from magicvl.edge.android.source import Source
from magicvl.edge.android.toolchain import Tools, write_wrappers
from magicvl.edge.bundle import sha256
from magicvl.edge.variant import HOST, PHONE_VARIANTS, RECORD, RECORD_FORMAT, Variant, read_record
from magicvl.errors import MagicVLError

_LOCAL = ("CMAKE_AR", "CMAKE_ASM_COMPILER", "CMAKE_C_", "CMAKE_CXX_", "CMAKE_RANLIB", "CMAKE_PROJECT_")
"""Flags with paths of the machine that builds; a record holds the others."""


@dataclass(frozen=True)
class Job:
    """Where builds happen, from what, with what."""

    work: Path
    source: Source
    tools: Tools
    jobs: int
    """Compilers at a time."""
    ndk: Path | None = None

    @property
    def log(self) -> Path:
        """What the build tools said."""
        return self.work / "build.log"


@contextmanager
def locked(work: Path) -> Iterator[None]:
    """Holds a folder of builds alone. Raises MagicVLError where another build has it, or it cannot be written."""
    try:
        work.mkdir(parents=True, exist_ok=True)
        file = (work / "lock").open("w")
    except OSError as error:
        raise MagicVLError(f"{work}: {error.strerror}; name another folder with --work") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise MagicVLError(f"another build is running in {work}: wait for it, or name another --work") from None
        yield


def build(job: Job, variant: Variant, show: Show) -> Path:
    """The folder with a variant's programs and build.json; nothing is compiled where that is finished.

    Raises MagicVLError where a step fails; what was compiled is kept, and the next call goes on from there.
    """
    folder = job.work / "done" / variant.name
    recipe = make_recipe(job, variant)
    if is_finished(folder, recipe):
        return folder
    what = f"variant {variant.name}"
    for step, command in _commands(job, variant):
        run_logged(command, job.log, f"{what}: {step}", show, extra={"SOURCE_DATE_EPOCH": "0"})
    _collect(_products(job, variant), folder, recipe)
    return folder


def make_recipe(job: Job, variant: Variant) -> dict[str, Any]:
    """All that the programs of a variant depend on, as its record holds it; nothing of the machine or the hour."""
    return {
        "format": RECORD_FORMAT,
        "variant": variant.name,
        "arch": variant.arch,
        "needs": sorted(variant.needs),
        "machine": platform.machine() if variant == HOST else "aarch64",
        "build": job.source.build,
        "llama_cpp_python": job.source.version,
        "commit": job.source.commit,
        "source_sha256": job.source.sha256,
        "patches": job.source.patches,
        "compiler": _compiler(job, variant),
        "flags": _portable_flags(job, variant),
    }


def is_finished(folder: Path, recipe: dict[str, Any]) -> bool:
    """True where a folder holds what the recipe makes, byte for byte as it was when it was made."""
    record = read_record(folder)
    if record is None or {**record, "files": None} != {**recipe, "files": None}:
        return False
    files = record.get("files")
    return isinstance(files, dict) and bool(files) and files == _describe([folder / name for name in files])


def _commands(job: Job, variant: Variant) -> Iterator[tuple[str, list[str]]]:
    """What is run for a variant, each with what it does."""
    if variant == NDK:
        assert job.ndk is not None
        yield from ndk_commands(job.tools.cmake, job.tools.ninja, job.source.folder, _folder(job, variant), job.jobs)
        return
    folder = str(_folder(job, variant))
    flags = [f"-D{name}={value}" for name, value in _flags(job, variant).items()]
    start = [str(job.tools.cmake), "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={job.tools.ninja}"]
    yield "configuring", [*start, "-S", str(job.source.folder), "-B", folder, *flags]
    yield "compiling", [str(job.tools.ninja), "-C", folder, f"-j{job.jobs}", *PROGRAMS]


def _folder(job: Job, variant: Variant) -> Path:
    return job.work / ("static" if variant in PHONE_VARIANTS else variant.name)


def _flags(job: Job, variant: Variant) -> dict[str, str]:
    if variant == HOST:
        return cmake_flags(variant, job.source.folder, job.source.commit, {})
    assert job.tools.zig is not None
    compilers = write_wrappers(job.work / "zig-cc", job.tools.zig, PHONE_VARIANTS)
    return cmake_flags(variant, job.source.folder, job.source.commit, compilers)


def _portable_flags(job: Job, variant: Variant) -> dict[str, str]:
    if variant == NDK:
        return {}
    return {name: value for name, value in _flags(job, variant).items() if not name.startswith(_LOCAL)}


def _products(job: Job, variant: Variant) -> list[Path]:
    folder = _folder(job, variant) / "bin"
    if variant == NDK:
        assert job.ndk is not None
        return ndk_libraries(folder, job.ndk)
    return [folder / name for name in PROGRAMS]


def _compiler(job: Job, variant: Variant) -> str:
    if variant == NDK:
        assert job.ndk is not None
        return f"NDK {_ndk_revision(job.ndk)}"
    if variant == HOST:
        return _first_line([os.environ.get("CXX", "c++"), "--version"])
    return f"zig {_first_line([str(job.tools.zig), 'version'])}"


def _ndk_revision(ndk: Path) -> str:
    try:
        lines = (ndk / "source.properties").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "of unknown revision"
    return next((line.partition("=")[2].strip() for line in lines if "Pkg.Revision" in line), "of unknown revision")


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        raise MagicVLError(f"{command[0]} does not run: {error}") from None
    return (done.stdout.splitlines() or [""])[0].strip()


def _collect(products: list[Path], folder: Path, recipe: dict[str, Any]) -> None:
    """Copies the finished files and their record to their place, whole or not at all."""
    partial = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for product in products:
        shutil.copy(product, partial)
    files = _describe([partial / product.name for product in products])
    (partial / RECORD).write_text(json.dumps(recipe | {"files": files}, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)


def _describe(paths: list[Path]) -> dict[str, dict[str, object]] | None:
    """Size and sha256 of files by name; None where one cannot be read."""
    try:
        return {path.name: {"size": path.stat().st_size, "sha256": sha256(path)} for path in paths}
    except OSError:
        return None
