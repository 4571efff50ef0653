"""The pair in a llama.cpp that others built: the server inside the package xllamacpp, asked over its chat API."""

import io
import json
import os
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from magicvl import DEFAULT_BUNDLE
from magicvl.edge.bundle import read_bundle
from magicvl.edge.engine import Engine
from magicvl.edge.plan import plan

PYTHON = os.environ.get("MAGICVL_OTHER_PYTHON", sys.executable)
"""An interpreter that has xllamacpp; it need not be the one that runs the tests."""
QUESTIONS = ("How many stars are there?", "What is in the picture?", "What colour is the background?", "1905?")
# Two builds of llama.cpp do not share a process.
CHILD = """
import json, sys
import xllamacpp as xlc
order = json.load(sys.stdin)
params = xlc.CommonParams()
params.model.path, params.mmproj.path = order["llm"], order["mmproj"]
params.n_ctx, params.n_parallel, params.warmup = 2048, 1, False
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
params.sampling.temp = 0
server = xlc.Server(params)
answers = []
for question in order["questions"]:
    content = [{"type": "image_url", "image_url": {"url": order["picture"]}}, {"type": "text", "text": question}]
    said = server.handle_chat_completions({
        "max_tokens": order["tokens"], "temperature": 0, "messages": [{"role": "user", "content": content}],
    })
    answers.append(said["choices"][0]["message"]["content"])
print("ANSWERS " + json.dumps(answers))
"""


def ask_other_build(order: dict[str, Any]) -> list[str]:
    if subprocess.run([PYTHON, "-c", "import xllamacpp"], capture_output=True, check=False).returncode:
        pytest.skip("no xllamacpp: install it, or name an interpreter that has it in MAGICVL_OTHER_PYTHON")
    done = subprocess.run(
        [PYTHON, "-c", CHILD], input=json.dumps(order), capture_output=True, text=True, check=False, timeout=250
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("ANSWERS ")]
    assert lines, done.stderr[-2000:]
    answers: list[str] = json.loads(lines[-1].removeprefix("ANSWERS "))
    return answers


@pytest.mark.slow
def test_the_same_greedy_answers_in_another_build() -> None:
    bundle = read_bundle(DEFAULT_BUNDLE)
    tile = bundle.lock.grid.tile
    demo = Image.open(Path(DEFAULT_BUNDLE) / "demo.png").convert("RGB")
    picture = demo.resize((tile, tile), Image.Resampling.BILINEAR)
    assert len(plan(*picture.size, bundle.lock.grid).tile_boxes) == 1
    with Engine(DEFAULT_BUNDLE, threads=1) as engine:
        ours = [engine.ask(picture, question, max_tokens=12) for question in QUESTIONS]
    file = io.BytesIO()
    picture.save(file, "PNG")
    theirs = ask_other_build(
        {
            "llm": str(bundle.path("llm")),
            "mmproj": str(bundle.path("mmproj")),
            "questions": QUESTIONS,
            "tokens": 12,
            "picture": "data:image/png;base64," + b64encode(file.getvalue()).decode(),
        }
    )
    # A server may trim the ends of an answer.
    assert [text.strip() for text in theirs] == [text.strip() for text in ours]
    assert len(set(ours)) > 1
