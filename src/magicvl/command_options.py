"""What all of the command line's groups share: options by name, and what goes to stdout and stderr."""

import json
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import typer


@dataclass
class State:
    """What main() has to know of the command that ran."""

    debug: bool = False


def _debug(context: typer.Context, value: bool) -> bool:
    if value and isinstance(context.obj, State):
        context.obj.debug = True
    return value


Budget = Annotated[
    int | None,
    typer.Option(help="Most visual tokens of a picture; a larger one is scaled down. [default: no limit]"),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", callback=_debug, is_eager=True)]
Threads = Annotated[
    int | None, typer.Option(help="Threads to compute with. [default: what plan measured, or the fast cores]")
]


def progress_line() -> Any:
    """A progress line on stderr where that is a terminal, None elsewhere."""
    if not sys.stderr.isatty():
        return None

    def show(stage: str, done: int, total: int) -> None:
        text = "" if done == total else f"{stage} {done + 1} of {total}"
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    return show


def note(text: str) -> None:
    """Says something on stderr, over a progress line that may stand there."""
    over = "\r\033[K" if sys.stderr.isatty() else ""
    print(f"{over}magicvl: {text}", file=sys.stderr)


def print_json(data: dict[str, object]) -> None:
    """Prints one object as the answer."""
    print(json.dumps(data, ensure_ascii=False))
