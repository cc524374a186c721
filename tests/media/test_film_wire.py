"""What goes to the process that pushes a film, and when it sends it."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.media.film_pace import MOST_WAIT_S, WAIT_S, Pace
from edgeaudio.media.film_wire import MAX_PACKET_BYTES, PacketHead, PushHead, WireReader

HEAD = PushHead("rtsp://name:hunter2@host/film", "rtsp", {"a": "b"}, (Fraction(1, 30), Fraction(1, 48_000)), b"nut")
TIMES = st.integers(-(1 << 62), 1 << 62)
PACKETS = st.lists(st.tuples(st.integers(0, 1), st.booleans(), TIMES, st.binary(max_size=50)), max_size=8)


@given(packets=PACKETS, piece=st.integers(1, 100))
def test_what_is_sent_arrives_in_pieces_of_any_length(packets, piece):
    heads = [(PacketHead(stream, key, at, at - 1, 5, len(data)), data) for stream, key, at, data in packets]
    sent = HEAD.packed() + b"".join(head.packed() + data for head, data in heads)
    wire, found, first = WireReader(), [], None
    for begin in range(0, len(sent), piece):
        wire.feed(sent[begin : begin + piece])
        first = first or wire.head()
        while first is not None and (packet := wire.packet()) is not None:
            found.append(packet)
    assert first == HEAD
    assert found == heads


def test_the_address_is_not_shown():
    assert "hunter2" not in repr(HEAD)


def test_a_packet_of_any_size_is_not_waited_for():
    wire = WireReader()
    wire.feed(PacketHead(0, is_key=True, pts=0, dts=0, duration=0, size=MAX_PACKET_BYTES + 1).packed())
    with pytest.raises(ValueError, match="too large"):
        wire.packet()


def test_packets_are_sent_in_the_order_of_their_times_each_as_late_as_the_other():
    pace: Pace[str] = Pace()
    sent = {}
    arrivals = {0: ["picture 0"], 60: ["sound 0", "sound 20", "picture 66"], 120: ["sound 40", "sound 60", "sound 80"]}
    for now_ms in range(500):
        for name in arrivals.get(now_ms, []):
            pace.put(int(name.split()[1]) / 1000, name, now_ms / 1000)
        while (due := pace.next_due(now_ms / 1000)) is not None:
            sent[due] = now_ms
    assert len(sent) == 7
    assert {round(at - int(name.split()[1])) for name, at in sent.items()} <= {200, 201}
    assert len(pace) == 0


def test_what_comes_later_than_that_makes_all_wait_as_long_and_a_film_ahead_of_the_clock_is_sent():
    pace: Pace[str] = Pace()
    pace.put(0.0, "first", 0.0)
    assert pace.wait_s(0.0) == WAIT_S
    assert pace.next_due(0.1) is None
    assert pace.next_due(WAIT_S) == "first"
    pace.put(0.1, "late", 1.0)
    assert pace.next_due(1.0) == "late"
    pace.put(0.2, "after it", 1.0)
    assert pace.wait_s(1.0) == pytest.approx(0.1)
    pace.put(60.0, "a minute ahead", 1.0)
    assert pace.wait_s(1.0) == 0.0
    assert pace.next_due(1.0) == "after it"
    assert pace.wait_s(1.0) == pytest.approx(MOST_WAIT_S)
    assert pace.take() == "a minute ahead"
    assert pace.take() is None
    assert pace.wait_s(1.0) is None
