"""Each public benchmark on a small table in its form: its prompt, its rule, its figures computed by hand."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from magicvl.bench.accuracy.benchmarks import BENCHMARKS
from magicvl.bench.accuracy.public import public_suite
from magicvl.bench.accuracy.question import Scored, Suite
from magicvl.errors import UsageError

Write = Callable[..., Path]
Rows = Sequence[dict[str, object]]


@pytest.fixture
def make_suite(write_table: Write, picture_text: Callable[[int], str]) -> Callable[..., Suite]:
    """The suite of a table whose rows share a picture where they name none."""

    def make(name: str, rows: Rows, **options: bool) -> Suite:
        first = rows[0]["index"]
        whole = [{"image": picture_text(0) if row["index"] == first else first} | row for row in rows]
        return public_suite(str(write_table(name, whole)), None, bind=options.get("bind", False))

    return make


def answered(suite: Suite, answers: Mapping[str, str]) -> list[Scored]:
    """The suite's questions with these answers, by index."""
    return [
        Scored(question, item.cluster, answers[question.id], question.score(answers[question.id]))
        for item in suite.draw()
        for question in item.questions
    ]


def means(suite: Suite, answers: Mapping[str, str]) -> dict[str, float]:
    """The lines of the table: their means as they are reported."""
    return {
        line.name: line.scale * sum(line.values) / len(line.values) for line in suite.lines(answered(suite, answers))
    }


def prompts(suite: Suite) -> list[str]:
    return [question.prompt for item in suite.draw() for question in item.questions]


def test_docvqa(make_suite: Callable[..., Suite]) -> None:
    rows = [
        {"index": 0, "question": "Total?", "answer": "['$ 12.50', '12.50']"},
        {"index": 1, "question": "Who?", "answer": "['Ann Miller']"},
        {"index": 2, "question": "Where?", "answer": "Rome"},
    ]
    suite = make_suite("DocVQA_VAL.tsv", rows)
    assert prompts(suite)[0] == "Total?\nAnswer the question using a single word or phrase."
    # 12.5 is one edit from 12.50, of five characters; the second one is right; Paris is too far from Rome.
    assert means(suite, {"0": "12.5", "1": "ann  miller", "2": "Paris"}) == pytest.approx({"all": 100 * 1.8 / 3})


def test_chartqa(make_suite: Callable[..., Suite]) -> None:
    rows = [
        {"index": 0, "question": "How much?", "answer": "41.5", "split": "test_human"},
        {"index": 1, "question": "Which?", "answer": "['Brazil']", "split": "test_human"},
        {"index": 2, "question": "Share?", "answer": "20%", "split": "test_augmented"},
    ]
    suite = make_suite("ChartQA_TEST.tsv", rows)
    found = means(suite, {"0": "43", "1": "brazil", "2": "0.23"})
    assert found == pytest.approx({"all": 200 / 3, "test_augmented": 0, "test_human": 100})


def test_textvqa(make_suite: Callable[..., Suite]) -> None:
    rows = [
        {"index": 34602, "question": "Brand?", "answer": str(["nokia"] * 3 + ["Nokia phone"] * 7)},
        {"index": 34603, "question": "Number?", "answer": str(["5"] * 10)},
    ]
    suite = make_suite("TextVQA_VAL.tsv", rows)
    assert means(suite, {"34602": "Nokia", "34603": "five"}) == pytest.approx({"all": 95})
    truths = [question.truth for item in suite.draw() for question in item.questions]
    assert truths == ["Nokia phone", "5"]


