"""Which counts of threads are tried, on machines that this one is not."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicvl.edge.threads import (
    core_kinds,
    default_threads,
    performance_cores,
    physical_cores,
    processor,
    thread_counts,
)


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


ARM = "aarch64"
X86 = "x86_64"
PHONES = [
    # By the scheduler's capacity: cores of each kind, and how many of them are worth computing with.
    ("4 + 4", [250] * 4 + [1024] * 4, "cpu_capacity", ARM, 4),
    ("1 + 3 + 4", [448] * 4 + [896] * 3 + [1024], "cpu_capacity", ARM, 4),
    ("2 + 6", [381] * 6 + [1024] * 2, "cpu_capacity", ARM, 2),
    ("2 + 2 + 4", [250] * 4 + [620] * 2 + [1024] * 2, "cpu_capacity", ARM, 4),
    ("1 + 4 + 3, no two alike in order", [1024, 300, 800, 300, 800, 800, 300, 800], "cpu_capacity", ARM, 5),
    ("2 + 6, all of them large", [1024] * 2 + [840] * 6, "cpu_capacity", ARM, 8),
    ("all alike", [1024] * 8, "cpu_capacity", ARM, 8),
    # By frequency, where the kernel says nothing else; laptops boost some cores, and keep them all.
    ("4 + 4 MHz", [1804800] * 4 + [2841600] * 4, "cpufreq/cpuinfo_max_freq", ARM, 4),
    ("1 + 3 + 4 MHz", [1804800] * 4 + [2419200] * 3 + [2841600], "cpufreq/cpuinfo_max_freq", ARM, 4),
    ("2 + 6 MHz", [1800000] * 6 + [2200000] * 2, "cpufreq/cpuinfo_max_freq", ARM, 2),
    ("all alike MHz", [1992000] * 8, "cpufreq/cpuinfo_max_freq", ARM, 8),
    ("a laptop's 4 + 8", [5000000] * 4 + [3300000] * 8, "cpufreq/cpuinfo_max_freq", X86, 12),
]


@pytest.mark.parametrize(("speeds", "kind", "arch", "count"), [row[1:] for row in PHONES], ids=[r[0] for r in PHONES])
def test_little_cores_are_left_out_before_anything_is_measured(
    tmp_path: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch, speeds: list[int], kind: str, arch: str, count: int
) -> None:
    allow(monkeypatch, len(speeds))
    monkeypatch.setattr("platform.machine", lambda: arch)
    root = machine(tmp_path, single(speeds), kind)
    assert performance_cores(root, nowhere) == default_threads(root, nowhere, nowhere) == count
    assert count in thread_counts(root, nowhere, nowhere)


def cpuinfo(path: Path, parts: list[tuple[int, int]]) -> Path:
    """A /proc/cpuinfo as arm64 kernels write it."""
    lines = []
    for cpu, (implementer, part) in enumerate(parts):
        lines.append(f"processor\t: {cpu}\nBogoMIPS\t: 38.40\nFeatures\t: fp asimd aes crc32 atomics asimddp")
        lines.append(f"CPU implementer\t: 0x{implementer:x}\nCPU architecture: 8\nCPU variant\t: 0x1")
        lines.append(f"CPU part\t: 0x{part:x}\nCPU revision\t: 0\n")
    path.write_text("\n".join([*lines, "Hardware\t: Qualcomm Technologies, Inc SM6150\n"]))
    return path


@pytest.mark.parametrize(
    ("parts", "count"),
    [
        ([(0x41, 0xD05)] * 4 + [(0x41, 0xD0B)] * 4, 4),
        ([(0x51, 0x805)] * 6 + [(0x51, 0x804)] * 2, 2),
        ([(0x41, 0xD46)] * 3 + [(0x41, 0xD47)] * 4 + [(0x41, 0xD4E)], 5),
        # Only small ones, and a part that nobody here has heard of.
        ([(0x41, 0xD03)] * 8, 8),
        ([(0x99, 0x123)] * 8, 8),
    ],
)
def test_an_android_that_hides_sys_is_known_by_its_parts(
    tmp_path: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch, parts: list[tuple[int, int]], count: int
) -> None:
    allow(monkeypatch, len(parts))
    info = cpuinfo(tmp_path / "cpuinfo", parts)
    assert performance_cores(nowhere, info) == count
    assert thread_counts(nowhere, nowhere, info) == tuple(sorted({count, len(parts)}))


def test_cores_of_which_one_tells_nothing_are_not_compared(
    tmp_path: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A core that is offline keeps no cpufreq: its speed must not pass for that of the slowest kind.
    allow(monkeypatch, 4)
    root = machine(tmp_path, single([400, 400, 1024, 1024]))
    (root / "cpu1" / "cpu_capacity").unlink()
    assert performance_cores(root, nowhere) == 4
    (root / "cpu1" / "cpu_capacity").write_text("0\n")
    assert performance_cores(root, nowhere) == 4
    (root / "cpu1" / "cpu_capacity").write_text("nonsense\n")
    assert performance_cores(root, nowhere) == 4 and core_kinds(root) == (4,)


def test_offline_cores_do_not_count(tmp_path: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    root = machine(tmp_path, single([400, 400, 400, 400, 1024, 1024, 1024, 1024]))
    (root / "online").write_text("0-3,6\n")
    assert performance_cores(root, nowhere) == 1
    assert physical_cores(root) == 5 and core_kinds(root) == (1, 4)


def test_the_default_stays_within_a_quota(tmp_path: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, 8)
    (tmp_path / "cpu.max").write_text("200000 100000\n")
    root = machine(tmp_path / "sys", single([1024] * 8))
    assert default_threads(root, nowhere, tmp_path / "cpu.max") == 2


@given(
    st.lists(st.integers(1, 4096), min_size=1, max_size=16),
    st.sampled_from(["cpu_capacity", "cpufreq/cpuinfo_max_freq"]),
    st.sampled_from([ARM, X86]),
)
@settings(max_examples=25, deadline=None)
def test_whatever_the_topology(speeds: list[int], kind: str, arch: str) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        allow(patch, len(speeds))
        patch.setattr("platform.machine", lambda: arch)
        root, nowhere = machine(Path(folder), single(speeds), kind), Path(folder, "nowhere")
        count, counts = performance_cores(root, nowhere), thread_counts(root, nowhere, nowhere)
        assert 1 <= count <= len(speeds) and count in counts
        assert sum(core_kinds(root)) == physical_cores(root) == len(speeds) == counts[-1]
        # Nobody is left out who is as fast as one who is not.
        ordered = sorted(speeds, reverse=True)
        assert count == len(speeds) or ordered[count] < ordered[count - 1]
        # Twice the cores of every kind are twice as many worth it.
        twice = machine(Path(folder, "twice"), single(speeds * 2), kind)
        allow(patch, 2 * len(speeds))
        assert performance_cores(twice, nowhere) == 2 * count
