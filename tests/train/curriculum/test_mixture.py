"""Which sample a number means: by weights, epoch by epoch, the same whoever asks."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicvl.errors import UsageError
from magicvl.train.complexity.table import Entry, Table, write_table
from magicvl.train.curriculum.mixture import PERIOD, Mixture, Reading, share_out
from magicvl.train.curriculum.stage import Data, Stage
from magicvl.train.samples.open import open_samples

MakeStage = Callable[..., Stage]


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=20))
def test_shares_add_up_and_follow_the_weights(weights: list[float]) -> None:
    shares = share_out(weights, PERIOD)
    assert sum(shares) == PERIOD
    assert min(shares) >= 1
    exact = [weight * PERIOD / sum(weights) for weight in weights]
    assert all(share <= max(1, value + 1) for share, value in zip(shares, exact, strict=True))


def test_every_epoch_has_every_sample_once_in_another_order(make_stage: MakeStage) -> None:
    mixture = Mixture(make_stage())
    epochs = [[mixture.sample(24 * epoch + place).id for place in range(24)] for epoch in range(3)]
    assert all(len(set(epoch)) == 24 for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    # Whoever asks, and in whatever order.
    again = Mixture(make_stage())
    assert [again.sample(number).id for number in (50, 3, 71, 3)] == [
        epochs[2][2], epochs[0][3], epochs[2][23], epochs[0][3],
    ]  # fmt: skip


def test_weights_decide_how_often_a_source_comes(make_stage: MakeStage, colour_samples: Path) -> None:
    few = Data(f"llava:{colour_samples}?source=few")
    many = Data(f"llava:{colour_samples}?source=many", weight=3.0)
    mixture = Mixture(make_stage(data=(few, many)))
    counts = Counter(mixture.sample(number).source for number in range(PERIOD))
    assert counts == {"few": 250, "many": 750}
    # And evenly along the way.
    early = Counter(mixture.sample(number).source for number in range(200))
    assert 35 <= early["few"] <= 65


def test_categories_and_levels_choose(make_stage: MakeStage, colour_samples: Path, tmp_path: Path) -> None:
    # Rows without a category are vqa, and text where they have no pictures.
    only = Data(f"llava:{colour_samples}", categories=("text",))
    assert {Mixture(make_stage(data=(only,))).sample(n).category for n in range(30)} == {"text"}
    table = tmp_path / "complexity.json"
    entry = {"category": "vqa", "s_text": 0.5, "s_image": 0.5, "s_task": None, "s": 0.5}
    write_table(Table({"easy": Entry(**entry, level="low"), "hard": Entry(**entry, level="high")}), table)
    data = tuple(Data(f"llava:{colour_samples}?source={name}", level="high") for name in ("easy", "hard"))
    stage = make_stage(data=data[1:], complexity=str(table))
    assert Mixture(stage).sample(0).source == "hard"
    with pytest.raises(UsageError, match=r"none of its 24 samples is wanted .categories any; level high"):
        Mixture(make_stage(data=data[:1], complexity=str(table))).sample(0)


def test_a_stream_is_read_by_number(colour_samples: Path) -> None:
    stream = open_samples(f"llava:{colour_samples}")
    ids = [sample.id for sample in stream]
    reading = Reading(stream)
    numbers = [0, 1, 5, 5, 2, 23, 24, 30, 49]
    assert [reading.read(number).id for number in numbers] == [ids[number % 24] for number in numbers]
