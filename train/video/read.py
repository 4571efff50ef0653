"""Caption runs read from TOML; one that comes along is named `nano-grpo`."""

from pathlib import Path

from magicvl.errors import UsageError
from magicvl.train.curriculum.read_stage import CONFIGS, build, find_config, read_toml
from magicvl.train.video.settings import CaptionRun

FOLDER = CONFIGS / "video"


def find_run(name: str) -> Path:
    """The file of a run; see `find_config`."""
    return find_config("caption run", name, FOLDER)


def read_run(path: Path) -> CaptionRun:
    """Reads a run's TOML file. Raises UsageError with everything that is wrong in one line."""
    problems: list[str] = []
    made = build(CaptionRun, read_toml(path) | {"name": path.stem}, "", problems)
    if problems:
        raise UsageError(f"{path}: {'; '.join(problems)}")
    try:
        return CaptionRun(**made)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
