"""Questions about a scene, each with its one right answer, in several phrasings."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from magicvl.edge.video.track import marks
from magicvl.train.nano.scenes import COLOURS, POSITIONS, SHAPES, Print, Scene, Shape


@dataclass(frozen=True)
class Question:
    """One question about one picture."""

    task: str
    """colour, shape, count, position, layout, relation, size, background, exists, caption, number, word or point."""
    prompt: str
    answer: str
    """Counts and places name what they are about before they say where it is ("star top left, star right: 2"): the
    words to look up stand right before the place, which is learned in a fraction of the steps (LOG.md)."""


@dataclass(frozen=True)
class Spot:
    """Where a shape is drawn, which its scene does not know."""

    x: float
    """Of its middle, in shares of the picture's width."""
    y: float
    """In shares of its height."""
    size: float
    """Its longer side in shares of the picture's shorter one."""


def all_questions(rng: random.Random, scene: Scene, spots: Sequence[Spot] = ()) -> list[Question]:
    """Every question that has one right answer, each in a phrasing drawn by `rng`.

    Where `spots` say where the scene's shapes are drawn, they may be pointed at.
    """
    asked = [question for ask in _ASKERS for question in ask(rng, scene)]
    return [*asked, *_point(rng, scene, spots)] if spots else asked


def choose_questions(
    rng: random.Random,
    scene: Scene,
    most: int,
    weights: Mapping[str, float] | None = None,
    spots: Sequence[Spot] = (),
) -> list[Question]:
    """At most `most` different questions, tasks drawn by weight so that rare ones are not drowned.

    `weights` says which tasks are asked more or less often than by `WEIGHTS`; one of 0 is not asked.
    """
    weights = WEIGHTS | dict(weights or {})
    by_task: dict[str, list[Question]] = {}
    for question in all_questions(rng, scene, spots):
        if weights[question.task]:
            by_task.setdefault(question.task, []).append(question)
    chosen: list[Question] = []
    while by_task and len(chosen) < most:
        task = rng.choices(list(by_task), [weights[task] for task in by_task])[0]
        chosen.append(by_task[task].pop(rng.randrange(len(by_task[task]))))
        if not by_task[task]:
            del by_task[task]
    return chosen


WEIGHTS = {
    "colour": 2.5, "shape": 2.5, "count": 8.0, "position": 9.0, "layout": 6.0, "relation": 0.5, "size": 0.5,
    "background": 0.3, "exists": 1.0, "caption": 0.5, "number": 8.0, "word": 0.5,
    "point": 0.0,
}  # fmt: skip
"""How often tasks are asked beside each other."""


def _colour(rng: random.Random, scene: Scene) -> Iterator[Question]:
    for shape in _only(scene, lambda s: s.kind):
        phrase = rng.choice(
            (
                "What colour is the {}?",
                "What color is the {}?",
                "Which colour does the {} have?",
                "The {} is what color?",
            )
        )
        yield Question("colour", phrase.format(shape.kind), shape.colour)
    for shape in _placed(scene):
        phrase = rng.choice(("What colour is the shape in the {}?", "Which color is the shape at the {}?"))
        yield Question("colour", phrase.format(POSITIONS[shape.cell]), shape.colour)
    for printed in _only_prints(scene):
        phrase = rng.choice(("What colour is the {}?", "What color is the {}?", "In which colour is the {} printed?"))
        yield Question("colour", phrase.format(printed.noun), printed.colour)


def _shape(rng: random.Random, scene: Scene) -> Iterator[Question]:
    for shape in _only(scene, lambda s: s.colour):
        phrase = rng.choice(("What shape is {}?", "Which shape is {}?", "What is the {} shape?"))
        yield Question("shape", phrase.format(shape.colour), shape.kind)
    for shape in _placed(scene):
        phrase = rng.choice(("What shape is in the {}?", "Which shape is at the {}?", "What is in the {}?"))
        yield Question("shape", phrase.format(POSITIONS[shape.cell]), shape.kind)
    if len(scene.shapes) == 1:
        phrase = rng.choice(("What shape is this?", "What shape do you see?", "Which shape is in the picture?"))
        yield Question("shape", phrase, scene.shapes[0].kind)