def test_ocrbench(make_suite: Callable[..., Suite]) -> None:
    rows = [
        {"index": 0, "question": "what is written in the image?", "answer": "['CENTRE']", "category": kind}
        | {"index": number}
        for number, kind in enumerate(
            (
                "Regular Text Recognition",
                "Digit String Recognition",
                "Scene Text-centric VQA",
                "Handwritten Mathematical Expression Recognition",
                "Handwritten Mathematical Expression Recognition",
            )
        )
    ]
    rows[2]["answer"] = str(["two\nlines"])
    rows[3]["answer"] = rows[4]["answer"] = "['x ^ 2 + Y']"
    suite = make_suite("OCRBench.tsv", rows)
    assert prompts(suite)[0] == "what is written in the image?"
    said = {"0": "It says Centre.", "1": "center", "2": "Two lines", "3": "so x^2+Y", "4": "x^2+y"}
    assert means(suite, said) == pytest.approx(
        {
            "all": 600,
            "Handwritten Mathematical Expression Recognition": 50,
            "Scene Text-centric VQA": 100,
            "Text Recognition": 50,
            "Digit String Recognition": 0,
            "Regular Text Recognition": 100,
        }
    )
    assert suite.lines(answered(suite, said))[0].unit == "points"


def circular(index: int, split: str, answers: str = "AB") -> Rows:
    """A question with two options and its rotation."""
    options = {"question": "What is it?", "hint": "look", "category": "object", "split": split}
    return [
        {"index": index + 10**6 * turn, "answer": letter, "A": "cat", "B": "dog"} | options
        for turn, letter in enumerate(answers)
    ]


def test_mmbench_counts_a_question_where_all_its_rotations_are_right(make_suite: Callable[..., Suite]) -> None:
    suite = make_suite("MMBench_DEV_EN.tsv", [*circular(7, "dev"), *circular(8, "dev"), *circular(9, "test", "A")])
    assert prompts(suite)[0] == (
        "Hint: look\nQuestion: What is it?\nOptions:\nA. cat\nB. dog\n"
        "Please select the correct answer from the options above. \n"
    )
    found = means(suite, {"7": "A", "1000007": "B. dog", "8": "A", "1000008": "A", "9": "(A)"})
    assert found == pytest.approx({"all": 200 / 3, "dev": 50, "test": 100, "each rotation": 80})
    lines = {
        line.name: len(line.values) for line in suite.lines(answered(suite, dict.fromkeys(question_ids(suite), "")))
    }
    assert lines == {"all": 3, "dev": 2, "test": 1, "each rotation": 5}


def question_ids(suite: Suite) -> list[str]:
    return [question.id for item in suite.draw() for question in item.questions]


def test_ai2d_and_options_that_are_missing(make_suite: Callable[..., Suite]) -> None:
    rows = [
        {"index": 0, "question": "Which part?", "answer": "C", "A": "stem", "B": "", "C": "leaf", "D": "root"},
        {"index": 1, "question": "Which part?", "answer": "D", "A": "stem", "B": "", "C": "leaf", "D": "root"},
    ]
    suite = make_suite("AI2D_TEST.tsv", rows)
    assert prompts(suite)[0].endswith(
        "Options:\nA. stem\nC. leaf\nD. root\n" + prompts(suite)[0].splitlines()[-1] + "\n"
    )
    assert means(suite, {"0": "the leaf", "1": "B"}) == {"all": 50}


def test_realworldqa_with_and_without_options(make_suite: Callable[..., Suite]) -> None:
    rows = [
        {"index": 0, "question": "Turn?", "answer": "A", "A": "left", "B": "right"},
        {"index": 1, "question": "How many? Please answer directly with a single word or number.", "answer": "3"},
        {"index": 2, "question": "Sign? Please answer directly with a single word or number.", "answer": "Stop"},
    ]
    suite = make_suite("RealWorldQA.tsv", rows)
    assert prompts(suite)[1] == rows[1]["question"]
    assert means(suite, {"0": "left", "1": "13", "2": "stop."}) == pytest.approx({"all": 200 / 3})


