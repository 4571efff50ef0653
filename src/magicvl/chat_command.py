"""`magicvl chat`: a conversation in a terminal, or line by line through pipes."""

import os
import sys
import time
import traceback
import unicodedata
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from magicvl.chat_lines import Command, help_text, parse
from magicvl.ctrl_c import ctrl_c
from magicvl.edge.answer import Answer, Options, Progress
from magicvl.edge.engine import Engine
from magicvl.edge.pixels import check_header, open_picture
from magicvl.edge.plan import Plan, plan, scale_note
from magicvl.edge.session import Overflow, Session
from magicvl.errors import MagicVLError, UsageError

AUTOSAVE_STATE: Final = 16 * 2**20
"""Most bytes of keys and values that are written after every answer; more are written when the chat is left."""

Note = Callable[[str], None]
Stopped = Callable[[], bool]


@dataclass(frozen=True)
class ChatCall:
    """What `magicvl chat` is called with."""

    pictures: Sequence[Path]
    """Shown with the first words."""
    options: Options
    system: str | None = None
    session: Path | None = None
    """Gone on with where it is there, and written after every answer; a long one's keys and values at the end."""
    overflow: Overflow | None = None
    """None for what the session's file says, in a new conversation `error`."""
    quiet: bool = False
    debug: bool = False
    """Errors of a line come with their tracebacks."""

    def check(self) -> None:
        """What can be known to be wrong before a model is loaded. Raises UsageError, PictureError."""
        if self.session is not None:
            if not os.path.isdir(self.session.parent):
                raise UsageError(f"--session {self.session}: there is no directory {self.session.parent}")
            try:
                self.session.exists()
            except OSError as error:
                raise UsageError(f"--session {self.session}: no file can have this name ({error.strerror})") from None
        for picture in self.pictures:
            check_header(picture)


@dataclass(frozen=True)
class Waiting:
    """A picture that is shown with the next words."""

    path: Path
    plan: Plan

    def __str__(self) -> str:
        tiles = len(self.plan.tile_boxes)
        return (
            f"{self.path}: {self.plan.width} x {self.plan.height} px, {self.plan.tokens:,} visual tokens in "
            f"{tiles} {'tile' if tiles == 1 else 'tiles'}"
        )


def chat(call: ChatCall, engine: Engine, note: Note, progress: Progress | None) -> int:
    """Talks until the end of the input; returns the exit code. `note` writes a line to stderr.

    Where stdin and stdout are not both a terminal every line of stdin is a turn or a command, stdout gets the
    answers alone, and the exit code is 1 where a line failed. Raises MagicVLError before the first line.
    """
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    talk = Chat(call, engine, Screen(terminal, note), progress)
    code = _from_terminal(talk) if terminal else _from_lines(talk)
    talk.keep_state()
    return code


class Screen:
    """Answers and lists to stdout, everything else to stderr: dim where both are a terminal."""

    def __init__(self, terminal: bool, note: Note) -> None:
        self.error: Final = note
        """Writes an error, one line."""
        self._terminal = terminal
        self._note = note
        self._dim = terminal and sys.stderr.isatty()
        self._plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"

    def say(self, text: str, end: str = "\n") -> None:
        """Writes to stdout."""
        # What a model says is not to steer a terminal.
        print(shown(text) if self._terminal else text, end=end, flush=True)

    def note(self, text: str) -> None:
        """Writes something about the conversation, one line."""
        if not self._dim:
            self._note(text)
            return
        before, after = ("", "") if self._plain else ("\033[2m", "\033[0m")
        print(f"\r\033[K{before}{shown(text)}{after}", file=sys.stderr, flush=True)


