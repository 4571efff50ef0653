"""Configs: those that come along are sound, and everything wrong with another is said at once."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from magicvl.errors import UsageError
from magicvl.train.curriculum.read_stage import shipped_stages
from magicvl.train.curriculum.stage import Lora
from magicvl.train.video.experiment import EXPERIMENTS, find_experiment
from magicvl.train.video.read import FOLDER, find_run, read_run
from magicvl.train.video.settings import CaptionRun
from magicvl.train_cli import train

SHIPPED = sorted(path.stem for path in FOLDER.glob("*.toml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_config_that_comes_along_is_sound(name: str) -> None:
    run = read_run(find_run(name))
    assert run.steps * run.samples >= 384 and run.name == name
    assert run.kind == ("grpo" if name.endswith("grpo") else "supervised")


@pytest.mark.parametrize("size", ["nano", "tiny"])
def test_arms_differ_in_how_they_learn_alone(size: str) -> None:
    warm, *arms = (read_run(find_run(f"{size}-{kind}")) for kind in ("warm-up", "supervised", "grpo"))
    assert arms[0].clips == arms[1].clips and arms[0].passes == arms[1].passes and arms[0].lora == arms[1].lora
    assert warm.clips.seed != arms[0].clips.seed, "the base has not seen their clips"


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.toml")), ids=lambda path: path.stem)
def test_an_experiment_that_comes_along_is_sound(path: Path) -> None:
    arms = find_experiment(path.stem).arms
    assert set(arms) == {"supervised", "grpo"}
    assert all(run.clips.count <= 1500 for run in arms.values()), "1.5 k samples, as in the paper"


def test_captions_are_no_stages() -> None:
    assert not [name for name in shipped_stages() if "video" in name]


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(
        'kind = "grpo"\nsamples = 2\nrows = 5\nprecision = "int4"\n[learning]\nrate = 3.0\n'
        '[clips]\ncount = 1\nframes = [4, 2]\nstyles = [{ style = "clay/mixed" }]\n'
        '[group]\nanswers = 1\n[group.rewards]\nsimilarity = "vibes"\n'
    )
    with pytest.raises(UsageError) as caught:
        read_run(path)
    for said in ("rows 5", "int4", "rate 3.0", "[4, 2]", "clay/mixed", "answers 1", "vibes", "1 clips", "odd.toml"):
        assert said in str(caught.value)
    path.write_text('kind = "grpo"\nsample = 2\n')
    with pytest.raises(UsageError, match=r"no sample;.*it lacks clips"):
        read_run(path)


def test_the_head_is_adapted_in_supervised_runs_alone(make_run: Callable[..., CaptionRun]) -> None:
    assert make_run(lora=Lora(head=True)).lora.head
    with pytest.raises(UsageError, match="head is for supervised runs; GRPO with"):
        make_run(kind="grpo", rows=6, lora=Lora(head=True))


def test_the_commands_say_what_is_wrong(tmp_path: Path) -> None:
    for words, said in (
        (["caption", "nano-oracle", "-o", str(tmp_path / "run")], "nano-grpo"),
        (["caption", "nano-grpo", "-o", str(tmp_path / "run")], "--base"),
        (["caption", "nano-grpo", "-o", str(tmp_path / "run"), "--base", str(tmp_path)], "neither a checkpoint"),
        (["caption-arms", "nano", "-o", str(tmp_path / "arms"), "--base", str(tmp_path), "--arm", "x"], "supervised"),
        (["caption-arms", "mega", "-o", str(tmp_path / "arms"), "--base", str(tmp_path)], "nano"),
    ):
        done = CliRunner().invoke(train, words)
        assert isinstance(done.exception, UsageError) and said in str(done.exception), words
    assert not (tmp_path / "run" / "state").exists()
