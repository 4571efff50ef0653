"""The engine on a random small bundle: what it feeds, what it refuses, how it stops."""

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import PreTrainedTokenizerFast

from magicvl.edge import inproc, llama
from magicvl.edge.answer import Options, drain
from magicvl.edge.bundle import read_bundle, sha256
from magicvl.edge.engine import Engine
from magicvl.edge.llama import Context, Sampler
from magicvl.edge.pair import check_pair
from magicvl.edge.plan import Grid, plan
from magicvl.edge.threads import physical_cores
from magicvl.errors import BundleError, EngineError, PictureError, UsageError

Make = Callable[..., Image.Image]


@pytest.fixture(scope="module")
def engine(tiny_bundle: Path) -> Iterator[Engine]:
    with Engine(tiny_bundle, threads=1) as loaded:
        yield loaded


def test_an_answer_reports_what_was_done(engine: Engine, make_picture: Make) -> None:
    pictures = [make_picture(500, 300), make_picture(40, 33)]
    answer = engine.answer(pictures, "What changed?", max_tokens=5)
    assert [image.to_json() for image in answer.images] == [
        plan(500, 300, Grid()).to_json(),
        plan(40, 33, Grid()).to_json(),
    ]
    assert answer.usage.image_tokens == 16 * 9 + 1
    assert answer.usage.prompt_tokens > answer.usage.image_tokens
    assert answer.usage.cached_tokens == 0
    assert answer.usage.completion_tokens <= 5
    assert (answer.finish_reason == "length") == (answer.usage.completion_tokens == 5)
    times = answer.timings_ms
    assert min(times.load, times.encode, times.prefill, times.first_token) > 0 <= times.decode
    assert times.first_token >= times.encode + times.prefill


def test_the_json_of_an_answer_is_the_documented_one(engine: Engine, make_picture: Make) -> None:
    data = json.loads(json.dumps(engine.answer(make_picture(32, 64), "x", max_tokens=2).to_json()))
    assert list(data) == ["answer", "finish_reason", "images", "usage", "timings_ms"]
    assert list(data["images"][0]) == ["width", "height", "resized", "tiles", "tokens", "scale"]
    assert list(data["usage"]) == ["prompt_tokens", "image_tokens", "completion_tokens", "cached_tokens"]
    assert list(data["timings_ms"]) == ["load", "encode", "prefill", "first_token", "decode"]


def test_the_prompt_is_fed_in_order(
    engine: Engine,
    make_picture: Make,
    monkeypatch: pytest.MonkeyPatch,
    tiny_tokenizer: PreTrainedTokenizerFast,
) -> None:
    fed: list[object] = []
    tokens, embeddings = Context.push_tokens, Context.push_embeddings

    def push_tokens(self: Context, ids: list[int], **options: bool) -> None:
        fed.append(list(ids))
        tokens(self, ids, **options)

    def push_embeddings(self: Context, rows: np.ndarray, **options: bool) -> None:
        fed.append(rows)
        embeddings(self, rows, **options)

    monkeypatch.setattr(Context, "push_tokens", push_tokens)
    monkeypatch.setattr(Context, "push_embeddings", push_embeddings)
    picture = make_picture(400, 400)
    words = "is <|end|> it?"
    engine.logits(picture, words)

    def ids(text: str, special: bool = True) -> list[int]:
        return tiny_tokenizer(text, add_special_tokens=False, split_special_tokens=not special).input_ids

    texts = ["<|user|><|image_start|>", "<|tile|>", "<|row|>", "<|tile|>"]
    last = ids("<|image_end|>") + ids(words, special=False) + ids("<|assistant|>")
    assert [part for part in fed if isinstance(part, list)] == [*map(ids, texts), last]
    assert tiny_tokenizer.eos_token_id not in last
    rows = [part for part in fed if isinstance(part, np.ndarray)]
    assert [type(part) is list for part in fed] == [True, False] * 4 + [True]
    for found, expected in zip(rows, engine.embed(picture), strict=True):
        assert np.array_equal(found, expected)


