"""The Debian packages that the drawings come from: fetched and unpacked without root."""

import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from magicvl.errors import SampleError, UsageError

Progress = Callable[[str, int, int], None]
"""Told a stage, how much of it is done, and out of how much."""


@dataclass(frozen=True)
class Package:
    """A Debian package."""

    name: str
    what: str
    """What it is needed for."""
    licence: str
    """In short; the package's own copyright file goes along whole."""
    optional: bool = False
    """Whether a release of Debian that has it not, or a folder without it, will do."""


STAMPS = Package("tuxpaint-stamps-default", "stamps with captions", "GPL-2.0-only")
OPENCLIPART = Package("openclipart-svg", "drawings with titles and keywords", "public domain")
FLASHCARDS = Package("pysiogame", "flashcards", "CC-BY-SA", optional=True)
COSTUMES = Package("scratch", "costumes", "CC-BY-SA-3.0", optional=True)
EMOJI = Package("fonts-noto-color-emoji", "emoji, kept for testing", "OFL-1.1")
EMOJI_NAMES = Package("unicode-cldr-core", "the emoji's names", "Unicode-DFS-2016")
WORDNET = Package("wordnet-base", "nouns, and what is a kind of what", "WordNet 3.0")
BACKGROUNDS = (
    Package("gnome-backgrounds", "photographs for backgrounds", "CC-BY-SA-3.0"),
    Package("mate-backgrounds", "photographs for backgrounds", "GPL-2.0-or-later and CC-BY-SA-4.0", optional=True),
    Package("plasma-workspace-wallpapers", "photographs for backgrounds", "GPL-2.0-or-later", optional=True),
)
PACKAGES = (STAMPS, OPENCLIPART, FLASHCARDS, COSTUMES, EMOJI, EMOJI_NAMES, WORDNET, *BACKGROUNDS)
"""About 430 MB to fetch."""


_UNKNOWN = "Unable to locate package"
"""What apt says of one that its lists have not."""


def find_debs(folder: Path) -> dict[str, Path]:
    """The newest file of each package in a folder of .deb files; those that are not there are left out."""
    found = {package.name: sorted(folder.glob(f"{package.name}_*.deb")) for package in PACKAGES}
    return {name: files[-1] for name, files in found.items() if files}


def fetch(folder: Path, progress: Progress | None = None) -> dict[str, Path]:
    """Fetches the packages that the folder lacks with `apt-get download`, which checks their hashes.

    Those that are optional may stay away where apt has never heard of them. Each arrives whole or not at all, so what
    was cut short goes on with the first that is missing. Raises SampleError with the way out where apt can't.
    """
    folder.mkdir(parents=True, exist_ok=True)
    there = find_debs(folder)
    for number, package in enumerate(PACKAGES):
        if progress:
            progress("fetching package", number, len(PACKAGES))
        if package.name in there:
            continue
        try:
            _download(package, folder)
        except SampleError as error:
            if not (package.optional and _UNKNOWN in str(error)):
                raise
    if progress:
        progress("fetching package", len(PACKAGES), len(PACKAGES))
    return find_debs(folder)


def given(folder: Path) -> dict[str, Path]:
    """The packages of a folder that the user has. Raises UsageError that lists what is missing."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder of .deb files")
    there = find_debs(folder)
    missing = [package.name for package in PACKAGES if package.name not in there and not package.optional]
    if missing:
        raise UsageError(f"{folder}: it lacks {', '.join(missing)}; fetch them with: apt-get download {missing[0]} ...")
    return there


def version_of(deb: Path) -> str:
    """The version that a .deb file's name says: apt writes NAME_VERSION_ARCHITECTURE.deb, a colon as %3a."""
    return deb.stem.split("_")[1].replace("%3a", ":") if deb.stem.count("_") == 2 else ""


def unpack(deb: Path, folder: Path) -> None:
    """Unpacks a package into a folder that then stands there whole. Raises SampleError for a damaged one."""
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".part-") as part:
        inside = Path(part) / "files"
        _run(["dpkg-deb", "-x", str(deb), str(inside)], deb.name, "install the package dpkg", Path(part))
        inside.rename(folder)


def _download(package: Package, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as part:
        way_out = "fetch the packages elsewhere and name their folder with --debs"
        _run(["apt-get", "download", package.name], package.name, way_out, Path(part))
        for file in Path(part).glob("*.deb"):
            file.replace(folder / file.name)


def _run(command: list[str], what: str, way_out: str, folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    except FileNotFoundError:
        raise SampleError(f"{what}: there is no {command[0]} here; {way_out}") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith(("E:", "dpkg"))] or [""]
        raise SampleError(f"{what}: {command[0]} failed ({lines[0] or f'exit code {done.returncode}'}); {way_out}")
