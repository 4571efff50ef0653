"""A phone at the end of adb, which is called as a program.

adb's shell on a phone reaches /data/local/tmp, where static programs run without Termux and without Python. Which
variant a phone runs is read from the words that its kernel gives each program (/proc/self/auxv), as on the phone
itself. Termux's own home is closed to adb: an archive to install there goes to the shared downloads.
"""

import os
import shlex
import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from magicvl.edge.android.toolchain import require
from magicvl.edge.files import whole_file
from magicvl.edge.variant import PHONE_VARIANTS, Variant, features_of
from magicvl.errors import MagicVLError, UsageError

FOLDER = PurePosixPath("/data/local/tmp/magicvl")
DOWNLOADS = PurePosixPath("/sdcard/Download")

_ABI = "arm64-v8a"
_AT_HWCAP, _AT_HWCAP2 = 16, 26
_STDERR = 2
_PAIR = struct.Struct("<QQ")


@dataclass(frozen=True)
class Phone:
    """One phone, of those that adb sees."""

    adb: Path
    serial: str | None = None
    """Which one, where there are several."""

    def shell(self, command: Sequence[str]) -> str:
        """What a command on the phone says. Raises MagicVLError where it fails."""
        return self._call("shell", shlex.join(command))

    def run(self, command: Sequence[str]) -> int:
        """Runs a command on the phone, its input and output ours; returns its exit status."""
        return subprocess.run([*self._start(), "shell", shlex.join(command)], check=False).returncode

    def push(self, source: Path, target: PurePosixPath) -> None:
        """Copies a file or a folder's contents to the phone. Raises MagicVLError."""
        self._call("push", str(source), str(target), quiet=False)

    def pull(self, source: PurePosixPath, target: Path) -> None:
        """Copies a file from the phone, whole or not at all. Raises MagicVLError."""
        try:
            with whole_file(target) as partial:
                self._call("pull", str(source), str(partial), quiet=False)
        except OSError as error:
            raise MagicVLError(f"{target}: {error.strerror}") from None

    def variant(self) -> Variant:
        """The fastest variant that this phone runs. Raises MagicVLError for a phone that is not 64-bit ARM."""
        abi = self.shell(["getprop", "ro.product.cpu.abi"]).strip()
        if abi != _ABI:
            raise MagicVLError(f"this phone is {abi or 'of an unknown kind'}, magicvl's programs are for {_ABI}")
        features = features_of(*_words(self.shell(["od", "-A", "n", "-v", "-t", "x1", "/proc/self/auxv"])))
        best = [each for each in PHONE_VARIANTS if each.runs_on(features)]
        if not best:
            raise MagicVLError("what this phone's processor knows could not be read from /proc/self/auxv")
        return best[-1]

    def _start(self) -> list[str]:
        return [str(self.adb), *(["-s", self.serial] if self.serial else [])]

    def _call(self, *arguments: str, quiet: bool = True) -> str:
        """One call of adb; its progress stays visible unless `quiet`."""
        done = subprocess.run(
            [*self._start(), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if quiet else _STDERR,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            said = " ".join((done.stderr or done.stdout or "it said nothing").split())
            raise MagicVLError(f"adb {arguments[0]} failed: {said[:300]}{_advice(said)}")
        return done.stdout or ""


def find_phone(serial: str | None) -> Phone:
    """The phone to talk to. Raises MagicVLError where adb or a phone is missing, or several could be meant."""
    adb = shutil.which("adb")
    require({"adb": Path(adb) if adb else None})
    assert adb is not None
    phone = Phone(Path(adb).absolute(), serial or os.environ.get("ANDROID_SERIAL") or None)
    phone.shell(["true"])
    return phone


def push_programs(phone: Phone, unpacked: Path) -> tuple[Variant, PurePosixPath]:
    """Copies the best variant of an unpacked archive to the phone; gives it and its folder there.

    Raises MagicVLError where the archive holds no variant that the phone runs.
    """
    best = phone.variant()
    held = [each for each in PHONE_VARIANTS if each.needs <= best.needs and (unpacked / "native" / each.name).is_dir()]
    if not held:
        raise MagicVLError(f"the archive holds no variant that this phone ({best.name}) runs; build it with --variant")
    variant = held[-1]
    # A name of its own, so that the programs there are old or new, never mixed.
    partial = FOLDER / "bin.part"
    phone.shell(["rm", "-rf", str(partial)])
    phone.shell(["mkdir", "-p", str(partial)])
    for path in sorted((unpacked / "native" / variant.name).iterdir()):
        phone.push(path, partial / path.name)
    phone.shell(["chmod", "-R", "755", str(partial)])
    phone.shell(["sh", "-c", f"rm -rf {FOLDER}/bin && mv {partial} {FOLDER}/bin"])
    return variant, FOLDER / "bin"


def remote_path(text: str) -> PurePosixPath:
    """A path on the phone; one that is not absolute lies in magicvl's folder. Raises UsageError for one outside."""
    path = FOLDER / text
    if ".." in path.parts:
        raise UsageError(f"{text} leaves {FOLDER}: give an absolute path for another folder")
    return path


def _words(dump: str) -> tuple[int, int]:
    """AT_HWCAP and AT_HWCAP2 of a dump of the auxiliary vector in hexadecimal bytes; 0 for what is not in it."""
    try:
        data = bytes.fromhex("".join(dump.split()))
    except ValueError:
        return 0, 0
    pairs = dict(_PAIR.iter_unpack(data[: len(data) // _PAIR.size * _PAIR.size]))
    return pairs.get(_AT_HWCAP, 0), pairs.get(_AT_HWCAP2, 0)


def _advice(said: str) -> str:
    if "unauthorized" in said:
        return "; unlock the phone and allow this computer"
    if "more than one device" in said:
        return "; choose one with --serial, adb devices lists them"
    if "no devices" in said or "device offline" in said:
        return "; connect a phone and switch on USB debugging"
    return ""
