"""Entries of tracks point at what they are about, and are learned beside the description."""

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from magicvl.edge.pixels import cut
from magicvl.edge.plan import plan
from magicvl.errors import UsageError
from magicvl.train.run_log import read_log
from magicvl.train.video.films import Film, Films
from magicvl.train.video.motions import VERBS
from magicvl.train.video.pointing import PointingHead, PointingTargets, news_weights, unsteady_digits, wrong_digits
from magicvl.train.video.run import open_captioner, run_captions
from magicvl.train.video.settings import CaptionRun, Clips, Learning, Style
from magicvl.train.video.supervised import collate, label_weights, misread, pointing_targets, weighted_loss
from magicvl.train.video.visual_ids import FIRST


@pytest.fixture(scope="module")
def films(tiny_checkpoint: Path) -> Films:
    """Twelve films of one to four shapes with tracks."""
    clips = Clips(count=12, seed=3, styles=(Style("shapes/mixed"),), frames=(4, 6), tracks=True)
    return open_captioner(tiny_checkpoint, clips, 0)[1]


def _told(films: Films, film: Film) -> list[str]:
    return films.processor.tokenizer.batch_decode([[token] for token in film.answer])


def test_an_entry_is_where_the_answer_says_it(films: Films) -> None:
    entries = 0
    for film in (films[number] for number in range(len(films))):
        told = _told(films, film)
        for entry in film.pointed:
            written = "".join(told[entry.begin : entry.end + 1])
            subject, _, said = written.rpartition('"')
            frame, digits = said.split()[0], said.split()[1].rstrip(";")
            assert digits == "".join(map(str, entry.digits)) and said.endswith(";") and said.count(";") == 1
            assert (
                0 <= entry.token // (len([t for t in film.prompt if t >= FIRST]) // len(film.times)) == (int(frame) - 1)
            )
            # A track's first has its subject with it.
            assert not subject or (subject.startswith('{"name":"') and all(entry.news))
            entries += 1
        whole = sum("name" in "".join(told[entry.begin : entry.end]) for entry in film.pointed)
        assert whole == sum(bool(subject["track"]) for subject in json.loads("".join(told[:-1]))["subjects"])
    assert entries > 60


def test_an_entry_points_at_pixels_of_its_subject(films: Films) -> None:
    looked = 0
    for number in range(len(films)):
        film, clip = films[number], films.clip(number)
        one = plan(clip.width, clip.height, films.processor.grid, films.settings.budget)
        side = films.processor.grid.unit
        tokens = [
            tile[y : y + side, x : x + side]
            for seconds in film.times
            for tile in cut(clip.picture(seconds), one)
            for y in range(0, tile.shape[0], side)
            for x in range(0, tile.shape[1], side)
        ]
        seen = [
            (who, each) for who, subject in enumerate(clip.description(film.times).subjects) for each in subject.track
        ]
        assert len(seen) == len(film.pointed)
        for (who, sighting), entry in zip(seen, film.pointed, strict=True):
            if clip.subjects[who].name in ("ring", "wall"):
                continue
            colour = clip.film.players[who].track.at(sighting.time).colour
            assert abs(tokens[entry.token].astype(int) - np.array(colour)).sum(-1).min() < 60
            looked += 1
    assert looked > 60


def test_news_are_what_copying_does_not_give(films: Films) -> None:
    seen = {True: 0, False: 0}
    for film in (films[number] for number in range(len(films))):
        told = _told(films, film)
        counts = news_weights([(film.pointed, len(film.prompt))], len(film.prompt) + len(film.answer), 6.0)[0]
        counted = counts[len(film.prompt) :].tolist()
        for before, entry in zip((None, *film.pointed), film.pointed, strict=False):
            look = told[entry.marks + 3 : entry.end + 1]
            first = before is None or "name" in "".join(told[entry.begin : entry.marks])
            old = (None,) * 3 if before is None or first else before.digits
            new = [each != was for each, was in zip(entry.digits, old, strict=True)]
            new += [first or before is None or look != told[before.marks + 3 : before.end + 1]] * len(look)
            assert counted[entry.marks : entry.end + 1] == [6.0 if each else 1.0 for each in new]
            seen[new[-1]] += not first
        within = {place for entry in film.pointed for place in range(entry.marks, entry.end + 1)}
        assert {count for place, count in enumerate(counted) if place not in within} == {1.0}
    assert seen[True] > 3 and seen[False] > 30, "looks change, and stay"


