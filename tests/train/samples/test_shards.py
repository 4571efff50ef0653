"""WebDataset shards: what makes a sample, how workers share, and what a hostile tar file gets."""

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from magicvl.errors import MagicVLError, SampleError, UsageError
from magicvl.train.samples import shards
from magicvl.train.samples.open import open_samples
from magicvl.train.samples.opening import Opened
from magicvl.train.samples.sample import Sample
from magicvl.train.samples.shard_names import expand_braces


def picture(colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 20), colour).save(buffer, "JPEG")
    return buffer.getvalue()


def write_tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def row(**fields: object) -> bytes:
    return json.dumps({"question": "What?", "answer": "This."} | fields).encode()


def read(spec: str) -> list[Sample]:
    return list(open_samples(f"webdataset:{spec}"))


@pytest.fixture
def numbered(tmp_path: Path) -> Callable[[list[int]], str]:
    """Shards of so many samples each, numbered on; gives their glob."""

    def write(sizes: list[int]) -> str:
        number = 0
        for shard, size in enumerate(sizes):
            members = []
            for _ in range(size):
                members.append((f"{number:04}.json", row(id=number)))
                number += 1
            write_tar(tmp_path / f"part-{shard:03}.tar", members)
        return str(tmp_path / "part-*.tar")

    return write


def test_members_of_a_key_are_a_sample(tmp_path: Path) -> None:
    write_tar(
        tmp_path / "train-0.tar",
        [
            ("a/1.json", row(category="ocr")),
            ("a/1.10.jpg", picture("blue")),
            ("a/1.2.JPG", picture("green")),
            ("a/1.cls", b"3"),
            ("a/2.jpg", picture()),
            ("a/2.txt", "Ein Käfer.".encode()),
            ("a/3.txt", b"words alone"),
            ("a/.hidden", b""),
        ],
    )
    one, two, three = read(f"{tmp_path}/train-0.tar?prompt=Caption,%20please.")
    assert (one.id, one.category, one.source) == ("a/1", "ocr", "train-0")
    assert one.pictures == (picture("green"), picture("blue"))
    assert (two.turns[0].prompt, two.turns[0].answer) == ("Caption, please.", "Ein Käfer.")
    assert (three.category, three.turns[0].prompt) == ("text", "")


def test_globs_and_ranges_name_shards(numbered: Callable[[list[int]], str], tmp_path: Path) -> None:
    numbered([2, 2, 2])
    assert [each.id for each in read(f"{tmp_path}/part-{{000..002}}.tar")] == ["0", "1", "2", "3", "4", "5"]
    assert [each.id for each in read(f"{tmp_path}/part-00{{2,0}}.tar")] == ["4", "5", "0", "1"]
    assert len(read(f"{tmp_path}/part-00?.tar")) == 6
    with pytest.raises(SampleError, match=r"part-003.tar: no such file"):
        read(f"{tmp_path}/part-{{000..003}}.tar")
    with pytest.raises(SampleError, match="no file matches"):
        read(f"{tmp_path}/other-*.tar")


@pytest.mark.parametrize(
    ("name", "expanded"),
    [
        ("a{08..11}b", ["a08b", "a09b", "a10b", "a11b"]),
        ("{8..10}", ["8", "9", "10"]),
        ("{a,b}{1..2}", ["a1", "a2", "b1", "b2"]),
        ("{a}", ["{a}"]),
        ("plain", ["plain"]),
    ],
)
def test_braces_are_a_shells(name: str, expanded: list[str]) -> None:
    assert expand_braces(name) == expanded


@pytest.mark.parametrize("name", ["{0..99999999999}", "{5..2}", "{0..999}{0..999}"])
def test_too_many_shards_are_refused_before_they_are_made(name: str) -> None:
    with pytest.raises(UsageError, match="shards"):
        expand_braces(name)


