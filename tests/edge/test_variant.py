"""The chooser of builds, and finding an installed llama-server."""

import ctypes
import json
import os
import platform
import re
from pathlib import Path

import pytest

from magicvl.edge import variant
from magicvl.edge.variant import (
    ARMV8,
    DOTPROD,
    HOST,
    I8MM,
    PHONE_VARIANTS,
    RECORD_FORMAT,
    ServerProgram,
    best_variant,
    cpu_features,
    features_of,
    find_server,
    llama_pin,
    native_folder,
    read_record,
)
from magicvl.errors import UsageError

# AT_HWCAP and AT_HWCAP2 as qemu 7.2 gives them for -cpu cortex-a53, cortex-a76 and max.
A53 = features_of(0x000008FB, 0)
A76 = features_of(0x00119FFB, 0)
MAX = features_of(0xECFFFFFB, 0x7F877FFF)


def install(name: str, build: str | None = "b1-0c1e570", **changes: object) -> Path:
    """A stand-in llama-server in the folder of a variant, with its record."""
    folder = native_folder() / name
    folder.mkdir(parents=True)
    program = folder / "llama-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    record = {"format": RECORD_FORMAT, "machine": platform.machine(), "build": build} | changes
    (folder / "build.json").write_text(json.dumps(record))
    return program


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No build installed, none on PATH, none named."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("MAGICVL_SERVER", raising=False)


def on_processor(monkeypatch: pytest.MonkeyPatch, features: frozenset[str]) -> None:
    """Be on a machine with these features."""
    monkeypatch.setattr(variant, "cpu_features", lambda: features)


@pytest.mark.parametrize(("features", "best"), [(A53, ARMV8), (A76, DOTPROD), (MAX, I8MM), (frozenset(), HOST)])
def test_the_best_variant_is_the_newest_that_runs(features: frozenset[str], best: object) -> None:
    assert best_variant(features) == best


@pytest.mark.parametrize("lacking", sorted(I8MM.needs - DOTPROD.needs))
def test_one_missing_feature_is_enough_to_step_back(lacking: str) -> None:
    assert best_variant(MAX - {lacking}) == DOTPROD


@pytest.mark.parametrize("lacking", sorted(DOTPROD.needs - ARMV8.needs))
def test_i8mm_without_dotprod_is_not_trusted(lacking: str) -> None:
    assert best_variant(MAX - {lacking}) == ARMV8


def test_each_variant_needs_more_than_the_one_before() -> None:
    assert ARMV8.needs < DOTPROD.needs < I8MM.needs
    assert all(variant.arch.startswith("armv8") for variant in PHONE_VARIANTS)


def test_bits_are_where_linux_has_them() -> None:
    assert features_of(1 << 20 | 1 << 10, 1 << 13) == {"dotprod", "fp16", "i8mm"}
    assert features_of(1 << 13, 1 << 20) == {"jscvt"}


def test_features_of_this_machine() -> None:
    assert ("asimd" in cpu_features()) == (platform.machine() in {"aarch64", "arm64"})


def test_features_are_asked_of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Library:
        @staticmethod
        def getauxval(which: int) -> int:
            asked.append(which)
            return {16: 1 << 1 | 1 << 20, 26: 1 << 13}[which]

    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library)
    assert cpu_features() == {"asimd", "dotprod", "i8mm"}
    assert asked == [16, 26]


def test_a_32_bit_python_on_a_64_bit_kernel_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(ctypes, "sizeof", lambda kind: 4)
    assert cpu_features() == frozenset()


def test_the_pin_is_the_makefiles() -> None:
    makefile = (Path(__file__).resolve().parents[2] / "Makefile").read_text(encoding="utf-8")
    found = re.search(r"^LLAMA \?= llama-cpp-python==(\S+)$", makefile, re.MULTILINE)
    assert found is not None
    assert llama_pin() == found[1]


def test_nothing_installed_is_none() -> None:
    assert find_server() is None


def test_the_best_installed_build_that_runs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = {each.name: install(each.name) for each in PHONE_VARIANTS}
    for features, best in ((A53, ARMV8), (A76, DOTPROD), (MAX, I8MM)):
        on_processor(monkeypatch, features)
        assert find_server() == ServerProgram(paths[best.name], best.name, "b1-0c1e570")
    on_processor(monkeypatch, frozenset())
    assert find_server() is None


def test_a_build_that_is_too_new_is_never_found(monkeypatch: pytest.MonkeyPatch) -> None:
    install("i8mm")
    on_processor(monkeypatch, A76)
    assert find_server() is None


def test_an_older_build_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    program = install("armv8")
    on_processor(monkeypatch, MAX)
    assert find_server() == ServerProgram(program, "armv8", "b1-0c1e570")


def test_the_machines_own_build_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    install("i8mm")
    program = install("host", build=None)
    on_processor(monkeypatch, MAX)
    assert find_server() == ServerProgram(program, "host", None)


def test_a_build_of_another_machine_is_passed_over() -> None:
    install("host", machine="riscv64")
    assert find_server() is None


@pytest.mark.parametrize("record", [b"", b"[]", b'{"format": 99}', b"\xff"])
def test_a_build_with_a_damaged_record_is_passed_over(record: bytes) -> None:
    program = install("host")
    (program.parent / "build.json").write_bytes(record)
    assert read_record(program.parent) is None
    assert find_server() is None


def test_what_cannot_be_run_is_passed_over() -> None:
    program = install("host")
    program.chmod(0o644)
    assert find_server() is None


def test_one_on_path_comes_last_and_is_to_be_negotiated(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "llama-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert find_server() == ServerProgram(program, None, None)
    own = install("host")
    assert find_server() == ServerProgram(own, "host", "b1-0c1e570")


def test_a_named_program_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install("host")
    program = tmp_path / "mine"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("MAGICVL_SERVER", os.path.relpath(program))
    assert find_server() == ServerProgram(Path.cwd() / os.path.relpath(program), None, None)


def test_a_named_program_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install("host")
    monkeypatch.setenv("MAGICVL_SERVER", str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match=r"MAGICVL_SERVER .*nothing is no program"):
        find_server()


def test_a_user_without_a_home_has_none_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home(variable: str, usual: str) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(variant, "user_folder", no_home)
    assert find_server() is None
