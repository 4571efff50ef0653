"""A decoder that an installed package carries: the bundle names it instead of holding a second copy.

It must be the checkpoint's very own, number for number and word for word: encoder and adapter were trained on it.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from magicvl.convert.loss import Loss
from magicvl.convert.vocabulary import Vocabulary
from magicvl.edge.bundle import FileEntry, sha256
from magicvl.edge.gguf_check import GgufFile
from magicvl.errors import CheckpointError, UsageError

SHOWN = 3
"""Tensors that a message names."""
ROUNDING = 1e-6
"""Relative error that two ways to compute the same numbers may have between them."""


def package_folder(package: str) -> Path:
    """Where an installed package lies. Raises UsageError."""
    # A dotted name would make find_spec import its parent.
    spec = find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(f"--llm-package {package}: no such package is installed")
    return Path(spec.submodule_search_locations[0])


def package_gguf(package: str) -> Path:
    """The one GGUF file of an installed package. Raises UsageError."""
    files = sorted(package_folder(package).rglob("*.gguf"))
    if len(files) != 1:
        raise UsageError(f"--llm-package {package}: it has {len(files)} GGUF files, one is wanted")
    return files[0]


def package_entry(package: str) -> FileEntry:
    """What the lock says of the package's file. Raises UsageError."""
    path = package_gguf(package)
    relative = path.relative_to(package_folder(package)).as_posix()
    return FileEntry(relative, path.stat().st_size, sha256(path), package)


def check_decoder(llm: GgufFile, vocabulary: Vocabulary, found: Sequence[Loss]) -> None:
    """Whether a file is the checkpoint's decoder; `found` is how far its tensors are from the checkpoint's.

    Raises CheckpointError that names what differs.
    """
    problems = []
    tokens = llm.metadata.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, Sequence) or list(tokens) != vocabulary.tokens:
        problems.append(f"its vocabulary is not that of {len(vocabulary.tokens):,} tokens there")
    if llm.metadata.get("tokenizer.chat_template") != vocabulary.chat_template:
        problems.append("it has another chat template")
    if changed := [f"{loss.name} by {100 * loss.error:.3g} %" for loss in found if loss.error > ROUNDING]:
        more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        problems.append(f"it differs in {', '.join(changed[:SHOWN])}{more}; train the decoder by an adapter")
    if problems:
        raise CheckpointError(f"{llm.path}: not the checkpoint's decoder: {'; '.join(problems)}")
