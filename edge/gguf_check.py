"""A bounded reader of GGUF headers, so that no damaged or hostile file reaches native code.

Layout (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), little-endian, versions 2 and 3:

    "GGUF"  version:u32  tensors:u64  keys:u64
    keys     x (name, type:u32, value)
    tensors  x (name, dims:u32, shape:u64 x dims, type:u32, offset:u64)
    padding to `general.alignment`, then the tensors' data at their offsets

Every count, length and offset is compared with what the file still has before anything is read by it,
and the data itself is never read. What the metadata takes as Python objects is counted too: a few bytes of a
file can be many of memory.

Of an array of strings only the lengths are walked; its texts are decoded when somebody wants them, because most
who open a file want one tensor, or the length of the vocabulary.
"""

import os
import struct
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader, FileIO
from itertools import islice
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import overload

from magicvl.errors import BundleError

Scalar = int | float | bool | str

MAX_HEADER = 2**26
"""Most bytes of keys, values and tensor table; 250,000 tokens with their merges take about 16 MB."""
MAX_KEYS = 4096
MAX_TENSORS = 16384
MAX_NAME = 256
"""Longest key, in bytes."""
MAX_TENSOR_NAME = 63
"""Longest name of a tensor in bytes; ggml keeps 64 with the closing zero."""
MAX_STRING = 2**22
"""Longest string in bytes; the longest chat templates have a hundredth of it."""
MAX_ARRAY = 2**22
"""Most elements of one array: 27 times the vocabulary of Qwen3."""
MAX_STRINGS = 3 * 2**18
"""Most strings in all arrays together: the longest vocabularies have 262,144 tokens and twice as many merges."""
MAX_MEMORY = 2**27
"""Most bytes of memory that all values together take; a vocabulary of 250,000 tokens takes about 40 MB."""
MAX_DIMS = 4
MAX_ALIGNMENT = 2**16

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_LENGTH = struct.Struct("<Q")
_WINDOW = 2**20
"""Bytes that are read ahead."""
_POINTER, _NUMBER, _TEXT = 8, 32, 76
"""Bytes of memory of an element's place in an array, at most of a number, and at most of a string of no length."""

BLOCKS: Mapping[int, tuple[str, int, int]] = MappingProxyType(
    {
        0: ("F32", 1, 4),
        1: ("F16", 1, 2),
        2: ("Q4_0", 32, 18),
        3: ("Q4_1", 32, 20),
        6: ("Q5_0", 32, 22),
        7: ("Q5_1", 32, 24),
        8: ("Q8_0", 32, 34),
        10: ("Q2_K", 256, 84),
        11: ("Q3_K", 256, 110),
        12: ("Q4_K", 256, 144),
        13: ("Q5_K", 256, 176),
        14: ("Q6_K", 256, 210),
        15: ("Q8_K", 256, 292),
        16: ("IQ2_XXS", 256, 66),
        17: ("IQ2_XS", 256, 74),
        18: ("IQ3_XXS", 256, 98),
        19: ("IQ1_S", 256, 50),
        20: ("IQ4_NL", 32, 18),
        21: ("IQ3_S", 256, 110),
        22: ("IQ2_S", 256, 82),
        23: ("IQ4_XS", 256, 136),
        24: ("I8", 1, 1),
        25: ("I16", 1, 2),
        26: ("I32", 1, 4),
        27: ("I64", 1, 8),
        28: ("F64", 1, 8),
        29: ("IQ1_M", 256, 56),
        30: ("BF16", 1, 2),
        34: ("TQ1_0", 256, 54),
        35: ("TQ2_0", 256, 66),
        39: ("MXFP4", 32, 17),
        40: ("NVFP4", 64, 36),
        41: ("Q1_0", 128, 18),
    }
)
"""ggml's type number: name, elements of a block, bytes of a block."""


class Texts(Sequence[str]):
    """An array of strings as it lies in the file, each decoded when it is asked for."""

    __slots__ = ("_count", "_data", "_ends")

    def __init__(self, data: bytes, count: int) -> None:
        """`data` is all there is of `count` strings, each behind the eight bytes of its length."""
        self._data, self._count = data, count
        self._ends: array[int] | None = None

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...

    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            start, stop, step = index.indices(self._count)
            return tuple(islice(self, start, stop, step)) if step > 0 else tuple(self)[index]
        if self._ends is None:
            self._ends = array("Q", (end for _, end in self._places()))
        place = range(self._count)[index]
        return _decoded(self._data[(self._ends[place - 1] if place else 0) + _LENGTH.size : self._ends[place]])

    def __iter__(self) -> Iterator[str]:
        return (_decoded(self._data[begin:end]) for begin, end in self._places())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Texts):
            return self._data == other._data
        return isinstance(other, tuple) and len(self) == len(other) and tuple(self) == other

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{self._count:,} strings>"

    def _places(self) -> Iterator[tuple[int, int]]:
        """Where each text begins and ends."""
        end = 0
        for _ in range(self._count):
            begin = end + _LENGTH.size
            end = begin + _LENGTH.unpack_from(self._data, end)[0]
            yield begin, end


