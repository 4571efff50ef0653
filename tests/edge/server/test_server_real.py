"""A real llama-server against the runtime in process, on generated pictures: the same answers, token by token."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from llama_cpp import llama_cpp, mtmd_cpp
from PIL import Image

from magicvl import DEFAULT_BUNDLE
from magicvl.bench.pictures import drawn
from magicvl.edge.answer import Answer, Options, drain
from magicvl.edge.engine import Engine
from magicvl.edge.server import runtime as server_runtime
from magicvl.edge.server.runtime import ServerRuntime
from magicvl.edge.variant import find_server
from magicvl.errors import EngineError

PROGRAM = find_server()
AUTO, OFF = llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO, llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
CLOSE = 1e-3
"""Log probabilities that differ by less come of the same arithmetic: sums in another order."""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="no llama-server: install one, or name it with MAGICVL_SERVER"),
]
PROMPTS = ("Where is everything?", "What colour is the background?", "How many things are there?", "What is this?")
SIZES = ((300, 200), (90, 380), (500, 420), (1200, 300), (640, 900), (384, 384), (33, 64))
GRAMMARS = (
    {},
    {"choices": ["red circle", "blue star", "a number"]},
    {"regex": "[a-z]{3,12}( [a-z]{3,12})?"},
    {"schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}},
)


def same(one: Answer, other: Answer) -> bool:
    """Alike in all but what was held already and the time it took."""
    counts = [replace(each.usage, cached_tokens=0) for each in (one, other)]
    said = [(each.text, each.tokens, each.finish_reason, each.images) for each in (one, other)]
    return said[0] == said[1] and counts[0] == counts[1]


@pytest.fixture(scope="module", params=["its own way", "one text"])
def served(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """The server as it is, and told prompts as one that is not of our builds."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "one text":
            patch.setattr(server_runtime, "_takes_parts", lambda *_: False)
        with Engine(DEFAULT_BUNDLE, threads=1, runtime="server") as engine:
            yield engine


def open_inproc(attention: int) -> Engine:
    """The engine in process, its encoder with that kind of flash attention."""
    defaults = mtmd_cpp.mtmd_context_params_default

    def params() -> Any:
        made = defaults()
        made.flash_attn_type = attention
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mtmd_cpp, "mtmd_context_params_default", params)
        return Engine(DEFAULT_BUNDLE, threads=1, runtime="inproc")


def difference(inproc: Engine, served: Engine) -> float:
    """The largest difference in log probability of the five likeliest first tokens."""
    picture = drawn((300, 200), 1)
    logits = inproc.logits([picture], PROMPTS[0]).astype(float)
    expected = logits - logits.max()
    expected -= np.log(np.exp(expected).sum())
    runtime = served.runtime
    assert isinstance(runtime, ServerRuntime)
    request = served._prepare([picture], PROMPTS[0], None, None)
    body = runtime._body(runtime._prompt(request), Options(max_tokens=1), None, 1, 0) | {"n_probs": 5}
    with runtime._keeper.use() as server:
        events = list(server.client.stream("/completion", body))
    told = next(each["completion_probabilities"] for each in events if "completion_probabilities" in each)
    return max(abs(each["logprob"] - expected[each["id"]]) for each in told[0]["top_logprobs"])


@pytest.fixture(scope="module")
def inproc(served: Engine) -> Iterator[Engine]:
    """The runtime in process; its encoder without flash attention for a server that gives it what the decoder has."""
    with open_inproc(AUTO) as engine, open_inproc(OFF) as plain:
        yield min(engine, plain, key=lambda each: difference(each, served))


def test_numbers_are_those_in_process_to_the_last_bits(inproc: Engine, served: Engine) -> None:
    assert difference(inproc, served) < CLOSE


def test_the_encoder_of_our_builds_is_the_one_in_process(served: Engine) -> None:
    if not served.runtime.exact:
        pytest.skip("this server is not of our builds: it gives its encoder what the decoder has")
    with open_inproc(AUTO) as engine:
        assert difference(engine, served) < CLOSE, "built without native/encoder_attention.patch"


