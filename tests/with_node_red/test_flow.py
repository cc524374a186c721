"""deploy/node-red/flow.json in Node-RED itself, with Mosquitto: one notification for each sound that begins."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.brokers import BrokerProcess, MosquittoFactory, Subscriber
from support.waiting import wait_until
from with_node_red.node_red import ON_DISK, Flows, NodeRed

from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Event

FLOW: Flows = json.loads((Path(__file__).parents[2] / "deploy" / "node-red" / "flow.json").read_text())
TOPICS = Topics("edgeaudio", "attic")
AT = datetime(2026, 11, 20, 20, 51, 15, tzinfo=UTC)
PHONE = "phone"  # where the test's own flow publishes what it is told
_ids = itertools.count()


def flows(broker: BrokerProcess, env: Mapping[str, str] | None = None, copies: int = 1) -> Flows:
    """Return the flow as a user has it, once or imported again, and the user's own: it publishes each notification."""
    nodes = [node for number in range(copies) for node in imported(number)]
    for node in nodes:
        if node["type"] == "mqtt-broker":
            node |= {"broker": "127.0.0.1", "port": str(broker.port)}
        for variable in node.get("env", []):
            variable["value"] = (env or {}).get(variable["name"], variable["value"])
    outputs = [node["id"] for node in nodes if node["type"] == "link out"]
    config = next(node["id"] for node in nodes if node["type"] == "mqtt-broker")
    place: dict[str, Any] = {"z": "mine", "x": 100, "y": 100}
    mine: Flows = [
        {"id": "mine", "type": "tab", "label": "mine"},
        {"id": "in", "type": "link in", "links": outputs, "wires": [["out"]], **place},
        {"id": "out", "type": "mqtt out", "topic": PHONE, "qos": "1", "broker": config, "wires": [], **place},
    ]
    return [*nodes, *mine]


def imported(number: int) -> Flows:
    """Return the nodes as an import makes them: with ids of their own."""
    text = json.dumps(FLOW)
    for node in FLOW:
        text = text.replace(f'"{node["id"]}"', f'"{number}{node["id"][1:]}"')
    nodes: Flows = json.loads(text)
    return nodes


class House:
    """An agent that hears what the test says, and a phone."""

    def __init__(self, client: Subscriber) -> None:
        self._client = client
        self._expected: list[str] = []

    @property
    def notified(self) -> list[str]:
        return [payload.decode() for payload in self._client.of(PHONE)]

    def hear(self, label: str, *, topics: Topics = TOPICS, test: bool = False) -> Event:
        """Publish a detection as an agent does; return it."""
        event = Event(f"id-{next(_ids)}", "onset", "porch", "home", label, 0.91, AT, 0.5, test=test)
        self.deliver(event, topics)
        return event

    def deliver(self, event: Event, topics: Topics = TOPICS) -> None:
        """Publish a detection, perhaps again."""
        message = messages.detection(topics, event, seq_epoch="a1", seq=1)
        self._client.publish(message.topic, message.payload)

    def expect(self, *labels: str, topics: Topics = TOPICS) -> None:
        """Wait for notifications of these labels, and none else: what comes last is notified last."""
        last = f"last {next(_ids)}"
        self.hear(last, topics=topics)
        self._expected += [*labels, last]
        self._client.wait_for(lambda _: last in "".join(self.notified))
        assert [text.partition(" was heard")[0] for text in self.notified] == self._expected


@pytest.fixture
def broker(mosquitto: MosquittoFactory) -> BrokerProcess:
    return mosquitto("log_type all").start()


@pytest.fixture
def house(broker: BrokerProcess) -> Iterator[House]:
    with Subscriber(broker.port, PHONE) as client:
        yield House(client)


def wait_subscribed(broker: BrokerProcess, times: int, topic: str = "edgeaudio/+/+/detection") -> None:
    """Wait until there were so many subscriptions to a topic since the beginning of the test."""
    wait_until(lambda: broker.log().count(f"\t{topic} (QoS 1)") >= times, 30, f"{topic} is not subscribed to")


def test_a_sound_is_notified_once_and_its_end_and_tests_are_not(
    broker: BrokerProcess, house: House, tmp_path: Path
) -> None:
    with NodeRed(tmp_path / "red", flows(broker)) as node_red:
        wait_subscribed(broker, 1)
        dog = house.hear("dog_bark")
        house.deliver(dog)
        house.deliver(replace(dog, kind="offset"))
        house.hear("dog_bark")  # within the cooldown
        house.hear("smoke_alarm", test=True)
        house.hear("smoke_alarm")
        house.expect("dog bark", "smoke alarm")
    # the time is that of Node-RED's zone
    assert house.notified[0] == "dog bark was heard by porch of attic at 2026-11-20 21:51:15, score 0.91"
    assert "[error]" not in node_red.log


def test_what_the_flow_is_told_by_its_variables(broker: BrokerProcess, house: House, tmp_path: Path) -> None:
    env = {"BASE_TOPIC": "my/house", "DEVICE": "attic", "COOLDOWN_S": "0", "TELL_TESTS": "true"}
    mine, other = Topics("my/house", "attic"), Topics("my/house", "barn")
    with NodeRed(tmp_path / "red", flows(broker, env)):
        wait_subscribed(broker, 1, "my/house/attic/+/detection")
        house.hear("dog_bark", topics=mine)
        house.hear("dog_bark", topics=mine)
        house.hear("dog_bark", topics=mine, test=True)
        house.hear("dog_bark", topics=other)
        house.hear("dog_bark")
        house.expect("dog bark", "dog bark", "dog bark", topics=mine)


def test_a_flow_that_is_deployed_twice_tells_once(broker: BrokerProcess, house: House, tmp_path: Path) -> None:
    twice = flows(broker, copies=2)
    with NodeRed(tmp_path / "red", twice) as node_red:
        wait_subscribed(broker, 2)
        dog = house.hear("dog_bark")
        house.expect("dog bark")
        node_red.deploy(twice)
        wait_subscribed(broker, 4)
        house.deliver(dog)
        house.hear("dog_bark")
        house.hear("glass")
        house.expect("glass")


def test_a_detection_that_is_delivered_again_after_restarts_is_told_once(
    broker: BrokerProcess, house: House, tmp_path: Path
) -> None:
    with NodeRed(tmp_path / "red", flows(broker, {"COOLDOWN_S": "0"}), context=ON_DISK) as node_red:
        wait_subscribed(broker, 1)
        dog = house.hear("dog_bark")
        house.expect("dog bark")
        broker.stop()
        broker.start()
        wait_subscribed(broker, 2)
        wait_subscribed(broker, 2, PHONE)
        house.deliver(dog)
        house.expect()
        node_red.stop()
        node_red.start()
        wait_subscribed(broker, 3)
        house.deliver(dog)
        house.hear("dog_bark")
        house.expect("dog bark")
