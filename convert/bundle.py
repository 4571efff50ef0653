"""A checkpoint to a bundle: both halves and the lock, all of it or nothing."""

import json
import os
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from magicvl.convert.adapter import LORA_TYPES, changes, write_lora
from magicvl.convert.llm import make_llm
from magicvl.convert.packaged import check_decoder, package_entry, package_gguf
from magicvl.convert.place import beside, check_target
from magicvl.convert.preflight import preflight
from magicvl.convert.progress import Quiet, Steps
from magicvl.convert.quantise import LLM_TYPES
from magicvl.convert.report import Report, make_report
from magicvl.convert.source import Source
from magicvl.convert.vision import MMPROJ_TYPES, write_vision
from magicvl.edge.bundle import LOCK_NAME, FileEntry, Lock, lock_to_json, sha256
from magicvl.edge.gguf_check import read_gguf
from magicvl.errors import UsageError

LLM_FILE, MMPROJ_FILE, LORA_FILE, CAPTION_FILE = "llm.gguf", "mmproj.gguf", "lora.gguf", "caption.gguf"


def convert(  # noqa: PLR0913 - each option is a keyword
    checkpoint: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    llm_type: str = "F16",
    mmproj_type: str = "F16",
    adapter: str | os.PathLike[str] | None = None,
    merge: bool = False,
    tokenizer: str | os.PathLike[str] | None = None,
    llm_package: str | None = None,
    lora_type: str = "F32",
    caption_adapter: str | os.PathLike[str] | None = None,
    force: bool = False,
    steps: Steps | None = None,
) -> Report:
    """Converts a checkpoint directory of any known layout to a bundle directory.

    `adapter` is a directory of a PEFT LoRA; what it adds to the decoder becomes a file of its own, in `lora_type`, or
    with `merge` part of the decoder. `caption_adapter` is another, of the decoder with the first one; it becomes a file
    that films alone are described with. With `llm_package`, an installed package that carries the very decoder as GGUF,
    the bundle names that file and has none. `tokenizer` is a directory with the tokenizer, for checkpoints that come
    without. Raises UsageError for an unknown type or a target that exists, CheckpointError that lists everything that
    does not fit, EngineError where quantising fails. Whatever happens, the target is either complete or untouched.
    """
    _check_type("--llm-type", llm_type, LLM_TYPES)
    _check_type("--mmproj-type", mmproj_type, MMPROJ_TYPES)
    _check_type("--lora-type", lora_type, LORA_TYPES)
    if merge and adapter is None:
        raise UsageError("--merge has no effect without --adapter")
    entry = None if llm_package is None else package_entry(llm_package)
    steps = steps or Quiet()
    bundle = Path(target)
    check_target(bundle, source=Path(checkpoint), force=force, mark=LOCK_NAME)
    directory = None if adapter is None else Path(adapter)
    words = None if tokenizer is None else Path(tokenizer)
    films = None if caption_adapter is None else Path(caption_adapter)
    job = preflight(
        Path(checkpoint),
        bundle,
        llm_type,
        mmproj_type,
        directory,
        merged=merge,
        tokenizer=words,
        caption_directory=films,
    )
    with beside(bundle) as partial:
        llm = partial / LLM_FILE if entry is None else package_gguf(str(entry.package))
        fallbacks = {
            "llm": [] if entry else make_llm(job.source, job.vocabulary, llm, llm_type, steps),
            "mmproj": write_vision(job.source, partial / MMPROJ_FILE, mmproj_type, steps),
        }
        paths = {"llm": llm, "mmproj": partial / MMPROJ_FILE}
        adapters = (("lora", job.adapter, LORA_FILE), ("caption_lora", job.caption_adapter, CAPTION_FILE))
        changed = {}
        for role, found, name in adapters:
            if found is not None:
                changed[role] = changes(found, job.source, name)
                if write_lora(job.source, found, partial / name, steps, lora_type):
                    paths[role] = partial / name
        report = make_report(
            job.source, paths, {"llm": llm_type, "mmproj": mmproj_type}, fallbacks, changed.get("lora", [])
        )
        report = replace(report, bundle=os.fspath(target), caption_adapter=changed.get("caption_lora", []))
        if entry is not None:
            report = replace(report, llm_type=f"of {entry.package}")
            check_decoder(read_gguf(llm), job.vocabulary, report.tensors["llm"])
        _write_lock(job.source, partial, report, paths, entry)
    return report


def _write_lock(
    source: Source, partial: Path, report: Report, paths: dict[str, Path], packaged: FileEntry | None
) -> None:
    short, long = report.for_lock()
    own = {role: path for role, path in paths.items() if packaged is None or role != "llm"}
    files = {role: FileEntry(path.name, path.stat().st_size, sha256(path)) for role, path in own.items()}
    lock = Lock(
        name=source.name,
        files=files if packaged is None else {"llm": packaged, **files},
        vision=source.vision,
        language=source.decoder.info,
        picture=source.picture,
        pieces=source.pieces,
        film_tracks=source.film_tracks,
        provenance={"converter": f"magicvl {_version()}", "image_token": source.image_token} | short,
        report=long,
    )
    replace_lock(lock_to_json(lock), partial)


def replace_lock(data: dict[str, Any], directory: Path) -> None:
    """Writes `magicvl.json`, beside first and then in its place: a reader sees the old one or the new one."""
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    partial = directory / f".{LOCK_NAME}.{os.getpid()}.partial"
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(directory / LOCK_NAME)
    finally:
        partial.unlink(missing_ok=True)


def _version() -> str:
    try:
        return version("magicvl")
    except PackageNotFoundError:
        return "from a checkout"


def _check_type(option: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        raise UsageError(f"{option} {value}: there are {', '.join(known)}")
