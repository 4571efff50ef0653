import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from magicvl.errors import SampleError
from magicvl.train.assets.pack import installed_pack
from magicvl.train.generator.dataset import SPLITS, Dataset
from magicvl.train.generator.scenes import DATASETS
from magicvl.train.generator.scenes.choose import looks_of, mixed_kinds
from magicvl.train.generator.scenes.kinds import choose_kinds, kind_of, named_kinds, shape_kinds
from magicvl.train.generator.scenes.scene import LEAST, Plan, Scene, compose
from magicvl.train.nano.scenes import COLOURS, POSITIONS
from magicvl.train.samples.sample import Sample, Turn

BY_NAME = {dataset.name: dataset for dataset in DATASETS}
pytestmark = pytest.mark.usefixtures("drawings")


def samples(name: str, count: int, split: str = "train") -> Iterator[Sample]:
    for index in range(count):
        yield BY_NAME[name].sample(5, index, split)  # type: ignore[arg-type]


def turns(name: str, count: int) -> Iterator[tuple[Sample, Turn]]:
    for sample in samples(name, count):
        for turn in sample.turns:
            yield sample, turn


def boxes_of(noun: str, sample: Sample) -> list[tuple[float, float, float, float]]:
    return [(box.left, box.top, box.right, box.bottom) for box in sample.boxes or () if box.label == noun]


def kind_in(text: str) -> list[str]:
    """The labels that a question is about, by their plural or singular, in the order in which they are named."""
    words = {kind.plural: kind.noun for kind in (*named_kinds("train"), *shape_kinds())}
    words |= {noun: noun for noun in words.values()}
    found = re.findall(rf"\b({'|'.join(sorted(words, key=len, reverse=True))})\b", text)
    return [words[word] for word in found]


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)
def test_the_same_number_is_the_same_sample_and_all_is_within_the_picture(dataset: Dataset) -> None:
    for split in SPLITS:
        one, other = (dataset.sample(1, 7, split) for _ in range(2))
        assert one.pictures[0].tobytes() == other.pictures[0].tobytes()  # type: ignore[union-attr]
        assert (one.turns, one.boxes) == (other.turns, other.boxes)
        width, height = one.pictures[0].size  # type: ignore[union-attr]
        assert min(width, height) >= 96
        assert one.boxes
        for box in one.boxes:
            assert 0 <= box.left < box.right <= width and 0 <= box.top < box.bottom <= height
            assert max(box.right - box.left, box.bottom - box.top) >= LEAST - 6
        assert all(turn.prompt and turn.answer and turn.task for turn in one.turns)
        # Nothing is asked twice, so that no answer stands in the conversation already.
        assert len({turn.prompt for turn in one.turns}) == len(one.turns)


def test_the_pixels_that_differ_from_a_plain_ground_are_those_in_the_boxes() -> None:
    plain = 0
    for seed in range(16):
        scene = plain_scene(seed)
        pixels = np.asarray(scene.picture).astype(int)
        outside = np.ones(pixels.shape[:2], bool)
        for left, top, right, bottom in (seen.box for seen in scene.objects):
            outside[top:bottom, left:right] = False
        ground = pixels[outside]
        if np.ptp(ground, axis=0).max() > 0:
            continue  # a gradient
        plain += 1
        drawn = (abs(pixels - ground[0]).sum(axis=2) > 12) & ~outside
        for left, top, right, bottom in (seen.box for seen in scene.objects):
            inside = drawn[top:bottom, left:right]
            # Every side of the box touches what is drawn.
            assert inside[:2].any() and inside[-2:].any() and inside[:, :2].any() and inside[:, -2:].any()
    assert plain > 3


def plain_scene(seed: int) -> Scene:
    rng = random.Random(seed)
    looks = looks_of(rng, mixed_kinds(rng, named_kinds("train"), 3), "train")
    return compose(rng, "train", looks, Plan(("plain",), smallest=0.6))


@pytest.mark.parametrize("name", ["vqa/count", "vqa/count-mixed", "vqa/shapes", "vqa/shapes-dense"])
def test_counts_are_those_of_the_boxes(name: str) -> None:
    checked = 0
    for sample, turn in turns(name, 24):
        if turn.task == "count":
            asked = kind_in(turn.prompt)
            truth = len(boxes_of(asked[0], sample)) if asked else len(sample.boxes or ())
            assert int(turn.answer) == truth, turn
            checked += 1
    assert checked >= 20


@pytest.mark.parametrize(("name", "numbers"), [("vqa/count", range(1, 9)), ("vqa/count-mixed", range(7))])
def test_every_number_is_as_frequent(name: str, numbers: range) -> None:
    answers = Counter(int(turn.answer) for _, turn in turns(name, 90))
    assert set(answers) == set(numbers)
    assert max(answers.values()) / answers.total() < 2.2 / len(numbers)


