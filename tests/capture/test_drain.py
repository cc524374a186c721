"""Live streams that are read once a period: the same sound and the same times, with fewer wake-ups."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.camera import PACKET, RATE, Packet, Script, camera, sine_packets
from support.rtsp import CODECS, VIDEO, start_gst_server
from support.sources import Heard, hear, pitch_hz, purity

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import open_source
from edgeaudio.capture.drain import EARLY_S, MAX_BUFFERED_BYTES, MIN_PERIOD_S, DrainSchedule, LiveEdge
from edgeaudio.capture.errors import SourceError
from edgeaudio.types import Block

PERIOD_S = 0.5
FRAME_S = PACKET / RATE


def test_a_read_ends_behind_each_period_and_the_next_begins_before_its_last_frame_is_due() -> None:
    schedule = DrainSchedule(PERIOD_S)
    rests = {}
    for number in range(1, 101):
        epoch_s = number * FRAME_S
        if (rest_s := schedule.rest_s(epoch_s, 160 * number, late_s=0.0)) is not None:
            rests[round(epoch_s, 3)] = rest_s
    # the first frame ends a read, for nothing is known before it; then a read ends 0.03 s behind each half second
    assert list(rests) == pytest.approx([0.02, 0.04, 0.54, 1.04, 1.54])
    assert [rests[end_s] for end_s in (0.54, 1.04)] == pytest.approx([1.03 - 0.54 - EARLY_S, 1.53 - 1.04 - EARLY_S])


def test_a_connection_that_is_behind_does_not_rest() -> None:
    schedule = DrainSchedule(PERIOD_S)
    assert schedule.rest_s(1.0, 1000, late_s=3.0) == 0.0


def test_a_reader_that_rested_for_too_long_is_late_until_it_has_caught_up() -> None:
    edge = LiveEdge()
    for number in range(1, 100):
        assert edge.late_s(FRAME_S, 10 + number * FRAME_S) == pytest.approx(0, abs=0.001)
    edge.rested()  # for two seconds
    late_s = [edge.late_s(FRAME_S, 12 + 100 * FRAME_S) for _ in range(101)]
    assert late_s[0] == pytest.approx(2, abs=0.01)
    assert late_s[-1] == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("pause_s", [0.3, 5.0, 100.0])
def test_what_the_sender_leaves_out_is_late_for_a_second_only(pause_s: float) -> None:
    edge = LiveEdge()
    for number in range(1, 100):
        edge.late_s(FRAME_S, 10 + number * FRAME_S)
    late_s = [edge.late_s(FRAME_S, 10 + pause_s + number * FRAME_S) for number in range(100, 160)]
    assert late_s[0] == pytest.approx(pause_s, abs=0.01)
    assert late_s[-1] == pytest.approx(0, abs=0.001)


@given(st.lists(st.tuples(st.floats(0.001, 0.5), st.floats(0, 3)), max_size=60))
def test_lateness_is_never_negative(frames: list[tuple[float, float]]) -> None:
    edge, now_s = LiveEdge(), 5.0
    for duration_s, after_s in frames:
        now_s += after_s
        assert edge.late_s(duration_s, now_s) >= 0


def test_a_read_without_bytes_is_followed_by_a_short_rest() -> None:
    schedule = DrainSchedule(PERIOD_S)
    assert schedule.rest_s(1.0, 0, late_s=0.0) == pytest.approx(MIN_PERIOD_S - EARLY_S, abs=0.06)


def test_no_more_is_left_in_the_buffer_than_a_receive_window_holds() -> None:
    schedule = DrainSchedule(PERIOD_S)
    rate = 192_000  # bytes a second: 16 bit, stereo, 48 kHz
    ends = [
        number * FRAME_S
        for number in range(1, 200)
        if schedule.rest_s(number * FRAME_S, int(number * FRAME_S * rate), late_s=0.0) is not None
    ]
    assert all((after - before - FRAME_S) * rate <= MAX_BUFFERED_BYTES for before, after in pairwise(ends))
    assert len(ends) > 20


@given(
    st.floats(0.06, 5.0),
    st.lists(st.tuples(st.floats(0.001, 0.5), st.integers(0, 20_000), st.floats(-1.0, 10.0)), max_size=60),
)
def test_a_rest_is_never_longer_than_a_period(period_s: float, frames: list[tuple[float, int, float]]) -> None:
    schedule = DrainSchedule(period_s)
    epoch_s, received, end_s = 0.0, 0, 0.0
    for duration_s, size, late_s in frames:
        epoch_s, received = epoch_s + duration_s, received + size
        if (rest_s := schedule.rest_s(epoch_s, received, late_s)) is not None:
            assert 0 <= rest_s <= max(0.0, period_s - late_s)
            end_s = epoch_s
        assert epoch_s - end_s <= period_s + 1e-9


@pytest.mark.parametrize("codec", ["pcm_alaw", "aac", "opus"])
def test_the_sound_and_its_times_are_those_of_reading_at_once(codec: str) -> None:
    rate, pipeline = CODECS[codec]
    with start_gst_server(f"( {pipeline} )") as server:
        heard = hear(server.url, 3, read_period_s=PERIOD_S)
    samples = heard.samples[rate // 2 :]
    assert pitch_hz(samples, rate) == pytest.approx(1000, abs=3)
    assert purity(samples) > 0.99
    assert heard.epochs == [0]
    assert heard.connection.blocks.filled_s == 0


def test_what_a_read_completes_is_had_at_once() -> None:
    late_s = []
    with camera(Script(packets=sine_packets)) as url:
        config = SourceConfig("test", url, read_period_s=PERIOD_S)
        with open_source(config, threading.Event()) as connection:
            for block in connection:
                late_s.append((datetime.now(UTC) - block.at).total_seconds() - block.duration_s)
                if len(late_s) == 12:
                    break
    assert -0.05 < min(late_s) < 0.1


def test_a_reader_wakes_up_once_a_period_and_not_once_a_packet() -> None:
    def wake_ups(read_period_s: float) -> int:
        with camera(Script(packets=sine_packets)) as url:
            found = []
            thread = threading.Thread(target=lambda: found.append(_switches_of(url, read_period_s)))
            thread.start()
            thread.join(30)
        return found[0]

    assert wake_ups(PERIOD_S) < wake_ups(0.0) / 2


def _switches_of(url: str, read_period_s: float) -> int:
    """How often this thread gave up the processor while it heard 3 s."""
    status = f"/proc/self/task/{threading.get_native_id()}/status"
    hear(url, 3, read_period_s=read_period_s)
    lines = Path(status).read_text().splitlines()
    return int(next(line for line in lines if line.startswith("voluntary")).split()[1])


def test_all_that_came_before_the_end_is_heard() -> None:
    with camera(Script(packets=lambda: sine_packets(60))) as url:
        heard = hear(url, read_period_s=PERIOD_S)
    assert len(heard.samples) == 60 * PACKET


def test_all_that_came_before_a_reset_is_heard() -> None:
    blocks: list[Block] = []
    with camera(Script(packets=lambda: sine_packets(60), reset=True)) as url:
        config = SourceConfig("test", url, read_period_s=PERIOD_S)
        with open_source(config, threading.Event()) as connection, pytest.raises(SourceError):
            blocks.extend(connection)
    assert sum(len(block.samples) for block in blocks) == 60 * PACKET


def test_a_hole_is_filled_as_where_each_packet_is_read_at_once() -> None:
    def packets():
        yield from sine_packets(70)
        for packet in sine_packets(10**9, start=75):
            is_first = packet.timestamp == 75 * PACKET
            yield Packet(packet.timestamp, packet.payload, 6 * FRAME_S if is_first else FRAME_S)

    with camera(Script(packets=packets)) as url:
        heard = hear(url, 2.5, read_period_s=PERIOD_S)
    assert heard.connection.blocks.filled_s + heard.connection.blocks.quiet_s == pytest.approx(5 * FRAME_S)
    assert heard.epochs == [0]


def stream(*parts: tuple[int, float, float]) -> Iterator[Packet]:
    """Packets in parts: how many, and before the first of them how long nothing is sent and timestamps leap, in s."""
    payload, timestamp = next(sine_packets(1)).payload, 0
    for count, wait_s, leap_s in parts:
        timestamp += round(leap_s * RATE)
        for number in range(count):
            yield Packet(timestamp, payload, FRAME_S + (0.0 if number else wait_s))
            timestamp += PACKET


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([(60, 0.0, 0.0), (60, 0.1, 0.1), (30, 0.0, 0.0)], id="a short hole"),
        pytest.param([(60, 0.0, 0.0), (60, 1.3, 1.3), (30, 0.7, 0.7), (40, 0.0, 0.0)], id="pauses"),
        pytest.param([(60, 0.0, 0.0), (60, 0.0, 1.5), (40, 0.0, 0.0)], id="a leap of the timestamps alone"),
        pytest.param([(60, 0.0, 0.0), (60, 0.0, -3.0), (40, 0.0, 0.0)], id="timestamps begin anew"),
        pytest.param([(60, 0.0, 0.0), (60, 1.0, 0.0), (40, 0.0, 0.0)], id="a wait of the network"),
        pytest.param([(60, 0.0, 0.0), (25, 0.0, 0.5), (25, 0.0, 0.5), (80, 0.0, 0.5)], id="leap after leap"),
    ],
)
def test_holes_pauses_and_leaps_are_what_they_are_where_each_packet_is_read(
    parts: list[tuple[int, float, float]],
) -> None:
    found: dict[float, Heard] = {}

    def listen(read_period_s: float) -> None:
        with camera(Script(packets=lambda: stream(*parts))) as url:
            found[read_period_s] = hear(url, read_period_s=read_period_s)

    threads = [threading.Thread(target=listen, args=(period_s,)) for period_s in (0.0, PERIOD_S)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    at_once, once_a_period = (found[period_s] for period_s in (0.0, PERIOD_S))
    assert once_a_period.epochs == at_once.epochs
    assert len(once_a_period.samples) == pytest.approx(len(at_once.samples), abs=0.2 * RATE)
    for counted in ("filled_s", "quiet_s"):
        expected = getattr(at_once.connection.blocks, counted)
        assert getattr(once_a_period.connection.blocks, counted) == pytest.approx(expected, abs=0.06), counted


def test_a_rest_ends_with_the_stop_event() -> None:
    stop = threading.Event()
    with camera(Script(packets=sine_packets)) as url:
        threading.Timer(1.5, stop.set).start()
        began_s = time.monotonic()
        hear(url, stop=stop, read_period_s=5.0)
    assert time.monotonic() - began_s < 4.5


def test_a_stream_with_pictures_is_read_at_once() -> None:
    _, pipeline = CODECS["pcm_alaw"]
    with start_gst_server(f"( {pipeline} {VIDEO} )") as server:
        heard = hear(server.url, 1, asked="all", read_period_s=PERIOD_S)
    assert max(block.duration_s for block in heard.blocks) < 0.2
