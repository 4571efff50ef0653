"""Reading a configuration without stopping at its first problem.

All problems are collected before anything is raised: nobody should have to convert five times to learn five
things.
"""

import math
from collections.abc import Mapping
from typing import Any


class Reader:
    """One JSON object: gives numbers, and notes what is missing or of the wrong kind instead of raising."""

    def __init__(self, name: str, data: object, problems: list[str]) -> None:
        self.name, self.problems = name, problems
        self.data: Mapping[str, Any] = data if isinstance(data, Mapping) else {}
        if self.data is not data:
            problems.append(f"{name} is {data!r}, an object is due")

    def part(self, key: str) -> "Reader":
        """The object under a key."""
        value = self.data.get(key)
        if not isinstance(value, dict):
            self.problems.append(f"{self.name} lacks the object {key}")
            value = {}
        return Reader(f"{self.name}: {key}", value, self.problems)

    def whole(self, key: str, default: int | None = None) -> int:
        """A positive whole number."""
        value = self.data.get(key)
        value = default if value is None else value
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            self.problems.append(f"{self.name}: {key} is {value!r}, a positive whole number is due")
            return 1
        return value

    def token(self, key: str) -> int | None:
        """The id of a token, which may be 0."""
        value = self.data.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            self.problems.append(f"{self.name}: {key} is {value!r}, the id of a token is due")
            return None
        return value

    def real(self, key: str, default: float | None = None) -> float:
        """A positive number."""
        value = self.data.get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
            self.problems.append(f"{self.name}: {key} is {value!r}, a positive number is due")
            return 1.0
        return float(value)

    def demand(self, key: str, due: object, default: object) -> None:
        """Notes a value that the runtime's graph cannot compute."""
        if (value := self.data.get(key, default)) != due:
            self.problems.append(f"{self.name}: {key} is {value!r}, the runtime computes {due!r}")
