"""What this machine is, what would run a model on it, and what to do about what is missing.

Made for machines on which things are missing: it imports nothing that could be, reads nothing that must be there, and
lets native code run in a child process only, whose death is a line of the report.
"""

import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from magicvl.edge.free_memory import VARIABLE, free_memory, total_memory
from magicvl.edge.self_test import ANSWER, STAGES
from magicvl.edge.threads import core_kinds, default_threads, performance_cores, physical_cores, processor
from magicvl.errors import MagicVLError

if TYPE_CHECKING:
    from magicvl.edge.bundle import Bundle

LIMIT: Final = 60.0
"""Seconds that the self-test may take; a few are usual."""
DONE_WITHOUT: Final = {
    "llama-cpp-python": "a llama-server does without it",
    "gguf": "which only conversion and measurements need",
}
"""Requirements that an archive for phones leaves out."""
_GETPROP = "/system/bin/getprop"


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    section: str
    name: str
    value: str
    ok: bool | None = None
    """False where something is to be done about it; None where it is neither good nor bad."""
    remedy: str | None = None
    """What to do about it."""


@dataclass(frozen=True)
class Report:
    """Everything that was found."""

    findings: tuple[Finding, ...]
    answers: bool
    """Whether magicvl answered a question about a picture."""

    def to_json(self) -> dict[str, object]:
        """The object that `magicvl doctor --json` prints."""
        return {"answers": self.answers, "findings": [asdict(finding) for finding in self.findings]}

    def to_text(self) -> str:
        """Sections of lines, and at the end what is to be done."""
        lines: list[str] = []
        for finding in self.findings:
            if f"{finding.section}:" not in lines:
                lines.append(f"{finding.section}:")
            mark = {True: "+", False: "!", None: " "}[finding.ok]
            lines.append(f"{mark} {finding.name:<16} {finding.value}")
        remedies = list(dict.fromkeys(finding.remedy for finding in self.findings if finding.remedy))
        lines += ["what to do:", *(f"- {remedy}" for remedy in remedies)] if remedies else []
        return "\n".join([*lines, f"magicvl {'answers' if self.answers else 'cannot answer'} on this machine"])


Section = Callable[[], Iterator[Finding]]


def examine(bundle: Path, *, limit: float = LIMIT, more: Mapping[str, Section] | None = None) -> Report:
    """Looks at everything and asks the embedded default a question; `bundle` is looked at, not run.

    `more` are sections of others by name, which come before the self-test. What fails in one becomes a finding of it.
    """
    findings: list[Finding] = []
    sections: dict[str, Section] = {
        "machine": machine,
        "packages": packages,
        "runtime": runtimes,
        "model": lambda: model(bundle),
        "folders": folders,
        **(more or {}),
    }
    for name, section in sections.items():
        findings += _guarded(name, section)
    tests = list(_guarded("self-test", lambda: self_tests(limit)))
    answers = any(finding.name == "auto" and finding.ok is True for finding in tests)
    return Report((*findings, *tests), answers)


def machine() -> Iterator[Finding]:
    """Processor, cores, memory, system."""
    yield Finding("machine", "processor", processor() or platform.machine() or "not told")
    kinds = " + ".join(map(str, core_kinds()))
    yield Finding(
        "machine", "cores", f"{physical_cores()} physical ({kinds}, fastest first), {performance_cores()} fast"
    )
    total, free = total_memory(), free_memory()
    said = " by " + VARIABLE if os.environ.get(VARIABLE) else ""
    yield Finding("machine", "memory", f"{_gib(total)} in all, {_gib(free)} free{said}")
    yield Finding("machine", "system", _system())
    yield Finding("machine", "python", f"{platform.python_version()} {sys.executable or '(its own path is not known)'}")


def packages() -> Iterator[Finding]:
    """magicvl and what it needs, by its installed metadata."""
    yield Finding("packages", "magicvl", version("magicvl"), True)
    for line in requires("magicvl") or []:
        name = re.split(r"[^A-Za-z0-9_.-]", line, maxsplit=1)[0]
        condition = line.partition(";")[2]
        if "extra" in condition:
            continue
        try:
            yield Finding("packages", name, version(name), True)
        except PackageNotFoundError:
            if condition or name in DONE_WITHOUT:
                # Where it depends on the machine, it may not be meant for this one.
                yield Finding("packages", name, f"missing, {DONE_WITHOUT.get(name, 'which may be meant so')}")
            else:
                yield Finding("packages", name, "missing", False, _install(name))


