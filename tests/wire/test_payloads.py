import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from dashboard.values import PAYLOAD
from hypothesis import given
from hypothesis import strategies as st
from test_contracts import AT, HEALTH  # the report with every field set

from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.health_payload import health_values
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Event, LiveScores, Reason, SourceState, SourceStatus
from edgeaudio.wire import payload_fields, payloads
from edgeaudio.wire.payload_fields import WireError
from edgeaudio.wire.payloads import (
    Availability,
    CommandAnswer,
    Detection,
    Health,
    LeaseAnswer,
    RaisedThreshold,
    Removed,
    Scores,
    SourceNumbers,
    Status,
    parse,
)

TOPICS = Topics("site/edgeaudio", "dock")
STATUS = SourceStatus("porch", SourceState.WAITING, AT, Reason.TIMEOUT, "no answer", "aac", 48_000, 2, next_try=AT)
EVENT = Event("e1", "offset", "porch", "home", "dog", 0.91, AT, 1.25, at_error_s=0.05)
GOOD: dict[str, Any] = PAYLOAD | {"source": "other", "device": "other", "seq": 7}


RAISED = {"from": 0.5, "to": 0.75, "since": "2026-11-20T20:51:15Z"}


def read(message: Any) -> Any:
    return parse(TOPICS.base, message.topic, message.payload)


def source_numbers(raised: Any) -> SourceNumbers:
    source = {"state": "listening", "since": "2026-11-20T20:51:15Z", "raised": raised}
    report = parse("edgeaudio", "edgeaudio/dock/health", json.dumps(GOOD | {"sources": {"porch": source}}).encode())
    assert isinstance(report, Health)
    return report.sources["porch"]


def detection(**changes: Any) -> Any:
    return parse("edgeaudio", "edgeaudio/dock/porch/detection", json.dumps(GOOD | changes).encode())


def test_what_the_agent_publishes_is_read_as_it_was_meant() -> None:
    assert read(messages.availability(TOPICS, online=True)) == Availability("dock", online=True)
    assert read(messages.availability(TOPICS, online=False)) == Availability("dock", online=False)
    status = read(messages.status(TOPICS, STATUS))
    assert status == Status("dock", "porch", "waiting", "timeout", "no answer", AT, "aac", 48_000, 2, AT)
    assert read(messages.status(TOPICS, STATUS, transcribes=True)) == status
    assert read(messages.detection(TOPICS, EVENT, seq_epoch="a1", seq=7)) == Detection(
        "dock", "porch", "e1", "offset", "dog", 0.91, AT, 0.05, 1.25, "home", 7, "a1", test=False
    )
    fused = replace(EVENT, members=(("home", 0.9), ("yamnet", 0.44)))
    assert read(messages.detection(TOPICS, fused, seq_epoch="a1", seq=7)).members == fused.members


def test_scores_and_the_answer_to_a_lease_are_read_as_they_were_meant() -> None:
    scores = read(messages.live_scores(TOPICS, LiveScores("porch", "home", AT, 1.5, {"dog": 0.9, "cat": 0.06})))
    assert scores == Scores("dock", "porch", AT, 1.5, {"dog": 0.9, "cat": 0.06})
    topic = TOPICS.live("porch") + "/set"
    assert read(messages.command_result(TOPICS, topic, AT, None)) == LeaseAnswer(
        "dock", "porch", is_sound=False, error=""
    )
    assert read(messages.command_result(TOPICS, topic, AT, "too many")) == LeaseAnswer(
        "dock", "porch", is_sound=False, error="too many"
    )
    topic = TOPICS.live_audio_set("porch")
    assert read(messages.command_result(TOPICS, topic, AT, "off")) == LeaseAnswer(
        "dock", "porch", is_sound=True, error="off"
    )
    # that of any other command names it
    topic = TOPICS.snooze_set("porch", "dog")
    refused = read(messages.command_result(TOPICS, topic, AT, "<b>no</b>"))
    assert refused == CommandAnswer("dock", "porch/snooze/dog/set", "<b>no</b>")
    assert read(messages.command_result(TOPICS, "edgeaudio/attic/porch/snooze/dog/set", AT, None)) is None
    assert read(messages.command_result(TOPICS, f"{TOPICS.root}/{'x' * 500}", AT, None)) is None
    assert read(messages.command_result(TOPICS, "site/edgeaudio/other/porch/live/set", AT, "no")) is None


@pytest.mark.parametrize("scores", [[], {"dog": 2}, {"dog": "x"}, {"dog": None}, {str(n): 0.1 for n in range(101)}])
def test_scores_out_of_bounds_are_refused(scores: Any) -> None:
    payload = {"schema_version": 1, "at": GOOD["at"], "duration_s": 1.0, "scores": scores}
    with pytest.raises(WireError, match="scores: "):
        parse("edgeaudio", "edgeaudio/dock/porch/scores", json.dumps(payload).encode())