Array = tuple[Scalar, ...] | Texts
Value = Scalar | Array


def _decoded(text: bytes) -> str:
    # Vocabularies of byte tokens are not always UTF-8.
    return text.decode("utf-8", "replace")


@dataclass(frozen=True)
class Tensor:
    """One entry of the tensor table."""

    name: str
    shape: tuple[int, ...]
    """ggml's order: the dimension that lies together in memory comes first."""
    type: str
    offset: int
    """From the start of the file, in bytes."""
    size: int
    """Bytes."""


@dataclass(frozen=True)
class GgufFile:
    """A header that was read to its end and found consistent with the size of its file."""

    path: Path
    version: int
    metadata: Mapping[str, Value]
    tensors: Mapping[str, Tensor]

    def text(self, key: str) -> str:
        """The string under a key. Raises BundleError where it is missing or no string."""
        value = self._value(key)
        if not isinstance(value, str):
            raise BundleError(f"{self.path}: {key} is no string; convert the model again")
        return value

    def integer(self, key: str) -> int:
        """The whole number under a key. Raises BundleError where it is missing or none."""
        value = self._value(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise BundleError(f"{self.path}: {key} is no whole number; convert the model again")
        return value

    def texts(self, key: str) -> Texts:
        """The array of strings under a key. Raises BundleError where it is missing or none."""
        value = self._value(key)
        if not isinstance(value, Texts):
            raise BundleError(f"{self.path}: {key} is no array of strings; convert the model again")
        return value

    def _value(self, key: str) -> Value:
        if key not in self.metadata:
            raise BundleError(f"{self.path}: it has no {key}; convert the model again")
        return self.metadata[key]


def read_gguf(path: str | os.PathLike[str]) -> GgufFile:
    """Reads and checks the header of a GGUF file. Raises BundleError with one line."""
    path = Path(path)
    if not path.is_file():
        raise BundleError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    try:
        with BufferedReader(FileIO(path), _WINDOW) as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise BundleError(f"{path}: the file is empty; copy or convert it again")
            return _Reader(path, file, size).read()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror or error})") from None


