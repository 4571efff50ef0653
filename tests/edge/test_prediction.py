"""What a look will take: every batch is counted, and the largest budget that fits is found."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from magicvl import DEFAULT_BUNDLE
from magicvl.edge.bundle import Lock, read_bundle
from magicvl.edge.calibration import Calibration, Memory
from magicvl.edge.engine import Engine
from magicvl.edge.pixels import Header, open_picture, read_header
from magicvl.edge.plan import Plan, plan
from magicvl.edge.prediction import FRAME, largest_budget, predict, question_tokens
from magicvl.edge.prompt import Pieces, ask_messages
from magicvl.errors import PictureError, UsageError

patient = settings(deadline=None, max_examples=60)
MIB = 2**20
NANO = read_bundle(DEFAULT_BUNDLE).lock
SQUARES = replace(
    NANO, picture=replace(NANO.picture, policy="idefics3", longest=1152, resample="lanczos"), pieces=Pieces()
)
"""The same tiles, cut as Idefics3 does: full ones and an overview."""
CALIBRATION = Calibration(
    threads=1,
    trials=((1, 0.3),),
    tile=((1, 0.01), (36, 0.05), (144, 0.25)),
    push=((1, 0.002), (144, 0.05)),
    depth=1e-7,
    token=0.003,
    opening={"JPEG": 0.01, "PNG": 0.04},
    first_encode=0.02,
    first_context=0.03,
    first_prefill=0.01,
    memory=Memory(60 * MIB, 80 * MIB, 6000.0),
)
HEADERS = st.lists(
    st.builds(Header, st.integers(1, 5000), st.integers(1, 5000), st.sampled_from(["JPEG", "PNG", "GIF", None])),
    min_size=1,
    max_size=3,
)
LOCKS = st.sampled_from([NANO, SQUARES])


def plans(lock: Lock, pictures: list[Header], budget: int | None = None) -> list[Plan]:
    return [plan(each.width, each.height, lock.grid, budget) for each in pictures]


def test_every_batch_is_counted() -> None:
    """Two tiles side by side: the start and `18x12:`, a tile, a separator, a smaller tile, the end and the question."""
    picture = Header(576, 384, "JPEG")
    made = predict(CALIBRATION, NANO, [picture], plans(NANO, [picture]), question=10)
    push, encode = CALIBRATION.push_s, CALIBRATION.encode_s
    assert made.encode_s == pytest.approx(0.02 + 0.01 * 576 * 384 / 1e6 + encode(144) + encode(72))
    pushes = [(1 + 6, 0), (144, 7), (1, 151), (72, 152), (1 + 10, 224)]
    assert made.prefill_s == pytest.approx(0.01 + sum(push(*each) for each in pushes) + 0.003 - push(1, 0))
    assert made.token_s == pytest.approx(0.003 + 1e-7 * 235)
    assert made.seconds == made.encode_s + 0.03 + made.prefill_s
    json = made.to_json()
    assert set(json) == {"encode_s", "context_s", "prefill_s", "token_s", "peak_mib"}
    assert json["peak_mib"] == round((made.peak_bytes or 0) / MIB, 1)


def test_memory_is_the_larger_of_opening_and_answering() -> None:
    small, large = Header(384, 384), Header(8000, 6000)
    answering = predict(CALIBRATION, NANO, [small], plans(NANO, [small])).peak_bytes
    opening = predict(CALIBRATION, NANO, [large], plans(NANO, [large], 1)).peak_bytes
    assert answering is not None and 80 * MIB + 512 * 6000 < answering < 82 * MIB + 512 * 6000
    assert opening is not None and opening == pytest.approx(60 * MIB + 12 * 8000 * 6000, rel=1e-3)
    long = predict(CALIBRATION, NANO, [small], plans(NANO, [small]), answer=2000).peak_bytes
    assert long == answering + 6000 * (2560 - 512)
    untold = replace(CALIBRATION, memory=None)
    made = predict(untold, NANO, [small], plans(NANO, [small]))
    assert made.peak_bytes is None and made.to_json()["peak_mib"] is None


@pytest.mark.parametrize("question", ["What?", "What is at the top of the picture?", "Where is everything? " * 6])
def test_a_question_is_about_as_long_as_that(question: str) -> None:
    with Engine(DEFAULT_BUNDLE, threads=1) as engine:
        real = engine.read(ask_messages(question, 0), []).text_tokens
    assert abs(question_tokens(question) - real) <= FRAME + 0.3 * real


@patient
@given(LOCKS, HEADERS, st.floats(1e-3, 20))
def test_the_largest_budget_that_fits_is_found(lock: Lock, pictures: list[Header], seconds: float) -> None:
    def took(budget: int | None) -> float:
        return predict(CALIBRATION, lock, pictures, plans(lock, pictures, budget)).seconds

    try:
        budget, made, predicted = largest_budget(seconds, CALIBRATION, lock, pictures)
    except UsageError as error:
        assert "take about" in str(error)
        # Nothing that can be asked for would have fitted.
        least = 1 if lock is NANO else lock.grid.tile_tokens
        assert took(least) > seconds
        return
    assert made == plans(lock, pictures, budget)
    assert predicted.seconds == took(budget) <= seconds
    if budget is None:
        return
    most = max(each.tokens for each in plans(lock, pictures))
    assert budget < most
    assert took(None) > seconds
    # Every larger budget makes one of the plans between the two, and none of those fits.
    for larger in {budget + 1, (budget + most) // 2, most - 1} - set(range(budget + 1)):
        assert plans(lock, pictures, larger) == made or took(larger) > seconds


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_seconds_that_cannot_be_meant_are_refused(seconds: float) -> None:
    with pytest.raises(UsageError, match="above 0"):
        largest_budget(seconds, CALIBRATION, NANO, [Header(10, 10)])


def test_the_pushes_are_the_engines(tiny_bundle: Path, make_picture: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sizes of what the decoder is fed, question aside: predicted and real."""
    from magicvl.edge import llama
    from magicvl.edge.prediction import _pushes

    fed: list[int] = []
    decode = llama.Context._decode

    def count(self: llama.Context, batch: object, logits: bool) -> None:
        fed.append(batch.n_tokens)  # type: ignore[attr-defined]
        decode(self, batch, logits)

    monkeypatch.setattr(llama.Context, "_decode", count)
    sizes = [(500, 800), (100, 64)]
    pictures = [make_picture(*size) for size in sizes]  # type: ignore[operator]
    with Engine(tiny_bundle, threads=1) as engine:
        engine.ask(pictures, "?", max_tokens=1)
        predicted = _pushes([plan(*size, engine.lock.grid) for size in sizes], engine.lock.pieces, 1)
    # The template's frame stands before the first picture and after the last.
    assert fed[1:-1] == predicted[1:-1]
    assert len(fed) == len(predicted)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_header_is_upright(tmp_path: Path, orientation: int, kind: str) -> None:
    path = tmp_path / "picture"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (60, 40)).save(path, kind, exif=exif)
    header = read_header(path)
    assert (header.width, header.height) == open_picture(path).size
    assert header.kind == kind


def test_a_header_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("words")
    with pytest.raises(PictureError, match="not a picture"):
        read_header(tmp_path / "text.png")