def test_a_health_report_is_read_with_all_that_is_shown() -> None:
    health = read(messages.health(TOPICS, health_values(HEALTH)))
    assert isinstance(health, Health)
    assert (health.device, health.at, health.version, health.restarts) == ("dock", AT, "0.1.0", 1)
    assert (health.outbox_messages, health.outbox_bytes, health.outbox_oldest_s) == (1, 1, 1.5)
    assert (health.temperature_c, health.memory_mb, health.disk_free_mb) == (1.5, 1.5, 1.5)
    assert health.models == {"home": "00"}
    numbers = health.sources["porch"]
    assert (numbers.snoozed, numbers.withheld) == (1, 2)
    assert (numbers.raised, numbers.raised_count) == ((RaisedThreshold("dog", 0.5, 0.75, AT),), 1)
    assert (numbers.state, numbers.reason, numbers.heard_s, numbers.lost_s, numbers.lag_s) == (
        "waiting",
        "timeout",
        *(1.5, 1.5, 1.5),
    )


@pytest.mark.parametrize(
    "raised",
    [
        *([], {"dog": 1}, {"dog": {}}, {"dog": {"from": 0.5, "to": 0.75}}),
        *({"dog": RAISED | {"to": 1.5}}, {"dog": RAISED | {"from": "0.5"}}, {"dog": RAISED | {"since": "yesterday"}}),
    ],
)
def test_raised_thresholds_out_of_bounds_are_refused(raised: Any) -> None:
    with pytest.raises(WireError, match=r"^(raised|from|to|since): "):
        source_numbers(raised)


def test_of_many_raised_thresholds_the_first_are_kept_and_all_are_counted() -> None:
    numbers = source_numbers({f"{number:03}{'x' * 3000}": RAISED for number in reversed(range(300))})
    assert numbers.raised_count == 300
    assert [each.label[:3] for each in numbers.raised] == [f"{number:03}" for number in range(payloads.MAX_RAISED)]
    assert all(len(each.label) == payloads.MAX_NAME for each in numbers.raised)


@pytest.mark.parametrize(
    "models", [[], {"home": 1}, {"home": {"sha256": "x"}}, {"home": {"sha256": 7}}, {str(n): {} for n in range(51)}]
)
def test_models_out_of_bounds_are_refused(models: Any) -> None:
    with pytest.raises(WireError, match=r"models: |sha256: "):
        parse("edgeaudio", "edgeaudio/dock/health", json.dumps(GOOD | {"models": models}).encode())


def test_a_model_without_a_hash_has_none() -> None:
    payload = GOOD | {"models": {"home": {"version": "1"}, "alarms": {"sha256": ""}}}
    health = parse("edgeaudio", "edgeaudio/dock/health", json.dumps(payload).encode())
    assert isinstance(health, Health)
    assert health.models == {}


def test_device_and_source_are_those_of_the_topic() -> None:
    found = detection()
    assert (found.device, found.source) == ("dock", "porch")


def test_a_check_is_no_detection() -> None:
    assert read(messages.check(TOPICS, "porch")) is None


def test_unknown_keys_states_and_reasons_are_kept_or_ignored() -> None:
    assert detection(new={"x": [1]}) == detection()
    payload = {"schema_version": 1, "state": "dreaming", "reason": "of_sheep", "since": GOOD["at"], "new": 1}
    status = parse("edgeaudio", "edgeaudio/dock/porch/status", json.dumps(payload).encode())
    assert isinstance(status, Status)
    assert (status.state, status.reason) == ("dreaming", "of_sheep")


