"""What several modules here share: weights, and llama.cpp's own converter to compare files with.

Its source is found by MAGICVL_LLAMA_CPP_SOURCE (a directory with convert_hf_to_gguf.py), or comes in the source
archive of the installed llama-cpp-python, which pip downloads once.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping, Set
from importlib.metadata import version
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from torch import nn

from magicvl.edge import timing
from magicvl.edge.bundle import read_bundle
from magicvl.edge.calibrate import calibrate
from magicvl.edge.pixels import Header
from magicvl.edge.plan import plan
from magicvl.edge.prediction import predict

SCRIPT = "convert_hf_to_gguf.py"
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
COUNTED = {"general.size_label"}
"""What upstream counts, and our file of an encoder does not say."""
EXPLICIT = {"tokenizer.ggml.add_bos_token": False}
"""What our file always says, and upstream's only where the tokenizer's files say it: the runtime's default."""


@pytest.fixture(scope="session")
def spread() -> Callable[[nn.Module], nn.Module]:
    """Gives a model random weights, wide enough apart that a greedy answer is no tie."""

    def weights(model: nn.Module) -> nn.Module:
        torch.manual_seed(0)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "norm" in name or ".ln" in name:
                    weight.normal_(1.0 if name.endswith("weight") else 0.0, 0.1)
                elif weight.ndim == 1:
                    weight.normal_(0.0, 0.1)
                elif "position" in name:
                    weight.normal_(0.0, 0.5)
                elif "embed_tokens" in name or "head.weight" in name or "token_embedding" in name:
                    weight.normal_(0.0, 0.3).mul_(torch.empty(len(weight), 1).log_normal_(0.0, 0.5))
                else:
                    weight.normal_(0.0, 1.5 * weight[0].numel() ** -0.5)
        return model.eval()

    return weights


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

    def check_llm(self, ours: Path, place: Path, kind: str, pre: str) -> None:
        """That our file is the one it makes of a decoder; `pre` names the pre-tokenizer, which it would not know."""
        compare(ours, self._convert(pre, place, kind), NAMES, EXPLICIT)

    def check_mmproj(self, ours: Path, place: Path, kind: str) -> None:
        """That our file is the one it makes of a checkpoint's encoder."""
        compare(ours, self._convert("", place, kind, "--mmproj"), NAMES | COUNTED, {})

    def _convert(self, pre: str, place: Path, kind: str, *flags: str) -> Path:
        path = place.with_suffix(f".{kind}.gguf")
        if self._process.poll() is not None:
            # One conversion that failed must not fail the next.
            self.close()
            self._process = self._start()
        assert self._process.stdin is not None and self._process.stdout is not None
        order = [pre, str(place), "--outfile", str(path), "--outtype", kind, *flags]
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n", self._log.read_text()[-2000:]
        return path

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()


def compare(ours: Path, theirs: Path, names: Set[str], explicit: Mapping[str, object]) -> None:
    """The same keys and values but for `names`; the same tensors to the byte, under the same names.

    `explicit` is what our file says, and theirs may leave out.
    """
    readers = [gguf.GGUFReader(path) for path in (ours, theirs)]
    keys = [
        {
            key: field.contents()
            for key, field in reader.fields.items()
            if key not in names and not key.startswith("GGUF.")
        }
        for reader in readers
    ]
    keys[1] = {**explicit, **keys[1]}
    differences = {key for key in keys[0].keys() | keys[1].keys() if keys[0].get(key) != keys[1].get(key)}
    assert keys[0] == keys[1], {key: [str(side.get(key))[:100] for side in keys] for key in differences}
    tensors = [{tensor.name: tensor for tensor in reader.tensors} for reader in readers]
    assert tensors[0].keys() == tensors[1].keys()
    for name, tensor in tensors[0].items():
        other = tensors[1][name]
        assert (tensor.tensor_type, list(tensor.shape)) == (other.tensor_type, list(other.shape)), name
        assert np.array_equal(tensor.data.view(np.uint8), other.data.view(np.uint8)), name


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory, llama_cpp_source: Path) -> Iterator[Upstream]:
    """The converter of the installed runtime's version."""
    worker = Upstream(llama_cpp_source, tmp_path_factory.mktemp("upstream") / "log")
    yield worker
    worker.close()


@pytest.fixture(scope="session")
def llama_cpp_source() -> Path:
    """The directory of llama.cpp's converter; skips where there is none to be had."""
    if given := os.environ.get("MAGICVL_LLAMA_CPP_SOURCE"):
        if not (Path(given) / SCRIPT).is_file():
            pytest.skip(f"MAGICVL_LLAMA_CPP_SOURCE={given}: no {SCRIPT} there")
        return Path(given)
    name = f"llama-cpp-python=={version('llama-cpp-python')}"
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "magicvl" / name.replace("==", "-")
    if not (cache / SCRIPT).is_file():
        _download(name, cache)
    return cache


def _download(name: str, cache: Path) -> None:
    """The converter out of a source archive; skips where there is none to be had."""
    partial = cache.with_name(f"{cache.name}.{os.getpid()}")
    flags = ["--no-binary", ":all:", "--no-deps", "--quiet", "--dest", str(partial)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", *flags, name], capture_output=True, text=True, check=False
    )
    archives = list(partial.glob("*.tar.gz"))
    if done.returncode or not archives:
        shutil.rmtree(partial, ignore_errors=True)
        pytest.skip(f"no source archive of {name}: {done.stderr.strip()[-200:]}; set MAGICVL_LLAMA_CPP_SOURCE")
    with tarfile.open(archives[0]) as archive:
        wanted = ("convert_hf_to_gguf.py", "conversion/", "gguf-py/")
        for member in archive:
            inside = member.name.partition("/vendor/llama.cpp/")[2]
            if member.isfile() and inside.startswith(wanted):
                archive.extract(member.replace(name=inside), partial, filter="data")
    archives[0].unlink()
    partial.rename(cache)


@pytest.fixture
def check_prediction(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Measures a bundle, as quickly as can be, and looks whether more is predicted for more."""
    monkeypatch.setattr(timing, "REPEAT_SECONDS", 0.0)

    def check(bundle: Path) -> None:
        found = calibrate(bundle, threads=1)
        lock = read_bundle(bundle).lock
        assert 1 <= found.tile[0][0] <= found.tile[-1][0] <= lock.grid.tile_tokens
        assert found.push[0][0] == 1
        few, many = (predict(found, lock, [Header(*size)], [plan(*size, lock.grid)]) for size in ((20, 20), (900, 700)))
        assert 0 < few.encode_s < many.encode_s and 0 < few.prefill_s <= many.prefill_s

    return check