class Chat:
    """The conversation and what is typed about it."""

    def __init__(self, call: ChatCall, engine: Engine, screen: Screen, progress: Progress | None) -> None:
        """Opens the conversation and the pictures. Raises MagicVLError."""
        self.screen = screen
        self.failed = False
        """Whether a line went wrong."""
        self._engine = engine
        self._options = call.options
        self._system, self._overflow = call.system, call.overflow
        self._quiet = call.quiet
        self._progress = progress
        self._waiting: list[Waiting] = []
        self._debug = call.debug
        self._autosave = call.session
        self._stateless = False
        """Whether the file of the conversation lacks its keys and values."""
        self._own: set[Path] = set()
        if call.session is not None and call.session.exists():
            self._session = self._open(call.session)
            self._system_and_overflow()
        else:
            self._session = self._new()
        self._show(call.pictures)

    @property
    def name(self) -> str:
        """The model's."""
        return self._engine.lock.name

    def take(self, line: str, stopped: Stopped) -> bool:
        """Does what a line says; false where that is to leave. Errors become one line."""
        try:
            meant = parse(line)
            if isinstance(meant, Command):
                return self._obey(meant)
            if meant is not None:
                self._ask(meant, stopped)
        except (MagicVLError, OSError) as error:
            self.failed = True
            if self._debug:
                traceback.print_exc()
            self.screen.error(" ".join(str(error).split()))
        return True

    def keep_state(self) -> None:
        """Writes what was too large to be written after every answer. Raises UsageError."""
        if self._autosave is not None and self._stateless:
            self._write(self._autosave)
            self._stateless = False

    def _obey(self, command: Command) -> bool:
        match command.name:
            case "image":
                self._show([Path(argument) for argument in command.arguments])
            case "images":
                self._list()
            case "drop":
                self.screen.note(f"took back {_count(len(self._waiting), 'picture')}")
                self._waiting = []
            case "save":
                self._save(command.arguments)
            case "load":
                self._load(Path(command.arguments[0]))
            case "clear":
                self._clear()
            case "history":
                self._history()
            case "quiet":
                self._quiet = not self._quiet
            case "help":
                self.screen.say(help_text())
            case "quit":
                return False
        return True

    def _ask(self, words: str, stopped: Stopped) -> None:
        started = time.perf_counter()

        def progress(stage: str, done: int, total: int) -> None:
            if stopped():
                raise _StoppedError
            if self._progress is not None:
                self._progress(stage, done, total)

        try:
            pieces = self._session.start(words, [each.path for each in self._waiting], self._options, progress)
            answer = self._print(pieces, stopped)
        except _StoppedError:
            waits = "; its pictures wait for your next words" if self._waiting else ""
            self.screen.note(f"stopped: this turn is not kept{waits}")
            return
        new, self._waiting = len(self._waiting), []
        self._tell(answer, new, time.perf_counter() - started)
        if self._autosave is not None:
            self._write(self._autosave, AUTOSAVE_STATE)

    def _print(self, pieces: Generator[str, None, Answer], stopped: Stopped) -> Answer:
        begun = False
        try:
            while True:
                try:
                    piece = next(pieces)
                except StopIteration as end:
                    begun = True
                    answer: Answer = end.value
                    return answer
                self.screen.say(piece, end="")
                begun = True
                if stopped():
                    pieces.close()
                    raise _StoppedError
        finally:
            if begun:
                self.screen.say("")

    def _tell(self, answer: Answer, new: int, seconds: float) -> None:
        if answer.dropped_turns:
            turns = "turn" if answer.dropped_turns == 1 else f"{answer.dropped_turns} turns"
            self.screen.note(f"left out the oldest {turns}: the context of {self._engine.context:,} tokens is full")
        if answer.finish_reason != "stop":
            limit = f"--max-tokens {self._options.max_tokens}"
            at = limit if answer.finish_reason == "length" else "the end of the context"
            self.screen.note(f"the answer stopped at {at}; it may be cut short")
        if not self._quiet:
            self.screen.note(cost(answer, new, seconds, self._engine.context))

    def _show(self, paths: Sequence[Path]) -> None:
        found = [self._look(path) for path in paths]
        self._waiting += found
        for each in found:
            self.screen.note(f"{each}; shown with your next words")
            if said := scale_note(each.plan, self._options.budget):
                self.screen.note(f"{each.path}: {said}")

    def _look(self, path: Path) -> Waiting:
        """Reads the whole picture: one that is damaged is better known now."""
        return Waiting(path, plan(*open_picture(path).size, self._engine.lock.grid, self._options.budget))

    def _list(self) -> None:
        for each in self._waiting:
            self.screen.say(str(each))
        if not self._waiting:
            self.screen.note("no pictures are waiting; /image PICTURE shows one")

    def _save(self, arguments: Sequence[str]) -> None:
        paths = [Path(argument) for argument in arguments if argument != "--force"]
        if len(paths) != 1:
            raise UsageError("/save takes [--force] FILE; a file of the name --force is ./--force")
        path = paths[0]
        if path.exists() and path.resolve() not in self._own and len(arguments) == 1:
            raise UsageError(f"{path} is there already: give another name, or /save --force FILE")
        self._write(path)
        self.screen.note(f"saved {path}: {_count(len(self._session.turns), 'turn')}")

    def _write(self, path: Path, most_state: int | None = None) -> None:
        whole = self._engine.save_session(self._session, path, most_state=most_state)
        if path == self._autosave:
            self._stateless = not whole
        self._own.add(path.resolve())

    def _load(self, path: Path) -> None:
        # Before another conversation takes its place in the engine.
        self.keep_state()
        session = self._open(path)
        self._session.close()
        self._session = session
        if self._autosave is not None:
            self._autosave = path
            self.screen.note(f"from now on {path} is written after every answer")

    def _open(self, path: Path) -> Session:
        session = self._engine.open_session(path)
        self._own.add(path.resolve())
        turns, pictures = len(session.turns), sum(len(turn.pictures) for turn in session.turns)
        self.screen.note(f"going on with {path}: {_count(turns, 'turn')}, {_count(pictures, 'picture')}")
        return session

    def _clear(self) -> None:
        self.keep_state()
        self._session.close()
        self._session = self._new()
        self._waiting = []
        held = ""
        if self._autosave is not None and self._autosave.exists():
            held = f"; {self._autosave} holds the last one until the next answer"
        self.screen.note(f"a new conversation{held}")

    def _new(self) -> Session:
        return self._engine.session(system=self._system, overflow=self._overflow or "error")

    def _system_and_overflow(self) -> None:
        """What was asked for when chat was called goes before what the file says."""
        if self._system is not None:
            self._session.system = self._system
        if self._overflow is not None:
            self._session.overflow = self._overflow

    def _history(self) -> None:
        for turn in self._session.turns:
            pictures = "".join(f"[{each.plan.width} x {each.plan.height} px] " for each in turn.pictures)
            self.screen.say(f"> {pictures}{turn.prompt}\n{turn.answer.text}")
        if not self._session.turns:
            self.screen.note("nothing was said yet")


