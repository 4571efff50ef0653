"""What magicvl.bench.prediction has done in processes of their own: measuring a machine, and one question.

Called with an order as JSON; prints one JSON object, the last line.
"""

import json
import sys
import time
from typing import Any

from magicvl.bench.child import peak_mib

QUESTION = "What is at the top of the picture?"


def main(order: dict[str, Any]) -> dict[str, object]:
    """Does what `order` says: it has bundle and threads, and clock (`perf_counter`, `process_time`) or picture."""
    import typer  # noqa: F401 - the command's process holds it too

    return _measure(order) if "clock" in order else _ask(order)


def _measure(order: dict[str, Any]) -> dict[str, object]:
    from magicvl.edge.calibrate import calibrate

    clock = time.perf_counter if order["clock"] == "perf_counter" else time.process_time
    begun = time.perf_counter()
    found = calibrate(order["bundle"], threads=order["threads"], clock=clock)
    return {"calibration": found.to_json(), "wall_s": time.perf_counter() - begun}


def _ask(order: dict[str, Any]) -> dict[str, object]:
    """What a question takes up to the answer's first token; CPU seconds are of all threads."""
    from magicvl.edge.answer import Options, drain
    from magicvl.edge.engine import Engine

    with Engine(order["bundle"], threads=order["threads"]) as engine:
        read = [0.0, 0.0]

        def progress(stage: str, done: int, total: int) -> None:
            if stage == "prompt token" and done == total:
                read[:] = time.perf_counter() - wall, time.process_time() - cpu

        wall, cpu = time.perf_counter(), time.process_time()
        answer = drain(engine.start(order["picture"], QUESTION, Options(max_tokens=1), progress=progress))
    return {
        "encode_s": answer.timings_ms.encode / 1000,
        "prefill_s": answer.timings_ms.prefill / 1000,
        "wall_s": read[0],
        "cpu_s": read[1],
        "peak_mib": peak_mib(),
    }


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
