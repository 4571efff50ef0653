"""The runtime beside this process against the one in it; the server is a stand-in that has the same library."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from magicvl import DEFAULT_BUNDLE
from magicvl.edge.answer import Answer, Options, drain
from magicvl.edge.engine import Engine
from magicvl.edge.memory import token_bytes
from magicvl.edge.server import runtime as server_runtime
from magicvl.edge.server.client import Client
from magicvl.edge.server.runtime import ServerRuntime
from magicvl.edge.variant import ServerProgram
from magicvl.errors import EngineError, UsageError

Make = Callable[..., Image.Image]
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def same(one: Answer, other: Answer) -> bool:
    """Alike in all but what was held already and the time it took."""
    counts = [replace(each.usage, cached_tokens=0) for each in (one, other)]
    said = [(each.text, each.tokens, each.finish_reason, each.images) for each in (one, other)]
    return said[0] == said[1] and counts[0] == counts[1]


def server_of(engine: Engine) -> ServerRuntime:
    """The engine's runtime, which is a server."""
    assert isinstance(engine.runtime, ServerRuntime)
    return engine.runtime


def serve(standin: Path, **environment: str) -> Engine:
    """The embedded default beside a stand-in with that environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAGICVL_SERVER", str(standin))
        for name, value in environment.items():
            patch.setenv(f"STANDIN_{name}", value)
        return Engine(DEFAULT_BUNDLE, threads=1, runtime="server")


@pytest.fixture(scope="module")
def inproc() -> Iterator[Engine]:
    with Engine(DEFAULT_BUNDLE, threads=1, runtime="inproc") as engine:
        yield engine


@pytest.fixture(scope="module")
def served(standin: Path) -> Iterator[Engine]:
    with serve(standin) as engine:
        yield engine


@pytest.fixture(scope="module")
def stock(standin: Path) -> Iterator[Engine]:
    """A server that takes one text, as all but our own builds do."""
    with serve(standin, PARTS="0") as engine:
        yield engine


OPTIONS = {
    "plain": Options(),
    "cut": Options(max_tokens=2),
    "choices": Options(choices=["red circle", "blue star", "nothing"]),
    "regex": Options(regex="[a-z]{3,9}"),
    "schema": Options(schema=SCHEMA),
    "sampled": Options(temperature=0.9, top_p=0.8, seed=7),
    "seeded": Options(temperature=1.2, seed=1, max_tokens=12),
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("sizes", [[(300, 200)], [(500, 420)], [(200, 200), (410, 90)]], ids=["one", "tiles", "two"])
def test_it_answers_as_in_process(
    inproc: Engine, served: Engine, make_picture: Make, sizes: list[tuple[int, int]], name: str
) -> None:
    pictures = [make_picture(*size, seed=i) for i, size in enumerate(sizes)]
    ask = (pictures, "Where is everything?", OPTIONS[name])
    assert same(drain(inproc.start(*ask)), drain(served.start(*ask)))


def test_a_text_alone_is_answered_alike(inproc: Engine, served: Engine, stock: Engine) -> None:
    answers = [engine.answer([], "Hello <|im_end|>", max_tokens=8) for engine in (inproc, served, stock)]
    assert same(answers[0], answers[1])
    assert same(answers[0], answers[2])


def test_what_users_type_is_no_special_token(inproc: Engine, served: Engine, make_picture: Make) -> None:
    ask = (make_picture(300, 200), "What does <|image_end|> <|tile|>\n mean? \ud83d")
    assert same(inproc.answer(*ask), served.answer(*ask))


def test_a_conversation_goes_on_alike(inproc: Engine, served: Engine, make_picture: Make, tmp_path: Path) -> None:
    ours, theirs = inproc.session(), served.session()
    shown = make_picture(500, 420)
    first = ours.answer("What is this?", shown), theirs.answer("What is this?", shown)
    assert same(*first)
    second = ours.answer("And what colour?"), theirs.answer("And what colour?")
    assert same(*second)
    assert second[1].usage.cached_tokens == second[0].usage.cached_tokens > second[1].usage.image_tokens
    path = tmp_path / "talk"
    assert served.save_session(theirs, path) is False
    assert same(ours.answer("Is that all?"), served.open_session(path).answer("Is that all?"))
    theirs.close()


def test_an_answer_cut_short_is_the_same_error(inproc: Engine, served: Engine, make_picture: Make) -> None:
    for engine in (inproc, served):
        with pytest.raises(EngineError, match="reached max tokens 2 before it was complete by its regex"):
            engine.ask(make_picture(300, 200), "?", regex="[a-z]{40,50}", max_tokens=2)


def test_a_grammar_that_ends_at_the_limit_is_whole(inproc: Engine, served: Engine, make_picture: Make) -> None:
    picture = make_picture(300, 200)
    need = inproc.answer(picture, "?", choices=["red circle"]).usage.completion_tokens
    assert need > 1
    for engine in (inproc, served):
        assert engine.answer(picture, "?", choices=["red circle"], max_tokens=need).finish_reason == "stop"
        with pytest.raises(EngineError, match="max tokens"):
            engine.ask(picture, "?", choices=["red circle"], max_tokens=need - 1)


def test_characters_of_several_tokens_come_whole(tiny_bundle: Path, standin: Path, make_picture: Make) -> None:
    text = "東京 naïve Straße"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAGICVL_SERVER", str(standin))
        with Engine(tiny_bundle, threads=1) as one, Engine(tiny_bundle, threads=1, runtime="server") as other:
            ask = (make_picture(64, 64), "?")
            answers = [engine.answer(*ask, choices=[text]) for engine in (one, other)]
            pieces = list(other.stream(*ask, choices=[text]))
    # The ids inside a character are not told: those of the text stand for them, which are others for a random model.
    assert [answer.text for answer in answers] == [text, text]
    assert answers[0].usage == replace(answers[1].usage, cached_tokens=answers[0].usage.cached_tokens)
    assert "".join(pieces) == text
    assert len(pieces) > 1


def test_progress_counts_the_prompt(served: Engine, make_picture: Make) -> None:
    told: list[tuple[str, int, int]] = []
    answer = drain(
        served.start(make_picture(510, 430, 5), "?", Options(max_tokens=1), progress=lambda *seen: told.append(seen))
    )
    assert told == sorted(told)
    assert told[-1] == ("prompt token", answer.usage.prompt_tokens, answer.usage.prompt_tokens)
    assert answer.timings_ms.prefill > 0
    assert answer.timings_ms.first_token > 0


def test_what_stops_a_request_leaves_the_server_to_the_next(inproc: Engine, served: Engine, make_picture: Make) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    picture, pid = make_picture(300, 200, 3), server_of(served).pid
    with pytest.raises(KeyboardInterrupt):
        drain(served.start(picture, "Where is everything?", Options(), progress=stop))
    begun = served.stream(picture, "Where is everything?")
    next(begun)
    begun.close()  # type: ignore[attr-defined]
    assert same(served.answer(picture, "What is this?"), inproc.answer(picture, "What is this?"))
    assert server_of(served).pid == pid


# What another server takes


@pytest.mark.parametrize("name", ["plain", "choices", "sampled"])
def test_one_tile_comes_out_the_same_as_one_text(inproc: Engine, stock: Engine, make_picture: Make, name: str) -> None:
    assert not stock.runtime.exact
    pictures = [make_picture(300, 200), make_picture(90, 380, 1)]
    ask = (pictures, "Where is everything?", OPTIONS[name])
    assert same(drain(inproc.start(*ask)), drain(stock.start(*ask)))
    turns = [engine.session() for engine in (inproc, stock)]
    for prompt, shown in (("What is this?", pictures[:1]), ("And now?", ())):
        assert same(*(session.answer(prompt, shown) for session in turns))


def test_tiles_that_it_would_mark_are_refused(stock: Engine, make_picture: Make) -> None:
    with pytest.raises(EngineError, match=r"around each of 4 tiles.*budget that leaves one tile.*--runtime inproc"):
        stock.ask(make_picture(500, 420), "?")
    assert stock.ask(make_picture(500, 420), "?", budget=100)


@pytest.mark.parametrize("words", ["<|image_end|>", "a<|tile|>b"])
def test_words_that_it_would_misread_are_refused(stock: Engine, make_picture: Make, words: str) -> None:
    with pytest.raises(EngineError, match=r"other tokens than were planned.*--runtime inproc"):
        stock.ask(make_picture(300, 200), words)


# What goes wrong


def test_killed_within_an_answer_it_goes_on_once(inproc: Engine, standin: Path, make_picture: Make) -> None:
    picture, prompt = make_picture(500, 420), "Where is everything?"
    whole = inproc.ask(picture, prompt)
    with serve(standin, SLOW="0.05") as engine:
        pid = server_of(engine).pid
        assert pid is not None
        pieces = engine.stream(picture, prompt)
        said = [next(pieces), next(pieces)]
        os.kill(pid, signal.SIGKILL)
        assert "".join([*said, *pieces]) == whole
        assert server_of(engine).pid not in (None, pid)


def test_killed_between_answers_it_is_started_again(inproc: Engine, standin: Path, make_picture: Make) -> None:
    with serve(standin) as engine:
        for _ in range(2):
            pid = server_of(engine).pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            assert same(engine.answer(make_picture(300, 200), "?"), inproc.answer(make_picture(300, 200), "?"))


def test_one_that_says_something_else_afterwards_is_an_error(
    standin: Path, make_picture: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    die, other = tmp_path / "die", tmp_path / "other"
    die.touch()
    # For the one that is started in its place too.
    monkeypatch.setenv("STANDIN_OTHER", str(other))
    with serve(standin, DIE=f"3:{die}") as engine:
        pieces = engine.stream(make_picture(500, 420), "Where is everything?")
        next(pieces)
        other.touch()
        with pytest.raises(EngineError, match="characters of the answer and says something else now: ask again"):
            list(pieces)
        other.unlink()
        assert engine.ask(make_picture(300, 200), "?")


def test_one_that_dies_twice_is_an_error(standin: Path, make_picture: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whoever is started in its place dies like it.
    monkeypatch.setenv("STANDIN_DIE", "1:")
    with (
        serve(standin) as engine,
        pytest.raises(EngineError, match=r"died twice over a request \(killed by SIGKILL"),
    ):
        engine.ask(make_picture(300, 200), "Where is everything?")


def test_two_at_once_do_not_meet(inproc: Engine, standin: Path, make_picture: Make) -> None:
    with serve(standin) as one, serve(standin) as other:
        first = one.stream(make_picture(300, 200), "Where is everything?")
        said = next(first)
        assert same(other.answer(make_picture(500, 420), "?"), inproc.answer(make_picture(500, 420), "?"))
        assert said + "".join(first) == inproc.ask(make_picture(300, 200), "Where is everything?")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"VISION": "0"}, "takes no pictures.*--runtime inproc"),
        ({"FAIL": "1"}, "error: failed to load the model, as it was told"),
    ],
)
def test_a_server_of_no_use_is_one_clear_error(standin: Path, environment: dict[str, str], said: str) -> None:
    with pytest.raises(EngineError, match=said):
        serve(standin, **environment)


def test_another_build_than_recorded_is_refused(standin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for build, fits in (("b1-0c1e570", False), ("b1-standin", True)):
        program = ServerProgram(standin, "armv8", build)
        monkeypatch.setattr("magicvl.edge.runtime.find_server", lambda program=program: program)
        if fits:
            Engine(DEFAULT_BUNDLE, threads=1, runtime="server").close()
        else:
            with pytest.raises(EngineError, match="says it is b1-standin, its record b1-0c1e570: install it again"):
                Engine(DEFAULT_BUNDLE, threads=1, runtime="server")


def test_the_key_is_asked_for(served: Engine) -> None:
    with server_of(served)._keeper.use() as server, pytest.raises(EngineError, match="Invalid API Key"):
        Client(server.folder / "llama.sock", "guessed").get("/props")


def test_it_grows_with_what_is_asked(standin: Path, make_picture: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_runtime, "FIRST_ROOM", 128)
    monkeypatch.setattr(server_runtime, "SLACK", 0)
    with serve(standin) as engine, Engine(DEFAULT_BUNDLE, threads=1) as other:
        pid = server_of(engine).pid
        assert same(engine.answer([], "?", max_tokens=8), other.answer([], "?", max_tokens=8))
        assert server_of(engine).pid == pid
        with monkeypatch.context() as patch:
            patch.setenv("MAGICVL_MEMORY", "1")
            with pytest.raises(EngineError, match=r"a context of 512 tokens takes about .* are free"):
                engine.answer(make_picture(500, 420), "?")
        assert same(engine.answer(make_picture(500, 420), "?"), other.answer(make_picture(500, 420), "?"))
        assert server_of(engine).pid != pid


def test_where_memory_lacks_it_grows_no_more_than_it_must(
    standin: Path, make_picture: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_runtime, "FIRST_ROOM", 320)
    with serve(standin) as engine:
        runtime = server_of(engine)
        token = token_bytes(runtime._setup.llm)
        with monkeypatch.context() as patch:
            patch.setattr(server_runtime, "free_memory", lambda: round(token * 600))
            assert engine.answer(make_picture(500, 420), "?").text
            assert runtime._room == 512
        assert engine.answer([make_picture(500, 420), make_picture(500, 400), make_picture(400, 420)], "?").text
        assert runtime._room == 1024


def test_an_idle_one_stops_until_it_is_asked(
    inproc: Engine, standin_program: ServerProgram, make_picture: Make
) -> None:
    with Engine(DEFAULT_BUNDLE, threads=1, runtime="server", idle_seconds=0.2) as engine:
        until = time.monotonic() + 5
        while server_of(engine).pid is not None and time.monotonic() < until:
            time.sleep(0.05)
        assert server_of(engine).pid is None
        assert same(engine.answer(make_picture(64, 64), "?"), inproc.answer(make_picture(64, 64), "?"))


def test_conversations_have_slots_of_their_own(standin_program: ServerProgram, make_picture: Make) -> None:
    with Engine(DEFAULT_BUNDLE, threads=1, runtime="server", sequences=2) as engine:
        sessions = [engine.session(), engine.session()]
        for seed, session in enumerate(sessions):
            session.ask("?", make_picture(64, 64, seed), max_tokens=1)
        usages = [session.answer("And?", options=Options(max_tokens=1)).usage for session in sessions]
        assert all(usage.cached_tokens > usage.image_tokens for usage in usages)


def test_what_only_this_process_has_is_refused(served: Engine, make_picture: Make, standin: Path) -> None:
    for call in (
        lambda: served.embed(make_picture(64, 64)),
        lambda: served.logits(make_picture(64, 64), "?"),
        lambda: served.make_context(512, 1),
        lambda: served.tiles,
        lambda: served.sequences,
    ):
        with pytest.raises(UsageError, match="not to be had of llama-server: use inproc"):
            call()


CHILD = """
import os, sys
from magicvl import DEFAULT_BUNDLE, load
engine = load(runtime="server", threads=1)
pieces = engine.stream(sys.argv[1], "Where is everything?")
next(pieces)
print(engine.runtime.pid, flush=True)
list(pieces)
"""


def test_a_parent_killed_within_an_answer_leaves_no_orphan(standin: Path, make_picture: Make, tmp_path: Path) -> None:
    make_picture(300, 200).save(tmp_path / "a.png")
    environment = os.environ | {"MAGICVL_SERVER": str(standin), "STANDIN_SLOW": "1"}
    command = [sys.executable, "-c", CHILD, str(tmp_path / "a.png")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
    until = time.monotonic() + 5
    while time.monotonic() < until and Path(f"/proc/{pid}/cmdline").exists():
        if not Path(f"/proc/{pid}/cmdline").read_bytes():  # killed, and not yet fetched
            return
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
