"""What every runtime does alike when it feeds a decoder."""

import unicodedata
from typing import Final

BATCH: Final = 160
"""Most tokens of one llama_decode: what Ctrl-C waits for at most. A full tile of 144 tokens stays whole, and
from 32 to 512 the CPU time of a token is the same."""

KEY_TYPES: Final = ("f16", "q8_0")
"""Types of the keys that a context holds. Its values stay F16: others need flash attention, see magicvl.edge.llama."""

NFC_PRE_TOKENIZERS: Final = frozenset({"qwen2"})
"""Pre-tokenizers of vocabularies that bring a text into Unicode's form NFC first. llama.cpp does not."""


def composed(text: str, pre_tokenizer: str) -> str:
    """A text in the form that its vocabulary's tokenizer brings it into."""
    return unicodedata.normalize("NFC", text) if pre_tokenizer in NFC_PRE_TOKENIZERS else text
