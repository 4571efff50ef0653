"""What is typed in `magicvl chat`: words to the model, or a command with arguments as a shell reads them.

"What is this?"           -> "What is this?"
"/image ~/'my cat.png'"   -> Command("image", ("/home/me/my cat.png",))
"""

import os
import re
from dataclasses import dataclass
from typing import Literal

from magicvl.errors import UsageError


@dataclass(frozen=True)
class Form:
    """What a command looks like."""

    name: str
    does: str
    """For the help."""
    arguments: str = ""
    """As the help shows them; empty where it takes none."""
    least: int = 0
    """Fewest arguments."""
    most: int = 0
    """Most arguments."""
    files: Literal["pictures", "any"] | None = None
    """What its arguments name."""


FORMS = {
    form.name: form
    for form in (
        Form("image", "show pictures with your next words", "PICTURE...", 1, 1000, "pictures"),
        Form("images", "list the pictures that are waiting for your words"),
        Form("drop", "take back the pictures that are waiting"),
        Form("save", "save the conversation", "[--force] FILE", 1, 2, "any"),
        Form("load", "go on with a conversation that was saved", "FILE", 1, 1, "any"),
        Form("clear", "start a new conversation"),
        Form("history", "show the conversation"),
        Form("quiet", "turn the line about each answer's cost off, or on again"),
        Form("help", "show this list"),
        Form("quit", "leave, as Ctrl-D does"),
    )
}
"""The commands by name."""


@dataclass(frozen=True)
class Command:
    """A command that was typed as its form allows."""

    name: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Word:
    """A part of a line between spaces, without its quotes and backslashes."""

    text: str
    start: int
    """Where it begins in the line."""
    end: int
    """Where it ends in the line."""
    whole: bool = True
    """Whether its last quote is closed."""
    home: bool = False
    """Whether it begins with a ~ that no quote protects."""

    @property
    def expanded(self) -> str:
        """The text with the home directory put in."""
        return os.path.expanduser(self.text) if self.home else self.text


# As in a POSIX shell: 'all literal', "with \" and \\", \x, or plain; each may lack its end at the end of the line.
_PIECE = re.compile(
    r"""'(?P<single>[^']*)(?P<end1>'?)|"(?P<double>(?:\\.|[^"\\])*)(?P<end2>"?)"""
    r"""|\\(?P<one>.?)|(?P<plain>[^ \t\r\n'"\\]+)""",
    re.DOTALL,
)


def split(line: str) -> list[Word]:
    """The words of a line, as a shell splits it; only the last can be not whole."""
    words: list[Word] = []
    position = 0
    while position < len(line):
        if line[position] in " \t\r\n":
            position += 1
            continue
        word = _word(line, position)
        words.append(word)
        position = word.end
    return words


def parse(line: str) -> str | Command | None:
    """What a line means: words, a command, or nothing where it is blank.

    A line that begins with a slash is a command, with a space before it words. Raises UsageError for a command that
    is none.
    """
    if not line.startswith("/"):
        return line.strip() or None
    name, *words = split(line)
    form = FORMS.get(name.text[1:])
    if form is None:
        raise UsageError(f"{name.text}: no such command; /help lists them, and a space before it makes it words")
    if words and not words[-1].whole:
        raise UsageError(f"/{form.name}: a quote is not closed; for an apostrophe in a name write \\'")
    if not form.least <= len(words) <= form.most:
        takes = f"takes {form.arguments}" if form.arguments else "takes no arguments"
        raise UsageError(f"/{form.name} {takes}, {len(words)} given; names with spaces need quotes")
    return Command(form.name, tuple(word.expanded for word in words))


def help_text() -> str:
    """The commands, one a line."""
    usages = [(f"/{form.name} {form.arguments}".rstrip(), form.does) for form in FORMS.values()]
    width = max(len(usage) for usage, _ in usages)
    return "\n".join(f"{usage:<{width}}  {does}" for usage, does in usages)


def _word(line: str, start: int) -> Word:
    text, position, whole = "", start, True
    while found := _PIECE.match(line, position):
        kind, piece = found.lastgroup, found.group()
        position = found.end()
        if kind == "plain":
            text += piece
        elif kind == "one":
            text += piece[1:]
            whole = len(piece) == 2
        elif kind == "end1":
            text += found["single"]
            whole = bool(found["end1"])
        else:
            text += re.sub(r'\\(["\\])', r"\1", found["double"])
            whole = bool(found["end2"])
    return Word(text, start, position, whole, line[start] == "~")
