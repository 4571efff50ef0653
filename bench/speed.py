"""What a question costs: our engine beside its ceilings, llama-cpp-python's chat handler and llama.cpp's server.

All in one run and in turn, round by round, so that what else the machine does falls on all alike; CPU seconds beside
wall seconds, medians. Pictures are noise, new in every round: no cache knows them. Everyone gets the same files and
questions and is asked for one token, so wall seconds are those to the first token.
"""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from magicvl.bench.bare import FIRST, PREFILL, SECOND, TILE, Bare
from magicvl.bench.child import run_child
from magicvl.bench.peers import Chat, Handler, Peer, Reply, Server, assistant, user
from magicvl.bench.pictures import png
from magicvl.bench.stopwatch import Cost, Stopwatch
from magicvl.edge.answer import Options, drain
from magicvl.edge.bundle import Bundle, read_bundle
from magicvl.edge.engine import Engine
from magicvl.edge.noise import noise
from magicvl.edge.plan import plan

QUESTIONS = (
    "What is the largest number in the picture?",
    "Where is the title?",
    "How many words are there?",
    "Is there a button at the bottom?",
    "Read the text at the top left corner.",
    "What colour is the smallest word?",
    "Which price is the largest?",
    "What is the total?",
    "Where are the date and the name?",
    "What is on the right of the screen?",
)
CHANGED_TILES = 10
"""The screenshot has so many tiles, of which one changes."""
CEILINGS = (FIRST, PREFILL, SECOND, TILE)
ONE = Options(max_tokens=1)

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Aim:
    """One thing that is to be shown."""

    name: str
    value: float
    least: float | None
    """The bounds that issue 5 asks for; None where it asks for a number alone."""
    most: float | None
    floor: float | None = None
    """The value if only what is new were computed, by the bare calls; None where they do not tell."""

    @property
    def met(self) -> bool | None:
        """Whether the value is within its bounds; None without."""
        if self.least is None and self.most is None:
            return None
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)


@dataclass(frozen=True)
class Speed:
    """All that was measured."""

    about: dict[str, object]
    """Bundle, picture, threads and who took part."""
    ceilings: tuple[Cost, ...]
    costs: tuple[Cost, ...]
    aims: tuple[Aim, ...]
    encoded_from_disk: int
    """Most tiles that a new process had to encode though the folder knew them."""


def measure(
    bundle: Path,
    *,
    size: tuple[int, int] = (640, 480),
    rounds: int = 5,
    totals: int | None = None,
    threads: int | None = None,
    server_python: str | None = None,
    progress: Progress | None = None,
) -> Speed:
    """Measures `rounds` times with pictures of `size` px, and the totals over ten questions or pictures `totals` times.

    `server_python` is an interpreter with xllamacpp; without one the server takes no part. Raises BundleError,
    EngineError.
    """
    totals = rounds if totals is None else totals
    found = read_bundle(bundle)
    watch = Stopwatch()
    with ExitStack() as owned:
        engine = owned.enter_context(Engine(bundle, threads=threads))
        context = conversation_room(found, size)
        bare = owned.enter_context(Bare(found, engine.threads, context))
        peers: list[Peer] = [Handler(found, context, engine.threads)]
        owned.callback(peers[0].close)
        if server_python is not None:
            peers.append(owned.enter_context(Server(found, context, engine.threads, server_python)))
        steps = _Steps(progress, 2 * rounds + totals)
        for round_ in range(rounds):
            steps.next("question")
            _questions(engine, bare, peers, watch, png(noise(size, round_)), bare_first=bool(round_ % 2))
            _changed(engine, bare, watch, 10**6 + round_)
        for round_ in range(totals):
            steps.next("total")
            _ten_questions(engine, peers, watch, png(noise(size, 10**3 + round_)))
            _ten_pictures(engine, peers, watch, [png(noise(size, 10**4 + 10 * round_ + i)) for i in range(10)])
        encoded = _from_disk(bundle, engine.threads, watch, png(noise(size, 10**5)), rounds, steps)
        about: dict[str, object] = {
            "bundle": found.lock.name,
            "picture": f"{size[0]} x {size[1]} px",
            "threads": engine.threads,
            "library": engine.build,
            "peers": {peer.name: peer.about for peer in peers},
        }
    costs = watch.costs()
    return Speed(
        about,
        tuple(cost for case in CEILINGS for cost in costs if cost.case == case),
        tuple(cost for cost in costs if cost.case not in CEILINGS),
        _aims({cost.case: cost for cost in costs}, [peer.name for peer in peers], encoded),
        encoded,
    )


