"""The table of complexity as text, with what it leaves out."""

from collections.abc import Iterator

from magicvl.train.complexity.table import Entry, Table
from magicvl.train.complexity.terms import IMAGE_TERMS, NAMES

MEGA = 1e6
"""Densities are shown a million px."""
_HEAD = (
    f"{'category':<10} {'dataset':<34} {'n':>5} {'tokens':>7} {'types':>6} {'perpl.':>8} {'bits':>5} "
    f"{'text/Mpx':>9} {'obj./Mpx':>9} {'S_text':>6} {'S_image':>7} {'S_task':>6} {'S':>5}  level"
)
_SAID = {
    "perplexity": "perplexity: longer than the LLM's context",
    "text_density": "printed text: no boxes (--ocr reads it with tesseract)",
    "object_density": "objects: no boxes",
}


def to_text(table: Table) -> str:
    """The datasets by category and rising score, a category's cut between them; then notes."""
    lines = [_HEAD]
    last: Entry | None = None
    for source, entry in table.datasets.items():
        if last is not None and last.category == entry.category and last.level != entry.level:
            lines.append(f"{'':<10} - cut at {_number(table.cuts.get(entry.category), 5, 3)} -")
        lines.append(_line(source, entry))
        last = entry
    return "\n".join([*lines, *notes(table)])


def notes(table: Table) -> Iterator[str]:
    """What is not in the scores, and which categories are not cut, a line each."""
    if table.datasets and all(entry.s_task is None for entry in table.datasets.values()):
        yield "S_task: left out, no --models; S is of S_text and S_image, in the proportion of their weights"
    plain = [source for source, entry in table.datasets.items() if entry.s_image is None]
    if plain:
        yield f"S_image: left out, no pictures; S is of the others: {', '.join(plain)}"
    for name, said in _SAID.items():
        without = [source for source, entry in table.datasets.items() if _lacks(entry, name)]
        if without:
            yield f"left out, {said}: {', '.join(without)}"
    whole = [category for category, highest_low in table.cuts.items() if highest_low is None]
    if whole:
        yield f"not cut, one dataset or all alike, so low: {', '.join(whole)}"


def _lacks(entry: Entry, name: str) -> bool:
    pictures = entry.s_image is not None or name not in IMAGE_TERMS
    return entry.measured > 0 and pictures and getattr(entry.terms, name) is None


def _line(source: str, entry: Entry) -> str:
    terms = {name: getattr(entry.terms, name) for name in NAMES}
    text, objects = (None if terms[name] is None else terms[name] * MEGA for name in ("text_density", "object_density"))
    return (
        f"{entry.category:<10} {source:<34} {entry.measured:>5} {_number(terms['length'], 7, 1)} "
        f"{_number(terms['diversity'], 6, 2)} {_number(terms['perplexity'], 8, 1)} {_number(terms['entropy'], 5, 2)} "
        f"{_number(text, 9, 1)} {_number(objects, 9, 1)} {_number(entry.s_text, 6, 3)} {_number(entry.s_image, 7, 3)} "
        f"{_number(entry.s_task, 6, 3)} {_number(entry.s, 5, 3)}  {entry.level}"
    )


def _number(value: float | None, width: int, digits: int) -> str:
    """A number in its column; one too wide for it in short."""
    if value is None:
        return f"{'-':>{width}}"
    plain = f"{value:>{width}.{digits}f}"
    return plain if len(plain) <= width else f"{value:>{width}.1e}"
