"""What is written is what is read; a run that was killed goes on as if it had not been."""

import gc
import json
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest
import webdataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from magicvl.errors import MagicVLError, PictureError, SampleError, UsageError
from magicvl.train.samples.draw import write_samples
from magicvl.train.samples.generated import Generated
from magicvl.train.samples.open import open_samples
from magicvl.train.samples.sample import CATEGORIES, METRICS, Box, Event, Sample, Turn
from magicvl.train.samples.sheet import write_sheet
from magicvl.train.samples.source import Stream
from magicvl.train.samples.write_llava import LlavaWriter
from magicvl.train.samples.write_shards import ShardWriter
from magicvl.train.samples.writer import Format, make_writer

Equal = Callable[[Sample, Sample], bool]
KINDS: list[Format] = ["llava", "webdataset"]


def write(stream: Stream, kind: Format, folder: Path, count: int) -> str:
    path = write_samples(stream, make_writer(kind, folder), count, lambda done: None, lambda: False)
    return f"{kind}:{path}"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


TEXT = (
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    .filter(lambda text: "<image>" not in text)
    .map(str.strip)
)
NUMBERS = st.integers(0, 500) | st.floats(0, 500, width=32)
TURNS = st.builds(Turn, TEXT, TEXT, st.sampled_from(METRICS), TEXT, st.lists(TEXT, max_size=2).map(tuple))
BOXES = st.builds(Box, TEXT, NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.sampled_from(["object", "text"]), st.integers(0, 3))
SAMPLES = st.builds(
    Sample,
    TEXT,
    st.sampled_from(CATEGORIES),
    TEXT.filter(bool),
    st.lists(st.sampled_from([Image.new("RGB", (9, 7), "red"), Image.new("RGB", (5, 6), "blue")]), max_size=3).map(
        tuple
    ),
    st.lists(TURNS, min_size=1, max_size=3).map(tuple),
    st.none() | st.lists(BOXES, max_size=2).map(tuple),
    st.lists(st.builds(Event, TEXT, NUMBERS, NUMBERS), max_size=2).map(tuple),
)


@pytest.mark.parametrize("kind", KINDS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(samples=st.lists(SAMPLES, min_size=1, max_size=4))
def test_any_sample_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, kind: Format, samples: list[Sample], equal: Equal
) -> None:
    folder = tmp_path_factory.mktemp("out")
    writer = make_writer(kind, folder)
    for sample in samples:
        writer.add(sample)
    found = list(open_samples(f"{kind}:{writer.finish()}"))
    assert len(found) == len(samples)
    assert all(map(equal, found, samples))


@pytest.mark.parametrize("kind", KINDS)
def test_drawn_samples_come_back(tmp_path: Path, kind: Format, drawn: Generated, equal: Equal) -> None:
    spec = write(drawn, kind, tmp_path / "out", 12)
    found = list(open_samples(spec))
    assert len(found) == 12
    assert all(map(equal, found, drawn))
    again = write(open_samples(spec), kind, tmp_path / "again", 12)
    assert all(map(equal, open_samples(again), drawn))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("killed_after", [0, 1, 5, 9])
