"""A real agent, a real broker and Home Assistant itself: every entity is there, says what is, and does what it says."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from homeassistant.const import MAJOR_VERSION
from support.agents import DETECTOR, DEVICE, LABEL, NEVER, Listener, RunningAgent
from support.brokers import MosquittoFactory
from support.ports import free_port
from support.rtsp import push_rtsp
from support.tflite import model_directory
from support.waiting import wait_until

from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.discovery import DiscoveryPart, former_topic
from edgeaudio.sinks.mqtt.discovery_state import announce
from edgeaudio.sinks.mqtt.entities import AgentEntities, Component, LabelEntity, SourceEntities
from edgeaudio.sinks.mqtt.homeassistant import Device, devices
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Event, Level, Message, SourceState, SourceStatus

from .house import House

LABELS = ("first", "second", "third")
SOURCES = ("porch", "cellar")
PREFIX = f"edgeaudio-{DEVICE}_"
DISCOVERY = f"homeassistant/device/edgeaudio-{DEVICE}/agent/config"
GONE = "unavailable"


@dataclass(slots=True)
class Stage:
    """Everything that a test here may look at, and break."""

    house: House
    agent: RunningAgent
    listener: Listener  # of everything on the broker
    ports: dict[str, int]

    def entity(self, platform: str, key: str) -> str:
        """The entity of that key; it must be there by now, or soon."""
        wait_until(lambda: self.house.entity(platform, PREFIX + key), 20, f"there is no {platform} {key}")
        return self.house.entity(platform, PREFIX + key)

    def push(self, source: str) -> AbstractContextManager[None]:
        return push_rtsp(f"rtsp://127.0.0.1:{self.ports[source]}/x")

    def settings(self, *sources: str) -> str:
        return "".join(
            f'[sources.{name}]\nurl = "rtsp+listen://127.0.0.1:{self.ports[name]}/x"\nlevel_interval_s = 1\n'
            for name in sources
        )

    def states(self) -> dict[str, str]:
        return {key.removeprefix(PREFIX): state for key, state in self.house.entities().items()}

    def restart_agent(self) -> None:
        """Have it run, and everybody know."""
        if self.agent.process is None or self.agent.process.poll() is not None:
            self.agent.start()
        self.house.wait_state(self.entity("switch", "porch_enabled"), "on")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One house for all tests: it takes a while to build, and in a real one too everything happens after another."""
    folder = tmp_path_factory.mktemp("stage")
    (folder / "house").mkdir()
    model_directory(folder, "features_time_major", detector=DETECTOR, thresholds={"first": NEVER, "third": NEVER})
    factory = MosquittoFactory(folder)
    broker = factory().start()
    with ExitStack() as stack:
        stack.callback(broker.stop)
        listener = stack.enter_context(Listener(broker.port, "#"))
        house = stack.enter_context(House(folder / "house", broker.port))
        agent = RunningAgent(folder, broker.port, "")
        stage = Stage(house, agent, listener, {name: free_port() for name in SOURCES})
        agent.write(stage.settings(*SOURCES))
        stack.callback(agent.kill)
        stage.restart_agent()
        wait_until(lambda: set(stage.states()) >= expected_keys(*SOURCES), 20, f"{stage.states()}")
        assert {key.removeprefix(PREFIX) for key in house.disabled()} - BOARD == DISABLED
        house.enable_everything()
        # by what is retained: once that is known, it listens again
        kept = {f"{source}_{key}" for source in SOURCES for key in ("status", "enabled", "lost", "threshold_first")}
        wait_until(lambda: not kept & nothing_said(stage), 20, f"nothing is known of {nothing_said(stage)}")
        yield stage
        agent.signal(signal.SIGTERM)
        assert agent.wait() == 0
        assert "Traceback" not in agent.log
        assert house.complaints == []


# what is switched off until somebody wants it; the last two where the board tells
DISABLED = {"restarts", "outbox"} | {
    f"{source}_{key}"
    for source in SOURCES
    for key in ("level", "lost", "test", *(f"threshold_{label}" for label in LABELS))
}
BOARD = {"temperature", "throttled"}


