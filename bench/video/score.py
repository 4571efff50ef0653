"""Texts about the films of a suite, scored: how they came to be makes no difference."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from magicvl.bench.video.estimates import Arm, make_arm
from magicvl.bench.video.form_part import mark_commonest
from magicvl.bench.video.item import VideoItem
from magicvl.bench.video.part import Part, Told, Verdict
from magicvl.bench.video.runs import Run
from magicvl.bench.video.suite import VideoSuite
from magicvl.bench.video.texts import Said
from magicvl.bench.video.tools import Tools
from magicvl.edge.video.choose import uniform_times
from magicvl.edge.video.description import Description
from magicvl.train.rewards.format_score import read_or_none

Progress = Callable[[int, int], None]
"""Films done, and in all."""


@dataclass(frozen=True)
class Scored:
    """A text about a film, and all that is said of it."""

    item: VideoItem
    told: Told
    columns: Mapping[str, float]
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class ScoredRun:
    """A run on a suite."""

    run: Run
    suite: VideoSuite
    films: tuple[Scored, ...]
    judged: str
    """Who said what is right."""


def score_run(
    run: Run, suite: VideoSuite, texts: Sequence[Said], tools: Tools, *, frames: int, progress: Progress
) -> ScoredRun:
    """Scores a text for each film of a suite; `frames` is how many the suite shows of each.

    Raises PictureError where a film cannot be opened, MagicVLError where a judge cannot be asked.
    """
    scored, parts = [], suite.parts(tools)
    for number, (item, said) in enumerate(zip(suite.items, texts, strict=True)):
        progress(number, len(suite.items))
        scored.append(score_text(parts, item, said, frames))
    progress(len(suite.items), len(suite.items))
    common = mark_commonest([each.told.caption for each in scored])
    films = (replace(each, columns={**each.columns, **more}) for each, more in zip(scored, common, strict=True))
    return ScoredRun(run, suite, tuple(films), suite.judged(tools))


def score_text(parts: Sequence[Part], item: VideoItem, said: Said, frames: int) -> Scored:
    """All that the parts of a suite say of a text about one of its films."""
    told = read_told(item, said, frames)
    found = [part(item, told) for part in parts]
    columns = {name: value for each in found for name, value in each.columns.items()}
    return Scored(item, told, columns, tuple(verdict for each in found for verdict in each.verdicts))


def read_told(item: VideoItem, said: Said, frames: int) -> Told:
    """What a text says, with what is true of the frames that its model saw."""
    times = uniform_times(item.open().seconds, frames) if said.times is None else said.times
    caption = " ".join(said.text.split())
    if said.plain:
        described = Description((), caption) if caption else None
    else:
        described = read_or_none(said.text, times)
    tracks = described is None and not said.plain
    if tracks:
        # A model that writes tracks has them in every description.
        described = read_or_none(said.text, times, tracks=True)
    return Told(said.text, times, described, said.plain, item.reference(times), tracks)


def make_arms(runs: Sequence[ScoredRun]) -> list[Arm]:
    """The runs of one suite by arm, in the order in which arms come first."""
    arms: dict[str, dict[str, dict[str, Mapping[str, float]]]] = {}
    for each in runs:
        films = {film.item.id: film.columns for film in each.films}
        arms.setdefault(each.run.arm, {})[each.run.seed] = films
    return [make_arm(name, found) for name, found in arms.items()]


def grouped(suite: VideoSuite) -> dict[str, dict[str, list[str]]]:
    """Films by kind of group and group, where there is more than one group."""
    kinds: dict[str, dict[str, list[str]]] = {}
    for item in suite.items:
        for kind, name in item.groups.items():
            kinds.setdefault(kind, {}).setdefault(name, []).append(item.id)
    return {kind: dict(sorted(groups.items())) for kind, groups in kinds.items() if len(groups) > 1}
