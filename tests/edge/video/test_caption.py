"""Films through the engine: what is chosen, seen and said, window by window."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from magicvl import DEFAULT_BUNDLE
from magicvl.edge.answer import Options, drain
from magicvl.edge.bundle import LOCK_NAME
from magicvl.edge.engine import Engine
from magicvl.edge.plan import plan
from magicvl.edge.video import description
from magicvl.edge.video.asked import Asked, asked
from magicvl.edge.video.caption import Watcher, caption
from magicvl.edge.video.captioned import Captioned, Chosen
from magicvl.edge.video.description import Subject, film_message, read, schema
from magicvl.edge.video.film import Film, Frame
from magicvl.edge.video.open_film import open_film
from magicvl.edge.video.sheet import GAP, WIDTH, Sheet
from magicvl.edge.video.track import Sighting
from magicvl.errors import CutShortError, EngineError, UsageError

WriteFilm = Callable[..., Path]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(DEFAULT_BUNDLE, threads=1, runtime="inproc") as opened:
        yield opened


@pytest.fixture(scope="module")
def film(write_film: WriteFilm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds at ten frames a second."""
    place = tmp_path_factory.mktemp("film")
    return write_film(place / "film.mp4", 100, codec="libx264")


def described(engine: Engine, source: Path, **arguments: Any) -> Captioned:
    return engine.caption(source, max_tokens=400, temperature=1.0, seed=3, **arguments)


@pytest.mark.usefixtures("brief")
def test_a_film_is_described_in_the_form_asked_for(engine: Engine, film: Path) -> None:
    made = described(engine, film)
    assert made.seconds == pytest.approx(10.0, abs=0.01)
    times = [frame.time for frame in made.frames]
    assert times == pytest.approx([0.5 + i for i in range(10)], abs=0.01)
    assert {frame.plan.tokens for frame in made.frames} == {plan(96, 64, engine.lock.grid).tokens}
    assert made.usage.image_tokens == sum(frame.plan.tokens for frame in made.frames)
    assert made.adapted and not made.notes and made.left_out == 0
    for subject in made.description.subjects:
        for action in subject.actions:
            assert set(action.times) <= set(times)
    data = json.loads(json.dumps(made.to_json()))
    assert set(data) >= {"subjects", "caption", "frames", "windows", "usage", "timings_ms", "seconds", "left_out"}
    assert data["frames"][0] | {"time": 0.5, "window": 0} == data["frames"][0]
    assert made.to_text().endswith(made.description.caption)


@pytest.mark.usefixtures("brief")
def test_it_is_asked_as_training_asks(engine: Engine, film: Path) -> None:
    """The same frames, cut as pictures are, in the very message: the answer is the engine's own."""
    frames = [frame.picture for frame in open_film(film, note=print).frames([1.25, 3.75, 6.25, 8.75])]
    seen = [engine.opened.cut(picture, engine.lock.grid.tile_tokens) for picture in frames]
    times = [1.25, 3.75, 6.25, 8.75]
    tracks = engine.lock.film_tracks
    request = replace(engine.read([film_message(times, tracks=tracks)], seen), captions=True)
    options = Options(max_tokens=400, temperature=1.0, seed=3, schema=schema(times, tracks=tracks))
    # What is taken over from before is summed otherwise in its last bits, and a sampled answer may show it.
    with Engine(DEFAULT_BUNDLE, threads=1, runtime="inproc") as fresh:
        said = read(drain(fresh.generate(request, options, None, 0.0)).text, times, tracks=tracks)
    with Engine(DEFAULT_BUNDLE, threads=1, runtime="inproc") as fresh:
        made = described(fresh, film, frames=4)
    assert made.usage.prompt_tokens == request.tokens
    assert _words(made) == [(s.name, s.attributes, [a.action for a in s.actions]) for s in said.subjects]
    assert made.description.caption == said.caption.strip()


@pytest.fixture
def turned(tmp_path: Path) -> tuple[Path, bool]:
    """The default, but asked for tracks if it writes none, and for none if it does; and whether it is."""
    lock = json.loads((DEFAULT_BUNDLE / LOCK_NAME).read_text())
    lock["film_tracks"] = not lock.get("film_tracks", False)
    for file in lock["files"].values():
        (tmp_path / file["path"]).symlink_to(DEFAULT_BUNDLE / file["path"])
    (tmp_path / LOCK_NAME).write_text(json.dumps(lock))
    return tmp_path, lock["film_tracks"]


