"""Discovery against the rules of Home Assistant's own schema."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.discovery_rules import (
    AGENT,
    AGENT_TOPIC,
    OF_A_SOURCE,
    TOPICS,
    agents,
    announced,
    check,
    components,
    many,
    names,
    payloads,
)

from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.discovery import MAX_BYTES
from edgeaudio.sinks.mqtt.entities import (
    OTHER_SOUND,
    AgentEntities,
    LabelEntity,
    SourceEntities,
    in_sentence_case,
)
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Event


def test_a_source_that_is_transcribed_has_its_last_sentence_as_a_state_of_255_characters() -> None:
    silent, spoken = AGENT.sources
    found = components(announced(replace(AGENT, sources=(silent, replace(spoken, transcribes=True)))).messages)
    assert f"{silent.name}_transcript" not in found
    sensor = found[f"{spoken.name}_transcript"]
    assert (sensor["p"], sensor["value_template"]) == ("sensor", "{{ value_json.text | truncate(255, true, '…', 0) }}")
    assert sensor["state_topic"] == sensor["json_attributes_topic"] == TOPICS.transcript(spoken.name)


@given(agents())
def test_every_discovery_keeps_to_the_rules(agent: AgentEntities) -> None:
    check(agent, announced(agent).messages)


def test_what_each_source_has() -> None:
    found = payloads(announced(AGENT).messages)
    assert list(found) == [
        AGENT_TOPIC,
        "homeassistant/device/edgeaudio-dock/source_front-door/config",
        "homeassistant/device/edgeaudio-dock/source_dock/config",
    ]
    agent, door, _ = found.values()
    assert agent["dev"]["identifiers"] == ["edgeaudio-dock"]
    assert set(agent["cmps"]) == {"restarts", "outbox", "restart", "temperature", "throttled"}
    assert (door["dev"]["name"], door["dev"]["via_device"]) == ("Front door audio", "edgeaudio-dock")
    assert {key: component["p"] for key, component in door["cmps"].items()} == {
        **{f"front-door_{key}": platform for key, platform in OF_A_SOURCE.items()},
        "front-door_label_dog-bark-yip": "binary_sensor",
        "front-door_label_smoke-alarm": "binary_sensor",
        "front-door_threshold_dog-bark-yip": "number",
        "front-door_threshold_smoke-alarm": "number",
    }
    assert door["cmps"]["front-door_label_smoke-alarm"]["name"] == "Smoke alarm"
    assert "device_class" not in door["cmps"]["front-door_level"]  # there is none for dBFS
    assert door["cmps"]["front-door_event"]["event_types"] == ["Dog bark, yip", "smoke_alarm"]


def test_events_have_the_links_of_detections_where_there_is_a_dashboard() -> None:
    templates = [
        components(announced(replace(AGENT, has_links=has_links)).messages)["front-door_event"]["value_template"]
        for has_links in (False, True)
    ]
    assert templates[1] == templates[0].replace("} | to_json", ", 'link': value_json.link | default('')} | to_json")


@pytest.mark.parametrize("members", [{"home": 0.91, "yamnet": 0.44}, None])
def test_events_have_the_members_scores_where_a_model_is_fused(members: dict[str, float] | None) -> None:
    def template(*, has_members: bool) -> str:
        agent = replace(AGENT, sources=(replace(AGENT.sources[0], has_members=has_members),))
        return str(components(announced(agent).messages)["front-door_event"]["value_template"])

    assert "members" not in template(has_members=False)
    jinja2 = pytest.importorskip("jinja2", reason="needs Jinja (pip install '.[fleet]')")
    environment = jinja2.Environment(autoescape=False)
    environment.filters["to_json"] = json.dumps  # Home Assistant's own
    at, of_members = datetime(2026, 11, 28, tzinfo=UTC), tuple((members or {}).items())
    event = Event("e1", "onset", "front-door", "both", "smoke_alarm", 0.9, at, 0.5, members=of_members)
    detection = json.loads(messages.detection(TOPICS, event, seq_epoch="a", seq=1).payload)
    this = {"attributes": {"event_types": ["smoke_alarm"]}}
    found = json.loads(environment.from_string(template(has_members=True)).render(value_json=detection, this=this))
    assert found["members"] == (members or {})
    assert (found["event_type"], found["score"]) == ("smoke_alarm", 0.9)


def test_what_is_enabled_by_default() -> None:
    found = components(announced(AGENT).messages)
    enabled = {key for key, component in found.items() if component.get("enabled_by_default", True)}
    assert {key.removeprefix("front-door_") for key in enabled if key.startswith("front-door_")} == {
        *("event", "last", "status", "enabled", "label_dog-bark-yip", "label_smoke-alarm")
    }


def test_a_source_has_an_image_where_pictures_are_published() -> None:
    assert not any(each["p"] == "image" for each in components(announced(AGENT).messages).values())
    agent = replace(AGENT, image_type="image/webp")
    announcement = announced(agent)
    check(agent, announcement.messages)
    found = components(announcement.messages)
    images = {key: each for key, each in found.items() if each["p"] == "image"}
    assert set(images) == {"front-door_image", "dock_image"}
    assert images["dock_image"]["image_topic"] == TOPICS.image("dock")
    assert images["dock_image"]["json_attributes_topic"] == TOPICS.image_info("dock")
    assert images["dock_image"]["content_type"] == "image/webp"


def test_a_label_is_shown_with_the_name_of_its_model() -> None:
    label = LabelEntity("co_alarm", "Carbon monoxide alarm", "carbon_monoxide", "mdi:molecule-co")
    found = components(announced(replace(AGENT, sources=(SourceEntities("hall", ("co_alarm",), (label,)),))).messages)
    sensor = found["hall_label_co-alarm"]
    assert (sensor["name"], sensor["device_class"], sensor["icon"]) == (label.name, label.device_class, label.icon)
    assert found["hall_threshold_co-alarm"]["name"] == "Carbon monoxide alarm threshold"
    assert found["hall_test"]["payload_press"] == "co_alarm"


@pytest.mark.parametrize(
    ("text", "shown"), [("smoke_alarm", "Smoke alarm"), ("front-door", "Front door"), ("Dog", "Dog"), ("__", "__")]
)
def test_names_are_in_sentence_case(text: str, shown: str) -> None:
    assert in_sentence_case(text) == shown


def test_no_source_can_blank_another() -> None:
    agent_topics = {TOPICS.availability, TOPICS.health}
    found = components(announced(AGENT).messages)
    for name, other in (("front-door", "dock"), ("dock", "front-door")):
        for key, component in found.items():
            if key.startswith(f"{name}_"):
                used = {value for field, value in component.items() if field.endswith("_topic")}
                used |= {condition["topic"] for condition in component["availability"]}
                assert all(topic in agent_topics or topic.startswith(f"{TOPICS.root}/{name}/") for topic in used)
                assert not any(topic.startswith(f"{TOPICS.root}/{other}/") for topic in used)


def test_what_the_board_does_not_measure_is_not_announced() -> None:
    bare = replace(AGENT, has_temperature=False, has_throttling=False)
    assert not {"temperature", "throttled"} & set(components(announced(bare).messages))


@pytest.mark.integration  # it takes seconds
@pytest.mark.parametrize("count", [1, 20, 521, 10_000])
@pytest.mark.parametrize("share", [0, 0.1, 1])
def test_no_message_is_long_whatever_the_model(count: int, share: float) -> None:
    agent = many(count, min(600, round(count * share)))
    found = announced(agent).messages
    check(agent, found)
    assert max(len(message.payload) for message in found) <= MAX_BYTES
    event = components(found)["porch_event"]
    everything = list(agent.sources[0].labels)
    assert event["event_types"] == everything or event["event_types"][-1] == OTHER_SOUND


@given(st.lists(st.integers(0, 60), min_size=1, max_size=5))
def test_an_entity_stays_with_its_message_while_others_come_and_go(counts: list[int]) -> None:
    memory: str | None = None
    homes: dict[str, str] = {}
    for count in counts:
        step = announced(many(60, count), memory)
        memory = step.memory
        placed = {key: topic for topic, payload in payloads(step.messages).items() for key in payload["cmps"]
                  if set(payload["cmps"][key]) != {"p"}}  # fmt: skip
        assert all(topic == placed[key] for key, topic in homes.items() if key in placed)
        homes = placed


@given(st.tuples(names(), names()), st.tuples(names(), names()))
def test_no_two_agents_share_a_name(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (one == other) == (Topics(*one).unique_name == Topics(*other).unique_name)


def test_the_names_of_plain_bases_are_what_they_were() -> None:
    assert Topics("edgeaudio", "dock-2").unique_name == "edgeaudio-dock-2"
    likely = ("a-b", "c"), ("a", "b-c"), ("a/b", "c"), ("a.b", "c"), ("A-b", "c"), ("a_b", "c")
    assert len({Topics(*names).unique_name for names in likely}) == len(likely)