def expected_keys(*sources: str) -> set[str]:
    keys = {"restarts", "outbox", "restart"}
    for source in sources:
        keys |= {f"{source}_{key}" for key in ("event", "last", "level", "status", "lost", "enabled", "test")}
        keys |= {f"{source}_{key}_{label}" for key in ("label", "threshold") for label in LABELS}
    return keys


def nothing_said(stage: Stage) -> set[str]:
    return {key for key, state in stage.states().items() if state in ("", "unknown", GONE)}


def test_every_announced_entity_is_there_with_a_proper_state(stage: Stage):
    with stage.push("porch"), stage.push("cellar"):
        for source in SOURCES:
            stage.house.wait_state(stage.entity("sensor", f"{source}_status"), "listening")
            stage.house.wait_state(stage.entity("binary_sensor", f"{source}_label_{LABEL}"), "on")
        # a button that was never pressed has nothing to say; whether a sound lasts is said again after some seconds
        buttons = {"restart", "porch_test", "cellar_test"}
        wait_until(lambda: nothing_said(stage) == buttons, 20, f"nothing is known of {nothing_said(stage)}")
        states = stage.states()
    # temperature and throttling are there where the board tells them
    assert set(states) - BOARD == expected_keys(*SOURCES)
    assert states["porch_label_first"] == "off"
    assert states["porch_threshold_second"] == "0.65"
    assert states["porch_enabled"] == "on"
    assert -20 < float(states["porch_level"]) < 0
    assert float(states["porch_lost"]) >= 0
    assert int(states["restarts"]) == 0
    status = stage.entity("sensor", "porch_status")
    assert stage.house.attributes(status)["friendly_name"] == "Porch audio Status"
    assert stage.house.device_of(status) == "Porch audio"
    assert stage.house.device_of(stage.entity("sensor", "outbox")) == f"{DEVICE} (edgeaudio)"


def test_a_detection_fires_the_event_and_is_the_last_sound(stage: Stage):
    before = len(stage.listener.detections("onset"))
    event = stage.entity("event", "porch_event")
    was = stage.house.state(event)
    with stage.push("porch"):
        stage.house.wait_state(stage.entity("binary_sensor", f"porch_label_{LABEL}"), "on")
        onset = stage.listener.wait_detection("onset", count=before + 1)
        wait_until(lambda: stage.house.state(event) != was, what="no event")
    attributes = stage.house.attributes(event)
    assert attributes["event_type"] == LABEL
    assert {key: attributes[key] for key in ("id", "score", "at", "model")} == {
        key: onset[key] for key in ("id", "score", "at", "model")
    }
    fired_at = stage.house.state(event)
    stage.house.wait_state(stage.entity("sensor", "porch_last"), LABEL)
    # its end is no event, changes no last sound, and leaves the source's other entities as they are
    stage.listener.wait_detection("offset", count=before + 1)
    stage.house.wait_state(stage.entity("sensor", "porch_status"), "waiting", "connecting")
    assert stage.house.state(event) == fired_at
    assert stage.house.state(stage.entity("sensor", "porch_last")) == LABEL


def test_a_source_that_is_down_blanks_what_it_measures_and_nothing_of_the_other(stage: Stage):
    status = stage.entity("sensor", "porch_status")
    with stage.push("cellar"):
        stage.house.wait_state(stage.entity("sensor", "cellar_status"), "listening")
        with stage.push("porch"):
            stage.house.wait_state(status, "listening")
        stage.house.wait_state(status, "waiting", "connecting")
        assert stage.house.attributes(status)["reason"] == "end_of_stream"
        measured = {f"porch_label_{label}" for label in LABELS} | {"porch_level"}
        wait_until(lambda: {key for key, state in stage.states().items() if state == GONE} == measured)


