"""A phone at adb: a stand-in program keeps what it is asked, and answers as phones were recorded to."""

import os
from pathlib import Path, PurePosixPath

import pytest

from magicvl.cli import run
from magicvl.edge.android.adb import Phone, find_phone, push_programs, remote_path
from magicvl.edge.variant import ARMV8, DOTPROD, I8MM, Variant
from magicvl.errors import MagicVLError, UsageError

# `od -A n -v -t x1 /proc/self/auxv` under qemu 7.2, the words AT_HWCAP, AT_CLKTCK and AT_HWCAP2 of it.
CLOCK = " 11 00 00 00 00 00 00 00 64 00 00 00 00 00 00 00\n"
AUXV = {
    "cortex-a53": f" 10 00 00 00 00 00 00 00 fb 08 00 00 00 00 00 00\n{CLOCK}",
    "cortex-a76": f" 10 00 00 00 00 00 00 00 fb 9f 11 00 00 00 00 00\n{CLOCK}",
    "max": f" 10 00 00 00 00 00 00 00 fb ff ff ec 00 00 00 00\n{CLOCK}"
    " 1a 00 00 00 00 00 00 00 ff 7f 87 7f 00 00 00 00\n",
}
END = " 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n"

# Keeps its arguments, one call a line, and the files that are pushed; what a phone would do is in the folder "phone".
ADB = """#!/bin/sh
echo "$*" >> {folder}/calls
if test "$1" = -s; then shift 2; fi
case $1 in
    push) mkdir -p "$(dirname "{folder}/phone$3")" && cp -r "$2" "{folder}/phone$3"; exit ;;
    pull) test -f "{folder}/phone$2" || {{ echo "adb: error: failed to stat remote object '$2'" >&2; exit 1; }}
        cp "{folder}/phone$2" "$3"; exit ;;
esac
case $2 in
    true) cat {folder}/error >&2 2>/dev/null && exit 1; exit 0 ;;
    "getprop ro.product.cpu.abi") cat {folder}/abi ;;
    od*) cat {folder}/auxv ;;
    *llama-bench*) echo pp512; exit 7 ;;
esac
"""


