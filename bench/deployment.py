"""The paper's deployment table: what a picture question costs with magicvl-2b and with the models it competes with.

All are shapes with random weights of the same types, in the same build of llama.cpp. Ours runs through our engine, the
others through stock libmtmd with its own preprocessing. One process a question; what is measured is kept line by line,
so that a table of hours can be stopped and gone on with.
"""

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from magicvl.bench.child import run_child
from magicvl.bench.peer_shapes import PEERS, Peer, peer_files
from magicvl.bench.pictures import TABLE_PICTURES, drawn, png
from magicvl.bench.shape_bundle import LLM_TYPE, MMPROJ_TYPE, check_types, shape_bundle
from magicvl.edge.llama import library_build
from magicvl.errors import EngineError, UsageError
from magicvl.mmproj.presets import PRESETS, Preset

TILES = "-tiles"
"""Ends the name of a row that cuts pictures as the model's authors publish it, where stock llama.cpp does otherwise."""
AGAINST = "internvl2.5-2b"
"""What the paper compares with."""
STAGES = ("encode_s", "prefill_s", "decode_s")

Make = Callable[[Path, str, str], dict[str, object]]
"""Makes a model's files in a folder, in the types of decoder and encoder; gives what a child's order says of them."""


@dataclass(frozen=True)
class Row:
    """One question, measured."""

    model: str
    picture: str
    round: int
    llm: str
    """Type of the decoder, and of the encoder next."""
    mmproj: str
    threads: int
    tokens: int
    """Tokens of the answer that were asked for."""
    build: str
    """The library and what it uses of the CPU."""
    visual_tokens: int
    text_tokens: int
    load_s: float
    encode_s: float
    prefill_s: float
    decode_s: float
    """A token after the first."""
    answered: int
    wall_s: float
    """The question alone, without loading; so the next."""
    cpu_s: float
    peak_mib: float
    """Most resident memory of the process, pages of the mapped files counted."""


KEY = ("model", "picture", "round", "llm", "mmproj", "threads", "tokens", "build")
"""What makes two rows the same measurement."""


@dataclass(frozen=True)
class Table:
    """What was measured, now and before."""

    rows: tuple[Row, ...]
    failures: tuple[str, ...]
    """What went wrong with the others, a line each."""


@dataclass(frozen=True)
class Setting:
    """How all rows of a table are measured."""

    threads: int
    tokens: int = 8
    rounds: int = 1
    llm: str = LLM_TYPE
    mmproj: str = MMPROJ_TYPE

    def __post_init__(self) -> None:
        check_types(self.llm, self.mmproj)
        if min(self.threads, self.rounds) < 1 or self.tokens < 2:
            raise UsageError(f"{self.threads} threads, {self.rounds} rounds, {self.tokens} tokens: at least 1, 1 and 2")


def table_models(
    presets: Iterable[Preset] = (PRESETS["magicvl-2b"],), peers: Iterable[Peer] = tuple(PEERS.values())
) -> dict[str, Make]:
    """The table's rows by name, in order."""
    makers: dict[str, Make] = {preset.name: _ours(preset) for preset in presets}
    for peer in peers:
        makers[peer.name] = _theirs(peer, tiles=False)
        if peer.vision.projector == "internvl":
            makers[peer.name + TILES] = _theirs(peer, tiles=True)
    return makers


def measure(
    models: dict[str, Make],
    pictures: Sequence[str],
    setting: Setting,
    folder: Path,
    results: Path,
    progress: Callable[[str, int, int], None] | None = None,
) -> Table:
    """Measures what `results` does not hold yet and adds it there, a line each; gives all rows of this setting.

    Shapes are made in `folder`. A question that fails is asked again the next time. Raises UsageError for an unknown
    picture, and for `results` that are something else.
    """
    for picture in pictures:
        if picture not in TABLE_PICTURES:
            raise UsageError(f"picture {picture!r}: there are {', '.join(TABLE_PICTURES)}")
    known = {_key(row): row for row in read_rows(results)}
    build = library_build()
    jobs = [(round_, name, picture) for round_ in range(setting.rounds) for name in models for picture in pictures]
    rows, failures = list[Row](), list[str]()
    for done, (round_, name, picture) in enumerate(jobs):
        head: dict[str, Any] = {"model": name, "picture": picture, "round": round_, "build": build}
        head |= {name: value for name, value in asdict(setting).items() if name != "rounds"}
        row = known.get(tuple(head[key] for key in KEY))
        if row is None:
            if progress is not None:
                progress(f"{name}, {picture}", done, len(jobs))
            try:
                files = models[name](folder, setting.llm, setting.mmproj)
                row = Row(**(head | _ask(name, files, picture, setting, folder)))
            except EngineError as error:
                failures.append(str(error))
                continue
            _append(results, row)
        rows.append(row)
    return Table(tuple(rows), tuple(failures))


