"""Which tokens of a pass are learned from, and how much each counts."""

import json
import re
from collections.abc import Callable
from dataclasses import replace

import torch

from magicvl.train.video.batch import collate, label_weights, pointing_targets
from magicvl.train.video.films import Film, Films
from magicvl.train.video.misread import misread
from magicvl.train.video.pointing import PointingHead
from magicvl.train.video.settings import CaptionRun, Learning, Tracks
from magicvl.train.video.visual_ids import FIRST

Spell = Callable[[Films, Film], list[str]]


def test_news_are_what_copying_does_not_give(tracked: Films, spell: Spell) -> None:
    seen = {True: 0, False: 0}
    for film in (tracked[number] for number in range(len(tracked))):
        told = spell(tracked, film)
        counts = label_weights([film], Tracks(news=6.0))[0]
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


def test_who_sees_nothing_learns_what_can_be_read(tracked: Films, spell: Spell) -> None:
    blind = Films(replace(tracked.settings, blind=0.6), tracked.processor, held_out=2)
    some = [blind[number] for number in range(len(blind))]
    unseen = [film for film in some if film.reading is not None]
    assert 0 < len(unseen) < len(some) and blind[len(blind) + 1].reading is None, "held-out films are seen"
    weights, targets = label_weights(some, Tracks(news=2.0, actions=3.0)), pointing_targets(some)
    assert {int(row) for row in targets.films} == {
        row for row, film in enumerate(some) if film.reading is None and film.pointed
    }
    assert len(targets.ends) == sum(len(film.pointed) for film in some), "what changes is read of all"
    for row, film in enumerate(some):
        seen = tracked[film.number]
        assert film.answer == seen.answer
        if film.reading is None:
            assert film == seen
            continue
        assert film.prompt == [token for token in seen.prompt if token < FIRST] != seen.prompt
        counted = [place for place in range(len(film.answer)) if weights[row, len(film.prompt) + place]]
        told = spell(tracked, film)
        # All subjects with their tracks are given, and that there are no more; what they do is not.
        given = "".join(text for place, text in enumerate(told) if place not in counted)
        answer = json.loads("".join(told[:-1]))
        parts = [{key: each[key] for key in ("name", "attributes", "track")} for each in answer["subjects"]]
        spelled = [json.dumps(each, separators=(",", ":"))[:-1] for each in parts]
        assert given == "[" + ",".join(spelled) + "]"
        assert weights[row, : len(film.prompt)].sum() == 0 and len(film.answer) - 1 in counted
        assert all(weights[row, len(film.prompt) + place] == 3 for place in film.acting)
    again = collate(unseen, 0)
    run = CaptionRun(
        "a run", "supervised", blind.settings, Learning(1e-3), 1, 1, tracks=Tracks(pointing=1.0, misled=1.0)
    )
    misread(again | {"label_weights": weights}, unseen, run, list(range(10)))
    torch.testing.assert_close(again["input_ids"], collate(unseen, 0)["input_ids"])
    head = PointingHead(8)(torch.randn(again["input_ids"].numel(), 8), pointing_targets(unseen))
    assert head["pointing"] == head["digits"] == 0 < head["changes"]


def test_what_is_done_has_a_weight(tracked: Films, spell: Spell) -> None:
    some = [film for film in (tracked[number] for number in range(len(tracked))) if film.acting][:4]
    plain, weights = label_weights(some, Tracks(news=3.0)), label_weights(some, Tracks(news=3.0, actions=5.0))
    for row, film in enumerate(some):
        said = [text for place, text in enumerate(spell(tracked, film)) if weights[row, len(film.prompt) + place] == 5]
        answer = json.loads("".join(spell(tracked, film)[:-1]))
        acts = [json.dumps(each["actions"], separators=(",", ":"))[1:] for each in answer["subjects"]]
        acts = [re.sub("[0-9.]", "", each) for each in acts]
        # A token may begin inside and end after it.
        assert "".join(said).startswith(acts[0]) and all(each in "".join(said) for each in acts)
        assert len("".join(said)) < len("".join(acts)) + 12 * len(acts)
        others = weights[row] != 5
        torch.testing.assert_close(weights[row][others], plain[row][others])