class StandIn:
    """The stand-in's folder: what it answers, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        (folder / "bin" / "adb").write_text(ADB.format(folder=folder))
        (folder / "bin" / "adb").chmod(0o755)
        (folder / "abi").write_text("arm64-v8a\n")
        (folder / "auxv").write_text(AUXV["cortex-a76"] + END)

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def standin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """adb on PATH is the stand-in."""
    made = StandIn(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    return made


def unpacked(folder: Path, *names: str) -> Path:
    """An unpacked archive with these variants."""
    for name in names:
        (folder / "native" / name).mkdir(parents=True)
        (folder / "native" / name / "llama-bench").write_text(name)
    return folder


@pytest.mark.parametrize(("core", "best"), [("cortex-a53", ARMV8), ("cortex-a76", DOTPROD), ("max", I8MM)])
def test_the_phones_own_words_choose_the_variant(standin: StandIn, core: str, best: Variant) -> None:
    (standin.folder / "auxv").write_text(AUXV[core] + END)
    assert find_phone(None).variant() == best


@pytest.mark.parametrize("dump", ["", "od: unknown option\n", END])
def test_words_that_cannot_be_read_choose_none(standin: StandIn, dump: str) -> None:
    (standin.folder / "auxv").write_text(dump)
    with pytest.raises(MagicVLError, match="could not be read from /proc/self/auxv"):
        find_phone(None).variant()


def test_a_phone_of_another_kind_is_refused(standin: StandIn) -> None:
    (standin.folder / "abi").write_text("armeabi-v7a\n")
    with pytest.raises(MagicVLError, match=r"this phone is armeabi-v7a, magicvl's programs are for arm64-v8a"):
        find_phone(None).variant()


def test_programs_are_put_in_place_in_one_step(standin: StandIn, tmp_path: Path) -> None:
    variant, folder = push_programs(find_phone(None), unpacked(tmp_path / "a", "armv8", "dotprod", "i8mm"))
    assert (variant, folder) == (DOTPROD, PurePosixPath("/data/local/tmp/magicvl/bin"))
    assert (tmp_path / "phone/data/local/tmp/magicvl/bin.part/llama-bench").read_text() == "dotprod"
    assert standin.calls[-2:] == [
        "shell chmod -R 755 /data/local/tmp/magicvl/bin.part",
        "shell sh -c 'rm -rf /data/local/tmp/magicvl/bin && "
        "mv /data/local/tmp/magicvl/bin.part /data/local/tmp/magicvl/bin'",
    ]


def test_a_variant_that_is_too_new_is_never_pushed(standin: StandIn, tmp_path: Path) -> None:
    (standin.folder / "auxv").write_text(AUXV["cortex-a53"] + END)
    with pytest.raises(MagicVLError, match=r"holds no variant that this phone \(armv8\) runs"):
        push_programs(find_phone(None), unpacked(tmp_path / "a", "dotprod", "i8mm"))
    assert not any(call.startswith("push") for call in standin.calls)


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("error: no devices/emulators found", "connect a phone and switch on USB debugging"),
        ("error: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set", "unlock the phone and allow"),
        ("error: more than one device/emulator", "choose one with --serial"),
    ],
)
def test_what_adb_cannot_do_is_said_with_a_way_out(standin: StandIn, said: str, advice: str) -> None:
    (standin.folder / "error").write_text(f"{said}\n")
    with pytest.raises(MagicVLError, match=advice) as caught:
        find_phone(None)
    assert "\n" not in str(caught.value)


def test_the_serial_goes_with_every_call(standin: StandIn) -> None:
    find_phone("R58").variant()
    assert len(standin.calls) == 3
    assert all(call.startswith("-s R58 ") for call in standin.calls)


def test_without_adb_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MagicVLError, match=r"missing on this machine: adb \(apt-get install adb"):
        find_phone(None)


def test_a_path_stays_in_the_folder_unless_it_is_absolute() -> None:
    assert remote_path("trace.csv") == PurePosixPath("/data/local/tmp/magicvl/trace.csv")
    assert remote_path("/sdcard/a.jpg") == PurePosixPath("/sdcard/a.jpg")
    with pytest.raises(UsageError, match="leaves /data/local/tmp/magicvl"):
        remote_path("../other")


def test_a_file_comes_back_whole_or_not_at_all(
    standin: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "phone/data/local/tmp/magicvl"
    there.mkdir(parents=True)
    (there / "trace.csv").write_text("1,2\n")
    here = tmp_path / "here"
    here.mkdir()
    assert run(["android", "pull", "trace.csv", str(here)]) == 0
    assert capsys.readouterr().out == f"{here / 'trace.csv'}\n"
    assert (here / "trace.csv").read_text() == "1,2\n"
    assert run(["android", "pull", "trace.csv", str(here)]) == 2
    assert "give --force to replace it" in capsys.readouterr().err
    assert run(["android", "pull", "nothing", str(here)]) == 1
    assert "failed to stat remote object" in capsys.readouterr().err
    assert [path.name for path in here.iterdir()] == ["trace.csv"]


def test_a_program_runs_with_its_own_options(standin: StandIn, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["android", "run", "--serial", "R58", "llama-bench", "-m", "bundle/llm.gguf", "--serial", "a b"]) == 7
    assert capfd.readouterr().out == "pp512\n"
    assert standin.calls[-1] == (
        """-s R58 shell sh -c 'cd /data/local/tmp/magicvl && exec "$0" "$@"' ./bin/llama-bench """
        "-m bundle/llm.gguf --serial 'a b'"
    )


def test_push_takes_a_bundle_whole(standin: StandIn, tmp_path: Path, tiny_bundle: Path) -> None:
    assert run(["android", "push", "--bundle", str(tiny_bundle)]) == 0
    there = tmp_path / "phone/data/local/tmp/magicvl/bundle"
    for name in ("magicvl.json", "llm.gguf", "mmproj.gguf"):
        assert (there / name).read_bytes() == (tiny_bundle / name).read_bytes()


def test_nothing_to_push_is_wrong_use(standin: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["android", "push"]) == 2
    assert "name an archive, or a bundle with --bundle" in capsys.readouterr().err
    assert run(["android", "push", "nothing.tar.xz"]) == 2
    assert "magicvl android build makes one" in capsys.readouterr().err
    assert not (standin.folder / "calls").exists()


def test_a_command_on_the_phone_is_one_word_a_word(standin: StandIn) -> None:
    Phone(standin.folder / "bin" / "adb").shell(["echo", "a b", "$HOME"])
    assert standin.calls == ["shell echo 'a b' '$HOME'"]
