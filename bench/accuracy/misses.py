"""Questions that were answered wrongly: some of each task, with their pictures small."""

from dataclasses import dataclass

from PIL import Image

from magicvl.bench.accuracy.question import Item, Scored
from magicvl.edge.pixels import open_picture

WRONG = 0.5
"""Score below which an answer is a failure."""
SIDE = 360
"""Most px of a kept picture's side."""


@dataclass(frozen=True)
class Miss:
    """A question that was answered wrongly."""

    bundle: str
    suite: str
    scored: Scored
    picture: Image.Image | None
    """The first picture, made small; None without one."""

    @property
    def task(self) -> str:
        """What the table calls such questions."""
        return _task(self.scored)

    def to_json(self) -> dict[str, object]:
        """As `--json` has it."""
        return {
            "bundle": self.bundle,
            "suite": self.suite,
            "id": self.scored.question.id,
            "task": self.task,
            "prompt": self.scored.question.prompt,
            "expected": self.scored.question.truth,
            "answer": self.scored.answer,
            "score": round(self.scored.score, 6),
            "picture": int(self.scored.cluster) if self.scored.cluster.isdecimal() else self.scored.cluster,
        }

    def to_text(self) -> str:
        """One line."""
        asked = self.scored.question
        prompt = " ".join(asked.prompt.split())
        return (
            f"{self.task:<12} picture {self.scored.cluster}: {prompt} {asked.truth!r}, answered {self.scored.answer!r}"
        )


class Misses:
    """Collects failures of one bundle and suite: the first few of each task, so that memory is bounded."""

    def __init__(self, bundle: str, suite: str, most: int) -> None:
        self._bundle = bundle
        self._suite = suite
        self._most = most
        self._tasks: dict[str, list[Miss]] = {}

    def watch(self, scored: Scored, item: Item) -> None:
        """Keeps an answer that is a failure and still wanted."""
        if scored.score >= WRONG or self._most < 1:
            return
        kept = self._tasks.setdefault(_task(scored), [])
        if len(kept) < self._most:
            kept.append(Miss(self._bundle, self._suite, scored, _small(item)))

    def some(self) -> list[Miss]:
        """At most as many as were asked for, taken from each task in turn."""
        depth = max(map(len, self._tasks.values()), default=0)
        turns = [kept[place] for place in range(depth) for kept in self._tasks.values() if place < len(kept)]
        return turns[: self._most]


def _task(scored: Scored) -> str:
    return scored.group("task") or scored.group("category") or "all"


def _small(item: Item) -> Image.Image | None:
    if not item.pictures:
        return None
    picture = open_picture(item.pictures[0]).copy()
    picture.thumbnail((SIDE, SIDE))
    return picture
