"""Labels that are snoozed or cool down, in a running agent: what is withheld, and what is said of it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from support.agents import LABEL, Listener, RunningAgent
from support.brokers import BrokerProcess
from support.ports import free_port
from support.rtsp import push_rtsp
from support.waiting import wait_until

Run = Callable[..., RunningAgent]
ListenTo = Callable[[BrokerProcess], Listener]
ROOT = "edgeaudio/testbox/porch"
SNOOZE, COOLDOWN = f"{ROOT}/snooze/{LABEL}", f"{ROOT}/cooldown/{LABEL}"


def command(listener: Listener, topic: str, payload: str) -> dict[str, Any]:
    """Send a command and return the agent's answer."""
    before = len(listener.payloads("testbox/command"))
    listener.publish(f"{topic}/set", payload)
    wait_until(lambda: len(listener.payloads("testbox/command")) > before, what="no answer")
    return listener.payloads("testbox/command")[-1]


def wait_source(listener: Listener, what: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait until health says so of the source."""
    wait_until(
        lambda: any(what(report["sources"]["porch"]) for report in listener.payloads("testbox/health")[-1:]),
        what=f"not in health: {[report['sources'] for report in listener.payloads('testbox/health')[-1:]]}",
    )
    found: dict[str, Any] = listener.payloads("testbox/health")[-1]["sources"]["porch"]
    return found


def test_a_snoozed_label_has_no_detections_and_health_says_why(
    broker: BrokerProcess, run_agent: Run, listen_to: ListenTo
):
    broker.start()
    listener = listen_to(broker)
    port = free_port()
    settings = '[dashboard]\nurl = "https://house.example/"\n'
    agent = run_agent(broker, f'[sources.porch]\nurl = "rtsp+listen://127.0.0.1:{port}/x"\n', settings=settings).start()
    wait_until(lambda: listener.of("edgeaudio/testbox/availability"), what="not online")
    assert command(listener, SNOOZE, "604801")["error"].startswith("snooze takes seconds, a number from 0 to 604800")
    assert command(listener, SNOOZE, "3600") | {"at": ""} == {
        "schema_version": 1, "topic": f"{SNOOZE}/set", "at": "", "ok": True, "error": None,
    }  # fmt: skip
    wait_until(lambda: listener.of(SNOOZE), what="no state")
    until = listener.of(SNOOZE)[-1].decode()
    left = datetime.fromisoformat(until) - datetime.now(UTC)
    assert timedelta(minutes=59) < left < timedelta(hours=1)
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
        found = wait_source(listener, lambda source: source["withheld"]["snooze"] == 1)
        assert (found["snoozed"], found["events"]) == ({LABEL: until}, 0)
        # a test passes
        listener.publish(f"{ROOT}/test/set", LABEL)
        assert listener.wait_detection("onset")["test"]
    wait_until(lambda: listener.payloads("porch/status")[-1]["state"] != "listening", what="it still listens")
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    listener.forget()
    # it goes on after a restart until the same time, and the sound that then still lasts is published
    agent.start()
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
        found = wait_source(listener, lambda source: source["withheld"]["snooze"] == 1)
        assert found["snoozed"] == {LABEL: until}
        assert listener.of(SNOOZE)[-1].decode() == until
        assert listener.detections() == []
        assert b"ON" not in listener.of(f"{ROOT}/label/{LABEL}")
        ended_at = datetime.now(UTC)
        assert command(listener, SNOOZE, "0")["ok"]
        onset = listener.wait_detection("onset")
    offset = listener.wait_detection("offset")
    link = f"https://house.example/?view=event&device=testbox&source=porch&id={onset['id']}"
    assert (onset["link"], offset["link"], offset["id"]) == (link, link, onset["id"])
    assert datetime.fromisoformat(onset["at"]) < ended_at
    found = wait_source(listener, lambda source: source["events"] == 1)
    assert found["snoozed"] == {}
    with Listener(broker.port, f"{ROOT}/#") as late:
        late.wait_state("porch", listener.payloads("porch/status")[-1]["state"])
        assert late.of(SNOOZE) == []


def test_a_label_cools_down_between_two_events(broker: BrokerProcess, run_agent: Run, listen_to: ListenTo):
    broker.start()
    listener = listen_to(broker)
    port = free_port()
    source = f'[sources.porch]\nurl = "rtsp+listen://127.0.0.1:{port}/x"\n'
    agent = run_agent(broker, f"{source}cooldown_s = {{{LABEL} = 3600}}\n").start()
    wait_until(lambda: listener.of(COOLDOWN), what="no state")
    assert listener.of(COOLDOWN) == [b"3600.0"]
    third = f"{ROOT}/snooze/third"
    assert command(listener, third, "1")["ok"]
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
        first = listener.wait_detection("onset")
        assert "link" not in first
    listener.wait_detection("offset")
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
        found = wait_source(listener, lambda numbers: numbers["withheld"]["cooldown"] == 1)
        assert (found["events"], found["withheld"]["snooze"], found["snoozed"]) == (1, 0, {})
        assert len(listener.detections()) == 2
        # without a cooldown, what sounds now is published, under its own id
        assert command(listener, COOLDOWN, "0")["ok"]
        second = listener.wait_detection("onset", count=2)
        assert second["id"] != first["id"]
        assert second["seq"] == first["seq"] + 2
    listener.wait_detection("offset", count=2)
    wait_until(lambda: listener.of(COOLDOWN)[-1] == b"", what="the state stays")
    # a snooze ends by itself
    wait_until(lambda: listener.of(third)[-1] == b"", what="it does not end")
    wait_until(lambda: "porch: third is no longer snoozed" in agent.log, what="that is not logged")
    # the command stays in force after a reload, whatever the settings say
    assert command(listener, f"{ROOT}/cooldown/first", "5")["ok"]
    agent.write(f"{source}cooldown_s = {{{LABEL} = 60, third = 7}}\n")
    agent.signal(signal.SIGHUP)
    wait_until(lambda: listener.of(f"{ROOT}/cooldown/third") == [b"7.0"], what="not reloaded")
    assert set(listener.of(COOLDOWN)[1:]) == {b""}
    # a label that is no longer there leaves nothing on the broker
    agent.write(source.replace("porch", "attic"))
    agent.signal(signal.SIGHUP)
    states = {heard.topic for heard in listener.heard if heard.topic.split("/")[-2] in {"snooze", "cooldown"}}
    assert states == {COOLDOWN, third, f"{ROOT}/cooldown/first", f"{ROOT}/cooldown/third"}
    wait_until(lambda: {listener.of(topic)[-1] for topic in states} == {b""}, what="something is left")
