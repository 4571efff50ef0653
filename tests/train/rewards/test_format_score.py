"""Form is all or nothing."""

import pytest

from magicvl.edge.video.description import Action, Description, Subject, write
from magicvl.train.rewards.format_score import format_score, read_or_none, times_score

TIMES = (0.5, 1.5, 2.5)
CIRCLE = Subject("circle", ("red",), (Action("moves left", (0.5, 1.5)),))
WHOLE = write(Description((CIRCLE,), "A red circle moves left."))


def test_a_whole_description_is_worth_one() -> None:
    assert format_score(WHOLE, TIMES) == times_score(WHOLE, TIMES) == 1
    assert read_or_none(WHOLE, TIMES) == Description((CIRCLE,), "A red circle moves left.")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A red circle moves left.",
        WHOLE[:-1],
        WHOLE.replace('"caption"', '"title"'),
        WHOLE.replace("A red circle moves left.", " "),
        WHOLE.replace('"from":0.5', '"from":"soon"'),
        WHOLE.replace('"from":0.5', f'"from":{10**400}'),
        WHOLE.replace('"from":0.5,', ""),
        WHOLE.replace("[{", "[[").replace("}]", "]]"),
        '{"subjects": 3, "caption": "A."}',
        "[" * 5000,
    ],
)
def test_anything_else_is_worth_nothing(text: str) -> None:
    assert format_score(text, TIMES) == times_score(text, TIMES) == 0
    assert read_or_none(text, TIMES) is None


@pytest.mark.parametrize(
    "wrong", ['"from":0.7,"to":1.4', '"from":1.5,"to":0.5', '"from":-3,"to":1.7', '"from":0.5,"to":1.51']
)
def test_a_wrong_time_is_read_as_the_nearest_frame_s(wrong: str) -> None:
    text = WHOLE.replace('"from":0.5,"to":1.5', wrong)
    assert (format_score(text, TIMES), times_score(text, TIMES)) == (1, 0)
    assert read_or_none(text, TIMES) == read_or_none(WHOLE, TIMES)
