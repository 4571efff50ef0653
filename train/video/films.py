"""Films as they are learned from: the frames of a generated clip, what is asked, what should be answered.

A film is a function of the settings and its number alone. Numbers from `count` on are held-out films.
"""

import random
from dataclasses import dataclass
from functools import lru_cache

import torch

from magicvl.edge.pixels import cut
from magicvl.edge.plan import Plan, plan
from magicvl.edge.prompt import Text
from magicvl.edge.video.choose import uniform_times
from magicvl.edge.video.description import PROMPT, film_message, write
from magicvl.mmproj.processing import MagicVLProcessor
from magicvl.train.clips.clip import Clip
from magicvl.train.clips.make import make_clip
from magicvl.train.generator.dataset import Split
from magicvl.train.rewards.reference import Reference
from magicvl.train.video.entries import Pointed, action_tokens, pointed, read_tokens
from magicvl.train.video.motions import Motion, motions
from magicvl.train.video.settings import Clips
from magicvl.train.video.visual_ids import FIRST, visual_ids


@dataclass(frozen=True)
class Film:
    """A clip in tokens."""

    number: int
    times: tuple[float, ...]
    """Of its frames, in seconds."""
    prompt: list[int]
    """The user's turn and the start of the answer; visual tokens as ids of their own (visual_ids)."""
    answer: list[int]
    """What should be written, and the token that ends it."""
    reference: Reference
    motions: tuple[Motion, ...]
    """Of its actors, frame by frame."""
    tracks: bool = False
    """Whether the answer has tracks."""
    pointed: tuple[Pointed, ...] = ()
    """Their entries."""
    acting: tuple[int, ...] = ()
    """Which tokens of the answer say what subjects do, the times apart, where it has tracks."""
    reading: tuple[int, ...] | None = None
    """Of a film that is not seen, whose prompt has no visual tokens: which tokens of the answer can be said still."""


class Films:
    """The films of a run by their number: 0 to count - 1 to learn from, then `held_out` ones of another split."""

    def __init__(
        self, settings: Clips, processor: MagicVLProcessor, held_out: int = 0, split: Split = "validation"
    ) -> None:
        self.settings, self.processor, self.held_out, self.split = settings, processor, held_out, split
        self._film = lru_cache(maxsize=None)(self._make)
        # A film is looked at soon after it was put in tokens; its pictures are too large to be kept for all.
        self._clip = lru_cache(maxsize=256)(self._make_clip)

    def __len__(self) -> int:
        """Films to learn from."""
        return self.settings.count

    def __getitem__(self, number: int) -> Film:
        """The film of a number. Raises IndexError."""
        if not 0 <= number < self.settings.count + self.held_out:
            raise IndexError(number)
        return self._film(number)

    def clip(self, number: int) -> Clip:
        """The clip that a film is of."""
        return self._clip(number)

    def _make_clip(self, number: int) -> Clip:
        settings = self.settings
        if number >= settings.count:
            return make_clip(settings.seed, number - settings.count, self.split, settings.held_out_style)
        rng = random.Random(f"{settings.seed} style {number}")
        styles, weights = zip(*((each.style, each.weight) for each in settings.styles), strict=True)
        return make_clip(settings.seed, number, "train", rng.choices(styles, weights)[0])

    def times(self, number: int, clip: Clip) -> tuple[float, ...]:
        """The moments of a film's frames."""
        fewest, most = self.settings.frames
        return uniform_times(clip.seconds, random.Random(f"{self.settings.seed} frames {number}").randint(fewest, most))

    def patches(self, number: int) -> dict[str, torch.Tensor]:
        """What the encoder takes: `pixel_values` and `spatial_shapes` of all tiles of all frames."""
        clip = self.clip(number)
        pictures = [clip.picture(seconds) for seconds in self.times(number, clip)]
        one = plan(clip.width, clip.height, self.processor.grid, self.settings.budget)
        return self.processor.patches([tile for picture in pictures for tile in cut(picture, one)])

    def _make(self, number: int) -> Film:
        clip = self.clip(number)
        times = self.times(number, clip)
        one = plan(clip.width, clip.height, self.processor.grid, self.settings.budget)
        description, tracks = clip.description(times), self.settings.tracks
        answer = answer_ids(write(description, times, tracks=tracks), self.processor)
        spelled = self.processor.tokenizer.batch_decode([[token] for token in answer[:-1]]) if tracks else []
        prompt, blind = self._prompt(number, one, times), self._is_blind(number)
        return Film(
            number=number,
            times=times,
            prompt=[token for token in prompt if token < FIRST] if blind else prompt,
            answer=answer,
            reference=clip.reference(times),
            motions=motions(clip, times, one),
            tracks=tracks,
            pointed=tuple(pointed(description, one, spelled)) if tracks else (),
            acting=action_tokens(spelled),
            reading=read_tokens(spelled) if blind else None,
        )

    def _is_blind(self, number: int) -> bool:
        if number >= self.settings.count:
            return False
        return random.Random(f"{self.settings.seed} blind {number}").random() < self.settings.blind

    def _prompt(self, number: int, one: Plan, times: tuple[float, ...]) -> list[int]:
        ids = self.processor.token_ids([film_message(times, PROMPT, tracks=self.settings.tracks)], [one] * len(times))
        placeholder = self.processor.image_token_id
        named = iter(visual_ids(number, ids.count(placeholder)))
        return [next(named) if token == placeholder else token for token in ids]


def answer_ids(text: str, processor: MagicVLProcessor) -> list[int]:
    """An answer's tokens and the one that ends it, as the processor spells what an assistant says."""
    return [*processor.text_ids(Text(text, special=False)), int(processor.tokenizer.eos_token_id)]
