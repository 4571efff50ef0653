"""A prompt comes out of a foreign server as the very tokens that were planned, or it is refused."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from transformers import PreTrainedTokenizerFast

from magicvl.edge.pixels import Pixels
from magicvl.edge.plan import Grid, plan
from magicvl.edge.request import Request
from magicvl.edge.server.prompt import AROUND, Dialect, Tokenise, prompt_of
from magicvl.errors import EngineError

MARKER = "<__media__>"
STOCK = Dialect(parts=False, marker=MARKER, before=(), after=())


@pytest.fixture
def tokenise(tiny_tokenizer: PreTrainedTokenizerFast) -> Tokenise:
    return lambda text: list(tiny_tokenizer.encode(text, add_special_tokens=False))


def tile(seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (64, 96, 3), dtype=np.uint8)


def request(tokenise: Tokenise, *parts: str | int | tuple[str, ...]) -> Request:
    """A text is a run, several are segments of one run that became tokens one by one; a number is a tile."""
    made: list[list[int] | Pixels] = []
    texts = []
    for part in parts:
        if isinstance(part, int):
            made.append(tile(part))
        else:
            segments = (part,) if isinstance(part, str) else part
            made.append([token for segment in segments for token in tokenise(segment)])
            texts.append("".join(segments))
    plans = tuple(plan(96, 64, Grid(32, 384, 24)) for part in parts if isinstance(part, int))
    return Request(plans, tuple(made), sum(len(part) for part in made if isinstance(part, list)), tuple(texts))


def read(prompt: object, tokenise: Tokenise, projector: str, dialect: Dialect) -> list[int | bytes]:
    """What llama-server makes of a text with marks: tokens, and pictures as their bytes."""
    assert isinstance(prompt, dict)
    opening, closing = AROUND[projector]
    texts = prompt["prompt_string"].split(MARKER)
    found: list[int | bytes] = list(dialect.before)
    for i, text in enumerate(texts):
        found += tokenise(closing) if i else []
        found += tokenise(text)
        if i < len(texts) - 1:
            found += tokenise(opening)
            found.append(base64.b64decode(prompt["multimodal_data"][i]))
    return [*found, *dialect.after]


def planned(made: Request) -> list[int | bytes]:
    """The same of what the runtime in process is fed."""
    found: list[int | bytes] = []
    for part in made.parts:
        found += part if isinstance(part, list) else [b"P6 96 64 255\n" + part.tobytes()]
    return found


def test_pictures_lose_nothing(tokenise: Tokenise) -> None:
    made = request(tokenise, "a", 1, "b")
    prompt = prompt_of(made, Dialect(True, MARKER, (), ()), "lfm2", tokenise)
    assert isinstance(prompt, dict)
    first, picture, last = prompt["prompt_parts"]
    assert [first, last] == [made.parts[0], made.parts[2]]
    with Image.open(io.BytesIO(base64.b64decode(picture))) as opened:
        assert np.array_equal(np.asarray(opened), made.parts[1])


@pytest.mark.parametrize(
    ("projector", "parts"),
    [
        ("mlp", ("<|user|>", 1, 2, " what is this", 3, "<|assistant|>")),
        ("mlp", (1, "what", 2)),
        ("lfm2", ("<|user|><|image_start|>", 1, "<|image_end|>What is it?<|assistant|>")),
        ("lfm2", ("<|image_start|>", 1, ("<|image_end|>", "<|image_start|>"), 2, "<|image_end|>")),
        ("lfm2", ("<|image_start|>", 1, ("<|image_end|>", " and ", "<|image_start|>"), 2, "<|image_end|>Say")),
    ],
)
def test_a_text_comes_out_as_planned(tokenise: Tokenise, projector: str, parts: tuple[str | int, ...]) -> None:
    made = request(tokenise, *parts)
    assert read(prompt_of(made, STOCK, projector, tokenise), tokenise, projector, STOCK) == planned(made)


def test_what_begins_every_text_is_not_said_twice(tokenise: Tokenise) -> None:
    begins = Dialect(False, MARKER, tuple(tokenise("<|user|>")), ())
    made = request(tokenise, "<|user|>What <|image_start|>", 1, "<|image_end|>?")
    prompt = prompt_of(made, begins, "lfm2", tokenise)
    assert isinstance(prompt, dict)
    assert not prompt["prompt_string"].startswith("<|user|>")
    assert read(prompt, tokenise, "lfm2", begins) == planned(made)
    with pytest.raises(EngineError, match="puts its own"):
        prompt_of(request(tokenise, "What <|image_start|>", 1, "<|image_end|>?"), begins, "lfm2", tokenise)


@pytest.mark.parametrize(
    ("projector", "parts", "said"),
    [
        ("lfm2", ("<|image_start|>", 1, "<|tile|>", 2, "<|image_end|>"), "around each of 2 tiles"),
        ("lfm2", ("<|image_start|>", 1, 2, "<|image_end|>"), "around each of 2 tiles"),
        ("lfm2", ("What", 1, "?"), "around each of 1 tiles"),
        ("mlp", (("the num", "ber"), 1), "other tokens than were planned"),
        ("idefics3", ("a", 1, "b"), "reads a picture for idefics3 as two"),
    ],
)
def test_what_would_come_out_otherwise_is_refused(
    tokenise: Tokenise, projector: str, parts: tuple[str | int, ...], said: str
) -> None:
    with pytest.raises(EngineError, match=f"{said}.*--runtime inproc"):
        prompt_of(request(tokenise, *parts), STOCK, projector, tokenise)


def test_a_text_alone_is_its_ids(tokenise: Tokenise) -> None:
    made = request(tokenise, ("the num", "ber"))
    assert prompt_of(made, STOCK, "idefics3", tokenise) == made.parts[0]
