"""Stages read from TOML; one that comes along is named `magicvl-tiny/stage1`."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from magicvl.errors import UsageError
from magicvl.train.curriculum.stage import Stage

CONFIGS = Path(__file__).parents[1] / "configs"


def find_config(kind: str, name: str, folder: Path, known: Sequence[str] | None = None) -> Path:
    """The file of a config: a path, or the name of one that comes along. Raises UsageError that lists them.

    `known` are the names of those in `folder`, None for all that lie in it.
    """
    if name.endswith(".toml"):
        return Path(name)
    if known is None:
        known = sorted(path.stem for path in folder.glob("*.toml"))
    if name not in known:
        raise UsageError(f"{kind} {name!r}: there are {', '.join(known)}, or give the path of a .toml file")
    return folder / f"{name}.toml"


def find_stage(name: str) -> Path:
    """The file of a stage; see `find_config`."""
    return find_config("stage", name, CONFIGS, shipped_stages())


def is_stage(path: Path) -> bool:
    """Whether a file describes a stage, and not a run of magicvl-nano's own trainer. Raises UsageError."""
    return "start" in read_toml(path)


def shipped_stages() -> list[str]:
    """Names of the stages that come along."""
    found = (path.relative_to(CONFIGS).with_suffix("").as_posix() for path in CONFIGS.glob("*/*.toml"))
    return sorted(name for name in found if not name.startswith(("ablations/", "video/")))


def read_stage(path: Path) -> Stage:
    """Reads a stage's TOML file. Raises UsageError with everything that is wrong in one line."""
    return stage_of(with_paths_from(read_toml(path), path.parent) | {"name": path.stem}, str(path))


def with_paths_from(tables: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A stage's tables with the files that they name relative to their own file's folder."""
    made, start = dict(tables), tables.get("start")
    if isinstance(made.get("complexity"), str):
        made["complexity"] = str(folder / made["complexity"])
    if isinstance(start, Mapping) and isinstance(start.get("checkpoint"), str):
        made["start"] = {**start, "checkpoint": str(folder / start["checkpoint"])}
    return made


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises UsageError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such training config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML ({error})") from None
    except OSError as error:
        raise UsageError(f"{path}: it cannot be read ({error.strerror})") from None


def stage_of(data: Mapping[str, Any], name: str) -> Stage:
    """The stage of its tables; `name` stands before what is wrong with them. Raises UsageError."""
    problems: list[str] = []
    made = build(Stage, data, "", problems)
    if problems:
        raise UsageError(f"{name}: {'; '.join(problems)}")
    try:
        return Stage(**made)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def build(kind: Any, data: Mapping[str, Any], place: str, problems: list[str]) -> dict[str, Any]:
    """The arguments of a dataclass; what cannot be goes to `problems`."""
    hints = get_type_hints(kind)
    if unknown := sorted(set(data) - set(hints)):
        problems.append(f"{place or 'it'} has no {', '.join(unknown)}; there are {', '.join(hints)}")
    made = {key: _value(hints[key], value, f"{place}{key}", problems) for key, value in data.items() if key in hints}
    missing = [each.name for each in fields(kind) if each.name not in data and _is_needed(each)]
    if missing:
        problems.append(f"{place or 'it'} lacks {', '.join(missing)}")
    return made


def _is_needed(field: Any) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _value(hint: Any, value: Any, place: str, problems: list[str]) -> Any:
    """A value as the hint has it; tables become dataclasses, lists tuples."""
    options = get_args(hint) if get_origin(hint) in (UnionType, Union) else (hint,)
    for option in options:
        if is_dataclass(option) and isinstance(option, type) and isinstance(value, dict):
            before = len(problems)
            made = build(option, value, f"{place}.", problems)
            return option(**made) if len(problems) == before else None
        if get_origin(option) is tuple and isinstance(value, list):
            inner = get_args(option)[0]
            return tuple(_value(inner, each, f"{place}[{i}]", problems) for i, each in enumerate(value))
        if _fits(option, value):
            return float(value) if option is float else value
    problems.append(f"{place} is {value!r}, which is no {_name(options)}")
    return None


def _fits(option: Any, value: Any) -> bool:
    if get_origin(option) is dict:
        return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())
    if choices := get_args(option):
        # Literals: what is none of them is said by the stage itself, with the list.
        return isinstance(value, str) and isinstance(choices[0], str)
    if option is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(option, type) and isinstance(value, option) and isinstance(value, bool) == (option is bool)


def _name(options: tuple[Any, ...]) -> str:
    names = {int: "whole number", float: "number", str: "text", bool: "true or false"}
    return " or ".join(names.get(option, "table or list") for option in options if option is not type(None))
