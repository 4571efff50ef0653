"""The same batch over Ray Data: one engine a worker, on as many machines as the cluster has.

Rows go out one by one and come back as they finish; the process that was started writes them all, so the output
and its resume are those of a batch without Ray. Bundle and pictures must lie under the same paths on each machine.
"""

import io
import logging
import math
import os
import pickle
import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from magicvl.edge.batch_output import Record
from magicvl.edge.batch_rows import Row
from magicvl.errors import EngineError, UsageError

ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
"""Set where the user did not: no report of each run to Ray's makers, and no notes of Ray's among ours."""


def check_ray() -> None:
    """Raises UsageError where Ray is not installed."""
    if find_spec("ray") is None or find_spec("pyarrow") is None:
        raise UsageError("--engine ray needs Ray: pip install 'magicvl[ray]'")


def answer_on_ray(
    rows: Sequence[Row], model: Path, *, workers: int | None = None, threads: int | None = None
) -> Generator[Record, None, None]:
    """The output's row of each row, in the order they finish.

    Joins the cluster of RAY_ADDRESS, or the one that runs on this machine; where there is none it starts one here,
    and stops it at the end. `workers` defaults to one a machine, `threads` of each to its share of the processors.
    Raises UsageError where the cluster has too few processors, EngineError where Ray fails.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray
    import ray.data

    # Ray prints what goes wrong with its workers to stdout.
    with redirect_stdout(sys.stderr), ExitStack() as quiet:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        found: Any = None
        try:
            found = iter(_start(ray, rows, model, workers, threads).iter_rows())
            for done in found:
                yield pickle.loads(done["record"])
        except GeneratorExit:
            # Stopped early: that the workers are killed now is no news.
            quiet.enter_context(redirect_stdout(io.StringIO()))
            raise
        except ray.exceptions.RayError as error:
            raise EngineError(f"Ray: {_cause(error)}; the same command goes on from the last row") from None
        finally:
            # Its end ends the workers: after the output is quiet, and before Ray is gone, or Ray starts anew for it.
            found = None
            ray.shutdown()


def share(machines: Sequence[int], workers: int | None, threads: int | None) -> tuple[int, int]:
    """Workers, and threads of each, on machines with so many processors each. Raises UsageError."""
    if not machines:
        raise UsageError("the cluster of Ray has no machine with a processor to compute on")
    count = len(machines) if workers is None else workers
    each = threads or max(1, min(machines) // math.ceil(count / len(machines)))
    room = sum(processors // each for processors in machines)
    if count > room:
        raise UsageError(
            f"{count} workers of {each} threads: the {sum(machines)} processors of the cluster have room for {room}"
        )
    return count, each


def _start(ray: Any, rows: Sequence[Row], model: Path, workers: int | None, threads: int | None) -> Any:
    """The data set of the output's rows, pickled; it is computed while it is read."""
    processors = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    machines = [count for count in processors if count]
    count, each = share(machines, workers, threads)
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    # One row a block: a row comes back when it is done, not when its neighbours are.
    items = [{"row": pickle.dumps(_absolute(row))} for row in rows]
    return ray.data.from_items(items, override_num_blocks=len(items)).map(
        Worker,
        fn_constructor_args=(os.fspath(model.absolute()), each),
        num_cpus=each,
        compute=ray.data.ActorPoolStrategy(size=count),
    )


def _absolute(row: Row) -> Row:
    """The row with pictures that every process finds, wherever it runs."""
    return replace(row, pictures=tuple(path.absolute() for path in row.pictures))


class Worker:
    """One engine in a Ray worker."""

    def __init__(self, model: str, threads: int) -> None:
        from magicvl.edge.engine import Engine

        self._engine = Engine(model, threads=threads)

    def __call__(self, item: dict[str, bytes]) -> dict[str, bytes]:
        """The pickled output's row of a pickled row."""
        from magicvl.edge.batch import answer_row

        return {"record": pickle.dumps(answer_row(self._engine, pickle.loads(item["row"])))}


def _cause(error: BaseException) -> str:
    """The last line that says something: Ray wraps tracebacks in tracebacks."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
