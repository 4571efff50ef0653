"""What is seen in a film, as VideoCap-R1 thinks before it speaks: the subjects first, then a caption that follows.

The model writes it as one JSON object, whose order is the order of thought; `schema` is what it is held to.

    {"subjects": [{"name": "circle", "attributes": ["red"],
                   "actions": [{"from": 0.5, "to": 2, "action": "moves left"}]}],
     "caption": "A red circle moves left."}

A model that was taught `tracks` has numbers before its frames' times, and writes where each subject is frame by frame
before what it does: `"track": "1 743 red;2 643 red;"` (magicvl.edge.video.track).

Source: arXiv 2506.01725; the tracks are our own.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from magicvl.edge.prompt import Message, Picture
from magicvl.edge.video.track import MOST_FRAMES, Sighting, read_track, track_pattern, write_track
from magicvl.errors import EngineError

PROMPT = "Describe the video."
"""What is asked where the user asks nothing else; what captions are trained with."""

MOST_SUBJECTS = 8
MOST_ATTRIBUTES = 6
MOST_ACTIONS = 8
MOST_WORDS_CHARACTERS = 60
"""Of a name, an attribute or an action."""
MOST_CAPTION_CHARACTERS = 1_000


@dataclass(frozen=True)
class Action:
    """What a subject does."""

    action: str
    """Such as `moves left`."""
    times: tuple[float, ...]
    """Seconds from the film's beginning: the frames that it was seen in, in order."""


@dataclass(frozen=True)
class Subject:
    """Who or what is seen."""

    name: str
    attributes: tuple[str, ...]
    actions: tuple[Action, ...]
    track: tuple[Sighting, ...] = ()
    """Where it is seen, in order of time; empty where the model writes no tracks."""


@dataclass(frozen=True)
class Description:
    """A whole answer about a film."""

    subjects: tuple[Subject, ...]
    caption: str

    def to_json(self) -> dict[str, object]:
        """The object that `magicvl caption --json` prints: actions with the times of their frames."""
        return {
            "subjects": [
                {
                    "name": subject.name,
                    "attributes": list(subject.attributes),
                    "actions": [
                        {"action": each.action, "times": [round(when, 3) for when in each.times]}
                        for each in subject.actions
                    ],
                    "track": [each.to_json() for each in subject.track],
                }
                for subject in self.subjects
            ],
            "caption": self.caption,
        }


def time_text(seconds: float) -> str:
    """A frame's time as the model reads and writes it: seconds with one decimal at most."""
    return f"{seconds:.1f}".removesuffix(".0")


def film_message(times: Sequence[float], prompt: str = PROMPT, *, tracks: bool = False) -> Message:
    """The user's turn: each frame, picture i of the request, with its time before it, then the prompt.

    With `tracks` the time has the frame's number before it.
    """
    parts: list[str | Picture] = []
    for number, seconds in enumerate(times):
        counted = f"{number + 1}: " if tracks else ""
        parts += [f"{counted}{time_text(seconds)}s", Picture(number)]
    return Message("user", (*parts, prompt))


def schema(times: Sequence[float], *, tracks: bool = False) -> dict[str, Any]:
    """The JSON Schema of what the model may write about frames of those times.

    An action cannot end before it begins. When comes before what, so that a grammar knows at once where it is. More
    than MOST_FRAMES frames have no tracks.
    """
    words = {"type": "string", "minLength": 1, "maxLength": MOST_WORDS_CHARACTERS}
    shown = [float(time_text(each)) for each in times]
    spans = [
        _closed({"from": {"const": _number(first)}, "to": {"enum": list(map(_number, shown[i:]))}, "action": words})
        for i, first in enumerate(shown)
    ]
    subject = {
        "name": words,
        "attributes": {"type": "array", "items": words, "maxItems": MOST_ATTRIBUTES},
        **(
            {"track": {"type": "string", "pattern": f"^{track_pattern(len(times))}$"}}
            if _has_tracks(tracks, times)
            else {}
        ),
        "actions": {"type": "array", "items": {"anyOf": spans}, "maxItems": MOST_ACTIONS},
    }
    caption = {"type": "string", "minLength": 1, "maxLength": MOST_CAPTION_CHARACTERS}
    subjects = {"type": "array", "items": _closed(subject), "maxItems": MOST_SUBJECTS}
    return _closed({"subjects": subjects, "caption": caption})


