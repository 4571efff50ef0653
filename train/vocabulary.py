"""A byte-level BPE vocabulary learned from the words of samples, for a decoder that starts from nothing."""

from collections.abc import Iterable

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from magicvl.edge.prompt import Pieces

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


def build_vocabulary(
    texts: Iterable[str], size: int, pieces: Pieces, image_token: str = IMAGE, *, rarest: int = 3
) -> PreTrainedTokenizerFast:
    """Trains it; `size` is the most tokens, special ones included, `rarest` how often a merge must be seen.

    It can spell any text.

    Digits stand alone and the rest is split as in SmolLM2, which llama.cpp knows as `smollm`.
    """
    # A piece with a place to fill in is a text, no token.
    fixed = (piece for piece in vars(pieces).values() if piece and "{" not in piece)
    special = dict.fromkeys((END, "<|user|>", "<|assistant|>", *fixed, image_token))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=rarest,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in special],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=END, chat_template=CHAT_TEMPLATE
    )