def runtimes() -> Iterator[Finding]:
    """What could run a model, which of it would be taken, and why."""
    from magicvl.edge.library import library_folder
    from magicvl.edge.variant import best_variant, cpu_features, find_server

    features = cpu_features()
    if features:
        best = best_variant(features)
        yield Finding("runtime", "instructions", f"{', '.join(sorted(features))}: variant {best.name} ({best.arch})")
    there = find_spec("llama_cpp") is not None
    folder = library_folder()
    where = "its own libraries" if folder is None else f"the libraries in {folder}"
    yield Finding(
        "runtime", "inproc", f"llama-cpp-python with {where}" if there else "no llama-cpp-python", there or None
    )
    server = find_server()
    if server is None:
        yield Finding("runtime", "server", "no llama-server")
    else:
        about = f"variant {server.variant}" if server.variant else "not one of ours, so it is asked what it is"
        yield Finding("runtime", "server", f"{server.path} ({about})", True)
    if there:
        yield Finding("runtime", "taken", "inproc: llama.cpp in the own process comes before a server", True)
    elif server is not None:
        yield Finding("runtime", "taken", "server: there is no llama-cpp-python to load", True)
    else:
        remedy = (
            "unpack magicvl-android-arm64 and run its installer"
            if _is_android()
            else "pip install llama-cpp-python (it compiles for some minutes), or put a llama-server on PATH"
        )
        yield Finding("runtime", "taken", "none: nothing here runs a model", False, remedy)


def model(bundle: Path) -> Iterator[Finding]:
    """The bundle: its files, threads and memory for it."""
    from magicvl.edge.bundle import read_bundle

    found = read_bundle(bundle)
    yield Finding("model", "bundle", f"{found.lock.name} in {bundle}", True)
    yield from _files(found)
    yield from _guarded("model", lambda: _threads(found))
    yield from _guarded("model", lambda: _needs(found))


def _files(bundle: "Bundle") -> Iterator[Finding]:
    for role, entry in bundle.lock.files.items():
        path = bundle.path(role)
        size = path.stat().st_size if path.is_file() else 0
        if size == entry.size:
            yield Finding("model", role, f"{size:,} bytes", True)
        else:
            remedy = f"copy or convert the bundle {bundle.directory} again"
            yield Finding("model", role, f"{size:,} bytes, the lock says {entry.size:,}", False, remedy)


def _threads(bundle: "Bundle") -> Iterator[Finding]:
    from magicvl.edge.calibration_file import load_calibration

    measured = load_calibration(bundle.lock)
    if measured is None:
        value = f"{default_threads()}, as there are fast cores; not measured (magicvl plan does it)"
    else:
        value = f"{measured.threads}, measured to be the fastest"
    yield Finding("model", "threads", value)


def _needs(bundle: "Bundle") -> Iterator[Finding]:
    from magicvl.edge.gguf_check import read_gguf
    from magicvl.edge.memory import check_memory, needed_memory

    llm, mmproj = read_gguf(bundle.path("llm")), read_gguf(bundle.path("mmproj"))
    need = needed_memory(bundle, llm)
    by = "measured" if need.measured is not None else "estimated"
    try:
        check_memory(bundle, llm, mmproj)
    except MagicVLError as error:
        yield Finding("model", "memory", f"about {_gib(need.total)}, {by}: too much", False, str(error))
    else:
        yield Finding("model", "memory", f"about {_gib(need.total)} with a question, {by}", True)


def folders() -> Iterator[Finding]:
    """Where things are kept, and whether they can be."""
    from magicvl.edge.files import user_folder

    named = {"measurements": ("XDG_CACHE_HOME", ".cache"), "programs": ("XDG_DATA_HOME", ".local/share")}
    for name, (variable, usual) in named.items():
        try:
            folder = user_folder(variable, usual)
        except RuntimeError:
            remedy = f"set HOME or {variable}, or what is measured is measured again each time"
            yield Finding("folders", name, "no home", False, remedy)
            continue
        yield _folder(name, folder)
    tiles = os.environ.get("MAGICVL_CACHE")
    yield (
        _folder("tiles", Path(tiles)) if tiles else Finding("folders", "tiles", "in memory (MAGICVL_CACHE is not set)")
    )


def _folder(name: str, folder: Path) -> Finding:
    there = next((each for each in (folder, *folder.parents) if each.is_dir()), None)
    if there is None or not os.access(there, os.W_OK):
        return Finding("folders", name, f"{folder} can't be written", False, f"make {folder} a folder of your own")
    free = shutil.disk_usage(there).free
    return Finding("folders", name, f"{folder}, {_gib(free)} free on its disk")


