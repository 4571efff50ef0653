"""A conversation on disk: one zip file with its words, its tiles as PNG, and its keys and values.

The keys and values go into native code, so they are taken only where this user's own key has signed them and they
are of this model, build and type. Else the conversation is read again from its tiles, with the same result.
"""

import hashlib
import hmac
import io
import json
import secrets
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from magicvl.edge.bundle import Lock
from magicvl.edge.files import user_folder, whole_file
from magicvl.edge.plan import plan
from magicvl.edge.prompt import Spoken
from magicvl.edge.request import CutPicture
from magicvl.edge.sequences import Element, SeenTile
from magicvl.edge.session import Session, Turn
from magicvl.errors import UsageError

if TYPE_CHECKING:
    from magicvl.edge.engine import Engine

FORMAT: Final = 1
MOST_WORDS: Final = 64 * 2**20
"""Most bytes of the words of a conversation, its token ids among them."""
MOST_TILE: Final = 16 * 2**20
"""Most bytes of a tile's PNG."""

# What zipfile, zlib, json and Pillow raise for files that are not what they claim. A RuntimeError is a member that is
# encrypted or packed in an unknown way, and JSON that is too deep; a SyntaxError a PNG whose chunks are broken.
_DAMAGE: Final = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, RuntimeError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error, Image.DecompressionBombError),
)


def save_session(session: Session, path: Path, most_state: int | None = None) -> bool:
    """Writes a conversation; the file is there whole or not at all. Raises UsageError where it can't be written.

    Keys and values of more than `most_state` bytes are left out. Returns whether they are in it.
    """
    held = session.engine.runtime.state(session.owner, most_state)
    words = json.dumps(_words(session, held[0] if held else [])).encode()
    try:
        with whole_file(path) as partial, zipfile.ZipFile(partial, "w") as file:
            file.writestr("session.json", words, zipfile.ZIP_DEFLATED)
            for turn, its in enumerate(session.turns):
                for number, picture in enumerate(its.pictures):
                    for tile, pixels in enumerate(picture.tiles):
                        file.writestr(_tile_name(turn, number, tile), _png(pixels))
            if held is not None:
                state = held[1].data
                file.writestr("state.bin", state)
                file.writestr("state.mac", _mac(_key(), words, state))
    except OSError as error:
        raise UsageError(f"{path}: the conversation can't be written there ({error.strerror})") from None
    return held is not None


def load_session(engine: "Engine", path: Path) -> Session:
    """Reads what `save_session` wrote. Raises UsageError where it is damaged, or of another model."""
    try:
        with zipfile.ZipFile(path) as file:
            words = _member(file, "session.json", MOST_WORDS)
            data = _object(json.loads(words))
            session = _session(engine, data, file)
            if "state.bin" in file.namelist():
                _take_state(engine, session, data, words, file, path.stat().st_size)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except _DAMAGE as error:
        raise UsageError(f"{path}: not a conversation of magicvl, or damaged ({error})") from None
    return session


def _words(session: Session, held: Sequence[Element]) -> dict[str, object]:
    return {
        "format": FORMAT,
        "model": _model(session.engine.lock),
        "build": session.engine.build,
        "keys": session.engine.key_type,
        "system": session.system,
        "overflow": session.overflow,
        "turns": [
            {
                "prompt": turn.prompt,
                "pictures": [[picture.plan.width, picture.plan.height] for picture in turn.pictures],
                "budget": turn.budget,
                "answer": turn.answer.text,
                "tokens": list(turn.answer.tokens),
            }
            for turn in session.turns
        ],
        "held": [[each.key.hex(), each.tokens] if isinstance(each, SeenTile) else each for each in held],
    }


def _model(lock: Lock) -> dict[str, str]:
    return {name: entry.sha256 for name, entry in lock.answering.items()}


def _session(engine: "Engine", data: dict[str, Any], file: zipfile.ZipFile) -> Session:
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']}, this version reads {FORMAT}")
    if data["model"] != _model(engine.lock):
        raise UsageError(f"{file.filename}: a conversation with another model than {engine.lock.name}")
    session = Session(engine, system=_text_or_none(data["system"]), overflow=data["overflow"])
    session.turns = tuple(_turn(engine.lock, number, _object(turn), file) for number, turn in enumerate(data["turns"]))
    return session


def _turn(lock: Lock, number: int, turn: dict[str, Any], file: zipfile.ZipFile) -> Turn:
    pictures = []
    for index, (width, height) in enumerate(turn["pictures"]):
        planned = plan(_number(width), _number(height), lock.grid, turn["budget"])
        tiles = [
            _pixels(_member(file, _tile_name(number, index, tile), MOST_TILE), tokens * lock.grid.unit**2)
            for tile, tokens in enumerate(planned.tile_tokens)
        ]
        pictures.append(CutPicture(planned, tuple(tiles)))
    tokens = tuple(_token(token, lock) for token in turn["tokens"])
    return Turn(_text(turn["prompt"]), tuple(pictures), turn["budget"], Spoken(_text(turn["answer"]), tokens))


def _take_state(
    engine: "Engine", session: Session, data: dict[str, Any], words: bytes, file: zipfile.ZipFile, most: int
) -> None:
    """Puts keys and values back; `most` is the size of the file, in which they lie as they are."""
    if (data["build"], data.get("keys", "f16")) != (engine.build, engine.key_type) or not data["held"]:
        return
    state = _member(file, "state.bin", most)
    if not hmac.compare_digest(_mac(_key(), words, state), _member(file, "state.mac", hashlib.sha256().digest_size)):
        return
    held = [SeenTile(bytes.fromhex(each[0]), each[1]) if isinstance(each, list) else each for each in data["held"]]
    engine.runtime.restore(session.owner, held, np.frombuffer(state, dtype=np.uint8).copy())


def _tile_name(turn: int, picture: int, tile: int) -> str:
    return f"tiles/{turn}-{picture}-{tile}.png"


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _pixels(data: bytes, expected: int) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
        # Asked before anything is decoded: a small file can claim a large picture.
        if picture.mode != "RGB" or picture.width * picture.height != expected:
            raise ValueError(f"a tile of {picture.width} x {picture.height} px, {picture.mode}")
        return np.asarray(picture)


def _member(file: zipfile.ZipFile, name: str, most: int) -> bytes:
    info = file.getinfo(name)
    if info.file_size > most:
        raise ValueError(f"{name} has {info.file_size:,} bytes, at most {most:,} are read")
    return file.read(info)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("an object is expected")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text is expected")
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("a whole number is expected")
    return value


def _token(value: Any, lock: Lock) -> int:
    if not 0 <= _number(value) < lock.language.vocabulary:
        raise ValueError(f"token {value}, the vocabulary has {lock.language.vocabulary:,}")
    return int(value)


def _mac(key: bytes, words: bytes, state: bytes | memoryview) -> bytes:
    signed = hmac.new(key, hashlib.sha256(words).digest(), hashlib.sha256)
    signed.update(state)
    return signed.digest()


def _key() -> bytes:
    """This user's own key, made when it is first needed; only they can read it."""
    path = user_folder("XDG_CONFIG_HOME", ".config") / "session.key"
    with suppress(FileNotFoundError):
        if len(key := path.read_bytes()) == 32:
            return key
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path, mode=0o600) as partial:
        partial.write_bytes(secrets.token_bytes(32))
    return path.read_bytes()