def _count(rng: random.Random, scene: Scene) -> Iterator[Question]:
    shapes = sorted(scene.shapes, key=lambda s: s.cell)
    if not shapes:
        return
    phrase = rng.choice(("How many {} are there?", "How many {} do you see?", "Count the {}.", "How many {}?"))

    def question(noun: str, counted: list[str]) -> Question:
        return Question("count", phrase.format(noun), f"{', '.join(counted)}: {len(counted)}")

    if not _placed(scene):
        yield question("shapes", [f"{s.colour} {s.kind}" for s in shapes])
        return
    yield question("shapes", [_item(s) for s in shapes])
    kinds, colours = Counter(s.kind for s in shapes), Counter(s.colour for s in shapes)
    # Repeats are worth more than ones: a model that answers "1" should not be right most of the time.
    for kind, count in kinds.items():
        if count > 1 or rng.random() < 0.35:
            yield question(plural(kind), [f"{kind} {POSITIONS[s.cell]}" for s in shapes if s.kind == kind])
    for colour, count in colours.items():
        if count > 1 or rng.random() < 0.35:
            yield question(f"{colour} shapes", [_item(s) for s in shapes if s.colour == colour])


def _position(rng: random.Random, scene: Scene) -> Iterator[Question]:
    phrase = rng.choice(("Where is the {}?", "Where is the {} in the picture?", "At which position is the {}?"))
    if not _placed(scene):
        return
    for shape in _only(scene, lambda s: s.kind):
        yield Question("position", phrase.format(shape.kind), f"{shape.kind} {POSITIONS[shape.cell]}")
    for shape in _only(scene, lambda s: (s.colour, s.kind)):
        yield Question("position", phrase.format(f"{shape.colour} {shape.kind}"), _item(shape))


def _relation(rng: random.Random, scene: Scene) -> Iterator[Question]:
    unique = _only(scene, lambda s: s.kind)
    if len(unique) < 2:
        return
    one, other = rng.sample(unique, 2)
    columns, rows = other.cell % 3 - one.cell % 3, other.cell // 3 - one.cell // 3
    for words, apart in (("left of", columns), ("right of", -columns), ("above", rows), ("below", -rows)):
        if apart:
            prompt = f"Is the {one.kind} {words} the {other.kind}?"
            yield Question("relation", prompt, "yes" if apart > 0 else "no")


def _size(rng: random.Random, scene: Scene) -> Iterator[Question]:
    unique = _only(scene, lambda s: s.kind)
    if len(unique) < 2:
        return
    one, other = rng.sample(unique, 2)
    if max(one.size, other.size) / min(one.size, other.size) < 1.4:
        return
    larger, smaller = (one, other) if one.size > other.size else (other, one)
    word, right = rng.choice((("bigger", larger), ("larger", larger), ("smaller", smaller)))
    yield Question("size", f"Which is {word}, the {one.kind} or the {other.kind}?", right.kind)


def _background(rng: random.Random, scene: Scene) -> Iterator[Question]:
    phrase = rng.choice(("What colour is the background?", "What color is the background?", "Which background colour?"))
    yield Question("background", phrase, scene.background)


def _exists(rng: random.Random, scene: Scene) -> Iterator[Question]:
    if not scene.shapes:
        return
    if rng.random() < 0.5:
        shape = rng.choice(scene.shapes)
        kind, colour = shape.kind, shape.colour
    else:
        kind, colour = rng.choice(SHAPES), rng.choice(list(COLOURS))
    phrase = rng.choice(("Is there a {}?", "Do you see a {}?"))
    there = any(s.kind == kind and s.colour == colour for s in scene.shapes)
    yield Question("exists", phrase.format(f"{colour} {kind}"), "yes" if there else "no")


def _caption(rng: random.Random, scene: Scene) -> Iterator[Question]:
    phrase = rng.choice(
        ("Describe the picture.", "What is in the picture?", "What do you see?", "Describe this image.")
    )
    yield Question("caption", phrase, caption(scene))