@pytest.mark.usefixtures("brief")
def test_the_lock_says_whether_subjects_are_tracked(engine: Engine, turned: tuple[Path, bool], film: Path) -> None:
    bundle, tracks = turned
    with Engine(bundle, threads=1, runtime="inproc") as other:
        asked = {"max_tokens": 1200, "temperature": 1.0, "seed": 3, "frames": 6, "window": 3}
        made = {tracks: other.caption(film, **asked), not tracks: engine.caption(film, **asked)}
    assert made[True].usage.prompt_tokens > made[False].usage.prompt_tokens
    times = [frame.time for frame in made[True].frames]
    for subject in made[True].description.subjects:
        seen = [sighting.time for sighting in subject.track]
        assert seen == sorted(seen) and set(seen) <= set(times)
    assert all(not subject.track for subject in made[False].description.subjects)
    assert made[True].description.subjects


def _words(made: Captioned) -> list[Any]:
    return [(s.name, s.attributes, [a.action for a in s.actions]) for s in made.description.subjects]


@pytest.mark.usefixtures("brief")
def test_a_long_film_goes_by_windows_each_with_its_own_times(engine: Engine, film: Path) -> None:
    asked_times: list[list[float]] = []
    plain = engine.read

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "read", lambda messages, pictures: listen_to(messages, pictures, asked_times, plain))
        made = described(engine, film, frames=8, window=3)
    assert [frame.window for frame in made.frames] == [0, 0, 1, 1, 1, 2, 2, 2]
    assert [len(times) for times in asked_times] == [2, 3, 3]
    assert all(times[0] < 1.3 for times in asked_times), "each window's times begin anew"
    ends = [window.end for window in made.chosen.windows]
    assert ends == pytest.approx([2.5, 6.25, 10.0], abs=0.01)
    assert made.description.caption.count(" ") >= 2 or len(made.description.caption) <= 4 * 3 + 2


def listen_to(messages: Any, pictures: Any, heard: list[list[float]], plain: Any) -> Any:
    """Notes the times that a request tells, and reads it."""
    # With tracks a frame's number comes first.
    words = [part for part in messages[0].parts[:-1] if isinstance(part, str)]
    heard.append([float(part.rpartition(" ")[2][:-1]) for part in words])
    return plain(messages, pictures)


@pytest.mark.usefixtures("brief")
def test_a_part_of_a_film_is_looked_at_alone(engine: Engine, film: Path) -> None:
    made = described(engine, film, start=4.0, end=6.0, frames=4)
    assert [frame.time for frame in made.frames] == pytest.approx([4.25, 4.75, 5.25, 5.75])
    for span in ({"start": 10.5}, {"end": 11.0}):
        with pytest.raises(UsageError, match=r"the film is 10\.0 seconds long"):
            described(engine, film, **span)


@pytest.mark.usefixtures("brief")
def test_a_budget_is_of_all_frames_together_and_the_plan_says_what_it_costs(engine: Engine, film: Path) -> None:
    made = described(engine, film, budget=12)
    assert made.usage.image_tokens <= 12 and len(made.frames) == 4
    assert all(frame.plan.scale < 1 for frame in made.frames)


