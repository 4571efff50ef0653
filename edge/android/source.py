"""llama.cpp's source: the one inside the pinned llama-cpp-python source archive, checked, unpacked and patched.

The archive is a clone at one commit, whose name it carries. The patches of edge/native are those without which the
child llama-server cannot be given tiles that are already cut.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from magicvl.edge.android.toolchain import WAYS
from magicvl.edge.bundle import sha256
from magicvl.edge.variant import llama_pin
from magicvl.errors import MagicVLError, UsageError

SHA256 = {"0.3.36": "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"}
"""Of the source archive llama_cpp_python-VERSION.tar.gz, by version."""
PATCHES = Path(__file__).resolve().parents[1] / "native"

_LLAMA = Path("vendor", "llama.cpp")
_HEAD = Path(".git", "modules", "vendor", "llama.cpp", "HEAD")
_NEEDED = (_LLAMA / "CMakeLists.txt", _LLAMA / "LICENSE", _HEAD, Path("PKG-INFO"))
# Three quarters of the bytes, and no build reads them.
_LEFT_OUT = {"benches", "docs", "media", "models", "tests"}
_STATE = "source.json"

Note = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """llama.cpp, unpacked and patched."""

    folder: Path
    """The one with llama.cpp's CMakeLists.txt."""
    version: str
    """Of llama-cpp-python."""
    commit: str
    """Of llama.cpp, 40 hexadecimal digits."""
    sha256: str | None
    """Of the archive; None where an unpacked folder was given, which nothing checks."""
    patches: dict[str, str]
    """sha256 of each patch, by the file's name."""

    @property
    def build(self) -> str:
        """How its llama-server calls itself in /props."""
        return f"b1-{self.commit[:7]}"


def open_source(given: Path | None, work: Path, note: Note) -> Source:
    """The pinned source, unpacked below the folder `work`; what is there already is not unpacked again.

    `given` is the archive, or the folder it was unpacked into; None fetches it with pip. Raises UsageError where
    `given` is something else, MagicVLError where it cannot be fetched, is damaged or does not take the patches.
    """
    version = llama_pin()
    if version not in SHA256:
        raise MagicVLError(f"the sha256 of llama-cpp-python {version}'s source is not known: add it to {__name__}")
    if given is not None and given.is_dir():
        _check_folder(given, version)
        return _install(given, None, version, work)
    if given is None and (ready := _ready(work, SHA256[version], version)):
        return ready
    archive = given or _fetched(version, work, note)
    check_archive(archive, version)
    if ready := _ready(work, SHA256[version], version):
        return ready
    note("unpacking llama.cpp's source")
    with tempfile.TemporaryDirectory(dir=work) as folder:
        return _install(_unpack(archive, Path(folder)), SHA256[version], version, work)


def check_archive(archive: Path, version: str) -> None:
    """Raises UsageError where there is no such file, MagicVLError where its sha256 is not the pinned one."""
    try:
        found = sha256(archive)
    except OSError as error:
        raise UsageError(f"{archive}: {error.strerror}") from None
    if found != SHA256[version]:
        raise MagicVLError(
            f"{archive}: sha256 {found[:12]}..., llama-cpp-python {version}'s source has {SHA256[version][:12]}...; "
            "it is damaged or another version: fetch it again"
        )


def patches() -> dict[str, str]:
    """The sha256 of each patch that is applied, by the file's name, in the order of applying."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(PATCHES.glob("*.patch"))}


def _fetched(version: str, work: Path, note: Note) -> Path:
    """The archive that pip downloads, kept in `work`."""
    folder = work / "download"
    archive = folder / f"llama_cpp_python-{version}.tar.gz"
    if not archive.is_file():
        note(f"fetching llama-cpp-python {version}'s source with pip, about 77 MB")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
        command += ["--no-binary", "llama-cpp-python", f"llama-cpp-python=={version}"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode or not archive.is_file():
            last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise MagicVLError(f"pip did not fetch llama-cpp-python {version}: {last}; or give the archive as --source")
    return archive


def _check_folder(folder: Path, version: str) -> None:
    if missing := [str(name) for name in _NEEDED if not (folder / name).is_file()]:
        raise UsageError(f"{folder} is no unpacked llama-cpp-python source: it lacks {', '.join(missing)}")
    metadata = (folder / "PKG-INFO").read_text(encoding="utf-8", errors="replace")
    found = next((line.split()[1] for line in metadata.splitlines() if line.startswith("Version: ")), "unknown")
    if found != version:
        raise UsageError(f"{folder} is llama-cpp-python {found}, magicvl was tried with {version}: give that one")


def _unpack(archive: Path, folder: Path) -> Path:
    """Unpacks what is needed; gives the folder of the package."""
    try:
        with tarfile.open(archive) as file:
            file.extractall(folder, members=_wanted(file), filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise MagicVLError(f"{archive} cannot be unpacked: {error}") from None
    return next(folder.iterdir())


def _wanted(file: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for member in file:
        inside = Path(*Path(member.name).parts[1:])
        if inside in _NEEDED or (inside.is_relative_to(_LLAMA) and not _left_out(inside.relative_to(_LLAMA))):
            yield member


def _left_out(inside: Path) -> bool:
    first = inside.parts[0] if inside.parts else ""
    return first in _LEFT_OUT or first.startswith(".")


def _install(package: Path, sha256: str | None, version: str, work: Path) -> Source:
    """Makes the patched copy in `work`, whole or not at all."""
    commit = (package / _HEAD).read_text(encoding="ascii").strip()
    source = Source(work / "source" / "llama.cpp", version, commit, sha256, patches())
    if _state_of(work) == _state(source):
        return source
    partial = work / "source.part"
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(package / _LLAMA, partial / "llama.cpp", ignore=_ignore(package / _LLAMA))
    for name in source.patches:
        _apply(PATCHES / name, partial / "llama.cpp")
    (partial / _STATE).write_text(json.dumps(_state(source)), encoding="utf-8")
    shutil.rmtree(work / "source", ignore_errors=True)
    partial.replace(work / "source")
    return source


def _ignore(top: Path) -> Callable[[str, list[str]], set[str]]:
    return lambda folder, names: {name for name in names if _left_out((Path(folder) / name).relative_to(top))}


def _apply(patch: Path, folder: Path) -> None:
    if shutil.which("git") is None:
        raise MagicVLError(f"missing on this machine: git ({WAYS['git']})")
    # Files that are not patched keep their times, so that a new patch has only its own files compiled again.
    command = ["git", "apply", "--whitespace=nowarn", str(patch)]
    # Inside somebody's checkout git would leave out everything beyond its own folder, in silence.
    outside = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    done = subprocess.run(command, cwd=folder, env=outside, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MagicVLError(f"{patch.name} does not fit this llama.cpp: {' '.join(done.stderr.split())}")


def _ready(work: Path, sha256: str, version: str) -> Source | None:
    """The copy in `work`, where it was made from that archive with today's patches."""
    state = _state_of(work)
    if state is None:
        return None
    source = Source(work / "source" / "llama.cpp", version, str(state.get("commit")), sha256, patches())
    return source if state == _state(source) else None


def _state(source: Source) -> dict[str, object]:
    return {
        "version": source.version,
        "commit": source.commit,
        "sha256": source.sha256,
        "patches": source.patches,
    }


def _state_of(work: Path) -> dict[str, object] | None:
    try:
        state = json.loads((work / "source" / _STATE).read_bytes())
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) else None