def test_a_cleared_topic_removes() -> None:
    assert parse("edgeaudio", "edgeaudio/dock/porch/status", b"") == Removed("dock", "porch")
    assert parse("edgeaudio", "edgeaudio/dock/availability", b"") == Removed("dock", None)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"score": float("nan")}, "is no JSON"),
        ({"score": 1.1}, "score: is not within 0 and 1"),
        ({"score": True}, "score: is no number"),
        ({"score": "0.9"}, "score: is no number"),
        ({"score": None}, "score: is missing"),
        ({"members": ["home"]}, "members: is no object"),
        ({"members": {"home": "0.9"}}, "members: is no number"),
        ({"members": {"home": None}}, "members: is missing"),
        ({"members": {"home": 1.1}}, "members: is not within 0 and 1"),
        ({"members": {str(number): 0.5 for number in range(17)}}, "members: has over 16 models"),
        ({"label": ""}, "label: is missing"),
        ({"label": 7}, "label: is no text"),
        ({"id": "../../etc/passwd"}, "id: is not made of letters, digits and hyphens, at most 64"),
        ({"id": "x" * 65}, "id: is not made of letters, digits and hyphens, at most 64"),
        ({"at": "yesterday"}, "at: is no time of RFC 3339 from 1970 to 2199"),
        ({"at": "2026-11-20T20:51:15"}, "at: is no time of RFC 3339 from 1970 to 2199"),
        ({"at": "0001-01-01T00:00:00+23:59"}, "at: is no time of RFC 3339 from 1970 to 2199"),
        ({"at": "9999-12-31T23:59:59Z"}, "at: is no time of RFC 3339 from 1970 to 2199"),
        ({"duration_s": -1}, "duration_s: is not within 0 and 1e+10"),
        ({"seq": 1.5}, "seq: is no count"),
        ({"seq": -1}, "seq: is no count"),
        ({"seq": 1 << 60}, "seq: is no count"),
        ({"schema_version": 2}, "schema_version: is newer than 1: upgrade this program"),
        ({"schema_version": None}, "schema_version: is missing"),
        ({"schema_version": True}, "schema_version: is missing"),
    ],
)
def test_a_field_out_of_its_bounds_refuses_the_message(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(WireError) as caught:
        detection(**changes)
    assert str(caught.value) == problem


def test_a_name_that_the_sender_chose_is_not_in_the_problem() -> None:
    for name in ("one", "two"):  # each problem is logged once
        report = {"schema_version": 1, "at": "2026-11-20T20:51:15Z", "sources": {name: 7}}
        with pytest.raises(WireError) as caught:
            parse("edgeaudio", "edgeaudio/dock/health", json.dumps(report).encode())
        assert str(caught.value) == "sources: has an entry that is no object"


@pytest.mark.parametrize(
    "payload", [b"[" * 100_000, b"\xff", b"{", b"[]", b"7" * 5000, b'{"schema_version":1e999}', b"null"]
)
def test_what_is_no_object_is_refused(payload: bytes) -> None:
    with pytest.raises(WireError):
        parse("edgeaudio", "edgeaudio/dock/porch/detection", payload)


def test_a_payload_over_the_limit_is_refused() -> None:
    with pytest.raises(WireError, match="longer than 1000000 bytes"):
        parse("edgeaudio", "edgeaudio/dock/health", b" " * (payloads.MAX_PAYLOAD + 1))


@pytest.mark.parametrize(
    "topic",
    [
        "other/dock/health",
        "edgeaudio/Dock/health",
        "edgeaudio/<img>/porch/status",
        "edgeaudio/dock/../status",
        "edgeaudio/dock/porch/extra/status",
        "edgeaudio/dock/command",
        "edgeaudio",
        "",
    ],
)
def test_other_topics_say_nothing(topic: str) -> None:
    assert parse("edgeaudio", topic, b'{"schema_version": 1}') is None


def test_text_is_cut_and_freed_of_control_characters() -> None:
    assert detection(label="dog\x1b[31m\u202e\nbark\ud800").label == "dog\ufffd[31m\ufffd bark\ufffd"
    assert len(detection(label="x" * 5000).label) == payloads.MAX_NAME
    detection(label="\ud83d\ude00").label.encode()
    assert detection(members={"x" * 5000: 0.5}).members == (("x" * 199 + "…", 0.5),)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.fixed_dictionaries(
    {"schema_version": st.just(1)},
    optional={
        name: JSON | st.sampled_from(["onset", "listening", "2026-11-20T20:51:15Z", 0, 1, {}])
        for name in (*GOOD, "state", "reason", "since", "outbox", "sources", "detail", "version")
        if name != "schema_version"
    },
)
TOPIC = st.sampled_from(["dock/availability", "dock/health", "dock/porch/status", "dock/porch/detection"])


@given(topic=TOPIC, table=FIELDS)
def test_any_object_is_read_within_the_bounds_or_refused(topic: str, table: dict[str, Any]) -> None:
    check(topic, json.dumps(table).encode())


@given(topic=TOPIC, payload=st.binary(max_size=200))
def test_any_bytes_are_read_within_the_bounds_or_refused(topic: str, payload: bytes) -> None:
    check(topic, payload)


@given(topic=TOPIC, changes=st.dictionaries(st.sampled_from(sorted(GOOD)), JSON, min_size=1, max_size=2))
def test_a_good_message_with_odd_fields_is_read_within_the_bounds_or_refused(
    topic: str, changes: dict[str, Any]
) -> None:
    check(topic, json.dumps(GOOD | changes).encode())


def check(topic: str, payload: bytes) -> None:
    try:
        value = parse("edgeaudio", f"edgeaudio/{topic}", payload)
    except WireError:
        return
    match value:
        case Detection():
            assert 0 <= value.score <= 1
            assert 0 < len(value.label) <= payloads.MAX_NAME
            assert value.label.isprintable()
            value.label.encode()
            assert datetime(1970, 1, 1, tzinfo=UTC) <= value.at < datetime(2200, 1, 1, tzinfo=UTC)
            assert 0 <= value.seq < payload_fields.MAX_COUNT
        case Status() | Health():
            assert len(repr(value)) < 10_000
