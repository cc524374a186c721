"""The dashboard as a process, with real brokers and a real agent."""

from __future__ import annotations

import gzip
import io
import json
import re
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from agent.conftest import model, run_agent
from dashboard.test_docs_dashboard import ROWS
from dashboard.values import PAYLOAD
from support.agents import RunningAgent
from support.brokers import BrokerProcess, MosquittoFactory, Subscriber
from support.dashboards import RunningDashboard
from support.media import sine, write_media
from support.waiting import wait_until
from test_contracts import AT

from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import SourceState, SourceStatus, Transcript

__all__ = ["model", "run_agent"]
DOGS = 'edgeaudio_detections_total{device="dock",label="dog",source="porch"}'
# those of boards that measure it, and of sources with a snooze
NOT_ALWAYS = {
    "edgeaudio_device_temperature_celsius",
    "edgeaudio_source_snoozed_labels",
    "edgeaudio_source_withheld_total",
}


@pytest.fixture
def publish(broker: BrokerProcess) -> Iterator[Callable[..., None]]:
    with Subscriber(broker.start().port, "nothing") as client:
        yield lambda topic, value, **options: client.publish(
            topic, value if isinstance(value, bytes) else json.dumps(value), **options
        )


def dog(number: int, **changes: Any) -> dict[str, Any]:
    return PAYLOAD | {"id": f"e{number}", "seq": number} | changes


def events(page: RunningDashboard, query: str = "") -> Any:
    return page.get(f"/api/events?{query}").json()["events"]


def test_a_real_agent_moves_every_metric_and_what_it_hears_is_played_judged_and_exported(
    broker: BrokerProcess,
    run_dashboard: Callable[..., RunningDashboard],
    run_agent: Callable[..., RunningAgent],
    tmp_path: Path,
) -> None:
    broker.start()
    page = run_dashboard(broker).start().wait_subscribed()
    recording = tmp_path / "tone.wav"
    write_media(recording, "pcm_s16le", sine(1000.0, 8000, 4.0), 8000)
    clips = '[clips]\nenabled = true\nmin_free_mb = 0\nlongest_s = 2.0\nbefore_s = 0.5\npublish = ["clip"]\n'
    agent = run_agent(broker, f'{clips}[sources.porch]\nurl = "{recording}"\nloop = true\n').start()
    one = '{device="testbox"}'
    source = '{device="testbox",source="porch"}'
    wait_until(lambda: (page.metric(f"edgeaudio_source_heard_seconds_total{source}") or 0) > 1, 30, agent.log)
    wait_until(lambda: page.metric('edgeaudio_detections_total{device="testbox",label="second",source="porch"}'), 30)
    text = page.get("/metrics").body.decode()
    found = set(re.findall(r'^(edgeaudio_\w+)\{device="testbox"', text, re.MULTILINE))
    assert (
        found - NOT_ALWAYS
        == {name for name, labels in ROWS if "`device`" in labels and "`shard`" not in labels} - NOT_ALWAYS
    )
    assert page.metric(f"edgeaudio_device_up{one}") == 1
    assert page.metric('edgeaudio_broker_up{subscription="detections"}') == 1
    (device,) = page.get("/api/fleet").json()["devices"]
    assert [found["name"] for found in device["sources"]] == ["porch"]
    assert {event["label"] for event in events(page, "device=testbox")} == {"second"}
    wait_until(lambda: page.metric("edgeaudio_dashboard_clips_files"), 30, agent.log)
    heard = next(event for event in events(page, "device=testbox") if "clip" in event["media"])
    sound = page.get(f"/api/events/testbox/porch/{heard['id']}/clip?format=wav").body
    assert (sound[:4], len(sound) > 48_000) == (b"RIFF", True)  # of 16 bits at 48 kHz: half a second and more
    review = {"device": "testbox", "source": "porch", "id": heard["id"], "verdict": "right"}
    assert page.post("/api/reviews", {"reviews": [review]}).status == 200
    with zipfile.ZipFile(io.BytesIO(page.get("/api/export").body)) as training_set:
        (name,) = [
            name for name in training_set.namelist() if name.startswith("labels/second/") and ".json" not in name
        ]
        assert training_set.read(name) == page.get(f"/api/events/testbox/porch/{heard['id']}/clip").body
    agent.kill()
    wait_until(lambda: page.metric(f"edgeaudio_device_up{one}") == 0, 60)


