"""Live streams that are read once a period: the same sound and the same times, with fewer wake-ups."""

import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.camera import PACKET, RATE, Packet, Script, camera, sine_packets
from support.readers import Watched, reading
from support.rtsp import CODECS, VIDEO, start_gst_server
from support.sources import hear, pitch_hz, purity

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import open_source
from edgeaudio.capture.drain import EARLY_S, MAX_BUFFERED_BYTES, MIN_PERIOD_S, DrainSchedule, Steadiness
from edgeaudio.capture.errors import SourceError
from edgeaudio.types import Block, SourceState

PERIOD_S = 0.5
FRAME_S = PACKET / RATE


@pytest.fixture(autouse=True)
def settles_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeaudio.capture.drain.SETTLE_S", 0.5)


def test_a_read_ends_behind_each_period_and_the_next_begins_before_its_last_frame_is_due() -> None:
    schedule = DrainSchedule(PERIOD_S)
    rests = {}
    for number in range(1, 101):
        epoch_s = number * FRAME_S
        if (rest_s := schedule.rest_s(epoch_s, 160 * number)) is not None:
            rests[round(epoch_s, 3)] = rest_s
            assert schedule.missing_s(epoch_s) == pytest.approx(rest_s + EARLY_S, abs=EARLY_S)
    # the first frame ends a read, for nothing is known before it; then a read ends 0.03 s behind each half second
    assert list(rests) == pytest.approx([0.02, 0.04, 0.54, 1.04, 1.54])
    assert [rests[end_s] for end_s in (0.54, 1.04)] == pytest.approx([1.03 - 0.54 - EARLY_S, 1.53 - 1.04 - EARLY_S])


def test_a_read_without_bytes_is_followed_by_a_short_rest() -> None:
    schedule = DrainSchedule(PERIOD_S)
    assert schedule.rest_s(1.0, 0) == pytest.approx(MIN_PERIOD_S - EARLY_S, abs=0.06)


def test_no_more_is_left_in_the_buffer_than_a_receive_window_holds() -> None:
    schedule = DrainSchedule(PERIOD_S)
    rate = 192_000  # bytes a second: 16 bit, stereo, 48 kHz
    ends = [
        number * FRAME_S
        for number in range(1, 200)
        if schedule.rest_s(number * FRAME_S, int(number * FRAME_S * rate)) is not None
    ]
    assert all((after - before - FRAME_S) * rate <= MAX_BUFFERED_BYTES for before, after in pairwise(ends))
    assert len(ends) > 20


@given(st.floats(0.05, 5.0), st.lists(st.tuples(st.floats(0.001, 0.5), st.integers(0, 20_000)), max_size=60))
def test_a_rest_is_never_longer_than_a_period(period_s: float, frames: list[tuple[float, int]]) -> None:
    schedule = DrainSchedule(period_s)
    epoch_s, received, end_s = 0.0, 0, 0.0
    for duration_s, size in frames:
        epoch_s, received = epoch_s + duration_s, received + size
        if (rest_s := schedule.rest_s(epoch_s, received)) is not None:
            assert 0 <= rest_s <= period_s
            end_s = epoch_s
        assert epoch_s - end_s <= period_s + 1e-9


def arrivals(steadiness: Steadiness, count: int, now_s: float, *, speed: float = 1.0) -> float:
    """Let frames arrive one after the other; return the time of the last."""
    for _ in range(count):
        now_s += FRAME_S / speed
        steadiness.arrival_s(FRAME_S, now_s)
    return now_s


def test_sound_that_comes_as_fast_as_it_is_made_is_steady_after_a_while() -> None:
    steadiness, found = Steadiness(), []
    now_s = arrivals(steadiness, round(0.4 / FRAME_S), 7.0)
    found.append(steadiness.is_steady)
    now_s = arrivals(steadiness, round(0.2 / FRAME_S), now_s)
    found.append(steadiness.is_steady)
    steadiness.disturb()
    arrivals(steadiness, round(0.4 / FRAME_S), now_s + 100)
    found.append(steadiness.is_steady)
    assert found == [False, True, False]


