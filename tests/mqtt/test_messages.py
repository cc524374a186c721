from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.clock import timestamp
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import (
    Event,
    Level,
    LiveColumns,
    LiveScores,
    Message,
    Reason,
    SourceState,
    SourceStatus,
    Transcript,
)

TOPICS = Topics("edgeaudio", "dock")
AT = datetime(2026, 11, 20, 12, 30, 15, 123_999, tzinfo=UTC)
ONSET = Event("e1", "onset", "porch", "alarms", "smoke alarm", 0.912345, AT, 1.0249, at_error_s=0.0512)


def test_detection_is_exactly_the_contract() -> None:
    message = messages.detection(TOPICS, ONSET, seq_epoch="a1b2c3d4", seq=7)
    assert message == Message(
        "edgeaudio/dock/porch/detection",
        b'{"schema_version":1,"id":"e1","kind":"onset","label":"smoke alarm","score":0.9123,'
        b'"at":"2026-11-20T12:30:15.123Z","at_error_s":0.051,"duration_s":1.025,"model":"alarms","source":"porch","device":"dock","seq":7,'
        b'"seq_epoch":"a1b2c3d4"}',
        qos=1,
        retain=False,
    )


def test_a_detection_has_a_link_to_its_view_where_there_is_a_dashboard() -> None:
    for event in (ONSET, replace(ONSET, kind="offset")):
        message = messages.detection(
            TOPICS, event, seq_epoch="a1", seq=7, dashboard_url="https://house.example/edgeaudio"
        )
        found = json.loads(message.payload)
        assert found["link"] == "https://house.example/edgeaudio/?view=event&device=dock&source=porch&id=e1"


def test_what_is_not_snoozed_and_has_no_cooldown_leaves_nothing_on_the_broker() -> None:
    topic = "edgeaudio/dock/porch/snooze/smoke-alarm"
    assert messages.snooze(TOPICS, "porch", "smoke alarm", AT) == Message(
        topic, b"2026-11-20T12:30:15.123Z", 1, retain=True
    )
    assert messages.snooze(TOPICS, "porch", "smoke alarm", None) == Message(topic, b"", 1, retain=True)
    topic = "edgeaudio/dock/porch/cooldown/smoke-alarm"
    assert messages.cooldown(TOPICS, "porch", "smoke alarm", 60.0) == Message(topic, b"60.0", 1, retain=True)
    assert messages.cooldown(TOPICS, "porch", "smoke alarm", 0) == Message(topic, b"", 1, retain=True)


def test_digital_silence_is_null() -> None:
    message = messages.level(TOPICS, Level("porch", AT, 1.0, None, None, 0.0, 0.0))
    assert message.topic == "edgeaudio/dock/porch/level"
    assert (message.qos, message.retain) == (0, False)
    assert json.loads(message.payload)["rms_dbfs"] is None
    assert json.loads(message.payload)["peak_dbfs"] is None


@given(st.floats(), st.floats())
def test_levels_are_finite_or_null(rms: float, peak: float) -> None:
    value = json.loads(messages.level(TOPICS, Level("porch", AT, 1.0, rms, peak, rms, peak)).payload)
    assert value.pop("channels") == []
    for number in value.values():
        assert number is None or isinstance(number, str) or math.isfinite(number)
    if math.isfinite(rms):
        assert value["rms_dbfs"] == pytest.approx(rms, abs=0.06)


def test_status() -> None:
    status = SourceStatus(
        "porch", SourceState.WAITING, AT, Reason.UNAUTHORIZED, "401", next_try=AT + timedelta(seconds=2)
    )
    message = messages.status(TOPICS, status)
    assert (message.topic, message.qos, message.retain) == ("edgeaudio/dock/porch/status", 1, True)
    assert json.loads(message.payload) == {
        "schema_version": 1,
        "state": "waiting",
        "reason": "unauthorized",
        "detail": "401",
        "since": "2026-11-20T12:30:15.123Z",
        "codec": None,
        "sample_rate": None,
        "channels": None,
        "pauses": False,
        "next_try": "2026-11-20T12:30:17.123Z",
        "media": None,
        "transport": None,
        "transcribes": False,
    }
    assert json.loads(messages.status(TOPICS, status, transcribes=True).payload)["transcribes"]


