"""A prompt as llama-server takes it, so that it reads the very tokens that the runtime in process is fed.

Our own builds take token ids and tiles in order (`prompt_parts`, see native/prompt_parts.patch). Any other takes one
text with marks where pictures go: it makes tokens of what stands between them with special tokens allowed, and puts
some of its own around each picture. Such a text is only used where it comes to the same tokens; else it is refused.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass

from magicvl.edge.pixels import Pixels
from magicvl.edge.request import Request
from magicvl.errors import EngineError

AROUND = {"lfm2": ("<|image_start|>", "<|image_end|>"), "mlp": ("", "")}
"""What llama-server puts before and after each picture, by projector. For Idefics3 it makes two pictures of one."""

_WAY_OUT = "take the llama-server of magicvl's archive, or --runtime inproc"


@dataclass(frozen=True)
class Dialect:
    """How a server is to be told a prompt."""

    parts: bool
    """Whether it takes ids and tiles in order."""
    marker: str
    """What stands for a picture in a text."""
    before: tuple[int, ...]
    """Ids that it puts before every text."""
    after: tuple[int, ...]
    """Ids that it puts after every text."""


Tokenise = Callable[[str], list[int]]
"""Makes ids of a text in which special tokens may be spelled."""


def prompt_of(request: Request, dialect: Dialect, projector: str, tokenise: Tokenise) -> object:
    """The `prompt` of a request. Raises EngineError where the server would read other tokens than were planned."""
    if not request.tiles:
        return [token for part in request.parts if isinstance(part, list) for token in part]
    if dialect.parts:
        return {"prompt_parts": [part if isinstance(part, list) else _picture(part) for part in request.parts]}
    tiles = [part for part in request.parts if not isinstance(part, list)]
    text = dialect.marker.join(_texts(request, dialect, projector, tokenise))
    return {"prompt_string": text, "multimodal_data": [_picture(tile) for tile in tiles]}


def _picture(tile: Pixels) -> str:
    """A tile as a picture that loses nothing and takes no time to pack: PPM, in base64."""
    height, width, _ = tile.shape
    return base64.b64encode(b"P6 %d %d 255\n" % (width, height) + tile.tobytes()).decode()


def _texts(request: Request, dialect: Dialect, projector: str, tokenise: Tokenise) -> list[str]:
    """What stands between the pictures, and before and after them, without what the server adds there."""
    if projector not in AROUND:
        raise EngineError(f"this llama-server reads a picture for {projector} as two: {_WAY_OUT}")
    opening, closing = AROUND[projector]
    runs = _runs(request)
    texts = []
    for i, (text, ids) in enumerate(runs):
        first, last = i == 0, i == len(runs) - 1
        before = list(dialect.before) if first else tokenise(closing) if closing else []
        after = list(dialect.after) if last else tokenise(opening) if opening else []
        rest, inner = text, ids[len(before) : len(ids) - len(after)]
        if ids[: len(before)] != before or (after and ids[-len(after) :] != after) or len(ids) < len(before + after):
            raise EngineError(
                f"this llama-server puts its own {opening} and {closing} around each of {request.tiles} tiles, where "
                f"this model has them around a picture: set a budget that leaves one tile, {_WAY_OUT}"
            )
        if not last:
            rest = rest.removesuffix(opening)
        rest = _without(rest, inner, tokenise, closing if not first else None)
        if tokenise(rest) != inner:
            raise EngineError(
                f"llama-server would read {_shortened(rest)!r} as other tokens than were planned (it spells a special "
                f"token, or grows together with what stands beside it): say it in other words, {_WAY_OUT}"
            )
        texts.append(rest)
    return texts


def _runs(request: Request) -> list[tuple[str, list[int]]]:
    """The texts before, between and after the tiles with their ids; empty where two tiles stand side by side."""
    runs: list[tuple[str, list[int]]] = [("", [])]
    texts = iter(request.texts)
    for part in request.parts:
        if isinstance(part, list):
            runs[-1] = (next(texts), part)
        else:
            runs.append(("", []))
    return runs


def _without(text: str, inner: list[int], tokenise: Tokenise, closing: str | None) -> str:
    """A text without its beginning that the server adds: what closes a picture, or what begins every text."""
    if closing is not None:
        return text.removeprefix(closing)
    # Which special token begins a text, such as <s>, is known by its id alone.
    if tokenise(text) == inner:
        return text
    end = text.find(">") + 1
    return text[end:] if tokenise(text[end:]) == inner else text


def _shortened(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