def test_embeddings_have_the_planned_shapes(engine: Engine, make_picture: Make) -> None:
    width = engine.lock.language.width
    for size, budget, shapes in (
        ((32, 768), None, [12, 12]),
        ((32, 32), None, [1]),
        ((416, 448), None, [144, 12, 24, 2]),
        ((416, 448), 30, [25]),
    ):
        found = engine.embed(make_picture(*size), budget)
        assert [each.shape for each in found] == [(tokens, width) for tokens in shapes]
        assert all(each.dtype == np.float32 and np.isfinite(each).all() for each in found)


def test_the_picture_and_the_words_decide_the_logits(engine: Engine, make_picture: Make) -> None:
    base = engine.logits(make_picture(64, 64), "one")
    assert base.shape == (engine.lock.language.vocabulary,)
    assert np.array_equal(base, engine.logits(make_picture(64, 64), "one"))
    assert np.abs(base - engine.logits(make_picture(64, 64, seed=1), "one")).max() > 1e-3
    assert np.abs(base - engine.logits(make_picture(64, 64), "two")).max() > 1e-3
    assert np.abs(base - engine.logits([make_picture(64, 64)] * 2, "one")).max() > 1e-3


def test_the_first_greedy_token_is_the_largest_logit(engine: Engine, make_picture: Make) -> None:
    picture = make_picture(100, 100)
    token = int(engine.logits(picture, "what?").argmax())
    first = engine.answer(picture, "what?", max_tokens=1)
    if first.finish_reason == "stop":
        assert engine.inproc.model.ends(token)
    else:
        assert first.text == engine.inproc.model.piece(token).decode("utf-8", "replace")


