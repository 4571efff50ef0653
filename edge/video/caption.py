"""A film to its description: frames are chosen, looked at in order, described window by window, and joined.

film --choose--> times --decode, plan, cut--> tiles --engine, held to the schema--> text --read--> windows --join-->

Frames are decoded one at a time. Of each only its tiles are kept, and of these only one window's.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import count, groupby
from typing import TYPE_CHECKING, NamedTuple

from magicvl.edge.answer import Answer, Progress, Timings, Usage, drain
from magicvl.edge.plan import plan
from magicvl.edge.request import CutPicture
from magicvl.edge.video.asked import Asked
from magicvl.edge.video.captioned import Captioned, Chosen, LookedAt
from magicvl.edge.video.choose import scene_times, uniform_times
from magicvl.edge.video.description import Action, Description, Subject, film_message, read, schema, time_text
from magicvl.edge.video.film import Film, Frame, Note, once
from magicvl.edge.video.join import Described, join
from magicvl.edge.video.open_film import FilmSource, open_film
from magicvl.edge.video.scenes import Grey, changes, cuts
from magicvl.edge.video.share import share_out
from magicvl.edge.video.window import Window, windows
from magicvl.errors import CutShortError, EngineError, UsageError

if TYPE_CHECKING:
    from magicvl.edge.engine import Engine


@dataclass(frozen=True)
class Watcher:
    """Who wants to know how it goes on; each is called as it happens."""

    progress: Progress
    """Told of `frame`, and of what the engine counts."""
    chosen: Callable[[Film, Chosen], None] = lambda film, chosen: None
    """Told what will be looked at, before it is."""
    frame: Callable[[Frame], None] = lambda frame: None
    """Shown each frame that is looked at."""
    note: Note = lambda text: None
    """Told what is odd about the film."""


def caption(engine: "Engine", source: FilmSource, asked: Asked, watcher: Watcher) -> Captioned:
    """Describes a film.

    Raises FilmError, PictureError, UsageError, EngineError. A description that is cut short or invalid is an error too.
    """
    return _Captioning(engine, asked, watcher).run(source)


class _Look(NamedTuple):
    """A frame as the model gets it."""

    window: int
    time: float
    """In seconds from the film's beginning."""
    cut: CutPicture