@pytest.mark.parametrize(
    "name",
    [
        "vqa/exists",
        "vqa/exists-dense",
        "reasoning/relation",
        "reasoning/relation-dense",
        "reasoning/compare",
        "vqa/size",
    ],
)
def test_yes_and_no_are_as_frequent(name: str) -> None:
    answers = Counter(turn.answer for _, turn in turns(name, 64) if turn.answer in ("yes", "no"))
    assert answers.total() > 15
    assert 0.25 < answers["yes"] / answers.total() < 0.75, answers


def test_what_exists_is_there() -> None:
    for sample, turn in turns("vqa/exists-dense", 25):
        assert bool(boxes_of(kind_in(turn.prompt)[0], sample)) == (turn.answer == "yes"), turn


def test_colours_are_asked_equally_often_and_are_what_is_drawn() -> None:
    answers = Counter(turn.answer for _, turn in turns("vqa/colour", 110))
    assert set(answers) == set(COLOURS)
    assert max(answers.values()) / answers.total() < 0.2


def test_boxes_in_answers_are_those_of_the_objects() -> None:
    for name in ("grounding/box", "grounding/box-dense", "grounding/box-shapes", "grounding/box-shapes-dense"):
        for sample, turn in turns(name, 20):
            (box,) = boxes_of(kind_in(turn.prompt)[0], sample)
            width, height = sample.pictures[0].size  # type: ignore[union-attr]
            answered = [int(number) for number in re.findall(r"\d+", turn.answer)]
            expected = [1000 * side / full for side, full in zip(box, (width, height) * 2, strict=True)]
            assert answered == pytest.approx(expected, abs=0.51)


def test_the_one_of_two_is_the_one_that_is_meant() -> None:
    checked = 0
    for sample, turn in turns("grounding/box-of-two", 40):
        if said := re.search(r"the (left|right|upper|lower) ", turn.prompt):
            boxes = boxes_of(kind_in(turn.prompt)[0], sample)
            axis = 0 if said[1] in ("left", "right") else 1
            ordered = sorted(boxes, key=lambda box: box[axis] + box[axis + 2])
            meant = ordered[0 if said[1] in ("left", "upper") else -1]
            size = sample.pictures[0].size  # type: ignore[union-attr]
            assert int(re.findall(r"\d+", turn.answer)[axis]) == pytest.approx(
                1000 * meant[axis] / size[axis], abs=0.51
            )
            checked += 1
    assert checked > 10


def test_places_are_where_things_are() -> None:
    for sample, turn in turns("grounding/point-dense", 20):
        width, height = sample.pictures[0].size  # type: ignore[union-attr]
        place = turn.answer if turn.answer in POSITIONS else re.search(r"at the ([a-z ]+?)[?.]", turn.prompt)[1]  # type: ignore[index]
        noun = turn.answer if turn.answer not in POSITIONS else kind_in(turn.prompt)[0]
        ((left, top, right, bottom),) = boxes_of(noun, sample)
        row, column = divmod(POSITIONS.index(place), 3)
        assert column == int((left + right) / 2 / width * 3)
        assert row == int((top + bottom) / 2 / height * 3)


_TRUE = {
    "left of": lambda a, b: a[0] + a[2] < b[0] + b[2],
    "right of": lambda a, b: a[0] + a[2] > b[0] + b[2],
    "above": lambda a, b: a[1] + a[3] < b[1] + b[3],
    "below": lambda a, b: a[1] + a[3] > b[1] + b[3],
}


@pytest.mark.parametrize("name", ["reasoning/relation", "reasoning/relation-dense"])
def test_relations_hold(name: str) -> None:
    checked = Counter[str]()
    for sample, turn in turns(name, 60):
        asked = kind_in(turn.prompt)
        if turn.answer in ("yes", "no"):
            word = re.search(r"left of|right of|above|below", turn.prompt)[0]  # type: ignore[index]
            (one,), (other,) = (boxes_of(noun, sample) for noun in asked)
            assert _TRUE[word](one, other) == (turn.answer == "yes"), turn
        elif turn.answer in ("left", "right", "above", "below"):
            one, other = boxes_of(asked[-1], sample)[0], boxes_of(asked[0], sample)[0]
            if turn.prompt.startswith(("Where", "Is", "Are")):
                one, other = other, one
            assert _TRUE[turn.answer + " of" * (turn.answer in ("left", "right"))](one, other), turn
        else:
            word = re.search(r"left of|right of|above|below", turn.prompt)[0]  # type: ignore[index]
            assert _TRUE[word](boxes_of(turn.answer, sample)[0], boxes_of(asked[0], sample)[0]), turn
        checked[turn.answer if turn.answer in ("yes", "no", "left", "right", "above", "below") else "name"] += 1
    assert len(checked) >= 5


