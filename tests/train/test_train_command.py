"""`magicvl train`: configs and commands in one group, and what cannot be meant is one line."""

from pathlib import Path

import pytest

from magicvl import cli


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.run(["train", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nope", "-o", "x"], "training config 'nope': there are magicvl-nano"),
        (["-o", "x", "nope"], "training config 'nope'"),
        (["run", "nope", "-o", "x"], "training config 'nope'"),
        (["nope"], "Missing option '--output'"),
        (["nano/stage9", "-o", "x"], "stage 'nano/stage9': there are magicvl-2b/stage1"),
        (["no.toml", "-o", "x"], "no.toml: no such training config"),
        (["magicvl-nano", "-o", "x", "--steps", "3", "--previous", "y"], "--previous y and --steps 3: no effect"),
        (["nano/stage0", "-o", "x", "--previous", "y"], "--previous y has no effect"),
        (["nano/stage0", "-o", "x", "--base", "y"], "--base y: no effect, a stage starts from the run of another"),
        (["magicvl-nano", "-o", "x", "--base", "y"], "y: neither a checkpoint nor a bundle"),
        (["curriculum", "nope", "-o", "x"], "curriculum 'nope': there are magicvl-2b, magicvl-tiny, nano"),
        (["ablation", "nope", "-o", "x"], "ablation 'nope': there are curriculum, pictures"),
        (["ablation", "curriculum", "-o", "x", "--arm", "nope"], "there are mixed, categorised, staged"),
        ([], "Missing command"),
    ],
)
def test_wrong_use_is_one_line(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert words in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [], "nothing was begun, and nothing is left"


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert all(f"  {name} " in out for name in ("run", "curriculum", "ablation"))