def test_changes_and_verbs_are_those_of_the_track(films: Films) -> None:
    seen: Counter[str] = Counter()
    for number in range(len(films)):
        film, told = films[number], _told(films, films[number])
        answer = json.loads("".join(told[:-1]))
        tracks = [subject["track"].rstrip(";").split(";") for subject in answer["subjects"] if subject["track"]]
        entries = iter(film.pointed)
        for track, subject in zip(tracks, (each for each in answer["subjects"] if each["track"]), strict=True):
            for before, now in zip((None, *track), track, strict=False):
                entry = next(entries)
                frame, marks, *look = now.split()
                seconds = round(film.times[int(frame) - 1], 1)
                doing = [act["action"].split()[0] for act in subject["actions"] if act["from"] <= seconds <= act["to"]]
                assert VERBS[entry.verb] in (doing or ["stands"])
                if before is None:
                    assert entry.changes == (-100,) * 4
                    continue
                old = before.split()[1]
                ways = [
                    "less same more".split().index(way) for way in (_way(a, b) for a, b in zip(old, marks, strict=True))
                ]
                assert entry.changes == (*ways, int(look != before.split()[2:]))
                seen.update([VERBS[entry.verb], *(f"{which}{way}" for which, way in enumerate(entry.changes))])
        assert next(entries, None) is None
    assert len(seen) > 15, seen


def _way(before: str, now: str) -> str:
    return "same" if before == now else "more" if int(now) > int(before) else "less"


def test_a_misled_film_can_be_copied_from_nowhere(films: Films) -> None:
    some = [film for film in (films[number] for number in range(len(films))) if film.pointed][:6]
    true, read = collate(some, 0), collate(some, 0)
    weights = label_weights(some, 3.0)
    digits = films.processor.tokenizer.convert_tokens_to_ids(list("0123456789"))
    run = CaptionRun("a run", "supervised", films.settings, Learning(1e-3), 1, 1, pointing=1.0, news=3.0, misled=0.5)
    batch = read | {"label_weights": weights}
    misread(batch, some, run, digits)
    changed = [bool((true["input_ids"][row] != read["input_ids"][row]).any()) for row in range(len(some))]
    assert 0 < sum(changed) < len(some)
    torch.testing.assert_close(true["labels"], read["labels"])
    for row, film in enumerate(some):
        places = [len(film.prompt) + entry.marks + which for entry in film.pointed for which in range(3)]
        # The truth is learned there, whatever is read.
        told = [digits.index(int(each)) for each in read["labels"][row, places]]
        assert told == [digit for entry in film.pointed for digit in entry.digits]
        if not changed[row]:
            torch.testing.assert_close(weights[row], label_weights(some, 3.0)[row])
            continue
        differing = (true["input_ids"][row] != read["input_ids"][row]).nonzero()[:, 0].tolist()
        assert set(differing) <= set(places)
        assert len(differing) > 0.8 * len(places)
        assert weights[row].nonzero()[:, 0].tolist() == places
        assert set(read["input_ids"][row, places].tolist()) <= set(digits)
    again = collate(some, 0) | {"label_weights": label_weights(some, 3.0)}
    misread(again, some, run, digits)
    torch.testing.assert_close(again["input_ids"], batch["input_ids"])


def test_half_of_what_a_film_is_misled_by_is_steady(films: Films) -> None:
    film = max((films[number] for number in range(len(films))), key=lambda film: len(film.pointed))
    steady = 0
    for seed in range(60):
        wrong = wrong_digits(film.pointed, random.Random(seed))
        for which in range(3):
            moved = {(each[which] - entry.digits[which]) % 10 for each, entry in zip(wrong, film.pointed, strict=True)}
            steady += len(moved) == 1
            assert moved != {0}
    assert 60 < steady < 120