def test_hallusionbench(make_suite: Callable[..., Suite]) -> None:
    # Set 0 has figures 1 and 2 and questions 0 and 1 about each.
    names = ["0_0_1_0", "0_0_1_1", "0_0_2_0", "0_0_2_1"]
    rows = [
        {"index": f"x_VS_chart_{name[2:]}", "question": "Is it? Please answer yes or no.", "answer": truth}
        | {"category": "VS", "l2-category": "chart"}
        for name, truth in zip(names, ("Yes", "No", "0", "1"), strict=True)
    ]
    rows.append(
        {"index": "x_VD_map_0_1_0", "question": "Is it?", "answer": "Yes", "category": "VD", "l2-category": "map"}
    )
    suite = make_suite("HallusionBench.tsv", rows)
    assert prompts(suite)[0] == "Is it? Please answer yes or no."
    assert prompts(suite)[-1] == "Is it?\nPlease answer yes or no."
    ids = question_ids(suite)
    said = dict(zip(ids, ("Yes.", "no", "No", "No", "unknown"), strict=True))
    found = means(suite, said)
    # Figures: chart 1 right, chart 2 wrong, map wrong. Questions: chart 0 right about both, chart 1 wrong, map wrong.
    assert found == pytest.approx(
        {"all": 60, "figures": 100 / 3, "questions": 100 / 3, "VD": 0, "VS": 75, "chart": 75, "map": 0}
    )
    clusters = {line.name: set(line.clusters) for line in suite.lines(answered(suite, said))}
    assert clusters["figures"] == {"VS chart 0", "VD map 0"}


def test_choices_bind_only_where_that_was_asked_for(make_suite: Callable[..., Suite]) -> None:
    rows = [{"index": 0, "question": "Turn?", "answer": "A", "A": "left", "B": "right"}]
    free, bound = (make_suite("AI2D.tsv", rows, bind=bind) for bind in (False, True))
    assert [item.questions[0].choices for item in free.draw()] == [None] and free.notes == ()
    assert [item.questions[0].choices for item in bound.draw()] == [("A", "B")]
    assert bound.notes == ("answers of choices are bound to them, which is not the benchmark's protocol",)


@pytest.mark.parametrize(
    ("name", "row", "words"),
    [
        ("AI2D.tsv", {"answer": "E", "A": "x", "B": "y"}, "index 0: the answer 'E' is none of A, B"),
        ("AI2D.tsv", {"answer": "A"}, "index 0: the answer 'A' is none of no options"),
        ("MMBench_TEST_EN.tsv", {"answer": "", "A": "x"}, "index 0: no answer, so nothing can be scored"),
        ("DocVQA.tsv", {"answer": "x", "question": ""}, "index 0: no question"),
        ("HallusionBench.tsv", {"answer": "maybe"}, "the answer 'maybe' is neither Yes nor No"),
        ("HallusionBench.tsv", {"answer": "Yes"}, "parts 4 to 6 between underscores"),
        ("something.tsv", {"answer": "x"}, "the rules of which benchmark? There are mmbench, ocrbench"),
        ("OCRBench_v2.tsv", {"answer": "x"}, "the rules of which benchmark?"),
        ("ChartQAPro.tsv", {"answer": "x"}, "the rules of which benchmark?"),
    ],
)
def test_a_table_that_cannot_be_scored_is_one_line(
    make_suite: Callable[..., Suite], name: str, row: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        make_suite(name, [{"index": 0, "question": "q"} | row])
    assert words in str(caught.value) and name in str(caught.value) and "\n" not in str(caught.value)


def test_a_name_before_the_file_says_the_benchmark(write_table: Write, picture_text: Callable[[int], str]) -> None:
    path = write_table("my own.tsv", [{"index": 0, "image": picture_text(0), "question": "q", "answer": "Rome"}])
    for name in BENCHMARKS:
        if name in ("docvqa", "chartqa", "textvqa", "ocrbench", "realworldqa"):
            suite = public_suite(f"{name}={path}", None, bind=False)
            assert (suite.name, means(suite, {"0": "rome"})["all"]) == ("my own", 1000 if name == "ocrbench" else 100)
    with pytest.raises(UsageError, match="imagenet: the rules of which"):
        public_suite(f"imagenet={path}", None, bind=False)


def test_the_first_rows_alone(make_suite: Callable[..., Suite], write_table: Write, tmp_path: Path) -> None:
    rows = [{"index": number, "question": "q", "answer": "a"} for number in range(5)]
    make_suite("DocVQA.tsv", rows)
    suite = public_suite(str(tmp_path / "DocVQA.tsv"), 2, bind=False)
    assert (suite.items, question_ids(suite)) == (2, ["0", "1"])