def write(description: Description, times: Sequence[float] = (), *, tracks: bool = False) -> str:
    """The text that a model should have written: what training teaches. An action without times cannot be written.

    `times` are those of all frames, which tracks name by their numbers.
    """
    subjects = [
        {
            "name": subject.name,
            "attributes": list(subject.attributes),
            **({"track": write_track(subject.track, times)} if _has_tracks(tracks, times) else {}),
            "actions": [
                {"from": _shown(each.times[0]), "to": _shown(each.times[-1]), "action": each.action}
                for each in subject.actions
            ],
        }
        for subject in description.subjects
    ]
    return json.dumps({"subjects": subjects, "caption": description.caption}, ensure_ascii=False, separators=(",", ":"))


def read(text: str, times: Sequence[float], *, tracks: bool = False) -> Description:
    """What a model wrote about frames of those times; an action's times are all frames from its first to its last.

    Raises EngineError for a text that `schema` does not allow, and for words that are nothing but spaces.
    """
    try:
        found = _object(json.loads(text), ("subjects", "caption"))
        subjects = _list(found["subjects"], MOST_SUBJECTS)
        caption = _words(found["caption"], MOST_CAPTION_CHARACTERS)
        return Description(tuple(_subject(each, times, _has_tracks(tracks, times)) for each in subjects), caption)
    except (ValueError, RecursionError) as error:
        raise EngineError(f"the answer of {len(text):,} characters is no description of a film: {error}") from error


def _subject(found: object, times: Sequence[float], tracked: bool) -> Subject:
    subject = _object(found, ("name", "attributes", *(("track",) if tracked else ()), "actions"))
    return Subject(
        _words(subject["name"], MOST_WORDS_CHARACTERS),
        tuple(_words(each, MOST_WORDS_CHARACTERS) for each in _list(subject["attributes"], MOST_ATTRIBUTES)),
        tuple(_action(each, times) for each in _list(subject["actions"], MOST_ACTIONS)),
        _track(subject["track"], times) if tracked else (),
    )


def _has_tracks(tracks: bool, times: Sequence[float]) -> bool:
    """Whether descriptions of frames of those times have tracks."""
    return tracks and len(times) <= MOST_FRAMES


def _track(found: object, times: Sequence[float]) -> tuple[Sighting, ...]:
    if not isinstance(found, str):
        raise ValueError("a track is a text")
    return read_track(found, times)


def _action(found: object, times: Sequence[float]) -> Action:
    action = _object(found, ("from", "to", "action"))
    shown = [_shown(each) for each in times]
    first, last = (_place(action[key], shown) for key in ("from", "to"))
    if first > last:
        raise ValueError(f"an action from {action['from']} s to {action['to']} s")
    return Action(_words(action["action"], MOST_WORDS_CHARACTERS), tuple(times[first : last + 1]))


def _place(found: object, shown: Sequence[float | int]) -> int:
    if isinstance(found, bool) or found not in shown:
        raise ValueError(f"{found!r} is the time of no frame")
    return shown.index(found)


def _object(found: object, keys: Sequence[str]) -> dict[str, object]:
    if not isinstance(found, dict) or set(found) != set(keys):
        raise ValueError(f"an object with {', '.join(keys)} is due")
    return found


def _list(found: object, most: int) -> list[object]:
    if not isinstance(found, list) or len(found) > most:
        raise ValueError(f"a list of at most {most} is due")
    return found


def _words(found: object, most: int) -> str:
    if not isinstance(found, str) or not found.strip() or len(found) > most:
        raise ValueError(f"words of 1 to {most:,} characters are due")
    return found


def _shown(seconds: float) -> float | int:
    return _number(float(time_text(seconds)))


def _number(value: float) -> float | int:
    """Whole seconds without a decimal: 2, not 2.0."""
    return int(value) if value == int(value) else value


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False,
    }  # fmt: skip
