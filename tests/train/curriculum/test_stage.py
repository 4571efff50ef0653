"""Stages: everything that is wrong is said at once, and what comes along is right."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from magicvl.errors import UsageError
from magicvl.train.complexity.table import levels, read_table
from magicvl.train.curriculum.ablation import FOLDER, Piece, find_ablation, read_ablation
from magicvl.train.curriculum.mixture import Mixture
from magicvl.train.curriculum.optimisers import rate_share
from magicvl.train.curriculum.read_stage import CONFIGS, find_stage, is_stage, read_stage, shipped_stages
from magicvl.train.curriculum.scaling import PAPER_BATCH, scaled_rate, scaled_warmup
from magicvl.train.curriculum.stage import Data, Rates, Stage, Start
from magicvl.train.generator.dataset import Dataset

STAGE = """
steps = 10
samples = 4
[start]
preset = "magicvl-nano"
language = "new"
vocabulary = 500
[rates]
encoder = 1e-3
[[data]]
spec = "generated:all"
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "stage.toml"
    path.write_text(text)
    return path


def test_a_stage_is_read_as_it_stands(tmp_path: Path) -> None:
    stage = read_stage(write(tmp_path, STAGE))
    assert stage.name == "stage"
    assert stage.rates == Rates(encoder=1e-3)
    assert stage.data == (Data("generated:all"),)
    assert stage.trained == ("encoder",)


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = STAGE.replace("steps = 10", 'steps = "ten"\nspeed = 1').replace("encoder = 1e-3", "eyes = 1\nencoder = true")
    with pytest.raises(UsageError) as caught:
        read_stage(write(tmp_path, text.replace("samples = 4\n", "")))
    for words in ("no speed", "rates. has no eyes", "steps is 'ten', which is no whole number", "encoder is True",
                  "lacks samples"):  # fmt: skip
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("steps = 10", "steps = 0\nclip = 0"), ("steps 0 must be at least 1", "clip 0.0 must be above 0")),
        (("vocabulary = 500", ""), ("vocabulary belongs to",)),
        (("vocabulary = 500", "vocabulary = 20"), ("256 bytes",)),
        (("vocabulary = 500", "vocabulary = 500\nlayers = 0"), ("0 layers; a decoder has one",)),
        (('language = "new"\nvocabulary = 500', 'language = "none"\nlayers = 2'), ("layers belong to",)),
        (('preset = "magicvl-nano"', 'checkpoint = "y"\nprevious = "x"'), ("previous and checkpoint", "shape from a")),
        (("encoder = 1e-3", ""), ("nothing is trained",)),
        (("encoder = 1e-3", "encoder = 2.0"), ("below 1",)),
        (("[rates]", "[lora]\nrank = 0\n[rates]"), ("rank 0 must be", "rates.language is its rate")),
        (("[rates]", "[lora]\nhead = true\n[rates]\nlanguage = 1e-3"), ("head is for supervised runs of `magicvl",)),
        (("[rates]", "[pictures]\npolicy = \"lfm2\"\n[rates]"), ("lfm2 needs its own rules", "another maker's")),
        (("[rates]", "[pictures]\npolicy = \"internvl\"\nmin_tokens = 9\n[rates]"), ("policy native alone",)),
        (("[rates]", "[pictures]\norder = \"raster\"\n[rates]"), ("raster order needs empty pieces",)),
        (("[rates]", "[pictures]\npieces = { middle = \"x\" }\n[rates]"), ("pieces middle; there are before",)),
        (("steps = 10", "steps = 10\nwarmup = 11"), ("longer than the 10 steps",)),
        (("steps = 10", "steps = 10\nprecision = \"fp8\"\noptimiser = \"sgd\""), ("'fp8'", "'sgd'")),
        (("steps = 10", "steps = 10\nanswers = false"), ("dense targets are all there is",)),
        (('spec = "generated:all"', 'spec = "generated:all"\nlevel = "low"'), ("needs `complexity`",)),
        (('spec = "generated:all"', 'spec = "generated:all"\nweight = 0.0\ncategories = ["music"]'),
         ("weight 0.0", "categories music")),
        (("[rates]", "rates]"), ("not valid TOML",)),
    ],
)  # fmt: skip
def test_what_cannot_be(tmp_path: Path, change: tuple[str, str], words: tuple[str, ...]) -> None:
    assert change[0] in STAGE
    with pytest.raises(UsageError) as caught:
        read_stage(write(tmp_path, STAGE.replace(*change)))
    assert all(each in str(caught.value) for each in words), caught.value
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_wrong_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such training config"):
        read_stage(tmp_path / "none.toml")
    with pytest.raises(UsageError, match=r"there are .*magicvl-tiny/stage1"):
        find_stage("magicvl-tiny/stage9")


@pytest.mark.parametrize("name", shipped_stages())
def test_shipped_stages_are_right(name: str) -> None:
    stage = read_stage(find_stage(name))
    assert is_stage(find_stage(name))
    if stage.start.previous is not None:
        assert (CONFIGS / name).parent.joinpath(f"{Path(stage.start.previous).name}.toml").exists()


