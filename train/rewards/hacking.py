"""What a model does that is paid for words and not for seeing: plotted over training, never rewarded.

Pure functions of texts. Each is told as a share from 0 to 1, or as a number of words; none is proof: a film in which
little happens has short, common captions.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Self

from magicvl.edge.video.description import Description, Subject
from magicvl.train.rewards.words import content, words

GRAM = 3
"""Words of a phrase that may repeat."""
FILLERS = frozenset("thing object something someone somebody subject item element stuff entity video scene".split())
"""Names that fit anything."""


@dataclass(frozen=True)
class Signs:
    """Of some answers together."""

    caption_words: float
    """Mean length."""
    repeated: float
    """Mean share of phrases of three words that stood in the same caption before."""
    copied: float
    """Mean share of the captions' words that stand in the think part."""
    commonest: float
    """Share of the answers that have the commonest caption."""
    empty: float
    """Share of subjects without attributes and actions, and of answers without subjects."""
    filler: float
    """Share of subjects whose name fits anything."""
    doubled: float
    """Share of subjects, attributes and actions that stood in the same list before."""

    @classmethod
    def of(cls, answers: Sequence[Description]) -> Self:
        """Measures some answers; all 0 for none."""
        if not answers:
            return cls(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        captions = [each.caption for each in answers]
        return cls(
            _mean([len(words(each)) for each in captions]),
            _mean([repeated(each) for each in captions]),
            _mean([copied(each) for each in answers]),
            commonest(captions),
            _mean([empty(each) for each in answers]),
            _mean([filler(each) for each in answers]),
            _mean([doubled(each) for each in answers]),
        )

    def to_log(self) -> dict[str, float]:
        """By name, for a log."""
        return dict(zip(self.__dataclass_fields__, astuple(self), strict=True))


def repeated(text: str, gram: int = GRAM) -> float:
    """Share of a text's phrases of so many words that stood in it before."""
    said = [word.text for word in words(text)]
    grams = [tuple(said[place : place + gram]) for place in range(len(said) - gram + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def copied(answer: Description) -> float:
    """Share of the caption's content words that stand in the think part, counted as often as they stand there."""
    caption = Counter(word.lemma for word in content(answer.caption))
    thought = Counter(word.lemma for subject in answer.subjects for word in content(_told(subject)))
    return (caption & thought).total() / caption.total() if caption else 0.0


def plain(caption: str) -> str:
    """What two captions that count as the same have alike: capitals and spaces aside."""
    return " ".join(caption.lower().split())


def commonest(captions: Sequence[str]) -> float:
    """Share of a batch that has its commonest caption."""
    counts = Counter(map(plain, captions))
    return counts.most_common(1)[0][1] / len(captions) if captions else 0.0


def empty(answer: Description) -> float:
    """Share of subjects of which nothing is said; 1 where there are none."""
    return _mean([not each.attributes and not each.actions for each in answer.subjects], 1.0)


def filler(answer: Description) -> float:
    """Share of subjects that are called a thing, an object, ..."""
    return _mean([{word.lemma for word in content(each.name)} <= FILLERS for each in answer.subjects])


def doubled(answer: Description) -> float:
    """Share of subjects, and of each subject's attributes and actions, that stood in the same list before."""
    lists = [[repr(each) for each in answer.subjects]]
    lists += [list(each.attributes) for each in answer.subjects]
    lists += [[each.action for each in subject.actions] for subject in answer.subjects]
    every = sum(map(len, lists))
    return sum(len(each) - len(set(each)) for each in lists) / every if every else 0.0


def _told(subject: Subject) -> str:
    return " ".join([subject.name, *subject.attributes, *(each.action for each in subject.actions)])


def _mean(values: Sequence[float], none: float = 0.0) -> float:
    return sum(values) / len(values) if values else none
