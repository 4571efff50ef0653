"""What the tabulator offers in `magicvl chat`: the names of commands, and of files after those that take them."""

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from magicvl.chat_lines import FORMS, Form, Word, split

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif")


@dataclass(frozen=True)
class Completion:
    """A way to go on."""

    start: int
    """Where in the line the text goes; it replaces what follows there."""
    text: str
    label: str
    """What a list shows."""


def completions(line: str) -> list[Completion]:
    """Ways to go on with a line, whose cursor is at its end."""
    if not line.startswith("/"):
        return []
    name, *words = split(line)
    if name.end == len(line):
        forms = [form for form in FORMS.values() if form.name.startswith(name.text[1:])]
        return [
            Completion(0, f"/{form.name}{' ' if form.arguments else ''}", f"/{form.name} {form.arguments}".rstrip())
            for form in forms
        ]
    form = FORMS.get(name.text[1:])
    if form is None or form.files is None:
        return []
    last = words[-1] if words and words[-1].end == len(line) else Word("", len(line), len(line))
    return sorted(_files(last, form), key=lambda found: found.label)


def _files(word: Word, form: Form) -> Iterator[Completion]:
    folder, begun = os.path.split(word.expanded)
    try:
        entries = list(os.scandir(folder or "."))
    except (OSError, ValueError):
        return
    typed = word.text[: len(word.text) - len(begun)]
    for entry in entries:
        # Hidden names are offered when asked for, names that no terminal can show not at all.
        hidden = entry.name.startswith(".") and not begun
        if hidden or not entry.name.startswith(begun) or not entry.name.isprintable():
            continue
        if entry.is_dir():
            yield Completion(word.start, _quoted(f"{typed}{entry.name}/", word.home), f"{entry.name}/")
        elif form.files == "any" or entry.name.lower().endswith(PICTURES):
            yield Completion(word.start, _quoted(f"{typed}{entry.name}", word.home), entry.name)


def _quoted(path: str, home: bool) -> str:
    """The path as a shell must be told; the ~ of a home directory stays out of the quotes."""
    if not home:
        return shlex.quote(path)
    head, _, rest = path.partition("/")
    return f"{head}/{shlex.quote(rest)}" if rest else f"{head}/"
