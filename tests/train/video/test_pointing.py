"""Entries of tracks point at what they are about, and are learned beside the description."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from magicvl.errors import UsageError
from magicvl.train.run_log import read_log
from magicvl.train.video.batch import collate, label_weights, pointing_targets
from magicvl.train.video.films import Films
from magicvl.train.video.pointing import PointingHead, PointingTargets
from magicvl.train.video.run import run_captions
from magicvl.train.video.settings import CaptionRun, Clips, Tracks
from magicvl.train.video.supervised import weighted_loss
from magicvl.train.video.visual_ids import FIRST


def test_weights_of_one_are_the_plain_loss() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 5, 7), torch.tensor([[-100, 1, 2, 3, -100], [-100, -100, 4, 5, 6]])
    plain = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    torch.testing.assert_close(weighted_loss(logits, labels, torch.ones(2, 5)), plain)
    one = torch.zeros(2, 5)
    one[1, 3] = 2.0
    wanted = torch.nn.functional.cross_entropy(logits[1, 2:3], labels[1, 3:4])
    torch.testing.assert_close(weighted_loss(logits, labels, one), wanted)


def test_the_head_learns_to_point(learn: Callable[..., list[float]], tracked: Films) -> None:
    torch.manual_seed(0)
    some = [tracked[0], tracked[1]]
    batch, targets = collate(some, 0), pointing_targets(some)
    assert (batch["input_ids"].flatten()[targets.visual[targets.visual >= 0]] >= FIRST).all()
    assert len(label_weights(some, Tracks())) == 2
    states, head = torch.randn(batch["input_ids"].numel(), 32), PointingHead(32)
    losses = learn(lambda: sum(head(states, targets).values()), head, 0.02, 80)
    assert losses[-1] < 0.5 * losses[0]


def test_no_entry_is_a_loss_of_nothing() -> None:
    states = torch.randn(8, 16, requires_grad=True)
    losses = PointingHead(16)(states, PointingTargets.of([((), 3, [0, 1])], 8))
    sum(losses.values()).backward()
    assert {name: float(loss.detach()) for name, loss in losses.items()} == {"pointing": 0, "digits": 0, "changes": 0}


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_a_run_learns_it_beside_the_description(
    optimiser: str, make_run: Callable[..., CaptionRun], clips: Clips, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    tracked = replace(clips, tracks=True)
    standard = make_run().learning
    plain = make_run(clips=tracked, learning=replace(standard, optimiser=optimiser))
    for name, run in (("plain", plain), ("told", replace(plain, tracks=Tracks(pointing=2.0, changes=0.5)))):
        run_captions(run, tmp_path / name, base=tiny_checkpoint, resume=False)
    first, other = (read_log(tmp_path / name / "log.jsonl")[1] for name in ("plain", "told"))
    expected = first["loss"] + 2.0 * (other["pointing"] + other["digits"]) + 0.5 * other["changes"]
    assert other["loss"] == pytest.approx(expected, rel=0.1) and other["pointing"] > 0.5
    kept = {path.name for path in (tmp_path / "told" / "adapter").iterdir()}
    assert kept == {path.name for path in (tmp_path / "plain" / "adapter").iterdir()}, "the head is no part of it"


@pytest.mark.parametrize(
    ("tracks", "message"),
    [
        (Tracks(pointing=-1.0), "tracks: pointing -1 must be at least 0, and 0 with rewards"),
        (Tracks(pointing=1.0, changes=-1.0), "changes -1 must be at least 0"),
        (Tracks(pointing=1.0, news=0.0), "news 0 and actions 1 must be above 0"),
        (Tracks(pointing=1.0, actions=0.0), "news 1 and actions 0 must be above 0"),
        (Tracks(pointing=1.0, misled=1.5), r"misled 1\.5 and jitter 0 must lie in 0\.\.1"),
        (Tracks(pointing=1.0, jitter=-0.5), r"misled 0 and jitter -0\.5 must lie in 0\.\.1"),
        (Tracks(jitter=0.5), "without pointing nothing else of it has an effect"),
    ],
)
def test_what_cannot_be(tracks: Tracks, message: str, make_run: Callable[..., CaptionRun]) -> None:
    with pytest.raises(UsageError, match=message):
        make_run(tracks=tracks)


def test_what_does_not_go_together(make_run: Callable[..., CaptionRun]) -> None:
    taught = Tracks(pointing=1.0)
    with pytest.raises(UsageError, match="pointing 1 must be at least 0, and 0 with rewards"):
        make_run(kind="grpo", rows=6, tracks=taught)
    with pytest.raises(UsageError, match="one head at a time"):
        make_run(motions=1.0, tracks=taught)
    with pytest.raises(UsageError, match=r"blind 0\.5 must be 0 without pointing"):
        make_run(clips=Clips(count=8, blind=0.5, tracks=True))
    with pytest.raises(UsageError, match=r"blind 0\.5 must lie in 0\.\.1, and be 0 without tracks"):
        make_run(clips=Clips(count=8, blind=0.5), tracks=taught)
