"""Which counts of threads are tried, on machines that this one is not."""

import os
from pathlib import Path

import pytest

from magicvl.edge.threads import physical_cores, processor, thread_counts


def machine(root: Path, cores: list[tuple[int, list[int]]], kind: str = "cpu_capacity") -> Path:
    """A /sys of cores: the speed of each, and its hardware threads."""
    for speed, threads in cores:
        for cpu in threads:
            (root / f"cpu{cpu}" / "topology").mkdir(parents=True)
            (root / f"cpu{cpu}" / "topology" / "thread_siblings_list").write_text(",".join(map(str, threads)) + "\n")
            if speed:
                (root / f"cpu{cpu}" / kind).parent.mkdir(exist_ok=True)
                (root / f"cpu{cpu}" / kind).write_text(f"{speed}\n")
    return root


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    return tmp_path / "nowhere"


def allow(monkeypatch: pytest.MonkeyPatch, cpus: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(cpus)), raising=False)


def single(speeds: list[int]) -> list[tuple[int, list[int]]]:
    return [(speed, [cpu]) for cpu, speed in enumerate(speeds)]


@pytest.mark.parametrize(
    ("cores", "kind", "counts", "physical"),
    [
        # One kind of core, and one with two hardware threads each.
        (single([0] * 4), "cpu_capacity", (4,), 4),
        ([(0, [0, 4]), (0, [1, 5]), (0, [2, 6]), (0, [3, 7])], "cpu_capacity", (4, 8), 4),
        # big.LITTLE: one prime, three big, four little; by capacity, and by frequency.
        (single([448, 448, 448, 448, 896, 896, 896, 1024]), "cpu_capacity", (1, 4, 8), 8),
        (single([1800000] * 4 + [2850000] * 4), "cpufreq/cpuinfo_max_freq", (4, 8), 8),
        # Speeds that hardly differ are one kind.
        (single([5000, 4950, 4900, 4850]), "cpufreq/cpuinfo_max_freq", (4,), 4),
        # Two fast cores with two threads each, four slow ones.
        ([(1024, [0, 1]), (1024, [2, 3]), *((600, [cpu]) for cpu in range(4, 8))], "cpu_capacity", (2, 6, 8), 6),
    ],
)
def test_the_fastest_cores_come_first(
    tmp_path: Path,
    nowhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    cores: list[tuple[int, list[int]]],
    kind: str,
    counts: tuple[int, ...],
    physical: int,
) -> None:
    allow(monkeypatch, sum(len(threads) for _, threads in cores))
    root = machine(tmp_path, cores, kind)
    assert thread_counts(root, nowhere) == counts
    assert physical_cores(root) == physical


def test_only_what_the_process_may_use_counts(tmp_path: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0, 1, 5}, raising=False)
    root = machine(tmp_path, single([400, 400, 400, 400, 1024, 1024]))
    assert thread_counts(root, nowhere) == (1, 3)


@pytest.mark.parametrize(
    ("text", "counts"),
    [("300000 100000\n", (3, 8)), ("250000 100000\n", (3, 8)), ("10000 100000\n", (1, 8)), ("max 100000\n", (8,)),
     ("900000 100000\n", (8,)), ("1 0\n", (8,)), ("no quota\n", (8,)), ("", (8,))],
)  # fmt: skip
def test_a_containers_quota_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, counts: tuple[int, ...]
) -> None:
    allow(monkeypatch, 8)
    (tmp_path / "cpu.max").write_text(text)
    assert thread_counts(machine(tmp_path / "sys", single([0] * 8)), tmp_path / "cpu.max") == counts


def test_a_system_that_tells_nothing_has_its_hardware_threads(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert thread_counts(nowhere, nowhere) == (3,)
    assert physical_cores(nowhere) == 3


def test_the_processor_is_told_the_same_each_time() -> None:
    assert processor() == processor() != ""
