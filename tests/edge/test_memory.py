"""Memory stays where it is, however many pictures and conversations pass through an engine."""

import subprocess
import sys
from pathlib import Path

import pytest

_RUN = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
from magicvl.edge.answer import Options
from magicvl.edge.engine import Engine

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))

def picture(seed):
    draw = np.random.default_rng(seed)
    width, height = draw.integers(32, 400, 2)
    return Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8))

def work(engine, first, pictures, sessions):
    for seed in range(first, first + pictures):
        engine.ask(picture(seed), "what is it?", max_tokens=4)
    for seed in range(first, first + sessions):
        session = engine.session()
        for turn in range(3):
            session.answer("and now?", picture(10**6 + 3 * seed + turn), Options(max_tokens=4))

with Engine(sys.argv[1], threads=1, sequences=4, context=1000, memory_bytes=2**20) as engine:
    # The context grows to what is needed, and the allocator settles.
    work(engine, 0, 100, 60)
    before = anonymous()
    work(engine, 1000, 500, 50)
    print(before, anonymous())
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_anonymous_memory_is_flat(tiny_bundle: Path) -> None:
    command = [sys.executable, "-c", _RUN, str(tiny_bundle)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    before, after = map(int, done.stdout.split())
    assert after <= 1.03 * before
