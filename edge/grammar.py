"""What an answer must look like: JSON of a schema, one of some choices, or a match of a regular expression.

`make_grammar` makes it a grammar in GBNF, which llama.cpp follows token by token (magicvl.edge.picking).
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from magicvl.edge.gbnf import Rules, Spelling
from magicvl.edge.json_schema import add_schema
from magicvl.edge.regex import automaton_of
from magicvl.errors import EngineError, UsageError

Schema = Mapping[str, Any] | str | os.PathLike[str]
"""A JSON Schema, or the path of a file that holds one."""

MOST_CHOICES = 1_000
MOST_CHOICE_CHARACTERS = 10_000
"""Of all choices together."""
MOST_SCHEMA_BYTES = 256 * 1024


@dataclass(frozen=True)
class Grammar:
    """The texts that an answer may be."""

    kind: Literal["schema", "choices", "regex"]
    gbnf: str
    """As llama.cpp reads it; its first rule is `root`."""

    def value(self, text: str) -> object:
        """What a whole answer means: for a schema the parsed JSON, else the text itself."""
        if self.kind != "schema":
            return text
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise EngineError(f"the answer of {len(text):,} characters cannot be read as JSON: {error}") from error


def make_grammar(
    schema: Schema | None = None, choices: Sequence[str] | None = None, regex: str | None = None
) -> Grammar | None:
    """The grammar of whichever of the three is given; None without any.

    Raises UsageError for more than one, and for what is invalid, not supported, or too large.
    """
    given = {"schema": schema, "choices": choices, "regex": regex}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise UsageError(f"{' and '.join(names)} at once: an answer can follow only one of them")
    rules = Rules()
    if schema is not None:
        return _of_schema(schema, rules)
    if choices is not None:
        return _of_choices(choices, rules)
    if regex is not None:
        automaton = automaton_of(_text("regex", regex))
        return Grammar("regex", rules.to_gbnf(rules.automaton(automaton, Spelling())))
    return None


def _of_schema(schema: Schema, rules: Rules) -> Grammar:
    try:
        return Grammar("schema", rules.to_gbnf(add_schema(read_schema(schema), rules)))
    except UsageError as error:
        raise UsageError(f"schema: {error}") from error


def read_schema(schema: Schema) -> dict[str, Any]:
    """A schema as data, read from its file where a path is given. Raises UsageError."""
    if isinstance(schema, Mapping):
        return dict(schema)
    if not isinstance(schema, str | os.PathLike):
        raise UsageError(f"a schema that is a {type(schema).__name__}: give a dictionary, or the path of a file")
    found = _read(Path(schema))
    if not isinstance(found, dict):
        raise UsageError(f"schema {schema}: the file holds {type(found).__name__}, a schema is an object")
    return found


def _read(path: Path) -> object:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_SCHEMA_BYTES + 1)
    except OSError as error:
        raise UsageError(f"schema {path}: {error.strerror or error}") from error
    if len(data) > MOST_SCHEMA_BYTES:
        raise UsageError(f"schema {path}: more than {MOST_SCHEMA_BYTES:,} bytes, make it smaller")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"schema {path}: no JSON ({error})") from error


def _of_choices(choices: Sequence[str], rules: Rules) -> Grammar:
    if isinstance(choices, str):
        raise UsageError(f"choices {choices!r}: give a list of texts")
    if not 1 <= len(choices) <= MOST_CHOICES:
        raise UsageError(f"{len(choices):,} choices: it must be 1 to {MOST_CHOICES:,}")
    seen: set[str] = set()
    for choice in choices:
        if _text("choice", choice) in seen:
            raise UsageError(f"the choice {choice!r} is given twice")
        seen.add(choice)
    length = sum(map(len, choices))
    if length > MOST_CHOICE_CHARACTERS:
        raise UsageError(f"choices of {length:,} characters in all: at most {MOST_CHOICE_CHARACTERS:,}")
    return Grammar("choices", rules.to_gbnf(rules.words(choices)))


def _text(name: str, text: object) -> str:
    """A text that an answer could be, at least as characters go."""
    if not isinstance(text, str) or not text:
        raise UsageError(f"the {name} {text!r}: it must be a text that is not empty")
    if "\0" in text or any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        raise UsageError(f"the {name} {text!r} holds what no answer can: NUL, or half a character")
    return text
