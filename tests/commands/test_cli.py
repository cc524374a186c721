"""The command line as users meet it: usage, help, exit statuses, and one line for each error that they can mend."""

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from support.camera import Script, camera
from support.waiting import wait_until
from support.wave_files import write_wave

from edgeaudio import cli
from edgeaudio.commands import check_parser
from edgeaudio.errors import EdgeaudioError
from edgeaudio.version import __version__

RATE = 1200  # of the test model: clips of 120 samples, one each 50 ms, three scores that are means of their thirds


def edgeaudio(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgeaudio", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


def test_help_is_there_without_loading_anything_heavy() -> None:
    script = (
        "import sys; from edgeaudio.cli import parser; parser().format_help()\n"
        "print(*(name for name in ('numpy', 'av', 'pydantic', 'paho', 'ai_edge_litert', 'PIL') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("command", ["run", "check", "probe", "score", "transcribe", "picture", "film"])
def test_every_command_explains_itself(command: str, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: edgeaudio {command}")
    assert "--config FILE" in text


def test_python_m_is_the_command_and_tells_its_version() -> None:
    assert edgeaudio("--version").stdout == f"edgeaudio {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [[], ["listen"], ["probe"], ["probe", "x", "--seconds", "0"], ["score", "x", "--top", "0"]]
)
def test_wrong_usage_is_status_2(arguments: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert re.fullmatch(r"edgeaudio: .+; see edgeaudio( \w+)? --help\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["probe"], "the following arguments are required: SOURCE; see edgeaudio probe --help"),
        (
            ["probe", "x", "--seconds", "a\nb"],
            "argument --seconds: a\\nb is not a number from 0.5 to 60; see edgeaudio probe",
        ),
        (
            ["probe", "x", "--seconds", "nan"],
            "argument --seconds: nan is not a number from 0.5 to 60; see edgeaudio probe",
        ),
        (
            ["score", "x", "--top", "1.5"],
            "argument --top: 1.5 is not a whole number from 1 to 10000; see edgeaudio score",
        ),
        (["model", "init", "x", "--sample-rate", "9"], "argument --sample-rate: 9 is not a whole number from 1000 to"),
        (["archive", "query", "heard", "nonsense"], "unrecognized arguments; see edgeaudio archive query --help"),
        (["check", "--print", "--schema"], "argument --schema: not allowed with argument --print; see edgeaudio check"),
    ],
)
def test_wrong_usage_is_one_line(arguments: list[str], line: str, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.startswith(f"edgeaudio: {line}")
    assert error.count("\n") == 1


def run_with(monkeypatch, error: BaseException | None) -> int:
    def command(_):
        if error is not None:
            raise error
        return 0

    monkeypatch.setattr(check_parser, "_check", command)
    return cli.main(["check"])


def test_what_users_can_mend_is_a_line_each_without_secrets(monkeypatch, capsys) -> None:
    assert run_with(monkeypatch, EdgeaudioError("first: rtsp://me:hunter2@cam fails\nsecond: too")) == 2
    assert capsys.readouterr().err == "edgeaudio: first: rtsp://me:***@cam fails\nedgeaudio: second: too\n"


def test_a_fault_of_ours_is_a_traceback_without_secrets(monkeypatch, capsys) -> None:
    assert run_with(monkeypatch, RuntimeError("rtsp://me:hunter2@cam")) == 1
    text = capsys.readouterr().err
    assert "Traceback" in text
    assert "RuntimeError: rtsp://me:***@cam" in text


NUMPYS = "raise ImportError('advice') from ImportError('libx.so: too short', name='numpy.y')"


@pytest.mark.parametrize("command", ["check", "health"])
@pytest.mark.parametrize(
    ("library", "raises", "told"),
    [
        ("numpy", NUMPYS, "libx.so: too short"),
        ("numpy", "raise ModuleNotFoundError('No module named numpy', name='numpy')", "No module named numpy"),
        ("pydantic", "from pydantic import nothing", "cannot import name 'nothing' from "),
    ],
)
def test_a_library_that_cannot_be_imported_is_one_line(command, library, raises, told, tmp_path) -> None:
    (tmp_path / library).mkdir()
    (tmp_path / library / "__init__.py").write_text(raises)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "RUNTIME_DIRECTORY": str(tmp_path)}
    run = [sys.executable, "-m", "edgeaudio", command]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"edgeaudio: {library} cannot be imported ({told}")
    assert line.endswith("edgeaudio with all that it needs again, by pip's --force-reinstall")


def test_an_import_of_our_own_that_fails_is_a_fault_of_ours(monkeypatch, capsys) -> None:
    assert run_with(monkeypatch, ImportError("cannot import", name="edgeaudio.wiring")) == 1
    assert "Traceback" in capsys.readouterr().err


def test_control_c_is_130(monkeypatch, capsys) -> None:
    assert run_with(monkeypatch, KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == ""


def test_a_reader_that_goes_away_is_no_fault(model, tmp_path) -> None:
    long = write_wave(tmp_path / "long.wav", np.full(RATE * 120, 0.5), RATE)
    command = [sys.executable, "-m", "edgeaudio", "score", "--model", model, str(long)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(30) == 141
    assert "Traceback" not in errors
    assert "Broken" not in errors


@pytest.mark.parametrize("command", ["probe", "score", "picture", "check"])
def test_control_c_ends_a_live_source_at_once(command: str, model, tmp_path) -> None:
    script = Script(hang_at="OPTIONS") if command == "check" else Script()
    with camera(script) as url:
        (tmp_path / "edgeaudio.toml").write_text(
            f'state_dir = "state"\nmqtt.url = "mqtt://127.0.0.1:1"\n[models.mine]\npath = "{model}"\n'
            f'[sources.porch]\nurl = "{url}"\n'
        )
        more = {"probe": ["--seconds", "60", "porch"], "score": ["porch"], "picture": ["porch"], "check": []}[command]
        arguments = [command, "--config", str(tmp_path / "edgeaudio.toml"), *more]
        with subprocess.Popen([sys.executable, "-m", "edgeaudio", *arguments], stdout=-1, stderr=-1) as process:
            last = "OPTIONS" if command == "check" else "PLAY"
            wait_until(lambda: any(request.startswith(last) for request in script.seen), what="the camera is asked")
            process.send_signal(signal.SIGINT)
            errors = process.communicate(timeout=20)[1].decode()
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "Interrupt" not in errors


def test_run_refuses_wrong_settings_before_anything_else(tmp_path, capsys) -> None:
    assert cli.main(["run", "--config", str(tmp_path / "gone.toml")]) == 2
    expected = f"edgeaudio: {tmp_path}/gone.toml: settings file cannot be read: No such file or directory\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("command", ["probe", "score", "film"])
@pytest.mark.parametrize(
    "url",
    ["rtsp://me:hunter2@cam/x", "rtsp://hunter2@cam/x", "rtsp://me:hun/ter2@cam/x", "me:hunter2@cam/x",
     "http://cam/x?password=hunter2"],
)  # fmt: skip
def test_a_login_on_the_command_line_is_refused_with_the_way_to_do_it(command: str, url: str, capsys) -> None:
    assert cli.main([command, url]) == 2
    assert capsys.readouterr().err == (
        "edgeaudio: a login here would show in the process list; "
        "write it into the settings, and give the source's name, as in --config edgeaudio.toml porch\n"
    )


@pytest.mark.parametrize("url", ["rtsp://me:hunter2@cam/x", "rtsp://me:hun/ter2@cam/x", "me:hunter2@cam/x"])
@pytest.mark.parametrize("before", [[], ["run"], ["probe", "x"], ["probe", "x", "--seconds"], ["model"]])
def test_wrong_usage_repeats_no_login(before: list[str], url: str, capsys) -> None:
    with pytest.raises(SystemExit):
        cli.main([*before, url])
    error = capsys.readouterr().err
    assert "ter2" not in error
    assert "***" in error or "unrecognized arguments; see" in error


def test_the_demo_takes_no_login_on_its_command_line(capsys) -> None:
    assert cli.main(["demo", "--broker", "mqtt://me:hunter2@broker"]) == 2
    error = capsys.readouterr().err
    assert "EDGEAUDIO_MQTT__PASSWORD" in error
    assert "hunter2" not in error


@pytest.mark.parametrize(
    "words", [["--password=Zq9Xk7Wv5"], ["--password", "Zq9Xk7Wv5"], ["-pZq9Xk7Wv5"], ["Zq9Xk7Wv5"]]
)
@pytest.mark.parametrize("command", ["run", "check", "demo"])
def test_what_nobody_asked_for_is_not_repeated(command: str, words: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([command, *words])
    error = capsys.readouterr().err
    assert caught.value.code == 2
    assert "unrecognized arguments" in error
    assert "Zq9" not in error
    assert ("--password" in error) == words[0].startswith("--password")


def test_want_of_memory_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> int:
        raise MemoryError

    monkeypatch.setattr("edgeaudio.commands.check.print_example", fails)
    assert cli.main(["check", "--example"]) == 2
    assert capsys.readouterr().err == "edgeaudio: that takes more memory than there is; close other programs\n"
