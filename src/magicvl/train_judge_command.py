"""`magicvl train judge`: whether judges of captions can judge, on planted truths."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from magicvl.command_options import progress_line
from magicvl.errors import MagicVLError, UsageError
from magicvl.train.rewards.agreement import Agreement, measure, require
from magicvl.train.rewards.judge_figure import draw
from magicvl.train.rewards.judge_report import Tried, TriedWhole
from magicvl.train.rewards.open_judge import Opened, agreements, open_model, plain_entailer
from magicvl.train.rewards.planted import PlantedFilm, planted_films
from magicvl.train.rewards.planted_clips import clip_films
from magicvl.train.rewards.whole_agreement import good_captions, measure_completeness, measure_naturalness
from magicvl.train.rewards.whole_agreement import require as require_whole
from magicvl.train.rewards.whole_caption import AskedNaturalness, Naturalness, likely_naturalness

Note = Callable[[str], None]
Films = dict[str, list[PlantedFilm]]
"""By what they are called."""


@dataclass(frozen=True)
class JudgeCall:
    """The options of `train judge`."""

    judges: tuple[str, ...]
    clips: int = 0
    """Generated films beside those in natural language."""
    seed: int = 0
    whole: bool = False
    """Whether language models are also tried at completeness and naturalness."""
    kept: Path | None = None
    """Folder of verdicts."""
    figure: Path | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.clips < 0 or self.clips == 1:
            raise UsageError(
                f"--clips {self.clips}: it must be 0, or at least 2: one half is tried by the other's line"
            )


@dataclass(frozen=True)
class Judged:
    """What was found, and the judges that are refused: a line each."""

    tried: tuple[Tried, ...]
    whole: tuple[TriedWhole, ...]
    refused: tuple[str, ...]


def judge(call: JudgeCall) -> Judged:
    """Tries each judge on each set of films. Raises UsageError, BundleError, MagicVLError for one without verdict."""
    films: Films = {"films in natural language": planted_films()}
    if call.clips:
        films["generated clips"] = clip_films(call.clips, call.seed)
    found: dict[str, list[Agreement]] = {name: [] for name in films}
    whole: list[TriedWhole] = []
    refused: list[str] = []
    for spec in call.judges:
        plain = plain_entailer(spec)
        if plain is not None:
            rows = {name: [measure(plain, each, progress_line())] for name, each in films.items()}
        else:
            with open_model(spec, call.kept, call.threads) as opened:
                rows = {name: agreements(opened, each, progress_line()) for name, each in films.items()}
                if call.whole:
                    whole.append(_whole(opened, films["films in natural language"], refused))
        for name, each in rows.items():
            found[name] += each
        _note_refused(max(rows["films in natural language"], key=_trust), refused)
    tried = tuple(Tried(f"{len(films[name])} {name}", tuple(each)) for name, each in found.items())
    if call.figure is not None:
        draw(tried, call.figure)
    return Judged(tried, tuple(whole), tuple(refused))


def _trust(agreement: Agreement) -> tuple[bool, float]:
    return agreement.trusted, agreement.balanced


def _note_refused(best: Agreement, refused: list[str]) -> None:
    try:
        require(best)
    except MagicVLError as error:
        refused.append(str(error))


def _whole(opened: Opened, films: Sequence[PlantedFilm], refused: list[str]) -> TriedWhole:
    ways: dict[str, Naturalness] = {"asked": AskedNaturalness(opened.model)}
    if opened.gguf is not None:
        ways["likelihood"] = likely_naturalness(opened.gguf, good_captions(films))
    completeness = measure_completeness(opened.model, films)
    naturalness = {way: measure_naturalness(each, films) for way, each in ways.items()}
    try:
        best = max(naturalness.values(), key=lambda rows: sum(row.ordered for row in rows))
        require_whole(opened.model.name, completeness, best)
    except MagicVLError as error:
        refused.append(str(error))
    return TriedWhole(opened.model.name, completeness, naturalness)
