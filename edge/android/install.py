"""Installs the archive in which it lies; the standard library is all it needs, and magicvl is not there yet.

Everything goes into one new folder, which is tried out before anything points at it:

    DATA/magicvl/installs/ID/venv/               Python's packages, unpacked from the wheels
    DATA/magicvl/installs/ID/native/VARIANT/     programs
    DATA/magicvl/native/PIN/VARIANT              link to the above, where magicvl looks
    BIN/magicvl                                  link to the command

ID is of the archive's contents, so the same archive again changes nothing, and a link always points at something
whole: the earlier install before an upgrade, the new one after it, whenever it was interrupted. pip is not used: in
Termux it is a package of its own, and it cannot replace several packages as one.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
OLDEST_PYTHON = (3, 11)
SYSTEM_PACKAGES = {"numpy": "python-numpy", "pillow": "python-pillow"}
"""Packages with native code, and what Termux calls them."""

_TERMUX = "com.termux"
_LAUNCHER = """#!{python}
import sys
from magicvl.cli import main
sys.exit(main())
"""


class InstallError(Exception):
    """Something that the user can do something about; one line."""


@dataclass(frozen=True)
class Places:
    """Where an install goes."""

    data: Path
    """magicvl's folder of the user's data."""
    bin: Path
    """The folder of the command."""
    identity: str

    @property
    def install(self) -> Path:
        """The folder of this very archive's contents."""
        return self.data / "installs" / self.identity

    @property
    def python(self) -> Path:
        """The interpreter with magicvl."""
        return self.install / "venv" / "bin" / "python"

    @property
    def command(self) -> Path:
        """What BIN/magicvl points at."""
        return self.install / "venv" / "bin" / "magicvl"


def main() -> int:
    """Reads the command line and installs; 0 done, 1 failed, 2 wrong use, 130 stopped by Ctrl-C."""
    options = _options()
    try:
        _install(options.bin, every=options.all_variants)
    except InstallError as error:
        _say(str(error))
        return 1
    except OSError as error:
        _say(f"{error.filename or 'the disk'}: {error.strerror}; nothing that was installed before has changed")
        return 1
    except KeyboardInterrupt:
        _say("stopped; what was installed before is as it was, and the same command goes on")
        return 130
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="install.sh", description="Installs magicvl from this archive.")
    parser.add_argument("--bin", type=Path, help="folder of the command [default: Termux's own, else ~/.local/bin]")
    parser.add_argument(
        "--all-variants", action="store_true", help="install the programs for other processors too, not the best alone"
    )
    return parser.parse_args()


def _install(chosen_bin: Path | None, *, every: bool) -> None:
    if sys.version_info < OLDEST_PYTHON:
        raise InstallError(f"magicvl needs Python 3.11 or later, {sys.executable} is {sys.version.split()[0]}")
    record = _checked_archive()
    _check_packages(_requirements(_own_wheel(record)))
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "magicvl"
    places = Places(data, (chosen_bin or _bin()).absolute(), _sha256(HERE / "SHA256SUMS")[:16])
    with _alone(data):
        if not places.command.is_file():
            _unpack(places, record)
        variants = _variants(places, record)
        chosen = list(record["variants"]) if every else variants[-1:]
        for name in dict.fromkeys([*chosen, *({"lib"} & set(record["variants"]))]):
            _add_native(places, name)
        _try_out(places, variants[-1])
        _point(places, record["llama_cpp_python"])
        _remove_others(places)
    _say(f"installed magicvl {record['version']} with llama.cpp for {variants[-1]} as {places.bin / 'magicvl'}")
    if str(places.bin) not in os.environ.get("PATH", "").split(os.pathsep):
        _say(f"{places.bin} is not on PATH: add it, or call the command by its whole name")


