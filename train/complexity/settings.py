"""What the paper leaves open, in one place: the weights of each category, beta, delta and the normalisation.

| category | text | image | task | why |
|---|---|---|---|---|
| reasoning | 0.3 | 0.2 | 0.5 | what is hard is the inference: larger models gain most, the picture may be plain |
| gui | 0.2 | 0.5 | 0.3 | a screen is hard by what stands on it; its answers are a word or two |
| ocr | 0.2 | 0.5 | 0.3 | as for gui: how much is printed on how few pixels |
| text | 0.6 | 0.0 | 0.4 | no pictures |
| chart | 0.2 | 0.4 | 0.4 | marks and labels are read from the picture, then something is computed |
| caption | 0.4 | 0.5 | 0.1 | what there is to say and to see; any size of model says something, losses tell style |
| vqa | 0.2 | 0.4 | 0.4 | short answers say little; the picture and what the question asks of it count |
| grounding | 0.1 | 0.6 | 0.3 | the answer is four numbers; hard is how much stands around the thing |

A part that could not be measured (S_task without models, S_image without pictures) is left out, and the others keep
their proportions. The user's own: `--settings FILE.toml`, with what shall differ:

    normalisation = "minmax"    # or "rank"
    beta = 1.2
    delta = 0.05
    [weights.chart]
    text = 0.3
    image = 0.3
    task = 0.4
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from magicvl.errors import UsageError
from magicvl.train.complexity.scale import NORMALISATIONS, Normalisation
from magicvl.train.samples.sample import CATEGORIES, Category


@dataclass(frozen=True)
class Weights:
    """How much each part counts beside the others (the paper's l1, l2, l3)."""

    text: float
    image: float
    task: float

    def __post_init__(self) -> None:
        values = (self.text, self.image, self.task)
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        if not numbers or not all(math.isfinite(value) and value >= 0 for value in values) or self.text == 0:
            raise UsageError(f"weights {values}: text must be above 0, image and task at least 0")


WEIGHTS: Mapping[Category, Weights] = MappingProxyType(
    {
        "reasoning": Weights(0.3, 0.2, 0.5),
        "gui": Weights(0.2, 0.5, 0.3),
        "ocr": Weights(0.2, 0.5, 0.3),
        "text": Weights(0.6, 0.0, 0.4),
        "chart": Weights(0.2, 0.4, 0.4),
        "caption": Weights(0.4, 0.5, 0.1),
        "vqa": Weights(0.2, 0.4, 0.4),
        "grounding": Weights(0.1, 0.6, 0.3),
    }
)


@dataclass(frozen=True)
class Settings:
    """What decides the scores beside the samples and the models."""

    normalisation: Normalisation = "rank"
    """See `magicvl.train.complexity.scale`."""
    beta: float = 1.1
    """How many times the larger model's loss the smaller one's must be at least: 10 % is more than two runs of one size
    differ by, as a rule, so that noise alone makes no sample complex."""
    delta: float = 0.1
    """What `beta` times the larger model's loss must be above, in nats a token: below it the larger model gives the
    answer's tokens a probability of 0.91 on average (geometric), and the sample has little left to teach."""
    weights: Mapping[Category, Weights] = field(default_factory=lambda: WEIGHTS)

    def __post_init__(self) -> None:
        if self.normalisation not in NORMALISATIONS:
            raise UsageError(f"normalisation {self.normalisation!r}: there are {', '.join(NORMALISATIONS)}")
        for name, least in (("beta", 1.0), ("delta", 0.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < math.inf:
                raise UsageError(f"{name} {value!r}: it must be a number of at least {least:g}")
        if missing := [name for name in CATEGORIES if name not in self.weights]:
            raise UsageError(f"no weights for {', '.join(missing)}")


def read_settings(path: Path) -> Settings:
    """The default with what a TOML file changes. Raises UsageError that names what is wrong."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: settings of complexity cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML ({error})") from None
    known = [item.name for item in fields(Settings)]
    if unknown := sorted(set(data) - set(known)):
        raise UsageError(f"{path}: unknown keys {', '.join(unknown)}; there are {', '.join(known)}")
    try:
        weights = dict(WEIGHTS) | _read_weights(data.pop("weights", {}))
        return replace(Settings(**data), weights=MappingProxyType(weights))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _read_weights(data: Any) -> dict[Category, Weights]:
    if not isinstance(data, dict):
        raise UsageError(f"weights {data!r}: a table for each category is due")
    if unknown := sorted(set(data) - set(CATEGORIES)):
        raise UsageError(f"weights of {', '.join(unknown)}; categories are {', '.join(CATEGORIES)}")
    for category, parts in data.items():
        if not isinstance(parts, dict) or set(parts) != {"text", "image", "task"}:
            raise UsageError(f"weights of {category}: text, image and task are due, all three")
    return {category: Weights(**parts) for category, parts in data.items()}