def self_tests(limit: float) -> Iterator[Finding]:
    """Asks a question with the runtime that would be taken, and with a llama-server where there is one beside it."""
    first, said = self_test("auto", limit)
    yield first
    if libraries := said.get("libraries"):
        yield Finding("self-test", "libraries", ", ".join(libraries))
    from magicvl.edge.variant import find_server

    if said.get("runtime") == "inproc" and find_server() is not None:
        yield self_test("server", limit)[0]


def self_test(runtime: str, limit: float) -> tuple[Finding, dict[str, Any]]:
    """What came of a question in a process of its own, and the last thing that it said."""
    command = [sys.executable or "python3", "-m", "magicvl.edge.self_test", runtime]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit,
            check=False,
        )
        code, out, err = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired as late:
        code, out, err = None, _text(late.stdout), ""
    except OSError as error:
        value = f"{command[0]} can't be started: {error.strerror or error}"
        return Finding("self-test", runtime, value, False, "start magicvl with a Python that can start itself"), {}
    said: dict[str, Any] = {}
    for line in out.splitlines():
        try:
            said |= json.loads(line)
        except (ValueError, TypeError):
            continue
    if said.get("right") and code == 0:
        value = (
            f"answered {said['answer']!r} in {said['seconds']:.1f} s by {said['runtime']} with {said['threads']} "
            f"threads, {said['build']}"
        )
        return Finding("self-test", runtime, " ".join(value.split()), True), said
    value, remedy = _failure(code, said, err, limit)
    return Finding("self-test", runtime, value, False, remedy), said


def _failure(code: int | None, said: dict[str, Any], err: str, limit: float) -> tuple[str, str]:
    """What went wrong, and what to do about it."""
    stage = STAGES.get(str(said.get("stage")), "starting")
    if code is None:
        return (
            f"not over after {limit:g} s, {stage}",
            "allow more with --limit; where it hangs, start with --runtime server",
        )
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"died of {name} while {stage}", _remedy_of_signal(name)
    if "answer" in said:
        return (
            f"answered {said['answer']!r}, {ANSWER!r} is right ({said['build']})",
            "install llama-cpp-python in the version that magicvl names: this build computes something else",
        )
    last = (err.strip().splitlines() or [f"exit code {code}"])[-1]
    # A traceback's last line begins with the class of the error.
    kind, _, message = last.partition(": ")
    told = message if message and re.fullmatch(r"[\w.]+", kind) else last
    missing = re.search(r"No module named '(\w+)", last)
    return f"{told} ({stage})", _install(missing[1]) if missing else "do what the line of the self-test says"


def _remedy_of_signal(name: str) -> str:
    if name == "SIGILL":
        return (
            "the library was built for a processor that knows more: install the variant that runs here, or "
            "build llama-cpp-python on this machine (pip install --no-binary llama-cpp-python llama-cpp-python)"
        )
    if name == "SIGKILL":
        return "the system ended it, most likely for want of memory: close other programs, or take a smaller model"
    return "this is a fault of the native library: install the version of llama-cpp-python that magicvl names"


def _guarded(name: str, section: Section) -> Iterator[Finding]:
    """A section's findings; what fails in it is one of them."""
    try:
        yield from section()
    except MagicVLError as error:
        yield Finding(name, "problem", str(error), False, "do what that line says")
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        value = f"{type(error).__name__}: {' '.join(str(error).split())}"
        yield Finding(name, "problem", value, False, _install(missing) if missing else None)


def _install(name: str) -> str:
    name = {"PIL": "pillow"}.get(name, name)
    if _is_android() and name in {"numpy", "pillow"}:
        return f"pkg install python-{name}"
    return f"pip install {name}"


def _is_android() -> bool:
    return sys.platform == "android" or "TERMUX_VERSION" in os.environ or Path(_GETPROP).exists()


def _system() -> str:
    parts = [platform.platform()]
    if _is_android():
        parts.append(f"Android {_property('ro.build.version.release')}".strip())
        parts.append(" ".join(_property(f"ro.product.{name}") for name in ("manufacturer", "model")).strip())
    if termux := os.environ.get("TERMUX_VERSION"):
        parts.append(f"Termux {termux}")
    return ", ".join(part for part in parts if part)


def _property(name: str) -> str:
    try:
        done = subprocess.run([_GETPROP, name], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _text(data: bytes | str | None) -> str:
    return data.decode(errors="replace") if isinstance(data, bytes) else data or ""


def _gib(count: int | None) -> str:
    if count is None:
        return "not told"
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.0f} MiB"
