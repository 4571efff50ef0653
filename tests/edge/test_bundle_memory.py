"""A bundle that does not fit is refused in one line before it is loaded, and the line's ways out are true."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import pytest

from magicvl.convert.bundle import convert
from magicvl.edge.bundle import Bundle, read_bundle
from magicvl.edge.calibration import Calibration, Memory
from magicvl.edge.calibration_file import save_calibration
from magicvl.edge.decoding import BATCH, KEY_TYPES
from magicvl.edge.engine import Engine
from magicvl.edge.free_memory import VARIABLE
from magicvl.edge.gguf_check import GgufFile, Tensor, read_gguf
from magicvl.edge.memory import KEY_BITS, check_context, check_memory, first_context, needed_memory, token_bytes
from magicvl.edge.threads import thread_counts
from magicvl.edge.timing import resident
from magicvl.errors import EngineError

Halves = tuple[Bundle, GgufFile, GgufFile]


@pytest.fixture(autouse=True)
def nothing_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(VARIABLE, raising=False)


def halves(directory: Path) -> Halves:
    bundle = read_bundle(directory)
    return bundle, read_gguf(bundle.path("llm")), read_gguf(bundle.path("mmproj"))


def large(llm: GgufFile, factor: int) -> GgufFile:
    """The header of a decoder with `factor` times the weights in F16."""
    tensors = {
        name: Tensor(name, (*each.shape, factor), "F16", each.offset, 2 * factor * prod(each.shape))
        for name, each in llm.tensors.items()
    }
    return replace(llm, tensors=tensors)


def test_every_type_of_keys_is_known() -> None:
    assert set(KEY_BITS) == set(KEY_TYPES)


def test_keys_and_values_are_counted_as_llama_cpp_makes_them(tiny_bundle: Path) -> None:
    _, llm, _ = halves(tiny_bundle)
    with Engine(tiny_bundle, threads=1) as engine:
        sizes = []
        for tokens in (64, 128):
            with engine.make_context(512, 1) as context:
                context.push_tokens([5] * tokens)
                sizes.append(context.state_size(0))
    scores = 4 * 4 * BATCH
    assert token_bytes(llm) - scores == pytest.approx((sizes[1] - sizes[0]) / 64, rel=0.1)
    assert token_bytes(llm, "q8_0") < token_bytes(llm)


def test_layers_without_keys_take_none(tiny_bundle: Path) -> None:
    _, llm, _ = halves(tiny_bundle)
    counts = {"llama.attention.head_count_kv": (0, 2)}
    half = replace(llm, metadata={**llm.metadata, **counts})
    scores = 4 * 4 * BATCH
    assert 2 * (token_bytes(half) - scores) == token_bytes(llm) - scores
    assert token_bytes(replace(llm, metadata={})) >= 0


def test_just_enough_is_enough(tiny_bundle: Path) -> None:
    bundle, llm, mmproj = halves(tiny_bundle)
    need = needed_memory(bundle, llm)
    assert need.tokens == first_context(bundle.lock) == 512
    assert need.total > sum(entry.size for entry in bundle.lock.files.values())
    check_memory(bundle, llm, mmproj, free=need.total)
    with pytest.raises(EngineError, match=r" needs about .* are free: ") as refused:
        check_memory(bundle, llm, mmproj, free=need.total - 1)
    assert "\n" not in str(refused.value)


def test_the_context_that_is_proposed_fits(tiny_bundle: Path) -> None:
    bundle, llm, mmproj = halves(tiny_bundle)
    free = needed_memory(bundle, llm, 3000).total
    with pytest.raises(EngineError) as refused:
        check_memory(bundle, llm, mmproj, 8192, free=free)
    found = re.search(r"take a context of ([\d,]+) tokens", str(refused.value))
    assert found is not None
    proposed = int(found[1].replace(",", ""))
    assert proposed == 2560
    check_memory(bundle, llm, mmproj, proposed, free=free)


def test_the_type_that_is_proposed_is_the_widest_that_fits(tiny_bundle: Path) -> None:
    bundle, llm, mmproj = halves(tiny_bundle)
    llm = large(llm, 1000)
    size = sum(tensor.size for tensor in llm.tensors.values())
    files = {**bundle.lock.files, "llm": replace(bundle.lock.files["llm"], size=size)}
    bundle = replace(bundle, lock=replace(bundle.lock, files=files))
    total = needed_memory(bundle, llm).total

    def said(saved: float) -> str:
        with pytest.raises(EngineError) as refused:
            check_memory(bundle, llm, mmproj, free=round(total - saved * size))
        return str(refused.value)

    # F16 is 16 bits: Q8_0 saves 0.47 of the size, Q6_K 0.59, Q4_K_M 0.69.
    assert "--llm-type Q8_0 (about" in said(0.46)
    assert "--llm-type Q6_K (about" in said(0.5)
    assert "--llm-type Q4_K_M (about" in said(0.67)
    assert "smaller model" in said(0.9) and "--llm-type" not in said(0.9)
    # A file of an installed package cannot be converted again.
    entry = replace(files["llm"], package="somewhere")
    bundle = replace(bundle, lock=replace(bundle.lock, files={**files, "llm": entry}))
    assert "--llm-type" not in said(0.46)


def test_the_type_that_is_proposed_loads(
    tmp_path: Path, build_tiny: Callable[..., Any], save_tiny: Callable[..., Path]
) -> None:
    # One wide enough that its weights outweigh the rest.
    text = {"hidden_size": 256, "intermediate_size": 4096, "head_dim": 64, "num_hidden_layers": 4}
    checkpoint = save_tiny(build_tiny(text=text), tmp_path / "checkpoint")
    convert(checkpoint, tmp_path / "wide", llm_type="F16", mmproj_type="F32")
    bundle, llm, mmproj = halves(tmp_path / "wide")
    free = needed_memory(bundle, llm).total - 5 * 2**20
    with pytest.raises(EngineError) as refused:
        check_memory(bundle, llm, mmproj, free=free)
    found = re.search(r"--llm-type (\S+)", str(refused.value))
    assert found is not None
    convert(checkpoint, tmp_path / "narrow", llm_type=found[1], mmproj_type="F32")
    check_memory(*halves(tmp_path / "narrow"), free=free)


def test_a_measured_machine_is_believed(tiny_bundle: Path) -> None:
    bundle, llm, _ = halves(tiny_bundle)
    estimated = needed_memory(bundle, llm, 1024)
    # Most of what this process has is not the bundle's.
    there = resident() or 0
    memory = Memory(loaded=there, working=there + 10**6, token=1000.0)
    count = thread_counts()[0]
    made = Calibration(count, ((count, 1.0),), ((1, 1.0),), ((1, 1.0),), 0.0, 1.0, {"PNG": 1.0}, 0.0, 0.0, 0.0, memory)
    save_calibration(bundle.lock, None, made)
    need = needed_memory(bundle, llm, 1024)
    assert need.token == 1000.0 and need.fixed < estimated.fixed
    # Pages that were mapped to be copied are resident and need not be.
    save_calibration(bundle.lock, None, replace(made, memory=replace(memory, working=10**12)))
    assert needed_memory(bundle, llm, 1024).fixed == estimated.fixed


def test_a_context_that_would_not_fit_is_not_made(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, llm, _ = halves(tiny_bundle)
    with Engine(tiny_bundle, threads=1) as engine:
        monkeypatch.setenv(VARIABLE, "8")
        with pytest.raises(EngineError, match=r"a context of 8,192 tokens takes about .* 8 MiB are free"):
            engine.make_context(8192, 1)
        # What fits is answered all the same.
        assert engine.ask([], "what is it?", max_tokens=2) is not None
    check_context(token_bytes(llm), 10**6, free=10**12)
    check_context(2.0, 1000, adapter=500, free=2500)
    with pytest.raises(EngineError, match="with its adapter takes"):
        check_context(2.0, 1000, adapter=501, free=2500)


def test_the_command_refuses_in_one_line(
    tiny_bundle: Path, make_picture: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_picture(64, 64).save(tmp_path / "picture.png")
    monkeypatch.setenv(VARIABLE, "2")
    command = [sys.executable, "-m", "magicvl", "ask", str(tmp_path / "picture.png"), "-p", "what?"]
    done = subprocess.run(
        [*command, "--model", str(tiny_bundle)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "2 MiB are free" in done.stderr


def test_a_machine_without_proc_refuses_nothing(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, llm, mmproj = halves(tiny_bundle)
    monkeypatch.setattr("magicvl.edge.memory.free_memory", lambda: None)
    check_memory(bundle, llm, mmproj, 8192)
    check_context(token_bytes(llm), 10**9)