def test_a_threshold_is_set_from_home_assistant(stage: Stage):
    number = stage.entity("number", f"porch_threshold_{LABEL}")
    stage.house.call(number, "set_value", value=0.71)
    stage.house.wait_state(number, "0.71")
    wait_until(lambda: stage.listener.of(f"edgeaudio/{DEVICE}/porch/threshold/{LABEL}")[-1] == b"0.71", what="not told")
    assert stage.house.state(stage.entity("number", f"cellar_threshold_{LABEL}")) == "0.65"
    # a threshold over everything: the tone is heard, and is no event any longer
    stage.house.call(number, "set_value", value=0.99)
    stage.house.wait_state(number, "0.99")
    with stage.push("porch"):
        # the level is told when a second was heard
        level = stage.entity("sensor", "porch_level")
        wait_until(lambda: stage.house.state(level) not in ("unknown", GONE), 20, "no level")
        assert stage.house.state(stage.entity("binary_sensor", f"porch_label_{LABEL}")) == "off"
        stage.house.call(number, "set_value", value=0.65)
        stage.house.wait_state(stage.entity("binary_sensor", f"porch_label_{LABEL}"), "on")


def test_a_source_is_switched_off_and_on_from_home_assistant(stage: Stage):
    switch, status = stage.entity("switch", "porch_enabled"), stage.entity("sensor", "porch_status")
    stage.house.call(switch, "turn_off")
    stage.house.wait_state(switch, "off")
    stage.house.wait_state(status, "off")
    assert stage.house.attributes(status)["reason"] == "switched_off"
    assert stage.house.state(stage.entity("switch", "cellar_enabled")) == "on"
    stage.house.call(switch, "turn_on")
    stage.house.wait_state(switch, "on")
    stage.house.wait_state(status, "connecting", "waiting")


def test_a_test_by_button_goes_the_whole_way(stage: Stage):
    event, sensor = stage.entity("event", "porch_event"), stage.entity("binary_sensor", "porch_label_first")
    before, fired_at = len(stage.listener.detections("offset")), stage.house.state(event)
    with stage.push("porch"):
        stage.house.wait_state(sensor, "off")
        stage.house.call(stage.entity("button", "porch_test"), "press")
        stage.house.wait_state(sensor, "on")
        wait_until(lambda: stage.house.state(event) != fired_at, what="no event")
        tested = [told for told in stage.listener.detections("onset") if told.get("test")]
        assert [told["label"] for told in tested] == ["first"]
        stage.house.wait_state(sensor, "off")
    stage.listener.wait_detection("offset", count=before + 1)
    ends = [told for told in stage.listener.detections("offset") if told.get("test")]
    assert [told["id"] for told in ends] == [tested[0]["id"]]


def test_the_button_restarts_the_agent(stage: Stage):
    stage.house.call(stage.entity("button", "restart"), "press")
    assert stage.agent.wait() == 0
    outbox = stage.entity("sensor", "outbox")
    stage.house.wait_state(outbox, GONE)
    stage.restart_agent()
    stage.house.wait_state(stage.entity("sensor", "restarts"), "1")


def test_a_killed_agent_is_unavailable_and_comes_back(stage: Stage):
    stage.agent.kill()
    wait_until(lambda: set(stage.states().values()) == {GONE}, 20, f"{stage.states()}")
    stage.restart_agent()
    wait_until(
        lambda: (
            {key for key, state in stage.states().items() if state == GONE}
            == {f"{source}_{key}" for source in SOURCES for key in ("level", *(f"label_{label}" for label in LABELS))}
        ),
        20,
        "only what is measured stays unavailable, for no source sends",
    )


def test_home_assistant_restarts_and_finds_everything_as_it_was(stage: Stage):
    before = len(stage.listener.of(DISCOVERY))
    with stage.push("porch"):
        stage.house.wait_state(stage.entity("binary_sensor", f"porch_label_{LABEL}"), "on")
        stage.house.restart()
        wait_until(lambda: len(stage.listener.of(DISCOVERY)) > before, 20, "not announced again")
        # what is not retained comes again with the birth
        stage.house.wait_state(stage.entity("binary_sensor", f"porch_label_{LABEL}"), "on")
        stage.house.wait_state(stage.entity("sensor", "porch_status"), "listening")
        states = stage.states()
    assert set(states) - BOARD == expected_keys(*SOURCES)


