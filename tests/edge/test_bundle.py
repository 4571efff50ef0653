"""The lock: read strictly, compared with what lies beside it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from magicvl.edge.bundle import (
    Bundle,
    FileEntry,
    LanguageInfo,
    Lock,
    PictureInfo,
    VisionInfo,
    lock_from_json,
    lock_to_json,
    read_bundle,
    sha256,
)
from magicvl.edge.plan import Grid
from magicvl.edge.prompt import Pieces
from magicvl.edge.reference_sizes import Lfm2Rules
from magicvl.errors import BundleError


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A bundle with a lock that fits two short files."""
    entries = {}
    for role in ("llm", "mmproj"):
        path = tmp_path / f"{role}.gguf"
        path.write_bytes(role.encode())
        entries[role] = FileEntry(path.name, path.stat().st_size, sha256(path))
    lock = Lock(
        name="test",
        files=entries,
        vision=VisionInfo(32, 2, 2, 64, patch=14, unshuffle=2, positions=24, projector_width=48),
        language=LanguageInfo("llama", 64, 2, 300, 4096),
        picture=PictureInfo(336, 9, (0.5, 0.25, 0.125), (0.5, 0.5, 0.5)),
        pieces=Pieces(between=""),
        provenance={"from": "here"},
        parity={"cosine": 1.0},
    )
    (tmp_path / "magicvl.json").write_text(json.dumps(lock_to_json(lock)))
    return Bundle(tmp_path, lock)


def test_a_lock_survives_the_trip_through_json(bundle: Bundle) -> None:
    assert read_bundle(bundle.directory) == bundle
    read_bundle(bundle.directory).verify()
    assert bundle.lock.grid == Grid(28, 336, 9)


def test_a_changed_byte_is_found(bundle: Bundle) -> None:
    bundle.path("llm").write_bytes(b"mll")
    with pytest.raises(BundleError, match=r"llm\.gguf: sha256"):
        bundle.verify()


def test_a_missing_or_cut_file_is_found(bundle: Bundle) -> None:
    bundle.path("mmproj").write_bytes(b"mmpro")
    with pytest.raises(BundleError, match="5 bytes, the lock says 6"):
        bundle.verify()
    bundle.path("mmproj").unlink()
    with pytest.raises(BundleError, match="not there"):
        bundle.verify()


def test_a_directory_without_a_lock_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no magicvl\.json"):
        read_bundle(tmp_path)
    with pytest.raises(BundleError, match=r"no magicvl\.json"):
        read_bundle(tmp_path / "nowhere")


def test_least_tokens_survive_the_trip_through_json(bundle: Bundle) -> None:
    lock = replace(bundle.lock, picture=replace(bundle.lock.picture, min_tokens=56))
    found = lock_from_json(json.loads(json.dumps(lock_to_json(lock))))
    assert found == lock
    assert found.grid == Grid(28, 336, 9, min_tokens=56)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"format": 2}',
        b'{"format": 1}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_lock_is_one_line(bundle: Bundle, damage: bytes) -> None:
    (bundle.directory / "magicvl.json").write_bytes(damage)
    with pytest.raises(BundleError, match=r"magicvl\.json: ") as caught:
        read_bundle(bundle.directory)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("section", ["files", "vision", "language", "picture", "pieces"])
@pytest.mark.parametrize("value", [None, 3, [], {}, {"unknown": 1}])
def test_a_section_of_another_kind_is_refused(bundle: Bundle, section: str, value: object) -> None:
    data = lock_to_json(bundle.lock) | {section: value}
    (bundle.directory / "magicvl.json").write_text(json.dumps(data))
    if section == "pieces" and value == {}:
        assert read_bundle(bundle.directory).lock.pieces == Pieces()
        return
    with pytest.raises(BundleError):
        read_bundle(bundle.directory)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("vision", "patch", "16"),
        ("vision", "layers", True),
        ("vision", "heads", 0),
        ("language", "context", -1),
        ("language", "width", 64.0),
        ("picture", "tile", 100),
        ("picture", "mean", [0.5, 0.5]),
        ("picture", "mean", "abc"),
        ("picture", "resample", 2),
        ("pieces", "before", None),
    ],
)
def test_a_value_of_another_kind_is_refused(bundle: Bundle, section: str, key: str, value: object) -> None:
    data = lock_to_json(bundle.lock)
    data[section] = data[section] | {key: value}
    (bundle.directory / "magicvl.json").write_text(json.dumps(data))
    with pytest.raises(BundleError, match=r"magicvl\.json: "):
        read_bundle(bundle.directory)


