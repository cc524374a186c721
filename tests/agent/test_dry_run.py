"""`check` is `run` without sources: both report a bad set-up in the same words."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from support.agents import DEVICE, Listener, RunningAgent
from support.brokers import BrokerProcess
from support.ports import free_port
from support.rtsp import push_rtsp
from support.strict_broker import Rules, StrictBroker
from support.tflite import model_directory, without_runtime_line
from support.waiting import wait_until

from edgeaudio import cli
from edgeaudio.agent.dry_run import _visitor
from edgeaudio.sinks.mqtt.broker import MqttConfig
from edgeaudio.sinks.mqtt.topics import Topics

Run = Callable[..., RunningAgent]
DETECTIONS = f"edgeaudio/{DEVICE}/porch/detection"
DISCOVERY = f"homeassistant/device/edgeaudio-{DEVICE}/source_porch/config"


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeaudio.commands.check.LISTEN_S", 0.2)
    monkeypatch.setattr("edgeaudio.sinks.mqtt.client._MUTE_S", 0.5)
    monkeypatch.setattr("edgeaudio.agent.dry_run._RETAINED_S", 0.2)


def checked(config: Path, capsys: pytest.CaptureFixture[str], subject: str) -> tuple[int, set[str]]:
    """Return the exit status of `check`, and its lines about a subject, without a failing verdict."""
    status = cli.main(["check", "--config", str(config)])
    out = capsys.readouterr().out
    lines = re.findall(rf"^{subject} +(works|FAILS|off) +(.*)$", out, re.MULTILINE)
    assert lines, out
    return status, {text if verdict == "FAILS" else f"{verdict}: {text}" for verdict, text in lines}


def logged(agent: RunningAgent, subject: str) -> set[str]:
    """Return the log lines about a subject, without repeats and without the ends of connections before them."""
    lines = re.findall(rf" {subject}:? (.*)$", agent.log, re.MULTILINE)
    faults = {re.sub(r" \(\d+ attempts\)$", "", line) for line in lines if "connected, MQTT" not in line}
    return {line for line in faults if " in flight; " not in line}


BROKERS = {
    "the will denied": Rules(denied=lambda topic: topic.endswith("/availability"), manner="disconnect"),
    "a topic denied politely": Rules(denied=lambda topic: topic == DISCOVERY, manner="refuse"),
    "a topic denied by closing": Rules(denied=lambda topic: topic == DISCOVERY, manner="close"),
    "a topic denied by closing, 3.1.1": Rules(denied=lambda topic: topic == DISCOVERY, manner="close", versions=(4,)),
    "a topic denied by DISCONNECT": Rules(denied=lambda topic: topic == DISCOVERY, manner="disconnect"),
    "detections denied politely": Rules(denied=lambda topic: topic == DETECTIONS, manner="refuse"),
    "detections denied by closing": Rules(denied=lambda topic: topic == DETECTIONS, manner="close"),
    "detections denied by DISCONNECT": Rules(denied=lambda topic: topic == DETECTIONS, manner="disconnect"),
    "a subscription denied": Rules(denied_filters=lambda topic: "threshold" in topic, manner="refuse"),
    "a subscription denied by closing": Rules(denied_filters=lambda topic: "threshold" in topic, manner="close"),
    "no retained messages": Rules(retain_available=False),
    "no QoS 1": Rules(max_qos=0),
    "neither of them": Rules(retain_available=False, max_qos=0),
    "discovery too long, announced": Rules(packet_max=3000, announces_packet_max=True),
    "discovery too long": Rules(packet_max=3000),
    "client id refused": Rules(connack=0x85),
    "banned": Rules(connack=0x8A),
    "not authorized": Rules(connack=0x87),
    "busy": Rules(connack=0x89),
}


# one of each kind; the others differ in how the broker says no, which the tests of the sender try one by one
QUICK = {
    "the will denied",
    "a topic denied by closing",
    "detections denied politely",
    "a subscription denied",
    "neither of them",
    "discovery too long, announced",
}


@pytest.mark.parametrize(
    "rules",
    [pytest.param(rules, id=name, marks=[] if name in QUICK else pytest.mark.slow) for name, rules in BROKERS.items()],
)
def test_check_reports_the_broker_as_run_does(rules: Rules, run_agent: Run, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    with StrictBroker(replace(rules)) as broker:
        agent = run_agent(broker, f'[sources.porch]\nurl = "rtsp+listen://127.0.0.1:{port}/x"\n')
        camera = threading.Thread(target=_push_once, args=(port,))
        camera.start()
        status, said = checked(agent.config, capsys, "broker")
        camera.join()
        assert status == 2
        assert not any(line.startswith("works") for line in said)
        agent.start()
        if rules.denied(DETECTIONS):
            with push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
                wait_until(lambda: logged(agent, "broker") >= said, 20, f"{said} was never said: {agent.log}")
        wait_until(lambda: logged(agent, "broker") >= said, 20, f"{said} was never said: {agent.log}")
        assert logged(agent, "broker") == said


def _push_once(port: int) -> None:
    with suppress(AssertionError, OSError), push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
        threading.Event().wait(1.0)


def test_check_prints_each_fault_of_a_broker_once(run_agent: Run) -> None:
    with StrictBroker(Rules(denied=lambda topic: topic == DISCOVERY)) as broker:
        agent = run_agent(broker, '[sources.porch]\nurl = "/nowhere.wav"\n')
        command = [sys.executable, "-m", "edgeaudio", "check", "--config", str(agent.config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert f"{DISCOVERY} quarantined" in done.stdout
    assert not without_runtime_line(done.stderr)


def test_a_broker_that_takes_everything_works(any_broker: BrokerProcess, run_agent: Run, capsys) -> None:
    any_broker.start()
    agent = run_agent(any_broker, '[sources.porch]\nurl = "/nowhere.wav"\n')
    with Listener(any_broker.port, f"edgeaudio/{DEVICE}/#", "homeassistant/#") as listener:
        _, said = checked(agent.config, capsys, "broker")
        assert len(said) == 1
        assert re.fullmatch(rf"works: mqtt://127.0.0.1:{any_broker.port}: connected, MQTT (5|3\.1\.1)", said.pop())
        wait_until(lambda: listener.of(f"edgeaudio/{DEVICE}/availability")[-1:] == [b"offline"])
        assert [each["kind"] for each in listener.payloads("/detection")] == ["check"]
        assert listener.payloads("porch/status")[-1]["reason"] == "agent_stopped"
        assert listener.payloads("/health")[-1]["sources"]["porch"]["reason"] == "agent_stopped"
        assert listener.payloads("/config")
        # the same state as at the start of a run
        told = {message.topic for message in listener.heard}
        listener.forget()
        agent.start()
        listener.wait_state("porch", "waiting")
        wait_until(lambda: told - {DETECTIONS} <= {message.topic for message in listener.heard})


def test_a_check_beside_a_running_agent_changes_nothing_of_it(
    any_broker: BrokerProcess, run_agent: Run, capsys
) -> None:
    broker = any_broker.start()
    agent = run_agent(broker, '[sources.porch]\nurl = "/nowhere.wav"\n').start()
    with Listener(broker.port, f"edgeaudio/{DEVICE}/#") as listener:
        listener.wait_state("porch", "waiting")
        listener.forget()
        state = agent.config.parent / "state"
        before = {path: path.stat().st_mtime_ns for path in (state, *state.iterdir()) if path.suffix != ".sqlite-wal"}
        status, said = checked(agent.config, capsys, "broker")
        assert before == {path: path.stat().st_mtime_ns for path in before}
        assert status == 2  # for the source
        (line,) = said
        assert re.fullmatch(
            rf"works: mqtt://127.0.0.1:{broker.port}: connected, MQTT (5|3\.1\.1); not proven: this device's own "
            "client id and will, retained topics, the writing of the outbox",
            line,
        )
        _, said = checked(agent.config, capsys, "state_dir")
        assert said == {"works: in use by a running edgeaudio, so it was not written"}
        wait_until(lambda: len(listener.payloads("/detection")) == 2)
        assert not listener.of(f"edgeaudio/{DEVICE}/availability")
    assert "another client came" not in agent.log


@pytest.mark.parametrize("base", ["edgeaudio", "a_check", "a/b-check"])
def test_a_visitor_s_client_id_is_no_device_s(base: str) -> None:
    visitor = _visitor(MqttConfig("127.0.0.1", 1883, Topics(base, "attic").unique_name))
    assert visitor.client_id not in {Topics(base, device).unique_name for device in ("attic", "attic-check")}
    assert not re.fullmatch("[a-z0-9-]+(_[0-9a-f]{8})?", visitor.client_id)


def test_a_check_does_not_disconnect_an_agent_with_another_state_directory(
    any_broker: BrokerProcess, run_agent: Run, tmp_path: Path, capsys
) -> None:
    """As when a user checks the service's settings from another login."""
    broker = any_broker.start()
    agent = run_agent(broker, '[sources.porch]\nurl = "/nowhere.wav"\n').start()
    with Listener(broker.port, f"edgeaudio/{DEVICE}/availability") as listener:
        wait_until(lambda: listener.of(f"edgeaudio/{DEVICE}/availability") == [b"online"])
        other = tmp_path / "other.toml"
        other.write_text(agent.config.read_text().replace(f"{tmp_path / 'state'}", f"{tmp_path / 'other'}"))
        _, said = checked(other, capsys, "broker")
        assert "not proven" in said.pop()
        assert listener.of(f"edgeaudio/{DEVICE}/availability") == [b"online"]


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """Provide a state directory on a full disk."""
    state = tmp_path / "state"
    state.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(state)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs a file system of its own: {done.stderr.strip()}")
    try:
        with suppress(OSError), (state / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(b"x" * 4096)
        yield state
    finally:
        subprocess.run(["umount", "--lazy", str(state)], check=True)


def test_check_reports_a_full_disk_as_run_does(full_disk: Path, run_agent: Run, capsys) -> None:
    with StrictBroker() as broker:
        agent = run_agent(broker, '[sources.porch]\nurl = "/nowhere.wav"\n')
        status, said = checked(agent.config, capsys, "state_dir")
        assert status == 2
        broker.taken.clear()
        agent.start()
        wait_until(lambda: broker.of(f"edgeaudio/{DEVICE}/availability"), 20, "it does not work in spite of it")
        assert {line for line in said if line in agent.log} == said
        assert str(full_disk) in said.pop()
        agent.signal(signal.SIGTERM)
        assert agent.wait() == 0


def test_a_damaged_outbox_is_reported_by_check_and_by_run(run_agent: Run, tmp_path: Path, capsys) -> None:
    state = tmp_path / "state"
    state.mkdir()
    with StrictBroker() as broker:
        agent = run_agent(broker, '[sources.porch]\nurl = "/nowhere.wav"\n')
        (state / "outbox.sqlite").write_bytes(b"damaged" * 1000)
        status, said = checked(agent.config, capsys, "state_dir")
        (state / "outbox.sqlite").write_bytes(b"damaged" * 1000)
        broker.taken.clear()
        agent.start()
        wait_until(lambda: "a new one is begun" in agent.log)
        wait_until(lambda: broker.of(f"edgeaudio/{DEVICE}/availability"), what="it does not work")

    def without_times(text: str) -> str:
        return re.sub(r"damaged-\S+", "damaged-TIME", text)

    assert status == 2
    assert without_times(said.pop()) in without_times(agent.log)


def failing_run(agent: RunningAgent) -> list[str]:
    """Return the log lines of a run that ends by itself."""
    agent.start()
    assert agent.wait(20) == 2
    return [line.removeprefix("edgeaudio: ") for line in agent.log.splitlines()]


def test_two_labels_that_make_one_topic_are_refused_by_both(run_agent: Run, tmp_path: Path, capsys) -> None:
    twins = model_directory(tmp_path, "features_time_major", name="twins", labels=("Dog bark", "dog-bark", "cat"))
    sources = f'[models.twins]\npath = "{twins}"\n[sources.porch]\nurl = "/nowhere.wav"\n'
    with StrictBroker() as broker:
        agent = run_agent(broker, sources)
        status, said = checked(agent.config, capsys, "model twins")
        assert status == 2
        (line,) = said
        assert "'Dog bark' and 'dog-bark' would share the topic level 'dog-bark'" in line
        assert failing_run(agent) == [f"model twins: {line}"]


def test_a_state_directory_that_is_a_file_is_refused_by_both(run_agent: Run, tmp_path: Path, capsys) -> None:
    (tmp_path / "state").write_text("a file where a directory should be")
    with StrictBroker() as broker:
        agent = run_agent(broker, '[sources.porch]\nurl = "/nowhere.wav"\n')
        status, said = checked(agent.config, capsys, "state_dir")
        assert status == 2
        assert failing_run(agent) == [f"{line}" for line in said]