def pictures(engine: Engine) -> list[Image.Image]:
    """Twenty-one of all shapes, one tile to many; no more than one for a server that puts marks around each tile."""
    made = [drawn(SIZES[i % len(SIZES)], i) for i in range(21)]
    if not engine.runtime.exact:
        for picture in made:
            picture.thumbnail((engine.lock.grid.tile, engine.lock.grid.tile))
    return made


def test_twenty_pictures_are_answered_alike(inproc: Engine, served: Engine) -> None:
    differing = []
    for number, picture in enumerate(pictures(served)):
        for grammar in (GRAMMARS[0], GRAMMARS[1 + number % 3]):
            options = Options(max_tokens=40, **grammar)
            answers = [drain(engine.start(picture, PROMPTS[number % 4], options)) for engine in (inproc, served)]
            if not same(*answers):
                differing.append((number, grammar, *answers))
    assert not differing


def test_several_pictures_and_a_second_turn(inproc: Engine, served: Engine) -> None:
    options = Options(max_tokens=24)
    made = pictures(served)
    for shown in (made[:2], made[2:5], made[7:9]):
        talks = [engine.session() for engine in (inproc, served)]
        first = [talk.answer("What do you see?", shown, options) for talk in talks]
        second = [talk.answer("And what is left of it?", (), options) for talk in talks]
        third = [talk.answer("And this?", made[10], replace(options, choices=("yes", "no"))) for talk in talks]
        assert same(*first)
        assert same(*second)
        assert same(*third)
        assert second[1].usage.cached_tokens == second[0].usage.cached_tokens > second[1].usage.image_tokens


def test_a_text_alone_and_special_words(inproc: Engine, served: Engine) -> None:
    assert same(*(engine.answer([], "Hello <|image_end|>", max_tokens=8) for engine in (inproc, served)))
    ask = (drawn((300, 200), 0), "What is <|image_end|>?")
    if served.runtime.exact:
        assert same(*(engine.answer(*ask) for engine in (inproc, served)))
    else:
        with pytest.raises(EngineError, match="other tokens than were planned"):
            served.ask(*ask)


def test_many_tiles_are_refused_by_a_server_that_would_mark_them(served: Engine) -> None:
    if served.runtime.exact:
        pytest.skip("this one takes ids and tiles in order")
    with pytest.raises(EngineError, match=r"around each of \d+ tiles"):
        served.ask(drawn((500, 420), 2), "?")


def test_sampled_answers_repeat(served: Engine) -> None:
    options = Options(temperature=0.9, top_p=0.9, seed=3)
    answers = [drain(served.start(drawn((300, 200), 0), PROMPTS[0], options)) for _ in range(2)]
    assert same(*answers)


def test_the_limits_of_an_answer(inproc: Engine, served: Engine) -> None:
    picture = drawn((300, 200), 0)
    for most in (1, 2, 5):
        assert same(*(engine.answer(picture, PROMPTS[0], max_tokens=most) for engine in (inproc, served)))
    need = inproc.answer(picture, "?", choices=["red circle"]).usage.completion_tokens
    assert served.answer(picture, "?", choices=["red circle"], max_tokens=need).finish_reason == "stop"
    with pytest.raises(EngineError, match="before it was complete"):
        served.ask(picture, "?", choices=["red circle"], max_tokens=need - 1)


def test_stopped_and_killed_it_goes_on(inproc: Engine, served: Engine) -> None:
    picture = drawn((300, 200), 0)
    whole = inproc.ask(picture, PROMPTS[0])
    begun = served.stream(picture, PROMPTS[0])
    next(begun)
    begun.close()  # type: ignore[attr-defined]
    assert isinstance(served.runtime, ServerRuntime)
    pid = served.runtime.pid
    assert pid is not None
    pieces = served.stream(picture, PROMPTS[0])
    said = next(pieces)
    os.kill(pid, signal.SIGKILL)
    assert said + "".join(pieces) == whole
    assert served.runtime.pid not in (None, pid)
