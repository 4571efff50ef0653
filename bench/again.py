"""A question in a new process: what it costs there, with the folder of visual tokens that another one filled.

Called by magicvl.bench.speed with an order as JSON; prints what was measured as one JSON object, the last line.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any


def main(order: dict[str, Any]) -> dict[str, object]:
    """Asks once. `order` has bundle, cache, picture, question and threads."""
    from magicvl.edge.answer import Options, drain
    from magicvl.edge.engine import Engine

    picture = Path(order["picture"]).read_bytes()
    with Engine(order["bundle"], threads=order["threads"], cache=order["cache"]) as engine:
        wall, cpu = time.perf_counter(), time.process_time()
        answer = drain(engine.start(picture, order["question"], Options(max_tokens=1)))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        tokens, encoded = answer.usage.prompt_tokens, engine.tiles.misses
    return {"cpu_s": cpu, "wall_s": wall, "tokens": tokens, "encoded": encoded}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
