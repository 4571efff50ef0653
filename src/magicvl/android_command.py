"""The commands `magicvl android build`, `push`, `run` and `pull`."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from magicvl.edge.android import adb
from magicvl.edge.android.archive import Contents, check_output, unpack_archive, write_archive
from magicvl.edge.android.build import Job, build, locked
from magicvl.edge.android.licences import licences
from magicvl.edge.android.ndk import NDK
from magicvl.edge.android.process import Show, stopping
from magicvl.edge.android.source import open_source
from magicvl.edge.android.toolchain import NDK_VARIABLE, find_ndk, find_tools
from magicvl.edge.android.wheels import check_checkout, make_wheels
from magicvl.edge.bundle import LOCK_NAME, read_bundle
from magicvl.edge.files import user_folder
from magicvl.edge.variant import HOST, PHONE_VARIANTS, Variant, llama_pin, native_folder
from magicvl.errors import MagicVLError, UsageError

Note = Callable[[str], None]

LINE_EVERY = 20.0
"""Seconds between two progress lines where stderr is no terminal."""


@dataclass(frozen=True)
class BuildCall:
    """What `magicvl android build` was asked for."""

    variants: Sequence[str] = ()
    """Names; none stands for all that an archive holds."""
    source: Path | None = None
    output: Path | None = None
    work: Path | None = None
    jobs: int | None = None
    force: bool = False


def build_archive(call: BuildCall, note: Note) -> Path:
    """Builds variants and packs them; gives the archive, or the folder of the machine's own build.

    Raises UsageError, and MagicVLError where a tool is missing or a step fails; what was built is kept.
    """
    check_checkout()
    ndk = find_ndk()
    variants = _chosen(call.variants, with_ndk=ndk is not None)
    work = (call.work or _work()).absolute()
    output = call.output or Path(f"magicvl-android-arm64-{_version()}.tar.xz")
    for_phones = [each for each in variants if each != HOST]
    if for_phones:
        check_output(output, force=call.force)
    elif call.output is not None:
        raise UsageError(f"-o {call.output} has no effect: the machine's own build is installed, not packed")
    if call.jobs is not None and call.jobs < 1:
        raise UsageError(f"--jobs {call.jobs}: at least 1")
    tools = find_tools(variants)
    with locked(work), stopping(), _line(note) as show:
        source = open_source(call.source, work, note)
        texts = licences(source.folder, tools.zig) if for_phones else {}
        job = Job(work, source, tools, call.jobs or len(os.sched_getaffinity(0)), ndk)
        built = {each.name: build(job, each, show) for each in variants}
        if HOST in variants:
            installed = _install_host(built[HOST.name])
            if not for_phones:
                return installed
        wheels = make_wheels(work, job.log, show)
        packed = {each.name: built[each.name] for each in for_phones}
        show(f"packing {output}")
        write_archive(Contents(_version(), llama_pin(), packed, wheels, texts), output)
    return output


def push(archive: Path | None, bundle: Path | None, serial: str | None, note: Note) -> None:
    """Copies an archive, its programs for this phone, and the files of a bundle to a phone."""
    if archive is None and bundle is None:
        raise UsageError("nothing to push: name an archive, or a bundle with --bundle")
    files = None if bundle is None else read_bundle(bundle)
    if archive is not None and not archive.is_file():
        raise UsageError(f"{archive}: no such file; magicvl android build makes one")
    phone = adb.find_phone(serial)
    if archive is not None:
        with tempfile.TemporaryDirectory() as folder:
            variant, there = adb.push_programs(phone, unpack_archive(archive, Path(folder)))
        phone.push(archive, adb.DOWNLOADS / archive.name)
        note(f"the programs for {variant.name} are in {there}, the archive for Termux in {adb.DOWNLOADS}")
    if files is not None:
        phone.shell(["mkdir", "-p", str(adb.FOLDER / "bundle")])
        for path in [files.directory / LOCK_NAME, *(files.path(role) for role in files.lock.files)]:
            phone.push(path, adb.FOLDER / "bundle" / path.name)
        note(f"the bundle is in {adb.FOLDER / 'bundle'}")


def run(command: Sequence[str], serial: str | None) -> int:
    """Runs one of the pushed programs on a phone, in magicvl's folder there; returns its exit status."""
    program, *rest = command
    phone = adb.find_phone(serial)
    name = f"bin/{program}" if "/" not in program else program
    script = f'cd {adb.FOLDER} && exec "$0" "$@"'
    return phone.run(["sh", "-c", script, f"./{name}" if not name.startswith("/") else name, *rest])


def pull(remote: str, target: Path, serial: str | None, *, force: bool) -> Path:
    """Copies a file from a phone; gives where it is."""
    source = adb.remote_path(remote)
    path = target / source.name if target.is_dir() else target
    if path.exists() and not force:
        raise UsageError(f"{path} is there already: give --force to replace it")
    adb.find_phone(serial).pull(source, path)
    return path


def _chosen(names: Sequence[str], *, with_ndk: bool) -> list[Variant]:
    """The variants of these names, each once, in the order of an archive."""
    known = {each.name: each for each in (*PHONE_VARIANTS, NDK, HOST)}
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"--variant {unknown[0]}: one of {', '.join(known)}")
    if NDK.name in names and not with_ndk:
        raise UsageError(f"--variant {NDK.name} needs an Android NDK: set {NDK_VARIABLE} to its folder")
    if names:
        return [each for name, each in known.items() if name in names]
    return [*PHONE_VARIANTS, *([NDK] if with_ndk else [])]


def _install_host(built: Path) -> Path:
    """Puts the machine's own build where find_server looks, whole or not at all."""
    folder = native_folder() / HOST.name
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        shutil.copytree(built, partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    except OSError as error:
        raise MagicVLError(f"{folder}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _work() -> Path:
    return user_folder("XDG_CACHE_HOME", ".cache") / "android" / llama_pin()


def _version() -> str:
    from magicvl import __version__

    return __version__


@contextmanager
def _line(note: Note) -> Iterator[Show]:
    """A progress line on stderr: kept up to date on a terminal, else a note when the task changes or now and then."""
    live = sys.stderr.isatty()
    task, shown = "", -LINE_EVERY

    def show(text: str) -> None:
        nonlocal task, shown
        now, before = time.monotonic(), task
        task = text.partition(", step")[0]
        if live:
            sys.stderr.write(f"\r\033[K{text}")
            sys.stderr.flush()
        elif task != before or now - shown >= LINE_EVERY:
            note(text)
            shown = now

    try:
        yield show
    finally:
        if live:
            sys.stderr.write("\r\033[K")
