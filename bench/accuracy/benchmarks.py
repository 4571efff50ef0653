"""The public benchmarks: how each asks, and how each scores one answer. Their tables are in benchmark_lines.py.

Prompts and matching are VLMEvalKit's (Duan et al. 2024, arXiv 2407.11691) without a judge, which is what it calls
exact matching; the scores of single answers are those that the benchmarks' authors published.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from magicvl.bench.accuracy import benchmark_lines
from magicvl.bench.accuracy.choices import chosen_letter, yes_or_no
from magicvl.bench.accuracy.lines import by_groups
from magicvl.bench.accuracy.question import Line, Question, Scored
from magicvl.bench.accuracy.tsv import Row, as_list
from magicvl.bench.accuracy.vqa import vqa_accuracy
from magicvl.bench.scoring import Scorer, anls, best, relaxed_plain
from magicvl.errors import UsageError

SHORT = "\nAnswer the question using a single word or phrase."
SELECT = "Please select the correct answer from the options above. \n"
YES_OR_NO = "\nPlease answer yes or no."
FORMULA = "Handwritten Mathematical Expression Recognition"
"""OCRBench's category in which white space and nothing else is ignored."""
SETS = ("l2-category", "category", "split")
"""Columns that tables are made by."""

Ask = Callable[[Row, bool], Question]
"""Makes the question of a row; whether choices bind the answer. Raises UsageError."""


@dataclass(frozen=True)
class Benchmark:
    """One benchmark's protocol."""

    ask: Ask
    lines: Callable[[Sequence[Scored]], list[Line]]


def short_answers(scorer: Scorer, max_tokens: int) -> Ask:
    """A question to be answered in a word or a phrase; the best score over the right answers counts."""

    def ask(row: Row, _bind: bool) -> Question:
        truths = as_list(_answer(row))
        return _question(
            row, row.fields["question"] + SHORT, truths[0], lambda said: best(scorer, said, truths), max_tokens
        )

    return ask


def textvqa(row: Row, _bind: bool) -> Question:
    """TextVQA (Singh et al. 2019, arXiv 1904.08920): VQA accuracy over ten annotators."""
    truths = as_list(_answer(row))
    common = max(truths, key=truths.count)
    return _question(row, row.fields["question"] + SHORT, common, lambda said: vqa_accuracy(said, truths), 64)


def ocrbench(row: Row, _bind: bool) -> Question:
    """OCRBench (Liu et al. 2023, arXiv 2305.07895): a point where a right answer is contained in what is said.

    Case does not count and line breaks are spaces; of a formula all spaces are left out and case counts.
    """
    truths = as_list(_answer(row))
    fold = _without_spaces if row.fields.get("category") == FORMULA else _on_one_line
    return _question(
        row,
        row.fields["question"],
        truths[0],
        lambda said: float(any(fold(truth) in fold(said) for truth in truths)),
        128,
    )


def multiple_choice(row: Row, bind: bool) -> Question:
    """A question with options A, B, ...: the letter that the answer chooses.

    MMBench (Liu et al. 2023, arXiv 2307.06281), AI2D (Kembhavi et al. 2016, arXiv 1603.07396).
    """
    options, letter = row.options, _answer(row)
    if letter not in options:
        raise UsageError(
            f"index {row.index}: the answer {letter[:40]!r} is none of {', '.join(options) or 'no options'}"
        )
    hint = f"Hint: {row.fields['hint']}\n" if "hint" in row.fields else ""
    listed = "".join(f"{name}. {text}\n" for name, text in options.items())
    prompt = f"{hint}Question: {row.fields['question']}\nOptions:\n{listed}{SELECT}"
    return _question(
        row,
        prompt,
        f"{letter}. {options[letter]}",
        lambda said: float(chosen_letter(said, options) == letter),
        64,
        choices=tuple(options) if bind else None,
    )


def realworldqa(row: Row, bind: bool) -> Question:
    """RealWorldQA (xAI 2024): multiple choice, or without options a word or number that has to be equal.

    Case and a full stop at the end do not count; the question itself says how to answer.
    """
    if row.options:
        return multiple_choice(row, bind)
    truths = [_bare(truth) for truth in as_list(_answer(row))]
    return _question(row, row.fields["question"], _answer(row), lambda said: float(_bare(said) in truths), 64)


def hallusionbench(row: Row, bind: bool) -> Question:
    """HallusionBench (Guan et al. 2024, arXiv 2310.14566): yes or no, which 1 and 0 stand for too."""
    answer = _answer(row).lower()
    truth = {"1": "yes", "0": "no"}.get(answer, answer)
    if truth not in ("yes", "no"):
        raise UsageError(f"index {row.index}: the answer {answer[:40]!r} is neither Yes nor No")
    prompt = row.fields["question"]
    if "yes or no" not in prompt.lower():
        prompt += YES_OR_NO
    question = _question(
        row,
        prompt,
        truth,
        lambda said: float(yes_or_no(said) == truth),
        64,
        choices=("Yes", "No") if bind else None,
    )
    return benchmark_lines.with_hallusion_sets(question, row)


BENCHMARKS = {
    "mmbench": Benchmark(multiple_choice, benchmark_lines.mmbench),
    "ocrbench": Benchmark(ocrbench, benchmark_lines.ocrbench),
    "textvqa": Benchmark(textvqa, by_groups(*SETS)),
    "docvqa": Benchmark(short_answers(anls, 64), by_groups(*SETS)),
    "chartqa": Benchmark(short_answers(relaxed_plain, 32), by_groups(*SETS)),
    "ai2d": Benchmark(multiple_choice, by_groups(*SETS)),
    "realworldqa": Benchmark(realworldqa, by_groups(*SETS)),
    "hallusionbench": Benchmark(hallusionbench, benchmark_lines.hallusionbench),
}
"""By name, which is looked for in the name of a file without regard to case."""


def _question(
    row: Row,
    prompt: str,
    truth: str,
    score: Callable[[str], float],
    max_tokens: int,
    *,
    choices: tuple[str, ...] | None = None,
) -> Question:
    groups = {name: row.fields[name] for name in SETS if name in row.fields}
    return Question(row.index, prompt, truth, score, max_tokens, groups, choices)


def _answer(row: Row) -> str:
    if "question" not in row.fields:
        raise UsageError(f"index {row.index}: no question")
    if "answer" not in row.fields:
        raise UsageError(f"index {row.index}: no answer, so nothing can be scored; take a split that has them")
    return row.fields["answer"]


def _on_one_line(text: str) -> str:
    return text.lower().strip().replace("\n", " ")


def _without_spaces(text: str) -> str:
    return text.strip().replace("\n", " ").replace(" ", "")


def _bare(text: str) -> str:
    return text.strip().removesuffix(".").lower()
