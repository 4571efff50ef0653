"""The one file that goes to a phone: magicvl-android-arm64-VERSION.tar.xz.

    install.sh, install.py     what runs on the phone
    SHA256SUMS                 of every other file
    build.json                 what it holds and what that was made from
    native/VARIANT/            programs and their record; lib/ are the NDK's libraries
    wheels/                    magicvl and what it needs of pure Python
    licences/

The same files make the same bytes: names are sorted, times, owners and rights are fixed.
"""

import hashlib
import io
import json
import lzma
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from magicvl.edge.bundle import sha256
from magicvl.edge.files import whole_file
from magicvl.edge.variant import RECORD, read_record
from magicvl.errors import MagicVLError, UsageError

FORMAT = 1
SUMS = "SHA256SUMS"
INSTALLER = ("install.sh", "install.py")
_EPOCH = 315532800  # 1980-01-01
# The variants are alike: one dictionary over all three programs makes the second and third nearly free.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 26}]


@dataclass(frozen=True)
class Contents:
    """What goes into an archive."""

    version: str
    """Of magicvl."""
    llama: str
    """Of llama-cpp-python, the pin."""
    built: Mapping[str, Path]
    """The folder of each variant by its name, as build.build gives it."""
    wheels: list[Path]
    licences: Mapping[str, bytes]

    @property
    def name(self) -> str:
        """Of the folder that the archive unpacks to."""
        return f"magicvl-android-arm64-{self.version}"


def check_output(output: Path, *, force: bool) -> None:
    """Raises UsageError where an archive cannot be written there; before hours of building."""
    if output.exists() and not force:
        raise UsageError(f"{output} is there already: give --force to replace it, or another -o")
    if not output.absolute().parent.is_dir():
        raise UsageError(f"{output.absolute().parent} is no folder: make it first, or give another -o")


def write_archive(contents: Contents, output: Path) -> None:
    """Writes the archive, whole or not at all. Raises MagicVLError where the disk refuses."""
    files = _files(contents)
    files[SUMS] = "".join(
        f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items())
    ).encode()
    try:
        with (
            whole_file(output) as partial,
            lzma.open(partial, "wb", filters=_FILTERS) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            for name, data in sorted(files.items()):
                tar.addfile(_member(f"{contents.name}/{name}", data), io.BytesIO(data))
    except OSError as error:
        raise MagicVLError(f"{output}: {error.strerror or error}") from None


def unpack_archive(archive: Path, folder: Path) -> Path:
    """Unpacks an archive into a folder and checks its sums; gives the folder inside it.

    Raises UsageError where there is no such file, MagicVLError where it is damaged or none of ours.
    """
    try:
        with tarfile.open(archive, "r:xz") as tar:
            tar.extractall(folder, filter="data")
    except FileNotFoundError:
        raise UsageError(f"{archive}: no such file; magicvl android build makes one") from None
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError) as error:
        raise MagicVLError(f"{archive} is damaged or no archive of magicvl: {error}") from None
    tops = list(folder.iterdir())
    if len(tops) != 1 or not (tops[0] / SUMS).is_file():
        raise MagicVLError(f"{archive} is no archive of magicvl: it lacks {SUMS}")
    check_sums(tops[0])
    return tops[0]


def check_sums(folder: Path) -> None:
    """Raises MagicVLError where a file of an unpacked archive is missing, too many, or not what SHA256SUMS says."""
    sums: dict[str, str] = {}
    for line in (folder / SUMS).read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        sums[name] = digest
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {SUMS}
    wrong = sorted(sums.keys() ^ there)
    wrong += [name for name in sorted(sums.keys() & there) if sha256(folder / name) != sums[name]]
    if wrong:
        raise MagicVLError(f"{folder.name} is damaged: {', '.join(wrong[:5])}; build or copy the archive again")


def _files(contents: Contents) -> dict[str, bytes]:
    """The contents of each file but SHA256SUMS, by its name in the archive."""
    here = Path(__file__).resolve().parent
    files = {name: (here / name).read_bytes() for name in INSTALLER}
    files |= {f"wheels/{path.name}": path.read_bytes() for path in contents.wheels}
    files |= {f"licences/{name}.txt": text for name, text in contents.licences.items()}
    records: dict[str, Any] = {}
    for variant, folder in contents.built.items():
        records[variant] = read_record(folder)
        for path in sorted(folder.iterdir()):
            files[f"native/{variant}/{path.name}"] = path.read_bytes()
    record = {
        "format": FORMAT,
        "version": contents.version,
        "llama_cpp_python": contents.llama,
        "wheels": [path.name for path in contents.wheels],
        "variants": records,
    }
    return files | {RECORD: (json.dumps(record, indent=1, sort_keys=True) + "\n").encode()}


def _member(name: str, data: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mtime = len(data), _EPOCH
    member.mode = 0o755 if _runs(name, data) else 0o644
    return member


def _runs(name: str, data: bytes) -> bool:
    return data.startswith(b"#!") or (data.startswith(b"\x7fELF") and PurePosixPath(name).suffix != ".so")
