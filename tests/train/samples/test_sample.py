"""What a sample refuses."""

import pytest

from magicvl.errors import UsageError
from magicvl.train.samples.sample import CATEGORIES, Sample, Turn


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_of_the_paper_is_taken(category: str) -> None:
    assert Sample("1", category, "mine", (), (Turn("Hello", "Hi"),)).category == category  # type: ignore[arg-type]


def test_another_category_is_named_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"sample 7: category 'video'; there are reasoning, gui, ocr"):
        Sample("7", "video", "mine", (), (Turn("Hello", "Hi"),))  # type: ignore[arg-type]


def test_a_sample_says_something() -> None:
    with pytest.raises(UsageError, match="sample 7: it has no turns"):
        Sample("7", "text", "mine", (), ())
