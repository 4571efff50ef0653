"""The vocabulary of a shape: few real tokens, padded to as many rows as the shape has.

Common words of the bench's questions are one token each, as they are in a trained vocabulary: what a question's text
costs depends on how many tokens it takes.
"""

from collections.abc import Sequence

from magicvl.convert.vocabulary import CONTROL, NORMAL, UNUSED, Vocabulary

END = "<|im_end|>"
SPECIALS = ("<|im_start|>", END, "<|image_start|>", "<|image_end|>", "<|tile|>", "<|row|>", "<|image|>")
"""The frame of a chat, and what MagicVL puts around tiles."""
WORDS = (
    "user assistant What Which How Where Is Are Read is at are the of in on there place picture screen number colour "
    "word text many much top bottom left right corner middle largest smallest price total date name button title"
).split()
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}"
    "{% else %}{% for part in m['content'] %}{{ part['text'] }}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Takes a message as a text or in parts: each peer gives it as it likes."""


def shape_vocabulary(rows: int, more_specials: Sequence[str] = ()) -> Vocabulary:
    """A byte-level BPE vocabulary of `rows` tokens; ValueError where that is too few."""
    specials = [*SPECIALS, *more_specials]
    alphabet = sorted(_byte_symbols())
    merges, made = _merges()
    tokens = [*specials, *alphabet, *made]
    if len(tokens) > rows:
        raise ValueError(f"a vocabulary of {rows} tokens, at least {len(tokens)} are needed")
    padding = [f"[PAD{i}]" for i in range(len(tokens), rows)]
    types = [CONTROL] * len(specials) + [NORMAL] * (len(tokens) - len(specials)) + [UNUSED] * len(padding)
    end = tokens.index(END)
    return Vocabulary(
        tokens=tokens + padding,
        types=types,
        merges=merges,
        pre="gpt-2",
        eos=end,
        bos=None,
        pad=end,
        unk=None,
        stops=[end],
        add_bos=False,
        chat_template=TEMPLATE,
    )


def _merges() -> tuple[list[str], list[str]]:
    """Merges that build each word from its beginning, with and without a space before it; and what they make."""
    merges: dict[str, str] = {"Ċ Ċ": "ĊĊ"}
    # The first merge wins: " is" begins with its space before "is" is made.
    for form in [*(f"Ġ{word}" for word in WORDS), *WORDS]:
        for end in range(1, len(form)):
            merges[f"{form[:end]} {form[end]}"] = form[: end + 1]
    return list(merges), list(dict.fromkeys(merges.values()))


def _byte_symbols() -> list[str]:
    """The character that byte-level BPE writes for each byte, as GPT-2 does."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]
