"""What the decoder holds is gone on with, and gives what a decoder that holds nothing gives."""

import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_cpp import llama_cpp
from PIL import Image

from magicvl.edge import llama
from magicvl.edge.answer import Options, drain
from magicvl.edge.engine import Engine, silent
from magicvl.edge.runtime import Clock
from magicvl.edge.sequences import Element, SeenTile, in_common, token_count

Make = Callable[..., Image.Image]
ELEMENTS = st.lists(st.one_of(st.integers(0, 2), st.sampled_from([SeenTile(b"a", 3), SeenTile(b"b", 3)])), max_size=8)


@given(ELEMENTS, ELEMENTS)
def test_what_two_have_in_common_is_the_longest_beginning(one: list[Element], other: list[Element]) -> None:
    count = in_common(one, other)
    assert one[:count] == other[:count]
    assert one[: count + 1] != other[: count + 1] or count == len(one) == len(other)


def test_tokens_count_those_of_tiles() -> None:
    assert token_count([1, SeenTile(b"a", 144), 2]) == 146


def read(engine: Engine, owner: object, pictures: list[Image.Image], prompt: str) -> tuple[np.ndarray, int]:
    """Logits after a prompt, and how many of its tokens were held."""
    request = engine._prepare(pictures, prompt, None, None)
    filled = engine.inproc.prefill(request, owner, request.tokens + 4, Clock(0.0), silent)
    return filled.context.logits(), filled.cached


def close(one: np.ndarray, other: np.ndarray) -> bool:
    """Alike but for the last bits: a batch of another size adds up in another order."""
    return bool(np.abs(one - other).max() < 1e-3 * np.ptp(other))


