"""What went out and why: as data, as text, and as a picture (magicvl.train.filters.figure)."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from magicvl.train.filters.decisions import Decision
from magicvl.train.filters.examine import NAMES
from magicvl.train.filters.planted import Agreement

EXAMPLES = 5
"""Of each rule."""


@dataclass
class Tally:
    """Decisions, counted."""

    seen: int = 0
    kept: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    """What went out, by rule."""
    sources: dict[str, Counter[str]] = field(default_factory=dict)
    """By source: `kept`, and each rule."""
    examples: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    """The first of each rule."""

    def add(self, decision: Decision) -> None:
        """Counts a decision."""
        self.seen += 1
        source = self.sources.setdefault(decision.source or "(unknown)", Counter())
        source[decision.rule or "kept"] += 1
        if decision.rule is None:
            self.kept += 1
            return
        self.rules[decision.rule] += 1
        examples = self.examples.setdefault(decision.rule, [])
        if len(examples) < EXAMPLES:
            examples.append({"sample": decision.name, "why": decision.why, "excerpt": decision.excerpt})


def to_json(tally: Tally, agreements: tuple[Agreement, ...] = ()) -> dict[str, Any]:
    """The report as one object."""
    return {
        "seen": tally.seen,
        "kept": tally.kept,
        "out": {name: tally.rules[name] for name in NAMES if tally.rules[name]},
        "sources": {name: dict(counts) for name, counts in sorted(tally.sources.items())},
        "examples": {name: tally.examples[name] for name in NAMES if name in tally.examples},
        "judge": [
            {
                "check": each.check,
                "way": each.way,
                "agreement": each.balanced,
                "good": each.good,
                "bad": each.bad,
                "line": each.line,
            }
            for each in agreements
        ],
    }


def to_text(tally: Tally, agreements: tuple[Agreement, ...] = ()) -> str:
    """The report as lines."""
    lines = [f"{tally.seen:,} samples, {tally.kept:,} kept ({tally.kept / max(1, tally.seen):.1%})"]
    lines += [each.to_text() for each in agreements]
    for name in NAMES:
        if not tally.rules[name]:
            continue
        lines.append(f"{name}: {tally.rules[name]:,} ({tally.rules[name] / tally.seen:.1%})")
        for example in tally.examples[name]:
            words = f": {example['excerpt']}" if example["excerpt"] else ""
            lines.append(f"    {example['sample']}, {example['why']}{words}")
    return "\n".join(lines)
