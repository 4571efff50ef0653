"""install.sh as a phone runs it, with a small stand-in for magicvl; test_qemu.py has the whole one."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from magicvl.edge.android.archive import Contents, unpack_archive, write_archive

VARIANT = """
import os
class Variant:
    def __init__(self, name): self.name = name
    def runs_on(self, features): return self.name in features
PHONE_VARIANTS = (Variant("armv8"), Variant("dotprod"), Variant("i8mm"))
def cpu_features(): return os.environ["STANDIN_FEATURES"].split()
"""
CLI = """
import sys
def main():
    print("{version}", *sys.argv[1:])
    return {status}
"""
SERVER = "#!/bin/sh\necho {variant} {version}\nexit {status}\n"


def make_wheel(folder: Path, version: str, lowest_pillow: str = "1", status: int = 0) -> Path:
    """A wheel of a magicvl that says its version."""
    path = folder / f"magicvl-{version}-py3-none-any.whl"
    info = f"magicvl-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in {
            "magicvl/__init__.py": "",
            "magicvl/cli.py": CLI.format(version=version, status=status),
            "magicvl/edge/__init__.py": "",
            "magicvl/edge/variant.py": VARIANT,
            f"{info}/METADATA": (
                f"Metadata-Version: 2.1\nName: magicvl\nVersion: {version}\nRequires-Dist: numpy>=1.0\n"
                f"Requires-Dist: pillow>={lowest_pillow}\nRequires-Dist: torch>=9; extra == 'convert'\n"
            ),
        }.items():
            wheel.writestr(name, text)
    return path


def make_archive(
    folder: Path, version: str = "1.0", *, server: int = 0, lowest_pillow: str = "1", cli: int = 0
) -> Path:
    """An unpacked archive whose llama-servers say their variant; `server` and `cli` are exit statuses."""
    folder.mkdir()
    built = {}
    for name in ("armv8", "dotprod", "i8mm", "lib"):
        place = folder / "done" / name
        place.mkdir(parents=True)
        (place / "build.json").write_text(json.dumps({"format": 1, "variant": name}))
        program = "libllama.so" if name == "lib" else "llama-server"
        (place / program).write_text(SERVER.format(variant=name, version=version, status=server))
        built[name] = place
    wheel = make_wheel(folder, version, lowest_pillow, cli)
    write_archive(Contents(version, "0.3.36", built, [wheel], {}), folder / "a.tar.xz")
    (folder / "there").mkdir()
    return unpack_archive(folder / "a.tar.xz", folder / "there")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home, and a PATH on which uname says arm64 and Python is this one."""
    for folder in ("home", "bin"):
        (tmp_path / folder).mkdir()
    (tmp_path / "bin" / "uname").write_text("#!/bin/sh\necho aarch64\n")
    (tmp_path / "bin" / "uname").chmod(0o755)
    return tmp_path / "home"