def test_an_unsteady_film_is_read_one_off_and_learned_whole(films: Films) -> None:
    some = [film for film in (films[number] for number in range(len(films))) if film.pointed]
    true, read, weights = collate(some, 0), collate(some, 0), label_weights(some, 3.0)
    digits = films.processor.tokenizer.convert_tokens_to_ids(list("0123456789"))
    run = CaptionRun("a run", "supervised", films.settings, Learning(1e-3), 1, 1, pointing=1.0, jitter=0.3)
    misread(read | {"label_weights": weights}, some, run, digits)
    torch.testing.assert_close(weights, label_weights(some, 3.0))
    torch.testing.assert_close(true["labels"], read["labels"])
    off, every = 0, 0
    for row, film in enumerate(some):
        places = [len(film.prompt) + entry.marks + which for entry in film.pointed for which in range(3)]
        was, now = ([digits.index(int(each)) for each in made["input_ids"][row, places]] for made in (true, read))
        assert {abs(a - b) for a, b in zip(was, now, strict=True)} <= {0, 1}
        differing = (true["input_ids"][row] != read["input_ids"][row]).nonzero()[:, 0].tolist()
        assert set(differing) <= set(places)
        off, every = off + len(differing), every + len(places)
    assert 0.2 < off / every < 0.4
    assert unsteady_digits(some[0].pointed, 0.0, random.Random(1)) == [list(each.digits) for each in some[0].pointed]


def test_who_sees_nothing_learns_what_can_be_read(films: Films) -> None:
    blind = Films(replace(films.settings, blind=0.6), films.processor, held_out=2)
    some = [blind[number] for number in range(len(blind))]
    unseen = [film for film in some if film.reading is not None]
    assert 0 < len(unseen) < len(some) and blind[len(blind) + 1].reading is None, "held-out films are seen"
    weights, targets = label_weights(some, 2.0, 3.0), pointing_targets(some)
    assert {int(row) for row in targets.films} == {
        row for row, film in enumerate(some) if film.reading is None and film.pointed
    }
    assert len(targets.ends) == sum(len(film.pointed) for film in some), "what changes is read of all"
    for row, film in enumerate(some):
        seen = films[film.number]
        assert film.answer == seen.answer
        if film.reading is None:
            assert film == seen
            continue
        assert film.prompt == [token for token in seen.prompt if token < FIRST] != seen.prompt
        counted = [place for place in range(len(film.answer)) if weights[row, len(film.prompt) + place]]
        told = _told(films, film)
        # All subjects with their tracks are given, and that there are no more; what they do is not.
        given = "".join(text for place, text in enumerate(told) if place not in counted)
        answer = json.loads("".join(told[:-1]))
        parts = [{key: each[key] for key in ("name", "attributes", "track")} for each in answer["subjects"]]
        spelled = [json.dumps(each, separators=(",", ":"))[:-1] for each in parts]
        assert given == "[" + ",".join(spelled) + "]"
        assert weights[row, : len(film.prompt)].sum() == 0 and len(film.answer) - 1 in counted
        assert all(weights[row, len(film.prompt) + place] == 3 for place in film.acting)
    again = collate(unseen, 0)
    run = CaptionRun("a run", "supervised", blind.settings, Learning(1e-3), 1, 1, pointing=1.0, misled=1.0)
    misread(again | {"label_weights": weights}, unseen, run, list(range(10)))
    torch.testing.assert_close(again["input_ids"], collate(unseen, 0)["input_ids"])
    head = PointingHead(8)(torch.randn(again["input_ids"].numel(), 8), pointing_targets(unseen))
    assert head["pointing"] == head["digits"] == 0 < head["changes"]


