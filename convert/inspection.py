"""What is in a GGUF file or a bundle, from headers alone: no tensor is read."""

import math
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magicvl.convert.doubts import bundle_doubts, file_doubts
from magicvl.edge.bundle import lock_to_json, read_bundle, sha256
from magicvl.edge.gguf_check import GgufFile, Tensor, Texts, Value, read_gguf
from magicvl.errors import UsageError

CHAT_TEMPLATE = "tokenizer.chat_template"
SHOWN = 8
"""Elements of a long array that are shown; the count is always given."""


@dataclass(frozen=True)
class FileInfo:
    """One GGUF file."""

    path: str
    size: int
    """Bytes."""
    parameters: int
    """Numbers in all tensors."""
    types: dict[str, int]
    """Tensors of each type."""
    metadata: dict[str, Value]
    """Every key but the chat template."""
    tensors: list[Tensor]
    chat_template: str | None
    warnings: list[str]


@dataclass(frozen=True)
class Inspection:
    """A file, or a bundle with its lock."""

    files: list[FileInfo]
    lock: dict[str, Any] | None
    warnings: list[str]
    """What is odd about a bundle beside its files."""


def inspect(path: str | os.PathLike[str], *, verify: bool = False) -> Inspection:
    """Reads the headers of a GGUF file, or of all files of a bundle. Raises BundleError.

    A bundle's hashes are compared only where `verify` is set, so that a large one is described at once.
    """
    path = Path(path)
    if not path.is_dir():
        if verify:
            raise UsageError(f"{path}: --verify compares the hashes of a bundle, a single file has none")
        return Inspection([_describe(read_gguf(path))], None, [])
    bundle = read_bundle(path)
    files = {role: read_gguf(bundle.path(role)) for role in bundle.lock.files}
    warnings = bundle_doubts(bundle, files)
    if verify:
        warnings += [
            f"{entry.path}: its sha256 is not the lock's; copy or convert it again"
            for role, entry in bundle.lock.files.items()
            if sha256(files[role].path) != entry.sha256
        ]
    return Inspection([_describe(file) for file in files.values()], lock_to_json(bundle.lock), warnings)


def parameter_count(file: GgufFile) -> int:
    """Numbers in all tensors of a GGUF file."""
    return sum(math.prod(tensor.shape) for tensor in file.tensors.values())


def to_json(found: Inspection) -> dict[str, Any]:
    """The object that `magicvl inspect --json` prints; long arrays as their length and first elements."""
    files = [
        {
            "path": file.path,
            "size": file.size,
            "parameters": file.parameters,
            "types": file.types,
            "metadata": {key: _shorten(value) for key, value in file.metadata.items()},
            "tensors": [{"name": t.name, "shape": list(t.shape), "type": t.type, "size": t.size} for t in file.tensors],
            "chat_template": file.chat_template,
            "warnings": file.warnings,
        }
        for file in found.files
    ]
    return {"files": files, "warnings": found.warnings} | ({"lock": found.lock} if found.lock else {})


def to_text(found: Inspection) -> str:
    """The same for people."""
    lines: list[str] = []
    if found.lock is not None:
        lines += [f"bundle {_plain(found.lock['name'])}, format {found.lock['format']}", ""]
        lines += [f"warning: {_plain(warning)}" for warning in found.warnings]
    for file in found.files:
        types = ", ".join(f"{count} {kind}" for kind, count in file.types.items())
        lines.append(f"{file.path}: {file.size:,} bytes, {file.parameters:,} parameters, {types}")
        lines += [*(f"  warning: {_plain(warning)}" for warning in file.warnings), ""]
        lines += [f"  {_plain(key)} = {_line(value)}" for key, value in file.metadata.items()]
        lines.append("")
        lines += [f"  {_tensor_line(tensor)}" for tensor in file.tensors]
        if file.chat_template is not None:
            lines += [
                "",
                f"  {CHAT_TEMPLATE}:",
                *(f"    {_plain(line)}" for line in file.chat_template.splitlines()),
            ]
        lines.append("")
    return "\n".join(lines).rstrip()


def _describe(file: GgufFile) -> FileInfo:
    template = file.metadata.get(CHAT_TEMPLATE)
    return FileInfo(
        path=os.fspath(file.path),
        size=file.path.stat().st_size,
        parameters=parameter_count(file),
        types=dict(Counter(tensor.type for tensor in file.tensors.values()).most_common()),
        metadata={key: value for key, value in file.metadata.items() if key != CHAT_TEMPLATE},
        tensors=list(file.tensors.values()),
        chat_template=template if isinstance(template, str) else None,
        warnings=file_doubts(file),
    )


def _shorten(value: Value) -> object:
    if not isinstance(value, tuple | Texts):
        return value
    return {"length": len(value), "first": list(value[:SHOWN])} if len(value) > SHOWN else list(value)


def _line(value: Value) -> str:
    if not isinstance(value, tuple | Texts):
        return repr(value)
    more = f", … {len(value):,} in all" if len(value) > SHOWN else ""
    return f"[{', '.join(map(repr, value[:SHOWN]))}{more}]"


def _plain(text: str) -> str:
    """Text from a file that others wrote: no control character of it reaches the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _tensor_line(tensor: Tensor) -> str:
    shape = " x ".join(map(str, tensor.shape))
    return f"{_plain(tensor.name):<32} {tensor.type:<6} {shape:<20} {tensor.size:>14,} bytes"
