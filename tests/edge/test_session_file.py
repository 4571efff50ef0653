"""A conversation goes on from its file with the same tokens, and no file harms the one who opens it."""

import io
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from magicvl.edge.answer import Options
from magicvl.edge.engine import Engine
from magicvl.edge.session import Session
from magicvl.errors import UsageError

Make = Callable[..., Image.Image]
SIX = Options(max_tokens=6)


@pytest.fixture(autouse=True)
def _own_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def talk(engine: Engine, make_picture: Make) -> Session:
    session = engine.session(overflow="drop")
    session.answer("one", [make_picture(400, 100), make_picture(64, 64, seed=2)], SIX)
    session.answer("two", make_picture(400, 400), Options(max_tokens=6, budget=40))
    return session


@pytest.fixture
def saved(tiny_bundle: Path, make_picture: Make, tmp_path: Path) -> tuple[Path, tuple[int, ...]]:
    """The file, and the tokens of the next answer."""
    path = tmp_path / "talk.magicvl"
    with Engine(tiny_bundle, threads=1) as engine:
        session = talk(engine, make_picture)
        engine.save_session(session, path)
        return path, session.answer("three", options=SIX).tokens


def test_it_goes_on_with_the_same_tokens_and_reads_nothing_again(
    tiny_bundle: Path, saved: tuple[Path, tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, expected = saved
    with Engine(tiny_bundle, threads=1) as engine:
        monkeypatch.setattr(engine.inproc.vision, "encode", lambda tile: pytest.fail("looked again"))
        session = engine.open_session(path)
        assert [turn.prompt for turn in session.turns] == ["one", "two"]
        assert session.overflow == "drop"
        answer = session.answer("three", options=SIX)
        assert answer.tokens == expected
        assert answer.usage.cached_tokens > answer.usage.image_tokens
    assert [name.name for name in path.parent.iterdir() if "part" in name.name] == []


@pytest.mark.parametrize("fault", ["another key", "changed words", "another build", "another type", "no state"])
def test_keys_and_values_of_others_are_computed_again(
    tiny_bundle: Path, saved: tuple[Path, tuple[int, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    path, expected = saved
    if fault == "another key":
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other"))
    elif fault == "changed words":
        rewrite(path, lambda data: data | {"overflow": "error"})
    elif fault == "another build":
        rewrite(path, lambda data: data | {"build": "x"})
    elif fault == "no state":
        rewrite(path, lambda data: data, leave=("state.bin",))
    with Engine(tiny_bundle, threads=1, key_type="q8_0" if fault == "another type" else "f16") as engine:
        monkeypatch.setattr(engine.sequences, "restore", lambda *_: pytest.fail("native code saw it"))
        answer = engine.open_session(path).answer("three", options=SIX)
    assert (answer.usage.cached_tokens, answer.tokens) == (0, expected)


def test_large_keys_and_values_are_left_out_where_wanted(tiny_bundle: Path, make_picture: Make, tmp_path: Path) -> None:
    small, whole = tmp_path / "small", tmp_path / "whole"
    with Engine(tiny_bundle, threads=1) as engine:
        session = talk(engine, make_picture)
        assert engine.save_session(session, whole)
        with zipfile.ZipFile(whole) as file:
            size = file.getinfo("state.bin").file_size
        assert engine.save_session(session, small, most_state=size)
        assert not engine.save_session(session, small, most_state=size - 1)
        with zipfile.ZipFile(small) as file:
            assert not {"state.bin", "state.mac"} & set(file.namelist())
        expected = session.answer("three", options=SIX).tokens
    with Engine(tiny_bundle, threads=1) as engine:
        answer = engine.open_session(small).answer("three", options=SIX)
    assert (answer.usage.cached_tokens, answer.tokens) == (0, expected)


def rewrite(path: Path, change: Callable[[dict], object], leave: tuple[str, ...] = ()) -> None:
    """The same zip with other words, and without some members."""
    copy = path.with_suffix(".new")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "session.json":
                data = json.dumps(change(json.loads(data))).encode()
            if name not in leave:
                new.writestr(name, data)
    shutil.move(copy, path)


def first_turn(**fields: object) -> Callable[[dict], object]:
    return lambda data: data | {"turns": [data["turns"][0] | fields, *data["turns"][1:]]}


CHANGES = {
    "no object": lambda data: [],
    "format": lambda data: data | {"format": 2},
    "no turns": lambda data: {name: value for name, value in data.items() if name != "turns"},
    "turns of text": lambda data: data | {"turns": ["x"]},
    "overflow": lambda data: data | {"overflow": "perhaps"},
    "a token past the vocabulary": first_turn(tokens=[10**6]),
    "a token below": first_turn(tokens=[-1]),
    "a token of text": first_turn(tokens=["1"]),
    "a prompt of numbers": first_turn(prompt=[1]),
    "a huge picture": first_turn(pictures=[[10**9, 10**9]]),
    "a picture of text": first_turn(pictures=[["x", 3]]),
    "more pictures": first_turn(pictures=[[400, 100], [64, 64], [64, 64]]),
    "another size": first_turn(pictures=[[400, 300], [64, 64]]),
    "a budget of text": first_turn(budget="x"),
}


@pytest.mark.parametrize("name", list(CHANGES))
def test_words_that_are_not_ours_are_one_line(
    tiny_bundle: Path, saved: tuple[Path, tuple[int, ...]], name: str
) -> None:
    rewrite(saved[0], CHANGES[name])
    with Engine(tiny_bundle, threads=1) as engine, pytest.raises(UsageError) as error:
        engine.open_session(saved[0])
    assert "\n" not in str(error.value)


def test_files_that_are_not_ours_are_one_line(
    tiny_bundle: Path, saved: tuple[Path, tuple[int, ...]], tmp_path: Path
) -> None:
    path = saved[0]
    whole = path.read_bytes()
    with Engine(tiny_bundle, threads=1) as engine:
        for data in (b"", b"text", whole[: len(whole) // 2], whole[:-30], whole[:500] + b"x" * 400 + whole[900:]):
            path.write_bytes(data)
            with pytest.raises(UsageError, match="not a conversation of magicvl, or damaged"):
                engine.open_session(path)
        with pytest.raises(UsageError, match="no such file"):
            engine.open_session(tmp_path / "missing")


def test_a_tile_is_checked_before_it_is_decoded(
    tiny_bundle: Path, saved: tuple[Path, tuple[int, ...]], tmp_path: Path
) -> None:
    path = saved[0]
    Image.new("RGB", (5000, 5000)).save(tmp_path / "large.png")
    rewrite(path, lambda data: data, leave=("tiles/0-0-0.png",))
    with zipfile.ZipFile(path, "a") as file:
        file.write(tmp_path / "large.png", "tiles/0-0-0.png")
    with Engine(tiny_bundle, threads=1) as engine, pytest.raises(UsageError, match="a tile of 5000 x 5000 px"):
        engine.open_session(path)


def header(path: Path, offset: int, value: int) -> None:
    """Sets two bytes of every member's record in the zip's directory."""
    data = bytearray(path.read_bytes())
    place = data.find(b"PK\x01\x02")
    while place >= 0:
        data[place + offset : place + offset + 2] = value.to_bytes(2, "little")
        place = data.find(b"PK\x01\x02", place + 1)
    path.write_bytes(data)


@pytest.mark.parametrize("fault", ["encrypted", "packed in an unknown way", "of a later version", "too deep", "a bomb"])
def test_what_libraries_refuse_is_one_line(
    tiny_bundle: Path, saved: tuple[Path, tuple[int, ...]], tmp_path: Path, fault: str
) -> None:
    path = saved[0]
    if fault == "too deep":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("session.json", "[" * 10**6)
    elif fault == "a bomb":
        small = io.BytesIO()
        Image.new("RGB", (8, 8)).save(small, "PNG")
        # A header of 100,000 x 100,000 px with its own checksum.
        size = b"IHDR" + (100_000).to_bytes(4, "big") * 2 + small.getvalue()[24:29]
        bomb = small.getvalue()[:12] + size + zlib.crc32(size).to_bytes(4, "big") + small.getvalue()[33:]
        rewrite(path, lambda data: data, leave=("tiles/0-0-0.png",))
        with zipfile.ZipFile(path, "a") as file:
            file.writestr("tiles/0-0-0.png", bomb)
    else:
        header(path, *{"encrypted": (8, 1), "packed in an unknown way": (10, 77), "of a later version": (6, 99)}[fault])
    with Engine(tiny_bundle, threads=1) as engine, pytest.raises(UsageError, match="or damaged") as error:
        engine.open_session(path)
    assert "\n" not in str(error.value)


def test_a_state_is_never_more_than_its_file(tiny_bundle: Path, saved: tuple[Path, tuple[int, ...]]) -> None:
    path = saved[0]
    rewrite(path, lambda data: data, leave=("state.bin",))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("state.bin", bytes(50 * 2**20))
    with Engine(tiny_bundle, threads=1) as engine, pytest.raises(UsageError, match=r"state\.bin has 52,428,800 bytes"):
        engine.open_session(path)


def test_another_model_is_named(tiny_bundle: Path, saved: tuple[Path, tuple[int, ...]]) -> None:
    import magicvl

    with magicvl.load(threads=1) as engine, pytest.raises(UsageError, match="another model than magicvl-nano"):
        engine.open_session(saved[0])


def test_a_folder_that_cannot_be_written_is_one_line(tiny_bundle: Path, make_picture: Make, tmp_path: Path) -> None:
    with Engine(tiny_bundle, threads=1) as engine:
        session = talk(engine, make_picture)
        with pytest.raises(UsageError, match="can't be written there"):
            engine.save_session(session, tmp_path / "missing" / "talk")


def test_the_key_is_for_this_user_alone(saved: tuple[Path, tuple[int, ...]], tmp_path: Path) -> None:
    key = tmp_path / "config" / "magicvl" / "session.key"
    assert key.stat().st_size == 32
    assert os.name == "nt" or key.stat().st_mode & 0o077 == 0