def test_a_source_that_is_removed_vanishes_and_comes_back(stage: Stage):
    stage.agent.write(stage.settings("porch"))
    stage.agent.signal(signal.SIGHUP)
    wait_until(lambda: not any(key.startswith("cellar") for key in stage.states()), 20, "cellar is still there")
    assert set(stage.states()) - BOARD == expected_keys("porch")
    stage.agent.write(stage.settings(*SOURCES))
    stage.agent.signal(signal.SIGHUP)
    wait_until(lambda: expected_keys(*SOURCES) <= set(stage.states()), 20, "cellar is not back")


def test_what_this_machine_does_not_show(stage: Stage):
    """A board that tells its temperature, names with hyphens and odd labels, and a microphone that is muted."""
    topics, now = Topics("edgeaudio", "jetty-2"), datetime.now(UTC)
    label = "Dog bark, yip"
    sources = (SourceEntities("front-door", (label,), (LabelEntity(label),)),)
    agent = AgentEntities(topics, "1", sources, has_temperature=True, has_throttling=True)

    def say(*said: Message) -> None:
        for message in said:
            stage.listener.publish(message.topic, message.payload, retain=message.retain)

    def tell_health(temperature_c: float | None, *, throttled: bool) -> None:
        values: dict[str, messages.Json] = {"temperature_c": temperature_c, "throttled": throttled}
        values |= {"restarts": 3, "outbox": {"depth": 7}, "sources": {"front-door": {"lost_s": 1.5}}}
        say(messages.health(topics, values))

    def states() -> dict[str, str]:
        prefix = "edgeaudio-jetty-2_"
        found = stage.house.entities().items()
        return {key.removeprefix(prefix): state for key, state in found if key.startswith(prefix)}

    def wait_for(expected: dict[str, str]) -> None:
        wait_until(lambda: states() == expected | {"front-door_event": states().get("front-door_event", "")})

    say(*announce(None, prefix="homeassistant", agent=agent, retained=()).messages)
    wait_until(lambda: len(states()) == 14, what="not everything is there")
    stage.house.enable_everything()
    say(messages.availability(topics, online=True))
    # that it knows the availability says that it listens
    wait_until(lambda: states()["outbox"] not in ("", GONE), what="not everything is available")
    tell_health(52.5, throttled=True)
    say(
        messages.status(topics, SourceStatus("front-door", SourceState.SILENT, now)),
        messages.threshold(topics, "front-door", label, 1.0),
        messages.enabled(topics, "front-door", on=True),
        messages.label_state(topics, "front-door", label, on=True),
        messages.level(topics, Level("front-door", now, 10.0, -41.5, -20.0, 0.0, 0.0)),
        messages.detection(
            topics, Event("1", "onset", "front-door", "alarms", label, 0.9, now, 0.5), seq_epoch="e", seq=1
        ),
        messages.check(topics, "front-door"),
    )
    expected = {
        "restarts": "3",
        "outbox": "7",
        "temperature": "52.5",
        "throttled": "on",
        "front-door_lost": "1.5",
        "front-door_status": "silent",
        "front-door_enabled": "on",
        "front-door_threshold_dog-bark-yip": "1.0",
        "front-door_label_dog-bark-yip": "on",
        "front-door_level": "-41.5",
        "front-door_last": label,
        "restart": "unknown",
        "front-door_test": "unknown",
    }
    wait_for(expected)
    # what is not known is unknown, and no complaint
    tell_health(None, throttled=False)
    say(messages.level(topics, Level("front-door", now, 10.0, None, None, 0.0, 0.0)))
    expected |= {"temperature": "unknown", "throttled": "off", "front-door_level": "unknown"}
    wait_for(expected)


def former(agent: AgentEntities) -> tuple[Message, str]:
    """What versions up to 0.1 announced, all of it as one device, and what they remembered of it."""
    components: dict[str, Component] = {}
    for device in devices(agent):
        components |= {key: dict(component) for key, component in device.components.items()}
    for component in components.values():
        component.pop("enabled_by_default", None)
    topic = former_topic("homeassistant", agent.topics)
    about = Device("agent", devices(agent)[0].about, components)
    memory = {"discovery_topic": topic, "components": {key: str(each["p"]) for key, each in components.items()}}
    return DiscoveryPart(topic, about, "0.1.0", {}, components).message(), json.dumps(memory)