@pytest.mark.parametrize(
    "entry",
    [{"path": "../llm.gguf"}, {"path": "/llm.gguf"}, {"package": "os.path"}, {"package": ""}, {"size": -1}],
)
def test_a_lock_cannot_lead_out_of_the_bundle(bundle: Bundle, entry: dict[str, object]) -> None:
    data = lock_to_json(bundle.lock)
    data["files"]["llm"].update(entry)
    (bundle.directory / "magicvl.json").write_text(json.dumps(data))
    with pytest.raises(BundleError, match="damaged"):
        read_bundle(bundle.directory)


def test_a_file_of_an_installed_package_is_found(bundle: Bundle) -> None:
    entry = FileEntry("decoder.py", 1, "0", package="json")
    carried = replace(bundle, lock=replace(bundle.lock, files=bundle.lock.files | {"llm": entry}))
    assert carried.path("llm").is_file()
    assert lock_from_json(lock_to_json(carried.lock)) == carried.lock
    missing = replace(entry, package="no_such_package_anywhere")
    with pytest.raises(BundleError, match="install it first"):
        replace(bundle, lock=replace(bundle.lock, files={"llm": missing})).path("llm")


def test_how_pictures_are_cut_survives_the_trip_through_json(bundle: Bundle) -> None:
    picture = PictureInfo(
        336, 17, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "lanczos", "nanovlm", 1344, enlarge=False, overview=False
    )
    lock = replace(bundle.lock, picture=picture, vision=replace(bundle.lock.vision, projector_width=None))
    found = lock_from_json(json.loads(json.dumps(lock_to_json(lock))))
    assert found == lock
    assert found.grid == Grid(28, 336, 17, "nanovlm", 1344, enlarge=False, overview=False, resample="lanczos")


def test_lfm2s_way_survives_the_trip_through_json(bundle: Bundle) -> None:
    picture = PictureInfo(504, 11, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), policy="lfm2")
    picture = replace(picture, min_tokens=64, max_tokens=256, min_tiles=2, split_above=524_288)
    lock = replace(bundle.lock, picture=picture)
    found = lock_from_json(json.loads(json.dumps(lock_to_json(lock))))
    assert found == lock
    unit = lock.vision.patch * lock.vision.unshuffle
    assert found.grid == Grid(unit, 504, 11, "lfm2", lfm2=Lfm2Rules(lock.vision.patch, 64, 256, 2, 524_288))


@pytest.mark.parametrize(
    "damage",
    [
        {"enlarge": 1},
        {"longest": "1344"},
        {"longest": 0},
        {"policy": "internvl", "min_tokens": 5},
        {"policy": "fisheye"},
        {"policy": 3},
        {"policy": "lfm2"},
        {"policy": "lfm2", "min_tokens": 64, "max_tokens": 256, "min_tiles": 2},
        {"policy": "lfm2", "min_tokens": 64, "max_tokens": 63, "min_tiles": 2, "split_above": 1},
        {"min_tokens": 64, "max_tokens": 256, "min_tiles": 2, "split_above": 524_288},
    ],
)
def test_odd_ways_to_cut_pictures_are_found(bundle: Bundle, damage: dict[str, object]) -> None:
    data = lock_to_json(bundle.lock)
    data["picture"] |= damage
    (bundle.directory / "magicvl.json").write_text(json.dumps(data))
    with pytest.raises(BundleError):
        read_bundle(bundle.directory)


def test_a_lock_of_the_time_before_policies_still_loads(bundle: Bundle) -> None:
    data = lock_to_json(bundle.lock)
    for key in ("policy", "longest", "enlarge", "overview", "min_tokens", "max_tokens", "min_tiles", "split_above"):
        del data["picture"][key]
    for key in ("tile", "overview", "single", "each", "placeholder"):
        del data["pieces"][key]
    del data["vision"]["projector"]
    assert lock_from_json(data) == bundle.lock


def test_a_lock_says_whether_films_have_tracks_in_true_or_false(bundle: Bundle) -> None:
    path = bundle.directory / "magicvl.json"
    lock = json.loads(path.read_text())
    path.write_text(json.dumps(lock | {"film_tracks": True}))
    assert read_bundle(bundle.directory).lock.film_tracks
    path.write_text(json.dumps({key: value for key, value in lock.items() if key != "film_tracks"}))
    assert not read_bundle(bundle.directory).lock.film_tracks
    path.write_text(json.dumps(lock | {"film_tracks": "yes"}))
    with pytest.raises(BundleError, match=r"magicvl\.json: damaged \('yes' is neither true nor false\)"):
        read_bundle(bundle.directory)
