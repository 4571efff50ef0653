"""Rewards as TRL asks for them: the truth is worth everything, another film's truth less, no form nothing."""

import re
from dataclasses import fields, replace
from typing import Any

from magicvl.edge.video.description import write
from magicvl.train.video.captioner import Captioner
from magicvl.train.video.films import Films, answer_ids
from magicvl.train.video.rewards import NOTHING, REWARDS, Worth, make_scorer, reward_functions, spelled
from magicvl.train.video.settings import Rewards

Opened = tuple[Captioner, Films]


def test_what_answers_are_worth(opened: Opened) -> None:
    _, films = opened
    scorer = make_scorer(Rewards())
    texts = [write(films.clip(number).description(films[number].times)) for number in range(4)]
    for worth in scorer.score([films[number] for number in range(4)], texts):
        assert (worth.format, worth.think, worth.event, worth.coverage, worth.event_f1) == (1,) * 5
    # A description of another clip can be of no film with other times: it is given this film's own.
    others = [write(films.clip((number + 1) % 4).description(films[number].times)) for number in range(4)]
    worths = scorer.score([films[number] for number in range(4)], others)
    assert all(worth.format == 1 for worth in worths)
    assert sum(worth.think for worth in worths) / 4 < 0.7
    assert scorer.score([films[0]] * 2, ["{", ""]) == [NOTHING, NOTHING]
    # No frame has these times, and that is all that is wrong with it.
    (late,) = scorer.score([films[0]], [re.sub(r'"to":[0-9.]+', '"to":99', texts[0])])
    assert late == replace(scorer.score([films[0]], texts[:1])[0], frame_times=0)


def test_a_score_stands_beside_the_text_and_its_times() -> None:
    """In one row (measure_arm), where neither may take the other's place."""
    assert not {"id", "times", "text"} & {each.name for each in fields(Worth)}


def test_functions_score_once_and_log_signs(opened: Opened) -> None:
    _, films = opened
    scorer = make_scorer(Rewards())
    calls: list[int] = []
    score = scorer.score

    def counted(which: Any, texts: Any) -> Any:
        calls.append(len(texts))
        return score(which, texts)

    scorer.score = counted  # type: ignore[method-assign]
    functions = reward_functions(films, scorer)
    assert tuple(function.__name__ for function in functions) == REWARDS
    logged: dict[str, float] = {}
    answers = [films[2].answer, films[2].answer[:5]]
    given = [
        function(["2", "2"], completion_ids=answers, log_metric=logged.__setitem__, prompts_text=None)
        for function in functions
    ]
    assert given == [[1, 0]] * len(REWARDS) and calls == [2]
    assert logged["signs/caption_words"] > 3 and "signs/doubled" in logged


def test_special_tokens_are_no_form(opened: Opened) -> None:
    """What a decoder would leave out when it shows a text is still there when it is scored."""
    _, films = opened
    tokenizer = films.processor.tokenizer
    text = write(films.clip(0).description(films[0].times))
    ids = answer_ids(text, films.processor)
    assert spelled(ids, tokenizer) == spelled(ids[:-1], tokenizer) == text
    odd = [*ids[:-1], films.processor.image_token_id, ids[-1]]
    assert spelled(odd, tokenizer) == text + films.processor.image_token
    assert make_scorer(Rewards()).score([films[0]], [spelled(odd, tokenizer)]) == [NOTHING]
