"""What CMake is told for each kind of build.

The flags of the static builds are those that were tried under emulation; see bundle.cmake for what is compiled
in bundles. The shared libraries for the NDK have a preset of their own, ndk_presets.json.
"""

from collections.abc import Mapping
from pathlib import Path

from magicvl.edge.variant import HOST, Variant

PROGRAMS = ("llama-server", "llama-mtmd-cli", "llama-bench")
BUNDLED = Path(__file__).resolve().with_name("bundle.cmake")

_COMMON = {
    "CMAKE_BUILD_TYPE": "Release",
    "CMAKE_PROJECT_llama.cpp_INCLUDE": str(BUNDLED),
    "BUILD_SHARED_LIBS": "OFF",
    "GGML_LLAMAFILE": "ON",
    "GGML_CCACHE": "OFF",
    "LLAMA_OPENSSL": "OFF",
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_APP": "OFF",
    # The source archive is a clone of one commit; what git says of the folders around it does not matter.
    "LLAMA_BUILD_NUMBER": "1",
    "GIT_EXE": "OFF",
}
_HOST = {"GGML_NATIVE": "ON", "GGML_OPENMP": "ON"}
_STATIC = {
    "CMAKE_SYSTEM_NAME": "Linux",
    "CMAKE_SYSTEM_PROCESSOR": "aarch64",
    # Trying to link a program would have zig build its C++ library for each question.
    "CMAKE_TRY_COMPILE_TARGET_TYPE": "STATIC_LIBRARY",
    "CMAKE_EXE_LINKER_FLAGS": "-static -s",
    "GGML_NATIVE": "OFF",
    "GGML_OPENMP": "OFF",
}


def cmake_flags(variant: Variant, source: Path, commit: str, compilers: Mapping[str, Path]) -> dict[str, str]:
    """Cache entries for a static variant, or for the machine's own build.

    `compilers` are the wrappers of toolchain.write_wrappers by name; none for the machine's own.
    """
    flags = _COMMON | {"LLAMA_BUILD_COMMIT": commit[:7]}
    if variant == HOST:
        return flags | _HOST
    # Messages of failed assertions hold the name of their file.
    portable = f"-ffile-prefix-map={source}=llama.cpp"
    tools = {
        "CMAKE_C_COMPILER": "cc",
        "CMAKE_CXX_COMPILER": "c++",
        "CMAKE_ASM_COMPILER": "cc",
        "CMAKE_AR": "ar",
        "CMAKE_RANLIB": "ranlib",
    }
    return (
        flags
        | _STATIC
        | {"GGML_CPU_ARM_ARCH": variant.arch, "CMAKE_C_FLAGS": portable, "CMAKE_CXX_FLAGS": portable}
        | {entry: str(compilers[name]) for entry, name in tools.items()}
    )
