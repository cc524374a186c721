"""`edgeaudio setup`, with a real broker and cameras, from a pipe and on a terminal; and `run` before it."""

from __future__ import annotations

import contextlib
import io
import os
import re
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support import onvif_camera as onvif_camera_module
from support.brokers import BrokerProcess, Subscriber, broker, mosquitto
from support.camera import Script, camera
from support.loading import load
from support.onvif_camera import MATCH, OnvifCamera, onvif_camera
from support.ports import free_port
from support.serving import serving
from support.terminals import terminal

from edgeaudio import cli
from edgeaudio.commands import onvif, setup
from edgeaudio.commands.onvif import FoundCamera, Login, LoginRefusedError, find_cameras, stream_url

__all__ = ["broker", "mosquitto"]  # fixtures
LOGIN = Login("viewer", "hunter2")


@pytest.fixture(autouse=True)
def _loopback_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(socket.if_nametoindex("lo"), "lo")])
    # tests that run at the same time would find each other's cameras
    port = free_port(socket.SOCK_DGRAM)
    for module in (onvif, onvif_camera_module):
        monkeypatch.setattr(module, "PORT", port)
    monkeypatch.setattr("edgeaudio.sinks.mqtt.client._MUTE_S", 0.5)
    monkeypatch.setattr("edgeaudio.commands.check.LISTEN_S", 0.3)
    monkeypatch.setattr(setup.setup, "__kwdefaults__", {"search_s": 0.6})
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for name in [name for name in os.environ if name.startswith("EDGEAUDIO_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def answer(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in answers)))


def test_a_broker_and_a_camera_are_tried_and_written(
    broker: BrokerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    broker.start()
    file = tmp_path / "edgeaudio.toml"
    with camera(Script()) as url, onvif_camera(OnvifCamera(stream=url.replace("127.0.0.1", "10.0.0.9"))):
        answer(monkeypatch, "My House", f"127.0.0.1:{broker.port}", "", "1", "viewer", "hunter2", "Front Door", "n")
        assert cli.main(["setup"]) == 0
    said = capsys.readouterr()
    assert "  1  127.0.0.1  Porch\\u001b[2J T 1\n" in said.out
    assert re.search(
        r"^.*source front-door  works  rtsp://viewer:\*\*\*@127.0.0.1:\d+/\S*: pcm", said.out, re.MULTILINE
    )
    assert said.out.endswith(
        "Next:\n  edgeaudio check --config edgeaudio.toml\n  edgeaudio run --config edgeaudio.toml\n"
    )
    assert "hunter2" not in said.out + said.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    settings = load(file, (), {})
    assert (settings.device, settings.mqtt.url.get_secret_value()) == ("my-house", f"mqtt://127.0.0.1:{broker.port}")
    source = settings.sources["front-door"]
    assert (source.url.get_secret_value(), source.username, source.secret()) == (url, "viewer", "hunter2")


def test_the_next_commands_can_be_typed_where_edgeaudio_is_not_on_the_path(
    broker: BrokerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    broker.start()
    monkeypatch.setenv("PATH", str(tmp_path))
    answer(monkeypatch, "", f"127.0.0.1:{broker.port}", "", "")
    with Subscriber(broker.port) as subscriber:
        assert cli.main(["setup"]) == 0
    assert subscriber.heard == []  # nothing of what an earlier run has told is taken away
    program, check, *_ = capsys.readouterr().out.rpartition("Next:\n  ")[2].split()
    assert (program, check) == (str(Path(sys.executable).with_name("edgeaudio")), "check")


def test_what_fails_is_said_and_asked_again_or_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    file = tmp_path / "x y.toml"
    quotes = 'a"b\\c\x1b'
    answer(
        monkeypatch,
        "",
        *(
            "mqtt://me:hunter2@broker",
            "ftp://x",
            "",
            "127.0.0.1:1",
            "me",
            quotes,
            "n",
            "127.0.0.1:1",
            "me",
            quotes,
            "y",
        ),
        *("gone.wav/", "tape", "n", "rtsp://127.0.0.1:1/x", "", "yard", "y", "y", "alsa:x", "yard", ""),
    )
    assert cli.main(["setup", "--config", str(file)]) == 0
    said = capsys.readouterr()
    assert "setup: mqtt.url: " in said.err
    assert said.out.count("broker  FAILS  mqtt://127.0.0.1:1: connection refused") == 2
    assert "source tape  FAILS  " in said.out, said.out
    assert "source yard  FAILS  rtsp://127.0.0.1:1/x: " in said.out
    assert "without the login, which is asked for next" in said.err
    assert "there is a source yard already" in said.err
    assert f"  edgeaudio run --config '{file}'\n" in said.out
    assert "hunter2" not in said.out + said.err + file.read_text()
    settings = load(file, (), {})
    assert (settings.mqtt.username, settings.mqtt.secret()) == ("me", quotes)
    assert list(settings.sources) == ["yard"]


def test_a_service_has_its_passwords_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    (tmp_path / "credentials").mkdir(mode=0o700)
    file = tmp_path / "edgeaudio.toml"
    file.write_text("# made by hand")
    answer(monkeypatch, "y", "", "127.0.0.1:1", "me", "hunter2", "y", "")
    assert cli.main(["setup", "--config", str(file)]) == 0
    password = tmp_path / "credentials" / "mqtt.password"
    assert (password.read_text(), stat.S_IMODE(password.stat().st_mode)) == ("hunter2\n", 0o600)
    assert "hunter2" not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert load(file, (), {"CREDENTIALS_DIRECTORY": str(password.parent)}).mqtt.secret() == "hunter2"
    assert "systemctl restart edgeaudio" in capsys.readouterr().out


def test_a_name_that_no_file_can_have_is_one_line(capsys) -> None:
    assert cli.main(["setup", "--config", "a" * 300]) == 2
    assert capsys.readouterr().err.endswith("a: File name too long; name another file with --config FILE\n")


def test_an_address_is_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """The name of the device is asked for first, and is in every topic."""
    answer(monkeypatch, "mqtt://me:hunter2@b", "me:hunter2@b", "dock", "127.0.0.1:1", "", "y", "")
    assert cli.main(["setup"]) == 0
    said = capsys.readouterr()
    assert said.err.count("a name is made of letters and digits; this is an address\n") == 2
    text = (tmp_path / "edgeaudio.toml").read_text()
    assert 'device = "dock"' in text
    assert "hunter2" not in said.out + said.err + text


@pytest.mark.parametrize("answers", [[], [""], ["", "127.0.0.1:1"], ["", "127.0.0.1:1", "", "y", "alsa:x"]])
def test_answers_that_end_are_one_line_and_write_nothing(
    answers: list[str], tmp_path: Path, monkeypatch, capsys
) -> None:
    answer(monkeypatch, *answers)
    assert cli.main(["setup"]) == 2
    error = capsys.readouterr().err
    assert error.splitlines()[-1].startswith(
        "edgeaudio: setup: the answers ended, and nothing was written; run it at a"
    )
    assert not (tmp_path / "edgeaudio.toml").exists()


def test_nothing_is_written_over_without_asking(tmp_path: Path, monkeypatch, capsys) -> None:
    file = tmp_path / "edgeaudio.toml"
    file.write_text("# mine")
    for reply in ("", "n", "what?"):
        answer(monkeypatch, reply)
        assert cli.main(["setup", "--config", str(file)]) == 2
        line = f"edgeaudio: {file}: left as it was; name another file with --config FILE\n"
        assert capsys.readouterr().err == line
    assert file.read_text() == "# mine"
    assert cli.main(["setup", "--config", str(tmp_path / "none" / "x.toml")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_password_is_not_shown_on_a_terminal(tmp_path: Path) -> None:
    script = "import socket; socket.if_nameindex = lambda: []; from edgeaudio.cli import main; main(['setup'])"
    with terminal([sys.executable, "-c", script]) as user:
        user.type("", "Home Assistant")
        user.type("\n", "broker")
        user.type("127.0.0.1:1\n", "User name")
        user.type("me\n", "Password: ")
        user.type("hunter2\n", "all the same?")
        shown = user.interrupt()
    assert "me\n" in shown
    assert "hunter2" not in shown
    assert "Traceback" not in shown
    assert not (tmp_path / "edgeaudio.toml").exists()


# ONVIF


def test_a_camera_is_found_and_says_where_it_streams() -> None:
    with onvif_camera(OnvifCamera()) as there:
        found = find_cameras(0.5)
        assert found == [FoundCamera("127.0.0.1", "Porch\\u001b[2J T 1", there.service)]
        assert stream_url(found[0], LOGIN) == "rtsp://127.0.0.1:554/small"
        for login in (Login("viewer", "wrong"), None):
            with pytest.raises(LoginRefusedError):
                stream_url(found[0], login)
    assert not any("hunter2" in question for question in there.asked)


@pytest.mark.parametrize(
    "stream",
    ["http://127.0.0.1/x", "rtsp://me:hunter2@127.0.0.1/x", "rtsp://127.0.0.1:x/", "rtsp://127.0.0.1/\u202e", ""],
)
def test_streams_that_are_not_believed(stream: str) -> None:
    with onvif_camera(OnvifCamera(stream=stream)) as there:
        assert stream_url(FoundCamera("127.0.0.1", "", there.service), LOGIN) is None


@pytest.mark.parametrize(
    "match",
    [
        lambda message: b"",
        lambda message: b"\xff" * 60_000,
        lambda message: b"<a>" * 20_000,
        lambda message: b'<!DOCTYPE a [<!ENTITY b "bbbb">]><a>&b;</a>',
        lambda message: MATCH.format(message="urn:uuid:another", name="x", services="").encode(),
        lambda message: MATCH.format(message=message, name="x", services="").replace("NetworkVideo", "Print").encode(),
    ],
    ids=["nothing", "bytes", "deep", "entities", "not asked", "a printer"],
)
def test_answers_that_are_none(match) -> None:
    with onvif_camera(OnvifCamera(match=match)):
        assert find_cameras(0.3) == []


def test_an_answer_speaks_for_its_own_host_alone() -> None:
    def match(message: str) -> bytes:
        return MATCH.format(message=message, name="x", services="http://[ http://10.0.0.9:81/onvif").encode()

    with onvif_camera(OnvifCamera(match=match)):
        assert find_cameras(0.3) == [FoundCamera("127.0.0.1", "x T 1", "http://127.0.0.1/onvif/device_service")]


def test_a_fault_that_is_a_refused_login_is_one() -> None:
    fault = b"<Fault><Value>ter:NotAuthorized</Value></Fault>"
    with onvif_camera(OnvifCamera(answer=fault)) as there, pytest.raises(LoginRefusedError):
        stream_url(FoundCamera("127.0.0.1", "", there.service), LOGIN)


def test_a_camera_whose_name_is_not_utf_8_is_found() -> None:
    def match(message: str) -> bytes:
        service = "https://127.0.0.1/x http://127.0.0.1:81/onvif"  # the first of them cannot be asked
        answer = MATCH.format(message=message, name="NAME", services=service).encode().replace(b"NAME", b"T\xfcr")
        return b"\xef\xbb\xbf" + answer

    with onvif_camera(OnvifCamera(match=match)):
        assert find_cameras(0.3) == [FoundCamera("127.0.0.1", "T\ufffdr T 1", "http://127.0.0.1:81/onvif")]


def test_what_cannot_be_meant_is_asked_again(
    broker: BrokerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    broker.start()
    with onvif_camera(OnvifCamera()):
        login = ("viewer", "wrong")
        answer(
            monkeypatch, "", f"127.0.0.1:{broker.port}", "", "7", "1", *login, f"rtsp://127.0.0.1:{free_port()}/", ""
        )
        assert cli.main(["setup"]) == 2
    said = capsys.readouterr()
    assert "there is no camera 7\n" in said.err
    assert "127.0.0.1 refuses that login, by ONVIF, to say where it streams; its manual or app does\n" in said.out
    assert cli.main(["setup", "--config", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"edgeaudio: {tmp_path}: this is a directory; name a file with --config FILE\n"


@pytest.mark.parametrize("content", [b"\xff", b"<a/>", b"<!DOCTYPE a><a/>", b"x" * 2_000_000])
def test_services_that_answer_nonsense(content: bytes) -> None:
    with onvif_camera(OnvifCamera(answer=content)) as there:
        assert stream_url(FoundCamera("127.0.0.1", "", there.service), LOGIN) is None
    assert stream_url(FoundCamera("127.0.0.1", "", there.service), LOGIN) is None  # nobody is there any more
    assert stream_url(FoundCamera("127.0.0.1", "", "https://127.0.0.1/"), LOGIN) is None


@pytest.mark.parametrize("begin", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["head", "body"])
def test_an_answer_that_drips_is_not_awaited(begin: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onvif, "ANSWER_S", 0.5)

    def drip(connection: socket.socket, ended: threading.Event) -> None:
        with connection, contextlib.suppress(OSError):
            connection.sendall(begin)
            while not ended.wait(0.05):
                connection.sendall(b"x")

    with serving(drip) as port:
        began_s = time.monotonic()
        assert stream_url(FoundCamera("127.0.0.1", "", f"http://127.0.0.1:{port}/"), LOGIN) is None
        assert time.monotonic() - began_s < 10


def test_the_search_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    begin_s = time.monotonic()
    assert find_cameras(0.2, interfaces=[]) == []
    assert time.monotonic() - begin_s < 5
    monkeypatch.setattr(onvif, "MOST_CAMERAS", 1)
    with onvif_camera(OnvifCamera()):
        assert len(find_cameras(30)) == 1


# before it


def test_run_without_any_settings_says_what_to_do(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "edgeaudio", "run"]
    if Path("/etc/edgeaudio/edgeaudio.toml").exists():
        pytest.skip("this machine has settings of its own")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (2, 5)
    assert lines[0].startswith("edgeaudio: nothing is set")
    assert [line.split()[1] for line in lines[1:]] == ["setup", "check", "run", "demo"]
