"""Judges by name: what commands and configs call them.

    words                    no model: words alone
    embedding                no language model: words and a sentence embedding
    FILE.gguf                a chat model in this process
    https://HOST/v1#MODEL    an OpenAI-compatible endpoint; its key is read from MAGICVL_JUDGE_KEY

A language model is tried on planted truths before it is trusted, and refused where it cannot judge. The two others are
what remains where none is good enough; their names say that they are no language models.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from magicvl.errors import UsageError
from magicvl.train.rewards.agreement import Agreement, Progress, measure, measure_judge, require
from magicvl.train.rewards.chooser import Chooser
from magicvl.train.rewards.embedding import Embedder
from magicvl.train.rewards.endpoint import Endpoint, EndpointSettings
from magicvl.train.rewards.entailment import WordEntailer
from magicvl.train.rewards.event_judge import AskedJudge, EventJudge, JudgedEntailer, LikelihoodJudge
from magicvl.train.rewards.event_score import Entailer
from magicvl.train.rewards.gguf_model import GgufModel
from magicvl.train.rewards.planted import PlantedFilm, planted_films
from magicvl.train.rewards.verdicts import KeptVerdicts

Plain = Literal["words", "embedding"]
PLAIN: tuple[Plain, ...] = get_args(Plain)


@dataclass(frozen=True)
class Opened:
    """A language model that is open: how it is asked, and the file itself where it is one."""

    model: Chooser
    """With its verdicts kept."""
    gguf: GgufModel | None

    def judges(self) -> list[EventJudge]:
        """All ways in which it can judge."""
        asked: list[EventJudge] = [AskedJudge(self.model)]
        return asked if self.gguf is None else [*asked, LikelihoodJudge(self.gguf)]


def plain_entailer(name: str) -> WordEntailer | None:
    """The judge of that name that needs no language model; None for another name."""
    if name not in PLAIN:
        return None
    return WordEntailer(Embedder() if name == "embedding" else None)


@contextmanager
def open_model(spec: str, kept: Path | None = None, threads: int | None = None) -> Iterator[Opened]:
    """A GGUF file or an endpoint; verdicts are kept in the folder `kept`.

    Raises UsageError for a name that is neither, BundleError for a damaged file.
    """
    with ExitStack() as owned:
        gguf: GgufModel | None = None
        model: Chooser
        if "://" in spec:
            url, _, name = spec.partition("#")
            model = Endpoint(EndpointSettings(url, name))
        elif Path(spec).is_file():
            gguf = owned.enter_context(GgufModel(Path(spec), threads))
            model = gguf
        else:
            raise UsageError(
                f"judge {spec!r}: no such file; give {', '.join(PLAIN)}, a GGUF file or https://HOST/v1#MODEL"
            )
        if kept is not None:
            model = owned.enter_context(KeptVerdicts(model, kept))
        yield Opened(model, gguf)


def agreements(opened: Opened, films: Sequence[PlantedFilm], progress: Progress | None = None) -> list[Agreement]:
    """How a language model does on planted truths, in each of its ways."""
    return [measure_judge(judge, films, progress) for judge in opened.judges()]


@contextmanager
def trusted_entailer(
    spec: str, kept: Path | None = None, threads: int | None = None, progress: Progress | None = None
) -> Iterator[tuple[Entailer, Agreement]]:
    """The judge of that name with its agreement on the planted films in natural language.

    Raises MagicVLError, in one line with its scores, for a language model that cannot judge; UsageError, BundleError.
    """
    plain = plain_entailer(spec)
    if plain is not None:
        yield plain, require(measure(plain, planted_films(), progress))
        return
    with open_model(spec, kept, threads) as opened:
        yield trusted_judge(opened, progress)


def trusted_judge(opened: Opened, progress: Progress | None = None) -> tuple[Entailer, Agreement]:
    """A language model in that of its ways which does best on planted films.

    Raises MagicVLError, in one line with its scores, for one that cannot judge.
    """
    judges = opened.judges()
    found = agreements(opened, planted_films(), progress)
    best = max(range(len(found)), key=lambda place: (found[place].trusted, found[place].balanced))
    agreement = require(found[best])
    assert agreement.line is not None
    return JudgedEntailer(judges[best], agreement.line), agreement
