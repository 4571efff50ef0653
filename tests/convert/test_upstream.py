"""Our LLM file against the one that llama.cpp's own converter writes from the same decoder.

Its source is found by MAGICVL_LLAMA_CPP_SOURCE (a directory with convert_hf_to_gguf.py), or comes in the source
archive of the installed llama-cpp-python, which pip downloads once.
"""

import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from magicvl.convert.bundle import convert
from magicvl.mmproj.modeling import MagicVLForConditionalGeneration

# Upstream knows a pre-tokenizer by a hash of what it does to one text, and so only published ones; the rest of the
# converter is its own.
# One process serves all conversions: most of each would be the imports.
DRIVER = """
import json, runpy, sys
source = sys.argv[1]
sys.path.insert(0, source)
from conversion.base import TextModel
def no_such_model(self, *arguments):
    raise FileNotFoundError("tokenizer.model")
# It would import the sentencepiece package before it looks whether there is such a model.
TextModel._set_vocab_sentencepiece = no_such_model
recognise = TextModel.get_vocab_base_pre
for line in sys.stdin:
    pre, *arguments = json.loads(line)
    TextModel.get_vocab_base_pre = (lambda self, tokenizer: pre) if pre else recognise
    sys.argv = [source + "/convert_hf_to_gguf.py", *arguments]
    runpy.run_path(sys.argv[0], run_name="__main__")
    print("done", flush=True)
"""
NAMES = {"general.name", "general.basename", "general.finetune", "general.version"}
"""What upstream guesses from the directory's name."""
EXPLICIT = {"tokenizer.ggml.add_bos_token": False}
"""What our file always says, and upstream's only where the tokenizer's files say it: the runtime's default."""
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"attention_bias": True},
    "llama, untied": {"tie_word_embeddings": False},
    "qwen2": {"model_type": "qwen2"},
    "qwen3": {"model_type": "qwen3", "head_dim": 64},
    "lfm2": {
        "model_type": "lfm2",
        "num_hidden_layers": 3,
        "layer_types": ["conv", "full_attention", "conv"],
        "intermediate_size": 390,
        "block_multiple_of": 32,
        "pad_token_id": None,
    },
    "lfm2, untied": {
        "model_type": "lfm2",
        "layer_types": ["full_attention", "conv"],
        "block_auto_adjust_ff_dim": False,
        "conv_L_cache": 4,
        "norm_eps": 1e-6,
        "pad_token_id": None,
        "tie_word_embeddings": False,
    },
}


class Upstream:
    """llama.cpp's converter at work."""

    def __init__(self, source: Path, log: Path) -> None:
        self._source, self._log = source, log
        self._process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        with self._log.open("w") as errors:
            return subprocess.Popen(
                [sys.executable, "-c", DRIVER, str(self._source)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=self._log.parent,
            )

    def convert(self, place: Path, kind: str, pre: str = "") -> Path:
        """The file it makes of a checkpoint; `pre` names the pre-tokenizer where it would not know it."""
        path = place.with_suffix(f".{kind}.gguf")
        if self._process.poll() is not None:
            # One conversion that failed must not fail the next.
            self.close()
            self._process = self._start()
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([pre, str(place), "--outfile", str(path), "--outtype", kind]) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n", self._log.read_text()[-2000:]
        return path

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory, llama_cpp_source: Path) -> Iterator[Upstream]:
    """The converter of the installed runtime's version."""
    worker = Upstream(llama_cpp_source, tmp_path_factory.mktemp("upstream") / "log")
    yield worker
    worker.close()


def text_only(model: MagicVLForConditionalGeneration, checkpoint: Path, place: Path) -> Path:
    """The decoder of a MagicVL checkpoint as a checkpoint of its own, with the same tokenizer."""
    decoder = AutoModelForCausalLM.from_config(model.config.text_config)
    decoder.model.load_state_dict(model.model.language_model.state_dict())
    decoder.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.data)
    decoder.tie_weights()
    decoder.to(model.dtype).save_pretrained(place)
    for file in checkpoint.glob("*token*"):
        shutil.copy(file, place)
    for name in ("chat_template.jinja", "generation_config.json"):
        shutil.copy(checkpoint / name, place)
    return place


def compare(ours: Path, theirs: Path) -> None:
    """The same keys and values but for names; the same tensors to the byte, under the same names."""
    a, b = gguf.GGUFReader(ours), gguf.GGUFReader(theirs)
    keys = [
        {
            key: field.contents()
            for key, field in reader.fields.items()
            if key not in NAMES and not key.startswith("GGUF.")
        }
        for reader in (a, b)
    ]
    keys[1] = EXPLICIT | keys[1]
    differences = {key for key in keys[0].keys() | keys[1].keys() if keys[0].get(key) != keys[1].get(key)}
    assert not differences, {key: [str(side.get(key))[:100] for side in keys] for key in differences}
    tensors = [{tensor.name: tensor for tensor in reader.tensors} for reader in (a, b)]
    assert tensors[0].keys() == tensors[1].keys()
    for name, tensor in tensors[0].items():
        other = tensors[1][name]
        assert (tensor.tensor_type, list(tensor.shape)) == (other.tensor_type, list(other.shape)), name
        assert np.array_equal(tensor.data.view(np.uint8), other.data.view(np.uint8)), name


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_same_file(
    family: str,
    dtype: torch.dtype,
    upstream: Upstream,
    build_tiny: Callable[..., Any],
    save_tiny: Callable[..., Path],
    tiny_tokenizer: Any,
    tmp_path: Path,
) -> None:
    # transformers gives every Qwen2 tokenizer this token, and more rows than the model has where it was missing.
    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.add_special_tokens({"unk_token": "<|endoftext|>"})
    model = build_tiny(text={"vocab_size": len(tokenizer), **FAMILIES[family]}).to(dtype)
    if family.startswith(("qwen2", "lfm2")):
        # No Qwen2 and no LFM2 says it: 32, the width over the heads.
        del model.config.text_config.head_dim
    checkpoint = save_tiny(model, tmp_path / "checkpoint", tokenizer=tokenizer)
    generation = json.loads((checkpoint / "generation_config.json").read_text())
    generation |= {"do_sample": True, "top_k": 20, "top_p": 0.8, "temperature": 0.7, "repetition_penalty": 1.05}
    (checkpoint / "generation_config.json").write_text(json.dumps(generation))
    place = text_only(model, checkpoint, tmp_path / "decoder")
    for kind in ("f16", "bf16") if dtype is torch.bfloat16 else ("f16", "f32"):
        convert(checkpoint, tmp_path / kind, llm_type=kind.upper())
        compare(tmp_path / kind / "llm.gguf", upstream.convert(place, kind, "smollm"))
