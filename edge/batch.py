"""Many questions, one after another: rows in, rows out, and no row stops the others."""

from collections.abc import Callable, Iterable, Iterator

from magicvl.edge.answer import Progress, drain
from magicvl.edge.batch_output import Output, Record
from magicvl.edge.batch_rows import Row
from magicvl.edge.engine import Engine
from magicvl.errors import MagicVLError


def answer_rows(engine: Engine, rows: Iterable[Row], progress: Progress | None = None) -> Iterator[Record]:
    """The output's row of each row, in their order, each computed when it is asked for."""
    return (answer_row(engine, row, progress) for row in rows)


def answer_row(engine: Engine, row: Row, progress: Progress | None = None) -> Record:
    """Asks one row. Whatever goes wrong is the row's `error`, in one line; only Ctrl-C gets out."""
    if row.error is not None:
        return _record(row) | {"error": _one_line(row.error)}
    try:
        pieces = engine.start(row.pictures, row.prompt, row.options, system=row.system, progress=progress)
        return _record(row) | drain(pieces).to_json()
    except MagicVLError as error:
        return _record(row) | {"error": _one_line(str(error))}
    except Exception as error:
        return _record(row) | {"error": _one_line(f"unexpected {type(error).__name__}: {error}")}


def write_rows(
    records: Iterable[Record],
    output: Output,
    tell: Callable[[Record], None],
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Adds rows to the output until there is no more, or until `stopped` says so after one.

    `tell` is called with each row when it is on disk.
    """
    for record in records:
        output.add(record)
        tell(record)
        if stopped():
            return


def _record(row: Row) -> Record:
    record: Record = {"row": row.number}
    if row.id is not None:
        record["id"] = row.id
    if row.meta is not None:
        record["meta"] = row.meta
    return record


def _one_line(text: str) -> str:
    return " ".join(text.split())
