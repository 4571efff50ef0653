"""Asks a bundle the questions of a suite: one call of the engine each, the likeliest token at each step."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from magicvl.bench.accuracy.answers import Answers, Kept, answer_key, picture_digest
from magicvl.bench.accuracy.question import Item, Question, Scored, Suite
from magicvl.edge.batch_output import lock_digest
from magicvl.edge.engine import Engine
from magicvl.errors import EngineError, PictureError

Progress = Callable[[int, int], None]
"""Items done, and in all."""
Watch = Callable[[Scored, Item], None]
"""Told of each answer, while its pictures are at hand."""


@dataclass(frozen=True)
class Asked:
    """A suite that a bundle was asked."""

    bundle: str
    """What tables call it."""
    suite: Suite
    answers: tuple[Scored, ...]
    visual_tokens: int
    """Of the pictures of all questions."""
    cut_short: int
    """Answers that a limit ended."""

    def to_json(self) -> dict[str, object]:
        """What it took, as `--json` has it."""
        return {
            "bundle": self.bundle,
            "suite": self.suite.name,
            "questions": len(self.answers),
            "visual_tokens": self.visual_tokens,
            "cut_short": self.cut_short,
        }


def ask_suite(
    engine: Engine,
    suite: Suite,
    *,
    bundle: str,
    kept: Answers,
    budget: int | None,
    progress: Progress,
    watch: Watch,
) -> Asked:
    """Every question of a suite, answered and scored; those that `kept` has are not asked again.

    Raises PictureError, EngineError, MagicVLError with the question's name in front.
    """
    answers: list[Scored] = []
    tokens = cut = 0
    digest = lock_digest(engine.lock)
    for number, item in enumerate(suite.draw()):
        progress(number, suite.items)
        for question, said in _ask_item(engine, item, digest, suite.name, bundle, kept, budget):
            scored = Scored(question, item.cluster, said.answer, question.score(said.answer))
            watch(scored, item)
            answers.append(scored)
            tokens += said.visual_tokens
            cut += said.finish_reason != "stop"
    progress(suite.items, suite.items)
    return Asked(bundle, suite, tuple(answers), tokens, cut)


def _ask_item(
    engine: Engine, item: Item, digest: str, suite: str, bundle: str, kept: Answers, budget: int | None
) -> Iterator[tuple[Question, Kept]]:
    digests = [picture_digest(source) for source in item.pictures]
    for question in item.questions:
        key = answer_key(digest, question, digests, budget)
        said = kept.get(key)
        if said is None:
            said = _answer(engine, item, question, suite, budget)
            kept.add(key, said, bundle=bundle, suite=suite, id=question.id, prompt=question.prompt)
        yield question, said


def _answer(engine: Engine, item: Item, question: Question, suite: str, budget: int | None) -> Kept:
    try:
        said = engine.answer(
            item.pictures,
            question.prompt,
            max_tokens=question.max_tokens,
            budget=budget,
            choices=question.choices,
        )
    except (PictureError, EngineError) as error:
        raise type(error)(f"{suite} {question.id}: {error}") from None
    return Kept(said.text, said.finish_reason, said.usage.image_tokens)


def bundle_names(paths: list[Path]) -> list[str]:
    """Short names of bundles for tables: the folder's, or the whole path where two are called the same."""
    names = [path.resolve().name for path in paths]
    return [name if names.count(name) == 1 else str(path) for name, path in zip(names, paths, strict=True)]
