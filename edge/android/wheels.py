"""The Python packages of the archive: magicvl itself, and those it needs that hold no native code.

NumPy and Pillow do: on a phone they come from Termux's own packages. llama-cpp-python is not needed where a child
llama-server runs the model, nor gguf where nothing is converted.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from magicvl.edge.android.process import Show, run_logged
from magicvl.errors import MagicVLError

PINS = {
    "annotated-doc": "0.0.4",
    "diskcache": "5.6.3",
    "jinja2": "3.1.6",
    "markdown-it-py": "4.0.0",
    "markupsafe": "3.0.3",
    "mdurl": "0.1.2",
    "pygments": "2.19.2",
    "rich": "15.0.0",
    "shellingham": "1.5.4",
    # The last before it needed pydantic, whose core is native code.
    "typer": "0.28.0",
}
COMPILED_ELSEWHERE = frozenset({"gguf", "llama-cpp-python", "numpy", "pillow"})
"""Core requirements that the archive does not hold; see above."""
WITH_SPEEDUPS = frozenset({"markupsafe"})
"""Published for each machine only, but whole without their native part: built here without a compiler."""

CHECKOUT = Path(__file__).resolve().parents[2]
_NOT_PACKED = (".*", "__pycache__", "*.egg-info", "build", "dist", "runs", "tests", "docs")
_EPOCH = {"SOURCE_DATE_EPOCH": "315532800", "PYTHONHASHSEED": "0"}  # 1980, where zip's calendar begins


def check_checkout() -> None:
    """Raises MagicVLError where magicvl was installed from a wheel, which lacks what builds are made with."""
    if not (CHECKOUT / "pyproject.toml").is_file():
        raise MagicVLError("magicvl android build works in a checkout of magicvl, not from an installed wheel")


def make_wheels(work: Path, log: Path, show: Show) -> list[Path]:
    """All wheels, sorted by name; those of others are fetched once. Raises MagicVLError."""
    folder = work / "wheels"
    folder.mkdir(exist_ok=True)
    wheels = [*_others(folder, log, show), _own(work, log, show)]
    if native := [path.name for path in wheels if not path.name.endswith("-none-any.whl")]:
        raise MagicVLError(f"no phone can install {', '.join(native)}: it holds native code of this machine")
    return sorted(wheels, key=lambda path: path.name)


def _others(folder: Path, log: Path, show: Show) -> list[Path]:
    pip = [sys.executable, "-m", "pip"]
    plain = [f"{name}=={version}" for name, version in PINS.items() if name not in WITH_SPEEDUPS]
    if _missing(folder, set(PINS) - WITH_SPEEDUPS):
        anywhere = ["--platform", "any", "--implementation", "py", "--abi", "none", "--python-version", "3.11"]
        command = [*pip, "download", "--no-deps", "--only-binary", ":all:", *anywhere, "--dest", str(folder), *plain]
        run_logged(command, log, "fetching Python packages", show)
    for name in _missing(folder, set(WITH_SPEEDUPS)):
        command = [*pip, "wheel", "--no-deps", "--no-binary", name, "--wheel-dir", str(folder)]
        # Built anew without its native part: pip would take the wheel that it kept with it.
        command += ["--no-cache-dir", f"{name}=={PINS[name]}"]
        run_logged(command, log, f"building {name}", show, extra={**_EPOCH, "CC": "false"})
    if missing := _missing(folder, set(PINS)):
        raise MagicVLError(f"pip made no wheel for everywhere of {', '.join(missing)}; see {log}")
    return [_wheel(folder, name) for name in PINS]


def _own(work: Path, log: Path, show: Show) -> Path:
    """The wheel of this checkout."""
    made = work / "own"
    shutil.rmtree(made, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        # setuptools builds inside the folder it is given, and packs what it finds there from earlier.
        copy = Path(folder, "magicvl")
        shutil.copytree(CHECKOUT, copy, symlinks=True, ignore=shutil.ignore_patterns(*_NOT_PACKED))
        command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(made), str(copy)]
        run_logged(command, log, "packing magicvl", show, extra=_EPOCH)
    wheels = sorted(made.glob("magicvl-*.whl"))
    if len(wheels) != 1:
        raise MagicVLError(f"pip made {len(wheels)} wheels of magicvl, one was expected; see {log}")
    return wheels[0]


def _missing(folder: Path, names: set[str]) -> list[str]:
    return sorted(name for name in names if not _wheel(folder, name).is_file())


def _wheel(folder: Path, name: str) -> Path:
    stem = name.replace("-", "_")
    found = [
        path
        for path in folder.glob("*-none-any.whl")
        if path.name.lower().startswith(f"{stem}-{PINS[name]}-") and os.access(path, os.R_OK)
    ]
    return found[0] if found else folder / f"{stem}-{PINS[name]}-py3-none-any.whl"
