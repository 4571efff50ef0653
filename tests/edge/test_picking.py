"""Answers under a grammar from a random model, whose free answers are garbage: what fulfils it was enforced."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import jsonschema
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from magicvl.edge import picking
from magicvl.edge.answer import Options
from magicvl.edge.engine import Engine
from magicvl.edge.llama import Context, Follower, Sampler
from magicvl.edge.picking import GrammarPicker, picker
from magicvl.errors import EngineError, UsageError

Make = Callable[..., Image.Image]

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 3, "maxLength": 8},
        "count": {"type": "integer", "minimum": 1, "maximum": 20},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "tags": {"type": "array", "items": {"enum": ["red", "rot", "東"]}, "minItems": 2, "maxItems": 3},
        "seen": {"type": ["string", "null"], "format": "date"},
    },
    "required": ["name", "count", "score", "tags", "seen"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def engine(tiny_bundle: Path) -> Iterator[Engine]:
    with Engine(tiny_bundle, threads=1) as loaded:
        yield loaded


@pytest.fixture
def picture(make_picture: Make) -> Image.Image:
    return make_picture(32, 32)


@pytest.mark.parametrize("options", [{}, *({"temperature": 3.0, "seed": seed} for seed in range(6))])
def test_an_answer_fulfils_its_schema(engine: Engine, picture: Image.Image, options: dict[str, Any]) -> None:
    answer = engine.answer(picture, "x", schema=SCHEMA, **options)
    assert answer.finish_reason == "stop"
    jsonschema.validate(
        json.loads(answer.text), SCHEMA, jsonschema.Draft202012Validator,
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    )  # fmt: skip
    assert answer.value == json.loads(answer.text) == answer.to_json()["answer"]
    assert "\ufffd" not in answer.text


@pytest.mark.parametrize("options", [{}, *({"temperature": 5.0, "top_p": 0.9, "seed": seed} for seed in range(4))])
@pytest.mark.parametrize("pattern", [r"[a-z]{2,5} \d{3}", r"(é|東|🎈|Ж){4}", r"[^\x00-\x7f]{3}"])
def test_an_answer_matches_its_expression(
    engine: Engine, picture: Image.Image, pattern: str, options: dict[str, Any]
) -> None:
    answer = engine.answer(picture, "x", regex=pattern, **options)
    assert re.fullmatch(pattern, answer.text) and answer.value == answer.text
    assert "\ufffd" not in answer.text


def test_an_answer_is_one_of_its_choices_and_may_be_any(engine: Engine, picture: Image.Image) -> None:
    choices = ["yes", "no", "yes, but", "東京"]
    found = {engine.ask(picture, "x", choices=choices, temperature=1000.0, seed=seed) for seed in range(24)} | {
        engine.ask(picture, "x", choices=choices)
    }
    assert found == set(choices)


def test_the_greedy_choice_is_the_likeliest_token_allowed(engine: Engine, picture: Image.Image) -> None:
    logits = engine.logits(picture, "x")
    byte = {engine.inproc.model.piece(token): token for token in range(engine.inproc.model.tokens)}
    words = "abcdefghijklmnopqrstuvwxyz"
    best = max(words, key=lambda letter: logits[byte[letter.encode()]])
    assert engine.ask(picture, "x", regex="[a-z]") == best


def test_sampling_is_as_if_only_the_allowed_tokens_were_there(engine: Engine, picture: Image.Image) -> None:
    logits = engine.logits(picture, "x").astype(np.float64)
    byte = {engine.inproc.model.piece(token): token for token in range(engine.inproc.model.tokens)}
    odds = np.exp([logits[byte[letter.encode()]] / 2 for letter in "abcd"])
    odds /= odds.sum()
    assert odds.max() > 0.4
    context = engine.sequences.context
    assert context is not None
    drawn = np.zeros(4)
    with Sampler(2.0, None, 5) as sampler:
        for _ in range(1500):
            with Follower(engine.inproc.model, "root ::= [a-d]\n") as follower:
                token = GrammarPicker(sampler, engine.inproc.model, follower).pick(context)
            drawn["abcd".index(engine.inproc.model.piece(token).decode())] += 1
    assert np.abs(drawn / drawn.sum() - odds).max() < 5 * np.sqrt(0.25 / 1500)


def test_the_end_is_not_asked_for_where_nothing_else_can_follow(engine: Engine, picture: Image.Image) -> None:
    answer = engine.answer(picture, "x", regex="[a-z]{3}", max_tokens=3)
    assert answer.finish_reason == "stop" and len(answer.text) == 3
    again = engine.answer(picture, "x", choices=[answer.text], max_tokens=answer.usage.completion_tokens)
    assert again.text == answer.text


@pytest.mark.parametrize("options", [{"schema": SCHEMA}, {"regex": "a{20}"}, {"choices": ["a" * 30, "b" * 30]}])
def test_an_answer_cut_short_is_an_error(engine: Engine, picture: Image.Image, options: dict[str, Any]) -> None:
    kind = next(iter(options))
    with pytest.raises(EngineError, match=rf"max tokens 3 before it was complete by its {kind}: raise max tokens"):
        engine.answer(picture, "x", max_tokens=3, **options)
    # What could have gone on is cut short too: 12 may be the beginning of 1234.
    with pytest.raises(EngineError, match="max tokens 2"):
        engine.ask(picture, "x", regex="[0-9]{1,9}[a-f]", max_tokens=2)
    assert engine.ask(picture, "x", max_tokens=1) is not None


def test_a_full_context_is_an_error_too(tiny_bundle: Path, picture: Image.Image) -> None:
    with Engine(tiny_bundle, threads=1, context=30) as engine, pytest.raises(EngineError, match="the context of 30"):
        engine.answer(picture, "x", regex="[a-z]{200}")


def test_a_stream_under_a_grammar_is_the_answer(engine: Engine, picture: Image.Image) -> None:
    pieces = list(engine.stream(picture, "x", schema=SCHEMA))
    assert len(pieces) > 5 and "".join(pieces) == engine.ask(picture, "x", schema=SCHEMA)


def test_a_session_can_have_one_too(engine: Engine, picture: Image.Image) -> None:
    session = engine.session()
    first = session.answer("x", picture, Options(schema=SCHEMA))
    second = session.answer("and now?", options=Options(choices=["ab", "cd"]))
    jsonschema.validate(first.value, SCHEMA)
    assert second.value in ("ab", "cd") and second.usage.cached_tokens > 0


def test_control_tokens_and_broken_characters_are_no_text(
    engine: Engine, picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """llama.cpp takes a control token for its name, and E0 82 A9 for the character that C2 A9 spells."""
    model = engine.inproc.model
    ids = {model.piece(token): token for token in range(model.tokens)}
    [control] = model.tokenise("<|tile|>", special=True)
    context = engine.sequences.begin(None, [], 8)[0]
    wanted: list[int] = []

    def logits() -> np.ndarray:
        values = np.zeros(model.tokens, dtype=np.float32)
        values[wanted] = range(len(wanted), 0, -1)
        return values

    monkeypatch.setattr(context, "logits", logits)
    with picker(Options(regex="(<\\|tile\\|>|[\xa9\u0900])+"), model) as picks:
        assert isinstance(picks, GrammarPicker)
        for forbidden, fits in ((control, ids[b"\xe0"]), (ids[b"\x82"], ids[b"\xa4"])):
            assert picks._follower.allowed(np.array([forbidden]))[0]
            wanted[:] = [forbidden, fits]
            assert picks.pick(context) == fits
        # In the middle of a character.
        assert not picks._follower.allowed(np.array([model.end_token]))[0]
        wanted[:] = [model.end_token, ids[b"\x80"]]
        assert picks.pick(context) == ids[b"\x80"]
        assert not picks.complete()
        wanted[:] = [model.end_token]
        assert picks.pick(context) == model.end_token


def test_a_vocabulary_that_cannot_spell_it_is_an_error(
    engine: Engine, picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, piece = engine.inproc.model, engine.inproc.model.piece
    monkeypatch.setattr(model, "piece", lambda token: b"" if b"q" in piece(token) else piece(token))
    for options in ({}, {"temperature": 1.0}):
        with pytest.raises(EngineError, match="vocabulary cannot spell it"):
            engine.ask(picture, "x", regex="aq", **options)


def test_the_window_makes_no_difference(engine: Engine, picture: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    found = engine.ask(picture, "x", schema=SCHEMA)
    monkeypatch.setattr(picking, "WINDOW", 2)
    monkeypatch.setattr(picking, "BYTES", 3)
    assert engine.ask(picture, "x", schema=SCHEMA) == found


def schemas() -> st.SearchStrategy[Any]:
    """Schemas of the keywords that are supported, of which a value can be made."""
    small = st.integers(0, 3)
    count = st.tuples(small, small).map(sorted)
    low = st.integers(-50, 50)
    leaves = st.one_of(
        st.sampled_from(
            [{"type": "null"}, {"type": ["boolean", "string"]}, {"const": 'é"\n'}, {"enum": [1, "1", [2]]}]
        ),
        st.builds(lambda n: {"type": "string", "minLength": n[0], "maxLength": n[1]}, count),
        st.sampled_from(["date", "time", "date-time", "uuid", "email", "ipv4"]).map(
            lambda name: {"type": "string", "format": name}
        ),
        st.sampled_from([{"type": "string", "pattern": pattern} for pattern in ("^a+b$", "^x{3}$", '^[^"]{2}\\\\$')]),
        st.builds(
            lambda a, n: {"type": "number", "exclusiveMinimum": a / 8, "maximum": round(a / 8 + n + 0.3, 3)}, low, small
        ),
        st.builds(lambda a, n: {"type": "integer", "minimum": a, "exclusiveMaximum": a + n + 1}, low, small),
    )

    def wider(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        named = st.dictionaries(st.sampled_from(["a", "ab", 'q"', "é"]), inner, min_size=1, max_size=4)
        return st.one_of(
            st.builds(lambda of, n: {"type": "array", "items": of, "minItems": n[0], "maxItems": n[1]}, inner, count),
            st.builds(lambda heads: {"type": "array", "prefixItems": heads}, st.lists(inner, min_size=1, max_size=3)),
            st.lists(inner, min_size=1, max_size=3).map(lambda several: {"anyOf": several}),
            st.builds(
                lambda properties, extra, cut: {
                    "type": "object", "properties": properties, "required": sorted(properties)[cut:],
                    "additionalProperties": extra,
                },
                named, inner | st.just(False), small,
            ),
        )  # fmt: skip

    return st.recursive(leaves, wider, max_leaves=6)


@settings(max_examples=20, deadline=None, phases=[Phase.generate])
@given(schema=schemas(), seed=st.integers(0, 2**32 - 1))
def test_whatever_a_schema_lets_through_fulfils_it(engine: Engine, schema: Any, seed: int) -> None:
    """Random walks through the grammar; the judge is an independent validator."""
    model, random = engine.inproc.model, np.random.default_rng(seed)
    options = Options(schema=schema)
    assert options.grammar is not None
    text = b""
    with Follower(model, options.grammar.gbnf) as follower:
        picks = GrammarPicker(None, model, follower)
        while not picks.complete():
            logits = random.normal(size=model.tokens).astype(np.float32)
            # A way to the end: what closes is liked more the longer it takes.
            for closing in b'"]}@b':
                logits[model.tokenise(chr(closing), special=False)[0]] += len(text) / 20
            context = cast(Context, SimpleNamespace(logits=lambda logits=logits: logits))
            token = picks.pick(context)
            if model.ends(token):
                break
            text += model.piece(token)
            assert len(text) < 2000
    jsonschema.validate(
        options.grammar.value(text.decode()), schema, jsonschema.Draft202012Validator,
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    )  # fmt: skip


def test_options_keep_a_schema_as_data_and_refuse_two_at_once(tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(SCHEMA))
    options = Options(schema=path)
    path.unlink()
    assert options == Options(schema=SCHEMA) and options.grammar == Options(schema=SCHEMA).grammar
    assert Options().grammar is None
    with pytest.raises(UsageError, match="at once"):
        Options(choices=["a"], regex="a")
    with pytest.raises(UsageError, match="No such file"):
        Options(schema=path)
