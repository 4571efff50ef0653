"""Signs that a model is paid for words: each rises with what it is a sign of."""

from hypothesis import given, settings
from hypothesis import strategies as st

from magicvl.edge.video.description import Action, Description, Subject
from magicvl.train.rewards.hacking import Signs, commonest, copied, doubled, empty, filler, repeated

CIRCLE = Subject("circle", ("red",), (Action("moves left", (0.5,)),))
TEXTS = st.lists(st.sampled_from("a red circle moves left".split()), min_size=1).map(" ".join)


@settings(deadline=None, max_examples=40)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_shares_are_shares(captions: list[str]) -> None:
    signs = Signs.of([Description((CIRCLE,), each) for each in captions])
    shares = [value for name, value in signs.to_log().items() if name != "caption_words"]
    assert all(0 <= share <= 1 for share in shares)
    assert signs.caption_words == sum(len(each.split()) for each in captions) / len(captions)


def test_each_sign() -> None:
    assert repeated("a dog runs") == 0
    assert repeated("a dog runs a dog runs a dog runs") > 0.5
    assert copied(Description((CIRCLE,), "A red circle moves left.")) == 1
    assert copied(Description((CIRCLE,), "Two dogs sing.")) == 0
    assert commonest(["A dog.", "a  dog.", "A cat."]) == 2 / 3
    assert empty(Description((), "A dog.")) == 1
    assert empty(Description((CIRCLE, Subject("dog", (), ())), "A dog.")) == 0.5
    assert filler(Description((CIRCLE, Subject("an object", ("red",), ())), "A dog.")) == 0.5
    assert doubled(Description((CIRCLE, CIRCLE), "A dog.")) > 0
    assert doubled(Description((CIRCLE,), "A dog.")) == 0


def test_no_answers_give_no_signs() -> None:
    assert set(Signs.of([]).to_log().values()) == {0.0}