@pytest.mark.parametrize("name", ["pipe:touch hacked", "http://a/b.tar", "s3://a/{0..9}.tar"])
def test_nothing_is_run_or_fetched(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="nothing is fetched or run"):
        read(name)
    assert not list(tmp_path.iterdir())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.integers(0, 5), min_size=1, max_size=5),
    workers=st.integers(1, 7),
    again=st.integers(1, 3),
    seed=st.none() | st.integers(0, 3),
)
def test_workers_share_all_samples_and_each_once(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], workers: int, again: int, seed: int | None
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    number = 0
    for shard, size in enumerate(sizes):
        members = [(f"{number + each:04}.json", row(id=number + each)) for each in range(size)]
        write_tar(folder / f"{shard}.tar", members)
        number += size
    stream = open_samples(f"webdataset:{folder}/*.tar")
    stream = stream if seed is None else stream.shuffled(seed)
    parts = [
        [int(each.id) for each in stream.shard(worker, workers).shard(inner, again)]
        for worker in range(workers)
        for inner in range(again)
    ]
    assert sorted(each for part in parts for each in part) == list(range(number))
    if seed is None:
        whole = [int(attempt().id) for attempt in stream.tries(2)]
        assert whole == list(range(number))[2:]


def test_a_shuffled_order_is_the_seeds(numbered: Callable[[list[int]], str]) -> None:
    stream = open_samples(f"webdataset:{numbered([300, 300])}")
    orders = [[each.id for each in stream.shuffled(seed)] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0], key=int) == [str(number) for number in range(600)]


def test_wrong_samples_are_named_and_passed_over(tmp_path: Path) -> None:
    write_tar(
        tmp_path / "a.tar",
        [
            ("1.json", row()),
            ("2.json", b"{"),
            ("3.json", b"[1]"),
            ("4.jpg", picture()),
            ("5.txt", b"\xff\xfe"),
            ("6.json", row(question="<image>?")),
            ("7.json", row()),
        ],
    )
    (tmp_path / "b.tar").write_bytes(b"no tar file at all, but long enough" * 100)
    write_tar(tmp_path / "c.tar", [("8.json", row())])
    stream = open_samples(f"webdataset:{tmp_path}/*.tar")
    tolerant = Opened(stream, skip=True)
    assert [each.id for each in tolerant] == ["1", "7", "8"]
    said = "\n".join(tolerant.messages)
    for part in (
        "2: no JSON",
        "3: list, where",
        "4: it has jpg; a json or txt",
        "5: its text is not UTF-8",
        "6: 1 <image>",
    ):
        assert f"a.tar: {part}" in said
    assert "b.tar: damaged, or no tar file" in said
    with pytest.raises(SampleError, match=r"a\.tar: 2: no JSON"):
        list(stream)


def test_a_shard_cut_short_gives_what_is_whole(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("1.json", row()), ("2.json", row(more="x" * 4000)), ("3.json", row())])
    with path.open("r+b") as file:
        file.truncate(3500)
    tolerant = Opened(open_samples(f"webdataset:{path}"), skip=True)
    assert [each.id for each in tolerant] == ["1"]
    assert tolerant.passed_over


def test_what_a_header_claims_takes_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "MOST_MEMBER", 10_000)
    path = tmp_path / "a.tar"
    with path.open("wb") as file:
        claims = tarfile.TarInfo("1.jpg")
        claims.size = 8 << 30
        file.write(claims.tobuf(tarfile.GNU_FORMAT))
        file.truncate(1 << 20)
    with pytest.raises(MagicVLError, match=r"1.jpg has 8,589,934,592 bytes|damaged"):
        read(str(path))
    # A name of gigabytes, in a header of the PAX format.
    with path.open("wb") as file:
        claims = tarfile.TarInfo("pax")
        claims.size, claims.type = 1 << 30, tarfile.XHDTYPE
        file.write(claims.tobuf(tarfile.GNU_FORMAT))
        file.truncate(2 << 30)
    with pytest.raises(SampleError, match="a part of 1,073,741,824 bytes"):
        read(str(path))
    write_tar(path, [("1.json", row(more="x" * 20_000))])
    with pytest.raises(SampleError, match=r"1.json has 20,\d+ bytes; at most 10,000 are read"):
        read(str(path))


def test_links_and_odd_members_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    os.symlink("/etc/passwd", tmp_path / "link")
    with tarfile.open(path, "w") as tar:
        tar.add(tmp_path / "link", "1.txt")
        info = tarfile.TarInfo("../../2.json")
        data = row()
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    assert [each.id for each in read(str(path))] == ["../../2"]
    assert not (tmp_path.parent / "2.json").exists()


def test_a_key_with_members_without_end_is_damage(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [(f"1.{number}.txt", b"") for number in range(400)])
    with pytest.raises(SampleError, match="the key '1' has more than"):
        read(str(path))
