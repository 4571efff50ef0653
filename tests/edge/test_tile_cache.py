"""What was looked at once is not looked at again, and what is wrong on disk is looked at again."""

import os
import pickle
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from magicvl.edge.tile_cache import TileCache, tile_key
from magicvl.errors import UsageError


def rows(seed: int, count: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 16)).astype(np.float32)


def key(number: int) -> bytes:
    return tile_key(np.full((32, 32, 3), number, np.uint8), b"encoder")


def test_a_key_holds_all_that_the_tokens_depend_on() -> None:
    tile = np.zeros((32, 64, 3), np.uint8)
    other = tile.copy()
    other[5, 5, 1] = 1
    keys = [
        tile_key(tile, b"one"),
        tile_key(tile, b"two"),
        tile_key(other, b"one"),
        tile_key(tile.reshape(64, 32, 3), b"one"),
    ]
    assert len(set(keys)) == 4
    assert tile_key(np.asfortranarray(tile), b"one") == keys[0]


def test_memory_keeps_its_limit_and_the_last_used() -> None:
    cache = TileCache(memory=3 * rows(0).nbytes)
    for number in range(3):
        cache.put(key(number), rows(number))
    assert np.array_equal(cache.get(key(0)), rows(0))
    cache.put(key(3), rows(3))
    assert cache.get(key(1)) is None
    assert all(cache.get(key(number)) is not None for number in (0, 2, 3))
    cache.put(key(4), rows(4, count=100))
    assert cache.get(key(4)) is None and cache.get(key(3)) is not None
    assert (cache.hits, cache.misses) == (5, 2)
    with pytest.raises(ValueError, match="read-only"):
        cache.get(key(3))[0, 0] = 1


def test_the_folder_serves_another_process(tmp_path: Path) -> None:
    code = f"""
import numpy as np
from pathlib import Path
from magicvl.edge.tile_cache import TileCache
cache = TileCache(folder=Path({os.fspath(tmp_path)!r}))
for number in range(20):
    cache.put(bytes([number]) * 32, np.full((300, 40), number, np.float32))
"""
    writers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    cache = TileCache(memory=0, folder=tmp_path)
    for number in range(20):
        assert np.array_equal(cache.get(bytes([number]) * 32), np.full((300, 40), number, np.float32))
    cache.close()


def test_the_folder_keeps_its_limit(tmp_path: Path) -> None:
    cache = TileCache(memory=0, folder=tmp_path, disk=2**20)
    for number in range(60):
        cache.put(key(number), np.zeros((500, 40), np.float32))
    cache.close()
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 1.5 * 2**20


@pytest.mark.parametrize("count", [8, 4000], ids=["in the table", "in a file"])
@pytest.mark.parametrize("fault", ["cut", "changed", "empty", "pickle"])
def test_a_damaged_entry_is_no_entry(tmp_path: Path, count: int, fault: str) -> None:
    cache = TileCache(memory=0, folder=tmp_path)
    cache.put(key(1), rows(1, count))
    assert cache.get(key(1)) is not None
    cache.close()
    damage(tmp_path, fault)
    cache = TileCache(memory=0, folder=tmp_path)
    assert cache.get(key(1)) is None
    cache.put(key(1), rows(1, count))
    assert np.array_equal(cache.get(key(1)), rows(1, count))
    cache.close()


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('the pickle was read')",)


def damage(folder: Path, fault: str) -> None:
    change = {
        "cut": lambda data: data[:-7],
        "changed": lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:],
        "empty": lambda _: b"",
        "pickle": lambda _: pickle.dumps(Bomb()),
    }[fault]
    with sqlite3.connect(folder / "cache.db") as database:
        ((name, value),) = database.execute("SELECT filename, value FROM Cache").fetchall()
        if name is None:
            database.execute("UPDATE Cache SET value = ?", (change(value),))
        else:
            (folder / name).write_bytes(change((folder / name).read_bytes()))
        if fault == "pickle":
            database.execute("UPDATE Cache SET mode = 4")
    database.close()


def test_a_broken_database_costs_no_more_than_the_folder(tmp_path: Path) -> None:
    cache = TileCache(folder=tmp_path)
    (tmp_path / "cache.db").write_bytes(b"no database" * 1000)
    cache.put(key(1), rows(1))
    assert np.array_equal(cache.get(key(1)), rows(1))
    cache.close()
    with pytest.raises(UsageError, match="can't be opened there"):
        TileCache(folder=tmp_path)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"file/x: the cache of tiles can't be opened"):
        TileCache(folder=tmp_path / "file" / "x")
