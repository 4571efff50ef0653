"""Held-out generated clips as a suite: what happens in them is known exactly."""

import hashlib
import re

from magicvl.bench.accuracy.answers import picture_digest
from magicvl.bench.video.clip_film import ClipFilm
from magicvl.bench.video.form_part import FormPart
from magicvl.bench.video.item import VideoItem
from magicvl.bench.video.measures import ACTION_LINES, EVENT_LINES, EVENTS, FORM_LINES, OBJECT_LINES
from magicvl.bench.video.part import Part
from magicvl.bench.video.subjects_part import SubjectsPart
from magicvl.bench.video.suite import VideoSuite
from magicvl.bench.video.told_part import ToldPart
from magicvl.bench.video.tools import Tools, events_judged
from magicvl.edge.video.choose import uniform_times
from magicvl.errors import UsageError
from magicvl.train.clips.clip import Clip
from magicvl.train.clips.make import STYLES, make_clip
from magicvl.train.generator.dataset import SPLITS

NAME = "clips"
STYLE = "shapes/mixed"
SPLIT = "test"
SEED = 0
"""Where nothing else is said; a split's clips are others than training's whatever the seed."""
CLIPS = 200
"""Where nothing else is said."""
DIGEST_FRAMES = 4
"""Whose pixels tell one clip from another."""
_NAME = re.compile(rf"(?:(?P<split>\w+):)?{NAME}(?:/(?P<style>[\w/]+))?(?:@(?P<seed>\d{{1,9}}))?")


def clips_suite(name: str, clips: int | None) -> VideoSuite | None:
    """The suite `[SPLIT:]clips[/STYLE][@SEED]`, so many clips; None where the name is of another kind.

    Raises UsageError for a style, split or seed that there is not, and for the split of training.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    split, style = found["split"] or SPLIT, found["style"] or STYLE
    style = style if "/" in style else f"{style}/mixed"
    if style not in STYLES or split not in SPLITS:
        raise UsageError(f"suite {name}: styles are {', '.join(STYLES)}; splits {', '.join(SPLITS)}")
    if split == "train":
        raise UsageError(f"suite {name}: what is trained on tells nothing; take test, style or validation")
    known, seed = SPLITS[SPLITS.index(split)], int(found["seed"] or SEED)
    made = (make_clip(seed, index, known, style) for index in range(CLIPS if clips is None else clips))
    return VideoSuite(
        name,
        tuple(map(clip_item, made)),
        _parts,
        (*EVENT_LINES, *ACTION_LINES, *OBJECT_LINES, *FORM_LINES),
        events_judged,
    )


def _parts(tools: Tools) -> tuple[Part, ...]:
    return ToldPart("event", EVENTS, tools.entailer, tools.extract), SubjectsPart(tools.similarity), FormPart()


def clip_item(clip: Clip) -> VideoItem:
    """A clip as it is scored."""
    groups = {"subjects": f"{len(clip.subjects)}", "events": f"{len(clip.events)}"}
    return VideoItem(clip.id, lambda: ClipFilm(clip), lambda: _digest(clip), clip.reference, groups=groups)


def _digest(clip: Clip) -> str:
    digests = [picture_digest(clip.picture(seconds)) for seconds in uniform_times(clip.seconds, DIGEST_FRAMES)]
    return hashlib.sha256(" ".join([clip.id, *digests]).encode()).hexdigest()