def test_transcript() -> None:
    value = Transcript("u1", "porch", AT, 2.4004, "Grüß Gott", "de", 0.91234, "small")
    message = messages.transcript(TOPICS, value)
    assert (message.topic, message.qos, message.retain) == ("edgeaudio/dock/porch/transcript", 1, False)
    assert json.loads(message.payload) == {
        "schema_version": 1,
        "id": "u1",
        "text": "Grüß Gott",
        "at": "2026-11-20T12:30:15.123Z",
        "duration_s": 2.4,
        "language": "de",
        "confidence": 0.912,
        "recogniser": "small",
        "source": "porch",
        "device": "dock",
    }


def test_what_is_retained_and_what_is_not() -> None:
    retained = [
        messages.availability(TOPICS, online=True),
        messages.health(TOPICS, {"restarts": 0}),
        messages.enabled(TOPICS, "porch", on=True),
        messages.threshold(TOPICS, "porch", "dog", 0.5),
    ]
    passing = [
        messages.detection(TOPICS, ONSET, seq_epoch="a1b2c3d4", seq=7),
        messages.label_state(TOPICS, "porch", "dog", on=True),
        messages.command_result(TOPICS, "x", AT, None),
    ]
    assert [message.retain for message in retained] == [True] * 4
    assert [message.retain for message in passing] == [False] * 3
    assert messages.threshold(TOPICS, "porch", "dog", 0.5).payload == b"0.5"
    assert messages.label_state(TOPICS, "porch", "dog", on=False).payload == b"OFF"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), JSON, max_size=4))
def test_health_is_strict_json_whatever_the_numbers(values: dict[str, messages.Json]) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(messages.health(TOPICS, values).payload.decode(), parse_constant=refuse)


@given(st.text())
def test_text_that_is_not_unicode_does_not_stop_a_message(text: str) -> None:
    messages.encode({"detail": text + "\udcff"}).decode()


@given(
    st.datetimes(
        min_value=datetime(1971, 1, 1),  # noqa: DTZ001 - the zone is chosen apart
        max_value=datetime(2100, 1, 1),  # noqa: DTZ001
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-9))]),
    )
)
def test_timestamps_are_utc_with_milliseconds_and_never_late(at: datetime) -> None:
    text = timestamp(at)
    assert len(text) == 24
    assert text.endswith("Z")
    assert timedelta(0) <= at - datetime.fromisoformat(text) < timedelta(milliseconds=1)


def test_a_time_without_a_zone_is_an_error() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        timestamp(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


def test_live_columns_are_exactly_the_contract() -> None:
    levels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    at = datetime(1970, 1, 1, 0, 0, 1, 2, tzinfo=UTC)
    columns = LiveColumns("porch", 0x01020304, 5, at, 0.02, 0.0, 4000.0, -127.5, 0.5, follows_gap=True, levels=levels)
    message = messages.live_columns(TOPICS, columns)
    assert (message.topic, message.qos, message.retain) == ("edgeaudio/dock/porch/live", 0, False)
    assert message.payload == bytes.fromhex(
        "01 00 01 00"  # version, linear, after a gap, reserved
        "04030201 05000000"  # stream, sequence
        "42420f0000000000"  # 1,000,002 us
        "00409c46 00000000 00007a45"  # 20,000 us, 0 and 4000 Hz
        "0000ffc2 0000003f"  # -127.5 and 0.5 dB
        "0200 0300"
        "000102030405"
    )


def test_live_scores_keep_their_order_and_any_label() -> None:
    scores = {"<img src=x onerror=alert(1)>": 0.912345, 'a/b:c "': 0.05001}
    message = messages.live_scores(TOPICS, LiveScores("porch", "home", AT, 4.0, scores))
    assert (message.topic, message.qos, message.retain) == ("edgeaudio/dock/porch/scores", 0, False)
    value = json.loads(message.payload)
    assert value == {
        "schema_version": 1,
        "at": "2026-11-20T12:30:15.123Z",
        "duration_s": 4.0,
        "model": "home",
        "scores": {"<img src=x onerror=alert(1)>": 0.9123, 'a/b:c "': 0.05},
    }
    assert list(value["scores"]) == list(scores)
