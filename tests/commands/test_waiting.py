"""No command waits for ever: each says what it waits for, ends within a limit that it names, and says what to do."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from support.camera import Script, camera, sine_packets
from support.endless import endless_server
from support.faulty_card import build_plugin, use_cards
from support.media import sine, write_media
from support.ports import free_port
from support.rtsp import push_rtsp
from support.tflite import model_directory
from support.waiting import wait_until

from edgeaudio import cli
from edgeaudio.capture import pipe
from edgeaudio.capture.config import SourceConfig

LIMIT_S = 1.5


@pytest.fixture(autouse=True)
def _short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("check", "probe", "recognition"):
        monkeypatch.setattr(f"edgeaudio.commands.{module}.SENDER_WAIT_S", LIMIT_S)
    monkeypatch.setattr("edgeaudio.commands.waiting.SENDER_WAIT_S", LIMIT_S)
    monkeypatch.setattr("edgeaudio.commands.waiting.SHOWN_AFTER_S", 0.3)
    monkeypatch.setattr("edgeaudio.commands.check.LISTEN_S", 0.3)
    monkeypatch.setattr("edgeaudio.capture.opening._open_limit_s", lambda *_: LIMIT_S)
    monkeypatch.setattr(pipe, "STALL_S", LIMIT_S)
    monkeypatch.setattr(
        "edgeaudio.commands.source_argument.SourceConfig", partial(SourceConfig, read_timeout_s=LIMIT_S)
    )


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(model_directory(tmp_path))


@pytest.fixture(params=["probe", "score"])
def command(request: pytest.FixtureRequest, model: str) -> list[str]:
    return ["probe", "--seconds", "0.5"] if request.param == "probe" else ["score", "--model", model]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    began_s = time.monotonic()
    status = cli.main(list(arguments))
    assert time.monotonic() - began_s < LIMIT_S + 3
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def settings_file(folder: Path, model: str, url: str) -> Path:
    """Settings with one source, and a broker that nothing listens for."""
    path = folder / "edgeaudio.toml"
    path.write_text(
        f'state_dir = "state"\n[mqtt]\nurl = "mqtt://127.0.0.1:{free_port()}"\n'
        f'[models.mine]\npath = "{model}"\n[sources.door]\nurl = "{url}"\n'
    )
    return path


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "sound.wav"
    os.mkfifo(path)
    return path


@pytest.fixture
def wave_file(tmp_path: Path) -> Path:
    write_media(tmp_path / "tone.wav", "pcm_s16le", sine(1000, 8000, 10.0), 8000)
    return tmp_path / "tone.wav"


@contextlib.contextmanager
def writing(fifo: Path, data: bytes, *, close: bool = True) -> Iterator[None]:
    """Write to a pipe from a thread, then close it, or stall until the block ends."""
    ended = threading.Event()

    def write() -> None:
        with contextlib.suppress(BrokenPipeError), fifo.open("wb", buffering=0) as file:
            file.write(data)
            if not close:
                ended.wait(20)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        with contextlib.suppress(OSError):  # if nobody ever read
            os.close(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK))
        thread.join(5)


# pushed sources


def test_a_push_that_nobody_makes(command: list[str], capsys) -> None:
    port = free_port()
    status, _, err = run(capsys, *command, f"rtsp+listen://127.0.0.1:{port}/in")
    assert status == 2
    waits, fails = err.splitlines()
    assert waits == (
        f"edgeaudio: waiting for a sender to push to rtsp+listen://127.0.0.1:{port}/in, at most {LIMIT_S:g} s"
    )
    assert fails == (
        f"edgeaudio: rtsp+listen://127.0.0.1:{port}/in: no sender pushed to it within {LIMIT_S:g} s; "
        f"start the sender first, and let it push by RTSP over TCP to port {port} of this machine"
    )


def test_check_waits_for_no_push_for_ever(model: str, tmp_path: Path, capsys) -> None:
    url = f"rtsp+listen://127.0.0.1:{free_port()}/in"
    path = settings_file(tmp_path, model, url)
    status, out, err = run(capsys, "check", "--config", str(path))
    assert status == 2
    assert f"source door  FAILS  {url}: no sender pushed to it within {LIMIT_S:g} s; start the sender first" in out
    assert f"edgeaudio: source door: waiting for a sender to push to {url}" in err


def test_a_push_that_comes_is_heard(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeaudio.capture.opening._open_limit_s", lambda *_: 20.0)
    url = f"rtsp+listen://127.0.0.1:{free_port()}/in"
    with push_rtsp(url.replace("rtsp+listen", "rtsp")):
        assert cli.main(["probe", "--seconds", "0.5", url]) == 0
    assert "pcm_alaw" in capsys.readouterr().out


# pipes


def test_a_pipe_that_nobody_writes_to(command: list[str], fifo: Path, capsys) -> None:
    status, _, err = run(capsys, *command, str(fifo))
    assert status == 2
    waits, fails = err.splitlines()
    assert waits.startswith(f"edgeaudio: waiting for something to be written to the named pipe {fifo}, at most ")
    assert fails == (
        f"edgeaudio: {fifo}: nothing was written to this named pipe within {LIMIT_S:g} s; "
        "start the program that writes to it; it must not pause for so long"
    )


@pytest.mark.parametrize("before", [0, 20, 120_000], ids=["nothing", "half a header", "sound"])
def test_a_pipe_whose_writer_stalls(before: int, command: list[str], fifo: Path, wave_file: Path, capsys) -> None:
    with writing(fifo, wave_file.read_bytes()[:before], close=False):
        status, out, err = run(capsys, *command, str(fifo))
    if before > 20 and command[0] == "probe":
        assert status == 0
        assert "8000 Hz" in out
        return
    assert status == 2
    assert "nothing was written to this named pipe within " in err
    assert bool(out) == (before > 20)  # what came before is shown


def test_a_pipe_is_read_to_its_end(command: list[str], fifo: Path, wave_file: Path, capsys) -> None:
    with writing(fifo, wave_file.read_bytes()):
        status, out, err = run(capsys, *command, str(fifo))
    assert (status, err) == (0, "")
    assert out


def test_a_pipe_that_ends_before_it_begins(command: list[str], fifo: Path, capsys) -> None:
    with writing(fifo, b""):
        status, _, err = run(capsys, *command, str(fifo))
    assert status == 2
    assert "it ended before anything was written to it; look at the program that writes" in err


def test_check_refuses_a_pipe_at_once_as_run_does(model: str, fifo: Path, tmp_path: Path, capsys) -> None:
    path = settings_file(tmp_path, model, str(fifo))
    status, out, _ = run(capsys, "check", "--config", str(path))
    assert status == 2
    assert (
        f"{fifo}: this is a named pipe: only `score`, `probe` and `transcribe` read one; have the sound pushed by RTSP"
        in out
    )


def test_standard_input_is_read_as_a_pipe(wave_file: Path) -> None:
    command = [sys.executable, "-m", "edgeaudio", "probe", "--json", "/dev/stdin"]
    done = subprocess.run(command, input=wave_file.read_bytes(), capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b'"sample_rate": 8000' in done.stdout


# what is no recording


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/full"])
def test_devices_that_are_no_recordings(device: str, command: list[str], capsys) -> None:
    status, _, err = run(capsys, *command, device)
    assert status == 2
    assert err.splitlines()[-1].startswith(f"edgeaudio: {device}: ")  # a busy machine may say before that it waits


def test_a_terminal_at_which_nobody_types(command: list[str], capsys) -> None:
    ours, theirs = os.openpty()
    try:
        status, _, err = run(capsys, *command, os.ttyname(theirs))
    finally:
        os.close(ours)
        os.close(theirs)
    assert status == 2
    assert "nothing was written to this terminal or other device" in err


def test_a_socket_and_a_directory(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("door")
        status, _, err = run(capsys, *command, "./door")
    assert status == 2
    assert "this is a socket, not a recording; have the sound pushed by RTSP" in err
    status, _, err = run(capsys, *command, str(tmp_path))
    assert status == 2
    assert "this is a directory; name a recording in it" in err


def test_a_name_that_no_file_can_have(command: list[str], capsys) -> None:
    status, _, err = run(capsys, *command, f"./{'a' * 300}.wav")
    assert status == 2
    assert "no such file" in err


# streams


def test_a_server_that_accepts_and_says_nothing(command: list[str], capsys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"rtsp://127.0.0.1:{mute.getsockname()[1]}/x"
        status, _, err = run(capsys, *command, url)
    assert status == 2
    assert err.startswith(f"edgeaudio: waiting for {url} to answer, at most ")
    assert f"no complete answer within {LIMIT_S:g} s" in err


def test_a_source_that_drips_is_listened_to_for_a_limited_time(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeaudio.commands.waiting.SLACK_S", -1.0)

    def packets():
        for packet in sine_packets():
            packet.wait_s = 0.2  # 20 ms of sound
            yield packet

    with camera(Script(packets=packets)) as url:
        began_s = time.monotonic()
        assert cli.main(["probe", "--seconds", "1", "--json", url]) == 0
    assert time.monotonic() - began_s < 6
    assert '"heard_s"' in capsys.readouterr().out


@pytest.mark.parametrize("what", ["push", "pipe"])
@pytest.mark.parametrize("command_name", ["probe", "score", "check"])
def test_control_c_ends_the_wait(what: str, command_name: str, model: str, fifo: Path, tmp_path: Path) -> None:
    url = str(fifo) if what == "pipe" else f"rtsp+listen://127.0.0.1:{free_port()}/in"
    if command_name == "check":
        if what == "pipe":
            return  # refused at once
        arguments = ["check", "--config", str(settings_file(tmp_path, model, url))]
    else:
        arguments = [command_name, url] + (["--model", model] if command_name == "score" else [])
    process = subprocess.Popen([sys.executable, "-m", "edgeaudio", *arguments], stderr=subprocess.PIPE, text=True)
    try:
        stderr = process.stderr
        assert stderr is not None
        said: list[str] = []
        reader = threading.Thread(target=lambda: said.extend(iter(stderr.readline, "")))
        reader.start()
        wait_until(lambda: any("waiting for" in line for line in said), 30)
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 130
        reader.join(5)
    finally:
        process.kill()
        process.communicate()


# settings


def test_settings_come_through_a_pipe_or_not_at_all(fifo: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeaudio.settings.reading.WRITER_WAIT_S", LIMIT_S)
    status, _, err = run(capsys, "check", "--print", "--config", str(fifo))
    assert status == 2
    assert err == f"edgeaudio: {fifo}: settings file cannot be read: nothing was written to it within {LIMIT_S:g} s\n"
    with writing(fifo, b'device = "porch"\n'):
        status, out, _ = run(capsys, "check", "--print", "--config", str(fifo))
    assert status == 0
    assert 'device = "porch"' in out


@pytest.mark.parametrize("setting", ["password_file", "ca_file"])
def test_files_of_logins_and_certificates_are_no_pipes(setting: str, fifo: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "edgeaudio.toml"
    path.write_text(f'[sources.a]\nurl = "rtsps://127.0.0.1/x"\nusername = "me"\n{setting} = "{fifo}"\n')
    status, _, err = run(capsys, "check", "--config", str(path))
    assert status == 2
    assert "cannot be read: it is no regular file" in err


def test_silence_is_no_wait(model: str, tmp_path: Path, capsys) -> None:
    write_media(tmp_path / "a.wav", "pcm_s16le", np.zeros((1, 8000), np.float32), 8000)
    assert run(capsys, "score", "--model", model, str(tmp_path / "a.wav"))[0] == 0


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_driver_that_hangs_ends_with_the_command(interrupted: bool, tmp_path: Path, monkeypatch) -> None:
    build_plugin(tmp_path)
    use_cards(monkeypatch, tmp_path, a="type faulty hang 1")
    script = (
        "import sys; from edgeaudio import cli; from edgeaudio.commands import waiting\n"
        f"waiting.HANG_S = {30 if interrupted else 1}; waiting.INTERRUPT_S = 1.2\n"
        "sys.exit(cli.main(['probe', 'alsa:a']))"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    stderr = process.stderr
    assert stderr is not None
    try:
        first = stderr.readline()
        assert first == "edgeaudio: waiting for alsa:a to give sound, at most 1 s\n" or not interrupted
        if interrupted:
            process.send_signal(signal.SIGINT)
        assert process.wait(20) == (130 if interrupted else 2)
        assert interrupted or "alsa:a has hung for 1 s where nothing can interrupt it" in first + stderr.read()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("command_name", ["probe", "score"])
def test_a_head_without_an_end_fills_no_memory(command_name: str, model: str) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom edgeaudio.cli import main\n"
        "from edgeaudio.health.machine import Machine\n"
        "Machine.memory_bound_mb = lambda self: 600.0\nstatus = main(sys.argv[1:])\n"
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])\nsys.exit(status)\n"
    )
    with endless_server() as url:
        more = ["--model", model] if command_name == "score" else []
        command = [sys.executable, "-c", program, command_name, url, *more]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert int(done.stdout) < 450_000  # kB


@pytest.mark.parametrize("action", ["inspect", "verify", "init", "score"])
@pytest.mark.parametrize("which", ["model.toml", "model.tflite"])
def test_models_are_regular_files(action: str, which: str, model: str, wave_file: Path, capsys) -> None:
    (Path(model) / which).unlink()
    os.mkfifo(Path(model) / which)
    arguments = {"init": ["model", "init", f"{model}/model.tflite"], "score": ["score", "--model", model]}
    target = [str(wave_file)] if action == "score" else []
    status, _, err = run(capsys, *arguments.get(action, ["model", action, model]), *target)
    assert status == 2
    assert "it is no regular file" in err or (action, which) == ("init", "model.toml")