def test_what_is_done_has_a_weight(films: Films) -> None:
    some = [film for film in (films[number] for number in range(len(films))) if film.acting][:4]
    plain, weights = label_weights(some, 3.0), label_weights(some, 3.0, 5.0)
    for row, film in enumerate(some):
        said = [text for place, text in enumerate(_told(films, film)) if weights[row, len(film.prompt) + place] == 5]
        answer = json.loads("".join(_told(films, film)[:-1]))
        acts = [json.dumps(each["actions"], separators=(",", ":"))[1:] for each in answer["subjects"]]
        acts = [re.sub("[0-9.]", "", each) for each in acts]
        # A token may begin inside and end after it.
        assert "".join(said).startswith(acts[0]) and all(each in "".join(said) for each in acts)
        assert len("".join(said)) < len("".join(acts)) + 12 * len(acts)
        others = weights[row] != 5
        torch.testing.assert_close(weights[row][others], plain[row][others])


def test_weights_of_one_are_the_plain_loss() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 5, 7), torch.tensor([[-100, 1, 2, 3, -100], [-100, -100, 4, 5, 6]])
    plain = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    torch.testing.assert_close(weighted_loss(logits, labels, torch.ones(2, 5)), plain)
    one = torch.zeros(2, 5)
    one[1, 3] = 2.0
    wanted = torch.nn.functional.cross_entropy(logits[1, 2:3], labels[1, 3:4])
    torch.testing.assert_close(weighted_loss(logits, labels, one), wanted)


def test_the_head_learns_to_point(learn: Callable[..., list[float]], films: Films) -> None:
    torch.manual_seed(0)
    some = [films[0], films[1]]
    batch, targets = collate(some, 0), pointing_targets(some)
    assert (batch["input_ids"].flatten()[targets.visual[targets.visual >= 0]] >= FIRST).all()
    assert len(label_weights(some, 2.0)) == 2
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
    for name, run in (("plain", plain), ("told", replace(plain, pointing=2.0, changes=0.5))):
        run_captions(run, tmp_path / name, base=tiny_checkpoint, resume=False)
    first, other = (read_log(tmp_path / name / "log.jsonl")[1] for name in ("plain", "told"))
    expected = first["loss"] + 2.0 * (other["pointing"] + other["digits"]) + 0.5 * other["changes"]
    assert other["loss"] == pytest.approx(expected, rel=0.1) and other["pointing"] > 0.5
    kept = {path.name for path in (tmp_path / "told" / "adapter").iterdir()}
    assert kept == {path.name for path in (tmp_path / "plain" / "adapter").iterdir()}, "the head is no part of it"


def test_what_cannot_be(make_run: Callable[..., CaptionRun]) -> None:
    with pytest.raises(UsageError, match="pointing 1 must be at least 0, and 0 with rewards"):
        make_run(kind="grpo", rows=6, pointing=1.0)
    with pytest.raises(UsageError, match="one head at a time"):
        make_run(motions=1.0, pointing=1.0)
    with pytest.raises(UsageError, match="news 3 must be above 0, and 1 without pointing"):
        make_run(news=3.0)
    with pytest.raises(UsageError, match="actions 5 must be above 0, and 1 without pointing"):
        make_run(actions=5.0)
    with pytest.raises(UsageError, match=r"misled 0\.5 must lie in 0\.\.1, and be 0 without pointing"):
        make_run(misled=0.5)
    with pytest.raises(UsageError, match=r"misled 1\.5 must lie"):
        make_run(pointing=1.0, misled=1.5)
    with pytest.raises(UsageError, match=r"blind 0\.5 must be 0 without pointing"):
        make_run(clips=Clips(count=8, blind=0.5, tracks=True))
    with pytest.raises(UsageError, match=r"blind 0\.5 must lie in 0\.\.1, and be 0 without tracks"):
        make_run(clips=Clips(count=8, blind=0.5), pointing=1.0)
    with pytest.raises(UsageError, match="changes 1 must be at least 0, and 0 without pointing"):
        make_run(changes=1.0)
    with pytest.raises(UsageError, match=r"jitter 0\.5 must lie in 0\.\.1, and be 0 without pointing"):
        make_run(jitter=0.5)