class _StoppedError(Exception):
    """Ctrl-C was pressed while an answer was made."""


def cost(answer: Answer, new: int, seconds: float, context: int) -> str:
    """What an answer took, in one line; `new` of its last pictures were shown with it."""
    usage, timings = answer.usage, answer.timings_ms
    visual = sum(each.tokens for each in answer.images[len(answer.images) - new :])
    of_them = f" ({visual:,} visual)" if visual else ""
    parts = [
        f"read {usage.prompt_tokens - usage.cached_tokens:,} tokens{of_them}, held {usage.cached_tokens:,}",
        f"first word after {timings.first_token / 1000:.2f} s, {seconds:.2f} s in all",
    ]
    if usage.completion_tokens > 1 and timings.decode > 0:
        # The first token comes with the prompt.
        parts.append(f"{1000 * (usage.completion_tokens - 1) / timings.decode:.1f} tokens/s")
    parts.append(f"{(usage.prompt_tokens + usage.completion_tokens) / context * 100:.0f} % of the context")
    return "; ".join(parts)


def shown(text: str) -> str:
    """The text with every control character but the line's end and the tabulator made visible."""
    return "".join(
        letter if letter in "\n\t" or unicodedata.category(letter) not in ("Cc", "Cs") else "\ufffd" for letter in text
    )


def _from_terminal(talk: Chat) -> int:
    from magicvl.chat_editor import History, history_path, open_editor

    editor = open_editor(History(history_path()))
    talk.screen.note(f"{talk.name}: /image PICTURE shows a picture, /help lists the commands, Ctrl-D leaves")
    warned = False
    while True:
        try:
            line = editor.read()
        except EOFError:
            return 0
        except KeyboardInterrupt:
            if warned:
                return 0
            warned = True
            talk.screen.note("Ctrl-C again leaves, and so does Ctrl-D")
            continue
        warned = False
        with ctrl_c() as stopped:
            if not talk.take(_sound(line), stopped):
                return 0


def _from_lines(talk: Chat) -> int:
    for line in sys.stdin:
        if not talk.take(_sound(line.rstrip("\r\n")), lambda: False):
            break
    return int(talk.failed)


def _sound(line: str) -> str:
    """Bytes that are no text stay in names of files, but are no words for a model."""
    if line.startswith("/"):
        return line
    return line.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