def install(
    unpacked: Path, home: Path, *arguments: str, features: str = "armv8 dotprod", **more: str
) -> "subprocess.CompletedProcess[str]":
    """Runs install.sh in that home."""
    path = f"{home.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {"HOME": str(home), "PATH": path, "PYTHON": sys.executable, "STANDIN_FEATURES": features, **more}
    return subprocess.run(
        ["sh", unpacked / "install.sh", *arguments],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def says(home: Path) -> str:
    """What the installed command says."""
    command = home / ".local" / "bin" / "magicvl"
    return subprocess.run([command, "hello"], capture_output=True, text=True, check=True, cwd="/").stdout.strip()


def native(home: Path) -> dict[str, str]:
    """What each installed llama-server says, by its variant."""
    folder = home / ".local" / "share" / "magicvl" / "native" / "0.3.36"
    return {
        path.parent.name: subprocess.run([path], capture_output=True, text=True, check=False).stdout.strip()
        for path in sorted(folder.glob("*/llama-server"))
    }


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Times and contents of all files below a folder."""
    return {
        str(path): (path.lstat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != "install.lock"
    }


def test_it_installs_the_best_variant_and_nothing_else(tmp_path: Path, home: Path) -> None:
    done = install(make_archive(tmp_path / "a"), home)
    assert done.returncode == 0, done.stderr
    assert "installed magicvl 1.0 with llama.cpp for dotprod as" in done.stderr
    assert "is not on PATH" in done.stderr
    assert says(home) == "1.0 hello"
    assert native(home) == {"dotprod": "dotprod 1.0"}
    assert (home / ".local/share/magicvl/native/0.3.36/lib/libllama.so").is_file()
    assert sorted(path.name for path in home.iterdir()) == [".local"]


def test_all_variants_on_request(tmp_path: Path, home: Path) -> None:
    unpacked = make_archive(tmp_path / "a")
    assert install(unpacked, home).returncode == 0
    assert install(unpacked, home, "--all-variants").returncode == 0
    assert native(home) == {name: f"{name} 1.0" for name in ("armv8", "dotprod", "i8mm")}


def test_in_termux_the_command_goes_where_termux_looks(tmp_path: Path, home: Path) -> None:
    prefix = tmp_path / "data" / "com.termux" / "files" / "usr"
    assert install(make_archive(tmp_path / "a"), home, PREFIX=str(prefix)).returncode == 0
    assert (prefix / "bin" / "magicvl").is_symlink()
    assert not (home / ".local" / "bin").exists()


def test_the_same_again_changes_nothing(tmp_path: Path, home: Path) -> None:
    unpacked = make_archive(tmp_path / "a")
    assert install(unpacked, home).returncode == 0
    before = everything(home)
    assert install(unpacked, home).returncode == 0
    assert everything(home) == before


def test_an_upgrade_replaces_everything(tmp_path: Path, home: Path) -> None:
    assert install(make_archive(tmp_path / "a", "1.0"), home, "--all-variants").returncode == 0
    assert install(make_archive(tmp_path / "b", "2.0"), home).returncode == 0
    assert says(home) == "2.0 hello"
    assert native(home) == {"dotprod": "dotprod 2.0"}
    assert len(list((home / ".local/share/magicvl/installs").iterdir())) == 1


def harm_sum(unpacked: Path) -> None:
    (unpacked / "native" / "dotprod" / "llama-server").write_text("other")


def harm_missing(unpacked: Path) -> None:
    next((unpacked / "wheels").iterdir()).unlink()


def harm_sums(unpacked: Path) -> None:
    (unpacked / "SHA256SUMS").unlink()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (harm_sum, "damaged: native/dotprod/llama-server; copy the archive again"),
        (harm_missing, "damaged: wheels/magicvl-2.0-py3-none-any.whl; copy the archive again"),
        (harm_sums, "is not a whole archive: SHA256SUMS is missing"),
    ],
)
def test_a_damaged_upgrade_leaves_what_was(tmp_path: Path, home: Path, harm: Callable[[Path], None], said: str) -> None:
    assert install(make_archive(tmp_path / "a", "1.0"), home).returncode == 0
    before = everything(home)
    unpacked = make_archive(tmp_path / "b", "2.0")
    harm(unpacked)
    done = install(unpacked, home)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert everything(home) == before


def test_programs_that_do_not_start_are_never_pointed_at(tmp_path: Path, home: Path) -> None:
    assert install(make_archive(tmp_path / "a", "1.0"), home).returncode == 0
    for number, broken in enumerate(({"server": 132}, {"cli": 3})):
        done = install(make_archive(tmp_path / f"b{number}", "2.0", **broken), home)
        assert done.returncode == 1
        assert "does not start here" in done.stderr
        assert "F-Droid" in done.stderr
        assert (says(home), native(home)) == ("1.0 hello", {"dotprod": "dotprod 1.0"})
    assert install(make_archive(tmp_path / "c", "3.0"), home).returncode == 0
    assert says(home) == "3.0 hello"


def test_what_an_interruption_left_is_made_whole(tmp_path: Path, home: Path) -> None:
    unpacked = make_archive(tmp_path / "a")
    assert install(unpacked, home).returncode == 0
    folder = next((home / ".local/share/magicvl/installs").iterdir())
    # As if it had been killed while it unpacked: the command, which comes last, is not there.
    (folder / "venv" / "bin" / "magicvl").unlink()
    shutil.rmtree(folder / "venv" / "lib")
    (folder / "native" / "dotprod").rename(folder / "native" / ".dotprod.part")
    assert install(unpacked, home).returncode == 0
    assert (says(home), native(home)) == ("1.0 hello", {"dotprod": "dotprod 1.0"})


def test_a_processor_of_another_kind_is_refused(tmp_path: Path, home: Path) -> None:
    (tmp_path / "bin" / "uname").write_text("#!/bin/sh\necho armv7l\n")
    done = install(make_archive(tmp_path / "a"), home)
    assert done.returncode == 1
    assert "is for arm64, and this machine is armv7l" in done.stderr
    assert not list(home.iterdir())


def test_a_processor_that_runs_none_of_them_is_refused(tmp_path: Path, home: Path) -> None:
    done = install(make_archive(tmp_path / "a"), home, features="none")
    assert done.returncode == 1
    assert "no program of this archive (armv8, dotprod, i8mm, lib) runs on this processor" in done.stderr


def test_packages_that_are_too_old_are_listed(tmp_path: Path, home: Path) -> None:
    done = install(make_archive(tmp_path / "a", lowest_pillow="999.1"), home)
    assert done.returncode == 1
    assert "999.1 or later is needed; in Termux, pkg install python-numpy python-pillow" in done.stderr
    assert not list(home.iterdir())


def test_an_older_python_is_refused(tmp_path: Path, home: Path) -> None:
    unpacked = make_archive(tmp_path / "a")
    script = unpacked / "install.py"
    code = (
        "import runpy, sys; sys.version_info = (3, 10, 0); sys.argv = ['x']; "
        f"runpy.run_path({str(script)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "magicvl needs Python 3.11 or later" in done.stderr


def test_without_python_it_says_how_to_get_it(tmp_path: Path, home: Path) -> None:
    unpacked = make_archive(tmp_path / "a")
    (tmp_path / "bin" / "dirname").symlink_to(shutil.which("dirname") or "")
    done = subprocess.run(
        [shutil.which("sh") or "sh", unpacked / "install.sh"],
        env={"PATH": str(tmp_path / "bin"), "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "no Python found: in Termux, pkg install python python-numpy python-pillow" in done.stderr


def test_two_installers_do_not_meet(tmp_path: Path, home: Path) -> None:
    data = home / ".local" / "share" / "magicvl"
    data.mkdir(parents=True)
    with (data / "install.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = install(make_archive(tmp_path / "a"), home)
    assert done.returncode == 1
    assert "another install.sh is running" in done.stderr


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path, home: Path) -> None:
    own = home / ".local" / "share" / "magicvl" / "native" / "0.3.36" / "dotprod"
    own.mkdir(parents=True)
    (own / "mine").touch()
    done = install(make_archive(tmp_path / "a"), home)
    assert done.returncode == 1
    assert "was not put there by this installer" in done.stderr
    assert (own / "mine").exists()