def test_a_second_question_reads_only_what_is_new(
    tiny_bundle: Path, make_picture: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = make_picture(400, 100)
    with Engine(tiny_bundle, threads=1) as engine:
        first = engine.answer(picture, "one", max_tokens=3)
        assert first.usage.cached_tokens == 0
        monkeypatch.setattr(engine.inproc.vision, "encode", lambda tile: pytest.fail("looked twice"))
        second = engine.answer(picture, "another", max_tokens=3)
        assert first.usage.image_tokens < second.usage.cached_tokens < second.usage.prompt_tokens
        again = engine.answer(picture, "another", max_tokens=3)
        assert again.usage.cached_tokens == again.usage.prompt_tokens - 1
        assert again.text == second.text
    with Engine(tiny_bundle, threads=1) as fresh:
        assert fresh.ask(picture, "another", max_tokens=3) == second.text


def test_a_tile_of_another_picture_is_looked_at_once(
    tiny_bundle: Path, make_picture: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, right = make_picture(384, 384, seed=1), make_picture(384, 384, seed=2)
    both = Image.new("RGB", (768, 384))
    both.paste(left, (0, 0))
    both.paste(right, (384, 0))
    with Engine(tiny_bundle, threads=1) as engine:
        looked = []
        encode = engine.inproc.vision.encode
        monkeypatch.setattr(engine.inproc.vision, "encode", lambda tile: looked.append(1) or encode(tile))
        engine.ask(left, "x", max_tokens=1)
        engine.ask(both, "x", max_tokens=1)
        assert len(looked) == 2
        engine.ask([right, left, right], "x", max_tokens=1)
        assert len(looked) == 2


def test_the_folder_of_tiles_serves_the_next_engine(
    tiny_bundle: Path, make_picture: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = make_picture(400, 100)
    with Engine(tiny_bundle, threads=1, cache=tmp_path) as engine:
        expected = engine.ask(picture, "x", max_tokens=4)
    with Engine(tiny_bundle, threads=1, cache=tmp_path) as engine:
        monkeypatch.setattr(engine.inproc.vision, "encode", lambda tile: pytest.fail("looked twice"))
        assert engine.ask(picture, "x", max_tokens=4) == expected


@pytest.mark.parametrize("count", [1, 2, 4])
def test_any_order_of_conversations_gives_what_a_fresh_engine_gives(
    tiny_bundle: Path, make_picture: Make, count: int
) -> None:
    pictures = [make_picture(64, 64, seed=1), make_picture(96, 32, seed=2), make_picture(416, 64, seed=3)]
    draw = random.Random(count)
    reused = 0
    with Engine(tiny_bundle, threads=1, sequences=count) as engine, Engine(tiny_bundle, threads=1) as fresh:
        for _ in range(40):
            owner = draw.choice((None, "a", "b", "c"))
            shown = draw.sample(pictures, draw.randint(0, 2))
            prompt = " ".join(draw.choices(("one", "two", "where is it", "x " * 30), k=draw.randint(1, 3)))
            logits, cached = read(engine, owner, shown, prompt)
            reused += cached
            assert close(logits, fresh.logits(shown, prompt))
            held = [slot for slot in engine.sequences._slots if slot.elements]
            assert len(held) <= count
            assert sum(token_count(slot.elements) for slot in held) <= engine.context
    assert reused > 100


def test_each_conversation_keeps_its_own(tiny_bundle: Path, make_picture: Make) -> None:
    pictures = {owner: make_picture(64, 64, seed=number) for number, owner in enumerate("abc")}
    with Engine(tiny_bundle, threads=1, sequences=3) as engine:
        for owner, picture in pictures.items():
            read(engine, owner, [picture], "one")
        for owner, picture in pictures.items():
            assert read(engine, owner, [picture], "one two")[1] > 4
        # A fourth takes the place of the one that waited longest.
        read(engine, "d", [make_picture(64, 64, seed=9)], "one")
        assert {slot.owner for slot in engine.sequences._slots} == {"b", "c", "d"}


def test_one_picture_in_two_conversations_is_read_once(tiny_bundle: Path, make_picture: Make) -> None:
    picture = make_picture(128, 128)
    with Engine(tiny_bundle, threads=1, sequences=2) as engine:
        read(engine, "a", [picture], "one and so on")
        logits, cached = read(engine, "b", [picture], "two")
        assert cached >= 16
        assert close(logits, engine.logits([picture], "two"))


def test_a_larger_context_takes_over_what_is_held(tiny_bundle: Path, make_picture: Make) -> None:
    picture = make_picture(128, 128)
    with Engine(tiny_bundle, threads=1, sequences=2) as engine:
        read(engine, "a", [picture], "one")
        small = engine.sequences.context.size
        read(engine, "b", [make_picture(400, 400)], "x " * 500)
        assert engine.sequences.context.size > small
        logits, cached = read(engine, "a", [picture], "one two")
        assert cached >= 16
        assert close(logits, engine.logits([picture], "one two"))


def test_what_stands_in_the_way_is_given_up(tiny_bundle: Path, make_picture: Make) -> None:
    with Engine(tiny_bundle, threads=1, sequences=4, context=300) as engine:
        for owner in "abcd":
            read(engine, owner, [make_picture(96, 96, seed=ord(owner))], "x " * 50)
        held = [slot.owner for slot in engine.sequences._slots if slot.elements]
        assert set(held) == {"c", "d"}


def test_an_error_while_reading_leaves_no_wrong_beginning(
    tiny_bundle: Path, make_picture: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = make_picture(416, 64)
    with Engine(tiny_bundle, threads=1) as engine:
        expected = engine.logits([picture], "one")
        engine.sequences.forget()
        encode, calls = engine.inproc.vision.encode, []

        def second_fails(tile: np.ndarray) -> np.ndarray:
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return encode(tile)

        engine.tiles.clear()
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(engine.inproc.vision, "encode", second_fails)
            engine.ask(picture, "one")
        logits, cached = read(engine, None, [picture], "one")
        assert cached > 12 and close(logits, expected)


def held_in_memory(engine: Engine) -> int:
    """Tokens of the first sequence that the native memory holds."""
    context = engine.sequences.context
    assert context is not None
    return int(llama_cpp.llama_memory_seq_pos_max(context._memory, 0)) + 1


class Stopper:
    """Progress that raises at its so manieth call."""

    def __init__(self, calls: int, error: type[BaseException]) -> None:
        self.calls = calls
        self.error = error
        self.read = 0

    def __call__(self, stage: str, done: int, _total: int) -> None:
        if stage == "prompt token":
            self.read = done
        self.calls -= 1
        if not self.calls:
            raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_stops_a_long_prompt_is_gone_on_with(
    tiny_bundle: Path, make_picture: Make, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    """Wherever it is stopped, what is said to be held is what the memory holds."""
    picture, words = make_picture(416, 384), "x " * 100
    monkeypatch.setattr(llama, "BATCH", 50)
    with Engine(tiny_bundle, threads=1) as engine:
        expected = engine.logits([picture], words)
        for stop in range(1, 12):
            engine.sequences.forget()
            progress = Stopper(stop, error)
            with pytest.raises(error):
                drain(engine.start(picture, words, Options(max_tokens=1), progress=progress))
            elements = engine.sequences._slots[0].elements
            read_so_far = progress.read
            assert held_in_memory(engine) == read_so_far
            # A tile that is read in part is read again.
            assert read_so_far - 144 < token_count(elements) <= read_so_far
            logits, cached = read(engine, None, [picture], words)
            assert cached == token_count(elements)
            assert close(logits, expected)


def test_a_stream_that_is_closed_leaves_what_it_read(tiny_bundle: Path, make_picture: Make) -> None:
    with Engine(tiny_bundle, threads=1) as engine:
        stream = engine.stream(make_picture(64, 64), "one", max_tokens=200)
        for _ in range(5):
            next(stream)
        stream.close()
        assert held_in_memory(engine) == token_count(engine.sequences._slots[0].elements)
        logits, _ = read(engine, None, [make_picture(64, 64)], "one two")
        assert close(logits, engine.logits([make_picture(64, 64)], "one two"))


INTERRUPTED = """
import json, signal, sys, time
from magicvl.edge.answer import Options, drain
from magicvl.edge.engine import Engine

signal.signal(signal.SIGINT, signal.default_int_handler)
told = []

def progress(stage, done, total):
    told.append(done)
    print(done, flush=True)
    time.sleep(0.1)

with Engine(sys.argv[1], threads=1) as engine:
    words = "x " * 1000
    try:
        drain(engine.start([], words, Options(max_tokens=1), progress=progress))
    except KeyboardInterrupt:
        pass
    again = engine.answer([], words, max_tokens=4)
with Engine(sys.argv[1], threads=1) as fresh:
    same = fresh.answer([], words, max_tokens=4).tokens == again.tokens
print(json.dumps([told[-1], again.usage.cached_tokens, again.usage.prompt_tokens, same]))
"""


def test_ctrl_c_stops_a_long_prompt_after_a_batch(tiny_bundle: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", INTERRUPTED, tiny_bundle], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == f"{llama.BATCH}\n"
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    last, cached, total, same = json.loads(said.splitlines()[-1])
    # It may come after a batch and before that is told.
    assert cached in (last, last + llama.BATCH) and cached < total / 2 and same


def test_nothing_in_common_begins_anew(tiny_bundle: Path) -> None:
    with Engine(tiny_bundle, threads=1) as engine:
        slots = engine.sequences
        context, slot, held = slots.begin("a", [5, 6, 7], 16)
        context.push_tokens([5, 6, 7], logits=True)
        slot.elements.extend([5, 6, 7])
        context, slot, held = slots.begin("a", [9, 6, 7], 16)
        assert (held, context.position, slot.elements) == (0, 0, [])
