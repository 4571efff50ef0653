"""What a question costs in process and beside it, in a llama-server of our own: CPU time and time to first token.

Both answer the same questions in turn, so what else the machine does meets both alike. CPU time is that of this process
and of all that it started.
"""

import os
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass

from PIL import Image

from magicvl.bench.cpu_time import cpu_seconds
from magicvl.bench.pictures import drawn
from magicvl.edge.answer import Answer, Options
from magicvl.edge.engine import Engine

PROMPT = "What do you see?"
AGAIN = "And what else?"
CASES = ("new picture", "second question")
NAMES = ("inproc", "server")


@dataclass(frozen=True)
class RuntimeCost:
    """Medians of one case with one runtime, and what they are of."""

    runtime: str
    case: str
    """`new picture`: nothing of it is known; `second question`: the next turn, in which the picture is held."""
    cpu_s: float
    first_token_s: float
    prompt_tokens: int
    cached_tokens: int
    rounds: int


@dataclass(frozen=True)
class Comparison:
    """Both runtimes on the same questions."""

    bundle: str
    picture: tuple[int, int]
    """Width and height in px."""
    threads: int
    builds: dict[str, str]
    load_s: dict[str, float]
    """Seconds until the first question can be asked, by runtime."""
    costs: tuple[RuntimeCost, ...]
    equal: int
    """Answers that were the same, token by token."""
    asked: int

    def ratio(self, case: str, what: str) -> float:
        """The server's part over that in process, of `cpu_s` or `first_token_s`."""
        found = {cost.runtime: float(getattr(cost, what)) for cost in self.costs if cost.case == case}
        return found["server"] / found["inproc"]

    def to_text(self) -> str:
        """A few lines."""
        width, height = self.picture
        lines = [f"{self.bundle}, pictures of {width} x {height} px, {self.threads} threads, medians"]
        for name in NAMES:
            lines.append(f"{name:<8} load {self.load_s[name]:6.2f} s  {self.builds[name]}")
            lines += [
                f"  {cost.case:<16} {cost.cpu_s:8.3f} CPU s  first token {cost.first_token_s:8.3f} s  "
                f"{cost.prompt_tokens:6,} tokens, {cost.cached_tokens:,} held"
                for cost in self.costs
                if cost.runtime == name
            ]
        lines.append("server / inproc")
        lines += [
            f"  {case:<16} {self.ratio(case, 'cpu_s'):8.3f} CPU    first token {self.ratio(case, 'first_token_s'):8.3f}"
            for case in CASES
        ]
        return "\n".join([*lines, f"answers  {self.equal} of {self.asked} the same, token by token"])

    def to_json(self) -> dict[str, object]:
        """The same as data."""
        ratios = {case: {what: self.ratio(case, what) for what in ("cpu_s", "first_token_s")} for case in CASES}
        return asdict(self) | {"ratios": ratios}


def compare(
    bundle: str | os.PathLike[str],
    *,
    size: tuple[int, int] = (640, 480),
    rounds: int = 7,
    threads: int = 1,
    max_tokens: int = 16,
    budget: int | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Comparison:
    """Asks both runtimes about `rounds` pictures, each once more in a second turn; a first picture warms up.

    Raises EngineError where a runtime is not to be had, or the server reads such a picture otherwise.
    """
    taken: dict[tuple[str, str], list[tuple[float, Answer]]] = {}
    equal = asked = 0
    with ExitStack() as owned:
        engines = {name: owned.enter_context(Engine(bundle, threads=threads, runtime=name)) for name in NAMES}
        for number in range(rounds + 1):
            picture = drawn(size, number)
            answers = {
                name: _ask(engine, picture, max_tokens, budget)
                # Whoever goes second might find a warmer machine.
                for name, engine in sorted(engines.items(), reverse=bool(number % 2))
            }
            for case in CASES:
                both = [answers[name][case][1].tokens for name in NAMES]
                equal, asked = equal + (both[0] == both[1]), asked + 1
                for name in NAMES:
                    if number:
                        taken.setdefault((name, case), []).append(answers[name][case])
            progress(number + 1, rounds + 1)
        return Comparison(
            engines["inproc"].lock.name,
            size,
            threads,
            {name: engine.build for name, engine in engines.items()},
            {name: taken[name, CASES[0]][0][1].timings_ms.load / 1000 for name in NAMES},
            tuple(_cost(name, case, found) for (name, case), found in taken.items()),
            equal,
            asked,
        )


def _ask(engine: Engine, picture: Image.Image, max_tokens: int, budget: int | None) -> dict[str, tuple[float, Answer]]:
    """The CPU seconds and the answer of each case."""
    found = {}
    session = engine.session()
    for case, prompt, shown in zip(CASES, (PROMPT, AGAIN), ([picture], []), strict=True):
        begun = cpu_seconds()
        answer = session.answer(prompt, shown, Options(max_tokens=max_tokens, budget=budget))
        found[case] = (cpu_seconds() - begun, answer)
    session.close()
    return found


def _cost(name: str, case: str, found: list[tuple[float, Answer]]) -> RuntimeCost:
    last = found[-1][1].usage
    return RuntimeCost(
        name,
        case,
        statistics.median(seconds for seconds, _ in found),
        statistics.median(answer.timings_ms.first_token for _, answer in found) / 1000,
        last.prompt_tokens,
        last.cached_tokens,
        len(found),
    )
