"""The small byte-level BPE vocabulary of the nano model: it can spell any text, and knows our questions' words."""

import random
from collections.abc import Iterator

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from magicvl.edge.prompt import Pieces
from magicvl.train.nano.questions import all_questions
from magicvl.train.nano.scenes import make_scene

END = "<|end|>"
IMAGE = "<|image|>"
CHAT_TEMPLATE = (
    "{% for m in messages %}"
    "{% if m['role'] == 'user' %}<|user|>{{ m['content'] }}"
    "{% elif m['role'] == 'assistant' %}<|assistant|>{{ m['content'] }}<|end|>"
    "{% else %}{{ raise_exception('only user and assistant speak here, not ' ~ m['role']) }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def build_tokenizer(size: int, seed: int = 0) -> PreTrainedTokenizerFast:
    """Trains the tokenizer on generated questions; `size` is the most tokens, special ones included.

    Digits stand alone and the rest is split as in SmolLM2, which llama.cpp knows as `smollm`. Printed words and
    numbers are left out of the corpus, so that they are spelled.
    """
    pieces = Pieces()
    special = [
        END,
        "<|user|>",
        "<|assistant|>",
        pieces.before,
        pieces.between,
        pieces.row,
        pieces.after,
        IMAGE,
    ]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=20,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in special],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(seed), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=END, chat_template=CHAT_TEMPLATE
    )


def _corpus(seed: int) -> Iterator[str]:
    for index in range(4000):
        rng = random.Random(f"vocabulary {seed} {index}")
        scene = make_scene(rng, 128, 128)
        for question in all_questions(rng, scene):
            yield question.prompt
            if not scene.prints:
                yield question.answer
