"""What a text is like whatever its film shows: whether it keeps its form, and signs of tricks (train/rewards/hacking).

The commonest caption, which a model gives whatever it sees, is a matter of all films and is told by `mark_commonest`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from magicvl.bench.video.item import VideoItem
from magicvl.bench.video.measures import COMMONEST, COPIED, DOUBLED, EMPTY, REPEATED, VALID, WORDS
from magicvl.bench.video.part import Found, Told
from magicvl.train.rewards.format_score import times_score
from magicvl.train.rewards.hacking import copied, doubled, empty, plain, repeated
from magicvl.train.rewards.words import words


class FormPart:
    """Numbers that say how a text was written."""

    def __call__(self, item: VideoItem, told: Told) -> Found:
        """A caption alone has no form to keep and no lists; of no description nothing is known but that."""
        described = told.description
        if described is None:
            return Found({} if told.plain else {VALID: 0.0})
        caption = {WORDS: float(len(words(told.caption))), REPEATED: repeated(told.caption)}
        if told.plain:
            return Found(caption)
        lists = {COPIED: copied(described), DOUBLED: doubled(described), EMPTY: empty(described)}
        return Found({VALID: times_score(told.text, told.times, tracks=told.tracks)} | caption | lists)


def mark_commonest(captions: Sequence[str]) -> list[Mapping[str, float]]:
    """For each film whether it has the commonest caption; nothing for one without a caption."""
    plainly = [plain(caption) for caption in captions]
    (common, _), *_rest = Counter(filter(None, plainly)).most_common(1) or [("", 0)]
    return [{COMMONEST: float(caption == common)} if caption else {} for caption in plainly]
