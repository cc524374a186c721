"""A real agent, a real broker and Home Assistant itself: every entity exists, has its state, and does its work."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

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
from edgeaudio.sinks.mqtt.media_messages import media, media_info
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import ClipReady, Event, Level, Message, SourceState, SourceStatus, Transcript

from .home_assistant import HomeAssistant

LABELS = ("first", "second", "third")
SOURCES = ("porch", "cellar")
PREFIX = f"edgeaudio-{DEVICE}_"
DISCOVERY = f"homeassistant/device/edgeaudio-{DEVICE}/agent/config"
GONE = "unavailable"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


@dataclass(slots=True)
class Scenario:
    """An agent, a broker and Home Assistant, for a test to look at and to break."""

    ha: HomeAssistant
    agent: RunningAgent
    listener: Listener  # of everything on the broker
    ports: dict[str, int]

    def entity(self, platform: str, key: str) -> str:
        """Wait for the entity of a key, and return its id."""
        wait_until(lambda: self.ha.entity(platform, PREFIX + key), 20, f"there is no {platform} {key}")
        return self.ha.entity(platform, PREFIX + key)

    def push(self, source: str) -> AbstractContextManager[None]:
        return push_rtsp(f"rtsp://127.0.0.1:{self.ports[source]}/x")

    def settings(self, *sources: str) -> str:
        return "".join(
            f'[sources.{name}]\nurl = "rtsp+listen://127.0.0.1:{self.ports[name]}/x"\nlevel_interval_s = 1\n'
            for name in sources
        )

    def states(self) -> dict[str, str]:
        return {key.removeprefix(PREFIX): state for key, state in self.ha.entities().items()}

    def restart_agent(self) -> None:
        """Start the agent where it does not run, and wait until Home Assistant has its state."""
        if self.agent.process is None or self.agent.process.poll() is not None:
            self.agent.start()
        self.ha.wait_state(self.entity("switch", "porch_enabled"), "on")


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenario]:
    """One Home Assistant for all tests, as it takes long to start."""
    folder = tmp_path_factory.mktemp("scenario")
    (folder / "ha").mkdir()
    model_directory(folder, "features_time_major", detector=DETECTOR, thresholds={"first": NEVER, "third": NEVER})
    factory = MosquittoFactory(folder)
    broker = factory().start()
    with ExitStack() as stack:
        stack.callback(broker.stop)
        listener = stack.enter_context(Listener(broker.port, "#"))
        ha = stack.enter_context(HomeAssistant(folder / "ha", broker.port))
        agent = RunningAgent(folder, broker.port, "", settings='[dashboard]\nurl = "https://house.example"')
        scenario = Scenario(ha, agent, listener, {name: free_port() for name in SOURCES})
        agent.write(scenario.settings(*SOURCES))
        stack.callback(agent.kill)
        scenario.restart_agent()
        wait_until(lambda: set(scenario.states()) >= expected_keys(*SOURCES), 20, f"{scenario.states()}")
        assert {key.removeprefix(PREFIX) for key in ha.disabled()} - BOARD == DISABLED
        ha.enable_everything()
        # what is retained shows when Home Assistant has subscribed again
        kept = {f"{source}_{key}" for source in SOURCES for key in ("status", "enabled", "lost", "threshold_first")}
        wait_until(lambda: not kept & without_state(scenario), 20, f"nothing is known of {without_state(scenario)}")
        yield scenario
        agent.signal(signal.SIGTERM)
        assert agent.wait() == 0
        assert "Traceback" not in agent.log
        assert ha.complaints == []


# what is disabled until a user enables it; BOARD where the board measures it
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


def without_state(scenario: Scenario) -> set[str]:
    return {key for key, state in scenario.states().items() if state in ("", "unknown", GONE)}


def test_every_announced_entity_is_there_with_a_proper_state(scenario: Scenario):
    with scenario.push("porch"), scenario.push("cellar"):
        for source in SOURCES:
            scenario.ha.wait_state(scenario.entity("sensor", f"{source}_status"), "listening")
            scenario.ha.wait_state(scenario.entity("binary_sensor", f"{source}_label_{LABEL}"), "on")
        # a button that was never pressed has no state; whether a sound lasts is published again after some seconds
        buttons = {"restart", "porch_test", "cellar_test"}
        wait_until(lambda: without_state(scenario) == buttons, 20, f"nothing is known of {without_state(scenario)}")
        states = scenario.states()
    # temperature and throttling exist where the board measures them
    assert set(states) - BOARD == expected_keys(*SOURCES)
    assert states["porch_label_first"] == "off"
    assert states["porch_threshold_second"] == "0.65"
    assert states["porch_enabled"] == "on"
    assert -20 < float(states["porch_level"]) < 0
    assert float(states["porch_lost"]) >= 0
    assert int(states["restarts"]) == 0
    status = scenario.entity("sensor", "porch_status")
    assert scenario.ha.attributes(status)["friendly_name"] == "Porch audio Status"
    assert scenario.ha.device_of(status) == "Porch audio"
    assert scenario.ha.device_of(scenario.entity("sensor", "outbox")) == f"{DEVICE} (edgeaudio)"


def test_a_detection_fires_the_event_and_is_the_last_sound(scenario: Scenario):
    before = len(scenario.listener.detections("onset"))
    event = scenario.entity("event", "porch_event")
    was = scenario.ha.state(event)
    with scenario.push("porch"):
        scenario.ha.wait_state(scenario.entity("binary_sensor", f"porch_label_{LABEL}"), "on")
        onset = scenario.listener.wait_detection("onset", count=before + 1)
        wait_until(lambda: scenario.ha.state(event) != was, what="no event")
    attributes = scenario.ha.attributes(event)
    assert attributes["event_type"] == LABEL
    assert {key: attributes[key] for key in ("id", "score", "at", "model", "link")} == {
        key: onset[key] for key in ("id", "score", "at", "model", "link")
    }
    fired_at = scenario.ha.state(event)
    scenario.ha.wait_state(scenario.entity("sensor", "porch_last"), LABEL)
    # its end is no event, changes no last sound, and leaves the source's other entities as they are
    scenario.listener.wait_detection("offset", count=before + 1)
    scenario.ha.wait_state(scenario.entity("sensor", "porch_status"), "waiting", "connecting")
    assert scenario.ha.state(event) == fired_at
    assert scenario.ha.state(scenario.entity("sensor", "porch_last")) == LABEL


def test_a_source_that_is_down_blanks_what_it_measures_and_nothing_of_the_other(scenario: Scenario):
    status = scenario.entity("sensor", "porch_status")
    with scenario.push("cellar"):
        scenario.ha.wait_state(scenario.entity("sensor", "cellar_status"), "listening")
        with scenario.push("porch"):
            scenario.ha.wait_state(status, "listening")
        scenario.ha.wait_state(status, "waiting", "connecting")
        assert scenario.ha.attributes(status)["reason"] == "end_of_stream"
        measured = {f"porch_label_{label}" for label in LABELS} | {"porch_level"}
        wait_until(lambda: {key for key, state in scenario.states().items() if state == GONE} == measured)


def test_a_threshold_is_set_from_home_assistant(scenario: Scenario):
    number = scenario.entity("number", f"porch_threshold_{LABEL}")
    scenario.ha.call(number, "set_value", value=0.71)
    scenario.ha.wait_state(number, "0.71")
    wait_until(
        lambda: scenario.listener.of(f"edgeaudio/{DEVICE}/porch/threshold/{LABEL}")[-1] == b"0.71", what="not published"
    )
    assert scenario.ha.state(scenario.entity("number", f"cellar_threshold_{LABEL}")) == "0.65"
    # a threshold over everything: the tone is heard, and is no event any longer
    scenario.ha.call(number, "set_value", value=0.99)
    scenario.ha.wait_state(number, "0.99")
    with scenario.push("porch"):
        # the level is published after each second
        level = scenario.entity("sensor", "porch_level")
        wait_until(lambda: scenario.ha.state(level) not in ("unknown", GONE), 20, "no level")
        assert scenario.ha.state(scenario.entity("binary_sensor", f"porch_label_{LABEL}")) == "off"
        scenario.ha.call(number, "set_value", value=0.65)
        scenario.ha.wait_state(scenario.entity("binary_sensor", f"porch_label_{LABEL}"), "on")


def test_a_source_is_switched_off_and_on_from_home_assistant(scenario: Scenario):
    switch, status = scenario.entity("switch", "porch_enabled"), scenario.entity("sensor", "porch_status")
    scenario.ha.call(switch, "turn_off")
    scenario.ha.wait_state(switch, "off")
    scenario.ha.wait_state(status, "off")
    assert scenario.ha.attributes(status)["reason"] == "switched_off"
    assert scenario.ha.state(scenario.entity("switch", "cellar_enabled")) == "on"
    scenario.ha.call(switch, "turn_on")
    scenario.ha.wait_state(switch, "on")
    scenario.ha.wait_state(status, "connecting", "waiting")


def test_a_test_by_button_goes_the_whole_way(scenario: Scenario):
    event, sensor = scenario.entity("event", "porch_event"), scenario.entity("binary_sensor", "porch_label_first")
    before, fired_at = len(scenario.listener.detections("offset")), scenario.ha.state(event)
    with scenario.push("porch"):
        scenario.ha.wait_state(sensor, "off")
        scenario.ha.call(scenario.entity("button", "porch_test"), "press")
        scenario.ha.wait_state(sensor, "on")
        wait_until(lambda: scenario.ha.state(event) != fired_at, what="no event")
        tested = [told for told in scenario.listener.detections("onset") if told.get("test")]
        assert [told["label"] for told in tested] == ["first"]
        scenario.ha.wait_state(sensor, "off")
    scenario.listener.wait_detection("offset", count=before + 1)
    ends = [told for told in scenario.listener.detections("offset") if told.get("test")]
    assert [told["id"] for told in ends] == [tested[0]["id"]]


def test_the_button_restarts_the_agent(scenario: Scenario):
    scenario.ha.call(scenario.entity("button", "restart"), "press")
    assert scenario.agent.wait() == 0
    outbox = scenario.entity("sensor", "outbox")
    scenario.ha.wait_state(outbox, GONE)
    scenario.restart_agent()
    scenario.ha.wait_state(scenario.entity("sensor", "restarts"), "1")


def test_a_killed_agent_is_unavailable_and_comes_back(scenario: Scenario):
    scenario.agent.kill()
    wait_until(lambda: set(scenario.states().values()) == {GONE}, 20, f"{scenario.states()}")
    scenario.restart_agent()
    wait_until(
        lambda: (
            {key for key, state in scenario.states().items() if state == GONE}
            == {f"{source}_{key}" for source in SOURCES for key in ("level", *(f"label_{label}" for label in LABELS))}
        ),
        20,
        "only what is measured stays unavailable, for no source sends",
    )


def test_home_assistant_restarts_and_finds_everything_as_it_was(scenario: Scenario):
    before = len(scenario.listener.of(DISCOVERY))
    with scenario.push("porch"):
        scenario.ha.wait_state(scenario.entity("binary_sensor", f"porch_label_{LABEL}"), "on")
        scenario.ha.restart()
        wait_until(lambda: len(scenario.listener.of(DISCOVERY)) > before, 20, "not announced again")
        # what is not retained is resent after the birth message
        scenario.ha.wait_state(scenario.entity("binary_sensor", f"porch_label_{LABEL}"), "on")
        scenario.ha.wait_state(scenario.entity("sensor", "porch_status"), "listening")
        states = scenario.states()
    assert set(states) - BOARD == expected_keys(*SOURCES)


def test_a_source_that_is_removed_vanishes_and_comes_back(scenario: Scenario):
    scenario.agent.write(scenario.settings("porch"))
    scenario.agent.signal(signal.SIGHUP)
    wait_until(lambda: not any(key.startswith("cellar") for key in scenario.states()), 20, "cellar is still there")
    assert set(scenario.states()) - BOARD == expected_keys("porch")
    scenario.agent.write(scenario.settings(*SOURCES))
    scenario.agent.signal(signal.SIGHUP)
    wait_until(lambda: expected_keys(*SOURCES) <= set(scenario.states()), 20, "cellar is not back")


def test_what_this_machine_does_not_show(scenario: Scenario):
    """A board that measures its temperature, names with hyphens and odd labels, and a microphone that is muted."""
    topics, now = Topics("edgeaudio", "jetty-2"), datetime.now(UTC)
    label = "Dog bark, yip"
    sources = (SourceEntities("front-door", (label,), (LabelEntity(label),)),)
    agent = AgentEntities(topics, "1", sources, has_temperature=True, has_throttling=True)

    def publish(*published: Message) -> None:
        for message in published:
            scenario.listener.publish(message.topic, message.payload, retain=message.retain)

    def tell_health(temperature_c: float | None, *, throttled: bool) -> None:
        values: dict[str, messages.Json] = {"temperature_c": temperature_c, "throttled": throttled}
        values |= {"restarts": 3, "outbox": {"depth": 7}, "sources": {"front-door": {"lost_s": 1.5}}}
        publish(messages.health(topics, values))

    def states() -> dict[str, str]:
        prefix = "edgeaudio-jetty-2_"
        found = scenario.ha.entities().items()
        return {key.removeprefix(prefix): state for key, state in found if key.startswith(prefix)}

    def wait_for(expected: dict[str, str]) -> None:
        wait_until(lambda: states() == expected | {"front-door_event": states().get("front-door_event", "")})

    publish(*announce(None, prefix="homeassistant", agent=agent, retained=()).messages)
    wait_until(lambda: len(states()) == 14, what="not everything is there")
    scenario.ha.enable_everything()
    publish(messages.availability(topics, online=True))
    # once the availability is known, Home Assistant has subscribed
    wait_until(lambda: states()["outbox"] not in ("", GONE), what="not everything is available")
    tell_health(52.5, throttled=True)
    publish(
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
    # a state that was not published is unknown, and not logged as an error
    tell_health(None, throttled=False)
    publish(messages.level(topics, Level("front-door", now, 10.0, None, None, 0.0, 0.0)))
    expected |= {"temperature": "unknown", "throttled": "off", "front-door_level": "unknown"}
    wait_for(expected)


def test_a_picture_is_shown_with_its_event(scenario: Scenario):
    topics = Topics("edgeaudio", "pier")
    sources = (SourceEntities("lane", ("dog",), ()),)
    agent = AgentEntities(topics, "1", sources, has_temperature=False, has_throttling=False, image_type="image/png")
    for message in (
        *announce(None, prefix="homeassistant", agent=agent, retained=()).messages,
        messages.availability(topics, online=True),
    ):
        scenario.listener.publish(message.topic, message.payload, retain=message.retain)
    wait_until(lambda: scenario.ha.entity("image", "edgeaudio-pier_lane_image"), 20, "there is no image")
    entity = scenario.ha.entity("image", "edgeaudio-pier_lane_image")
    scenario.ha.wait_state(entity, "unknown")
    clip = ClipReady("id-1", "lane", "dog", 0.91, "home", datetime.now(UTC), Path("a.opus"), "opus", Path("a.png"))
    for message in (media_info(topics, clip, "image", len(PNG)), media(topics, clip, "image", Path("a.png"), PNG)):
        scenario.listener.publish(message.topic, message.payload, retain=message.retain)
    wait_until(lambda: scenario.ha.attributes(entity).get("id") == "id-1", 20, f"{scenario.ha.attributes(entity)}")
    assert scenario.ha.attributes(entity)["label"] == "dog"
    wait_until(lambda: scenario.ha.entities()["edgeaudio-pier_lane_image"] not in ("", "unknown"), 20)
    assert scenario.ha.image(entity) == ("image/png", PNG)


def test_what_was_said_is_a_state_and_the_whole_of_it_an_attribute(scenario: Scenario):
    topics = Topics("edgeaudio", "pier-2")
    sources = (SourceEntities("lane", ("dog",), (), transcribes=True),)
    agent = AgentEntities(topics, "1", sources, has_temperature=False, has_throttling=False)
    for message in (
        *announce(None, prefix="homeassistant", agent=agent, retained=()).messages,
        messages.availability(topics, online=True),
    ):
        scenario.listener.publish(message.topic, message.payload, retain=message.retain)
    wait_until(lambda: scenario.ha.entity("sensor", "edgeaudio-pier-2_lane_transcript"), 20, "there is no sensor")
    entity = scenario.ha.entity("sensor", "edgeaudio-pier-2_lane_transcript")
    scenario.ha.wait_state(entity, "unknown")
    for text, state in (("The kettle is on.", "The kettle is on."), ("é" * 300, "é" * 254 + "…")):
        value = Transcript(text[:8], "lane", datetime.now(UTC), 2.5, text, "en", 0.9, "small")
        message = messages.transcript(topics, value)
        scenario.listener.publish(message.topic, message.payload, retain=message.retain)
        scenario.ha.wait_state(entity, state)
        assert scenario.ha.attributes(entity)["text"] == text


def former(agent: AgentEntities) -> tuple[Message, str]:
    """Return what versions up to 0.1 announced, all of it as one device, and their memory of it."""
    components: dict[str, Component] = {}
    for device in devices(agent):
        components |= {key: dict(component) for key, component in device.components.items()}
    for component in components.values():
        component.pop("enabled_by_default", None)
    topic = former_topic("homeassistant", agent.topics)
    about = Device("agent", devices(agent)[0].about, components)
    memory = {"discovery_topic": topic, "components": {key: str(each["p"]) for key, each in components.items()}}
    return DiscoveryPart(topic, about, "0.1.0", {}, components).message(), json.dumps(memory)


def test_an_upgrade_keeps_entities_and_their_names_and_leaves_no_second_one(scenario: Scenario):
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

    def publish(*published: Message) -> None:
        for message in published:
            scenario.listener.publish(message.topic, message.payload, retain=message.retain)

    def mine() -> set[str]:
        return {key.removeprefix(prefix) for key in scenario.ha.entities() if key.startswith(prefix)}

    def alive() -> dict[str, str]:
        return {key: state for key, state in scenario.ha.entities().items() if key.startswith(prefix)}

    def keys(agent: AgentEntities) -> set[str]:
        return {key for device in devices(agent) for key in device.components}

    def complained(of: str) -> bool:
        return any(of in line for line in scenario.ha.complaints)

    message, memory = former(old)
    publish(message, messages.availability(topics, online=True))
    wait_until(lambda: mine() == keys(old), what="the former entities are not there")
    siren = scenario.ha.entity("binary_sensor", f"{prefix}lane_label_siren")
    scenario.ha.rename(siren, "The neighbour's siren")
    step = announce(memory, prefix="homeassistant", agent=new, retained=())
    publish(*step.first, *step.messages)
    wait_until(lambda: mine() == keys(new), what=f"{mine() ^ keys(new)}")
    wait_until(lambda: scenario.ha.device_of(siren) == "Lane audio", what="it is not the source's")
    assert scenario.ha.entity("binary_sensor", f"{prefix}lane_label_siren") == siren
    assert scenario.ha.name(siren) == "The neighbour's siren"
    scenario.ha.restart()
    for kind, key in (("sensor", "outbox"), ("event", "lane_event")):  # available again: what is retained was received
        scenario.ha.wait_state(scenario.ha.entity(kind, prefix + key), "unknown")
    assert mine() == keys(new)
    assert scenario.ha.entity("binary_sensor", f"{prefix}lane_label_siren") == siren
    # after the migration the one message is cleared, and Home Assistant logs that it removed nothing with it
    expected = "No device components to cleanup for edgeaudio-jetty-3"
    scenario.ha.complaints[:] = [line for line in scenario.ha.complaints if expected not in line]
    assert scenario.ha.complaints == []
    # the way back, as an earlier version does it: it announces its own entities, which are refused while the present
    # ones exist; then it clears every topic in the memory, which removes them
    cleared = [messages.cleared(topic) for topic in json.loads(step.memory)["topics"]]
    publish(message)
    wait_until(lambda: complained(f"unique IDs. ID {prefix}lane_label_siren "), what="it is not refused")
    publish(*cleared)
    wait_until(lambda: "lane_label_siren" not in mine(), what=f"{mine()}")
    # at its second start it does the same
    publish(message, *cleared)
    wait_until(lambda: mine() == keys(old), what="not all are back")
    wait_until(lambda: scenario.ha.device_of(siren) == f"{topics.device} (edgeaudio)", what="it is not the agent's")
    wait_until(lambda: "" not in {scenario.ha.state(siren), *alive().values()}, what=f"{alive()}")
    assert scenario.ha.entity("binary_sensor", f"{prefix}lane_label_siren") == siren
    if MAJOR_VERSION >= 2026:  # earlier versions forget the name with the entity
        assert scenario.ha.name(siren) == "The neighbour's siren"
    of_nothing = [f"to cleanup for {part}, node_id '{topics.unique_name}'" for part in ("agent", "source_lane")]
    wait_until(lambda: all(map(complained, of_nothing)), what="the topics were not cleared")
    scenario.ha.complaints[:] = [line for line in scenario.ha.complaints if topics.unique_name not in line]
    assert scenario.ha.complaints == []