def test_an_upgrade_keeps_entities_and_their_names_and_leaves_no_second_one(stage: Stage):
    topics = Topics("edgeaudio", "jetty-3")
    labels = ("dog", "siren", "thunder")
    old = AgentEntities(
        topics,
        "0.1.0",
        (SourceEntities("lane", labels, tuple(map(LabelEntity, labels))),),
        has_temperature=False,
        has_throttling=False,
    )
    new = replace(old, version="1", sources=(replace(old.sources[0], announced=old.sources[0].announced[:2]),))
    prefix = f"{topics.unique_name}_"

    def say(*said: Message) -> None:
        for message in said:
            stage.listener.publish(message.topic, message.payload, retain=message.retain)

    def mine() -> set[str]:
        return {key.removeprefix(prefix) for key in stage.house.entities() if key.startswith(prefix)}

    def alive() -> dict[str, str]:
        return {key: state for key, state in stage.house.entities().items() if key.startswith(prefix)}

    def keys(agent: AgentEntities) -> set[str]:
        return {key for device in devices(agent) for key in device.components}

    def complained(of: str) -> bool:
        return any(of in line for line in stage.house.complaints)

    message, memory = former(old)
    say(message, messages.availability(topics, online=True))
    wait_until(lambda: mine() == keys(old), what="the former entities are not there")
    siren = stage.house.entity("binary_sensor", f"{prefix}lane_label_siren")
    stage.house.rename(siren, "The neighbour's siren")
    step = announce(memory, prefix="homeassistant", agent=new, retained=())
    say(*step.first, *step.messages)
    wait_until(lambda: mine() == keys(new), what=f"{mine() ^ keys(new)}")
    wait_until(lambda: stage.house.device_of(siren) == "Lane audio", what="it is not the source's")
    assert stage.house.entity("binary_sensor", f"{prefix}lane_label_siren") == siren
    assert stage.house.name(siren) == "The neighbour's siren"
    stage.house.restart()
    for kind, key in (("sensor", "outbox"), ("event", "lane_event")):  # available again: what is retained has come
        stage.house.wait_state(stage.house.entity(kind, prefix + key), "unknown")
    assert mine() == keys(new)
    assert stage.house.entity("binary_sensor", f"{prefix}lane_label_siren") == siren
    # once it has let go of the entities, it is told that the one message may be forgotten, and says so
    expected = "No device components to cleanup for edgeaudio-jetty-3"
    stage.house.complaints[:] = [line for line in stage.house.complaints if expected not in line]
    assert stage.house.complaints == []
    # and the way back, as the earlier version goes it: its own, refused while the entities are there; then it clears
    # what it finds remembered, and they go
    cleared = [messages.cleared(topic) for topic in json.loads(step.memory)["topics"]]
    say(message)
    wait_until(lambda: complained(f"unique IDs. ID {prefix}lane_label_siren "), what="it is not refused")
    say(*cleared)
    wait_until(lambda: "lane_label_siren" not in mine(), what=f"{mine()}")
    # at its second start it says the same
    say(message, *cleared)
    wait_until(lambda: mine() == keys(old), what="not all are back")
    wait_until(lambda: stage.house.device_of(siren) == f"{topics.device} (edgeaudio)", what="it is not the agent's")
    wait_until(lambda: "" not in {stage.house.state(siren), *alive().values()}, what=f"{alive()}")
    assert stage.house.entity("binary_sensor", f"{prefix}lane_label_siren") == siren
    if MAJOR_VERSION >= 2026:  # earlier ones forget the name with the entity
        assert stage.house.name(siren) == "The neighbour's siren"
    of_nothing = [f"to cleanup for {part}, node_id '{topics.unique_name}'" for part in ("agent", "source_lane")]
    wait_until(lambda: all(map(complained, of_nothing)), what="it was not told to forget what it has forgotten")
    stage.house.complaints[:] = [line for line in stage.house.complaints if topics.unique_name not in line]
    assert stage.house.complaints == []
