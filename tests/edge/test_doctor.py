"""The report on this machine, and on some where things are missing: real processes, made-up machines."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import magicvl
from magicvl import DEFAULT_BUNDLE, cli
from magicvl.edge import doctor, variant
from magicvl.edge.doctor import Finding, examine


def magicvl_doctor(*arguments: str, environment: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `magicvl doctor` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "magicvl", "doctor", *arguments],
        env=os.environ if environment is None else environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    return done.returncode, done.stdout, done.stderr


def named(findings: list[dict[str, Any]], section: str, name: str) -> dict[str, Any]:
    return next(each for each in findings if (each["section"], each["name"]) == (section, name))


def test_this_machine_answers() -> None:
    code, out, err = magicvl_doctor("--json", "--limit", "200")
    report = json.loads(out)
    assert code == 0 and report["answers"] is True and err == ""
    findings = report["findings"]
    assert not [each for each in findings if each["ok"] is False]
    sections = list(dict.fromkeys(each["section"] for each in findings))
    assert sections == ["machine", "packages", "runtime", "model", "folders", "energy", "self-test"]
    assert named(findings, "packages", "magicvl")["value"] == magicvl.__version__
    assert "answered 'red'" in named(findings, "self-test", "auto")["value"]


_BLIND = """
import builtins, io, os, pathlib
for kind in (io, builtins):
    def blind(file, *rest, _open=kind.open, **more):
        if isinstance(file, (str, os.PathLike)) and os.fspath(file).startswith(("/proc", "/sys")):
            raise PermissionError(13, "Permission denied", os.fspath(file))
        return _open(file, *rest, **more)
    kind.open = blind
def listed(path=".", _list=os.listdir):
    if str(path).startswith(("/proc", "/sys")):
        raise PermissionError(13, "Permission denied", str(path))
    return _list(path)
os.listdir = listed
"""


def test_without_proc_sys_and_home_it_still_answers(tmp_path: Path) -> None:
    # The user's own entry names a home even where the variable is gone. Children are as blind as their parent.
    homeless = "import pwd\ndef nobody(_):\n    raise KeyError('no entry')\npwd.getpwuid = nobody\n"
    (tmp_path / "sitecustomize.py").write_text(_BLIND + homeless)
    environment = {"PATH": os.environ["PATH"], "MAGICVL_CACHE": "", "PYTHONPATH": str(tmp_path)}
    exit_code, out, err = magicvl_doctor("--limit", "200", environment=environment)
    assert exit_code == 0, out + err
    assert "not told in all, not told free" in out and "no home" in out
    assert "- set HOME or XDG_CACHE_HOME" in out and out.endswith("magicvl answers on this machine\n")


def hide(folder: Path, *names: str) -> dict[str, str]:
    """An environment in which importing these fails as where they are not installed."""
    for name in names:
        (folder / name).mkdir(parents=True)
        text = f"raise ModuleNotFoundError(\"No module named '{name}'\", name='{name}')\n"
        (folder / name / "__init__.py").write_text(text)
    return {**os.environ, "PYTHONPATH": str(folder), "PATH": "", "XDG_DATA_HOME": str(folder / "data")}


@pytest.mark.parametrize(("module", "remedy"), [("jinja2", "pip install jinja2"), ("PIL", "pip install pillow")])
def test_what_is_missing_is_named(tmp_path: Path, module: str, remedy: str) -> None:
    code, out, err = magicvl_doctor(environment=hide(tmp_path, module))
    assert code == 1 and err == "" and f"- {remedy}" in out
    assert out.endswith("magicvl cannot answer on this machine\n")


def test_without_llama_cpp_it_says_what_to_install(tmp_path: Path) -> None:
    environment = hide(tmp_path, "llama_cpp")
    code, out, err = magicvl_doctor("--json", environment=environment)
    findings = json.loads(out)["findings"]
    assert code == 1 and err == ""
    found = named(findings, "self-test", "auto")
    assert found["ok"] is False and "nothing here runs a model" in found["value"]


def test_native_code_that_dies_takes_only_its_own_process(tmp_path: Path) -> None:
    environment = hide(tmp_path, "llama_cpp")
    (tmp_path / "llama_cpp" / "__init__.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    code, out, err = magicvl_doctor("--json", environment=environment)
    found = named(json.loads(out)["findings"], "self-test", "auto")
    assert code == 1 and err == "" and found["ok"] is False
    assert found["value"] == "died of SIGILL while importing llama.cpp"


def test_no_runtime_at_all_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("MAGICVL_SERVER", raising=False)
    taken = next(each for each in doctor.runtimes() if each.name == "taken")
    assert taken.ok is False and taken.remedy is not None and "llama-cpp-python" in taken.remedy
    server = tmp_path / "llama-server"
    server.write_text("#!/bin/sh\n")
    server.chmod(0o755)
    monkeypatch.setenv("MAGICVL_SERVER", str(server))
    found = list(doctor.runtimes())
    assert next(each for each in found if each.name == "taken").value.startswith("server")
    monkeypatch.setenv("MAGICVL_SERVER", str(tmp_path / "gone"))
    problem = next(each for each in doctor._guarded("runtime", doctor.runtimes) if each.name == "problem")
    assert problem.ok is False and "MAGICVL_SERVER" in problem.value


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A program that stands in for Python: its text decides how the self-test ends."""
    path = tmp_path / "python"
    path.touch()
    path.chmod(0o755)
    monkeypatch.setattr(doctor.sys, "executable", str(path))
    yield path


