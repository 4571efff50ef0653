"""What a conversion costs: peak resident memory and CPU seconds of each step, and CPU beside llama.cpp's own converter.

    python -m magicvl.bench.convert_memory --preset magicvl-2b --work /a/disk/with/20/GB [--upstream LLAMA_CPP_SOURCE]

It makes a checkpoint with random weights under --work, converts it in a process of its own, and prints one JSON
line. Linux only: peaks are the kernel's (VmHWM), which count mapped pages of files too.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from magicvl.bench.child import peak_mib
from magicvl.bench.random_checkpoint import write_random_checkpoint
from magicvl.convert.progress import Quiet
from magicvl.convert.quantise import quantise_llm
from magicvl.mmproj.presets import PRESETS

# The one thing of upstream's that is replaced: it knows pre-tokenizers by a hash, and only published ones.
_UPSTREAM = """
import runpy, sys
source, *arguments = sys.argv[1:]
sys.path.insert(0, source)
from conversion.base import TextModel
def no_such_model(self, *arguments):
    raise FileNotFoundError("tokenizer.model")
# It would import the sentencepiece package before it looks whether there is such a model.
TextModel._set_vocab_sentencepiece = no_such_model
TextModel.get_vocab_base_pre = lambda self, tokenizer: "smollm"
sys.argv = [source + "/convert_hf_to_gguf.py", *arguments]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclass(frozen=True)
class Cost:
    """One step."""

    step: str
    peak_mib: float
    """Most resident memory of the converting process, in MiB."""
    child_mib: float
    """The same of the process that quantises, so far; 0 before there was one."""
    cpu_s: float
    """CPU seconds of both, user and system."""
    wall_s: float


class Meter:
    """A `Steps` that measures: each `begin` ends the step before."""

    def __init__(self) -> None:
        self.costs: list[Cost] = []
        self._step = "preflight"
        self._start()

    def begin(self, title: str, tensors: int, size: int) -> None:
        """Ends the step and begins the next."""
        self.end()
        self._step = title
        self._start()

    def advance(self, size: int) -> None:
        """Nothing."""

    def end(self) -> None:
        """Ends the last step."""
        child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        cpu, wall = _cpu() - self._cpu, time.perf_counter() - self._wall
        self.costs.append(Cost(self._step, round(peak_mib(), 1), round(child, 1), round(cpu, 2), round(wall, 2)))

    def _start(self) -> None:
        # Sets the peak back to what is resident now.
        Path("/proc/self/clear_refs").write_text("5")
        self._cpu, self._wall = _cpu(), time.perf_counter()


def _cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def measure_conversion(checkpoint: Path, bundle: Path, llm_type: str, mmproj_type: str) -> list[Cost]:
    """Converts in this process, which should be a fresh one; the last step has the report and the lock in it."""
    from magicvl.convert.bundle import convert

    meter = Meter()
    convert(checkpoint, bundle, llm_type=llm_type, mmproj_type=mmproj_type, steps=meter)
    meter.end()
    return meter.costs


def measure_upstream(source: Path, decoder: Path, llm_type: str) -> dict[str, float]:
    """CPU seconds of llama.cpp's converter to BF16 and of quantising what it wrote."""
    wide, done = decoder.with_suffix(".bf16.gguf"), decoder.with_suffix(".gguf")
    before = _cpu()
    arguments = [str(source), str(decoder), "--outfile", str(wide), "--outtype", "bf16"]
    subprocess.run([sys.executable, "-c", _UPSTREAM, *arguments], cwd=decoder.parent, check=True, capture_output=True)
    middle = _cpu()
    quantise_llm(wide, done, llm_type, Quiet())
    return {"convert_cpu_s": round(middle - before, 2), "quantise_cpu_s": round(_cpu() - middle, 2)}


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Runs the measurement that the arguments ask for and prints it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--preset", default="magicvl-2b", choices=PRESETS)
    parser.add_argument("--work", type=Path, required=True, help="an empty directory for all files, kept afterwards")
    parser.add_argument("--llm-type", default="Q4_K_M")
    parser.add_argument("--mmproj-type", default="Q8_0")
    parser.add_argument("--upstream", type=Path, help="a directory with llama.cpp's convert_hf_to_gguf.py")
    asked = parser.parse_args(arguments)
    work: Path = asked.work.absolute()
    numbers = write_random_checkpoint(asked.preset, work / "checkpoint")
    # A process of its own: neither torch nor the generator counts.
    code = (
        "import json, sys; from pathlib import Path; from dataclasses import asdict; "
        "from magicvl.bench.convert_memory import measure_conversion; "
        "costs = measure_conversion(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]); "
        "print(json.dumps(list(map(asdict, costs))))"
    )
    order = [str(work / "checkpoint"), str(work / "bundle"), asked.llm_type, asked.mmproj_type]
    child = subprocess.run([sys.executable, "-c", code, *order], check=True, capture_output=True, text=True, cwd=work)
    costs = [Cost(**cost) for cost in json.loads(child.stdout.splitlines()[-1])]
    result: dict[str, Any] = {"preset": asked.preset, "numbers": numbers, "steps": list(map(asdict, costs))}
    if asked.upstream:
        write_random_checkpoint(asked.preset, work / "decoder", text_only=True)
        theirs = measure_upstream(asked.upstream.absolute(), work / "decoder", asked.llm_type)
        ours = sum(cost.cpu_s for cost in costs if cost.step.startswith("llm"))
        ratio = round(ours / sum(theirs.values()), 3)
        result |= {"upstream": theirs, "ours_llm_cpu_s": round(ours, 2), "cpu_ratio": ratio}
    print(json.dumps(result))
    return result


if __name__ == "__main__":
    main()
