"""Packets of live columns: those of the agent are read, and whatever else comes is refused or drawable."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.dashboard import columns
from edgeaudio.dashboard.columns import Columns, parse_columns
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import LiveColumns
from edgeaudio.wire.payload_fields import WireError

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEADER = struct.Struct("<4B2Iq5f2H")
TOPIC = "edgeaudio/dock/porch/live"


def packet(at: datetime = AT, shape: tuple[int, int] = (10, 256), *, high_hz: float = 24_000.0) -> bytes:
    live = LiveColumns(
        "porch", 7, 3, at, 0.02, 0.0, high_hz, -127.5, 0.5, follows_gap=True, levels=np.ones(shape, np.uint8)
    )
    return messages.live_columns(Topics("edgeaudio", "dock"), live).payload


def changed(offset: int, form: str, value: float) -> bytes:
    """A good packet with one field overwritten."""
    made = bytearray(packet())
    struct.pack_into(f"<{form}", made, offset, value)
    return bytes(made)


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2199, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 (`timezones`)
    st.tuples(st.integers(1, 20), st.integers(1, 512)),
    st.floats(1_000, 96_000, width=32),
)
def test_what_an_agent_publishes_is_read_and_passed_on_as_it_is(at: datetime, shape: tuple[int, int], high_hz: float):
    made = packet(at, shape, high_hz=high_hz)
    assert parse_columns("edgeaudio", TOPIC, made) == Columns("dock", "porch", made)


@given(st.binary(max_size=100) | st.builds(lambda rest: packet()[:44] + rest, st.binary(max_size=3000)))
def test_any_bytes_are_refused_or_whole(payload: bytes):
    try:
        found = parse_columns("edgeaudio", TOPIC, payload)
    except WireError:
        return
    assert found is not None
    *_, n_columns, n_bands = HEADER.unpack_from(payload)
    assert len(payload) == HEADER.size + n_columns * n_bands > HEADER.size


@given(st.integers(0, 43), st.integers(0, 255))
def test_a_changed_header_is_refused_or_drawable(offset: int, byte: int):
    made = bytearray(packet())
    made[offset] = byte
    try:
        parse_columns("edgeaudio", TOPIC, bytes(made))
    except WireError:
        return
    version, scale, *_, at_us, hop_us, low_hz, high_hz, floor_db, step_db, n_columns, n_bands = HEADER.unpack_from(made)
    assert (version, scale, n_columns * n_bands) == (1, 0, 2560)
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us) < datetime(2200, 1, 1, tzinfo=UTC)
    assert 1_000 <= hop_us <= 1_000_000
    assert 0 <= low_hz < high_hz <= 1e6
    assert -300 <= floor_db <= 0 < step_db <= 10


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "is shorter than its header"),
        (packet()[:-1], "has not as many levels"),
        (packet() + b"x", "has not as many levels"),
        (changed(0, "B", 2), "version: is not 1"),
        (changed(1, "B", 1), "scale: is not linear"),
        (changed(12, "q", -1), "time:"),
        (changed(12, "q", 1 << 62), "time:"),
        (changed(20, "f", 0.0), "hop:"),
        (changed(20, "f", float("nan")), "hop:"),
        (changed(24, "f", -1.0), "lower edge:"),
        (changed(24, "f", 24_000.0), "upper edge:"),
        (changed(28, "f", float("inf")), "upper edge:"),
        (changed(28, "f", float("nan")), "lower edge:"),
        (changed(32, "f", float("-inf")), "floor:"),
        (changed(36, "f", 0.0), "step:"),
        (changed(40, "H", 0), "columns:"),
        (changed(42, "H", 65_535), "bands:"),
    ],
)
def test_each_field_out_of_bounds_is_named(payload: bytes, words: str):
    with pytest.raises(WireError, match=words):
        parse_columns("edgeaudio", TOPIC, payload)


@pytest.mark.parametrize("topic", ["edgeaudio/dock/porch/scores", "edgeaudio/dock/live", "other/dock/porch/live"])
def test_other_topics_hold_no_packets(topic: str):
    assert parse_columns("edgeaudio", topic, packet()) is None


def test_the_longest_packet_is_that_of_the_bounds():
    made = packet(shape=(columns.MAX_COLUMNS, columns.MAX_BANDS))
    assert len(made) == columns.MAX_PACKET
    assert parse_columns("edgeaudio", TOPIC, made) is not None