@pytest.mark.parametrize("name", ["reasoning/compare", "reasoning/compare-dense"])
def test_comparisons_hold(name: str) -> None:
    for sample, turn in turns(name, 24):
        one, other = kind_in(turn.prompt)[:2] if "of which" not in turn.prompt.lower() else kind_in(turn.prompt)
        first, second = len(boxes_of(one, sample)), len(boxes_of(other, sample))
        if turn.answer.isdigit():
            assert first - second == int(turn.answer)
        elif "same" in turn.prompt or "as many" in turn.prompt:
            assert (first == second) == (turn.answer == "yes")
        elif " than " in turn.prompt:
            assert (first < second if "fewer" in turn.prompt else first > second) == (turn.answer == "yes")
        else:
            right = one if (first < second) == ("fewer" in turn.prompt) else other
            assert kind_in(turn.answer) == [right]


def test_sums_hold() -> None:
    for sample, turn in turns("reasoning/arithmetic", 40):
        asked = kind_in(turn.prompt)
        counts = Counter(box.label for box in sample.boxes or ())
        if "not" in turn.prompt.split():
            truth = counts.total() - counts[asked[0]]
        elif "together" in turn.prompt or "plus" in turn.prompt:
            truth = counts[asked[0]] + counts[asked[1]]
        else:
            taken = re.search(r"one|two|three", turn.prompt.lower())[0]  # type: ignore[index]
            truth = counts[asked[0]] - ("one", "two", "three").index(taken) - 1
        assert int(turn.answer) == truth, turn


@pytest.mark.parametrize("name", ["reasoning/order", "reasoning/order-row", "vqa/size"])
def test_orders_by_size_hold(name: str) -> None:
    for sample, turn in turns(name, 24):
        area = {box.label: (box.right - box.left) * (box.bottom - box.top) for box in sample.boxes or ()}
        ordered = sorted(area, key=lambda noun: area[noun])
        if ", " in turn.answer:
            assert turn.answer.split(", ") == (ordered if "from smallest" in turn.prompt else ordered[::-1])
        elif turn.task == "order" and "directly" not in turn.prompt:
            place = -2 if "second" in turn.prompt else -1 if "largest" in turn.prompt else 0
            assert turn.answer == ordered[place], turn


def test_the_odd_one_is_there_once() -> None:
    for sample, turn in turns("reasoning/odd", 20):
        counts = Counter(box.label for box in sample.boxes or ())
        assert counts[turn.answer] == 1 and len(counts) == 2
    for sample, turn in turns("reasoning/odd-group", 30):
        groups = Counter(kind_of(box.label).group for box in sample.boxes or ())
        assert groups[kind_of(turn.answer).group] == 1 and len(groups) == 2
    for sample, turn in turns("reasoning/odd-shape", 30):
        words = Counter(word for box in sample.boxes or () for word in box.label.split())
        assert words[turn.answer] == 1


def test_between_and_beside_hold() -> None:
    for name in ("reasoning/between", "reasoning/between-dense"):
        for sample, turn in turns(name, 30):
            one, other = (boxes_of(noun, sample)[0] for noun in kind_in(turn.prompt)[-2:])
            ends = [(box[0] + box[2], box[1] + box[3]) for box in (one, other)]
            axis = 0 if (sample.pictures[0].width > sample.pictures[0].height) else 1  # type: ignore[union-attr]
            low, high = sorted(end[axis] for end in ends)
            inside = [box.label for box in sample.boxes or () if low < middle(box, axis) < high]
            assert (str(len(inside)) if turn.answer.isdigit() else inside[0]) == turn.answer, turn


def middle(box: object, axis: int) -> float:
    sides = (box.left, box.top, box.right, box.bottom)  # type: ignore[attr-defined]
    return float(sides[axis] + sides[axis + 2])


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)
def test_a_split_draws_only_what_is_its_own(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = installed_pack()
    drawn = []
    sprite = type(pack).sprite
    monkeypatch.setattr(
        type(pack), "sprite", lambda self, thing, side: drawn.append(thing) or sprite(self, thing, side)
    )
    for split in SPLITS:
        drawn.clear()
        for index in range(2):
            dataset.sample(2, index, split)
        assert {thing.split for thing in drawn} <= {split}


def test_nothing_clashes_in_one_picture() -> None:
    for seed in range(50):
        kinds = mixed_kinds(random.Random(seed), named_kinds("train"), 8, shapes=0.4)
        assert len(kinds) == 8
        assert not any(one.clashes(other) for place, one in enumerate(kinds) for other in kinds[:place])
    assert not choose_kinds(random.Random(1), (kind_of("owl"),), 1, [kind_of("hen")])


def test_without_a_pack_the_error_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGICVL_ASSETS", str(tmp_path))
    with pytest.raises(SampleError, match="magicvl train assets"):
        BY_NAME["vqa/naming"].sample(0, 0)
    # Coloured shapes need none.
    assert BY_NAME["caption/shapes"].sample(0, 0).turns
