"""What a phone lacks is never imported, and what help does not need is not either."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from magicvl.edge import plan

FOLDER = Path(plan.__file__).parent
EDGE = sorted(
    ".".join(path.relative_to(FOLDER).with_suffix("").parts)
    for path in FOLDER.rglob("[!_]*.py")
    if path.parent.name != "native"  # a script that compiles llama.cpp, before there is anything
)


def loaded_by(code: str) -> set[str]:
    """The top-level packages that are loaded after `code` ran in a fresh process."""
    report = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True, timeout=120
    )
    return set(done.stdout.splitlines()[-1].split())


def test_the_edge_lane_needs_neither_torch_nor_transformers() -> None:
    found = loaded_by("\n".join(f"import magicvl.edge.{name}" for name in EDGE))
    assert "llama_cpp" in found
    assert not found & {"torch", "transformers", "tokenizers", "safetensors", "accelerate", "gguf", "av"}


@pytest.mark.parametrize(
    "code",
    [
        "import magicvl; magicvl.load; magicvl.DEFAULT_BUNDLE",
        "import magicvl.edge.plan, magicvl.edge.prompt, magicvl.edge.gguf_check, magicvl.edge.bundle",
        "from magicvl.cli import run; assert run(['--help']) == 0",
        "from magicvl.cli import run; assert run(['ask', '--help']) == 0",
        "from magicvl.cli import run; assert run(['caption', '--help']) == 0",
    ],
)
def test_light_things_load_neither_numpy_nor_native_code(code: str) -> None:
    assert not loaded_by(code) & {"numpy", "llama_cpp", "PIL", "torch", "transformers", "gguf"}


def test_plan_needs_no_native_code() -> None:
    code = "from magicvl.cli import run; assert run(['plan', 'no such picture.png']) != 0"
    assert not loaded_by(code) & {"llama_cpp", "torch", "transformers"}


BLOCKED = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *more: None if name.partition(".")[0] == "llama_cpp" else find(name, *more)
"""


def test_plan_and_the_server_need_no_llama_cpp(standin_program: object, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    Image.new("RGB", (500, 420), "red").save(picture)
    code = f"""{BLOCKED}
import io, contextlib
from magicvl.cli import run
assert run(["plan", {str(picture)!r}]) == 0
assert run(["plan", {str(picture)!r}, "--calibrate"]) == 1
from magicvl import load
with load(threads=1) as engine:
    assert engine.ask({str(picture)!r}, "What is this?")
    assert engine.session().ask("And this?", {str(picture)!r})
assert run(["ask", {str(picture)!r}, "-p", "What?", "--runtime", "server"]) == 0
assert run(["ask", {str(picture)!r}, "-p", "What?", "--runtime", "inproc"]) == 1
"""
    assert not loaded_by(code) & {"llama_cpp", "torch", "transformers", "gguf"}


def test_the_public_names_are_these() -> None:
    import magicvl

    assert magicvl.__all__ == [
        "DEFAULT_BUNDLE",
        "BundleError",
        "CheckpointError",
        "EngineError",
        "MagicVLError",
        "PictureError",
        "UsageError",
        "__version__",
        "load",
    ]
    assert all(hasattr(magicvl, name) for name in magicvl.__all__)
    with pytest.raises(AttributeError):
        _ = magicvl.nothing
