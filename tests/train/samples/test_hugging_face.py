"""Datasets of the package `datasets` on disk, as it writes them, and Parquet folders."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from PIL import Image

from magicvl.edge.pixels import open_picture
from magicvl.errors import MagicVLError, SampleError, UsageError
from magicvl.train.samples.open import open_samples
from magicvl.train.samples.source import Samples

datasets.disable_progress_bars()
Save = Callable[[datasets.Dataset], str]


def opened(spec: str, **options: Any) -> Samples:
    stream = open_samples(f"hf:{spec}", **options)
    assert isinstance(stream, Samples)
    return stream


@pytest.fixture(params=["disk", "parquet"])
def save(request: pytest.FixtureRequest, tmp_path: Path) -> Save:
    """Both ways of keeping a dataset; gives the folder."""

    def write(data: datasets.Dataset) -> str:
        if request.param == "disk":
            data.save_to_disk(tmp_path / "mine")
        else:
            (tmp_path / "mine" / "data").mkdir(parents=True)
            half = len(data) // 2
            data.select(range(half)).to_parquet(tmp_path / "mine/data/part-0.parquet", batch_size=2)
            data.select(range(half, len(data))).to_parquet(tmp_path / "mine/data/part-1.parquet", batch_size=2)
        return str(tmp_path / "mine")

    return write


def test_pictures_and_answers_by_their_usual_columns(save: Save) -> None:
    pictures = [Image.new("RGB", (20 + number, 20), (number * 20, 0, 0)) for number in range(9)]
    rows = [{"image": picture, "question": f"{n}?", "answers": ["a", "b", "b"]} for n, picture in enumerate(pictures)]
    samples = opened(save(datasets.Dataset.from_list(rows)))
    assert len(samples) == 9
    assert [sample.turns[0].prompt for sample in samples] == [f"{number}?" for number in range(9)]
    assert (samples[4].turns[0].answer, samples[4].turns[0].others, samples[4].source) == ("b", ("a",), "mine")
    assert open_picture(samples[4].pictures[0]).tobytes() == pictures[4].tobytes()
    assert [sample.id for sample in samples.shard(1, 4)] == ["2", "6"]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
                {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]},
            ]
        },
        {"conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hi"}]},
        {"conversations": {"from": ["human", "gpt"], "value": ["Hello", "Hi"]}},
        {"texts": [{"user": "Hello", "assistant": "Hi"}]},
        {"question": "Hello", "answer": "Hi"},
        {"instruction": "Hello", "output": "Hi"},
        {"question": "Hello", "answers": {"text": ["Hi"], "answer_start": [3]}},
        {"query": "Hello", "answers": [{"answer": "Hi"}, {"answer": "Hi"}]},
    ],
)
def test_talk_by_its_usual_columns(row: dict[str, Any], save: Save) -> None:
    samples = opened(save(datasets.Dataset.from_list([row, row])))
    assert [(turn.prompt, turn.answer) for turn in samples[1].turns] == [("Hello", "Hi")]
    assert samples[1].category == "text"


def test_several_pictures_and_a_caption(save: Save) -> None:
    rows = [{"images": [Image.new("RGB", (20, 20)), Image.new("RGB", (30, 20))], "caption": "Two."}] * 2
    (sample, _) = opened(save(datasets.Dataset.from_list(rows)))
    assert [open_picture(each).width for each in sample.pictures] == [20, 30]
    assert (sample.turns[0].prompt, sample.turns[0].answer) == ("Describe this picture.", "Two.")


def test_splits_are_folders_or_files(tmp_path: Path) -> None:
    data = datasets.Dataset.from_list([{"text": f"{number}"} for number in range(6)])
    datasets.DatasetDict({"train": data, "test": data.select([4])}).save_to_disk(tmp_path / "dict")
    assert len(opened(f"{tmp_path}/dict")) == 6
    assert [sample.turns[0].answer for sample in opened(f"{tmp_path}/dict", split="test")] == ["4"]
    with pytest.raises(UsageError, match="no split style; there are: test, train"):
        opened(f"{tmp_path}/dict", split="style")
    (tmp_path / "files").mkdir()
    data.to_parquet(tmp_path / "files/train-00000-of-00001.parquet")
    data.select([5]).to_parquet(tmp_path / "files/test-00000-of-00001.parquet")
    assert len(opened(f"{tmp_path}/files")) == 6
    assert [sample.turns[0].answer for sample in opened(f"{tmp_path}/files", split="test")] == ["5"]
    with pytest.raises(UsageError, match="no Parquet file of the split style"):
        opened(f"{tmp_path}/files", split="style")


def test_pictures_by_path_stay_in_their_folder(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    rows = [
        {"image": "a.png", "text": "a"},
        {"image": str(tmp_path / "a.png"), "text": "a"},
        {"image": "/etc/x", "text": "a"},
    ]
    datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "mine")
    samples = opened(f"{tmp_path}/mine?pictures={tmp_path}")
    assert open_picture(samples[0].pictures[0]).size == open_picture(samples[1].pictures[0]).size == (20, 20)
    with pytest.raises(SampleError, match="row 3: image: picture '/etc/x' lies outside of"):
        samples[2]


def test_what_is_no_dataset_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(MagicVLError, match="none: no such folder"):
        opened(f"{tmp_path}/none")
    with pytest.raises(MagicVLError, match="neither a dataset of save_to_disk"):
        opened(str(tmp_path))
    (tmp_path / "a.parquet").write_bytes(b"PAR1 is not enough")
    with pytest.raises(SampleError, match="damaged, or of another kind"):
        opened(str(tmp_path))
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(SampleError, match="damaged, or of another kind"):
        opened(str(tmp_path))


def test_a_wrong_row_is_named(save: Save) -> None:
    samples = opened(save(datasets.Dataset.from_list([{"label": 3}, {"label": 4}])))
    with pytest.raises(SampleError, match="mine: row 2: no conversations, messages"):
        samples[1]
