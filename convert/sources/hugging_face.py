"""What the layouts of transformers share: image processors, SigLIP towers, names that changed with its versions."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from magicvl.convert.checkpoint import Checkpoint, read_json_if_there
from magicvl.convert.decoder import DecoderNames
from magicvl.convert.reader import Reader
from magicvl.convert.vocabulary import read_chat_template
from magicvl.edge.prompt import wants_parts
from magicvl.mmproj.contract import ACTIVATION, Dropped, VisionNames

SIGLIP = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 16,
}
"""What transformers' SiglipVisionConfig has for a key that config.json leaves out."""
TOWERS = ("model.vision_tower.", "vision_tower.")
PROJECTORS = ("model.multi_modal_projector.", "multi_modal_projector.")
"""What encoder and projector are called beside a `language_model`, in the present version first."""
_HEADS = ("lm_head.weight", "language_model.lm_head.weight")
_GELUS = ("gelu", "gelu_pytorch_tanh")
_RESAMPLES = {1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers, which image processors write."""
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")


def with_defaults(config: Reader, key: str, defaults: Mapping[str, Any]) -> Reader:
    """The object under a key of config.json, with what its class has for the keys that it leaves out."""
    return Reader(key, {**defaults, **config.part(key).data}, config.problems)


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
    if not isinstance(found, int) or found not in _RESAMPLES:
        processor.problems.append(f"{processor.name}: resample is {found!r}, there are {_RESAMPLES}")
        return "bilinear"
    return _RESAMPLES[found]


def check_siglip(vision: Reader) -> None:
    """Notes what the runtime's encoder cannot compute."""
    vision.demand("hidden_act", ACTIVATION, ACTIVATION)
    vision.demand("num_channels", 3, 3)
    width, heads = vision.whole("hidden_size"), vision.whole("num_attention_heads")
    if width % heads:
        vision.problems.append(f"{vision.name}: {heads} heads cannot share hidden_size {width}")


def check_projector(config: Reader) -> None:
    """Notes an activation between two linear layers that the runtime does not compute."""
    # The exact GELU and the runtime's differ by less than the tolerance of F16.
    if (found := config.data.get("projector_hidden_act", "gelu")) not in _GELUS:
        config.problems.append(f"config.json: projector_hidden_act is {found!r}, the runtime computes {_GELUS}")


def table_side(vision: Reader) -> int:
    """Positions on a side of SigLIP2's table, which is a square."""
    table = vision.whole("num_patches")
    side = math.isqrt(table)
    if side**2 != table:
        vision.problems.append(f"vision_config: num_patches is {table}, a square number is due")
    return side


def unused_layers(names: VisionNames, layers: range) -> list[Dropped]:
    """The encoder's layers after the one whose output the projector takes."""
    reason = "the projector takes the output of an earlier layer"
    return [Dropped(f"{names.tower}encoder.layers.{layer}.", reason) for layer in layers]


def decoder_names(checkpoint: Checkpoint, prefixes: tuple[str, ...]) -> DecoderNames:
    """What a decoder's tensors are called, of whichever version; `prefixes` as for `first_prefix`."""
    stored = checkpoint.tensors
    return DecoderNames(prefix=first_prefix(stored, prefixes), head=first_prefix(stored, _HEADS))


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
