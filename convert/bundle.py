"""A checkpoint to a bundle: both halves and the lock, all of it or nothing."""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from magicvl.convert.inspection import parameter_count
from magicvl.convert.llm import write_llm
from magicvl.convert.place import beside, check_target
from magicvl.convert.progress import Quiet, Steps
from magicvl.convert.quantise import LLM_TYPES, quantise_llm
from magicvl.convert.source import Source
from magicvl.convert.sources import open_source
from magicvl.convert.tensors import check_tensors
from magicvl.convert.vision import MMPROJ_TYPES, write_vision
from magicvl.convert.vocabulary import check_image_token, read_vocabulary
from magicvl.edge.bundle import LOCK_NAME, FileEntry, Lock, lock_to_json, sha256
from magicvl.edge.gguf_check import read_gguf
from magicvl.errors import UsageError

LLM_FILE, MMPROJ_FILE = "llm.gguf", "mmproj.gguf"


@dataclass(frozen=True)
class Report:
    """What a conversion did."""

    bundle: str
    llm_type: str
    mmproj_type: str
    bytes: dict[str, int]
    """Size of each file."""
    parameters: dict[str, int]
    """Numbers in each half."""
    fallbacks: dict[str, list[str]]
    """Tensors of each half whose rows the wanted type cannot hold, and which are wider."""
    left_out: list[str]
    """Tensors of the checkpoint that the bundle leaves out on purpose."""

    def to_text(self) -> str:
        """The same for people."""
        files = {"llm": (LLM_FILE, self.llm_type), "mmproj": (MMPROJ_FILE, self.mmproj_type)}
        lines = [f"{self.bundle}:"]
        for role, (name, kind) in files.items():
            size, count = self.bytes[name], self.parameters[role]
            lines.append(f"  {name:<12} {kind:<7} {size:>14,} bytes  {count:>14,} parameters")
            if wider := self.fallbacks[role]:
                lines.append(f"    rows that {kind} cannot hold, kept wider: {', '.join(wider)}")
        lines += [f"  left out on purpose: {name}" for name in self.left_out]
        return "\n".join(lines)


def convert(
    checkpoint: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    llm_type: str = "F16",
    mmproj_type: str = "F16",
    force: bool = False,
    steps: Steps | None = None,
) -> Report:
    """Converts a MagicVL checkpoint directory to a bundle directory.

    Raises UsageError for an unknown type or a target that exists, CheckpointError for anything that does not
    fit, EngineError where quantising fails. Whatever happens, the target is either complete or untouched.
    """
    _check_type("--llm-type", llm_type, LLM_TYPES)
    _check_type("--mmproj-type", mmproj_type, MMPROJ_TYPES)
    steps = steps or Quiet()
    bundle = Path(target)
    check_target(bundle, source=Path(checkpoint), force=force, mark=LOCK_NAME)
    source = open_source(Path(checkpoint))
    left_out = check_tensors(source)
    with beside(bundle) as partial:
        fallbacks = {
            "llm": _write_llm(source, partial, llm_type, steps),
            "mmproj": write_vision(source, partial / MMPROJ_FILE, mmproj_type, steps),
        }
        report = Report(
            bundle=os.fspath(target),
            llm_type=llm_type,
            mmproj_type=mmproj_type,
            bytes={name: (partial / name).stat().st_size for name in (LLM_FILE, MMPROJ_FILE)},
            parameters=_parameters(partial),
            fallbacks=fallbacks,
            left_out=left_out,
        )
        _write_lock(source, partial, report)
    return report


def _write_llm(source: Source, partial: Path, wanted: str, steps: Steps) -> list[str]:
    vocabulary = read_vocabulary(source.directory, source.decoder.vocabulary)
    check_image_token(vocabulary, source.image_token, source.image_token_id, source.directory)
    if wanted == "F16":
        write_llm(source, vocabulary, partial / LLM_FILE, steps, wide=False)
        return []
    wide = partial / "llm-wide.gguf"
    write_llm(source, vocabulary, wide, steps, wide=True)
    fallbacks = quantise_llm(wide, partial / LLM_FILE, wanted, steps)
    wide.unlink()
    return fallbacks


def _parameters(partial: Path) -> dict[str, int]:
    files = {"llm": partial / LLM_FILE, "mmproj": partial / MMPROJ_FILE}
    return {role: parameter_count(read_gguf(path)) for role, path in files.items()}


def _write_lock(source: Source, partial: Path, report: Report) -> None:
    files = {
        role: FileEntry(name, (partial / name).stat().st_size, sha256(partial / name))
        for role, name in (("llm", LLM_FILE), ("mmproj", MMPROJ_FILE))
    }
    lock = Lock(
        name=source.name,
        files=files,
        vision=source.vision,
        language=source.decoder.info,
        picture=source.picture,
        pieces=source.pieces,
        provenance={
            "converter": f"magicvl {_version()}",
            "image_token": source.image_token,
            **{key: value for key, value in asdict(report).items() if key not in ("bundle", "bytes")},
        },
    )
    text = json.dumps(lock_to_json(lock), indent=2, ensure_ascii=False) + "\n"
    (partial / LOCK_NAME).write_text(text, encoding="utf-8")


def _version() -> str:
    try:
        return version("magicvl")
    except PackageNotFoundError:
        return "from a checkout"


def _check_type(option: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        raise UsageError(f"{option} {value}: there are {', '.join(known)}")
