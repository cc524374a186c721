"""Without a TFLite runtime the error is one line: the system, and the runtime for it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgeaudio.recognise import interpreter as interpreter_module
from edgeaudio.recognise.no_runtime import NoRuntimeError, System, no_runtime, this_system

GLIBC = "glibc 2.36"
CASES = [
    (System("x86_64", 64, (3, 11), GLIBC), "pip install ai-edge-litert"),
    (System("aarch64", 64, (3, 14), GLIBC), "pip install ai-edge-litert"),
    (System("aarch64", 64, (3, 15), GLIBC), "with Python 3.11 to 3.14"),
    (System("aarch64", 32, (3, 11), GLIBC), "pip install tflite-runtime==2.14.0 'numpy<2'"),
    (System("armv7l", 32, (3, 11), GLIBC), "pip install tflite-runtime==2.14.0 'numpy<2'"),
    (System("armv8l", 32, (3, 13), GLIBC), "with Python 3.11 (Debian"),
    (System("armv6l", 32, (3, 11), GLIBC), "there is none for it"),
    (System("riscv64", 64, (3, 13), GLIBC), "there is none for it"),
    (System("x86_64", 32, (3, 11), GLIBC), "there is none for it"),
    (System("aarch64", 64, (3, 12), "musl"), "no runtime is built for musl"),
]


@pytest.mark.parametrize(("system", "remedy"), CASES)
def test_each_system_is_named_with_what_serves_it(system: System, remedy: str) -> None:
    message = str(no_runtime(system, ModuleNotFoundError("No module named 'ai_edge_litert'")))
    assert "\n" not in message
    assert f"({system.machine}, {system.bits}-bit userland, Python 3.{system.python[1]}, {system.libc})" in message
    assert remedy in message


def test_the_width_of_this_system_is_that_of_its_python() -> None:
    system = this_system()
    assert system.machine == os.uname().machine
    assert system.bits == (64 if sys.maxsize > 2**32 else 32)
    assert system.python == sys.version_info[:2]
    assert system.libc.startswith("glibc ")


def test_musl_is_recognised_by_its_loader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def only_glibc_knows_that_name(name: str) -> str:
        raise ValueError(name)

    monkeypatch.setattr(os, "confstr", only_glibc_knows_that_name)
    assert this_system(tmp_path).libc == "unknown libc"
    (tmp_path / "ld-musl-x86_64.so.1").touch()
    assert this_system(tmp_path).libc == "musl"


def test_an_import_without_a_runtime_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tflite_runtime", "ai_edge_litert", "ai_edge_litert.interpreter"):
        monkeypatch.setitem(sys.modules, name, None)
    spec = importlib.util.spec_from_file_location("model_without_runtime", interpreter_module.__file__)
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(NoRuntimeError, match="ai_edge_litert"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


@pytest.mark.parametrize(
    "raised", ["OSError('libLiteRt.so: file too short')", "AttributeError('_ARRAY_API not found')"]
)
def test_a_runtime_that_is_there_and_broken_is_bad_input(
    raised: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ai_edge_litert").mkdir()
    (tmp_path / "ai_edge_litert" / "__init__.py").touch()
    (tmp_path / "ai_edge_litert" / "interpreter.py").write_text(f"raise {raised}")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("ai_edge_litert", "ai_edge_litert.interpreter"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "tflite_runtime", None)
    spec = importlib.util.spec_from_file_location("model_with_broken_runtime", interpreter_module.__file__)
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(NoRuntimeError) as caught:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert raised.split("'")[1] in str(caught.value)
    if this_system().bits == 64 and this_system().machine in {"x86_64", "aarch64"}:
        assert str(caught.value).endswith("pip install --force-reinstall ai-edge-litert")


@pytest.mark.parametrize("command", ["run", "check", "score"])
def test_every_command_that_needs_one_says_so_in_one_line_with_exit_status_2(command: str) -> None:
    program = "import sys\nfor name in ('tflite_runtime', 'ai_edge_litert'):\n    sys.modules[name] = None\n"
    program += "from edgeaudio.cli import main\nsys.exit(main(sys.argv[1:]))"
    arguments = [command, "x.wav"] if command == "score" else [command]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("edgeaudio: no TFLite runtime (")
    assert f"({this_system()}): " in line
