"""What is scored of a text: events both ways, subjects, objects, answers, form; on cases made by hand."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from magicvl.bench.video.answer_words import AnswerWords
from magicvl.bench.video.answers_part import Answered, AnswersPart
from magicvl.bench.video.clip_film import ClipFilm
from magicvl.bench.video.clips_suite import clip_item
from magicvl.bench.video.form_part import FormPart
from magicvl.bench.video.item import Pair, VideoItem
from magicvl.bench.video.judged_answers import GRADES, JudgedAnswers
from magicvl.bench.video.measures import ACTIONS, ANSWERS, EVENTS, GRADE, OBJECTS, VALID, WORDS
from magicvl.bench.video.object_words import ObjectWords
from magicvl.bench.video.objects_part import ObjectsPart
from magicvl.bench.video.part import Told
from magicvl.bench.video.score import read_told
from magicvl.bench.video.subjects_part import SubjectsPart
from magicvl.bench.video.texts import Said
from magicvl.bench.video.told_events import told_events
from magicvl.bench.video.told_part import ToldPart
from magicvl.bench.video.tools import NamedObjects, open_tools
from magicvl.edge.video.choose import uniform_times
from magicvl.edge.video.description import Action, Description, Subject, write
from magicvl.edge.video.film import Film
from magicvl.errors import UsageError
from magicvl.train.clips.make import make_clip
from magicvl.train.rewards.chooser import Question
from magicvl.train.rewards.entailment import WordEntailer
from magicvl.train.rewards.event_score import Asked
from magicvl.train.rewards.reference import Reference
from magicvl.train.rewards.similarity import LemmaSimilarity

TIMES = (0.5, 1.5)
MOVES = Action("moves left", TIMES)
CIRCLE = Subject("circle", ("red",), (MOVES,))
SQUARE = Subject("square", ("small", "blue"), ())
TRUTH = Reference((CIRCLE, SQUARE), ("the red circle moves left", "the square grows"), "A red circle moves left.")


def nowhere() -> Film:
    raise AssertionError("nobody has to look at this film")


def item(**fields: object) -> VideoItem:
    """A film that nobody looks at."""
    return VideoItem("film", nowhere, lambda: "", lambda times: TRUTH, **fields)  # type: ignore[arg-type]


def told(caption: str, *subjects: Subject, reference: Reference = TRUTH, plain: bool = False) -> Told:
    """A text that says this."""
    described = Description(subjects, caption) if caption else None
    text = caption if described is None or plain else write(described)
    return Told(text, TIMES, described, plain, reference)


class Literal:
    """Tells what stands in the caption, letter by letter."""

    name = "letters"

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    def entails(self, asked: Sequence[Asked]) -> list[tuple[bool, ...]]:
        self.asked += asked
        return [tuple(event in each.caption for event in each.events) for each in asked]


def split(caption: str) -> tuple[str, ...]:
    return tuple(filter(None, caption.split("; ")))


def test_events_are_asked_both_ways() -> None:
    entailer = Literal()
    part = ToldPart("event", EVENTS, entailer, split)
    reference = Reference(events=("a", "b", "c", "d"), caption="a b c d")
    found = part(item(), told("a; b; x", reference=reference))
    assert found.columns == {"event precision": pytest.approx(2 / 3), "event recall": 0.5}
    assert entailer.asked == [Asked("a b c d", ("a", "b", "x")), Asked("a; b; x", ("a", "b", "c", "d"))]
    assert [(each.text, each.said, each.right) for each in found.verdicts if not each.right] == [
        ("x", True, False), ("c", False, False), ("d", False, False)
    ]  # fmt: skip


def test_events_that_are_not_listed_are_taken_from_the_caption() -> None:
    part = ToldPart("event", EVENTS, Literal(), split)
    found = part(item(), told("a", reference=Reference(caption="a; b")))
    assert found.columns == {"event precision": 1.0, "event recall": 0.5}
    # Where only events are known they are the true caption.
    found = part(item(), told("b.", reference=Reference(events=("a", "b."))))
    assert found.columns == {"event precision": 1.0, "event recall": 0.5}
    assert part(item(), told("a", reference=Reference())).columns == {}


@pytest.mark.parametrize("caption", ["", "   "])
def test_silence_is_worth_nothing(caption: str) -> None:
    found = ToldPart("event", EVENTS, Literal(), split)(item(), told(caption.strip()))
    assert set(found.columns.values()) == {0.0}
    assert [each.right for each in found.verdicts] == [False, False]


def test_subjects_are_scored_one_to_one() -> None:
    part = SubjectsPart(LemmaSimilarity())
    found = part(item(), told("x", CIRCLE, Subject("star", ("green",), (MOVES,))))
    # Of circle, red, square, small and blue two were seen, and as much besides.
    assert {name: found.columns[name] for name in OBJECTS} == {"object precision": 0.5, "object recall": 0.4}
    assert {name: found.columns[name] for name in ACTIONS} == {"action precision": 0.5, "action recall": 1.0}
    assert set(part(item(), told("")).columns.values()) == {0.0}
    assert part(item(), told("x", plain=True)).columns == part(item(), told("x", reference=Reference())).columns == {}


def test_objects_are_asked_by_the_captions() -> None:
    part = ObjectsPart(ObjectWords())
    truth = Reference(caption="A man in a black shirt lifts a heavy barbell.")
    seen = item(objects=("a man in a black shirt", "a heavy barbell", "a dog"))
    found = part(seen, told("A man lifts a barbell.", Subject("man", (), ()), reference=truth))
    assert found.columns == {"object precision": 1.0, "object recall": 0.0}
    found = part(seen, told("A man wearing a black shirt. A heavy barbell.", Subject("cat", (), ()), reference=truth))
    assert found.columns == {"object precision": 0.0, "object recall": pytest.approx(2 / 3)}
    assert set(part(seen, told("A dog.", reference=truth, plain=True)).columns) == {"object recall"}
    assert part(item(), told("A dog.")).columns == {}


@pytest.mark.parametrize(
    ("caption", "thing", "named"),
    [
        ("The red circle moves left.", "red circle", True),
        ("A circle is red.", "a red circle", True),
        ("The blue circle moves left.", "red circle", False),
        ("A blue square and a red star.", "red square", False),
        ("The circle moves left.", "large red circle", False),
        ("", "red circle", False),
    ],
)
def test_objects_are_named_by_their_words(caption: str, thing: str, named: bool) -> None:
    assert ObjectWords().entails([Asked(caption, (thing,))]) == [(named,)]


class Marker:
    """Marks every second answer right."""

    name = "marker"

    def answer(self, caption: str, pairs: Sequence[Pair]) -> list[Answered]:
        return [Answered(number % 2 == 0, 4 if number % 2 == 0 else None) for number, _ in enumerate(pairs)]


def test_answers_are_a_share_and_a_grade() -> None:
    asked = item(pairs=tuple(Pair(f"question {number}?", "yes") for number in range(4)))
    found = AnswersPart(Marker())(asked, told("x"))
    assert found.columns == {ANSWERS: 0.5, GRADE: 0.8}
    assert AnswersPart(Marker())(asked, told("")).columns == {ANSWERS: 0.0, GRADE: 0.0}
    assert AnswersPart(Marker())(item(), told("x")).columns == {}


def test_answers_by_words_say_what_the_question_does_not() -> None:
    pairs = [
        Pair("What does the red circle do?", "It moves left."),
        Pair("What colour is the circle?", "The circle is blue."),
        Pair("Is there a circle?", "A circle."),
    ]
    found = AnswerWords().answer("A red circle moves left.", pairs)
    assert [each.right for each in found] == [True, False, False] and {each.grade for each in found} == {None}


class Mind:
    """A model that says yes and marks 4 where the right answer stands in the caption, word by word."""

    name = "mind"

    def choose(self, questions: Sequence[Question]) -> list[tuple[float, ...]]:
        return [self._shares(str(each.messages[-1].parts[0]), each.words) for each in questions]

    def _shares(self, case: str, words: tuple[str, ...]) -> tuple[float, ...]:
        caption, _, answer, asked = (line.partition(": ")[2] for line in case.splitlines())
        assert not asked and case.endswith(("Yes or No.", "0 to 5."))
        said = ("Yes", "4") if answer in caption else ("No", "0")
        return tuple(float(word in said) for word in words)


def test_a_language_model_marks_answers() -> None:
    pairs = [Pair("What does it do?", "moves left"), Pair("What colour?", "blue")]
    assert JudgedAnswers(Mind()).answer("A red circle moves left.", pairs) == [Answered(True, 4), Answered(False, 0)]
    assert tuple("012345") == GRADES and JudgedAnswers(Mind()).name == "mind"


def test_a_language_model_is_asked_for_objects_as_for_events() -> None:
    letters = Literal()
    named = NamedObjects(letters)
    assert named.entails([Asked("see: there is a dog", ("a dog.", "a cat"))]) == [(True, False)]
    assert letters.asked == [Asked("see: there is a dog", ("there is a dog", "there is a cat"))]


def test_words_are_tried_before_they_are_trusted() -> None:
    with open_tools("words", None, None, None) as tools:
        assert tools.agreement.trusted and "no language model" in tools.entailer.name
    with pytest.raises(UsageError, match="judge 'nobody': no such file"), open_tools("nobody", None, None, None):
        pass


def test_form_is_told_of_texts_and_length_of_captions() -> None:
    assert FormPart()(item(), told("Two words.")).columns[WORDS] == 2.0
    assert FormPart()(item(), told("Two words.")).columns[VALID] == 1.0
    assert FormPart()(item(), told("")).columns == {VALID: 0.0}
    late = replace(told("Two words.", CIRCLE), times=(99.0,))
    assert FormPart()(item(), late).columns[VALID] == 0.0, "frames have no such times"
    assert VALID not in FormPart()(item(), told("Two words.", plain=True)).columns


@pytest.mark.parametrize(
    ("caption", "events"),
    [
        ("A red circle enters and moves left, then it jumps.", ["red circle enters", "red circle moves left",
                                                                  "red circle jumps"]),
        ("The dog runs. The dog runs.", ["dog runs"]),
        ("", []),
    ],
)  # fmt: skip
def test_events_are_taken_from_captions(caption: str, events: list[str]) -> None:
    assert list(told_events(caption)) == events


@pytest.mark.parametrize("tracks", [False, True])
def test_the_truth_of_a_clip_is_a_description_of_it(tracks: bool) -> None:
    """A clip as a film: its frames at the times that are shown; what it knows of itself scores full marks."""
    clip = make_clip(0, 0, "test", "shapes/simple")
    shown = clip_item(clip)
    times = uniform_times(clip.seconds, 4)
    said = read_told(shown, Said(write(clip.description(times), times, tracks=tracks), None), 4)
    assert said.times == times and said.description is not None
    assert any(subject.track for subject in said.description.subjects) == said.tracks == tracks
    assert FormPart()(shown, said).columns[VALID] == 1.0
    columns = SubjectsPart(LemmaSimilarity())(shown, said).columns
    assert set(columns.values()) == {1.0}
    frames = list(ClipFilm(clip).frames(times))
    assert [frame.time for frame in frames] == list(times)
    assert all(frame.picture.tobytes() == clip.picture(frame.time).tobytes() for frame in frames)
    assert shown.digest() == clip_item(make_clip(0, 0, "test", "shapes/simple")).digest()
    assert shown.digest() != clip_item(make_clip(0, 1, "test", "shapes/simple")).digest()
    small = list(ClipFilm(clip).thumbnails(0.0, 1.0))
    assert [round(when, 2) for when, _ in small] == [0.1, 0.3, 0.5, 0.7, 0.9] and small[0][1].shape == (32, 32)


def test_texts_that_are_none_are_read_as_nothing() -> None:
    shown = clip_item(make_clip(0, 0, "test", "shapes/simple"))
    for text in ("", "A red circle.", '{"subjects": [], "caption": ""}'):
        assert read_told(shown, Said(text, (0.5,)), 4).description is None
    assert read_told(shown, Said(" A red\ncircle. ", (0.5,), plain=True), 4).caption == "A red circle."
    assert read_told(shown, Said(" ", (0.5,), plain=True), 4).description is None


def test_the_usual_tools_agree_with_a_plain_case() -> None:
    part = ToldPart("event", EVENTS, WordEntailer(None, ordered=False), told_events)
    truth = Reference(events=("the red circle moves left", "the blue square jumps"), caption="")
    found = part(item(), told("The blue square jumps. The red circle moves right.", reference=truth))
    assert found.columns == {"event precision": 0.5, "event recall": 0.5}
