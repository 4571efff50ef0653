"""A random small MagicVL that every lane tests with: its checkpoint, and the bundle we convert it to."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import CONFIG_MAPPING, PreTrainedTokenizerFast, Siglip2VisionConfig

from magicvl.convert.bundle import convert
from magicvl.edge.video import description
from magicvl.mmproj.configuration import MagicVLConfig
from magicvl.mmproj.modeling import MagicVLForConditionalGeneration
from magicvl.mmproj.processing import MagicVLProcessor

SPECIALS = (
    "<|user|>",
    "<|assistant|>",
    "<|end|>",
    "<|image_start|>",
    "<|image_end|>",
    "<|tile|>",
    "<|row|>",
    "<|image|>",
)
TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'user' %}<|user|>{{ m['content'] }}"
    "{% elif m['role'] == 'assistant' %}<|assistant|>{{ m['content'] }}<|end|>"
    "{% else %}{{ raise_exception('only user and assistant speak here') }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
LINES = [
    "a red circle above two blue squares on a green background",
    "What is in the picture? How many stars are there? There are three stars.",
    "the number on the sign reads 1905; the word is Straße, naïve, 東京 or Привет",
    "def answer(question: str) -> int:\n    return len(question) * 42\n",
]

# A job that a shell starts in the background ignores Ctrl-C, and so would every process that a test sends it to.
signal.signal(signal.SIGINT, signal.default_int_handler)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE vocabulary of 384 tokens that can spell any text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=384,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES * 4, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|end|>")
    fast.chat_template = TEMPLATE
    return fast


def decoder_fields(tokenizer: PreTrainedTokenizerFast) -> dict[str, object]:
    """The configuration of the small decoder: Llama, 128 wide, 2 layers, grouped heads."""
    return {
        "model_type": "llama",
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "intermediate_size": 256,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 8192,
        "rope_parameters": {"rope_type": "default", "rope_theta": 20000.0},
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
        "pad_token_id": None,
    }


def build_config(
    tokenizer: PreTrainedTokenizerFast,
    text: dict[str, object] | None = None,
    vision_width: int = 64,
    **fields: object,
) -> MagicVLConfig:
    """Encoder of 2 layers, decoder of `decoder_fields`; `text` changes the decoder's."""
    decoder = decoder_fields(tokenizer) | {"tie_word_embeddings": True} | (text or {})
    return MagicVLConfig(
        vision_config=Siglip2VisionConfig(
            hidden_size=vision_width,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=128,
            patch_size=16,
            num_patches=24 * 24,
            vision_use_head=False,
        ),
        text_config=CONFIG_MAPPING[str(decoder.pop("model_type"))](**decoder),
        **{
            "projector_hidden_size": 128,
            "image_token_id": tokenizer.convert_tokens_to_ids("<|image|>"),
            "tie_word_embeddings": decoder["tie_word_embeddings"],
        }
        | fields,
    )


def build_model(config: MagicVLConfig, seed: int = 0) -> MagicVLForConditionalGeneration:
    """Random weights, wide enough apart that a greedy answer is no tie and the picture decides it."""
    torch.manual_seed(seed)
    model = MagicVLForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("norm.weight") or "layernorm" in name or "layer_norm" in name:
                weight.normal_(1.0 if name.endswith("weight") else 0.0, 0.1)
            elif weight.ndim == 1:
                weight.normal_(0.0, 0.1)
            elif "position_embedding" in name:
                weight.normal_(0.0, 0.5)
            elif "embed_tokens" in name or "lm_head" in name:
                weight.normal_(0.0, 0.3)
                # Rows of unequal length: few tokens stand out, so the best one leads clearly.
                weight.mul_(torch.empty(len(weight), 1).log_normal_(0.0, 0.5))
            else:
                # What the decoder's layers add must outweigh a token itself, or each token repeats itself.
                adds = "language_model" in name and name.endswith(("o_proj.weight", "down_proj.weight"))
                weight.normal_(0.0, (8.0 if adds else 1.5) * weight.shape[1] ** -0.5)
    return model


@pytest.fixture(scope="session", autouse=True)
def few_threads() -> None:
    """Tests share the machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer()


@pytest.fixture(scope="session")
def tiny_decoder(tiny_tokenizer: PreTrainedTokenizerFast) -> dict[str, object]:
    """`decoder_fields`, for those who build models of other kinds around it. Do not change it."""
    return decoder_fields(tiny_tokenizer)


@pytest.fixture(scope="session")
def build_tiny(tiny_tokenizer: PreTrainedTokenizerFast) -> Callable[..., MagicVLForConditionalGeneration]:
    """Builds a random small model: a seed, and what shall differ from build_config's."""

    def build(seed: int = 0, **fields: Any) -> MagicVLForConditionalGeneration:
        return build_model(build_config(tiny_tokenizer, **fields), seed)

    return build


@pytest.fixture(scope="session")
def save_tiny(tiny_tokenizer: PreTrainedTokenizerFast) -> Callable[..., Path]:
    """Saves a model as a whole checkpoint, with processor and tokenizer, and gives its directory back."""

    def save(model: MagicVLForConditionalGeneration, directory: Path, **processor: Any) -> Path:
        model.save_pretrained(directory)
        tokenizer = processor.pop("tokenizer", tiny_tokenizer)
        MagicVLProcessor(tokenizer, **processor).save_pretrained(directory)
        return directory

    return save


@pytest.fixture(scope="session")
def tiny_checkpoint(
    tmp_path_factory: pytest.TempPathFactory,
    build_tiny: Callable[..., MagicVLForConditionalGeneration],
    save_tiny: Callable[..., Path],
) -> Path:
    """A MagicVL checkpoint directory with random weights. Do not write into it."""
    return save_tiny(build_tiny(), tmp_path_factory.mktemp("tiny") / "checkpoint")


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """The bundle of `tiny_checkpoint`: mmproj in F32, decoder in F16. Do not write into it."""
    target = tmp_path_factory.mktemp("tiny") / "bundle"
    convert(tiny_checkpoint, target, llm_type="F16", mmproj_type="F32")
    return target


@pytest.fixture(scope="session")
def make_picture() -> Callable[..., Image.Image]:
    """Pictures of any size with structure at several scales; the same seed gives the same picture."""

    def make(width: int, height: int, seed: int = 0) -> Image.Image:
        random = np.random.default_rng(seed)
        coarse = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
        noise = random.integers(-24, 25, (height, width, 3))
        return Image.fromarray(np.clip(smooth.astype(int) + noise, 0, 255).astype(np.uint8))

    return make


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """A form so small that a model which has not learned it comes to an end within it."""
    for name, value in {"SUBJECTS": 1, "ATTRIBUTES": 1, "ACTIONS": 1}.items():
        monkeypatch.setattr(description, f"MOST_{name}", value)
    monkeypatch.setattr(description, "MOST_WORDS_CHARACTERS", 2)
    monkeypatch.setattr(description, "MOST_CAPTION_CHARACTERS", 4)