def _print(rng: random.Random, scene: Scene) -> Iterator[Question]:
    for printed in _only_prints(scene):
        if printed.is_number:
            phrase = rng.choice(
                ("What number is printed?", "What number is this?", "Read the number.", "Which number do you see?")
            )
        else:
            phrase = rng.choice(
                ("What word is printed?", "What does it say?", "Read the word.", "Which word do you see?")
            )
        yield Question(printed.noun, phrase, printed.text)
    if len(scene.prints) > 1:
        for printed in scene.prints:
            row = ("at the top", "in the middle", "at the bottom")[printed.row]
            yield Question(printed.noun, f"What {printed.noun} is {row}?", printed.text)


def _layout(rng: random.Random, scene: Scene) -> Iterator[Question]:
    """Everything and its place: each word of the answer says something that is seen."""
    shapes = sorted(_placed(scene), key=lambda s: s.cell)
    if shapes:
        phrase = rng.choice(("Where is everything?", "List the shapes and their places.", "What is where?"))
        yield Question("layout", phrase, ", ".join(_item(shape) for shape in shapes))


def _point(rng: random.Random, scene: Scene, spots: Sequence[Spot]) -> Iterator[Question]:
    """Places to a tenth, in the digits of a film's tracks (magicvl.edge.video.track)."""
    where = {id(shape): marks(spot.x, spot.y, spot.size) for shape, spot in zip(scene.shapes, spots, strict=True)}
    if not _placed(scene):
        return
    phrase = rng.choice(("Point at the {}.", "Point to the {}."))
    for shape in _only(scene, lambda s: s.kind):
        yield Question("point", phrase.format(shape.kind), f"{shape.kind} {where[id(shape)]}")
    for shape in _only(scene, lambda s: (s.colour, s.kind)):
        name = f"{shape.colour} {shape.kind}"
        yield Question("point", phrase.format(name), f"{name} {where[id(shape)]}")
    told = [f"{s.colour} {s.kind} {where[id(s)]}" for s in sorted(scene.shapes, key=lambda s: s.cell)]
    yield Question("point", rng.choice(("Point at everything.", "Point to everything.")), ", ".join(told))


_ASKERS: tuple[Callable[[random.Random, Scene], Iterator[Question]], ...] = (
    _colour, _shape, _count, _position, _layout, _relation, _size, _background, _exists, _caption, _print,
)  # fmt: skip


def caption(scene: Scene) -> str:
    """One sentence: the shapes grouped in reading order, the print, the background."""
    counts = Counter((s.colour, s.kind) for s in sorted(scene.shapes, key=lambda s: s.cell))
    parts = [
        f"a {colour} {kind}" if count == 1 else f"{_NUMBERS[count]} {colour} {plural(kind)}"
        for (colour, kind), count in counts.items()
    ]
    parts += [f"the {printed.colour} {printed.noun} {printed.text}" for printed in scene.prints]
    listed = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
    return f"{listed} on a {scene.background} background"


def plural(kind: str) -> str:
    """More than one of a shape."""
    return kind + ("es" if kind.endswith("s") else "s")


_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def _only(scene: Scene, key: Callable[[Shape], object]) -> list[Shape]:
    """The shapes whose key no other shape shares."""
    counts = Counter(key(shape) for shape in scene.shapes)
    return [shape for shape in scene.shapes if counts[key(shape)] == 1]


def _only_prints(scene: Scene) -> list[Print]:
    """The one number, and the one word, if there is just one."""
    counts = Counter(printed.is_number for printed in scene.prints)
    return [printed for printed in scene.prints if counts[printed.is_number] == 1]


def _item(shape: Shape) -> str:
    """What and where it is, as it stands in lists."""
    return f"{shape.colour} {shape.kind} {POSITIONS[shape.cell]}"


def _placed(scene: Scene) -> list[Shape]:
    """The shapes whose place can be asked for; in a tiny picture the one shape fills it."""
    return list(scene.shapes) if min(scene.width, scene.height) >= 64 else []
