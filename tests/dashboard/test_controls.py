"""What is kept of the sources whose controls somebody looks at, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.dashboard.commands import Command, CommandRequestError, command_of
from edgeaudio.dashboard.control_wire import Enabled, LabelSetting, parse_setting, setting_filters
from edgeaudio.dashboard.controls import MAX_LABELS, MAX_SOURCES, VISIT_S, Controls, LabelControls, SourceControls
from edgeaudio.sinks.mqtt import commands as agents_commands
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Message
from edgeaudio.wire.payload_fields import WireError
from edgeaudio.wire.payloads import CommandAnswer, kind_of

AT = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
TOPICS = Topics("site/edgeaudio", "dock")
PORCH = ("dock", "porch")
MARKUP = "<img src=x onerror=alert(1)>"


def read(message: Message) -> object:
    return parse_setting("site/edgeaudio", message.topic, message.payload)


def visit(controls: Controls, key: tuple[str, str] = PORCH, now_s: float = 0.0) -> SourceControls:
    found = controls.visit(key, now_s)
    assert found is not None
    return found


def test_what_an_agent_publishes_is_read() -> None:
    assert read(messages.enabled(TOPICS, "porch", on=True)) == Enabled("dock", "porch", on=True)
    assert read(messages.threshold(TOPICS, "porch", "Dog bark", 0.65)) == LabelSetting(
        "dock", "porch", "dog-bark", "threshold", 0.65
    )
    assert read(messages.snooze(TOPICS, "porch", "dog", AT)) == LabelSetting("dock", "porch", "dog", "snooze", AT)
    assert read(messages.snooze(TOPICS, "porch", "dog", None)) == LabelSetting("dock", "porch", "dog", "snooze", None)
    assert read(messages.cooldown(TOPICS, "porch", "dog", 60.0)) == LabelSetting(
        "dock", "porch", "dog", "cooldown", 60.0
    )
    assert read(messages.cooldown(TOPICS, "porch", "dog", 0.0)) == LabelSetting(
        "dock", "porch", "dog", "cooldown", None
    )


@pytest.mark.parametrize(
    ("rest", "payload"),
    [
        ("enabled", b"on"),
        ("threshold/dog", MARKUP.encode()),
        *(("threshold/dog", payload) for payload in (b"-1", b"nan", b"1e99", b"1_0", b" 1", b"true", b"\xff")),
        ("threshold/dog", b"9" * 40),
        ("cooldown/dog", b"Infinity"),
        *(("snooze/dog", payload) for payload in (b"60", b"2026-11-20", b"9999-01-01T00:00:00Z", b"\xd9\xa0")),
    ],
)  # fmt: skip
def test_a_value_that_breaks_the_contract_is_refused(rest: str, payload: bytes) -> None:
    topic = f"site/edgeaudio/dock/porch/{rest}"
    with pytest.raises(WireError) as refusal:
        parse_setting("site/edgeaudio", topic, payload)
    assert "img" not in str(refusal.value)
    assert kind_of(topic) == rest.split("/", maxsplit=1)[0]


@given(st.text(), st.binary(max_size=50))
def test_anything_else_is_no_setting_or_refused(topic: str, payload: bytes) -> None:
    for each in (topic, f"edgeaudio/{topic}", f"edgeaudio/dock/porch/snooze/{topic}"):
        try:
            found = parse_setting("edgeaudio", each, payload)
        except WireError:
            continue
        if isinstance(found, LabelSetting):
            assert found.label == topic
        else:
            assert found is None or payload in {b"", b"ON", b"OFF"}


def test_only_of_what_is_looked_at_something_is_kept_and_only_for_a_while() -> None:
    controls = Controls()
    controls.update(Enabled("dock", "porch", on=True))
    assert visit(controls) == SourceControls(revision=1)
    controls.subscribed(PORCH)
    controls.update(Enabled("dock", "porch", on=True))
    controls.update(Enabled("dock", "hall", on=True))
    controls.update(LabelSetting("dock", "porch", "dog", "threshold", 0.5))
    controls.update(LabelSetting("dock", "porch", "dog", "snooze", AT))
    controls.update(LabelSetting("dock", "porch", "cat", "cooldown", 60.0))
    controls.report(PORCH, "x")
    found = visit(controls, now_s=VISIT_S)
    assert (found.subscribed, found.enabled, found.trouble) == (True, True, "x")
    assert found.labels == {"dog": LabelControls(0.5, AT), "cat": LabelControls(cooldown_s=60.0)}
    controls.update(LabelSetting("dock", "porch", "cat", "cooldown", None))
    after = visit(controls, now_s=VISIT_S)
    assert after.revision > found.revision
    assert set(after.labels) == {"dog"}
    assert controls.visited(2 * VISIT_S) == [PORCH]
    assert controls.visited(2 * VISIT_S + 0.1) == []
    # whoever comes then begins anew, with a revision that no page has
    assert visit(controls, now_s=100.0).labels == {}
    assert visit(controls, now_s=100.0).revision > after.revision


def test_labels_and_sources_are_bounded() -> None:
    controls = Controls()
    visit(controls)
    for number in range(MAX_LABELS + 5):
        controls.update(LabelSetting("dock", "porch", f"l{number}", "threshold", 0.5))
    found = visit(controls)
    assert (len(found.labels), found.left_out) == (MAX_LABELS, 5)
    for number in range(MAX_SOURCES - 1):
        visit(controls, ("dock", f"s{number}"))
    assert controls.visit(("dock", "one-more"), 0.0) is None
    assert controls.visit(("dock", "one-more"), VISIT_S + 1) is not None


LABELS = {"porch": ("Dog bark", "siren")}


def test_commands_are_those_that_agents_take() -> None:
    for asked, expected in (
        ({"command": "enabled", "value": False}, agents_commands.SetEnabled("porch", on=False)),
        ({"command": "test", "label": "Dog bark"}, agents_commands.SendTest("porch", "Dog bark")),
        ({"command": "threshold", "label": "siren", "value": 0.7}, agents_commands.SetThreshold("porch", "siren", 0.7)),
        (
            {"command": "snooze", "label": "Dog bark", "value": 604_800},
            agents_commands.SetSnooze("porch", "Dog bark", 604_800),
        ),
        ({"command": "cooldown", "label": "siren", "value": 0.1}, agents_commands.SetCooldown("porch", "siren", 0.1)),
    ):
        found = command_of({"device": "dock", "source": "porch", **asked})
        topic = f"{TOPICS.root}/{found.topic}"
        assert agents_commands.parse_command(TOPICS, topic, found.payload, LABELS) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"device": "+"}, "device: is no name of one"),
        ({"device": 1}, "device: is no name of one"),
        ({"source": "porch/live"}, "source: is no name of one"),
        ({"command": "restart"}, "command: is none that there is"),
        ({"command": ["snooze"]}, "command: is none that there is"),
        ({"command": "enabled", "value": 1}, "value: is neither true nor false"),
        ({"label": ""}, "label: is no name of one"),
        ({"label": 7}, "label: is no name of one"),
        ({"label": "x" * 201}, "label: is no name of one"),
        *(({"value": value}, "value: is no number from 0 on") for value in (None, "1", True, -1, float("nan"), 1e9)),
    ],
)
def test_what_is_no_command_is_refused(change: dict[str, object], message: str) -> None:
    asked = {"device": "dock", "source": "porch", "command": "snooze", "label": "dog", "value": 60}
    assert command_of(asked) == Command("dock", "porch/snooze/dog/set", b"60")
    with pytest.raises(CommandRequestError) as refusal:
        command_of(asked | change)
    assert str(refusal.value) == message


@given(st.text(min_size=1, max_size=200))
def test_no_label_leads_to_another_topic(label: str) -> None:
    found = command_of({"device": "dock", "source": "porch", "command": "snooze", "label": label, "value": 60})
    levels = found.topic.split("/")
    assert (len(levels), levels[:2], levels[3]) == (4, ["porch", "snooze"], "set")
    assert found.answers(CommandAnswer("dock", found.topic, ""))
    assert set("+#/\0") & set(levels[2]) == set()


def test_the_filters_are_those_of_one_source() -> None:
    assert setting_filters("edgeaudio", "dock", "porch") == tuple(
        f"edgeaudio/dock/porch/{rest}" for rest in ("enabled", "threshold/+", "snooze/+", "cooldown/+")
    )
