"""Changes while the agent runs: by commands, by SIGHUP, by the time of day."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta

from support.agents import LABEL, Listener, RunningAgent
from support.brokers import BrokerProcess
from support.ports import free_port
from support.rtsp import push_rtsp
from support.waiting import wait_until

Run = Callable[..., RunningAgent]
ListenTo = Callable[[BrokerProcess], Listener]
ROOT = "edgeaudio/testbox"


def pushed(port: int, name: str = "porch", more: str = "") -> str:
    return f'[sources.{name}]\nurl = "rtsp+listen://127.0.0.1:{port}/x"\n{more}\n'


def last_result(listener: Listener) -> dict[str, object]:
    wait_until(lambda: listener.payloads("testbox/command"), what="no result")
    return listener.payloads("testbox/command")[-1]


def test_a_threshold_is_set_and_survives_a_restart(broker: BrokerProcess, run_agent: Run, listen_to: ListenTo):
    broker.start()
    listener = listen_to(broker)
    topic = f"{ROOT}/porch/threshold/{LABEL}"
    agent = run_agent(broker, pushed(free_port())).start()
    wait_until(lambda: listener.of(topic) == [b"0.65"], what="no threshold")
    listener.publish(f"{topic}/set", "0.9")
    wait_until(lambda: listener.of(topic)[-1:] == [b"0.9"], what="not set")
    result = {"schema_version": 1, "topic": f"{topic}/set", "at": "", "ok": True, "error": None}
    assert last_result(listener) | {"at": ""} == result
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    listener.forget()
    agent.start()
    wait_until(lambda: listener.of(topic), what="no threshold after the restart")
    assert listener.of(topic) == [b"0.9"]


def test_a_source_is_switched_off_and_on(broker: BrokerProcess, run_agent: Run, listen_to: ListenTo):
    broker.start()
    listener = listen_to(broker)
    port = free_port()
    run_agent(broker, pushed(port)).start()
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
        listener.wait_detection("onset")
        listener.publish(f"{ROOT}/porch/enabled/set", "OFF")
        listener.wait_state("porch", "off", "switched_off")
        listener.wait_detection("offset")
        wait_until(lambda: listener.of(f"{ROOT}/porch/enabled")[-1:] == [b"OFF"], what="the switch did not move")
    listener.publish(f"{ROOT}/porch/enabled/set", "ON")
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
        listener.wait_detection("onset", count=2)


def test_the_result_of_a_refused_command_has_the_reason(broker: BrokerProcess, run_agent: Run, listen_to: ListenTo):
    broker.start()
    listener = listen_to(broker)
    topic = f"{ROOT}/porch/threshold/{LABEL}"
    # a retained command must not be executed at a start
    listener.publish(f"{topic}/set", "0.11", retain=True)
    run_agent(broker, pushed(free_port())).start()
    wait_until(lambda: listener.of(topic), what="no threshold")
    listener.publish(f"{topic}/set", "7")
    result = last_result(listener)
    assert result["ok"] is False
    assert result["error"] == "a threshold is a number from 0.01 to 1, not '7'"
    assert listener.of(topic) == [b"0.65"]


def test_a_restart_by_command_stops_the_agent_properly(broker: BrokerProcess, run_agent: Run, listen_to: ListenTo):
    broker.start()
    listener = listen_to(broker)
    agent = run_agent(broker, pushed(free_port())).start()
    wait_until(lambda: listener.of(f"{ROOT}/availability"), what="not online")
    listener.publish(f"{ROOT}/restart/set", "PRESS")
    assert agent.wait() == 0


def test_a_test_detection_is_delivered_like_a_real_one(broker: BrokerProcess, run_agent: Run, listen_to: ListenTo):
    broker.start()
    listener = listen_to(broker)
    agent = run_agent(broker, pushed(free_port())).start()
    wait_until(lambda: listener.of(f"{ROOT}/availability"), what="not online")

    def send_test(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "edgeaudio", "test", *words, "--config", str(agent.config)]
        environment = agent.environment
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)

    told = send_test("porch", LABEL)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout == f"testbox: a detection of {LABEL} at porch, marked as a test, is with the broker\n"
    onset, offset = listener.wait_detection("onset"), listener.wait_detection("offset")
    assert (onset["label"], onset["test"], offset["test"]) == (LABEL, True, True)
    assert (onset["id"], offset["duration_s"]) == (offset["id"], 2.0)
    wait_until(lambda: listener.of(f"{ROOT}/porch/label/{LABEL}")[-1] == b"OFF", what="it still sounds")
    assert b"ON" in listener.of(f"{ROOT}/porch/label/{LABEL}")
    for words, problem in {
        ("roof", LABEL): "there is no source 'roof'\n",
        ("portch", LABEL): "there is no source 'portch'; did you mean \"porch\"?\n",
        ("porch", "frog"): "has no label 'frog'\n",
        ("porch", "\udcff"): "has no label '?'\n",  # not UTF-8
        ("porch", f"{LABEL}x"): f"has no label '{LABEL}x'; did you mean \"{LABEL}\"?\n",
    }.items():
        told = send_test(*words)
        assert (told.returncode, told.stdout) == (2, "")
        assert told.stderr.endswith(problem)
    # without an acknowledgement the broker does not have it
    broker.freeze()
    told = send_test("porch", LABEL.upper())
    broker.thaw()
    assert told.returncode == 0
    assert "is in the outbox, and the broker has not acknowledged it yet" in told.stdout
    listener.wait_detection("offset", count=2)
    # an agent that is stopped meanwhile ends its test
    send_test("porch", LABEL)
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    listener.wait_detection("offset", count=3)
    agent.start()
    wait_until(lambda: listener.of(f"{ROOT}/availability")[-1] == b"online", what="not online again")
    # without a broker it waits in the outbox like any other
    broker.stop()
    wait_until(lambda: "connection was closed" in agent.log, what="the broker is not missed")
    told = send_test("porch", LABEL)
    assert told.returncode == 0
    assert "is in the outbox, and goes out when the broker is back" in told.stdout


def test_a_clean_stop_leaves_no_stale_state(broker: BrokerProcess, run_agent: Run, listen_to: ListenTo):
    broker.start()
    port = free_port()
    agent = run_agent(broker, pushed(port)).start()
    listener = listen_to(broker)
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
        listener.wait_state("porch", "listening")
        agent.signal(signal.SIGTERM)
        assert agent.wait() == 0
    with Listener(broker.port, f"{ROOT}/#") as late:
        late.wait_state("porch", "off", "agent_stopped")
        wait_until(lambda: late.payloads("/health"), what="no health")
        assert late.payloads("/health")[-1]["sources"]["porch"]["state"] == "off"
        assert late.of(f"{ROOT}/availability")[-1] == b"offline"


def test_an_outage_is_published_once(broker: BrokerProcess, run_agent: Run, listen_to: ListenTo):
    broker.start()
    listener = listen_to(broker)
    agent = run_agent(broker, f'[sources.porch]\nurl = "rtsp://127.0.0.1:{free_port()}/x"\n')
    agent.environment["EDGEAUDIO_HEALTH__INTERVAL_S"] = "3600"
    agent.start()
    tries = 3  # 1 and 2 s apart
    wait_until(
        lambda: [status["state"] for status in listener.payloads("porch/status")].count("waiting") >= tries, 30,
        "it is not tried again",
    )  # fmt: skip
    states = [status["state"] for status in listener.payloads("porch/status")]
    first = states.index("waiting")
    assert set(states[first:]) == {"waiting"}
    # one health message at the outage, not one per attempt; and one where the broker is connected after it
    reports = [health["sources"]["porch"]["state"] for health in listener.payloads("/health")]
    assert 1 <= reports.count("waiting") <= 2 < tries


def test_sighup_changes_sources_without_dropping_the_others(broker: BrokerProcess, run_agent: Run, listen_to: ListenTo):
    broker.start()
    listener = listen_to(broker)
    port = free_port()
    agent = run_agent(broker, pushed(port) + pushed(free_port(), "cellar")).start()
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
        listener.wait_detection("onset")
        agent.write(
            pushed(port, more=f"[sources.porch.thresholds]\n{LABEL} = {{ on = 0.7 }}") + pushed(free_port(), "attic")
        )
        agent.signal(signal.SIGHUP)
        listener.wait_state("attic", "connecting")
        wait_until(lambda: b"" in listener.of(f"{ROOT}/cellar/status"), what="cellar's status was not cleared")
        threshold = f"{ROOT}/porch/threshold/{LABEL}"
        wait_until(lambda: listener.of(threshold)[-1:] == [b"0.7"], what="the threshold did not change")
        wait_until(
            lambda: [set(h["sources"]) for h in listener.payloads("/health")[-1:]] == [{"porch", "attic"}],
            what="health",
        )
        assert listener.detections("offset") == []
        assert [status["state"] for status in listener.payloads("porch/status")].count("listening") == 1
        wait_until(
            lambda: "sources: 1 kept, 0 restarted, 1 added, 1 removed\n" in agent.log, what="what changed is not logged"
        )
        # a source of another address is the same source
        agent.write(
            pushed(port, more=f"[sources.porch.thresholds]\n{LABEL} = {{ on = 0.7 }}") + pushed(free_port(), "attic")
        )
        agent.signal(signal.SIGHUP)
        wait_until(
            lambda: "sources: 1 kept, 1 restarted, 0 added, 0 removed\n" in agent.log, what="it was not restarted"
        )
        # wrong settings are refused as a whole
        agent.write('[sources.porch]\nurl = "gopher://x"\n')
        agent.signal(signal.SIGHUP)
        wait_until(lambda: "the old settings stay in force" in agent.log, what="nothing was said")
        assert listener.detections("offset") == []
    assert agent.process is not None
    assert agent.process.poll() is None


def test_sighup_changes_the_log_level_of_all_of_the_agent(broker: BrokerProcess, run_agent: Run):
    broker.start()
    port = free_port()
    agent = run_agent(broker, pushed(port), settings='log_level = "error"').start()
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"), Listener(broker.port, "#") as listener:
        listener.wait_detection("onset")
        assert agent.log == ""
        agent.config.write_text(agent.config.read_text().replace('log_level = "error"', 'log_level = "debug"'))
        agent.signal(signal.SIGHUP)
        wait_until(
            lambda: "INFO    edgeaudio.agent.reloader: reloaded; sources: 1 kept" in agent.log, what="not reloaded"
        )
    wait_until(lambda: "edgeaudio.capture.outage_log" in agent.log, what="the source's end was not logged")


def test_a_source_is_off_outside_its_schedule(broker: BrokerProcess, run_agent: Run, listen_to: ListenTo):
    broker.start()
    listener = listen_to(broker)
    now = datetime.now().astimezone()
    later = [f"{now + timedelta(hours=hours):%H:00}" for hours in (2, 3)]
    run_agent(broker, pushed(free_port(), more=f'schedule = ["{later[0]}-{later[1]}"]')).start()
    listener.wait_state("porch", "off", "outside_schedule")


def test_discovery_is_sent_again_at_home_assistant_s_birth(broker: BrokerProcess, run_agent: Run):
    broker.start()
    topic = "homeassistant/device/edgeaudio-testbox/source_porch/config"
    with Listener(broker.port, "#") as listener:
        run_agent(broker, pushed(free_port())).start()
        wait_until(lambda: listener.of(topic), what="no discovery")
        announced = json.loads(listener.of(topic)[0])
        assert announced["cmps"][f"porch_label_{LABEL}"]["p"] == "binary_sensor"
        before = len(listener.of(topic))
        listener.publish("homeassistant/status", "offline")  # which is no command
        listener.publish("homeassistant/status", "online")
        wait_until(lambda: len(listener.of(topic)) > before, what="not announced again")
        assert listener.of(f"{ROOT}/command") == []
