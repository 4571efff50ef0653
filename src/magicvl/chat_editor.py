"""Reading a line of `magicvl chat`: with prompt_toolkit where it is installed, else with what Python brings.

Both remember lines across conversations and complete commands and files.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

from magicvl.chat_completion import completions
from magicvl.edge.files import user_folder, whole_file

if TYPE_CHECKING:
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document

PROMPT = "> "
MOST_LINES = 1000
"""Lines that are remembered."""


class Editor(Protocol):
    """Reads lines from a terminal."""

    def read(self) -> str:
        """The next line; empty where Ctrl-C threw it away.

        Raises EOFError for Ctrl-D, KeyboardInterrupt for Ctrl-C where nothing was typed.
        """


class History:
    """The lines that were typed, oldest first: a JSON text a line, in a file that only the user can read.

    Where it can't be written the lines are remembered until the end.
    """

    def __init__(self, path: Path) -> None:
        self.lines: list[str] = []
        self._path = path
        with contextlib.suppress(OSError):
            self.lines = list(_texts(path.read_text(encoding="utf-8", errors="replace").splitlines()))
        if len(self.lines) > 2 * MOST_LINES:
            with contextlib.suppress(OSError):
                self._shorten()
        self.lines = self.lines[-MOST_LINES:]

    def add(self, line: str) -> None:
        """Remembers a line, unless it is blank or the last one again."""
        if not line.strip() or (self.lines and self.lines[-1] == line):
            return
        self.lines.append(line)
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with open(
                os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "w", encoding="utf-8"
            ) as file:
                file.write(json.dumps(line) + "\n")

    def _shorten(self) -> None:
        kept = "".join(json.dumps(line) + "\n" for line in self.lines[-MOST_LINES:])
        with whole_file(self._path, mode=0o600) as partial:
            partial.write_text(kept, encoding="utf-8")


def history_path() -> Path:
    """Where lines are remembered."""
    return user_folder("XDG_STATE_HOME", ".local/state") / "chat_history"


def open_editor(history: History) -> Editor:
    """The better editor of those that are installed."""
    try:
        return ToolkitEditor(history)
    except ImportError:
        return PlainEditor(history)


class ToolkitEditor:
    """prompt_toolkit: lists of completions while typing, suggestions from before, pasting of several lines."""

    def __init__(self, history: History) -> None:
        """Raises ImportError where prompt_toolkit is not installed."""
        from prompt_toolkit import PromptSession
        from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
        from prompt_toolkit.history import InMemoryHistory

        self._history = history
        self._session: PromptSession[str] = PromptSession(
            PROMPT,
            history=InMemoryHistory(history.lines),
            completer=_toolkit_completer(),
            auto_suggest=AutoSuggestFromHistory(),
        )

    def read(self) -> str:
        """As Editor says."""
        try:
            line = self._session.prompt()
        except KeyboardInterrupt:
            if self._session.default_buffer.text:
                return ""
            raise
        self._history.add(line)
        return line


class PlainEditor:
    """Python's input(), with readline where Python has it."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._readline = _readline()
        if self._readline is not None:
            for line in history.lines:
                self._readline.add_history(line)

    def read(self) -> str:
        """As Editor says."""
        try:
            line = input(PROMPT)
        except (EOFError, KeyboardInterrupt) as end:
            print()
            if isinstance(end, KeyboardInterrupt) and self._readline and self._readline.get_line_buffer():
                return ""
            raise
        self._history.add(line)
        if self._readline is not None and line.strip():
            self._readline.add_history(line)
        return line


def _readline() -> ModuleType | None:
    """readline, ready to complete; None where Python was built without it."""
    try:
        import readline
    except ImportError:
        return None
    readline.set_auto_history(False)
    # The whole line is completed: only completions() knows its words.
    readline.set_completer_delims("")
    readline.set_completer(_readline_completion)
    libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")
    return readline


def _texts(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        with contextlib.suppress(ValueError):
            if isinstance(text := json.loads(line), str):
                yield text


def _readline_completion(line: str, number: int) -> str | None:
    found = [line[: each.start] + each.text for each in completions(line)]
    return found[number] if number < len(found) else None


def _toolkit_completer() -> "Completer":
    from prompt_toolkit.completion import Completer, Completion

    class Lines(Completer):
        def get_completions(self, document: "Document", _event: "CompleteEvent") -> "Iterator[Completion]":
            line = document.text_before_cursor
            for each in completions(line):
                yield Completion(each.text, each.start - len(line), each.label)

    return Lines()