def test_the_stages_of_2b_are_the_papers() -> None:
    stages = [read_stage(find_stage(f"magicvl-2b/stage{number}")) for number in range(1, 5)]
    assert [stage.trained for stage in stages] == [
        ("projector",), ("encoder", "projector"), *[("encoder", "projector", "language")] * 2,
    ]  # fmt: skip
    assert [stage.steps for stage in stages] == [65_000, 90_000, 140_000, 250_000]
    assert [max(vars(stage.rates)[part] for part in stage.trained) for stage in stages] == [2e-4, 1e-5, 4e-5, 4e-5]
    assert [stage.samples for stage in stages] == list(PAPER_BATCH.values()) == [153, 255, 385, 264]
    assert [stage.warmup for stage in stages] == [100, 100, 0.03, 0.03]
    assert {(stage.row_tokens, stage.row_pictures) for stage in stages} == {(16384, 48)}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_arms_see_the_same_number_of_samples(path: Path) -> None:
    found = find_ablation(path.stem)
    seen = {arm.name: sum(stage.steps * stage.samples for stage in arm.stages) for arm in found.arms}
    assert len(set(seen.values())) == 1, seen
    pieces = [Piece(arm, 2).stages() for arm in found.arms]
    assert len({stages[0][1].seed for stages in pieces}) == 1
    assert all(len({stage.seed for _, stage in stages}) == len(stages) for stages in pieces)
    begun = [stage.start.checkpoint for stages in pieces for _, stage in stages if stage.start.checkpoint is not None]
    assert all((Path(checkpoint) / "magicvl.json").is_file() for checkpoint in begun)


def test_arms_of_the_curriculum_differ_in_order_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dataset, "sample", lambda kind, seed, number, split="train": (kind.name, seed, number))
    seen = {}
    for arm in find_ablation("curriculum").arms:
        stages = [stage for _, stage in Piece(arm, 1).stages()]
        mixtures = [(Mixture(stage), stage.steps * stage.samples) for stage in stages]
        drawn = [mixture.sample(number) for mixture, count in mixtures for number in range(count)]
        assert len(set(drawn)) == len(drawn), f"{arm.name} sees a sample twice"
        seen[arm.name] = Counter(name for name, *_ in drawn)
        assert seen[arm.name] == {name: pytest.approx(count, rel=0.03) for name, count in seen["mixed"].items()}
    known = levels(read_table(CONFIGS / "complexity.json"))
    staged = [stage for _, stage in Piece(find_ablation("curriculum").arms[2]).stages()]
    for stage, expected in zip(staged, ("low", "high", "low", "high"), strict=True):
        (data,) = stage.data
        names = data.spec.removeprefix("generated:").split(",")
        assert {known[f"generated/{name}"] for name in names} == {expected}


def test_files_are_found_from_the_file_that_names_them(tmp_path: Path) -> None:
    base, own = tmp_path / "stages" / "first.toml", tmp_path / "ablations" / "which.toml"
    for path in (base, own):
        path.parent.mkdir()
    text = STAGE.replace(STAGE[STAGE.index("[start]") : STAGE.index("[rates]")], '[start]\ncheckpoint = "../model"\n\n')
    base.write_text(f'complexity = "its.json"\n{text}')
    stage = read_stage(base)
    assert (stage.complexity, stage.start.checkpoint) == (f"{base.parent}/its.json", f"{base.parent}/../model")
    test = 'question = "?"\nsamples = 1\n[[test]]\nspec = "generated:all"\n'
    arms = [
        f'[[arms]]\nname = "{name}"\n{more}\nstages = [{{ base = "../stages/first.toml" }}]\n'
        for name, more in (("as-it-is", ""), ("other", 'complexity = "our.json"\nstart = { checkpoint = "here" }'))
    ]
    own.write_text(test + "".join(arms))
    kept, changed = (arm.stages[0] for arm in read_ablation(own).arms)
    assert (kept.complexity, kept.start.checkpoint) == (
        f"{own.parent}/../stages/its.json", f"{own.parent}/../stages/../model",
    )  # fmt: skip
    assert (changed.complexity, changed.start.checkpoint) == (f"{own.parent}/our.json", f"{own.parent}/here")


def test_an_ablation_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="lacks question, arms, test, samples"):
        read_ablation(write(tmp_path, ""))
    with pytest.raises(UsageError, match="ablation 'none': there are curriculum"):
        find_ablation("none")


def test_rates_warm_up_and_follow_a_cosine() -> None:
    stage = Stage("s", Start(checkpoint="x"), Rates(encoder=1e-3), (Data("llava:x"),), 100, 1, warmup=9.0, floor=0.1)
    shares = [rate_share(step, stage) for step in range(101)]
    assert shares[:9] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    assert shares[9] == 1.0
    assert shares[9 + 91 // 2] == pytest.approx(0.55, abs=0.02)
    assert shares[100] == pytest.approx(0.1)
    assert all(later <= earlier for earlier, later in pairwise(shares[9:]))


def test_rules_of_scaling() -> None:
    assert scaled_rate(4e-5, 264, 1056) == pytest.approx(8e-5)
    assert scaled_rate(4e-5, 264, 66, "linear") == pytest.approx(1e-5)
    assert scaled_warmup(0.03, 264, 64, 1000) == 0.03
    # 100 steps of 153 samples are 15,300 samples: 239 steps of 64, but a tenth of a short stage at most.
    assert scaled_warmup(100, 153, 64, 10_000) == 239
    assert scaled_warmup(100, 153, 64, 1000) == 100
    assert scaled_warmup(100, 153, 1024, 10_000) == 50
    for wrong in ((0, 1, "sqrt"), (1, 0, "sqrt"), (1, 1, "cubic")):
        with pytest.raises(UsageError):
            scaled_rate(1e-3, *wrong)
