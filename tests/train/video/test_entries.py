"""What answers with tracks say where, in tokens."""

import json
from collections import Counter
from collections.abc import Callable

import numpy as np

from magicvl.edge.pixels import cut
from magicvl.edge.plan import plan
from magicvl.train.video.films import Film, Films
from magicvl.train.video.motions import VERBS
from magicvl.train.video.visual_ids import FIRST

Spell = Callable[[Films, Film], list[str]]


def test_an_entry_is_where_the_answer_says_it(tracked: Films, spell: Spell) -> None:
    entries = 0
    for film in (tracked[number] for number in range(len(tracked))):
        told = spell(tracked, film)
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


def test_an_entry_points_at_pixels_of_its_subject(tracked: Films) -> None:
    looked = 0
    for number in range(len(tracked)):
        film, clip = tracked[number], tracked.clip(number)
        one = plan(clip.width, clip.height, tracked.processor.grid, tracked.settings.budget)
        side = tracked.processor.grid.unit
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


def test_changes_and_verbs_are_those_of_the_track(tracked: Films, spell: Spell) -> None:
    seen: Counter[str] = Counter()
    for number in range(len(tracked)):
        film, told = tracked[number], spell(tracked, tracked[number])
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