@pytest.mark.usefixtures("brief")
def test_a_picture_that_stays_is_looked_at_once(engine: Engine, write_film: WriteFilm, tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mkv", 3, times=[0, 100, 9000], codec="libx264")
    made = described(engine, path, frames=6)
    assert [round(frame.time, 1) for frame in made.frames] == [0.8]
    assert made.left_out == 5 and made.to_json()["left_out"] == 5


@pytest.mark.usefixtures("brief")
def test_scenes_are_counted_and_each_is_seen(engine: Engine, write_film: WriteFilm, tmp_path: Path) -> None:
    def draw(number: int) -> Image.Image:
        random = np.random.default_rng(number // 30 if number < 60 else 9)
        return Image.fromarray(random.integers(0, 256, (8, 12, 3), dtype=np.uint8)).resize((96, 64))

    path = write_film(tmp_path / "film.mp4", 80, draw=draw, codec="libx264")
    made = described(engine, path, choose="scenes", frames=3)
    assert made.chosen.scenes == 3
    assert [int(frame.time // 3) for frame in made.frames] == [0, 1, 2]


def test_what_does_not_become_whole_is_an_error_with_a_way_out(engine: Engine, film: Path) -> None:
    with pytest.raises(CutShortError, match=r"the frames from 0\.5 to 9\.5 s: .*max tokens 20.*raise max tokens"):
        engine.caption(film, max_tokens=20)


def test_what_is_whole_and_no_description_is_an_error(
    engine: Engine, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(description, "MOST_CAPTION_CHARACTERS", 4)
    monkeypatch.setattr(description, "MOST_SUBJECTS", 0)
    monkeypatch.setattr(
        "magicvl.edge.video.caption.schema", lambda times, tracks: {"const": {"subjects": [], "caption": "too long"}}
    )
    with pytest.raises(EngineError, match=r"the frames from .* s: the answer .* is no description of a film"):
        engine.caption(film, max_tokens=100)


@pytest.mark.usefixtures("brief")
def test_who_watches_is_told_in_order_what_happens(engine: Engine, film: Path) -> None:
    heard: list[tuple[str, Any]] = []

    def chosen(film: Film, chosen: Chosen) -> None:
        heard.append(("chosen", len(chosen.times)))

    watcher = Watcher(
        progress=lambda stage, done, total: heard.append((stage, (done, total))),
        chosen=chosen,
        frame=lambda frame: heard.append(("seen", frame.time)),
    )
    caption(engine, film, asked(frames=3, max_tokens=400, temperature=1.0, seed=3), watcher)
    frames = [told for stage, told in heard if stage == "frame"]
    assert heard[0] == ("chosen", 3)
    assert frames == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert [stage for stage, _ in heard if stage in ("frame", "seen")] == ["frame", *["seen", "frame"] * 3]
    stages = [stage for stage, _ in heard]
    assert stages.index("tile") > stages.index("seen") and "prompt token" in stages


def test_a_watcher_who_has_enough_leaves_the_engine_usable(engine: Engine, film: Path) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if stage == "token of at most" and done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.caption(film, progress=stop)
    assert engine.ask(Image.new("RGB", (64, 64)), "What is it?", max_tokens=2) is not None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"choose": "best"}, "frames chosen by 'best': there are uniform, scenes"),
        ({"start": -1.0}, "start -1: it must be 0 or more seconds"),
        ({"start": 3.0, "end": 2.0}, "the end must be after the start"),
        ({"max_tokens": 0}, "max tokens 0"),
        ({"seed": 3}, "seed 3 has no effect at temperature 0"),
        ({"frames": 0}, "0 frames"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_a_film_is_opened(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        asked(**arguments)


def test_the_prompt_that_is_asked_is_the_trained_one_or_the_user_s() -> None:
    assert Asked().prompt == description.PROMPT
    assert asked(prompt="What moves?", frames=3).wish.frames == 3


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (3, 3, 1), (5, 4, 2), (17, 5, 4)])
def test_a_sheet_has_every_frame_in_its_place(
    count: int, columns: int, rows: int, numbered: Callable[[int], Image.Image], number: Callable[[Image.Image], int]
) -> None:
    sheet = Sheet()
    for place in range(count):
        sheet.add(Frame(0.5 * place, 0.0, numbered(place)))
    drawn = sheet.draw()
    high = round(WIDTH * 64 / 96)
    assert drawn.size == (columns * (WIDTH + GAP) + GAP, rows * (high + GAP) + GAP)
    for place in range(count):
        row, column = divmod(place, columns)
        left, top = GAP + column * (WIDTH + GAP), GAP + row * (high + GAP)
        small = drawn.crop((left, top + high // 5, left + WIDTH, top + high)).resize((96, 51))
        assert number(small) == place
        corner = np.asarray(drawn.crop((left + 6, top + 4, left + 30, top + 20)))
        assert corner.min() < 60 and corner.max() > 230, "its time stands in the corner"


def test_a_sheet_marks_where_subjects_are(numbered: Callable[[int], Image.Image]) -> None:
    sheet = Sheet()
    for place in range(3):
        sheet.add(Frame(0.5 * place, 0.0, numbered(place)))
    track = tuple(Sighting(time, 0.75, 0.5, 0.35, "") for time in (0.5, 1.0))
    plain, marked = (np.asarray(sheet.draw(who)).astype(int) for who in ((), [Subject("bar", (), (), track)]))
    changed = abs(plain - marked).sum(-1) > 30
    high = round(WIDTH * 64 / 96)
    cells = [changed[:, GAP + (WIDTH + GAP) * place :][:, :WIDTH] for place in range(3)]
    assert not cells[0].any() and np.array_equal(cells[1], cells[2])
    rows, columns = np.nonzero(cells[1])
    assert columns.min() > WIDTH / 2 and (columns.min() + columns.max()) / 2 == pytest.approx(0.75 * WIDTH, abs=2)
    assert (rows.min() + rows.max()) / 2 - GAP == pytest.approx(0.5 * high, abs=2)
    assert columns.max() - columns.min() == pytest.approx(0.35 * high, abs=4)
