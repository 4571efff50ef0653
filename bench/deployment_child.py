"""One question of the deployment table, in a process of its own so that its peak memory is its own.

Called by magicvl.bench.deployment with an order as JSON; prints what was measured as one JSON object, the last line.
"""

import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from magicvl.bench.child import peak_mib

QUESTION = "What is at the top of the picture?"


def main(order: dict[str, Any]) -> dict[str, object]:
    """Measures one question. `order` has picture, tokens, threads, and bundle, or llm and mmproj and perhaps tile."""
    measured = _ours(order) if "bundle" in order else _stock(order)
    return measured | {"peak_mib": peak_mib()}


def _ours(order: dict[str, Any]) -> dict[str, object]:
    from magicvl.edge.answer import Options, drain
    from magicvl.edge.engine import Engine

    picture = Path(order["picture"]).read_bytes()
    started = time.perf_counter()
    with Engine(order["bundle"], threads=order["threads"]) as engine:
        loaded, cpu = time.perf_counter(), time.process_time()
        answer = drain(engine.start(picture, QUESTION, Options(max_tokens=order["tokens"])))
        done = time.perf_counter()
        used = time.process_time() - cpu
    timings, usage = answer.timings_ms, answer.usage
    return {
        "visual_tokens": usage.image_tokens,
        "text_tokens": usage.prompt_tokens - usage.image_tokens,
        "load_s": loaded - started,
        "encode_s": timings.encode / 1000,
        "prefill_s": timings.prefill / 1000,
        "decode_s": timings.decode / 1000 / max(1, usage.completion_tokens - 1),
        "answered": usage.completion_tokens,
        "wall_s": done - loaded,
        "cpu_s": used,
    }


def _stock(order: dict[str, Any]) -> dict[str, object]:
    from magicvl.bench.internvl_tiles import internvl_tiles
    from magicvl.bench.stock import Stock

    picture = Path(order["picture"]).read_bytes()
    cut = partial(internvl_tiles, tile=order["tile"], most=12) if "tile" in order else None
    started = time.perf_counter()
    with Stock(Path(order["llm"]), Path(order["mmproj"]), order["threads"]) as stock:
        loaded, cpu = time.perf_counter(), time.process_time()
        stages = stock.ask(picture, QUESTION, order["tokens"], cut)
        done = time.perf_counter()
        used = time.process_time() - cpu
    return {
        "visual_tokens": stages.visual_tokens,
        "text_tokens": stages.text_tokens,
        "load_s": loaded - started,
        "encode_s": stages.encode_s,
        "prefill_s": stages.prefill_s,
        "decode_s": stages.decode_s / max(1, stages.answered - 1),
        "answered": stages.answered,
        "wall_s": done - loaded,
        "cpu_s": used,
    }


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