class _Captioning:
    """One film on its way."""

    def __init__(self, engine: "Engine", asked: Asked, watcher: Watcher) -> None:
        self._engine = engine
        self._asked = asked
        self._watcher = watcher
        self._tracks = engine.lock.film_tracks
        self._notes: list[str] = []

    def run(self, source: FilmSource) -> Captioned:
        """Opens the film, and describes it to its end."""
        began = started = time.perf_counter()
        film = open_film(source, fps=self._asked.fps, note=once(self._watcher.note, self._notes))
        chosen = self._choose(film)
        choose_ms = (time.perf_counter() - started) * 1000
        self._watcher.chosen(film, chosen)
        looks, parts, answers = list[LookedAt](), list[Described](), list[Answer]()
        for number, group in groupby(self._looks(film, chosen), key=lambda look: look.window):
            seen = list(group)
            looks += [LookedAt(look.time, look.cut.plan, number) for look in seen]
            part, answer = self._describe(seen, chosen.windows[number], began)
            parts.append(part)
            answers.append(answer)
            began = time.perf_counter()
        return Captioned(
            description=join(parts),
            seconds=film.seconds,
            chosen=chosen,
            frames=tuple(looks),
            adapted="caption_lora" in self._engine.lock.files,
            usage=_usage(answers),
            timings_ms=_timings(answers),
            choose_ms=choose_ms,
            notes=tuple(self._notes),
        )

    def _choose(self, film: Film) -> Chosen:
        begin, end = self._span(film)
        grid = self._engine.lock.grid
        share = share_out(film, end - begin, grid, self._asked.wish, lambda count: self._room(film, count))
        found = None
        if self._asked.choose == "scenes":
            found = cuts(changes(self._watched(film.thumbnails(begin, end), begin, end)))
            times = scene_times(end - begin, share.frames, [(when - begin, change) for when, change in found])
        else:
            times = uniform_times(end - begin, share.frames)
        parts = windows([begin + when for when in times], begin, end, share.window)
        sample = plan(film.width, film.height, grid, share.frame_budget)
        return Chosen(tuple(parts), share, sample, None if found is None else len(found) + 1)

    def _span(self, film: Film) -> tuple[float, float]:
        begin, end = self._asked.start or 0.0, self._asked.end or film.seconds
        # What is asked for may be rounded.
        if begin >= film.seconds or end > film.seconds + 0.1:
            raise UsageError(
                f"{film.name}: from {begin:g} to {end:g} seconds; the film is {film.seconds:.1f} seconds long"
            )
        return begin, min(end, film.seconds)

    def _room(self, film: Film, count: int) -> int:
        """Visual tokens that so many frames may take at once."""
        each = plan(film.width, film.height, self._engine.lock.grid, self._engine.lock.grid.tile_tokens)
        # The longest times, whatever will be chosen.
        message = film_message([film.seconds] * count, self._asked.prompt, tracks=self._tracks)
        words = self._engine.text_tokens([message], [each] * count)
        return self._engine.context - self._asked.max_tokens - words

    def _watched(
        self, thumbnails: Iterator[tuple[float, Grey]], begin: float, end: float
    ) -> Iterator[tuple[float, Grey]]:
        for when, picture in thumbnails:
            self._watcher.progress("second looked through", int(when - begin), max(1, int(end - begin)))
            yield when, picture

    def _looks(self, film: Film, chosen: Chosen) -> Iterator[_Look]:
        """The frames as the model gets them; one that is on screen at two moments is looked at once."""
        places = [number for number, window in enumerate(chosen.windows) for _ in window.times]
        times, begins = chosen.times, None
        self._watcher.progress("frame", 0, len(times))
        for place, frame in enumerate(film.frames(times)):
            if frame.begins != begins:
                begins = frame.begins
                self._watcher.frame(frame)
                cut = self._engine.opened.cut(frame.picture, chosen.share.frame_budget)
                yield _Look(places[place], frame.time, cut)
            self._watcher.progress("frame", place + 1, len(times))

    def _describe(self, seen: Sequence[_Look], window: Window, began: float) -> tuple[Described, Answer]:
        """Asks for the description of a window, whose frames are told by the time since its beginning."""
        local = [look.time - window.begin for look in seen]
        message = film_message(local, self._asked.prompt, tracks=self._tracks)
        request = replace(self._engine.read([message], [look.cut for look in seen]), captions=True)
        options = self._asked.options(schema(local, tracks=self._tracks))
        where = f"the frames from {time_text(seen[0].time)} to {time_text(seen[-1].time)} s"
        try:
            pieces = self._engine.generate(request, options, None, began, self._watcher.progress)
            answer = drain(pieces, self._counter())
            found = read(answer.text, local, tracks=self._tracks)
        except CutShortError as error:
            raise CutShortError(
                f"{where}: {error} (fewer frames at once); a model that has not learned to caption may never end"
            ) from error
        except EngineError as error:
            raise EngineError(f"{where}: {error}") from error
        times = tuple(look.time for look in seen)
        return Described(times, _moved(found, dict(zip(local, times, strict=True)))), answer

    def _counter(self) -> Callable[[], None]:
        """Tells how many pieces of an answer there were; never all that there may be, which would mean its end."""
        pieces, most = count(1), self._asked.max_tokens
        return lambda: self._watcher.progress("token of at most", min(next(pieces), most - 1), most)


def _moved(found: Description, times: dict[float, float]) -> Description:
    """The same with each time as the film has it."""

    def moved(subject: Subject) -> Subject:
        actions = tuple(Action(each.action, tuple(times[when] for when in each.times)) for each in subject.actions)
        track = tuple(replace(each, time=times[each.time]) for each in subject.track)
        return replace(subject, actions=actions, track=track)

    return Description(tuple(map(moved, found.subjects)), found.caption)


def _usage(answers: Sequence[Answer]) -> Usage:
    return Usage(*(sum(getattr(answer.usage, each.name) for answer in answers) for each in fields(Usage)))


def _timings(answers: Sequence[Answer]) -> Timings:
    """Sums; what is once for all, or of the beginning, is that of the first."""
    made = {each.name: sum(getattr(answer.timings_ms, each.name) for answer in answers) for each in fields(Timings)}
    first = answers[0].timings_ms
    return Timings(**made | {"load": first.load, "first_token": first.first_token})
