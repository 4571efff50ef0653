"""A MagicVL checkpoint that is asked how surprising answers are: the losses of S_task. Needs torch."""

from pathlib import Path
from typing import Any

from magicvl.convert.checkpoint import read_json
from magicvl.edge.pixels import cut, open_picture
from magicvl.edge.plan import plan
from magicvl.edge.prompt import Pieces
from magicvl.errors import CheckpointError
from magicvl.mmproj.configuration import MagicVLConfig
from magicvl.mmproj.modeling import MagicVLForConditionalGeneration
from magicvl.mmproj.processing import MagicVLProcessor
from magicvl.train.complexity.answer_nats import answer_nats
from magicvl.train.complexity.conversation import Speech, encode
from magicvl.train.complexity.loading import device, loading, number_type
from magicvl.train.samples.sample import Sample


class Judge:
    """One model with its processor."""

    def __init__(self, model: MagicVLForConditionalGeneration, processor: MagicVLProcessor) -> None:
        self._model, self._processor = model, processor
        tokenizer: Any = processor.tokenizer
        self._speech = Speech(
            processor.text_ids,
            str(processor.chat_template),
            tokenizer.bos_token or "",
            tokenizer.eos_token or "",
            Pieces(**processor.picture_pieces),
            processor.image_token_id,
        )
        text: Any = model.config.get_text_config()
        self._context = int(text.max_position_embeddings)

    @property
    def parameters(self) -> int:
        """How large the model is."""
        return sum(weight.numel() for weight in self._model.parameters())

    def loss(self, sample: Sample) -> float | None:
        """Mean loss of the answers' tokens in nats, given pictures and prompts.

        None for a sample that is longer than the context or has no word of an answer. Raises PictureError for a
        picture that cannot be read, BundleError or UsageError where the chat template fails.
        """
        opened = [open_picture(picture) for picture in sample.pictures]
        plans = [plan(*picture.size, self._processor.grid) for picture in opened]
        encoded = encode(sample.turns, self._speech, plans)
        if len(encoded.ids) > self._context:
            return None
        tiles = [tile for picture, its in zip(opened, plans, strict=True) for tile in cut(picture, its)]
        patches = self._processor.patches(tiles) if tiles else {}
        seen = {name: values.to(self._model.device) for name, values in patches.items()}
        answers = answer_nats(self._model, encoded, **seen)
        tokens = sum(count for _, count in answers)
        return sum(nats for nats, _ in answers) / tokens if tokens else None


def load_judge(path: Path) -> Judge:
    """Loads a MagicVL checkpoint directory. Raises CheckpointError with one line for what is none."""
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such directory; --models takes MagicVL checkpoints")
    if (kind := read_json(path / "config.json").get("model_type")) != MagicVLConfig.model_type:
        raise CheckpointError(f"{path}: a model of type {kind!r}; --models takes MagicVL checkpoints")
    with loading(path, "a MagicVL checkpoint"):
        model: Any = MagicVLForConditionalGeneration.from_pretrained(path, dtype=number_type(), local_files_only=True)
        processor = MagicVLProcessor.from_pretrained(path, local_files_only=True)
    return Judge(model.to(device()).eval(), processor)
