"""Which libllama is loaded: the named one, else the one that came along, else the installed."""

import shutil
import subprocess
import sys
from pathlib import Path

import llama_cpp
import pytest

from magicvl.edge import library, llama
from magicvl.edge.library import library_folder, supported_platform
from magicvl.edge.variant import llama_pin
from magicvl.errors import EngineError, UsageError

INSTALLED = Path(llama_cpp.__file__).parent / "lib"
WHICH = "from magicvl.edge.llama import LIBRARY, library_build; print(LIBRARY._name); assert library_build()"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No folder is named, and none came along."""
    for name in ("MAGICVL_LIBRARY", "LLAMA_CPP_LIB_PATH", "MTMD_CPP_LIB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def copy_to(folder: Path) -> Path:
    """The installed libraries in a folder of their own."""
    shutil.copytree(INSTALLED, folder, symlinks=True)
    return folder


def loaded() -> str:
    """The library that a fresh process loads."""
    done = subprocess.run([sys.executable, "-c", WHICH], capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.strip()


def test_without_anything_it_is_the_installed_one() -> None:
    assert library_folder() is None
    assert loaded() == str(INSTALLED / "libllama.so")


def test_the_one_that_came_along_goes_before_it_and_the_named_one_before_that(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundled = copy_to(tmp_path / "data" / "magicvl" / "native" / llama_pin() / "lib")
    assert loaded() == str(bundled / "libllama.so")
    named = copy_to(tmp_path / "named")
    monkeypatch.setenv("MAGICVL_LIBRARY", str(named))
    assert loaded() == str(named / "libllama.so")


def test_llama_cpp_pythons_own_variables_are_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    copy_to(tmp_path / "data" / "magicvl" / "native" / llama_pin() / "lib")
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", str(INSTALLED))
    assert library_folder() is None


def test_a_folder_without_them_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "libllama.so").touch()
    monkeypatch.setenv("MAGICVL_LIBRARY", str(tmp_path))
    with pytest.raises(UsageError, match="no libmtmd in it"):
        library_folder()


def test_android_is_hidden_from_llama_cpp_python_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library.sys, "platform", "android")
    with supported_platform():
        assert sys.platform == "linux"
    assert sys.platform == "android"


@pytest.mark.parametrize("amx", [True, False])
def test_a_build_with_amx_gets_plain_buffers(amx: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(llama, "library_build", lambda: f"CPU : AVX512 = 1 | {'AMX_INT8 = 1 | ' * amx}REPACK = 1 | ")
    monkeypatch.setattr(
        llama.llama_cpp, "llama_model_load_from_file", lambda _path, params: asked.append(params.use_extra_bufts)
    )
    with pytest.raises(EngineError, match="cannot load this model"):
        llama.Model(Path("none.gguf"))
    assert asked == [not amx]
