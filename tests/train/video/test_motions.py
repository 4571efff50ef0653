"""What actors do is read where they are seen, and learned beside the description."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from magicvl.edge.pixels import cut
from magicvl.edge.plan import Grid, plan
from magicvl.edge.video.choose import uniform_times
from magicvl.errors import UsageError
from magicvl.train.clips.make import make_clip
from magicvl.train.run_log import read_log
from magicvl.train.video.batch import collate, motion_targets
from magicvl.train.video.captioner import Captioner
from magicvl.train.video.films import Films
from magicvl.train.video.motions import VERBS, Motion, MotionHead, MotionTargets, as_targets, motions
from magicvl.train.video.run import run_captions
from magicvl.train.video.settings import CaptionRun
from magicvl.train.video.visual_ids import FIRST

TIMES = 8


@pytest.mark.parametrize("grid", [Grid(), Grid(32, 64)], ids=["one tile", "six tiles"])
def test_an_actor_is_where_its_colour_is(grid: Grid) -> None:
    looked = 0
    for number in range(12):
        clip = make_clip(5, number, "train", "shapes/simple")
        times = uniform_times(clip.seconds, TIMES)
        one = plan(clip.width, clip.height, grid)
        tokens = [
            tile[y : y + 32, x : x + 32]
            for seconds in times
            for tile in cut(clip.picture(seconds), one)
            for y in range(0, tile.shape[0], 32)
            for x in range(0, tile.shape[1], 32)
        ]
        for motion in motions(clip, times, one):
            pose = clip.film.players[0].track.at(times[motion.token // one.tokens])
            far = abs(tokens[motion.token].astype(int) - pose.colour).sum(-1)
            # A ring has nothing in its middle, and edges are soft.
            looked += clip.subjects[0].name != "ring"
            assert clip.subjects[0].name == "ring" or far.min() < 60
    assert looked > 40


def test_changes_are_those_since_the_frame_before() -> None:
    for number in range(20):
        clip = make_clip(6, number, "train", "shapes/simple")
        times = uniform_times(clip.seconds, TIMES)
        one = plan(clip.width, clip.height, Grid())
        by_frame = {motion.token // one.tokens: motion for motion in motions(clip, times, one)}
        track = clip.film.players[0].track
        for frame, motion in by_frame.items():
            now, before = track.at(times[frame]), track.at(times[max(0, frame - 1)])
            if not before.shown:
                assert motion.changes == (0, 0, 0)
                continue
            assert motion.changes[0] * clip.width == pytest.approx(now.x - before.x, abs=1e-6)
            assert motion.changes[1] * clip.height == pytest.approx(now.y - before.y, abs=1e-6)
            assert motion.changes[2] == pytest.approx(math.log(now.size / before.size))


@pytest.mark.parametrize("style", ["shapes/simple", "shapes/mixed", "shapes/rich"])
def test_verbs_are_those_of_the_description(style: str) -> None:
    met = set()
    for number in range(15):
        clip = make_clip(8, number, "train", style)
        times = uniform_times(clip.seconds, TIMES)
        one = plan(clip.width, clip.height, Grid())
        found = {VERBS[motion.verb] for motion in motions(clip, times, one)} - {"stands"}
        said = {action.action.split()[0] for who in clip.description(times).subjects for action in who.actions}
        assert found <= said
        met |= found
    assert len(met) > 5


def test_a_batch_points_at_the_visual_tokens(opened: tuple[Captioner, Films]) -> None:
    films = [opened[1][number] for number in range(4)]
    batch, made = collate(films, 0), motion_targets(films)
    ids = batch["input_ids"].flatten()[made.places]
    each = [(film, motion) for film in films for motion in film.motions]
    assert len(each) == len(ids) == len(made.verbs) == len(made.changes) > 4
    assert ids.tolist() == [min(t for t in film.prompt if t >= FIRST) + motion.token for film, motion in each]


def test_the_head_learns_motions(learn: Callable[..., list[float]]) -> None:
    torch.manual_seed(0)
    states, head = torch.randn(12, 16), MotionHead(16)
    verbs, changes = torch.randint(len(VERBS), (12,)), torch.rand(12, 3) - 0.5
    losses = learn(lambda: head(states, MotionTargets(torch.arange(12), verbs, changes))["motions"], head, 0.05, 80)
    assert losses[-1] < 0.2 * losses[0]
    assert Motion(0, 0, (0.0, 0.0, 0.0)).verb == VERBS.index("stands")


def test_a_run_learns_them_beside_the_description(
    make_run: Callable[..., CaptionRun], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    plain, told = make_run(), make_run(motions=10.0)
    for name, run in (("plain", plain), ("told", told)):
        run_captions(run, tmp_path / name, base=tiny_checkpoint, resume=False)
    first, other = (read_log(tmp_path / name / "log.jsonl")[1]["loss"] for name in ("plain", "told"))
    # Thirteen verbs that are nothing to choose between are 2.6 nats.
    assert 10 < other - first < 60
    kept = {path.name for path in (tmp_path / "told" / "adapter").iterdir()}
    assert kept == {path.name for path in (tmp_path / "plain" / "adapter").iterdir()}, "the head is no part of it"
    with pytest.raises(UsageError, match="motions 1 must be at least 0, and 0 with rewards"):
        make_run(kind="grpo", rows=6, motions=1.0)


def test_nobody_seen_is_a_loss_of_nothing() -> None:
    loss = MotionHead(8)(torch.randn(4, 8, requires_grad=True), as_targets([]))["motions"]
    loss.backward()
    assert float(loss.detach()) == 0