def test_a_stopped_run_goes_on_to_the_same_bytes(
    tmp_path: Path, kind: Format, drawn: Generated, killed_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from magicvl.train.samples import write_shards

    monkeypatch.setattr(write_shards.ShardWriter.__init__, "__defaults__", (4,))
    write(drawn, kind, tmp_path / "through", 10)
    writer = make_writer(kind, tmp_path / "stopped")
    for sample in islice(drawn, killed_after):
        writer.add(sample)
    writer.close()
    # As a kill leaves it: a row cut short, a shard half written.
    with (tmp_path / "stopped" / ("samples.jsonl" if kind == "llava" else ".partial")).open("ab") as file:
        file.write(b'{"id": "half a r')
    goes_on = make_writer(kind, tmp_path / "stopped")
    assert goes_on.count == (killed_after if kind == "llava" else killed_after // 4 * 4)
    write_samples(drawn, goes_on, 10, lambda done: None, lambda: False)
    assert files(tmp_path / "stopped") == files(tmp_path / "through")
    with pytest.raises(UsageError, match="give another -o, or --force"):
        make_writer(kind, tmp_path / "stopped")


def test_ctrl_c_stops_after_a_sample(tmp_path: Path, drawn: Generated) -> None:
    seen: list[int] = []
    writer = LlavaWriter(tmp_path)
    assert write_samples(drawn, writer, 50, seen.append, lambda: len(seen) == 3) is None
    assert seen == [1, 2, 3]
    with closing(LlavaWriter(tmp_path)) as goes_on:
        assert goes_on.count == 3


def test_a_stored_picture_keeps_its_bytes(tmp_path: Path) -> None:
    Image.effect_noise((40, 30), 50).save(tmp_path / "a.jpeg", quality=30)
    writer = LlavaWriter(tmp_path / "out")
    writer.add(Sample("1", "vqa", "s", (tmp_path / "a.jpeg", (tmp_path / "a.jpeg").read_bytes()), (Turn("?", "!"),)))
    row = json.loads(writer.finish().read_text())[0]
    assert [Path(name).suffix for name in row["image"]] == [".jpg", ".jpg"]
    for name in row["image"]:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "a.jpeg").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_written_leaves_nothing(tmp_path: Path, kind: Format, drawn: Generated) -> None:
    writer = make_writer(kind, tmp_path)
    with pytest.raises(PictureError, match=r"gone.png: No such file"):
        writer.add(Sample("1", "vqa", "s", (tmp_path / "gone.png",), (Turn("?", "!"),)))
    with pytest.raises(PictureError, match="not a picture in a format"):
        writer.add(Sample("1", "vqa", "s", (b"GIF but no",), (Turn("?", "!"),)))
    with pytest.raises(SampleError, match="its words hold <image>, the mark of a picture"):
        writer.add(Sample("1", "text", "s", (), (Turn("What is <image>?", "!"),)))
    writer.add(drawn[0])
    assert len(list(open_samples(f"{kind}:{writer.finish()}"))) == 1


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_the_package_webdataset_reads_our_shards(tmp_path: Path, drawn: Generated) -> None:
    writer = ShardWriter(tmp_path, 3)
    for sample in islice(drawn, 8):
        writer.add(sample)
    writer.finish()
    read = webdataset.WebDataset(sorted(map(str, tmp_path.glob("*.tar"))), shardshuffle=False)
    rows = [json.loads(entry["json"]) for entry in read]
    assert [row["id"] for row in rows] == [sample.id for sample in islice(drawn, 8)]
    del read
    # The package leaves its files to the garbage collector.
    gc.collect()


def test_we_read_the_package_webdatasets_shards(tmp_path: Path) -> None:
    with webdataset.TarWriter(str(tmp_path / "a.tar")) as sink:
        for number in range(3):
            picture = Image.new("RGB", (20, 20 + number))
            sink.write({"__key__": f"s{number}", "png": picture, "json": {"question": "?", "answer": f"{number}"}})
    found = list(open_samples(f"webdataset:{tmp_path}/a.tar"))
    assert [(sample.id, sample.turns[0].answer, len(sample.pictures)) for sample in found] == [
        ("s0", "0", 1),
        ("s1", "1", 1),
        ("s2", "2", 1),
    ]


def test_endless_samples_by_number_and_by_worker(drawn: Generated) -> None:
    ids = [sample.id for sample in islice(drawn, 60)]
    assert len(set(ids)) == 60
    assert drawn[1_000_001].id == "numbers/next/train/7/500000"
    for workers in (1, 3, 4):
        parts = [
            [sample.id for sample in islice(drawn.shard(worker, workers), 60 // workers)] for worker in range(workers)
        ]
        assert sorted(each for part in parts for each in part) == sorted(ids)
        assert [part[0] for part in parts] == ids[:workers]
    assert drawn.shard(1, 2).shard(2, 3)[4].id == drawn[1 + 2 * (2 + 3 * 4)].id
    with pytest.raises(IndexError):
        drawn[-1]


def test_a_contact_sheet_shows_all_pictures_and_boxes(tmp_path: Path) -> None:
    red = Image.new("RGB", (100, 50), "red")
    samples = [
        Sample(
            "1", "vqa", "s", (red, Image.new("RGB", (50, 50), "blue")), (Turn("What?" * 90, "A long answer " * 60),)
        ),
        Sample("2", "grounding", "s", (red,), (Turn("Where?", "[100, 200, 900, 800]"),)),
        Sample("3", "text", "s", (), (Turn("Wörter\nonly", ""),)),
    ]
    write_sheet(samples, tmp_path / "sheet.png", columns=2)
    with Image.open(tmp_path / "sheet.png") as sheet:
        colours = {colour for _, colour in sheet.convert("RGB").getcolors(1 << 20) or []}
    assert {(255, 0, 0), (0, 0, 255), (255, 0, 192), (0, 64, 160)} <= colours


def test_an_error_of_the_disk_leaves_whole_rows(tmp_path: Path, drawn: Generated) -> None:
    writer = LlavaWriter(tmp_path)
    writer.add(drawn[0])
    (tmp_path / "pictures").rename(tmp_path / "elsewhere")
    (tmp_path / "pictures").write_text("no folder")
    with pytest.raises(MagicVLError, match=r"sample 2 can't be written .*; those before are safe"):
        writer.add(drawn[2])
    writer.close()
    with closing(LlavaWriter(tmp_path)) as goes_on:
        assert goes_on.count == 1
