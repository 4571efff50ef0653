"""Films in tokens: the processor's own ids, visual tokens by number, labels on the answer alone."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from magicvl.edge.video.description import film_message, read, write
from magicvl.train.curriculum.conversation import IGNORED
from magicvl.train.video.batch import collate
from magicvl.train.video.captioner import Captioner
from magicvl.train.video.films import Films
from magicvl.train.video.run import open_captioner
from magicvl.train.video.settings import Clips
from magicvl.train.video.supervised import InOrder, alike, shuffled
from magicvl.train.video.visual_ids import FIRST, MOST, visual_ids

Opened = tuple[Captioner, Films]


def test_a_prompt_is_what_the_processor_gives(opened: Opened) -> None:
    _, films = opened
    film, clip = films[3], films.clip(3)
    pictures = [clip.picture(seconds) for seconds in film.times]
    given = films.processor([film_message(film.times)], pictures, films.settings.budget)
    placed = [films.processor.image_token_id if token >= FIRST else token for token in film.prompt]
    assert placed == given["input_ids"][0].tolist()
    visual = [token for token in film.prompt if token >= FIRST]
    assert visual == list(range(FIRST + 3 * MOST, FIRST + 3 * MOST + len(visual)))
    assert torch.equal(films.patches(3)["pixel_values"], given["pixel_values"])


def test_an_answer_is_what_the_template_ends(opened: Opened) -> None:
    _, films = opened
    film = films[0]
    end = films.processor.tokenizer.eos_token_id
    text = films.processor.tokenizer.decode(film.answer[:-1])
    assert film.answer[-1] == end and end not in film.answer[:-1]
    assert text == write(films.clip(0).description(film.times))
    assert read(text, film.times).caption == film.reference.caption


def test_films_with_tracks_are_asked_and_answered_so(tiny_checkpoint: Path, clips: Clips) -> None:
    _, films = open_captioner(tiny_checkpoint, replace(clips, tracks=True), 1)
    film, clip = films[0], films.clip(0)
    text = films.processor.tokenizer.decode(film.answer[:-1])
    said = read(text, film.times, tracks=True)
    (subject,), (true,) = said.subjects, clip.description(film.times).subjects
    assert [each.time for each in subject.track] == [each.time for each in true.track] and subject.track
    pictures = [clip.picture(seconds) for seconds in film.times]
    given = films.processor([film_message(film.times, tracks=True)], pictures, films.settings.budget)
    assert len(film.prompt) == given["input_ids"].shape[1] > len(Films(clips, films.processor)[0].prompt)


def test_visual_ids_are_the_encoders_tokens(opened: Opened) -> None:
    captioner, films = opened
    film, clip = films[1], films.clip(1)
    store = captioner.model.films
    assert store is not None
    ids = torch.tensor([film.prompt])
    embedded = store.embed(ids, captioner.get_input_embeddings())
    given = films.processor(
        [film_message(film.times)], [clip.picture(each) for each in film.times], films.settings.budget
    )
    with torch.no_grad():
        seen = torch.cat(captioner.model.encode_tiles(given["pixel_values"], given["spatial_shapes"]))
    torch.testing.assert_close(embedded[0, ids[0] >= FIRST], seen, atol=2e-3, rtol=2e-3)
    words = ids[0] < FIRST
    assert torch.equal(embedded[0, words], captioner.get_input_embeddings()(ids[0, words]))
    assert len(store) == 1, "only the film that was read was looked at"


def test_the_answer_is_the_same_as_without_ids(opened: Opened) -> None:
    """The very logits of the plain model on the plain inputs."""
    captioner, films = opened
    film, clip = films[2], films.clip(2)
    given = films.processor(
        [film_message(film.times)], [clip.picture(each) for each in film.times], films.settings.budget
    )
    with torch.no_grad():
        ours = captioner(input_ids=torch.tensor([film.prompt])).logits[0, -1]
        plain = captioner(**given).logits[0, -1]
    torch.testing.assert_close(ours, plain, atol=5e-3, rtol=5e-3)


def test_too_many_visual_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="65,536"):
        visual_ids(0, MOST + 1)


def test_labels_are_on_the_answer_alone(opened: Opened) -> None:
    _, films = opened
    batch = [films[0], films[1]]
    made = collate(batch, pad=0)
    for row, film in enumerate(batch):
        length = len(film.prompt) + len(film.answer)
        labels = made["labels"][row]
        assert labels[: len(film.prompt)].eq(IGNORED).all() and labels[length:].eq(IGNORED).all()
        assert labels[len(film.prompt) : length].tolist() == film.answer
        assert made["attention_mask"][row].sum() == length and made["attention_mask"][row, :length].all()


def test_clips_are_a_function_of_their_number(opened: Opened, clips: Clips) -> None:
    _, films = opened
    again = Films(clips, films.processor, 2)
    assert again[5] == films[5] and again[9] == films[9]
    assert films.clip(5) is films.clip(5), "it is drawn once"
    assert films[8].reference != films[0].reference, "held-out clips are another split's"
    other = Films(replace(clips, seed=8), films.processor)
    assert other[0].answer != films[0].answer
    with pytest.raises(IndexError):
        films[10]


@given(st.integers(1, 40), st.floats(0.1, 3.0), st.integers(0, 9))
def test_each_pass_has_each_film_once(count: int, passes: float, seed: int) -> None:
    made = shuffled(count, passes, seed)
    assert len(made) == int(passes * count)
    for begin in range(0, len(made), count):
        one = made[begin : begin + count]
        assert len(set(one)) == len(one)


@given(st.lists(st.integers(1, 500), min_size=1, max_size=60), st.integers(1, 9))
def test_alike_keeps_all_and_puts_like_lengths_together(lengths: list[int], rows: int) -> None:
    known = dict(enumerate(lengths))
    made = alike(list(known), known, rows, random.Random(1))
    assert sorted(made) == list(known)
    ranked = sorted(lengths)
    whole = {tuple(ranked[at : at + rows]) for at in range(0, len(ranked) // rows * rows, rows)}
    runs = [tuple(sorted(known[each] for each in made[at : at + rows])) for at in range(0, len(made), rows)]
    assert all(run in whole for run in runs[: len(made) // rows])


def test_an_order_begins_anywhere(opened: Opened) -> None:
    _, films = opened
    through = [film.number for film in InOrder(films, 2, 2.0, 3)]  # type: ignore[attr-defined]
    later = InOrder(films, 2, 2.0, 3)
    assert [later[place].number for place in range(11, 16)] == through[11:]
    assert through[:8] != through[8:] and sorted(through) == sorted([*range(8)] * 2)
