"""The shipped access rules on a real Mosquitto: a device reaches its own topics only, and loses nothing."""

from __future__ import annotations

from pathlib import Path

from support.brokers import MosquittoFactory, Subscriber, config_for
from support.delivery import DETECTION, TOPICS, RunningSender, detections

from edgeaudio.sinks.mqtt import entities, messages
from edgeaudio.sinks.mqtt.discovery import former_topic, place
from edgeaudio.sinks.mqtt.homeassistant import birth_topic
from edgeaudio.types import Message

ACL = Path(__file__).parents[2] / "deploy" / "mosquitto" / "acl"
USERS = {"dock": "d", "pier": "p", "homeassistant": "h"}


def everything() -> list[Message]:
    source = entities.SourceEntities("porch", ("dog",), (entities.LabelEntity("dog"),))
    agent = entities.AgentEntities(TOPICS, "0", (source,), has_temperature=False, has_throttling=False)
    return [
        messages.health(TOPICS, {}),
        messages.enabled(TOPICS, "porch", on=True),
        messages.threshold(TOPICS, "porch", "dog", 0.5),
        messages.label_state(TOPICS, "porch", "dog", on=True),
        *(part.message() for part in place("homeassistant", agent, {})),
        messages.cleared(former_topic("homeassistant", TOPICS)),
    ]


def test_a_device_can_do_its_work_and_no_more(mosquitto: MosquittoFactory, tmp_path: Path) -> None:
    broker = mosquitto(users=USERS, acl=ACL.read_text()).start()
    config = config_for(broker, username="dock", password="d")
    with (
        Subscriber(broker.port, "edgeaudio/#", "homeassistant/#", username="homeassistant", password="h") as subscriber,
        Subscriber(broker.port, "#", username="pier", password="p") as other,
        RunningSender(config, tmp_path, listen_to=[birth_topic("homeassistant")]) as running,
    ):
        for message in everything():
            running.sender.put(message)
        running.outbox.add(detections(0, 3))
        running.wait_empty()
        running.wait_told()
        assert running.sender.status.reason is None, running.sender.status
        topics = {message.topic for message in everything()}
        subscriber.wait_for(lambda heard: topics <= {message.topic for message in heard})
        subscriber.wait_for(lambda _: len(subscriber.of(DETECTION)) == 3)
        subscriber.publish(TOPICS.enabled_set("porch"), "OFF")
        subscriber.publish(TOPICS.live_set("porch"), "30")
        subscriber.publish("homeassistant/status", "online")
        subscriber.wait_for(lambda _: len(running.commands) == 3)
        assert {message.topic for message in other.heard} <= {"homeassistant/status"}  # which all may read


def test_a_device_cannot_publish_as_another_or_command_it(mosquitto: MosquittoFactory, tmp_path: Path) -> None:
    broker = mosquitto(users=USERS, acl=ACL.read_text()).start()
    config = config_for(broker, username="pier", password="p", client_id="edgeaudio-pier")
    with (
        Subscriber(broker.port, "edgeaudio/#", "homeassistant/#", username="homeassistant", password="h") as subscriber,
        RunningSender(config, tmp_path) as running,  # logged in as pier, it publishes as dock
    ):
        running.sender.put(Message("homeassistant/device/edgeaudio-dock/config", b"{}", 1, retain=True))
        running.sender.put(Message(TOPICS.restart_set, b"PRESS", 1))
        running.outbox.add(detections(0, 1))
        expected = {
            *(DETECTION, TOPICS.availability, TOPICS.restart_set, "homeassistant/device/edgeaudio-dock/config"),
        }
        subscriber.wait_for(lambda _: set(running.sender.status.refused_topics) == expected)
        assert subscriber.heard == []
        assert running.outbox.stats().depth == 1
