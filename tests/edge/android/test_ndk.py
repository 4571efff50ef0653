"""The preset for an NDK, configured by the real CMake with a stand-in for the NDK and for llama.cpp.

It was never built with a real NDK; this holds that its values arrive, and that what is missing afterwards is said.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from magicvl.edge.android.ndk import ndk_commands, ndk_libraries
from magicvl.errors import MagicVLError

NINJA = shutil.which("ninja")
CMAKE = shutil.which("cmake")
# Shows what reaches llama.cpp's own CMake files.
LLAMA = """
foreach(name ANDROID_ABI ANDROID_PLATFORM GGML_NATIVE GGML_BACKEND_DL GGML_CPU_ALL_VARIANTS LLAMA_BUILD_MTMD
        BUILD_SHARED_LIBS CMAKE_SHARED_LINKER_FLAGS STAND_IN_NDK)
    message(NOTICE "${name}=${${name}}")
endforeach()
"""
TOOLCHAIN = "set(STAND_IN_NDK yes)\n"


@pytest.mark.skipif(not (CMAKE and NINJA), reason="needs cmake and ninja")
def test_the_preset_reaches_llama_cpp(tmp_path: Path) -> None:
    assert CMAKE and NINJA
    toolchain = tmp_path / "ndk" / "build" / "cmake" / "android.toolchain.cmake"
    toolchain.parent.mkdir(parents=True)
    toolchain.write_text(TOOLCHAIN)
    (tmp_path / "llama").mkdir()
    (tmp_path / "llama" / "CMakeLists.txt").write_text(LLAMA)
    steps = list(ndk_commands(Path(CMAKE), Path(NINJA), tmp_path / "llama", tmp_path / "build", 1))
    assert [what for what, _ in steps] == ["configuring", "compiling"]
    done = subprocess.run(
        steps[0][1],
        env={**os.environ, "ANDROID_NDK_HOME": str(tmp_path / "ndk")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    values = dict(line.split("=", 1) for line in done.stderr.splitlines() if "=" in line)
    assert values == {
        "ANDROID_ABI": "arm64-v8a",
        "ANDROID_PLATFORM": "android-28",
        "GGML_NATIVE": "OFF",
        "GGML_BACKEND_DL": "ON",
        "GGML_CPU_ALL_VARIANTS": "ON",
        "LLAMA_BUILD_MTMD": "ON",
        "BUILD_SHARED_LIBS": "ON",
        "CMAKE_SHARED_LINKER_FLAGS": "-Wl,-z,max-page-size=16384 -s",
        "STAND_IN_NDK": "yes",
    }


def test_what_the_build_did_not_make_is_listed(tmp_path: Path) -> None:
    with pytest.raises(MagicVLError, match=r"made no libggml-base\.so, .*, libggml-cpu\*\.so, libc\+\+_shared\.so in"):
        ndk_libraries(tmp_path, tmp_path)


def test_the_libraries_are_collected_with_their_cxx(tmp_path: Path) -> None:
    names = ["libggml-base.so", "libggml-cpu-android_armv8.0_1.so", "libggml.so", "libllama.so", "libmtmd.so"]
    for name in [*names, "llama-server"]:
        (tmp_path / name).touch()
    place = tmp_path / "ndk/toolchains/llvm/prebuilt/linux-x86_64/sysroot/usr/lib/aarch64-linux-android"
    place.mkdir(parents=True)
    (place / "libc++_shared.so").touch()
    found = ndk_libraries(tmp_path, tmp_path / "ndk")
    assert [path.name for path in found] == [*names, "libc++_shared.so"]
