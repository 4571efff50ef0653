"""zig's names for processors, its compiler scripts, and the list of what is missing."""

import os
import subprocess
from pathlib import Path

import pytest

from magicvl.edge.android.ndk import NDK
from magicvl.edge.android.toolchain import find_ndk, find_tools, find_zig, write_wrappers, zig_cpu
from magicvl.edge.variant import ARMV8, HOST, PHONE_VARIANTS
from magicvl.errors import MagicVLError, UsageError


def program(folder: Path, name: str, text: str = "#!/bin/sh\n") -> Path:
    """A stand-in program in a folder."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("arch", "cpu"),
    [
        ("armv8-a", "generic+v8a"),
        ("armv8.2-a+dotprod+fp16", "generic+v8_2a+dotprod+fullfp16"),
        ("armv8.6-a+dotprod+fp16+i8mm", "generic+v8_6a+dotprod+fullfp16+i8mm"),
    ],
)
def test_zig_has_its_own_names(arch: str, cpu: str) -> None:
    assert zig_cpu(arch) == cpu


def test_an_architecture_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="native does not begin like"):
        zig_cpu("native")


def wrapped(folder: Path, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """What a wrapper hands to a zig that shows its arguments, one a line."""
    zig = program(folder, "zig", "#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    wrappers = write_wrappers(folder / "with space", zig, PHONE_VARIANTS)
    return subprocess.run([wrappers[name], *arguments], capture_output=True, text=True, check=False)


def test_a_compiler_translates_the_processor_and_nothing_else(tmp_path: Path) -> None:
    given = ["-march=armv8.2-a+dotprod+fp16", '-DNAME="a b"', "-O3", "-c", "it's.c", ""]
    said = wrapped(tmp_path, "c++", *given).stdout.splitlines()
    assert said[:3] == ["c++", "-target", "aarch64-linux-musl"]
    assert said[3:] == ["-mcpu=generic+v8_2a+dotprod+fullfp16", *given[1:]]


@pytest.mark.parametrize("argument", ["-march=armv9-a", "-march=native", "-mcpu=cortex-a76"])
def test_a_processor_of_no_variant_is_refused(tmp_path: Path, argument: str) -> None:
    done = wrapped(tmp_path, "cc", argument, "-c", "a.c")
    assert done.returncode == 1
    assert f"no variant is built with {argument}" in done.stderr


def test_ar_takes_its_arguments_as_they_are(tmp_path: Path) -> None:
    assert wrapped(tmp_path, "ar", "qc", "lib x.a").stdout.splitlines() == ["ar", "qc", "lib x.a"]


def test_wrappers_that_are_right_keep_their_time(tmp_path: Path) -> None:
    zig = program(tmp_path, "zig")
    first = {path: path.stat().st_mtime_ns for path in write_wrappers(tmp_path, zig, PHONE_VARIANTS).values()}
    os.utime(tmp_path / "cc", ns=(1, 1))
    write_wrappers(tmp_path, zig, PHONE_VARIANTS)
    assert (tmp_path / "cc").stat().st_mtime_ns == 1
    write_wrappers(tmp_path, program(tmp_path, "other"), PHONE_VARIANTS)
    assert (tmp_path / "cc").stat().st_mtime_ns > min(first.values()) > 1


def test_everything_missing_is_listed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr("magicvl.edge.android.toolchain.find_zig", lambda: None)
    with pytest.raises(MagicVLError) as caught:
        find_tools([ARMV8, HOST])
    assert str(caught.value) == (
        "missing on this machine: cmake (pip install cmake, or apt-get install cmake); "
        "ninja (pip install ninja, or apt-get install ninja-build); zig (pip install ziglang); "
        "c++ (apt-get install g++)"
    )


def test_only_what_is_used_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("magicvl.edge.android.toolchain.find_zig", lambda: None)
    cmake, ninja = program(tmp_path, "cmake"), program(tmp_path, "ninja")
    tools = find_tools([NDK])
    assert (tools.cmake, tools.ninja, tools.zig) == (cmake, ninja, None)


def test_zig_comes_from_path_or_from_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "ziglang").mkdir()
    (tmp_path / "ziglang" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    packaged = program(tmp_path / "ziglang", "zig")
    assert find_zig() == packaged
    on_path = program(tmp_path / "bin", "zig")
    assert find_zig() == on_path


def test_an_ndk_is_where_the_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANDROID_NDK_HOME", raising=False)
    assert find_ndk() is None
    monkeypatch.setenv("ANDROID_NDK_HOME", str(tmp_path))
    with pytest.raises(UsageError, match=r"is no Android NDK: it lacks build/cmake/android\.toolchain\.cmake"):
        find_ndk()
    (tmp_path / "build" / "cmake").mkdir(parents=True)
    (tmp_path / "build" / "cmake" / "android.toolchain.cmake").touch()
    assert find_ndk() == tmp_path
