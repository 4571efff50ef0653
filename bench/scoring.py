"""How right an answer is, 0 to 1, by the metrics of the field. Pure functions of texts, no model."""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

from rapidfuzz.distance import Levenshtein

from magicvl.errors import UsageError
from magicvl.train.samples.sample import Metric, Turn

Scorer = Callable[[str, str], float]
"""An answer and one truth in, 0 to 1 out."""
Corners = tuple[float, float, float, float]
"""Left, top, right, bottom in thousandths of the picture's sides."""

ANLS_LEAST = 0.5
"""Similarity below which ANLS gives nothing."""
RELAXED_CHANGE = 0.05
"""Largest relative error of a number that relaxed accuracy takes."""
IOU_LEAST = 0.5
"""Overlap from which a box counts as found."""

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)"
_BOX = re.compile(rf"[\[({{]\s*({_NUMBER})" + rf"(?:\s*,\s*|\s+)({_NUMBER})" * 3 + r"\s*[\])}]")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = frozenset({"a", "an", "the"})


def score(turn: Turn, answer: str) -> float:
    """How right `answer` is by the turn's metric: the best over its right answers. Raises UsageError."""
    scorer = SCORERS.get(turn.metric)
    if scorer is None:
        raise UsageError(f"metric {turn.metric!r}; there are {', '.join(SCORERS)}")
    return best(scorer, answer, (turn.answer, *turn.others))


def best(scorer: Scorer, answer: str, truths: Sequence[str]) -> float:
    """The highest score over several right answers."""
    return max(scorer(answer, truth) for truth in truths)


def exact(answer: str, truth: str) -> float:
    """1 where both say the same, else 0.

    Compared in Unicode's form NFC with white space as single spaces. What only dresses a sentence is ignored: whether
    the first character is a capital, and a full stop at the end. Every other character counts, case too.
    """
    return float(_undressed(answer) == _undressed(truth))


def anls(answer: str, truth: str) -> float:
    """Average normalised Levenshtein similarity of one answer (Biten et al. 2019, arXiv 1905.13648; DocVQA).

    1 - distance / length of the longer, without regard to case and runs of white space; 0 below 0.5. At exactly 0.5
    the formula of the paper gives 0 and the challenge's own evaluation 0.5; this follows the evaluation.
    """
    similarity = Levenshtein.normalized_similarity(_spaced(answer).lower(), _spaced(truth).lower())
    return similarity if similarity >= ANLS_LEAST else 0.0


def relaxed(answer: str, truth: str) -> float:
    """Relaxed accuracy of ChartQA (Masry et al. 2022, arXiv 2203.10244, 5.1), and numbers with thousands' commas.

    A number may be off by 5 % of the truth; a per cent sign divides by 100, so 50% is 0.5 and not 50. Anything else
    has to equal the truth, without regard to case. Commas before three digits are dropped first: 1,234 is 1234.
    """
    return relaxed_plain(_THOUSANDS.sub("", answer), _THOUSANDS.sub("", truth))


def relaxed_plain(answer: str, truth: str) -> float:
    """Relaxed accuracy as it is reported for ChartQA, where a number with commas is no number but a text.

    As in Pix2Struct's published metrics a truth of 0 is compared as a text too.
    """
    answer, truth = answer.strip(), truth.strip()
    said, right = _number(answer), _number(truth)
    if said is not None and right:
        return float(abs(said - right) / abs(right) <= RELAXED_CHANGE)
    return float(answer.lower() == truth.lower())


def characters(answer: str, truth: str) -> float:
    """1 - character error rate, at least 0: edits over the truth's length, white space as single spaces, case counts.

    An empty truth wants an empty answer.
    """
    said, right = _spaced(answer), _spaced(truth)
    if not right:
        return float(not said)
    return max(0.0, 1.0 - Levenshtein.distance(said, right) / len(right))


def boxes_found(answer: str, truth: str) -> float:
    """Whether the box in the answer is the truth's: intersection over union of at least 0.5.

    Where the truth has several boxes, or the answer another number of them, this is the F1 of boxes, each matched with
    at most one of the other side, the best overlaps first.
    """
    said, right = find_boxes(answer), find_boxes(truth)
    if not said or not right:
        return 0.0
    pairs = sorted(((iou(a, b), i, j) for i, a in enumerate(said) for j, b in enumerate(right)), reverse=True)
    ours, theirs = set[int](), set[int]()
    for overlap, i, j in pairs:
        if overlap >= IOU_LEAST and i not in ours and j not in theirs:
            ours.add(i)
            theirs.add(j)
    return 2 * len(ours) / (len(said) + len(right))


def find_boxes(text: str) -> list[Corners]:
    """The boxes `[left, top, right, bottom]` of a text, in thousandths; other brackets and missing commas are read too.

    Without any brackets four numbers alone are a box. One whose sides are crossed, or that lies beyond 0 to 1000, is
    none.
    """
    found = [match.groups() for match in _BOX.finditer(text)]
    if not found and len(bare := re.findall(_NUMBER, text)) == 4:
        found = [tuple(bare)]
    boxes = [(float(a), float(b), float(c), float(d)) for a, b, c, d in found]
    return [box for box in boxes if 0 <= box[0] < box[2] <= 1000 and 0 <= box[1] < box[3] <= 1000]


def iou(first: Corners, second: Corners) -> float:
    """Intersection over union of two boxes."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (_area(first) + _area(second) - width * height)


def word_f1(answer: str, truth: str) -> float:
    """F1 of the words that both share, counted as often as they stand (SQuAD, Rajpurkar et al. 2016, arXiv 1606.05250).

    Case, ASCII punctuation and the articles a, an and the do not count. Two texts without words are equal.
    """
    said, right = Counter(_words(answer)), Counter(_words(truth))
    if not said or not right:
        return float(said == right)
    shared = (said & right).total()
    return 2 * shared / (said.total() + right.total())


SCORERS: dict[Metric, Scorer] = {
    "exact": exact,
    "anls": anls,
    "relaxed": relaxed,
    "cer": characters,
    "iou": boxes_found,
    "f1": word_f1,
}
"""The metrics of samples by name."""


def _spaced(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _undressed(text: str) -> str:
    spaced = _spaced(text)
    stopped = spaced.removesuffix(".") if len(spaced) > 1 else spaced
    return stopped[:1].lower() + stopped[1:]


def _number(text: str) -> float | None:
    match = re.fullmatch(rf"({_NUMBER}(?:[eE][-+]?\d{{1,2}})?)\s*(%*)", text)
    if match is None:
        return None
    return float(match[1]) / (100 if match[2] else 1)


def _words(text: str) -> list[str]:
    return [word for word in text.lower().translate(_PUNCTUATION).split() if word not in _ARTICLES]


def _area(box: Corners) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
