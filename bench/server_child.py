"""llama.cpp's server in a process of its own, asked line by line. Its interpreter has xllamacpp, and no magicvl.

The first line of stdin says what to load; every further one is a request of the chat API. Answers go to stdout, a line
each, behind a mark: the library may write there too.
"""

import json
import sys
import time

MARK = "@answer "


def main() -> None:
    """Loads, then answers until stdin ends."""
    import xllamacpp  # type: ignore[import-not-found,unused-ignore]

    order = json.loads(sys.stdin.readline())
    params = xllamacpp.CommonParams()
    params.model.path, params.mmproj.path = order["llm"], order["mmproj"]
    params.n_ctx, params.n_parallel, params.warmup = order["context"], 1, False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = order["threads"]
    server = xllamacpp.Server(params)
    say({"version": xllamacpp.__version__, "system": str(xllamacpp.get_system_info())})
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        reply = server.handle_chat_completions(json.loads(line))
        say({"reply": reply, "cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall})


def say(data: object) -> None:
    """Prints one answer."""
    print(MARK + json.dumps(data), flush=True)


if __name__ == "__main__":
    main()
