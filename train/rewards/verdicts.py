"""Verdicts that are kept on disk, so that no question is asked twice and a run that was killed goes on.

A verdict belongs to the model, the whole conversation and the words it could say: another prompt is another question.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from magicvl.errors import UsageError
from magicvl.train.rewards.chooser import Chooser, Question

AT_ONCE = 64
"""Questions that are asked before their verdicts are kept: what a kill can cost."""


class KeptVerdicts:
    """A chooser that remembers. Close it, or use it in a `with`."""

    def __init__(self, chooser: Chooser, folder: Path) -> None:
        """Opens or makes the folder, which several processes may share. Raises UsageError where it can't be written."""
        import diskcache

        self._chooser = chooser
        try:
            self._kept = diskcache.Cache(str(folder), disk=diskcache.JSONDisk, eviction_policy="none")
        except Exception as error:  # diskcache passes on what files and SQLite say
            raise UsageError(f"{folder}: verdicts can't be kept there ({error})") from None

    @property
    def name(self) -> str:
        """The model's."""
        return self._chooser.name

    def close(self) -> None:
        """Lets go of the folder."""
        self._kept.close()

    def __enter__(self) -> "KeptVerdicts":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def choose(self, questions: Sequence[Question]) -> list[tuple[float, ...]]:
        """Shares of each question's words; only new questions are asked, each once."""
        keys = [_key(self._chooser.name, question) for question in questions]
        known = {key: self._get(key, question) for key, question in zip(keys, questions, strict=True)}
        new = {key: each for key, each in zip(keys, questions, strict=True) if known[key] is None}
        for first in range(0, len(new), AT_ONCE):
            part = list(new.items())[first : first + AT_ONCE]
            for (key, _), shares in zip(part, self._chooser.choose([each for _, each in part]), strict=True):
                known[key] = shares
                self._kept.set(key, list(shares))
        return [known[key] or () for key in keys]

    def _get(self, key: str, question: Question) -> tuple[float, ...] | None:
        found: Any = self._kept.get(key)
        whole = isinstance(found, list) and len(found) == len(question.words)
        return tuple(map(float, found)) if whole else None


def _key(name: str, question: Question) -> str:
    said = [(message.role, message.parts) for message in question.messages]
    return hashlib.sha256(json.dumps([name, said, question.words]).encode()).hexdigest()
