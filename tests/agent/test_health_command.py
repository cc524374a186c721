"""`edgeaudio health` with a real agent: it fails if a part stalls, whatever cameras and broker do."""

from __future__ import annotations

import json
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.agents import RunningAgent
from support.brokers import BrokerProcess
from support.camera import Script, camera
from support.ports import free_port
from support.waiting import wait_until

from edgeaudio.cli import main
from edgeaudio.commands import health as health_command
from edgeaudio.health.agent_socket import HealthSocket, NoAnswerError, ask

Run = Callable[..., RunningAgent]
_HANG = """
import time
from edgeaudio.agent import question_handler, supervisor
supervisor.Supervisor._trim = lambda self: time.sleep(3600)
question_handler.MAIN_TIMEOUT_S = 0.5
"""


def health(agent: RunningAgent, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgeaudio", "health", "--config", str(agent.config), *options]
    return subprocess.run(command, env=agent.environment, capture_output=True, text=True, check=False, timeout=30)


def connected(agent: RunningAgent) -> None:
    wait_until(lambda: "connected, MQTT" in agent.log, what="not connected")


def test_a_running_agent_answers_health(run_agent: Run, broker: BrokerProcess):
    with camera(Script()) as url:
        agent = run_agent(broker.start(), f'[sources.porch]\nurl = "{url}"\n').start()
        connected(agent)
        # the report of the last change, which the one of a change within a second of it follows
        wait_until(lambda: "1 listening; broker: connected" in health(agent).stdout, 30, "not listening")
        told = health(agent)
        assert told.returncode == 0
        assert told.stdout.startswith("testbox: all threads make progress, version ")
        assert told.stdout.endswith("sources: 1 listening; broker: connected\n")
        answer = json.loads(health(agent, "--json").stdout)
    assert answer["device"] == "testbox"
    assert answer["stuck"] is None
    assert answer["health"]["sources"]["porch"]["state"] == "listening"
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    assert not agent.runtime_dir.exists() or not list(agent.runtime_dir.iterdir())
    told = health(agent)
    assert told.returncode == 2
    assert told.stderr.startswith("edgeaudio: no agent runs here")
    assert told.stdout == ""


def test_absent_cameras_and_brokers_do_not_fail_health(run_agent: Run, broker: BrokerProcess):
    agent = run_agent(broker, f'[sources.porch]\nurl = "rtsp://127.0.0.1:{free_port()}/x"\n').start()
    wait_until(lambda: "1 waiting" in health(agent).stdout, 30, "not waiting")
    told = health(agent)
    assert told.returncode == 0
    assert "broker: waiting" in told.stdout


def test_a_stalled_main_thread_fails_health(run_agent: Run, broker: BrokerProcess):
    agent = run_agent(broker.start(), "").start(patch=_HANG)
    wait_until(lambda: list(agent.runtime_dir.glob("*/health.sock")), what="no socket")
    health(agent)  # the first turn may still answer
    told = health(agent)
    assert told.returncode == 2
    assert told.stdout == "testbox: the main thread makes no progress\n"
    command = [sys.executable, "-m", "edgeaudio", "test", "porch", "siren", "--config", str(agent.config)]
    told = subprocess.run(command, env=agent.environment, capture_output=True, text=True, check=False, timeout=30)
    assert told.returncode == 2
    assert told.stderr == "edgeaudio: testbox: the main thread makes no progress, and nothing was sent\n"
    agent.kill()
    told = health(agent)
    assert told.returncode == 2
    assert "it ended without being stopped" in told.stdout
    agent.process = None


def test_without_a_runtime_directory_the_socket_is_in_the_state_directory(run_agent: Run, broker: BrokerProcess):
    agent = run_agent(broker.start(), "")
    agent.environment["RUNTIME_DIRECTORY"] = "/proc/nowhere"
    agent.start()
    connected(agent)
    assert health(agent).returncode == 0


def test_snoozed_labels_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    snoozed = {"dog_bark": "2026-11-30T12:00:00.000Z"}
    source: dict[str, object] = {"state": "listening", "snoozed": snoozed}
    report = {
        "sources": {"porch": source, "yard": {"state": "listening"}},
        "broker": {"state": "connected"},
        "sinks": {},
        "version": "0.1.0",
        "uptime_s": 5.0,
        "at": datetime.now(UTC).isoformat(),
    }
    answer = {"device": "testbox", "stuck": None, "health": report}
    monkeypatch.setattr("edgeaudio.commands.health.find_sockets", lambda _: [tmp_path])
    monkeypatch.setattr("edgeaudio.commands.health.ask", lambda *_: answer)
    assert health_command.health(lambda: tmp_path, as_json=False) == 0
    assert capsys.readouterr().out.endswith("; broker: connected; snoozed: dog_bark of porch\n")
    report["transcripts"] = {"trouble": "nothing listens on that port", "waiting": 3}
    source["raised"] = {"rain": {}}
    assert health_command.health(lambda: tmp_path, as_json=False) == 0
    assert capsys.readouterr().out.endswith(
        "; snoozed: dog_bark of porch; thresholds raised: rain of porch; "
        "3 utterances wait to be transcribed: nothing listens on that port\n"
    )
    report["transcripts"] = None
    del source["raised"]
    snoozed.update({f"l{number}": "" for number in range(6)})
    assert health_command.health(lambda: tmp_path, as_json=False) == 0
    assert capsys.readouterr().out.endswith(
        "; snoozed: dog_bark of porch, "
        + "".join(f"l{number} of porch, " for number in range(4)).removesuffix(", ")
        + " and 2 more\n"
    )


def test_deep_folders_many_clients_and_silent_ones_are_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / ("deep" * 20) / ("deeper" * 20)
    folder.mkdir(parents=True)
    asked = HealthSocket(folder, lambda question: {"n": 1, "asked": question})
    thread = threading.Thread(target=asked.run)
    thread.start()
    try:
        path = folder / "health.sock"
        assert [ask(path, 5) for _ in range(50)] == [{"n": 1, "asked": None}] * 50
        assert ask(path, 5, {"test": "x"}) == {"n": 1, "asked": {"test": "x"}}
        # a client that sends nothing and stays, as those of earlier versions; and one that sends far too much
        monkeypatch.chdir(folder)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
            silent.connect("health.sock")
            assert json.loads(silent.recv(1000)) == {"n": 1, "asked": None}
        with pytest.raises(NoAnswerError):
            ask(path, 5, "x" * 1_000_000)
        assert ask(path, 5) == {"n": 1, "asked": None}
    finally:
        asked.close()
        thread.join(5)
    assert not thread.is_alive()
    assert not list(folder.iterdir())
    with pytest.raises(NoAnswerError):
        ask(folder / "health.sock", 5)


def test_the_socket_recovers_from_a_lack_of_descriptors(tmp_path: Path):
    refused = threading.Event()

    class Pause(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            refused.set()
            return super().wait(0)

    asked = HealthSocket(tmp_path, lambda _: {"n": 1})
    asked._closed = Pause()
    thread = threading.Thread(target=asked.run)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
        asker.connect(str(tmp_path / "health.sock"))
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (asker.fileno(), limits[1]))
            thread.start()
            assert refused.wait(5)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert ask(tmp_path / "health.sock", 5) == {"n": 1}
    asked.close()
    thread.join(5)
    assert not thread.is_alive()


def test_the_agent_stops_though_its_folder_is_gone(tmp_path: Path):
    folder = tmp_path / "folder"
    folder.mkdir()
    asked = HealthSocket(folder, lambda _: {"n": 1})
    (folder / "health.sock").unlink()
    folder.rmdir()
    folder.write_text("no folder any more")
    asked.close()


def test_a_suspended_agent_does_not_answer(run_agent: Run, broker: BrokerProcess):
    agent = run_agent(broker.start(), "").start()
    connected(agent)
    wait_until(lambda: list(agent.runtime_dir.glob("*/health.sock")), what="no socket")
    (path,) = agent.runtime_dir.glob("*/health.sock")
    agent.signal(signal.SIGSTOP)
    reasons = set()
    try:
        for _ in range(12):  # a health check each half minute
            with pytest.raises(NoAnswerError) as caught:
                ask(path, 0.05)
            reasons.add(str(caught.value))
    finally:
        agent.signal(signal.SIGCONT)
    assert reasons == {
        "it does not answer within 0.05 s",
        "it does not answer: those who asked before still wait",
    }
    assert health(agent).returncode == 0


def test_a_slow_answer_times_out(tmp_path: Path):
    path = tmp_path / "health.sock"
    done = threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()

        def drip() -> None:
            with server.accept()[0] as connection, suppress(OSError):
                while not done.wait(0.05):
                    connection.sendall(b" ")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with pytest.raises(NoAnswerError, match=r"^it does not answer within 0\.3 s$"):
                ask(path, 0.3)
        finally:
            done.set()
            thread.join(5)


@pytest.mark.parametrize("device", ["\ud800", "\x1b[31mporch", "porch\nit is well"])
def test_an_answer_is_shown_in_one_line(device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "x").mkdir()
    asked = HealthSocket(tmp_path / "x", lambda _: {"device": device, "stuck": "the sender", "health": None})
    thread = threading.Thread(target=asked.run)
    thread.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
            assert main(["health"]) == 2
    finally:
        asked.close()
        thread.join(5)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("the sender makes no progress")
    assert line.isprintable()


def test_an_unreadable_state_directory_holds_no_agent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("EDGEAUDIO_STATE_DIR", str(tmp_path / ("x" * 300)))
    assert main(["health"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("edgeaudio: no agent runs here")
    assert "EDGEAUDIO_STATE_DIR" in told


@pytest.mark.parametrize("answer", [b"", b"no json\n", b"[1, 2\n", b"[" * 100_000])
def test_an_answer_that_is_not_an_agent_s_is_refused(answer: bytes, tmp_path: Path):
    path = tmp_path / "health.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            with server.accept()[0] as connection:
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(NoAnswerError, match="cannot be read"):
            ask(path, 5)
        thread.join(5)