def conversation_room(bundle: Bundle, size: tuple[int, int]) -> int:
    """Tokens that ten pictures of a size and ten questions take, with room for a peer that cuts them otherwise."""
    planned = plan(*size, bundle.lock.grid).tokens
    wanted = 10 * (planned * 3 // 2 + 160)
    return min(bundle.lock.language.context, -(-wanted // 512) * 512)


class _Steps:
    """Counts what is done for the progress line."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def next(self, what: str) -> None:
        if self._progress is not None:
            self._progress(what, self._done, self._total)
        self._done += 1


def _questions(
    engine: Engine, bare: Bare, peers: Sequence[Peer], watch: Stopwatch, picture: bytes, *, bare_first: bool
) -> None:
    # In turn: who comes after the peers may find their threads still spinning.
    if bare_first:
        bare.two_questions(watch, picture, QUESTIONS)
    for case, question in zip(("first", "second"), QUESTIONS, strict=False):
        with watch.measure(case):
            answer = drain(engine.start(picture, question, ONE))
        watch.tokens[case] = answer.usage.prompt_tokens
    if not bare_first:
        bare.two_questions(watch, picture, QUESTIONS)
    for peer in peers:
        for case, question in zip(("first", "second"), QUESTIONS, strict=False):
            reply = peer.ask([user(question, picture)])
            watch.add(f"{peer.name}, {case}", reply.cpu_s, reply.wall_s, reply.prompt_tokens)


def _changed(engine: Engine, bare: Bare, watch: Stopwatch, seed: int) -> None:
    """A screenshot of ten tiles in a column, then the same with the last one changed."""
    side = engine.lock.grid.tile
    screen, other = noise((side, side * CHANGED_TILES), seed), noise((side, side), seed + 10**6)
    with watch.measure("ten tiles"):
        engine.embed(screen)
    screen.paste(other, (0, side * (CHANGED_TILES - 1)))
    with watch.measure("one tile changed"):
        engine.embed(screen)
    bare.tile(watch, np.asarray(other))


def _ten_questions(engine: Engine, peers: Sequence[Peer], watch: Stopwatch, picture: bytes) -> None:
    with watch.measure("ten questions"):
        for question in QUESTIONS:
            drain(engine.start(picture, question, ONE))
    for peer in peers:
        _add_all(watch, f"{peer.name}, ten questions", [peer.ask([user(one, picture)]) for one in QUESTIONS])


def _ten_pictures(engine: Engine, peers: Sequence[Peer], watch: Stopwatch, pictures: Sequence[bytes]) -> None:
    """A conversation in which every turn shows a new picture and asks about it."""
    session = engine.session()
    with watch.measure("ten pictures"):
        for question, picture in zip(QUESTIONS, pictures, strict=True):
            answer = session.answer(question, picture, ONE)
    watch.tokens["ten pictures"] = answer.usage.prompt_tokens
    session.close()
    for peer in peers:
        messages: list[Chat] = []
        replies = []
        for question, picture in zip(QUESTIONS, pictures, strict=True):
            messages.append(user(question, picture))
            replies.append(peer.ask(messages))
            messages.append(assistant(replies[-1].text))
        _add_all(watch, f"{peer.name}, ten pictures", replies)


def _add_all(watch: Stopwatch, case: str, replies: Sequence[Reply]) -> None:
    cpu, wall = (sum(getattr(reply, name) for reply in replies) for name in ("cpu_s", "wall_s"))
    watch.add(case, cpu, wall, replies[-1].prompt_tokens)


def _from_disk(bundle: Path, threads: int, watch: Stopwatch, picture: bytes, rounds: int, steps: _Steps) -> int:
    """A process fills a folder, others find in it what they need; gives the most tiles that one of them encoded."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "picture.png")
        path.write_bytes(picture)
        order = {"bundle": str(bundle), "cache": str(Path(folder, "cache")), "picture": str(path), "threads": threads}
        order |= {"question": QUESTIONS[0]}
        run_child("magicvl.bench.again", order, "a question in a new process")
        encoded = []
        for _ in range(rounds):
            steps.next("new process")
            again = run_child("magicvl.bench.again", order, "a question in a new process")
            watch.add("from disk", again["cpu_s"], again["wall_s"], int(again["tokens"]))
            encoded.append(int(again["encoded"]))
    return max(encoded)


def _aims(costs: dict[str, Cost], peers: Sequence[str], encoded: int) -> tuple[Aim, ...]:
    cpu = {case: cost.cpu_s for case, cost in costs.items()}
    wall = {case: cost.wall_s for case, cost in costs.items()}
    best = min(peers, key=lambda peer: wall[f"{peer}, second"])
    share = 1 / CHANGED_TILES
    aims = [
        Aim("first question, CPU over bare calls", cpu["first"] / cpu[FIRST], None, 1.03, 1.0),
        Aim(
            "second question, wall over the first's",
            wall["second"] / wall["first"],
            None,
            0.05,
            wall[SECOND] / wall[FIRST],
        ),
        Aim(
            f"second question, wall over the {best}'s",
            wall["second"] / wall[f"{best}, second"],
            None,
            0.5,
            wall[SECOND] / wall[f"{best}, second"],
        ),
        Aim("new process with the folder, tiles encoded", encoded, None, 0),
        Aim(
            "one tile in ten changed, CPU over all new",
            cpu["one tile changed"] / cpu["ten tiles"],
            share * 0.85,
            share * 1.15,
            cpu[TILE] / cpu["ten tiles"],
        ),
    ]
    for case in ("ten questions", "ten pictures"):
        for peer in peers:
            aims += [
                Aim(f"{case}, {name} over the {peer}'s", times[case] / times[f"{peer}, {case}"], None, None)
                for name, times in (("CPU", cpu), ("wall", wall))
            ]
    return tuple(aims)
