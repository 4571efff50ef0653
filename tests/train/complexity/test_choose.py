"""The same samples are chosen whatever their order; what was measured stays, and what changed is measured anew."""

import io
import json
import random
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from magicvl.edge.pixels import open_picture
from magicvl.errors import CheckpointError, MagicVLError, UsageError
from magicvl.train.complexity import choose as choosing
from magicvl.train.complexity.choose import Chosen, choose
from magicvl.train.complexity.rows import Rows, fingerprint, sample_digest
from magicvl.train.generator.dataset import Dataset
from magicvl.train.samples.generated import Generated
from magicvl.train.samples.sample import Box, Sample, Turn


def names(chosen: Chosen) -> list[str]:
    return [reader().id for reader in chosen.readers]


def test_datasets_in_turn_are_parted(made_up: Mapping[str, Dataset], monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = tuple(made_up.values())
    monkeypatch.setattr(choosing, "open_samples", lambda _spec, seed: Generated(kinds, seed, "train"))
    choice = choose(["generated:all"], 3, seed=7)
    assert [chosen.source for chosen in choice.datasets] == [f"generated/{name}" for name in sorted(made_up)]
    for chosen in choice.datasets:
        own = made_up[chosen.source.removeprefix("generated/")]
        assert (chosen.category, chosen.samples, chosen.strays) == (own.category, None, 0)
        assert names(chosen) == [own.sample(7, number).id for number in range(3)]
    alone = tuple(kinds[:1])
    monkeypatch.setattr(choosing, "open_samples", lambda _spec, seed: Generated(alone, seed, "train"))
    assert [names(chosen) for chosen in choose(["generated:sign"], 2).datasets] == [
        ["sign/train/0/0", "sign/train/0/1"]
    ]
    with pytest.raises(UsageError, match="generated/sign was named before"):
        choose(["generated:sign", "generated:ocr"], 2)


def test_stored_ones_are_chosen_by_name_and_not_by_place(llava: Path) -> None:
    (first,) = choose([f"llava:{llava}"], 4).datasets
    assert (first.source, first.category, first.samples, first.strays) == ("notes", "vqa", 10, 2)
    chosen = names(first)
    assert len(set(chosen)) == 4
    rows = json.loads(llava.read_text())
    random.Random(1).shuffle(rows)
    llava.write_text(json.dumps(rows))
    (other,) = choose([f"llava:{llava}"], 4).datasets
    assert names(other) == [row["id"] for row in rows if row["id"] in chosen]
    (every,) = choose([f"llava:{llava}"], 99).datasets
    assert names(every) == [row["id"] for row in rows]
    assert any(set(names(choose([f"llava:{llava}"], 4, seed).datasets[0])) != set(chosen) for seed in (1, 2, 3))


def test_several_sources_in_one_file_and_rows_that_cannot_be_read(llava: Path) -> None:
    rows = json.loads(llava.read_text())
    for number, row in enumerate(rows):
        row["source"] = "odd" if number % 2 else "even"
    llava.write_text(json.dumps([*rows, {"id": "bad"}]))
    choice = choose([f"llava:{llava}"], 3)
    assert [(chosen.source, chosen.samples, len(chosen.readers)) for chosen in choice.datasets] == [
        ("even", 5, 3),
        ("odd", 5, 3),
    ]
    assert choice.unreadable == 1


def test_of_shards_the_chosen_ones_are_kept(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "cats-000.tar", "w") as shard:
        for number in range(6):
            picture = io.BytesIO()
            Image.new("RGB", (8 + number, 8)).save(picture, "PNG")
            row = json.dumps({"question": "How wide?", "answer": str(8 + number), "source": "cats"}).encode()
            for name, data in ((f"{number}.png", picture.getvalue()), (f"{number}.json", row)):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                shard.addfile(member, io.BytesIO(data))
    (chosen,) = choose([f"webdataset:{tmp_path}/cats-*.tar"], 3).datasets
    assert (chosen.source, chosen.samples, len(chosen.readers)) == ("cats", 6, 3)
    # In any order, and more than once.
    for reader in (*reversed(chosen.readers), *chosen.readers):
        sample = reader()
        assert open_picture(sample.pictures[0]).width == int(sample.turns[0].answer)


def test_wrong_use(llava: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--count 0"):
        choose([f"llava:{llava}"], 0)
    with pytest.raises(UsageError, match="name at least one source"):
        choose([], 1)
    (tmp_path / "bad.json").write_text('[{"id": 1}]')
    with pytest.raises(UsageError, match="no sample can be read"):
        choose([f"llava:{tmp_path / 'bad.json'}"], 1)


SAMPLE = Sample("1", "vqa", "made", (), (Turn("What?", "This."),), (Box("a", 0, 0, 1, 1),))


def test_what_was_measured_stays(tmp_path: Path) -> None:
    path = tmp_path / "terms.jsonl"
    with Rows(path) as rows:
        assert rows.get("a", "loss") is None
        rows.add("a", SAMPLE, "loss", {"loss": 1.5})
        rows.add("b", SAMPLE, "loss", {"loss": None})
        with pytest.raises(MagicVLError, match="another process is measuring into it"):
            Rows(path)
    path.write_bytes(path.read_bytes() + b'{"sample": "c", "part": "lo')
    with Rows(path) as rows:
        assert rows.get("a", "loss") == {"loss": 1.5}
        assert rows.get("c", "loss") is None
        rows.add("c", SAMPLE, "loss", {"loss": 2.0})
    whole = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["sample"] for row in whole] == ["a", "b", "c"]
    with Rows(path) as rows:
        assert rows.get("c", "loss") == {"loss": 2.0}


@pytest.mark.parametrize("text", ["[1]\n", '{"sample": 1}\n', "words\n", '{"sample": "a", "part": "b", "values": 1}\n'])
def test_rows_of_something_else_are_not_written_to(text: str, tmp_path: Path) -> None:
    path = tmp_path / "terms.jsonl"
    path.write_text(text)
    with pytest.raises(UsageError, match="line 1 is no row of complexity"):
        Rows(path)
    assert path.read_text() == text
    with pytest.raises(UsageError, match="cannot be written"):
        Rows(tmp_path / "none" / "terms.jsonl")


def test_a_digest_is_of_what_a_sample_holds(tmp_path: Path) -> None:
    plain, red = Image.new("RGB", (4, 2)), Image.new("RGB", (4, 2), "red")
    red.save(tmp_path / "red.png")
    changes: list[dict[str, Any]] = [
        {"id": "2"},
        {"source": "other"},
        {"turns": (Turn("What?", "That."),)},
        {"boxes": None},
        {"boxes": (Box("b", 0, 0, 1, 1),)},
        {"pictures": (plain,)},
        {"pictures": (red,)},
        {"pictures": (plain.resize((2, 4)),)},
        {"pictures": (red.tobytes(),)},
        {"pictures": (tmp_path / "red.png",)},
        {"pictures": (tmp_path / "none.png",)},
    ]
    digests = [sample_digest(SAMPLE), *(sample_digest(replace(SAMPLE, **change)) for change in changes)]
    assert len(set(digests)) == len(digests)
    assert sample_digest(replace(SAMPLE, pictures=(Image.new("RGB", (4, 2)),))) == digests[6]
    plain.resize((40, 20)).save(tmp_path / "red.png")
    assert sample_digest(replace(SAMPLE, pictures=(tmp_path / "red.png",))) != digests[10]


def test_a_fingerprint_is_of_the_models_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "notes.txt").write_text(name)
    assert fingerprint(tmp_path / "one") == fingerprint(tmp_path / "two")
    (tmp_path / "two" / "model.safetensors").write_bytes(b"1")
    assert fingerprint(tmp_path / "one") != fingerprint(tmp_path / "two")
    assert fingerprint(tmp_path / "two" / "model.safetensors") != fingerprint(tmp_path / "two")
    with pytest.raises(CheckpointError, match="cannot be read"):
        fingerprint(tmp_path / "none")


def test_a_file_of_something_else_without_a_line_end_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "terms.jsonl"
    path.write_bytes(b"somebody's notes")
    with pytest.raises(UsageError, match="line 1 is no row of complexity"):
        Rows(path)
    assert path.read_bytes() == b"somebody's notes"
