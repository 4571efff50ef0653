"""The house holds: one identity for each module, one direction for imports, a light core, sound packaging."""

import ast
import importlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import magicvl

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("bench", "convert", "edge", "mmproj", "train")
# For each folder, what of magicvl it may import; errors.py is everybody's.
MAY_IMPORT = {
    "edge": {"edge", "mmproj"},
    "mmproj": {"mmproj", "edge"},
    "convert": {"convert", "mmproj", "edge"},
    "train": {"train", "convert", "mmproj", "edge"},
    "bench": {"bench", "train", "convert", "mmproj", "edge"},
}
CORE_MODULES = {"diskcache", "PIL", "gguf", "jinja2", "llama_cpp", "numpy", "typer"}
EXTRA_MODULES = {"av"}
"""What edge uses where it is installed; tests/edge/test_imports.py holds that nothing loads it before."""
HEAVY = ("torch", "transformers")


def module_files(folder: str) -> Iterator[tuple[str, Path]]:
    """Dotted name and file of every importable module of a folder; edge/native is scripts, not a package."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        if all((parent / "__init__.py").exists() for parent in path.relative_to(ROOT).parents[:-1]):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(("magicvl", *(part for part in parts if part != "__init__"))), path


def imported_names(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it; `from a import b` gives both a and a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


MODULES = {name: path for folder in FOLDERS for name, path in module_files(folder)}


def run_python(code: str, folder: Path = ROOT.parent) -> str:
    """Standard output of a fresh interpreter started in a folder."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("folder", FOLDERS)
def test_folder_and_package_are_the_same_files(folder: str) -> None:
    link = ROOT / "src" / "magicvl" / folder
    assert os.readlink(link) == f"../../{folder}"
    module = importlib.import_module(f"magicvl.{folder}")
    assert module.__file__ is not None
    assert os.path.samefile(module.__file__, ROOT / folder / "__init__.py")


def test_tests_are_no_package() -> None:
    # With them pytest would put the repository root on the path, and `import convert` would work.
    assert not list((ROOT / "tests").rglob("__init__.py"))


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        *((f"import {folder}", "TID251") for folder in FOLDERS),
        *((f"from {folder}.some import thing", "TID251") for folder in FOLDERS),
        ("from . import plan", "TID252"),
        ("from magicvl.edge import plan", None),
        ("import magicvl.train", None),
    ],
)
def test_ruff_refuses_a_second_identity(line: str, rule: str | None) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--select=TID", "--output-format=concise", "--no-cache", "-"],
        cwd=ROOT,
        input=f"{line}\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert re.findall(r"TID\d+", done.stdout) == ([rule] if rule else [])


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_go_one_way(name: str) -> None:
    folder = name.split(".")[1]
    inside = {imported.split(".")[1] for imported in imported_names(MODULES[name]) if imported.startswith("magicvl.")}
    beyond = inside - MAY_IMPORT[folder] - {"errors"} - set(magicvl.__all__)
    assert not beyond, f"{name} imports {beyond}"


@pytest.mark.parametrize("name", sorted(name for name in MODULES if name.startswith("magicvl.edge")))
def test_edge_needs_only_the_core(name: str) -> None:
    # Follows imports through magicvl's own modules, late ones too.
    reached, waiting = set[str](), [name]
    while waiting:
        module = waiting.pop()
        if module in MODULES and module not in reached:
            waiting.extend(imported_names(MODULES[module]))
        reached.add(module)
    foreign = {module.split(".")[0] for module in reached} - sys.stdlib_module_names - {"magicvl"}
    beyond = foreign - CORE_MODULES - EXTRA_MODULES
    assert not beyond, f"{name} reaches {beyond}"


def test_core_modules_import_without_torch() -> None:
    names = ["magicvl", "magicvl.cli", *(name for name in MODULES if name.startswith("magicvl.edge"))]
    code = f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
    loaded = run_python(code + f"print([name for name in {HEAVY!r} if name in sys.modules])")
    assert loaded.strip() == "[]"


def test_help_loads_nothing_heavy() -> None:
    code = """
import sys
from magicvl.cli import main
sys.argv = ["magicvl", "--help"]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
heavy = ("torch", "transformers", "llama_cpp", "gguf", "numpy", "PIL")
print("loaded", [name for name in heavy if name in sys.modules])
"""
    output = run_python(code)
    assert "Usage: magicvl" in output
    assert output.splitlines()[-1] == "loaded []"


def test_console_scripts_resolve() -> None:
    scripts = [
        entry for entry in importlib.metadata.distribution("magicvl").entry_points if entry.group == "console_scripts"
    ]
    assert [script.name for script in scripts] == ["magicvl"]
    assert all(callable(script.load()) for script in scripts)


def test_makefile_pins_satisfy_the_requirements() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^[A-Z]+ \?= ([a-z-]+)==(\S+)$", makefile, re.MULTILINE))
    assert set(pins) == {"llama-cpp-python", "torch"}
    for text in importlib.metadata.requires("magicvl") or []:
        required = Requirement(text)
        if required.name in pins:
            assert pins.pop(required.name) in required.specifier
    assert not pins


def test_core_requirements_are_the_agreed_ones() -> None:
    requirements = [Requirement(text) for text in importlib.metadata.requires("magicvl") or []]
    core = {requirement.name for requirement in requirements if requirement.marker is None}
    assert core == {"diskcache", "gguf", "jinja2", "llama-cpp-python", "numpy", "pillow", "typer"}


def test_wheel_and_sdist_hold_the_whole_package(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    left_out = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "runs")
    shutil.copytree(ROOT, copy, symlinks=True, ignore=left_out)
    for step in ("build_sdist", "build_wheel"):
        code = f"from setuptools import build_meta; build_meta.{step}({str(tmp_path)!r})"
        run_python(code, folder=copy)
    sdist, wheel = (next(tmp_path.glob(pattern)) for pattern in ("*.tar.gz", "*.whl"))
    with tarfile.open(sdist) as archive:
        members = [member for member in archive.getmembers() if not member.isdir()]
        assert all(member.isreg() for member in members), "a link would point outside the archive"
        in_sdist = {member.name.partition("/src/")[2] for member in members}
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = set(archive.namelist())
    files = [*MODULES.values(), *(ROOT / "models").rglob("*"), *(ROOT / "train").rglob("*.toml")]
    wanted = {f"magicvl/{path.relative_to(ROOT).as_posix()}" for path in files if path.is_file()}
    wanted |= {f"magicvl/{name}" for name in ("__init__.py", "cli.py", "errors.py", "py.typed")}
    assert wanted <= in_sdist
    assert wanted <= in_wheel
    assert not [name for name in in_wheel if "/native/" in name or name.startswith(FOLDERS)]
