"""Tracks that are read otherwise than they are."""

import random

import torch

from magicvl.train.video.batch import collate, label_weights
from magicvl.train.video.films import Films
from magicvl.train.video.misread import misread, unsteady_digits, wrong_digits
from magicvl.train.video.settings import CaptionRun, Learning, Tracks


def test_a_misled_film_can_be_copied_from_nowhere(tracked: Films) -> None:
    some = [film for film in (tracked[number] for number in range(len(tracked))) if film.pointed][:6]
    true, read = collate(some, 0), collate(some, 0)
    weights = label_weights(some, Tracks(news=3.0))
    digits = tracked.processor.tokenizer.convert_tokens_to_ids(list("0123456789"))
    run = CaptionRun(
        "a run", "supervised", tracked.settings, Learning(1e-3), 1, 1, tracks=Tracks(pointing=1.0, news=3.0, misled=0.5)
    )
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
            torch.testing.assert_close(weights[row], label_weights(some, Tracks(news=3.0))[row])
            continue
        differing = (true["input_ids"][row] != read["input_ids"][row]).nonzero()[:, 0].tolist()
        assert set(differing) <= set(places)
        assert len(differing) > 0.8 * len(places)
        assert weights[row].nonzero()[:, 0].tolist() == places
        assert set(read["input_ids"][row, places].tolist()) <= set(digits)
    again = collate(some, 0) | {"label_weights": label_weights(some, Tracks(news=3.0))}
    misread(again, some, run, digits)
    torch.testing.assert_close(again["input_ids"], batch["input_ids"])


def test_half_of_what_a_film_is_misled_by_is_steady(tracked: Films) -> None:
    film = max((tracked[number] for number in range(len(tracked))), key=lambda film: len(film.pointed))
    steady = 0
    for seed in range(60):
        wrong = wrong_digits(film.pointed, random.Random(seed))
        for which in range(3):
            moved = {(each[which] - entry.digits[which]) % 10 for each, entry in zip(wrong, film.pointed, strict=True)}
            steady += len(moved) == 1
            assert moved != {0}
    assert 60 < steady < 120


def test_an_unsteady_film_is_read_one_off_and_learned_whole(tracked: Films) -> None:
    some = [film for film in (tracked[number] for number in range(len(tracked))) if film.pointed]
    true, read, weights = collate(some, 0), collate(some, 0), label_weights(some, Tracks(news=3.0))
    digits = tracked.processor.tokenizer.convert_tokens_to_ids(list("0123456789"))
    run = CaptionRun(
        "a run", "supervised", tracked.settings, Learning(1e-3), 1, 1, tracks=Tracks(pointing=1.0, jitter=0.3)
    )
    misread(read | {"label_weights": weights}, some, run, digits)
    torch.testing.assert_close(weights, label_weights(some, Tracks(news=3.0)))
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