@pytest.mark.parametrize(
    ("script", "value", "remedy"),
    [
        (
            'echo \'{"stage": "load"}\'\nkill -ILL $$',
            "died of SIGILL while loading the model",
            "build llama-cpp-python",
        ),
        ('echo \'{"stage": "ask"}\'\nkill -KILL $$', "died of SIGKILL while answering", "want of memory"),
        ("kill -SEGV $$", "died of SIGSEGV while starting", "native library"),
        ('echo \'{"stage": "ask"}\'\nexec sleep 60', "not over after 0.5 s, answering", "--limit"),
        ("echo 'ModuleNotFoundError: No module named '\"'numpy'\" >&2\nexit 1", "No module named 'numpy'", "numpy"),
        (
            "echo 'magicvl.errors.EngineError: the context is full' >&2\nexit 1",
            "the context is full (starting)",
            "line",
        ),
        ('echo \'{"answer": "blue", "build": "x"}\'', "answered 'blue', 'red' is right", "computes something else"),
        ("exit 3", "exit code 3", "line of the self-test"),
    ],
)
def test_however_the_self_test_ends_it_is_a_line(child: Path, script: str, value: str, remedy: str) -> None:
    child.write_text(f"#!/bin/sh\n{script}\n")
    found, _ = doctor.self_test("auto", 0.5 if "sleep" in script else 30)
    assert found.ok is False and value in found.value and "\n" not in found.value
    assert found.remedy is not None and remedy in found.remedy


def test_a_server_beside_llama_cpp_is_tried_too(child: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = '{"answer": "red", "right": true, "seconds": 1, "threads": 2, "build": "b1", "runtime": "inproc"}'
    child.write_text(f"#!/bin/sh\n[ $3 = auto ] && echo '{said}'\n[ $3 = auto ] || kill -ILL $$\n")
    monkeypatch.setenv("MAGICVL_SERVER", str(child))
    auto, server = doctor.self_tests(30)
    assert auto.ok is True and auto.value == "answered 'red' in 1.0 s by inproc with 2 threads, b1"
    assert server.name == "server" and server.ok is False and "SIGILL" in server.value
    monkeypatch.setattr(doctor, "machine", lambda: iter(()))
    assert examine(DEFAULT_BUNDLE).answers


def test_the_variant_that_would_run_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variant, "cpu_features", lambda: variant.DOTPROD.needs)
    found = next(each for each in doctor.runtimes() if each.name == "instructions")
    assert "variant dotprod (armv8.2-a+dotprod+fp16)" in found.value and "i8mm" not in found.value


def test_a_python_that_cannot_start_itself_is_a_line(child: Path) -> None:
    child.unlink()
    found, _ = doctor.self_test("auto", 5)
    assert found.ok is False and "can't be started" in found.value


def test_the_exit_code_is_that_of_the_self_test(child: Path, capsys: pytest.CaptureFixture[str]) -> None:
    child.write_text("#!/bin/sh\nkill -ILL $$\n")
    assert cli.run(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "! auto" in out and "what to do:" in out
    assert cli.run(["doctor", "--limit", "0"]) == 2


def test_a_damaged_bundle_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("magicvl.json", "llm.gguf"):
        (tmp_path / name).write_bytes((DEFAULT_BUNDLE / name).read_bytes())
    (tmp_path / "mmproj.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(doctor, "self_tests", lambda _limit: iter([Finding("self-test", "auto", "yes", True)]))
    report = examine(tmp_path)
    found = {each.name: each for each in report.findings if each.section == "model"}
    assert found["llm"].ok and found["mmproj"].ok is False and found["problem"].ok is False
    # The embedded default answers all the same.
    assert report.answers
    gone = examine(tmp_path / "gone")
    assert any("no bundle" in each.value for each in gone.findings)


def test_what_does_not_fit_is_told_with_its_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGICVL_MEMORY", "15")
    found = next(each for each in doctor.model(DEFAULT_BUNDLE) if each.name == "memory")
    assert found.ok is False and found.remedy is not None and "14 MiB are free" in found.remedy


def test_a_phone_is_called_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    getprop = tmp_path / "getprop"
    getprop.write_text(
        "#!/bin/sh\ncase $1 in *release) echo 14;; *manufacturer) echo Fairphone;; *model) echo FP5;; esac\n"
    )
    getprop.chmod(0o755)
    monkeypatch.setattr(doctor, "_GETPROP", str(getprop))
    monkeypatch.setenv("TERMUX_VERSION", "0.118.1")
    system = next(each for each in doctor.machine() if each.name == "system").value
    assert system.endswith("Android 14, Fairphone FP5, Termux 0.118.1")
    assert doctor._install("numpy") == "pkg install python-numpy" and doctor._install("typer") == "pip install typer"
    monkeypatch.setattr(doctor, "find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    taken = next(each for each in doctor.runtimes() if each.name == "taken")
    assert taken.remedy is not None and "magicvl-android-arm64" in taken.remedy


def test_findings_are_grouped_and_remedies_said_once() -> None:
    one = Finding("machine", "a", "1", False, "mend it")
    report = doctor.Report((one, replace(one, name="b"), Finding("model", "c", "2", True)), False)
    assert report.to_text().splitlines() == [
        "machine:",
        "! a                1",
        "! b                1",
        "model:",
        "+ c                2",
        "what to do:",
        "- mend it",
        "magicvl cannot answer on this machine",
    ]


def test_the_doctor_loads_nothing_that_may_be_missing() -> None:
    code = (
        "import sys, magicvl.edge.doctor, magicvl.doctor_command\nprint(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not {"numpy", "PIL", "jinja2", "llama_cpp", "gguf", "diskcache", "typer"} & set(done.stdout.split())
