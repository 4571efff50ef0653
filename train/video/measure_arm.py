"""A checkpoint on films of the split `test`, in torch."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from magicvl.train.video.held_out import describe
from magicvl.train.video.rewards import make_scorer
from magicvl.train.video.run import open_captioner
from magicvl.train.video.settings import CaptionRun

BATCH = 32
"""Films that are described together."""


def measure_checkpoint(run: CaptionRun, checkpoint: Path, style: str, count: int) -> list[dict[str, Any]]:
    """What a checkpoint writes about each of `count` films, and what that is worth, by the names of `Worth`.

    Budget, rewards and the most frames are the run's. With the clip's `id` and the `times` of its frames the texts can
    be scored beside those of the converted bundle: `magicvl bench video edge=BUNDLE torch=scores.json`.
    """
    shown = replace(run.clips, held_out_style=style, frames=(run.clips.frames[1], run.clips.frames[1]))
    captioner, films = open_captioner(checkpoint, shown, count, "test")
    scorer = make_scorer(run.group.rewards)
    made: list[dict[str, Any]] = []
    bar = tqdm(total=count, unit="film", dynamic_ncols=True, desc=style)
    for begin in range(0, count, BATCH):
        which = [films[len(films) + number] for number in range(begin, min(begin + BATCH, count))]
        texts = describe(captioner, films, which, run.group.most_tokens)
        made += [
            {"id": films.clip(film.number).id, "times": film.times} | asdict(worth) | {"text": text}
            for film, worth, text in zip(which, scorer.score(which, texts), texts, strict=True)
        ]
        bar.update(len(which))
    bar.close()
    return made
