"""Samples that are there already, in the same source or in another: near-duplicates of pictures and of words.

Short texts of which many samples have the same ("What colour is it?" "Red.") make no duplicates: the pictures, too,
must look the same. What is kept is compared with, nothing else, so that chains of small changes do not go out.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from datasketch import MinHashLSH
from PIL import Image

from magicvl.train.filters.picture_hash import Hash, PictureIndex, picture_hash
from magicvl.train.filters.text_hash import Signature, alike, as_minhash, normalised, signature
from magicvl.train.filters.thresholds import Thresholds
from magicvl.train.samples.sample import Sample


@dataclass(frozen=True)
class Marks:
    """What a sample is recognised by."""

    prompt: Signature
    answer: Signature
    pictures: tuple[Hash, ...]
    long: bool
    """Whether the answer is a long one."""

    @property
    def whole(self) -> Signature:
        """The signature of prompt and answer together."""
        return np.minimum(self.prompt, self.answer)


def marks_of(sample: Sample, line: Thresholds) -> Marks:
    """The marks of a sample whose pictures are opened."""
    prompt = "\n".join(turn.prompt for turn in sample.turns)
    answer = "\n".join(turn.answer for turn in sample.turns)
    hashes = tuple(picture_hash(picture) for picture in sample.pictures if isinstance(picture, Image.Image))
    # Told apart, so that a question which is another one's answer is no match.
    asked, said = signature(f"q {prompt}", line), signature(f"a {answer}", line)
    return Marks(asked, said, hashes, normalised(answer).count(" ") + 1 >= line.long_text)


class Duplicates:
    """The marks of the samples that stay."""

    def __init__(self, line: Thresholds) -> None:
        self._line = line
        self._names: list[str] = []
        self._marks: list[Marks] = []
        self._first_pictures = PictureIndex()
        """Of each sample's first picture."""
        self._texts = _index(line)
        """Of samples without pictures."""
        self._answers = _index(line)
        """Long answers."""

    def find(self, marks: Marks) -> tuple[str, str] | None:
        """The rule by which a sample has to go, and the sample that it repeats."""
        same = self._same_pictures(marks)
        for owner in same:
            if self._says_the_same(marks, self._marks[owner]):
                return "duplicate", f"as {self._names[owner]}"
        if marks.pictures and len(same) >= self._line.most_per_picture:
            return "same picture", f"as {self._names[same[0]]} and {len(same) - 1} others"
        if marks.long:
            found = [owner for owner in _near(self._answers, marks.answer) if self._same(marks, owner)]
            if len(found) >= self._line.most_same_answer:
                return "same answer", f"as {self._names[min(found)]} and {len(found) - 1} others"
        return None

    def add(self, name: str, marks: Marks) -> None:
        """Keeps the marks of a sample that stays, under the name that messages give it."""
        owner = len(self._names)
        self._names.append(name)
        self._marks.append(marks)
        if marks.pictures:
            self._first_pictures.add(marks.pictures[0], owner)
        else:
            self._texts.insert(owner, as_minhash(marks.whole))
        if marks.long:
            self._answers.insert(owner, as_minhash(marks.answer))

    def _same_pictures(self, marks: Marks) -> list[int]:
        """Samples with the same pictures; for one without any, those that may say the same."""
        if not marks.pictures:
            return _near(self._texts, marks.whole)
        most = self._line.same_picture
        found = self._first_pictures.near(marks.pictures[0], most)
        return [owner for owner in found if _equal_rest(marks, self._marks[owner], most)]

    def _says_the_same(self, one: Marks, other: Marks) -> bool:
        least = self._line.same_text
        return alike(one.prompt, other.prompt) >= least and alike(one.answer, other.answer) >= least

    def _same(self, marks: Marks, owner: int) -> bool:
        return alike(marks.answer, self._marks[owner].answer) >= self._line.same_text


def _equal_rest(one: Marks, other: Marks, most: int) -> bool:
    if len(one.pictures) != len(other.pictures):
        return False
    pairs = zip(one.pictures[1:], other.pictures[1:], strict=True)
    return all(int(np.bitwise_count(left ^ right).sum()) <= most for left, right in pairs)


def _index(line: Thresholds) -> Any:
    # Rather one too many: what it finds is compared again.
    return MinHashLSH(threshold=line.same_text, num_perm=line.permutations, weights=(0.2, 0.8))


def _near(index: Any, values: Signature) -> list[int]:
    return sorted(index.query(as_minhash(values)))
