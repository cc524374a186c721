"""Messages of live sound: those of the agent are read, and whatever else comes is refused or playable."""

from __future__ import annotations

import struct
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.dashboard import columns, sound
from edgeaudio.dashboard.sound import Sound, parse_sound
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import LiveSound
from edgeaudio.wire.payload_fields import WireError

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEADER = struct.Struct("<4B2IqQI2H")
TOPIC = "edgeaudio/dock/porch/live/audio"


def message(at: datetime = AT, packets: tuple[bytes, ...] = (b"abc", b"d" * 80), *, position: int = 960) -> bytes:
    live = LiveSound(
        "porch", 7, 3, at, position, 312, 960 * len(packets), follows_gap=True, is_judged=False, packets=packets
    )
    return messages.live_sound(Topics("edgeaudio", "dock"), live).payload


def changed(offset: int, form: str, value: float) -> bytes:
    """A good message with one field overwritten."""
    made = bytearray(message())
    struct.pack_into(f"<{form}", made, offset, value)
    return bytes(made)


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2199, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 (`timezones`)
    st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=sound.MAX_PACKETS),
    st.integers(0, 1 << 53),
)
def test_what_an_agent_publishes_is_read_and_passed_on_as_it_is(at: datetime, packets: list[bytes], position: int):
    made = message(at, tuple(packets), position=position)
    assert parse_sound("edgeaudio", TOPIC, made) == Sound("dock", "porch", made)


@given(st.binary(max_size=100) | st.builds(lambda rest: message()[:36] + rest, st.binary(max_size=300)))
def test_any_bytes_are_refused_or_whole(payload: bytes):
    try:
        found = parse_sound("edgeaudio", TOPIC, payload)
    except WireError:
        return
    assert found is not None
    n_packets = HEADER.unpack_from(payload)[-1]
    lengths = struct.unpack_from(f"<{n_packets}H", payload, HEADER.size)
    assert len(payload) == HEADER.size + 2 * n_packets + sum(lengths)
    assert min(lengths) > 0


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "is shorter than its header"),
        (message()[:-1], "has not as many bytes"),
        (message() + b"x", "has not as many bytes"),
        (message()[:38], "is shorter than the lengths"),
        (changed(0, "B", 2), "version: is not 1"),
        (changed(1, "B", 1), "codec: is not Opus"),
        (changed(3, "B", 2), "channels:"),
        (changed(12, "q", -1), "time:"),
        (changed(12, "q", 1 << 62), "time:"),
        (changed(20, "Q", 1 << 63), "position:"),
        (changed(28, "I", 0), "samples:"),
        (changed(28, "I", 1921), "samples:"),
        (changed(32, "H", 65_535), "pre-skip:"),
        (changed(34, "H", 0), "packets:"),
        (changed(34, "H", 41), "packets:"),
        (changed(36, "H", 0), "length of a packet:"),
        (changed(36, "H", 1276), "length of a packet:"),
    ],
)
def test_each_field_out_of_bounds_is_named(payload: bytes, words: str):
    with pytest.raises(WireError, match=words):
        parse_sound("edgeaudio", TOPIC, payload)


@pytest.mark.parametrize(
    "topic",
    [
        "edgeaudio/dock/porch/live",
        "edgeaudio/dock/porch/live/audio/set",
        "other/dock/porch/live/audio",
        "edgeaudio/dock",
    ],
)
def test_other_topics_hold_no_sound(topic: str):
    assert parse_sound("edgeaudio", topic, message()) is None


def test_no_message_is_longer_than_the_connection_takes():
    assert sound.MAX_MESSAGE <= columns.MAX_PACKET
