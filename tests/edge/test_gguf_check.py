"""The header reader: agrees with gguf on good files, and gives one line for every damage."""

import json
import random
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import process_time

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from magicvl.edge import gguf_check
from magicvl.edge.gguf_check import BLOCKS, read_gguf
from magicvl.errors import BundleError

TOKENS = [f"token {i} é" for i in range(50)]


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small file with every kind of value, written by the gguf package."""
    path = tmp_path_factory.mktemp("gguf") / "good.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint8("a.uint8", 200)
    writer.add_int8("a.int8", -3)
    writer.add_uint16("a.uint16", 60_000)
    writer.add_int16("a.int16", -30_000)
    writer.add_uint32("a.uint32", 4_000_000_000)
    writer.add_int32("a.int32", -5)
    writer.add_uint64("a.uint64", 2**63)
    writer.add_int64("a.int64", -(2**62))
    writer.add_float32("a.float32", 0.5)
    writer.add_float64("a.float64", 0.1)
    writer.add_bool("a.bool", True)
    writer.add_string("a.string", "naïve")
    writer.add_token_list(TOKENS)
    writer.add_token_scores([0.5] * len(TOKENS))
    writer.add_tensor("first.weight", np.ones((3, 64), np.float32))
    writer.add_tensor("second.bias", np.ones(5, np.float16))
    packed = gguf.quants.quantize(np.ones((2, 64), np.float32), gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("third.weight", packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def refused(path: Path, data: bytes) -> str:
    """The message for a file of these bytes, which must be one line that names it."""
    path.write_bytes(data)
    with pytest.raises(BundleError) as caught:
        read_gguf(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


def test_it_reads_what_the_gguf_package_reads(good: Path) -> None:
    found, expected = read_gguf(good), gguf.GGUFReader(good)
    assert found.version == 3
    assert found.metadata["general.architecture"] == found.text("general.architecture") == "llama"
    for key, field in expected.fields.items():
        if not key.startswith("GGUF."):
            value = field.contents()
            assert found.metadata[key] == (tuple(value) if isinstance(value, list) else value)
    assert list(found.texts("tokenizer.ggml.tokens")) == TOKENS
    assert set(found.tensors) == {tensor.name for tensor in expected.tensors}
    for tensor in expected.tensors:
        mine = found.tensors[tensor.name]
        assert mine.shape == tuple(map(int, tensor.shape))
        assert (mine.type, mine.offset, mine.size) == (
            tensor.tensor_type.name,
            tensor.data_offset,
            tensor.n_bytes,
        )


def test_an_array_of_strings_is_a_sequence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Strings that reach past what was read ahead are among them: the window is 64 bytes, the longest 300.
    monkeypatch.setattr(gguf_check, "_WINDOW", 64)
    expected = (*("é" * (i * i % 151) + str(i) for i in range(40)), "")
    arrays = [
        text(key) + struct.pack("<IIQ", 9, 8, len(some)) + b"".join(map(text, some))
        for key, some in (("k", expected), ("same", expected), ("other", expected[1:]), ("none", ()))
    ]
    path = tmp_path / "strings.gguf"
    path.write_bytes(file([], arrays))
    found = read_gguf(path)
    texts = found.texts("k")
    assert len(texts) == 41 and tuple(texts) == expected and texts == expected
    assert repr(texts) == "<41 strings>"
    assert [texts[i] for i in range(-41, 41)] == [*expected, *expected]
    assert texts[3:30:4] == expected[3:30:4] and texts[:2] == expected[:2] and texts[5::-2] == expected[5::-2]
    assert texts == found.texts("same") and texts != found.texts("other") and texts != expected[1:]
    assert expected[7] in texts and texts.index(expected[7]) == 7 and not found.texts("none")
    for outside in (41, -42):
        with pytest.raises(IndexError):
            texts[outside]


def test_bytes_that_are_no_utf_8_are_replaced(tmp_path: Path) -> None:
    odd = struct.pack("<Q", 3) + b"a\xffb"
    path = tmp_path / "odd.gguf"
    path.write_bytes(file([], [text("k") + struct.pack("<IIQ", 9, 8, 2) + odd + odd]))
    assert read_gguf(path).metadata["k"] == ("a\ufffdb", "a\ufffdb")


def test_block_types_are_those_of_the_gguf_package() -> None:
    inner = {"Q8_1"}  # of sums, never in a file
    expected = {kind.value: (kind.name, *size) for kind, size in gguf.GGML_QUANT_SIZES.items()}
    assert dict(BLOCKS) == {number: row for number, row in expected.items() if row[0] not in inner}


def test_typed_access_names_what_is_wrong(good: Path) -> None:
    file = read_gguf(good)
    assert file.integer("a.uint32") == 4_000_000_000
    for read, key, words in (
        (file.text, "a.nothing", "has no a.nothing"),
        (file.text, "a.uint8", "no string"),
        (file.integer, "a.string", "no whole number"),
        (file.integer, "a.bool", "no whole number"),
        (file.integer, "a.float32", "no whole number"),
        (file.texts, "a.string", "no array of strings"),
        (file.texts, "tokenizer.ggml.scores", "no array of strings"),
    ):
        with pytest.raises(BundleError, match=words):
            read(key)


def test_a_file_cut_anywhere_is_refused(good: Path, tmp_path: Path) -> None:
    data = good.read_bytes()
    last = max(tensor.offset + tensor.size for tensor in read_gguf(good).tensors.values())
    for length in range(0, last, 7):
        refused(tmp_path / "cut.gguf", data[:length])
    refused(tmp_path / "cut.gguf", data[: last - 1])


@pytest.mark.parametrize(
    ("offset", "value", "words"),
    [
        (0, b"GGML", "does not begin with GGUF"),
        (4, struct.pack("<I", 1), "version 1"),
        (4, struct.pack(">I", 3), "version 50,331,648"),
        (8, struct.pack("<Q", 2**63), "9,223,372,036,854,775,808 tensors, at most 16,384"),
        (8, struct.pack("<Q", 4), "past the end|unknown type|dimensions"),
        (16, struct.pack("<Q", 2**40), "1,099,511,627,776 keys, at most 4,096"),
        (24, struct.pack("<Q", 2**64 - 1), "a key claims 18,446,744,073,709,551,615 bytes"),
    ],
)
def test_absurd_headers_are_refused(good: Path, tmp_path: Path, offset: int, value: bytes, words: str) -> None:
    data = bytearray(good.read_bytes())
    data[offset : offset + len(value)] = value
    message = refused(tmp_path / "bad.gguf", bytes(data))
    assert any(word in message for word in words.split("|")), message


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def file(tensors: list[bytes], keys: Sequence[bytes] = (), data: bytes = b"\0" * 256) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys) + b"".join(tensors)
    return head + b"\0" * (-len(head) % 32) + data


def tensor(name: str = "t", shape: tuple[int, ...] = (32,), kind: int = 0, offset: int = 0) -> bytes:
    dims = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + dims + struct.pack("<IQ", kind, offset)


def alignment(value: int) -> bytes:
    return text("general.alignment") + struct.pack("<II", 4, value)


def test_the_hand_made_files_below_are_good_where_nothing_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "made.gguf"
    path.write_bytes(file([tensor("a"), tensor("b", offset=128)]))
    assert {name: (t.offset, t.size) for name, t in read_gguf(path).tensors.items()} == {
        "a": (96, 128),
        "b": (224, 128),
    }
    path.write_bytes(file([], []))
    assert not read_gguf(path).tensors


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (file([tensor(kind=9)]), "unknown type 9"),
        (file([tensor(kind=2**31)]), "unknown type"),
        (file([tensor(shape=())]), "0 dimensions"),
        (file([tensor(shape=(1, 1, 1, 1, 1))]), "5 dimensions"),
        (file([tensor(shape=(0, 4))]), "does not divide"),
        (file([tensor(shape=(33,), kind=8)]), "blocks of 32"),
        (file([tensor(shape=(2**62, 2**62, 4))]), "the file has"),
        (file([tensor(offset=1)]), "not aligned to 32"),
        (file([tensor(offset=2**64 - 32)]), "the file has"),
        (file([tensor(offset=160)]), "the file has"),
        (file([tensor("a"), tensor("b", offset=96)]), "overlaps tensor 'a'"),
        (file([tensor("a"), tensor("a", offset=128)]), "there twice"),
        (file([tensor("x" * 64)]), "at most 63"),
        (file([], [alignment(0)]), "power of two"),
        (file([], [alignment(48)]), "power of two"),
        (file([], [alignment(2**31)]), "power of two"),
        (file([], [text("general.alignment") + struct.pack("<I", 8) + text("32")]), "power of two"),
        (file([], [text("general.alignment") + struct.pack("<I?", 7, True)]), "power of two"),
        (file([], [alignment(32), alignment(32)]), "there twice"),
        (file([], [text("") + struct.pack("<II", 4, 1)]), "without a name"),
        (file([], [text("k" * 257)]), "at most 256"),
        (file([], [text("k") + struct.pack("<I", 13)]), "unknown type 13"),
        (file([], [text("k\nk") + struct.pack("<I", 13)]), r"'k\nk' has the unknown type 13"),
        (file([], [text("k") + struct.pack("<IIQ", 9, 9, 1)]), "unknown type 9"),
        (file([], [text("k") + struct.pack("<IIQ", 9, 4, 2**60)]), "elements of k, at most"),
        (file([], [text("k") + struct.pack("<IIQ", 9, 4, 10_000)]), "past the end"),
        (file([], [text("k") + struct.pack("<IIQ", 9, 8, 10_000)]), "past the end"),
        (file([], [text("k") + struct.pack("<IQ", 8, 2**50)]), "k claims"),
    ],
)
def test_each_kind_of_damage_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    assert words in refused(tmp_path / "bad.gguf", data)


def test_a_header_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_check, "MAX_HEADER", 4096)
    key = text("k") + struct.pack("<IIQ", 9, 0, 5000) + b"\0" * 5000
    assert "4,096 bytes" in refused(tmp_path / "long.gguf", file([], [key]))


def test_no_file_and_no_regular_file(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such file"):
        read_gguf(tmp_path / "nowhere.gguf")
    with pytest.raises(BundleError, match="not a file"):
        read_gguf(tmp_path)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 2500), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4))
@example([(8, b"\xff" * 8)])
def test_flipped_bytes_are_read_or_refused_and_nothing_else(
    good: Path, tmp_path: Path, changes: list[tuple[int, bytes]]
) -> None:
    data = bytearray(good.read_bytes())
    for offset, value in changes:
        data[offset : offset + len(value)] = value
    path = tmp_path / "flipped.gguf"
    path.write_bytes(data)
    try:
        found = read_gguf(path)
    except BundleError:
        return
    assert all(0 < each.offset <= each.offset + each.size <= len(data) for each in found.tensors.values())


def test_a_vocabulary_of_150_thousand_tokens_is_read_quickly(tmp_path: Path) -> None:
    path = tmp_path / "large.gguf"
    tokens = b"".join(text(f"token{i}") for i in range(150_000))
    key = text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 150_000) + tokens
    path.write_bytes(file([], [key]))
    started = process_time()
    found = read_gguf(path)
    # A third of a second where it was written.
    assert process_time() - started < 5
    assert found.texts("tokenizer.ggml.tokens")[-1] == "token149999"


@pytest.fixture(scope="session")
def headers(tiny_bundle: Path) -> list[bytes]:
    """Two real files, a decoder with its vocabulary and an encoder, cut short behind their first tensors."""
    cut = []
    for name in ("llm.gguf", "mmproj.gguf"):
        first = min(tensor.offset for tensor in read_gguf(tiny_bundle / name).tensors.values())
        cut.append((tiny_bundle / name).read_bytes()[: first + 4096])
    return cut


NUMBERS = [0, 1, 2**16, 2**22, 2**31, 2**32 - 1, 2**62, 2**64 - 1]
# Where (as a share of the file), what, and with which numbers: nothing that is drawn depends on the file.
MUTATIONS = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(["number", "bytes", "cut", "repeat", "drop"]),
        st.sampled_from(NUMBERS),
        st.binary(min_size=4, max_size=4),
        st.integers(1, 64),
    ),
    min_size=1,
    max_size=4,
)


def mutate(data: bytearray, where: float, what: str, number: int, four: bytes, count: int) -> None:
    at = int(where * len(data))
    if what == "number":
        data[at : at + 8] = struct.pack("<Q", number)
    elif what == "bytes":
        data[at : at + 4] = four
    elif what == "cut":
        del data[max(1, at) :]
    elif what == "repeat":
        data[at:at] = data[at : at + count]
    else:
        del data[at : at + count]


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0, 1), mutations=MUTATIONS)
def test_mutated_real_files_are_read_or_refused_in_time(
    which: int, mutations: list[tuple[float, str, int, bytes, int]], headers: list[bytes], tmp_path: Path
) -> None:
    mutated = bytearray(headers[which])
    for mutation in mutations:
        mutate(mutated, *mutation)
    path = tmp_path / "mutated.gguf"
    path.write_bytes(mutated)
    started = process_time()
    try:
        found = read_gguf(path)
    except BundleError as error:
        assert "\n" not in str(error)
    else:
        assert all(t.offset + t.size <= len(mutated) for t in found.tensors.values())
    assert process_time() - started < 1


# Reads every file of a directory with nothing of ours loaded but the reader; says what it took.
CHILD = """
import json, resource, sys, time
from pathlib import Path
resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
from magicvl.edge.gguf_check import read_gguf
from magicvl.errors import BundleError
took = {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    for attempt in range(2):
        started = time.process_time()
        try:
            said = f"{len(read_gguf(path).metadata)} keys"
        except BundleError as error:
            said = str(error)
        seconds = time.process_time() - started
        # A busy machine's processor time is not only ours: the better of two.
        took[path.name] = [min(seconds, took.get(path.name, [seconds])[0]), said]
        if seconds < 0.5:
            break
# Not ru_maxrss: that of a child begins with its parent's.
status = Path("/proc/self/status").read_text() if Path("/proc/self/status").exists() else "VmHWM: 0 kB"
peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
print(json.dumps({"took": took, "kilobytes": int(peak.split()[1])}))
"""


def monsters() -> dict[str, bytes]:
    """Small or middling files that ask for as much memory and time as the format lets them."""
    most, strings = 3 * 2**20, 3 * 2**18
    emoji = "\U0001f642".encode()
    half = b"\x80" * 2**21
    short = struct.pack("<Q", 5) + b"\x80" + emoji
    return {
        "doubles": file([], [text("k") + struct.pack("<IIQ", 9, 12, most) + bytes(8 * most)]),
        "too many doubles": file([], [text("k") + struct.pack("<IIQ", 9, 12, 2**22)]),
        "bytes": file([], [text(f"k{i}") + struct.pack("<IIQ", 9, 0, 2**20) + b"\x07" * 2**20 for i in range(3)]),
        "empty strings": file([], [text("k") + struct.pack("<IIQ", 9, 8, strings) + bytes(8 * strings)]),
        "short strings": file([], [text("k") + struct.pack("<IIQ", 9, 8, strings) + short * strings]),
        "long strings": file(
            [], [text(f"k{i}") + struct.pack("<IQ", 8, len(half) + 4) + half + emoji for i in range(18)]
        ),
        "keys": file([], [text(f"k{i}") + struct.pack("<II", 4, 1) for i in range(4096)]),
        "tensors": file([tensor(f"t{i}", offset=128 * i) for i in range(16384)], data=bytes(128 * 16384)),
        "too many strings": file([], [text("k") + struct.pack("<IIQ", 9, 8, strings + 1)]),
        "a claim": file([], [text("k") + struct.pack("<IIQ", 9, 8, strings)]),
    }


def test_no_file_costs_a_second_or_200_megabytes(headers: list[bytes], tmp_path: Path) -> None:
    for name, data in monsters().items():
        (tmp_path / name).write_bytes(data)
    source = random.Random(0)
    for i in range(120):
        mutated = bytearray(source.choice(headers))
        for _ in range(source.randrange(1, 6)):
            at = source.randrange(len(mutated))
            mutated[at : at + 8] = source.choice([struct.pack("<Q", 1 << source.randrange(64)), source.randbytes(8)])
        (tmp_path / f"mutated {i:03}").write_bytes(mutated)
    done = subprocess.run([sys.executable, "-c", CHILD, tmp_path], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["kilobytes"] < 200_000, found["kilobytes"]
    slow = {name: took for name, took in found["took"].items() if took[0] > 1}
    assert not slow
    said = {name: words for name, (_, words) in found["took"].items()}
    assert said["keys"] == "4096 keys"
    assert said["tensors"] == "0 keys"
    assert (said["doubles"], said["bytes"]) == ("1 keys", "3 keys")
    assert "786,433 strings up to k, at most 786,432" in said["too many strings"]
    for name in ("too many doubles", "long strings"):
        assert "bytes of memory" in said[name], said[name]
    assert "past the end" in said["a claim"]
