"""Packing several questions behind one picture changes nothing but the speed."""

import random
from dataclasses import replace

import pytest
import torch

from magicvl.edge.prompt import ask_messages
from magicvl.errors import UsageError
from magicvl.mmproj.modeling import MagicVLForConditionalGeneration
from magicvl.mmproj.processing import MagicVLProcessor
from magicvl.train.nano.batches import IGNORED, collate, draw_grid, draw_sample
from magicvl.train.nano.config import Stage, TrainConfig
from magicvl.train.nano.drawing import draw_scene
from magicvl.train.nano.evaluate import accuracy, model_logits
from magicvl.train.nano.micro_batches import MicroBatches
from magicvl.train.nano.trainer import create

CONFIG = TrainConfig(preset="magicvl-nano", steps=2, decay=0, stages=(Stage(0, 4, 8),))


@pytest.fixture(scope="module")
def pair() -> tuple[MagicVLForConditionalGeneration, MagicVLProcessor]:
    torch.manual_seed(0)
    model, processor = create(CONFIG)
    return model.eval(), processor


def test_a_packed_question_gets_the_logits_of_a_question_asked_alone(pair: tuple) -> None:
    model, processor = pair
    samples = [draw_sample(f"packed {i}", 3, 2, 3) for i in range(2)]
    batch = collate(samples, processor)
    with torch.no_grad():
        packed = model_logits(model, batch)
        for row, sample in enumerate(samples):
            for number, question in enumerate(sample.questions, start=1):
                inputs = processor(ask_messages(question.prompt, 1), [draw_scene(sample.scene)])
                alone = model(**inputs).logits[0, -1]
                first = int(((batch.segments[row] == number) & (batch.labels[row] != IGNORED)).nonzero()[0])
                assert torch.allclose(packed[row, first], alone, atol=2e-4)


def test_labels_spell_the_answer_and_its_end(pair: tuple) -> None:
    _, processor = pair
    sample = draw_sample("labels", 4, 3, 4)
    batch = collate([sample], processor)
    for number, question in enumerate(sample.questions, start=1):
        labels = batch.labels[0][(batch.segments[0] == number) & (batch.labels[0] != IGNORED)]
        assert processor.tokenizer.decode(labels) == question.answer + processor.tokenizer.eos_token


def test_accuracy_is_what_generate_says(pair: tuple) -> None:
    model, processor = pair
    sample = draw_sample("generate", 2, 2, 2)
    # Teach the model this one picture, so that some answers are right and the comparison means something.
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    batch = collate([sample], processor)
    for _ in range(100):
        logits = model_logits(model, batch)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORED)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    counted = accuracy(model, processor, [sample])
    model.eval()
    right = 0
    for question in sample.questions:
        inputs = processor(ask_messages(question.prompt, 1), [draw_scene(sample.scene)])
        tokens = model.generate(**inputs, max_new_tokens=24, do_sample=False)
        text = processor.tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        right += text == question.answer
    assert sum(hits for hits, _ in counted.values()) == right > 0


def test_a_stage_decides_sizes_and_tasks(pair: tuple[object, MagicVLProcessor]) -> None:
    stage = Stage(0, 5, 12, min_side=2, pictures=8, prints=0.0, weights={"position": 100.0, "caption": 0.0})
    drawn = {draw_grid(random.Random(seed), stage) for seed in range(300)}
    assert {side for grid in drawn for side in grid} == {2, 3, 4, 5}
    assert max(across * down for across, down in drawn) == 12

    def first_asked(stage: Stage) -> list[str]:
        batches = MicroBatches(TrainConfig("magicvl-nano", 20, (stage,), decay=0), pair[1])
        return [its.questions[0].task for number in range(20) for its in batches[number].samples]

    weighted, plain = first_asked(stage), first_asked(replace(stage, weights={}))
    assert len(weighted) == len(plain)
    # A place can be asked for only where something is alone of its kind.
    assert weighted.count("position") > 1.3 * plain.count("position") > 0
    assert "caption" not in weighted


def test_sides_drawn_evenly_make_most_pictures_large() -> None:
    stage = Stage(0, 24, 160, min_side=2)
    longest = [
        [max(draw_grid(random.Random(seed), its)) for seed in range(300)] for its in (stage, replace(stage, evenly=1.0))
    ]
    log_uniform, evenly = (sum(side > 12 for side in sides) for sides in longest)
    assert evenly > 1.5 * log_uniform > 0


def test_unknown_tasks_are_named() -> None:
    with pytest.raises(UsageError, match="unknown tasks places; there are colour"):
        TrainConfig("magicvl-nano", 1, (Stage(0, 4, 16, weights={"places": 1.0}),), decay=0)


def test_the_few_large_pictures_of_a_micro_batch_are_asked_more(pair: tuple) -> None:
    stage = Stage(0, 8, 64, min_side=7, pictures=2, question_tokens=40)
    assert [stage.room(pictures) for pictures in (1, 2, 40)] == [40, 40, 40]
    more = replace(stage, batch_question_tokens=300)
    assert [more.room(pictures) for pictures in (1, 2, 40)] == [300, 150, 40]
    assert replace(more, question_tokens=0).room(1) == 0
    few, many = (MicroBatches(replace(CONFIG, stages=(each,)), pair[1])[0] for each in (stage, more))
    assert torch.equal(few.pixel_values, many.pixel_values)
    assert int((many.labels != IGNORED).sum()) > 1.5 * int((few.labels != IGNORED).sum())
    assert many.input_ids.shape[1] - int((many.segments[0] == 0).sum()) <= 150
