"""What is free, on machines and in containers that this one is not."""

from pathlib import Path

import pytest

from magicvl.edge.free_memory import VARIABLE, free_memory, total_memory
from magicvl.errors import UsageError

MEMINFO = """MemTotal:        7719876 kB
MemFree:          212340 kB
MemAvailable:    2500000 kB
Buffers:            4196 kB
Cached:          2411876 kB
SwapTotal:       4194300 kB
SwapFree:        2990876 kB
"""


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


class Machine:
    """A made-up /proc and /sys/fs/cgroup."""

    def __init__(self, root: Path) -> None:
        self.meminfo, self.membership, self.cgroups = root / "meminfo", root / "cgroup", root / "fs"

    def group(self, name: str, **files: str) -> None:
        folder = self.cgroups / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (folder / file.replace("__", ".")).write_text(f"{text}\n")

    @property
    def free(self) -> int | None:
        return free_memory(self.meminfo, self.membership, self.cgroups)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_what_the_kernel_calls_available_is_free(machine: Machine) -> None:
    machine.meminfo.write_text(MEMINFO)
    assert machine.free == 2500000 * 1024
    assert total_memory(machine.meminfo) == 7719876 * 1024


def test_old_kernels_leave_the_sum_to_the_reader(machine: Machine) -> None:
    machine.meminfo.write_text("".join(line for line in MEMINFO.splitlines(True) if "Available" not in line))
    assert machine.free == (212340 + 2411876) * 1024


@pytest.mark.parametrize("text", [None, "", "no numbers here\n", "MemAvailable: many kB\n"])
def test_where_nothing_tells_nothing_is_known(machine: Machine, text: str | None) -> None:
    if text is not None:
        machine.meminfo.write_text(text)
    assert machine.free is None and total_memory(machine.meminfo) is None


def test_a_containers_limit_counts_without_what_can_be_given_up(machine: Machine) -> None:
    machine.meminfo.write_text(MEMINFO)
    machine.membership.write_text("0::/user.slice/job\n")
    machine.group(
        "user.slice/job",
        memory__max="1000000000",
        memory__current="700000000",
        memory__stat="anon 100\ninactive_file 300000000\nactive_file 200000000\nshmem 5",
    )
    assert machine.free == 800_000_000
    # The one around it allows less.
    machine.group("user.slice", memory__max="max", memory__high="500000000", memory__current="400000000")
    assert machine.free == 100_000_000
    machine.group("user.slice", memory__current="900000000")
    assert machine.free == 0


def test_inside_a_container_its_own_limit_lies_at_the_top(machine: Machine) -> None:
    machine.membership.write_text("12:memory:/docker/abc\n11:cpu,cpuacct:/docker/abc\n")
    machine.group("memory", memory__limit_in_bytes="600000000", memory__usage_in_bytes="250000000")
    machine.group("memory", memory__stat="total_inactive_file 50000000\nactive_file 7")
    assert machine.free == 400_000_000
    # This number stands for no limit.
    machine.group("memory", memory__limit_in_bytes="9223372036854771712")
    assert machine.free is None


def test_a_group_cannot_lead_out_of_the_folder(machine: Machine) -> None:
    machine.membership.write_text("0::/../../etc\n")
    machine.group("etc", memory__max="1000", memory__current="0")
    assert machine.free == 1000


def test_the_user_may_say_it(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.meminfo.write_text(MEMINFO)
    monkeypatch.setenv(VARIABLE, "123")
    assert machine.free == 123_000_000
    for wrong in ("0", "-1", "1.5", "much", "\u0663"):
        monkeypatch.setenv(VARIABLE, wrong)
        with pytest.raises(UsageError, match="whole number of MB"):
            _ = machine.free
