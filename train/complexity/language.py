"""The LLM that reads the words: lengths, type-token ratios and perplexities. Needs torch and transformers."""

import io
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magicvl.convert.checkpoint import read_json
from magicvl.convert.tokenizer_json import vocabulary_from_gguf, write_tokenizer
from magicvl.edge.gguf_check import read_gguf
from magicvl.edge.prompt import Text
from magicvl.errors import CheckpointError
from magicvl.mmproj.configuration import MagicVLConfig
from magicvl.train.complexity.answer_nats import answer_nats
from magicvl.train.complexity.conversation import Encoded, Speech, encode
from magicvl.train.complexity.loading import device, loading, number_type
from magicvl.train.complexity.terms import mean, perplexity, type_token_ratio
from magicvl.train.samples.sample import Turn

SPECIALS = ("bos_token", "eos_token")


@dataclass(frozen=True)
class Words:
    """The text terms of one sample, see `Terms`."""

    length: float | None
    diversity: float | None
    perplexity: float | None


class Language:
    """A causal LM with its vocabulary."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        """Both transformers' own, such as AutoModelForCausalLM and AutoTokenizer load."""
        self._model, self._tokenizer = model, tokenizer
        bos, eos = (str(getattr(tokenizer, name) or "") for name in SPECIALS)
        self._speech = Speech(self._spell, tokenizer.chat_template or None, bos, eos)
        config = model.config.get_text_config()
        self._words = int(config.vocab_size)
        self._context = int(getattr(config, "max_position_embeddings", 0) or 0)

    def read(self, turns: Sequence[Turn]) -> Words:
        """The terms of a conversation, its pictures not seen.

        The perplexity is None for one that is longer than the model's context. Raises BundleError or UsageError where
        the chat template fails.
        """
        answers = [self.tokens(turn.answer) for turn in turns]
        ratios = [
            type_token_ratio(self.tokens(turn.prompt) + answer) for turn, answer in zip(turns, answers, strict=True)
        ]
        encoded = encode(turns, self._speech)
        return Words(mean([float(len(answer)) for answer in answers]), mean(ratios), self._perplexity(encoded))

    def tokens(self, text: str) -> list[int]:
        """The ids of a text by itself; what looks like a special token is text."""
        return self._spell(Text(text, special=False))

    def _spell(self, text: Text) -> list[int]:
        ids: list[int] = self._tokenizer(
            text.text, add_special_tokens=False, split_special_tokens=not text.special
        ).input_ids
        return ids

    def _perplexity(self, encoded: Encoded) -> float | None:
        if self._context and len(encoded.ids) > self._context:
            return None
        return mean([perplexity(nats, tokens, self._words) for nats, tokens in answer_nats(self._model, encoded)])


def load_language(path: Path) -> Language:
    """Loads a Hugging Face directory of a causal LM or of a MagicVL checkpoint (its decoder), or a GGUF file.

    Raises CheckpointError or BundleError with one line for what is none of them.
    """
    with loading(path, "a causal LM"):
        model, tokenizer = _from_gguf(path) if path.is_file() else _from_directory(path)
    return Language(model.to(device()).eval(), tokenizer)


def _from_gguf(path: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # Our own tokenizer of it gives the ids that llama.cpp gives.
    vocabulary = vocabulary_from_gguf(read_gguf(path))
    with tempfile.TemporaryDirectory() as folder:
        write_tokenizer(vocabulary, Path(folder))
        tokenizer = AutoTokenizer.from_pretrained(folder)
    # Its bar asks nobody whether there is a terminal.
    with nullcontext() if sys.stderr.isatty() else redirect_stderr(io.StringIO()):
        model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=number_type())
    return model, tokenizer


def _from_directory(path: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from magicvl.mmproj.modeling import MagicVLForConditionalGeneration

    if not path.is_dir():
        raise CheckpointError(f"{path}: no such file or directory")
    ours = read_json(path / "config.json").get("model_type") == MagicVLConfig.model_type
    kind: Any = MagicVLForConditionalGeneration if ours else AutoModelForCausalLM
    model = kind.from_pretrained(path, dtype=number_type(), local_files_only=True)
    return model, AutoTokenizer.from_pretrained(path, local_files_only=True)
