"""Films put together for a pass of supervised learning: ids and labels, how much each label counts, what a head is to
read.
"""

from collections.abc import Sequence

import torch

from magicvl.train.curriculum.conversation import IGNORED
from magicvl.train.video.entries import DIGITS
from magicvl.train.video.films import Film
from magicvl.train.video.motions import MotionTargets, as_targets
from magicvl.train.video.pointing import PointingTargets
from magicvl.train.video.settings import Tracks
from magicvl.train.video.visual_ids import FIRST


def collate(films: Sequence[Film], pad: int) -> dict[str, torch.Tensor]:
    """A batch padded on the right; labels on the answer and its end alone (transformers shifts them itself)."""
    longest = _longest(films)
    ids = torch.full((len(films), longest), pad)
    mask = torch.zeros(len(films), longest, dtype=torch.long)
    labels = torch.full((len(films), longest), IGNORED)
    for row, film in enumerate(films):
        begin, end = len(film.prompt), len(film.prompt) + len(film.answer)
        ids[row, :end] = torch.tensor(film.prompt + film.answer)
        mask[row, :end] = 1
        labels[row, begin:end] = ids[row, begin:end]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def motion_targets(films: Sequence[Film]) -> MotionTargets:
    """What actors do, over all films and frames; places are those in the batch with its rows one after another."""
    longest, visual = _longest(films), [_visual(film) for film in films]
    return as_targets(
        [
            (row * longest + visual[row][motion.token], motion)
            for row, film in enumerate(films)
            for motion in film.motions
        ]
    )


def pointing_targets(films: Sequence[Film]) -> PointingTargets:
    """What the entries of tracks are about, in the batch with its rows one after another."""
    return PointingTargets.of([(film.pointed, len(film.prompt), _visual(film)) for film in films], _longest(films))


def label_weights(films: Sequence[Film], tracks: Tracks) -> torch.Tensor:
    """(films, n) how much tokens count as labels: `news` and `actions` as the settings say, all else 1; nothing that
    who has not seen a film can't say."""
    weights = torch.ones(len(films), _longest(films))
    for row, film in enumerate(films):
        weights[row, [len(film.prompt) + place for place in _news(film)]] = tracks.news
        weights[row, [len(film.prompt) + place for place in film.acting]] = tracks.actions
        if film.reading is not None:
            readable = torch.zeros(weights.shape[1])
            readable[[len(film.prompt) + place for place in (*film.reading, len(film.answer) - 1)]] = 1.0
            weights[row] *= readable
    return weights


def _news(film: Film) -> list[int]:
    """Which tokens of the answer are digits and looks that are not those of the entry before."""
    places: list[int] = []
    for entry in film.pointed:
        look = entry.marks + DIGITS
        spans = [
            *(range(entry.marks + digit, entry.marks + digit + 1) for digit in range(DIGITS)),
            range(look, entry.end + 1),
        ]
        places += [place for new, span in zip(entry.news, spans, strict=True) if new for place in span]
    return places


def _longest(films: Sequence[Film]) -> int:
    return max(len(film.prompt) + len(film.answer) for film in films)


def _visual(film: Film) -> list[int]:
    """Where in its prompt a film's visual tokens are."""
    return [place for place, token in enumerate(film.prompt) if token >= FIRST]