def test_what_came_while_no_dashboard_ran_is_in_the_history(
    broker: BrokerProcess, publish: Callable[..., None], run_dashboard: Callable[..., RunningDashboard]
) -> None:
    page = run_dashboard(broker).start().wait_subscribed()
    publish("edgeaudio/dock/porch/detection", dog(1))
    wait_until(lambda: page.metric(DOGS) == 1)
    assert page.stop() == 0
    for number in (2, 3, 5):
        publish("edgeaudio/dock/porch/detection", dog(number))
    page.start()
    wait_until(lambda: len(events(page)) == 4)
    assert page.metric('edgeaudio_detections_missing{device="dock"}') == 1
    publish("edgeaudio/dock/porch/detection", dog(4))
    wait_until(lambda: page.metric('edgeaudio_detections_missing{device="dock"}') == 0)


def test_a_killed_dashboard_loses_nothing(
    mosquitto: MosquittoFactory, run_dashboard: Callable[..., RunningDashboard]
) -> None:
    broker = mosquitto("max_queued_messages 10000").start()
    page = run_dashboard(broker).start().wait_subscribed()
    with Subscriber(broker.port, "nothing") as client:
        for number in range(1, 301):
            client.publish("edgeaudio/dock/porch/detection", json.dumps(dog(number)))
            if number == 150:
                page.kill()
    page.start()
    wait_until(lambda: page.get("/api/events?limit=500").json()["events"][299:], 20)
    assert len(events(page, "limit=500")) == 300
    assert page.metric('edgeaudio_detections_missing{device="dock"}') == 0


def test_the_broker_is_found_again(
    broker: BrokerProcess, publish: Callable[..., None], run_dashboard: Callable[..., RunningDashboard]
) -> None:
    page = run_dashboard(broker).start().wait_subscribed()
    broker.stop()
    wait_until(lambda: page.metric('edgeaudio_broker_up{subscription="state"}') == 0)
    assert not page.get("/api/fleet").json()["broker"]["detections"]
    broker.start()
    page.wait_subscribed()
    assert re.search(r"WARNING +edgeaudio.wire.connection_thread: state: broker mqtt://", page.log)


def test_a_broker_of_mqtt_3_will_do(any_broker: BrokerProcess, run_dashboard: Callable[..., RunningDashboard]) -> None:
    page = run_dashboard(any_broker.start()).start().wait_subscribed()
    with Subscriber(any_broker.port, "nothing") as client:
        client.publish("edgeaudio/dock/availability", "online", retain=True)
        client.publish("edgeaudio/dock/porch/detection", json.dumps(dog(1)))
        wait_until(lambda: page.metric(DOGS) == 1 and page.metric('edgeaudio_device_up{device="dock"}') == 1)


def test_the_state_of_a_large_fleet_arrives_whole(
    broker: BrokerProcess, publish: Callable[..., None], run_dashboard: Callable[..., RunningDashboard]
) -> None:
    status = {"schema_version": 1, "state": "listening", "reason": None, "since": PAYLOAD["at"]}
    for device in range(400):  # more than a broker queues for one client
        publish(f"edgeaudio/d{device}/availability", b"online", retain=True)
        for source in range(4):
            publish(f"edgeaudio/d{device}/s{source}/status", status, retain=True)
    page = run_dashboard(broker).start().wait_subscribed()
    wait_until(lambda: page.metric("edgeaudio_dashboard_devices") == 400)
    wait_until(lambda: page.get("/metrics").body.count(b"edgeaudio_source_state{") == 1600)
    plain = page.get("/api/fleet")
    packed = page.get("/api/fleet", **{"Accept-Encoding": "gzip, br"})
    assert gzip.decompress(packed.body) == plain.body
    assert (packed.headers["content-encoding"], packed.headers["vary"]) == ("gzip", "Accept-Encoding")
    assert "content-encoding" not in plain.headers
    assert len(packed.body) < len(plain.body) / 10