@pytest.mark.parametrize("speed", [0.3, 2.0, 1000.0])
def test_a_burst_and_a_slow_sender_are_not_steady(speed: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeaudio.capture.drain.SETTLE_S", 5.0)
    steadiness = Steadiness()
    arrivals(steadiness, 2000, 7.0, speed=speed)
    assert not steadiness.is_steady


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


def test_sound_comes_in_larger_pieces_while_recognition_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeaudio.capture.drain.SETTLE_S", 100.0)
    with camera(Script(packets=lambda: sine_packets(100))) as url:
        config = SourceConfig("test", url, read_period_s=PERIOD_S)
        with open_source(config, threading.Event()) as connection:
            connection.is_behind = lambda: True
            blocks = list(connection)
    assert sum(len(block.samples) for block in blocks) == 100 * PACKET
    assert {block.epoch for block in blocks} == {0}
    later = [block.duration_s for block in blocks if block.offset > RATE // 2][:-1]
    assert min(later) >= 0.25


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


ODD_STREAMS = {
    "a short hole": [(60, 0.0, 0.0), (60, 0.1, 0.1), (30, 0.0, 0.0)],
    "pauses": [(60, 0.0, 0.0), (67, 0.3, 0.3), (71, 0.6, 0.6), (63, 0.8, 0.8), (68, 1.3, 1.3), (40, 0.7, 0.7)],
    "a packet now and then": [(100, 0.0, 0.0), *[(1, 0.14, 0.14)] * 30, (100, 0.0, 0.0)],
    "a leap of the timestamps alone": [(60, 0.0, 0.0), (60, 0.0, 1.5), (40, 0.0, 0.0)],
    "leap after leap": [(60, 0.0, 0.0), (25, 0.0, 0.5), (25, 0.0, 0.5), (80, 0.0, 0.5)],
    "timestamps begin anew": [(60, 0.0, 0.0), (60, 0.0, -3.0), (40, 0.0, 0.0)],
    "a wait, and the timestamps stand": [(60, 0.0, 0.0), (60, 1.0, 0.0), (40, 0.0, 0.0)],
    "an outage, and all of it at once": [(70, 0.0, 0.0), (1, 2.5, 0.0), *[(1, -FRAME_S, 0.0)] * 125, (200, 0.0, 0.0)],
    "too fast": [(1, -0.001, 0.0)] * 400,
    "twice as fast, then as it is made": [*[(1, -FRAME_S / 2, 0.0)] * 200, (200, 0.0, 0.0)],
}


def _numbers(watched: Watched) -> tuple[float, float, float]:
    """Epochs, seconds of sound without silence for pauses, and how much more all of it is than the time it covers."""
    blocks = watched.blocks
    heard_s = sum(block.duration_s for block in blocks)
    covered_s = (blocks[-1].at - blocks[0].at).total_seconds() + blocks[-1].duration_s
    return len({block.epoch for block in blocks}), heard_s - watched.reader.counts().quiet_s, heard_s - covered_s


@pytest.mark.parametrize("pauses", [False, True])
@pytest.mark.parametrize("names", [list(ODD_STREAMS)[::2], list(ODD_STREAMS)[1::2]], ids=["some", "others"])
def test_odd_streams_are_heard_as_where_each_packet_is_read(names: list[str], *, pauses: bool) -> None:
    found: dict[tuple[str, float], Watched] = {}

    def listen(name: str, read_period_s: float) -> None:
        parts = ODD_STREAMS[name]
        lasts_s = sum(count * FRAME_S + wait_s for count, wait_s, _ in parts)
        with camera(Script(packets=lambda: stream(*parts), linger=True)) as url:
            with reading(url, read_period_s=read_period_s, read_timeout_s=6.0, pauses=pauses) as watched:
                watched.wait_for(SourceState.LISTENING)
                time.sleep(lasts_s + 0.8)
            found[name, read_period_s] = watched

    def listen_to(names: Sequence[str]) -> None:
        pairs = [(name, period_s) for name in names for period_s in (0.0, PERIOD_S)]
        threads = [threading.Thread(target=listen, args=pair) for pair in pairs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

    def differs(name: str) -> bool:
        at_once, once_a_period = found[name, 0.0], found[name, PERIOD_S]
        # with pauses, silence goes on until the end
        quiet_s = [0.0 if pauses else watched.reader.counts().quiet_s for watched in (once_a_period, at_once)]
        return (
            _numbers(once_a_period) != pytest.approx(_numbers(at_once), abs=0.3)
            or quiet_s[0] != pytest.approx(quiet_s[1], abs=0.3)
            or once_a_period.states() != at_once.states()
        )

    listen_to(names)
    # on a machine that is too busy to send and read ten streams in time, one alone must do
    for name in filter(differs, names):
        listen_to([name])
        at_once, once_a_period = found[name, 0.0], found[name, PERIOD_S]
        assert not differs(name), (name, _numbers(at_once), _numbers(once_a_period), at_once.states())


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
