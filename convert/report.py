"""What a conversion did: what went where, in which type, and what each type cost."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from magicvl.convert.adapter import Change
from magicvl.convert.inspection import parameter_count
from magicvl.convert.loss import Loss, losses
from magicvl.convert.source import Source
from magicvl.convert.tensors import left_out
from magicvl.edge.gguf_check import read_gguf

SHOWN = 3
"""Tensors of each half that the table names; the JSON and the lock hold all of them."""


@dataclass(frozen=True)
class Report:
    """What a conversion did."""

    bundle: str
    llm_type: str
    mmproj_type: str
    files: dict[str, str]
    """Name of each half's file."""
    bytes: dict[str, int]
    """Size of each file."""
    parameters: dict[str, int]
    """Numbers in each half."""
    fallbacks: dict[str, list[str]]
    """Tensors of each half whose rows the wanted type cannot hold, and which are wider."""
    left_out: list[str]
    """Tensors of the checkpoint that the bundle leaves out on purpose."""
    tensors: dict[str, list[Loss]]
    """Every tensor of each half and the error that its type made, worst first."""
    adapter: list[Change] = field(default_factory=list)
    """What an adapter changed, and by how much."""
    caption_adapter: list[Change] = field(default_factory=list)
    """What the caption adapter changes, and by how much."""

    def to_json(self) -> dict[str, Any]:
        """The object that `magicvl convert --json` prints."""
        return asdict(self)

    def for_lock(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The short part, for the lock's provenance, and the long one, for its report."""
        data = self.to_json()
        long = {key: data.pop(key) for key in ("tensors", "adapter", "caption_adapter")}
        return {key: value for key, value in data.items() if key not in ("bundle", "bytes", "files")}, long

    def to_text(self) -> str:
        """The same for people."""
        lines = [f"{self.bundle}:"]
        for role, kind in (("llm", self.llm_type), ("mmproj", self.mmproj_type)):
            lines += self._half(role, kind)
        if self.adapter:
            merged = sum(change.how == "merged" for change in self.adapter)
            apart = len(self.adapter) - merged
            lines.append(f"  adapter: {merged} tensors merged, {apart} in lora.gguf; the largest changes:")
            lines += _largest(self.adapter)
        if self.caption_adapter:
            lines.append(f"  caption adapter: {len(self.caption_adapter)} tensors; the largest changes:")
            lines += _largest(self.caption_adapter)
        lines += [f"  left out on purpose: {name}" for name in self.left_out]
        return "\n".join(lines)

    def _half(self, role: str, kind: str) -> list[str]:
        name, found = self.files[role], self.tensors[role]
        lines = [
            f"  {name:<12} {kind:<7} {self.bytes[name]:>14,} bytes  {self.parameters[role]:>14,} parameters",
            f"    {_types(found)}",
        ]
        lines += [f"    {_percent(loss.error)}  {loss.type:<6}  {loss.name}" for loss in found[:SHOWN] if loss.error]
        if left := sum(loss.error > 0 for loss in found[SHOWN:]):
            lines.append(f"    and {left} with smaller errors; --json and the lock have them all")
        if wider := self.fallbacks[role]:
            lines.append(f"    rows that {kind} cannot hold, kept wider: {', '.join(wider)}")
        return lines


def make_report(
    source: Source,
    paths: Mapping[str, Path],
    types: Mapping[str, str],
    fallbacks: dict[str, list[str]],
    adapter: list[Change],
) -> Report:
    """Reads both files back and compares them with the checkpoint; `paths` has `llm` and `mmproj`, perhaps `lora`."""
    halves = {role: read_gguf(paths[role]) for role in ("llm", "mmproj")}
    return Report(
        bundle="",
        llm_type=types["llm"],
        mmproj_type=types["mmproj"],
        files={role: paths[role].name for role in halves},
        bytes={path.name: path.stat().st_size for path in paths.values()},
        parameters={role: parameter_count(file) for role, file in halves.items()},
        fallbacks=fallbacks,
        left_out=left_out(source),
        tensors=losses(source, halves["llm"], halves["mmproj"]),
        adapter=adapter,
    )


def _largest(found: list[Change]) -> list[str]:
    return [f"    {_percent(c.change)}  {c.how:<9}  {c.source}" for c in found[:SHOWN]]


def _types(found: list[Loss]) -> str:
    counts = Counter(loss.type for loss in found)
    exact = sum(loss.error == 0 for loss in found)
    return f"{', '.join(f'{n} {kind}' for kind, n in counts.most_common())}; {exact} of {len(found)} without any error"


def _percent(share: float) -> str:
    return f"{100 * share:8.4f} %"