class _Reader:
    """A cursor over the file that refuses to pass its end."""

    def __init__(self, path: Path, file: "BufferedReader[FileIO]", size: int) -> None:
        self.path = path
        self.file = file
        self.size = size
        self.at = 0
        self.memory = 0
        self.texts = 0

    def read(self) -> GgufFile:
        if self.take(4, "the magic") != b"GGUF":
            raise self.error("no GGUF file, it does not begin with GGUF")
        version = self.number("I", "the version")
        if version not in (2, 3):
            raise self.error(f"GGUF version {version:,}, little-endian 2 and 3 are read")
        tensors = self.count(MAX_TENSORS, "tensors")
        keys = self.count(MAX_KEYS, "keys")
        metadata: dict[str, Value] = {}
        for _ in range(keys):
            key = self.string(MAX_NAME, "a key")
            if not key or key in metadata:
                raise self.error(f"key {key!r} is there twice" if key else "a key without a name")
            # Messages name it, and are one line.
            metadata[key] = self.value(key if key.isprintable() else repr(key))
        table = self.tensor_table(tensors, metadata.get("general.alignment", 32))
        return GgufFile(self.path, version, MappingProxyType(metadata), MappingProxyType(table))

    def tensor_table(self, count: int, alignment: Value) -> dict[str, Tensor]:
        """Shapes, types and places of the tensors, checked one by one and against each other."""
        # bool is an int to Python, and a power of two may be True.
        if type(alignment) is not int or not 1 <= alignment <= MAX_ALIGNMENT or alignment & (alignment - 1):
            raise self.error(f"alignment {alignment!r}, it must be a power of two up to {MAX_ALIGNMENT:,}")
        entries = [self.tensor_entry(alignment) for _ in range(count)]
        begin = self.at + -self.at % alignment
        table: dict[str, Tensor] = {}
        end, last = 0, "the header"
        for name, shape, kind, offset, size in sorted(entries, key=lambda entry: (entry[3], entry[4])):
            if name in table:
                raise self.error(f"tensor {name!r} is there twice")
            if offset < end:
                raise self.error(f"tensor {name!r} at {offset:,} overlaps {last}")
            if begin + offset + size > self.size:
                raise self.error(f"tensor {name!r} ends at byte {begin + offset + size:,}, the file has {self.size:,}")
            table[name] = Tensor(name, shape, kind, begin + offset, size)
            end, last = offset + size, f"tensor {name!r}"
        return table

    def tensor_entry(self, alignment: int) -> tuple[str, tuple[int, ...], str, int, int]:
        """name, shape, type name, offset in the data, bytes."""
        name = self.string(MAX_TENSOR_NAME, "the name of a tensor")
        dims = self.number("I", f"the dimensions of {name!r}")
        if not 1 <= dims <= MAX_DIMS:
            raise self.error(f"tensor {name!r} has {dims:,} dimensions, 1 to {MAX_DIMS} are read")
        shape = tuple(self.number("Q", f"the shape of {name!r}") for _ in range(dims))
        number = self.number("I", f"the type of {name!r}")
        offset = self.number("Q", f"the offset of {name!r}")
        if number not in BLOCKS:
            raise self.error(f"tensor {name!r} has the unknown type {number:,}")
        kind, elements, size = BLOCKS[number]
        if 0 in shape or shape[0] % elements:
            raise self.error(f"tensor {name!r} of shape {shape} does not divide into {kind} blocks of {elements}")
        if offset % alignment:
            raise self.error(f"tensor {name!r} at offset {offset:,} is not aligned to {alignment}")
        return name, shape, kind, offset, prod(shape) // elements * size

    def value(self, key: str) -> Value:
        kind = self.number("I", f"the type of {key}")
        if kind != _ARRAY:
            return self.scalar(kind, key)
        kind = self.number("I", f"the type of {key}")
        count = self.count(MAX_ARRAY, f"elements of {key}")
        if kind == _STRING:
            return self.strings(count, key)
        if kind not in _SCALARS:
            raise self.error(f"{key} is an array of the unknown type {kind:,}")
        self.spend(count * (_POINTER + _NUMBER), key)
        layout = struct.Struct(f"<{count}{_SCALARS[kind]}")
        return layout.unpack(self.take(layout.size, key))

    def scalar(self, kind: int, key: str) -> Scalar:
        if kind == _STRING:
            return self.string(MAX_STRING, key)
        if kind not in _SCALARS:
            raise self.error(f"{key} has the unknown type {kind:,}")
        layout = struct.Struct("<" + _SCALARS[kind])
        value: Scalar = layout.unpack(self.take(layout.size, key))[0]
        return value

    def strings(self, count: int, what: str) -> Texts:
        """Vocabularies are long: most strings are walked in what was read ahead, without a call for each."""
        self.texts += count
        if self.texts > MAX_STRINGS:
            raise self.error(f"{self.texts:,} strings up to {what}, at most {MAX_STRINGS:,} are read")
        made, parts = 0, list[bytes]()
        while made < count:
            whole, size = _walk(self.file.peek()[: MAX_HEADER - self.at], count - made)
            parts.append(self.file.read(size))
            made, self.at = made + whole, self.at + size
            # A byte of the file is at most a character of four; to weigh each string would cost as much as to read it.
            self.spend(whole * (_POINTER + _TEXT) + (size - _LENGTH.size * whole) * 4, what)
            if made < count:
                # It reaches past what was read ahead, or past a limit, which this one tells.
                text = self.raw(MAX_STRING, what)
                parts += (_LENGTH.pack(len(text)), text)
                made += 1
        return Texts(b"".join(parts), count)

    def string(self, limit: int, what: str) -> str:
        return _decoded(self.raw(limit, what))

    def raw(self, limit: int, what: str) -> bytes:
        """A string's bytes, behind its length."""
        length = self.number("Q", f"the length of {what}")
        if length > limit:
            raise self.error(f"{what} claims {length:,} bytes, at most {limit:,} are read")
        text = self.take(length, what)
        self.spend(sys.getsizeof(_decoded(text)) + _POINTER, what)
        return text

    def spend(self, size: int, what: str) -> None:
        self.memory += size
        if self.memory > MAX_MEMORY:
            raise self.error(f"the values up to {what} take more than {MAX_MEMORY:,} bytes of memory")

    def count(self, limit: int, what: str) -> int:
        number = self.number("Q", f"the number of {what}")
        if number > limit:
            raise self.error(f"{number:,} {what}, at most {limit:,} are read")
        return number

    def number(self, code: str, what: str) -> int:
        size = 4 if code == "I" else 8
        return int.from_bytes(self.take(size, what), "little")

    def take(self, count: int, what: str) -> bytes:
        if self.at + count > MAX_HEADER:
            raise self.error(f"{what} reaches past {MAX_HEADER:,} bytes, the longest header that is read")
        data = self.file.read(count) if count <= self.size - self.at else b""
        if len(data) != count:
            raise self.error(f"{what} reaches past the end at byte {self.size:,}: it was cut")
        self.at += count
        return data

    def error(self, text: str) -> BundleError:
        return BundleError(f"{self.path}: {text}; copy or convert the file again")


def _walk(window: bytes, count: int) -> tuple[int, int]:
    """How many strings lie whole in a piece of the file, at most `count`, and how many bytes they take."""
    length, made, begin, at = _LENGTH.unpack_from, 0, 0, 0
    try:
        # No test of a length in here, it would double the time: what passes the end fails at the next one, or below.
        for made in range(count):  # noqa: B007
            begin, at = at, at + 8 + length(window, at)[0]
    except (struct.error, OverflowError):
        whole = made
    else:
        whole = count
    return (whole, at) if at <= len(window) else (whole - 1, begin)
