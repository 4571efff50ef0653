"""What a caption is worth by its events, and what does not pay: lists of everything, repetition, vague words."""

import pytest

from magicvl.errors import SampleError
from magicvl.train.rewards.entailment import WordEntailer
from magicvl.train.rewards.event_score import Asked, EventScore, EventScorer, stepped
from magicvl.train.rewards.planted import planted_films, sentences_of
from magicvl.train.rewards.planted_clips import clip_films
from magicvl.train.rewards.reference import Reference

EVENTS = (
    "the red circle enters from the left",
    "the red circle follows the blue square",
    "the blue square grows",
    "the green star spins",
)
RIGHT = sentences_of(EVENTS)
WORDS = WordEntailer()


def score(caption: str, events: tuple[str, ...] = EVENTS) -> EventScore:
    return EventScorer(WORDS).score([caption], [Reference(events=events)])[0]


@pytest.mark.parametrize(("coverage", "value"), [(0, 0), (0.27, 0), (0.28, 0.5), (0.34, 0.5), (0.35, 1), (1, 1)])
def test_steps(coverage: float, value: float) -> None:
    assert stepped(coverage) == value


def test_coverage_counts_events() -> None:
    assert score(RIGHT) == EventScore(1.0, 1.0, (True,) * 4, 4)
    one = score("The green star spins.")
    assert (one.value, one.coverage, one.told) == (0.0, 0.25, (False, False, False, True))
    assert score("").told == (False,) * 4


def test_f1_counts_what_is_said_twice_or_is_not_so() -> None:
    assert score(RIGHT).f1 == 1.0 and score("").f1 == 0.0
    assert score("The green star spins.").f1 == pytest.approx(2 / 5)
    assert score("The green star spins. The green star spins.").f1 == pytest.approx(2 / 6)
    assert score("The green star spins. The green star grows.").f1 == pytest.approx(2 / 6)


def test_a_reference_without_events_says_so() -> None:
    with pytest.raises(SampleError, match="without events"):
        score(RIGHT, ())


@pytest.mark.parametrize(
    ("event", "caption"),
    [
        ("the red circle follows the blue square", "The blue square follows the red circle."),
        ("the red circle moves left", "The red circle moves right."),
        ("the red circle moves left", "The blue circle moves left."),
        ("the red circle moves left", "The red circle moves."),
        ("the red circle moves left", "The red circle does not move left."),
        ("the red circle moves left", "The circle moves left."),
        ("the circle turns from red to blue", "The circle turns from blue to red."),
        ("the red circle moves left", "The red blue green circle moves left right up down."),
        ("the dog chases the cat", "The dog is chased by the cat."),
    ],
)
def test_what_is_not_told(event: str, caption: str) -> None:
    assert WORDS.entails([Asked(caption, (event,))]) == [(False,)]


@pytest.mark.parametrize(
    ("event", "caption"),
    [
        ("the red circle follows the blue square", "The blue square is followed by the red circle."),
        ("the red circle moves left", "A small red disc jumps and then goes to the left."),
        ("the red circle meets the blue square", "The blue square meets the red circle."),
        ("the red circle grows", "There is a red circle. It gets bigger."),
        ("the camera pans left", "The camera turns left."),
    ],
)
def test_what_is_told(event: str, caption: str) -> None:
    assert WORDS.entails([Asked(caption, (event,))]) == [(True,)]


def test_a_caption_that_tells_everything_is_worth_nothing() -> None:
    colours, shapes = "red blue green yellow black".split(), "circle square star heart".split()
    deeds = ["moves left", "moves right", "grows", "spins", "enters from the left", "follows the blue square"]
    everything = " ".join(f"The {colour} {shape} {deed}." for colour in colours for shape in shapes for deed in deeds)
    found = score(everything)
    assert found.value == 0
    assert found.coverage < 0.05
    unguarded = EventScorer(WordEntailer(ordered=False), guarded=False).score([everything], [Reference(events=EVENTS)])
    assert unguarded[0].value == 1


def test_repetition_earns_nothing_more() -> None:
    once = score("The green star spins.")
    assert score("The green star spins. " * 3).told == once.told
    assert score("The green star spins. " * 30).coverage < once.coverage


def test_one_clause_tells_one_event() -> None:
    events = ("the green star spins", "the star spins")
    assert sum(WORDS.entails([Asked("The green star spins.", events)])[0]) == 1


def test_events_count_as_far_as_they_come_in_order() -> None:
    backwards = sentences_of(EVENTS[::-1])
    assert sum(score(backwards).told) == 1
    assert sum(WordEntailer(ordered=False).entails([Asked(backwards, EVENTS)])[0]) == 4


def test_a_long_clause_counts_as_several() -> None:
    assert score("The green star spins " + "in a very quiet and empty place " * 30).clauses > 8


def test_each_caption_is_scored_alone() -> None:
    captions, references = [RIGHT, "A dog sings.", RIGHT], [Reference(events=EVENTS)] * 3
    together = EventScorer(WORDS).score(captions, references)
    assert together == [score(each) for each in captions]


def test_planted_films_are_consistent() -> None:
    for film in [*planted_films(), *clip_films(12)]:
        assert film.reference == sentences_of(film.events)
        kinds = [each.kind for each in film.captions]
        assert kinds[:2] == ["right", "paraphrase"]
        assert len(set(kinds)) == len(kinds)
        for each in film.captions:
            assert len(each.told) == len(film.events)
            assert all(each.told) == (each.kind in {"right", "paraphrase", "order"})


def test_clips_are_planted_the_same_again() -> None:
    assert clip_films(3) == clip_films(3)
    assert clip_films(3) != clip_films(3, seed=1)
