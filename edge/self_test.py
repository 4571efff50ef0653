"""A picture question whose answer is known, asked of the embedded default: a program, because native code may die.

    python -m magicvl.edge.self_test RUNTIME

Prints one JSON object a line: each stage as it begins, then the answer. What dies in between leaves its stage behind.
"""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

STAGES = {"import": "importing llama.cpp", "load": "loading the model", "ask": "answering"}
"""What may be going on when it ends."""
QUESTION, ANSWER = "What colour is the circle?", "red"


def main(runtime: str) -> None:
    """Asks, with Engine's `runtime`; lets every error through."""
    _tell({"stage": "import"})
    from PIL import Image, ImageDraw

    from magicvl import DEFAULT_BUNDLE
    from magicvl.edge.engine import Engine
    from magicvl.edge.runtime import choose
    from magicvl.edge.server.runtime import ServerRuntime

    choose(runtime)
    picture = Image.new("RGB", (160, 160), "white")
    ImageDraw.Draw(picture).ellipse((30, 30, 130, 130), fill=(220, 20, 20))
    _tell({"stage": "load"})
    begun = time.perf_counter()
    with Engine(DEFAULT_BUNDLE, runtime=runtime) as engine:
        _tell({"stage": "ask"})
        answer = engine.answer(picture, QUESTION, max_tokens=16)
        _tell(
            {
                "answer": answer.text,
                "right": answer.text.strip().lower() == ANSWER,
                "seconds": round(time.perf_counter() - begun, 3),
                "runtime": "server" if isinstance(engine.runtime, ServerRuntime) else "inproc",
                "build": engine.build,
                "threads": engine.threads,
                "libraries": sorted({str(path) for path in _mapped() if "llama" in path.name or "mtmd" in path.name}),
            }
        )


def _mapped() -> list[Path]:
    """The native libraries of this process, as far as the system tells."""
    try:
        lines = Path("/proc/self/maps").read_text(errors="replace").splitlines()
    except OSError:
        return []
    return [Path(line.split(maxsplit=5)[5]) for line in lines if line.endswith(".so") or ".so." in line]


def _tell(said: Mapping[str, object]) -> None:
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