def test_hostile_messages_are_refused_and_nothing_else_suffers(
    broker: BrokerProcess, publish: Callable[..., None], run_dashboard: Callable[..., RunningDashboard]
) -> None:
    page = run_dashboard(broker).start().wait_subscribed()
    markup = "<img src=x onerror=alert(1)>"
    for topic in ("dock/health", "dock/availability", "dock/porch/status", "dock/porch/detection"):
        for payload in (b"\xff\xfe", b"[" * 10_000, b"9" * 900_000, b"x" * 10_000_000, b"{}", b'{"schema_version": 2}'):
            publish(f"edgeaudio/{topic}", payload)
    publish("edgeaudio/<b>/porch/detection", dog(1))
    publish("edgeaudio/dock/porch/detection", dog(1, label=markup, id="../../x"))
    publish("edgeaudio/dock/porch/detection", dog(2, label=markup, model="a/b:c\x00"))
    wait_until(lambda: len(events(page)) == 1)
    assert events(page)[0]["label"] == markup
    assert (page.metric('edgeaudio_dashboard_refused_messages_total{topic="health"}') or 0) >= 3
    assert page.log.count("\n") < 60


def test_transcripts_are_no_matter_of_the_dashboard(
    broker: BrokerProcess, publish: Callable[..., None], run_dashboard: Callable[..., RunningDashboard], tmp_path: Path
) -> None:
    """What is said is asked for by nobody, shown nowhere and kept in no database; a source that transcribes is read."""
    page = run_dashboard(broker).start().wait_subscribed()
    publish("edgeaudio/dock/availability", b"online", retain=True)
    topics = Topics("edgeaudio", "dock")
    for source, transcribes in (("porch", True), ("transcript", False)):
        status = SourceStatus(source, SourceState.LISTENING, AT, None, "", "aac", 48_000, 2)
        message = messages.status(topics, status, transcribes=transcribes)
        publish(message.topic, message.payload, retain=True)
    said = Transcript("t1", "porch", AT, 2.0, "the key is under the mat", "en", 0.9, "double")
    for payload in (messages.transcript(topics, said).payload, b"\xff", b"[" * 10_000, b"x" * 1_000_000, b""):
        publish("edgeaudio/dock/porch/transcript", payload)
        publish("edgeaudio/dock/transcript/transcript", payload)
    publish("edgeaudio/dock/porch/detection", dog(1))
    wait_until(lambda: page.metric(DOGS) == 1)
    wait_until(lambda: page.get("/metrics").body.count(b"edgeaudio_source_state{") == 2)
    (device,) = page.get("/api/fleet").json()["devices"]
    assert [(found["name"], found["state"]) for found in device["sources"]] == [
        ("porch", "listening"), ("transcript", "listening"),
    ]  # fmt: skip
    assert len(events(page)) == 1
    refused = re.findall(r"edgeaudio_dashboard_refused_messages_total\{.*\} (.*)", page.get("/metrics").body.decode())
    assert set(map(float, refused)) == {0.0}
    assert page.stop() == 0
    assert "under the mat" not in page.log
    assert not [path for path in tmp_path.rglob("*.sqlite*") if b"under the mat" in path.read_bytes()]


def test_a_locked_database_does_not_stop_the_page(
    broker: BrokerProcess, publish: Callable[..., None], run_dashboard: Callable[..., RunningDashboard]
) -> None:
    page = run_dashboard(broker).start().wait_subscribed()
    with closing(sqlite3.connect(page.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for number in range(1, 101):
            publish("edgeaudio/dock/porch/detection", dog(number))
        wait_until(lambda: page.metric("edgeaudio_dashboard_waiting_detections") == 100, 30)
        assert page.metric(DOGS) == 100
        other.execute("ROLLBACK")
    wait_until(lambda: len(events(page)) == 100, 30)
    wait_until(lambda: page.metric("edgeaudio_dashboard_waiting_detections") == 0)  # counted after they are stored
    assert page.log.count("another process has it locked") == 1
