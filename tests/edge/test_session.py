"""A conversation costs what is new in it, and says what it left out."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from magicvl.edge.answer import Options
from magicvl.edge.engine import Engine
from magicvl.edge.prompt import Message, Spoken, Text, render
from magicvl.edge.sequences import SeenTile, token_count
from magicvl.errors import EngineError, PictureError, UsageError

Make = Callable[..., Image.Image]


def test_a_turn_reads_only_what_is_new(tiny_bundle: Path, make_picture: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with Engine(tiny_bundle, threads=1) as engine:
        session = engine.session()
        first = session.answer("one", make_picture(400, 100), Options(max_tokens=5))
        monkeypatch.setattr(engine.inproc.vision, "encode", lambda tile: pytest.fail("looked twice"))
        second = session.answer("two", options=Options(max_tokens=5))
        held = first.usage.prompt_tokens + len(first.tokens)
        # The last token of an answer that ran into its limit has not been read yet.
        assert second.usage.cached_tokens in (held, held - 1)
        assert second.usage.image_tokens == first.usage.image_tokens
        assert len(second.images) == 1
        assert [turn.prompt for turn in session.turns] == ["one", "two"]


def test_a_conversation_reads_as_if_told_at_once(tiny_bundle: Path, make_picture: Make) -> None:
    pictures = [make_picture(64, 64, seed=1), make_picture(96, 64, seed=2)]
    with Engine(tiny_bundle, threads=1) as engine, Engine(tiny_bundle, threads=1) as fresh:
        session, other = engine.session(), fresh.session()
        for prompt, shown in (("one", pictures[:1]), ("two", []), ("three", pictures), ("four", [])):
            answer = session.answer(prompt, shown, Options(max_tokens=6))
            fresh.sequences.forget()
            told = other.answer(prompt, shown, Options(max_tokens=6))
            assert told.usage.cached_tokens == 0
            assert told.tokens == answer.tokens
        tiles = [each for each in engine.sequences._slots[0].elements if isinstance(each, SeenTile)]
        assert [tile.key for tile in tiles[1:]] == [tile.key for tile in tiles[:1]] + [tiles[2].key]


def test_two_conversations_do_not_mix(tiny_bundle: Path, make_picture: Make) -> None:
    with Engine(tiny_bundle, threads=1, sequences=2) as engine, Engine(tiny_bundle, threads=1) as fresh:
        pairs = [(engine.session(), fresh.session()) for _ in range(2)]
        for turn in range(3):
            for number, (session, alone) in enumerate(pairs):
                shown = [make_picture(64, 64, seed=number)] if turn == 0 else []
                fresh.sequences.forget()
                expected = alone.answer(f"turn {turn}", shown, Options(max_tokens=4))
                answer = session.answer(f"turn {turn}", shown, Options(max_tokens=4))
                assert answer.tokens == expected.tokens
                assert turn == 0 or answer.usage.cached_tokens > 4
        pairs[0][0].close()
        assert [bool(slot.elements) for slot in engine.sequences._slots].count(True) == 1


def test_a_full_context_is_an_error_that_loses_nothing(tiny_bundle: Path, make_picture: Make) -> None:
    with Engine(tiny_bundle, threads=1, context=120) as engine:
        session = engine.session()
        session.ask("one", make_picture(96, 96), max_tokens=4)
        before = session.turns
        with pytest.raises(EngineError, match="holds 120 with the answer"):
            session.ask("x " * 200, max_tokens=4)
        assert session.turns == before
        assert session.answer("two", options=Options(max_tokens=4)).usage.cached_tokens > 9


def test_by_choice_the_oldest_turn_goes_and_the_answer_says_so(tiny_bundle: Path, make_picture: Make) -> None:
    with Engine(tiny_bundle, threads=1, context=120) as engine:
        session = engine.session(overflow="drop")
        dropped = []
        for turn in range(8):
            answer = session.answer(f"{turn} " + "x " * 10, make_picture(64, 64, seed=turn), Options(max_tokens=8))
            dropped.append(answer.dropped_turns)
            assert answer.usage.prompt_tokens + 8 <= 120
        assert dropped[0] == 0 and sum(dropped) > 2
        assert len(session.turns) == 8 - sum(dropped)
        with pytest.raises(EngineError, match="holds 120"):
            session.ask("x " * 200)


def test_what_fails_or_is_left_is_no_turn(tiny_bundle: Path, make_picture: Make, tmp_path: Path) -> None:
    with Engine(tiny_bundle, threads=1) as engine:
        session = engine.session()
        with pytest.raises(PictureError):
            session.ask("one", tmp_path / "missing.png")
        pieces = session.stream("one", make_picture(64, 64), Options(max_tokens=50))
        next(pieces)
        pieces.close()
        assert session.turns == ()
        with pytest.raises(UsageError, match="overflow 'sometimes'"):
            engine.session(overflow="sometimes")


def test_the_answer_is_fed_as_the_tokens_that_it_was(tiny_bundle: Path, make_picture: Make) -> None:
    """Byte tokens spell what a merged token spells, too: the text alone would be read as other tokens."""
    with Engine(tiny_bundle, threads=1) as engine:
        session = engine.session()
        session.answer("one", make_picture(64, 64), Options(max_tokens=12, temperature=5.0, seed=3))
        said = session.turns[0].answer
        assert engine.inproc.model.tokenise(said.text, special=False) != list(said.tokens)
        session.answer("two", options=Options(max_tokens=1))
        elements = engine.sequences._slots[0].elements
        held = [each for each in elements if isinstance(each, int)]
        joined = ",".join(map(str, held))
        assert ",".join(map(str, said.tokens)) in joined
        assert token_count(elements) > len(held)


def test_a_space_that_the_model_said_is_not_said_twice() -> None:
    template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"

    def frame(said: str) -> list[object]:
        return list(render(template, [Message("assistant", (Spoken(said, (7,)),))], answer=False))

    assert frame(" yes") == [Text("assistant:", special=True), Spoken(" yes", (7,)), Text("\n", special=True)]
    assert frame("yes") == [Text("assistant: ", special=True), Spoken("yes", (7,)), Text("\n", special=True)]