def read_rows(results: Path) -> list[Row]:
    """The rows of a file that `measure` wrote; a last line that was cut short is left out. Raises UsageError."""
    if not results.exists():
        return []
    rows = []
    lines = results.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            rows.append(Row(**json.loads(line)))
        except (ValueError, TypeError) as error:
            if number == len(lines):
                break
            raise UsageError(f"{results}, line {number}: no row of this table ({error})") from None
    return rows


def medians(rows: Iterable[Row]) -> dict[tuple[str, str], dict[str, float]]:
    """The measured numbers of each model and picture over the rounds."""
    numbers = [field.name for field in fields(Row) if field.name not in KEY]
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.model, row.picture), []).append(row)
    return {
        pair: {name: statistics.median(getattr(row, name) for row in group) for name in numbers}
        for pair, group in groups.items()
    }


def shares(rows: Iterable[Row]) -> dict[str, dict[str, float]]:
    """CPU seconds of each model as a share of AGAINST's, as its authors cut: by picture and of all together."""
    cpu = {pair: numbers["cpu_s"] for pair, numbers in medians(rows).items()}
    models, pictures = (list(dict.fromkeys(names)) for names in (zip(*cpu, strict=True) if cpu else ((), ())))
    base = AGAINST + TILES if AGAINST + TILES in models else AGAINST
    if base not in models:
        return {}
    found: dict[str, dict[str, float]] = {}
    for model in models:
        both = [picture for picture in pictures if (model, picture) in cpu and (base, picture) in cpu]
        found[model] = {picture: cpu[model, picture] / cpu[base, picture] for picture in both}
        if both:
            found[model]["all"] = sum(cpu[model, p] for p in both) / sum(cpu[base, p] for p in both)
    return found


def to_text(rows: Sequence[Row]) -> str:
    """The table, a line a model and picture."""
    head = f"{'model':<22} {'picture':<11} tokens   encode s  prefill s   s/token    wall s     CPU s      MiB"
    lines = [head]
    for (model, picture), one in medians(rows).items():
        seconds = " ".join(f"{one[name]:>10.3f}" for name in STAGES)
        lines.append(
            f"{model:<22} {picture:<11} {one['visual_tokens']:>6,.0f} {seconds} {one['wall_s']:>9.2f} "
            f"{one['cpu_s']:>9.2f} {one['peak_mib']:>8,.0f}"
        )
    for model, share in shares(rows).items():
        each = ", ".join(f"{picture} {value:.2f}" for picture, value in share.items())
        lines.append(f"CPU of {model} over {AGAINST}'s as published: {each}")
    return "\n".join(lines)


def _ours(preset: Preset) -> Make:
    def make(folder: Path, llm: str, mmproj: str) -> dict[str, object]:
        return {"bundle": str(shape_bundle(preset, folder, llm=llm, mmproj=mmproj))}

    return make


def _theirs(peer: Peer, *, tiles: bool) -> Make:
    def make(folder: Path, llm: str, mmproj: str) -> dict[str, object]:
        decoder, encoder = peer_files(peer, folder, llm=llm, mmproj=mmproj)
        order: dict[str, object] = {"llm": str(decoder), "mmproj": str(encoder)}
        return order | ({"tile": peer.picture.tile} if tiles else {})

    return make


def _append(results: Path, row: Row) -> None:
    results.parent.mkdir(parents=True, exist_ok=True)
    written = results.read_bytes() if results.exists() else b""
    if not written.endswith(b"\n"):
        # A line that was cut short has nothing in it that could be used.
        results.write_bytes(written[: written.rfind(b"\n") + 1])
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(row)) + "\n")


def _picture(name: str, folder: Path) -> Path:
    """The file of a picture of the table."""
    path = folder / f"{name}.png"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(drawn(TABLE_PICTURES[name], 1)))
    return path


def _ask(name: str, files: dict[str, object], picture: str, setting: Setting, folder: Path) -> dict[str, Any]:
    order = files | {
        "picture": str(_picture(picture, folder)),
        "tokens": setting.tokens,
        "threads": setting.threads,
    }
    return run_child("magicvl.bench.deployment_child", order, f"{name} on the {picture}")


def _key(row: Row) -> tuple[object, ...]:
    return tuple(getattr(row, name) for name in KEY)
