"""What the layouts of transformers share: image processors, SigLIP towers, names that changed with its versions."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from magicvl.convert.checkpoint import Checkpoint, read_json_if_there
from magicvl.convert.reader import Reader
from magicvl.convert.vocabulary import read_chat_template
from magicvl.edge.prompt import wants_parts
from magicvl.mmproj.contract import ACTIVATION

SIGLIP = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 16,
}
"""What transformers' SiglipVisionConfig has for a key that config.json leaves out."""
_RESAMPLES = {1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers, which image processors write."""
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")


def read_image_processor(checkpoint: Checkpoint, problems: list[str]) -> Reader:
    """The image processor's settings and the processor's, from whichever files a version of transformers wrote."""
    files = [read_json_if_there(checkpoint.directory / name) for name in _PROCESSORS]
    nested = [part for data in files if isinstance(part := data.get("image_processor"), dict)]
    # What is said of the image processor itself counts before what is said of the processor around it.
    found: dict[str, Any] = {}
    for data in (*reversed(files), *nested):
        found |= data
    if not found:
        problems.append(f"it has neither {' nor '.join(_PROCESSORS)}, so nothing says how its pictures are made")
    return Reader("the image processor", found, problems)


def check_steps(processor: Reader) -> None:
    """Notes steps of an image processor that the runtime does not take, or takes whatever the file says."""
    for key, due in (("do_resize", True), ("do_rescale", True), ("do_normalize", True), ("do_center_crop", False)):
        # An image processor without the step writes null, or nothing.
        if (value := processor.data.get(key)) not in (None, due):
            processor.problems.append(f"{processor.name}: {key} is {value!r}, the runtime computes {due!r}")
    factor = processor.real("rescale_factor", 1 / 255)
    if not math.isclose(factor, 1 / 255, rel_tol=1e-6):
        processor.problems.append(f"{processor.name}: rescale_factor is {factor}, the runtime computes 1/255")


def channels(
    processor: Reader, key: str, default: tuple[float, float, float] | None = None
) -> tuple[float, float, float]:
    """Three numbers, one per channel, by which a picture can be normalised."""
    values = processor.data.get(key, default)
    try:
        red, green, blue = (float(value) for value in values or ())
    except (TypeError, ValueError):
        processor.problems.append(f"{processor.name}: {key} is {values!r}, three numbers are due")
        return (0.5, 0.5, 0.5)
    if not all(map(math.isfinite, (red, green, blue))) or (key == "image_std" and min(red, green, blue) <= 0):
        processor.problems.append(f"{processor.name}: {key} is {values!r}: no picture can be normalised by it")
    return red, green, blue


def resample(processor: Reader, default: int) -> str:
    """The filter of the resize; `default` is the number that the class has where the file says nothing."""
    found = processor.data.get("resample", default)
    if found not in _RESAMPLES:
        processor.problems.append(f"{processor.name}: resample is {found!r}, there are {_RESAMPLES}")
    return _RESAMPLES.get(found, "bilinear")


def check_siglip(vision: Reader) -> None:
    """Notes what the runtime's encoder cannot compute."""
    vision.demand("hidden_act", ACTIVATION, ACTIVATION)
    vision.demand("num_channels", 3, 3)
    width, heads = vision.whole("hidden_size"), vision.whole("num_attention_heads")
    if width % heads:
        vision.problems.append(f"{vision.name}: {heads} heads cannot share hidden_size {width}")


def first_prefix(stored: Iterable[str], candidates: tuple[str, ...]) -> str:
    """The first of the prefixes that a tensor has, in transformers' present names and then older ones."""
    names = list(stored)
    return next((prefix for prefix in candidates if any(name.startswith(prefix) for name in names)), candidates[0])


def token_text(checkpoint: Checkpoint, role: str, default: str) -> str:
    """The text of a model-specific special token, as tokenizer_config.json names it by its role."""
    settings = read_json_if_there(checkpoint.tokenizer / "tokenizer_config.json")
    places = [settings, settings.get("extra_special_tokens"), settings.get("model_specific_special_tokens")]
    for place in places:
        value = place.get(role) if isinstance(place, dict) else None
        text = value.get("content") if isinstance(value, dict) else value
        if isinstance(text, str) and text:
            return text
    return default


def placeholder(directory: Path, image_token: str) -> str:
    """What the chat template writes for a picture, empty where it takes messages as texts."""
    return image_token if wants_parts(read_chat_template(directory), image_token) else ""
