"""What names a source of samples: `llava:FILE.json`, `webdataset:SHARDS`, `hf:FOLDER`, `generated:NAMES`.

Options stand behind a question mark: `llava:notes.jsonl?pictures=scans&category=ocr&source=notes`.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

from magicvl.errors import UsageError
from magicvl.train.samples.sample import CATEGORIES, Category

KINDS = ("llava", "webdataset", "hf", "generated")
OPTIONS = ("pictures", "category", "source", "prompt")
PROMPT = "Describe this picture."
"""Asked about pictures that come with a caption alone."""


_PATTERN = re.compile(r"[*?\[{]|\.(?:jsonl?|tar)$")


@dataclass(frozen=True)
class Defaults:
    """What rows are taken for that do not say it themselves."""

    category: Category | None = None
    """None: `vqa` with pictures, `text` without."""
    source: str = ""
    """The dataset's name; empty for that of its file or folder."""
    prompt: str = PROMPT
    """Of rows that have a caption or a text alone."""
    pictures: Path | None = None
    """The folder that pictures' names are looked up in; None for the one that the rows lie in."""


@dataclass(frozen=True)
class Spec:
    """A source as it was named."""

    kind: str
    place: str
    """A file, shards, a folder, or names of generated datasets."""
    defaults: Defaults

    @property
    def source(self) -> str:
        """The dataset's name."""
        if self.defaults.source:
            return self.defaults.source
        # Of shards, what stands before the first glob or brace; of `*.tar`, their folder.
        parts = [_PATTERN.split(part)[0].strip("-_. ") for part in Path(self.place).parts]
        return next((part for part in reversed(parts) if part), self.kind)

    def named(self) -> Defaults:
        """The defaults with the dataset's name."""
        return replace(self.defaults, source=self.source)


def parse_spec(text: str) -> Spec:
    """The source that a text names. Raises UsageError."""
    kind, colon, rest = text.partition(":")
    if kind not in KINDS or not colon:
        raise UsageError(f"{text!r} names no samples: give {', '.join(f'{kind}:...' for kind in KINDS)}")
    place, question, given = rest.partition("?")
    # Globs have question marks too; options always have an equals sign.
    if question and "=" not in given:
        place, given = rest, ""
    if not place:
        raise UsageError(f"{text!r}: nothing is named behind {kind}:")
    options = _options(text, given)
    if kind == "generated" and options:
        raise UsageError(f"{text!r}: generated samples know their category and source; drop {', '.join(options)}")
    return Spec(kind, place, _defaults(text, options))


def _options(text: str, given: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in filter(None, given.split("&")):
        name, equals, value = part.partition("=")
        if name not in OPTIONS or not equals or not value:
            raise UsageError(f"{text!r}: {part!r} is no option; there are {', '.join(f'{each}=' for each in OPTIONS)}")
        if name in options:
            raise UsageError(f"{text!r}: {name}= is given twice")
        options[name] = unquote(value)
    return options


def _defaults(text: str, options: dict[str, str]) -> Defaults:
    category = options.get("category")
    if category is not None and category not in CATEGORIES:
        raise UsageError(f"{text!r}: category {category!r}; there are {', '.join(CATEGORIES)}")
    folder = options.get("pictures")
    return Defaults(
        category,
        options.get("source", ""),
        options.get("prompt", PROMPT),
        None if folder is None else Path(folder),
    )
