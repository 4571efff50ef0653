"""A run of a few steps on the random model, and what it needs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from accelerate.state import AcceleratorState

from magicvl.train.curriculum.stage import Lora
from magicvl.train.video.captioner import Captioner
from magicvl.train.video.films import Film, Films
from magicvl.train.video.run import open_captioner
from magicvl.train.video.settings import CaptionRun, Clips, Group, Learning, Style

SIMPLE = (Style("shapes/simple"),)


@pytest.fixture(autouse=True)
def fresh_accelerate() -> Iterator[None]:
    """accelerate keeps one state a process; a command is one run, a test file many."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def clips() -> Clips:
    """Eight simple clips of two or three frames, a few visual tokens each."""
    return Clips(count=8, seed=7, styles=SIMPLE, held_out_style="shapes/simple", frames=(2, 3), budget=4)


@pytest.fixture
def opened(tiny_checkpoint: Path, clips: Clips) -> tuple[Captioner, Films]:
    """The random model, which sees those clips and two held-out ones."""
    return open_captioner(tiny_checkpoint, clips, 2)


@pytest.fixture
def make_run(clips: Clips) -> Callable[..., CaptionRun]:
    """A run of four steps; keywords change its fields."""

    def make(**fields: Any) -> CaptionRun:
        standard: dict[str, Any] = {
            "name": "test",
            "kind": "supervised",
            "clips": clips,
            "learning": Learning(rate=1e-2, warmup=0.0),
            "samples": 2,
            "rows": 2,
            "lora": Lora(rank=4, alpha=4, targets=("q_proj", "v_proj", "down_proj")),
            "group": Group(answers=3, most_tokens=12),
            "save_every": 2,
            "evaluate_every": 2,
            "evaluate_films": 1,
        }
        return CaptionRun(**(standard | fields))

    return make


@pytest.fixture(scope="session")
def tracked(tiny_checkpoint: Path) -> Films:
    """Twelve films of one to four shapes with tracks."""
    clips = Clips(count=12, seed=3, styles=(Style("shapes/mixed"),), frames=(4, 6), tracks=True)
    return open_captioner(tiny_checkpoint, clips, 0)[1]


@pytest.fixture(scope="session")
def spell() -> Callable[[Films, Film], list[str]]:
    """Spells a film's answer, token by token."""

    def words(films: Films, film: Film) -> list[str]:
        return films.processor.tokenizer.batch_decode([[token] for token in film.answer])

    return words
