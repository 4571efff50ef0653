"""Every question has the answer that the scene gives."""

import random
import re

import numpy as np

from magicvl.train.nano.batches import draw_sample
from magicvl.train.nano.drawing import draw
from magicvl.train.nano.questions import WEIGHTS, all_questions, caption, choose_questions, plural
from magicvl.train.nano.scenes import POSITIONS, Print, Scene, Shape, make_scene

SCENE = Scene(
    160, 128, "white", "plain",
    (Shape("star", "red", 0, 0.95), Shape("circle", "blue", 8, 0.5), Shape("circle", "blue", 6, 0.5)),
    (Print("4821", "black", 1),), 0, False,
)  # fmt: skip


def answers(prompt: str) -> set[str]:
    """All answers to a prompt over many phrasings."""
    return {
        question.answer
        for seed in range(200)
        for question in all_questions(random.Random(seed), SCENE)
        if question.prompt == prompt
    }


def test_answers_of_a_known_scene() -> None:
    assert answers("What colour is the star?") == {"red"}
    assert answers("What colour is the circle?") == set()  # there are two
    assert answers("How many circles are there?") == {"circle bottom left, circle bottom right: 2"}
    assert answers("Count the blue shapes.") == {"blue circle bottom left, blue circle bottom right: 2"}
    assert answers("How many shapes are there?") == {
        "red star top left, blue circle bottom left, blue circle bottom right: 3"
    }
    assert answers("Where is the red star?") == {"red star top left"}
    assert answers("Where is the star?") == {"star top left"}
    assert answers("What shape is in the bottom right?") == {"circle"}
    assert answers("What number is printed?") == {"4821"}
    assert answers("What colour is the number?") == {"black"}
    assert answers("What colour is the background?") == {"white"}
    assert answers("Is there a red star?") == {"yes"}
    assert answers("What is where?") == {"red star top left, blue circle bottom left, blue circle bottom right"}
    assert answers("Describe the picture.") == {
        "a red star, two blue circles and the black number 4821 on a white background"
    }


def test_relations_and_sizes_follow_the_cells() -> None:
    scene = Scene(
        128,
        128,
        "white",
        "plain",
        (Shape("star", "red", 0, 0.95), Shape("ring", "blue", 5, 0.5)),
        (),
        0,
        False,
    )
    found = {q.prompt: q.answer for seed in range(50) for q in all_questions(random.Random(seed), scene)}
    assert found["Is the star left of the ring?"] == "yes"
    assert found["Is the ring left of the star?"] == "no"
    assert found["Is the star above the ring?"] == "yes"
    assert found["Is the star below the ring?"] == "no"
    assert found["Which is bigger, the star or the ring?"] == "star"
    assert found["Which is smaller, the star or the ring?"] == "ring"


def test_one_of_several_prints_is_asked_for_by_its_row() -> None:
    lines = (Print("12", "red", 0), Print("tea", "blue", 1), Print("705", "black", 2))
    scene = Scene(160, 160, "white", "plain", (), lines, 0, False)
    found = {q.prompt: q.answer for seed in range(50) for q in all_questions(random.Random(seed), scene)}
    assert found["What number is at the top?"] == "12"
    assert found["What number is at the bottom?"] == "705"
    assert found["What word is in the middle?"] == found["Read the word."] == "tea"
    assert "Read the number." not in found


def test_no_prompt_has_two_answers() -> None:
    for seed in range(300):
        scene = make_scene(random.Random(seed), 128, 128)
        found: dict[str, str] = {}
        for phrasing in range(5):
            for question in all_questions(random.Random(phrasing), scene):
                assert found.setdefault(question.prompt, question.answer) == question.answer


def test_counts_and_positions_agree_with_the_scene() -> None:
    for seed in range(200):
        scene = make_scene(random.Random(seed), 128, 128)
        for question in all_questions(random.Random(seed), scene):
            if question.task == "count":
                kinds = [s.kind for s in scene.shapes if plural(s.kind) in question.prompt]
                colours = [s.colour for s in scene.shapes if f"{s.colour} shapes" in question.prompt]
                expected = len(colours) or len(kinds) or len(scene.shapes)
                listed, number = question.answer.split(": ")
                assert len(listed.split(", ")) == int(number) == expected
            if question.task == "position":
                (shape,) = [s for s in scene.shapes if question.answer.endswith(f"{s.kind} {POSITIONS[s.cell]}")]
                assert question.answer.removesuffix(f"{shape.kind} {POSITIONS[shape.cell]}") in ("", f"{shape.colour} ")


def test_what_fills_a_tiny_picture_has_no_place() -> None:
    scene = Scene(40, 40, "white", "plain", (Shape("ring", "red", 4, 0.95),), (), 0, False)
    found = {q.prompt: q.answer for seed in range(50) for q in all_questions(random.Random(seed), scene)}
    assert found["How many shapes are there?"] == "red ring: 1"
    assert not any(prompt.startswith("Where") for prompt in found)


def test_chosen_questions_differ_and_keep_to_the_limit() -> None:
    for seed in range(100):
        chosen = choose_questions(random.Random(seed), SCENE, 5)
        assert len(chosen) == 5
        assert len({(q.prompt, q.answer) for q in chosen}) == 5


def test_caption_counts_in_words() -> None:
    scene = Scene(96, 96, "pink", "plain", tuple(Shape("cross", "black", i, 0.5) for i in range(4)), (), 0, False)
    assert caption(scene) == "four black crosses on a pink background"
    assert not re.search(r"\d", caption(scene))


def test_what_is_pointed_at_is_there() -> None:
    """The digits' cell of the picture has the shape's own px in its middle or near it."""
    pointed = 0
    for seed in range(60):
        sample = draw_sample(f"point {seed}", 5, 4, 30, weights={"point": 50.0})
        drawing = draw(sample.scene)
        owners = np.asarray(drawing.owners)
        asked = [question for question in sample.questions if question.task == "point"]
        for question in asked:
            for item in question.answer.split(", "):
                words, digits = item.rsplit(" ", 1)
                x, y, size = (int(digit) for digit in digits)
                # Any px of the tenth that the middle is in: a ring has none there.
                height, width = owners.shape
                cell = owners[int(y / 10 * height) : int((y + 1) / 10 * height) + 1, int(x / 10 * width) :][
                    :, : width // 10 + 1
                ]
                numbers = {
                    number
                    for number, shape in enumerate(sample.scene.shapes, start=1)
                    if words in (shape.kind, f"{shape.colour} {shape.kind}")
                }
                kind = words.rpartition(" ")[2]
                if kind != "ring":
                    assert any(number in cell for number in numbers), (question, seed)
                assert 0 < size < 10
                pointed += 1
        assert {question.answer.count(",") + 1 for question in asked} <= {1, len(sample.scene.shapes)}
    assert pointed > 100


def test_nothing_is_pointed_at_unless_asked_for() -> None:
    assert WEIGHTS["point"] == 0
    assert all(question.task != "point" for seed in range(20) for question in all_questions(random.Random(seed), SCENE))
