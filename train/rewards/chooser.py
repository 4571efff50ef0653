"""A language model that answers with one of some words: the only thing a judge is ever asked to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from magicvl.edge.prompt import Message


@dataclass(frozen=True)
class Question:
    """A conversation that ends where one of the words has to come."""

    messages: tuple[Message, ...]
    words: tuple[str, ...]


class Chooser(Protocol):
    """A GGUF file or an endpoint."""

    @property
    def name(self) -> str:
        """Stands for the weights: what verdicts are kept under."""

    def choose(self, questions: Sequence[Question]) -> list[tuple[float, ...]]:
        """Shares of each question's words, adding up to 1. Raises MagicVLError."""
