"""Shared prompts and the sampler: both give what a plain pass gives."""

import pytest
import torch

from magicvl.train.curriculum.adapter import with_adapter
from magicvl.train.curriculum.stage import Lora
from magicvl.train.video.captioner import Captioner, alike_rows, shared
from magicvl.train.video.films import Films
from magicvl.train.video.generation import generate, padded
from magicvl.train.video.merging import merged
from magicvl.train.video.visual_ids import FIRST

Opened = tuple[Captioner, Films]
LORA = Lora(rank=4, alpha=8, targets=("q_proj", "down_proj"))


def rows_of(films: Films, numbers: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts padded on the left, each with an answer of its own padded on the right."""
    ids, mask = padded([films[number].prompt for number in numbers], 2)
    answers = [films[number].answer[row : 40 + row] for row, number in enumerate(numbers)]
    longest = max(map(len, answers))
    more = torch.tensor([each + [2] * (longest - len(each)) for each in answers])
    seen = torch.tensor([[1] * len(each) + [0] * (longest - len(each)) for each in answers])
    return torch.cat([ids, more], 1), torch.cat([mask, seen], 1)


def test_what_rows_share() -> None:
    rows = torch.tensor([[9, FIRST, 5, 6, 1], [9, FIRST + 1, 5, 7, 1], [9, FIRST, 5, 7, 1]])
    found = shared(rows)
    assert found is not None
    assert found.columns == 3 and found.prompt[0] == found.prompt[2] != found.prompt[1]
    assert sorted(found.rows.tolist()) == [0, 1]
    assert shared(rows[:2]) is None, "each has a film of its own"
    assert shared(rows % FIRST) is None, "without films nothing says where a prompt ends"
    same = shared(torch.tensor([[FIRST, 5], [FIRST, 5]]))
    assert same is not None and same.columns == 1, "one column is left"


def test_rows_of_one_length_are_read_together(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = [3, 9, 4, 9, 1, 6]
    mask = torch.tensor([[1] * length + [0] * (10 - length) for length in lengths])
    monkeypatch.setattr("magicvl.train.video.captioner.PARTS", 3)
    parts = alike_rows(mask, 4)
    assert sorted(row for rows, _ in parts for row in rows.tolist()) == [*range(6)]
    assert [end for _, end in parts] == [9, 6, 4]
    assert all(end >= lengths[row] for rows, end in parts for row in rows.tolist())
    padded_left = torch.tensor([[0, 1, 1, 0], [1, 1, 1, 1]])
    assert [(rows.tolist(), end) for rows, end in alike_rows(padded_left, 1)] == [([1], 4), ([0], 3)]


def test_shared_prompts_change_neither_hidden_states_nor_gradients(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    captioner, films = opened
    peft = with_adapter(captioner, LORA, None)
    for name, weight in peft.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(weight, std=0.05)
    ids, mask = rows_of(films, [0, 4, 0, 1, 4, 0])
    labels = ids.masked_fill((mask == 0) | (ids >= FIRST), -100)
    outcomes = []
    for share in (True, False):
        if not share:
            monkeypatch.setattr("magicvl.train.video.captioner.shared", lambda _: None)
        peft.zero_grad()
        made = peft(input_ids=ids, attention_mask=mask, labels=labels)
        made.loss.backward()
        gradients = [weight.grad.clone() for weight in peft.parameters() if weight.requires_grad]
        outcomes.append((made.logits[mask.bool()], gradients))
    torch.testing.assert_close(outcomes[0][0], outcomes[1][0], atol=2e-4, rtol=1e-4)
    for ours, plain in zip(outcomes[0][1], outcomes[1][1], strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-3)


def test_greedy_answers_are_those_of_transformers(opened: Opened) -> None:
    captioner, films = opened
    numbers = [0, 1, 0, 5]
    prompts = [films[number].prompt for number in numbers]
    ours = generate(captioner, prompts, most=40, end=2)
    for prompt, answer in zip(prompts, ours, strict=True):
        ids = torch.tensor([prompt])
        theirs = captioner.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=40, do_sample=False, eos_token_id=2,
            pad_token_id=2,
        )  # fmt: skip
        assert answer == theirs[0, len(prompt) :].tolist()
    assert ours[0] == ours[2]


def test_rows_that_end_leave_and_the_rest_goes_on(opened: Opened) -> None:
    captioner, films = opened
    prompts = [films[number].prompt for number in range(6)]
    alone = [generate(captioner, [prompt], most=40, end=-1)[0] for prompt in prompts]
    # A token that some greedy answers hold ends them early, so that rows leave at different times.
    end = max(set(alone[0]), key=lambda token: len({answer.index(token) for answer in alone if token in answer}))
    cut = [answer[: answer.index(end) + 1] if end in answer else answer for answer in alone]
    assert len({len(answer) for answer in cut}) > 1
    assert generate(captioner, prompts, most=40, end=end) == cut


def test_drawn_tokens_follow_the_probabilities(opened: Opened) -> None:
    captioner, films = opened
    torch.manual_seed(0)
    prompt = films[0].prompt
    with torch.no_grad():
        chances = (captioner(input_ids=torch.tensor([prompt])).logits[0, -1] / 2).softmax(-1)
    drawn = torch.tensor([answer[0] for answer in generate(captioner, [prompt] * 4000, temperature=2, most=1, end=2)])
    counted = torch.bincount(drawn, minlength=len(chances)) / len(drawn)
    assert float((counted - chances).abs().max()) < 0.03
    assert counted.count_nonzero() > 1


def test_an_adapter_is_merged_for_a_while(opened: Opened) -> None:
    captioner, films = opened
    peft = with_adapter(captioner, LORA, None)
    for name, weight in peft.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(weight, std=0.05)
    ids = torch.tensor([films[0].prompt])
    before = {name: weight.clone() for name, weight in peft.named_parameters()}
    with torch.no_grad():
        apart = peft(input_ids=ids).logits
        with merged(peft):
            inside = peft(input_ids=ids).logits
        assert torch.equal(peft(input_ids=ids).logits, apart)
    torch.testing.assert_close(inside, apart, atol=1e-3, rtol=1e-3)
    assert all(torch.equal(weight, before[name]) for name, weight in peft.named_parameters())