def _checked_archive() -> dict[str, Any]:
    """The archive's record, after every file was compared with SHA256SUMS."""
    sums: dict[str, str] = {}
    try:
        for line in (HERE / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
            digest, _, name = line.partition("  ")
            sums[name] = digest
    except OSError:
        raise InstallError(f"{HERE} is not a whole archive: SHA256SUMS is missing; unpack it again") from None
    wrong = [name for name, digest in sums.items() if not (HERE / name).is_file() or _sha256(HERE / name) != digest]
    if wrong or "build.json" not in sums:
        raise InstallError(
            f"damaged: {', '.join(wrong[:3]) or 'SHA256SUMS'}; copy the archive again and unpack it anew"
        )
    record: dict[str, Any] = json.loads((HERE / "build.json").read_bytes())
    return record


def _own_wheel(record: dict[str, Any]) -> Path:
    name: str = next(name for name in record["wheels"] if name.startswith("magicvl-"))
    return HERE / "wheels" / name


def _requirements(wheel: Path) -> dict[str, str]:
    """The lowest version of each system package, as magicvl's own wheel asks for it."""
    with zipfile.ZipFile(wheel) as file:
        metadata = next(name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        text = file.read(metadata).decode()
    found = re.findall(r"^Requires-Dist: ([A-Za-z-]+)[^;\n]*>=([0-9.]+)[^;\n]*$", text, re.MULTILINE)
    return {name: version for name, version in found if name in SYSTEM_PACKAGES}


def _check_packages(lowest: dict[str, str]) -> None:
    """Raises InstallError that lists all packages that this Python lacks, or has too old."""
    from importlib.metadata import PackageNotFoundError, version

    problems = []
    for name, wanted in lowest.items():
        try:
            there = version(name)
        except PackageNotFoundError:
            problems.append(f"{name} {wanted} or later is missing")
            continue
        if _numbers(there) < _numbers(wanted):
            problems.append(f"{name} is {there}, {wanted} or later is needed")
    if problems:
        way = f"in Termux, pkg install {' '.join(SYSTEM_PACKAGES.values())}"
        raise InstallError(f"{sys.executable}: {'; '.join(problems)}; {way}")


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def _bin() -> Path:
    prefix = os.environ.get("PREFIX", "")
    return Path(prefix) / "bin" if _TERMUX in prefix else Path.home() / ".local" / "bin"


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Two installers at once would take each other's folders away."""
    import fcntl

    data.mkdir(parents=True, exist_ok=True)
    with (data / "install.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InstallError(f"another install.sh is running in {data}: wait for it") from None
        yield


def _unpack(places: Places, record: dict[str, Any]) -> None:
    """Python's packages into a fresh environment; the command comes last and says that it is whole."""
    shutil.rmtree(places.install, ignore_errors=True)
    folder = places.install / "venv"
    venv.EnvBuilder(system_site_packages=True, symlinks=True, with_pip=False).create(folder)
    site = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    for name in record["wheels"]:
        with zipfile.ZipFile(HERE / "wheels" / name) as wheel:
            if any(part in {"..", ""} for member in wheel.namelist() for part in member.rstrip("/").split("/")):
                raise InstallError(f"{name} holds a name that leaves its folder: the archive is not one of ours")
            wheel.extractall(site)
    partial = places.command.with_suffix(".part")
    partial.write_text(_LAUNCHER.format(python=places.python), encoding="utf-8")
    partial.chmod(0o755)
    partial.replace(places.command)


def _variants(places: Places, record: dict[str, Any]) -> list[str]:
    """The variants of the archive that this processor runs, the best last."""
    code = (
        "from magicvl.edge.variant import PHONE_VARIANTS, cpu_features\n"
        "print(*(each.name for each in PHONE_VARIANTS if each.runs_on(cpu_features())))"
    )
    done = _run([places.python, "-c", code])
    if done.returncode:
        raise InstallError(f"Python cannot load what was unpacked: {_last_line(done.stderr)}")
    found = [name for name in done.stdout.split() if name in record["variants"]]
    if not found:
        raise InstallError(f"no program of this archive ({', '.join(record['variants'])}) runs on this processor")
    return found


def _add_native(places: Places, name: str) -> None:
    """Copies a variant's programs into the install, whole or not at all."""
    folder = places.install / "native" / name
    if folder.is_dir():
        return
    partial = folder.with_name(f".{name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(HERE / "native" / name, partial)
    for path in partial.iterdir():
        path.chmod(0o755 if path.suffix == "" else 0o644)
    partial.replace(folder)


def _try_out(places: Places, variant: str) -> None:
    """Starts what was installed once, before anything points at it."""
    for command, what in (
        ([places.python, places.command, "--version"], "magicvl"),
        ([places.install / "native" / variant / "llama-server", "--version"], "llama-server"),
    ):
        done = _run(command)
        if done.returncode:
            # Termux from the Play Store may start no static program, and says so in one way or another.
            how = f"ended by signal {-done.returncode}" if done.returncode < 0 else _last_line(done.stderr)
            raise InstallError(
                f"{what} does not start here: {how}; if this is Termux from the Play Store, take F-Droid's"
            )


def _point(places: Places, pin: str) -> None:
    """Lets the names that are looked up point at the new install, each in one step."""
    looked_up = places.data / "native" / pin
    for folder in sorted((places.install / "native").iterdir()):
        if not folder.name.startswith("."):
            _link(looked_up / folder.name, folder)
    for link in looked_up.iterdir():
        # A variant of an earlier install that this one lacks would be older than the rest.
        if link.is_symlink() and not link.resolve().is_relative_to(places.install.resolve()):
            link.unlink()
    _link(places.bin / "magicvl", places.command)


def _link(name: Path, target: Path) -> None:
    name.parent.mkdir(parents=True, exist_ok=True)
    if name.is_dir() and not name.is_symlink():
        raise InstallError(f"{name} was not put there by this installer: move it away first")
    if name.is_symlink() and name.readlink() == target:
        return
    partial = name.with_name(f".{name.name}.{os.getpid()}.part")
    partial.unlink(missing_ok=True)
    partial.symlink_to(target)
    partial.replace(name)


def _remove_others(places: Places) -> None:
    """Frees the space of earlier installs, to which nothing points any more."""
    for folder in places.install.parent.iterdir():
        if folder != places.install:
            shutil.rmtree(folder, ignore_errors=True)


def _run(command: list[Any]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        return subprocess.CompletedProcess(command, 126, "", f"{command[0]}: {error.strerror}")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _say(text: str) -> None:
    print(f"magicvl: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