def test_long_prompts_are_decoded_in_batches_without_a_difference(
    engine: Engine, make_picture: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture, words = make_picture(384, 384), "word " * 60
    whole = engine.logits(picture, words)
    monkeypatch.setattr(llama, "BATCH", 37)
    parts = engine.logits(picture, words)
    # Sums of another order in F16 keys and values.
    assert np.abs(whole - parts).max() < 0.05 * np.abs(whole).max()
    assert whole.argmax() == parts.argmax()


def test_streamed_pieces_make_the_answer(engine: Engine, make_picture: Make) -> None:
    picture = make_picture(64, 96)
    pieces = list(engine.stream(picture, "what?", max_tokens=12))
    assert "".join(pieces) == engine.ask(picture, "what?", max_tokens=12)
    assert all(pieces)


def test_a_character_is_never_split_between_pieces(
    engine: Engine, make_picture: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    word = "aé東🎈"
    spelled = itertools.cycle([bytes([byte]) for byte in word.encode()])
    monkeypatch.setattr(engine.inproc.model, "piece", lambda token: next(spelled))
    monkeypatch.setattr(engine.inproc.model, "ends", lambda token: False)
    length = len(word.encode())
    assert list(engine.stream(make_picture(32, 32), "x", max_tokens=length)) == list(word)
    assert list(engine.stream(make_picture(32, 32), "x", max_tokens=length - 1)) == [*word[:-1], "�"]


def test_an_end_token_stops_and_is_not_spelled(
    engine: Engine, make_picture: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = itertools.count()
    monkeypatch.setattr(engine.inproc.model, "ends", lambda token: next(calls) == 3)
    answer = engine.answer(make_picture(32, 32), "x", max_tokens=10)
    assert (answer.finish_reason, answer.usage.completion_tokens) == ("stop", 3)


def test_keys_in_q8_0_take_less_memory_and_change_little(
    tiny_bundle: Path, engine: Engine, make_picture: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture, words = make_picture(400, 400), "what is it? " * 20
    with Engine(tiny_bundle, threads=1, key_type="q8_0") as small:
        expected, found = engine.logits(picture, words), small.logits(picture, words)
        assert 0 < np.abs(found - expected).max() < 0.02 * np.ptp(expected)
        assert found.argmax() == expected.argmax()
        sizes = [len(each.sequences.context.state(0)) / each.sequences.context.position for each in (small, engine)]
        # Of four bytes for a number's key and value, q8_0 takes 2 + 34 / 32.
        assert sizes[0] / sizes[1] == pytest.approx((2 + 34 / 32) / 4, rel=0.02)
        assert small.answer(picture, "another", max_tokens=3).usage.cached_tokens > 144
    with pytest.raises(UsageError, match="keys in 'q4_0': there are f16, q8_0"):
        Engine(tiny_bundle, key_type="q4_0")
    assert engine.inproc.model.key_width == 32
    monkeypatch.setattr(llama.Model, "key_width", 80)
    with pytest.raises(UsageError, match="80 numbers wide, no multiple of 32; keep f16"):
        Engine(tiny_bundle, key_type="q8_0")


def test_sampling_repeats_with_its_seed_and_varies_without(engine: Engine, make_picture: Make) -> None:
    def sampled(**options: float) -> str:
        return engine.ask(make_picture(32, 32), "x", max_tokens=24, **options)

    hot = [sampled(temperature=5.0, seed=seed) for seed in (1, 1, 2, 3)]
    assert hot[0] == hot[1] and len(set(hot)) > 1
    assert sampled(temperature=5.0, top_p=1e-6, seed=1) == sampled()
    assert len({sampled(temperature=5.0) for _ in range(4)}) > 1


def test_sampling_follows_the_distribution(engine: Engine, make_picture: Make) -> None:
    logits = engine.logits(make_picture(32, 32), "x").astype(np.float64)
    odds = np.exp(logits - logits.max())
    odds /= odds.sum()
    context = engine.sequences.context
    assert context is not None
    with Sampler(1.0, None, 7) as sampler:
        drawn = np.bincount([sampler.sample(context) for _ in range(2000)], minlength=len(odds)) / 2000
    assert np.abs(drawn - odds).max() < 5 * np.sqrt(0.25 / 2000)


def test_a_prompt_past_the_context_is_refused_with_its_numbers(tiny_bundle: Path, make_picture: Make) -> None:
    with Engine(tiny_bundle, threads=1, context=100) as engine:
        with pytest.raises(EngineError, match=r"the prompt takes 149 tokens \(144 of pictures\).* holds 100"):
            engine.ask(make_picture(384, 384), "x")
        answer = engine.answer(make_picture(384, 384), "x", budget=64, max_tokens=1000)
        assert answer.finish_reason in ("context", "stop")
        assert answer.usage.prompt_tokens + answer.usage.completion_tokens <= 100
        if answer.finish_reason == "context":
            assert answer.usage.prompt_tokens + answer.usage.completion_tokens == 100


def test_a_full_context_ends_the_answer(tiny_bundle: Path, make_picture: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with Engine(tiny_bundle, threads=1, context=600) as engine:
        monkeypatch.setattr(engine.inproc.model, "ends", lambda token: False)
        answer = engine.answer(make_picture(32, 32), "x " * 280, max_tokens=10_000)
        assert answer.finish_reason == "context"
        assert answer.usage.prompt_tokens + answer.usage.completion_tokens == 600


def test_one_answer_at_a_time(engine: Engine, make_picture: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.inproc.model, "ends", lambda token: False)
    picture = make_picture(32, 32)
    stream = engine.start(picture, "x", Options(max_tokens=50))
    next(stream)
    with pytest.raises(EngineError, match="still answering"):
        engine.ask(picture, "x")
    stream.close()
    assert engine.ask(picture, "x", max_tokens=1) is not None


def test_progress_counts_tiles_and_prompt_tokens(engine: Engine, make_picture: Make) -> None:
    seen: list[tuple[str, int, int]] = []
    stream = engine.start(
        make_picture(800, 100),
        "x",
        Options(max_tokens=1),
        progress=lambda stage, done, total: seen.append((stage, done, total)),
    )
    answer = drain(stream)
    assert [call for call in seen if call[0] == "tile"] == [("tile", done, 3) for done in range(3)]
    prompt = [call for call in seen if call[0] == "prompt token"]
    assert prompt[-1] == ("prompt token", answer.usage.prompt_tokens, answer.usage.prompt_tokens)
    assert [done for _, done, _ in prompt] == sorted(done for _, done, _ in prompt)


def test_progress_counts_each_batch(engine: Engine, make_picture: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(llama, "BATCH", 40)
    engine.sequences.forget()
    picture, words = make_picture(384, 384), "x " * 60
    stream = engine.start(
        picture,
        words,
        Options(max_tokens=1),
        progress=lambda stage, done, _: seen.append(done) if stage != "tile" else None,
    )
    total = drain(stream).usage.prompt_tokens
    steps = np.diff([0, *seen])
    assert seen[-1] == total and steps.min() > 0 and steps.max() == 40
    assert len(seen) > total // 40


@pytest.mark.parametrize("where", ["encode", "push_tokens", "push_embeddings"])
def test_ctrl_c_leaves_an_engine_that_works(
    engine: Engine, make_picture: Make, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    picture = make_picture(64, 64)
    expected = engine.ask(picture, "x", max_tokens=4)
    owner = engine.inproc.vision if where == "encode" else Context
    engine.sequences.forget()
    engine.tiles.clear()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(owner, where, interrupt)
        engine.ask(picture, "x", max_tokens=4)
    assert engine.ask(picture, "x", max_tokens=4) == expected


def interrupt(*_arguments: object, **_options: object) -> None:
    raise KeyboardInterrupt


def test_ctrl_c_waits_for_the_native_call_and_is_not_lost() -> None:
    import os
    import signal

    steps = []
    with pytest.raises(KeyboardInterrupt):
        with llama._uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            steps.append("inside")
        steps.append("after")
    assert steps == ["inside"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_an_error(
    engine: Engine, make_picture: Make, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    real = np.ctypeslib.as_array

    def broken(pointer: object, shape: tuple[int, ...]) -> np.ndarray:
        found = real(pointer, shape).copy()
        found[-1] = value
        return found

    with monkeypatch.context() as patch:
        patch.setattr(np.ctypeslib, "as_array", broken)
        engine.tiles.clear()
        with pytest.raises(EngineError, match=r"encoder .* not finite"):
            engine.embed(make_picture(32, 32))
        with pytest.raises(EngineError, match=r"decoder .* not finite"):
            engine.logits([], "x")
    assert np.isfinite(engine.logits([], "x")).all()


def test_nothing_grows_over_many_requests(engine: Engine, make_picture: Make) -> None:
    def anonymous() -> int:
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))

    picture = make_picture(200, 200)
    for _ in range(5):
        engine.ask(picture, "x", max_tokens=2)
    before = anonymous()
    for _ in range(40):
        engine.ask(picture, "x", max_tokens=2)
    assert anonymous() - before < 8192


def test_engines_can_be_loaded_and_freed_again_and_again(tiny_bundle: Path, make_picture: Make) -> None:
    answers = set()
    for _ in range(3):
        engine = Engine(tiny_bundle, threads=1)
        answers.add(engine.ask(make_picture(32, 32), "x", max_tokens=3))
        engine.close()
        engine.close()
    assert len(answers) == 1


def test_bad_pictures_and_options_never_reach_the_model(engine: Engine, tmp_path: Path, make_picture: Make) -> None:
    with pytest.raises(PictureError, match="no such file"):
        engine.stream([make_picture(9, 9), tmp_path / "none.png"], "x")
    for options in (
        {"max_tokens": 0},
        {"budget": 0},
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"top_p": 0.5},
        {"seed": 1},
        {"temperature": 1.0, "top_p": 0.0},
        {"temperature": 1.0, "seed": 2**32 - 1},
    ):
        with pytest.raises(UsageError):
            engine.ask(make_picture(9, 9), "x", **options)


@pytest.mark.parametrize("options", [{"threads": 0}, {"context": 0}, {"context": 10**6}])
def test_bad_engines_are_refused(tiny_bundle: Path, options: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        Engine(tiny_bundle, **options)


def test_threads_default_to_cores_of_this_process() -> None:
    assert 1 <= physical_cores() <= 4096


class ReachedError(Exception):
    """Native code was reached."""


@pytest.fixture
def guarded(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the bundle, and native code that must not be reached."""

    def reach(*_arguments: object) -> None:
        raise ReachedError

    monkeypatch.setattr(inproc, "Model", reach)
    copy = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, copy)
    return copy


def relock(bundle: Path) -> None:
    """Makes the lock's sizes and hashes those of the files."""
    path = bundle / "magicvl.json"
    data = json.loads(path.read_text())
    for entry in data["files"].values():
        file = bundle / entry["path"]
        entry.update(size=file.stat().st_size, sha256=sha256(file))
    path.write_text(json.dumps(data))


def test_a_good_bundle_reaches_native_code(guarded: Path) -> None:
    with pytest.raises(ReachedError):
        Engine(guarded)


@pytest.mark.parametrize("name", ["llm.gguf", "mmproj.gguf"])
def test_damage_is_found_before_native_code(guarded: Path, name: str) -> None:
    whole = (guarded / name).read_bytes()
    (guarded / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BundleError, match="bytes, the lock says"):
        Engine(guarded)
    relock(guarded)
    with pytest.raises(BundleError, match="the file has"):
        Engine(guarded)
    (guarded / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BundleError, match=r"bytes, the lock says|sha256"):
        Engine(guarded)


def test_every_shape_of_the_lock_is_compared(tiny_bundle: Path) -> None:
    from magicvl.edge.gguf_check import read_gguf

    lock = read_bundle(tiny_bundle).lock
    llm, mmproj = read_gguf(tiny_bundle / "llm.gguf"), read_gguf(tiny_bundle / "mmproj.gguf")
    check_pair(lock, llm, mmproj)
    for part, field in (
        [("vision", name) for name in ("width", "layers", "heads", "feed_forward", "patch", "unshuffle")]
        + [("vision", "positions"), ("vision", "projector_width")]
        + [("language", name) for name in ("width", "layers", "vocabulary", "context")]
    ):
        section = getattr(lock, part)
        other = replace(lock, **{part: replace(section, **{field: getattr(section, field) * 2})})
        with pytest.raises(BundleError, match="not the file that the lock describes"):
            check_pair(other, llm, mmproj)
    with pytest.raises(BundleError, match="image_mean"):
        check_pair(replace(lock, picture=replace(lock.picture, mean=(0.4, 0.5, 0.5))), llm, mmproj)
    with pytest.raises(BundleError, match="bicubic"):
        check_pair(replace(lock, picture=replace(lock.picture, resample="bicubic")), llm, mmproj)
    with pytest.raises(BundleError, match=r"general\.architecture is clip, the lock says llama"):
        check_pair(lock, mmproj, mmproj)


def test_pictures_past_what_memory_holds_are_refused(tiny_bundle: Path) -> None:
    from magicvl.edge.gguf_check import read_gguf

    lock = read_bundle(tiny_bundle).lock
    llm, mmproj = read_gguf(tiny_bundle / "llm.gguf"), read_gguf(tiny_bundle / "mmproj.gguf")
    free = {"policy": "lfm2", "min_tokens": 64, "max_tokens": 256, "min_tiles": 2, "split_above": 524_288}
    picture = replace(lock.picture, **free)
    check_pair(replace(lock, picture=picture), llm, mmproj)
    for changes, words in (
        ({"max_tokens": 16_385}, "tiles of 16,385 tokens, at most 4,096 px square"),
        ({"tile": 4096, "max_tiles": 6}, "resized to 5 tiles of 4,096 px, at most 8,192 px square"),
    ):
        with pytest.raises(BundleError, match=words):
            check_pair(replace(lock, picture=replace(picture, **changes)), llm, mmproj)
