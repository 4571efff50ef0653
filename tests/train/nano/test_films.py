"""Films as micro-batches: each row what it is alone, and its actors where the model sees them."""

import torch

from magicvl.train.nano.batches import IGNORED
from magicvl.train.nano.config import Stage, TrainConfig
from magicvl.train.nano.evaluate import look, model_logits, read_batch
from magicvl.train.nano.films import film_batch, films_of
from magicvl.train.nano.trainer import create
from magicvl.train.video.films import Film

CONFIG = TrainConfig(preset="magicvl-nano", steps=1, stages=(Stage(0, 2, 4),), decay=0)


def test_a_row_is_the_films_prompt_and_description() -> None:
    torch.manual_seed(0)
    model, processor = create(CONFIG)
    model.eval()
    films = films_of(3, processor)
    batch, rows = film_batch(films, [4, 9]), [films[4], films[9]]
    with torch.no_grad():
        packed = model_logits(model, batch)
        for number, row in enumerate(rows):
            assert batch.labels[number][batch.labels[number] != IGNORED].tolist() == row.answer
            clip, length = films.clip(row.number), len(row.prompt) + len(row.answer)
            looked = films.patches(row.number)
            ids = batch.input_ids[number : number + 1, :length]
            assert ids[0, len(row.prompt) :].tolist() == row.answer and clip.seconds >= row.times[-1]
            alone = model(input_ids=ids, attention_mask=torch.ones_like(ids), **looked).logits[0]
            torch.testing.assert_close(packed[number, :length], alone, atol=1e-4, rtol=1e-4)


def test_motions_lie_among_the_visual_tokens() -> None:
    _, processor = create(CONFIG)
    films = films_of(3, processor)
    batch, rows = film_batch(films, [0, 1, 2]), [films[0], films[1], films[2]]
    assert batch.motions is not None
    tokens = (batch.input_ids == processor.image_token_id).sum(1).tolist()
    expected = [sum(tokens[:row]) + motion.token for row, film in enumerate(rows) for motion in film.motions]
    assert batch.motions.places.tolist() == expected
    model = create(CONFIG)[0]
    with torch.no_grad():
        middle = read_batch(model, batch, look(model, batch)).middle
    assert len(middle) == sum(tokens) > max(expected)


def test_films_are_functions_of_seed_and_number() -> None:
    _, processor = create(CONFIG)

    def answers(seed: int) -> list[Film]:
        return [films_of(seed, processor)[number] for number in range(4)]

    assert answers(1) == answers(1) != answers(2)
