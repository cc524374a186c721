"""Live columns of one source: ids, sequence, times, holes in the sound, and no more sound than can be watched."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.sinks.live.continuity import BUFFER_S
from edgeaudio.sinks.live.stream import ColumnSource
from edgeaudio.types import Block, LiveColumns, Samples

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
RATE = 8000


def block(samples: Samples, offset: int = 0, *, epoch: int = 1, rate: int = RATE, at: datetime | None = None) -> Block:
    return Block("porch", epoch, offset, at or AT + timedelta(seconds=offset / rate), rate, samples)


def silence(seconds: float = 1.0) -> Samples:
    return np.zeros(round(seconds * RATE), np.float32)


def test_packets_are_numbered_and_dated_by_their_first_column() -> None:
    source = ColumnSource(0.0)
    packets = [packet for number in range(5) for packet in source.feed(block(silence(), number * RATE), 0.0)]
    assert [packet.sequence for packet in packets] == list(range(24))
    assert len({packet.stream for packet in packets}) == 1
    assert not any(packet.follows_gap for packet in packets)
    # the middle of a window of 512 samples
    assert [(packet.at - AT).total_seconds() for packet in packets[:3]] == [0.032, 0.232, 0.432]
    first = packets[0]
    assert (first.hop_s, first.low_hz, first.high_hz, first.levels.shape) == (0.02, 0.0, 4000.0, (10, 256))


HOLES = {
    "another epoch": block(silence(), RATE, epoch=2),
    "a missing block": block(silence(), 2 * RATE),
    "another rate": block(silence(3.0), RATE, rate=16_000),
    "another channel": block(np.zeros((RATE, 2), np.float32), RATE),
}


@pytest.mark.parametrize("after", HOLES.values(), ids=HOLES)
def test_a_hole_begins_a_new_stream_whose_first_packet_tells(after: Block) -> None:
    source = ColumnSource(0.0)
    before = list(source.feed(block(silence()), 0.0))
    packets = list(source.feed(after, 0.0))
    assert packets[0].stream != before[0].stream
    assert [packet.sequence for packet in packets] == list(range(len(packets)))
    assert [packet.follows_gap for packet in packets] == [True] + [False] * (len(packets) - 1)


def test_the_end_of_an_epoch_joins_nothing_across_it() -> None:
    source = ColumnSource(0.0)
    assert list(source.feed(block(silence(0.2)), 0.0)) == []
    source.end_epoch()
    (packet,) = source.feed(block(silence(0.3), epoch=2), 0.0)
    assert packet.follows_gap


def test_the_times_follow_the_sender_s_clock() -> None:
    source = ColumnSource(0.0)
    late = timedelta(seconds=0.5)
    packets = list(source.feed(block(silence()), 0.0))
    packets += source.feed(block(silence(), RATE, at=AT + timedelta(seconds=1) + late), 0.0)
    assert packets[0].at == AT + timedelta(seconds=0.032)
    assert packets[-1].at == AT + late + timedelta(seconds=0.032 + 0.2 * (len(packets) - 1))


def test_a_recording_that_is_read_at_full_speed_is_watched_at_that_of_sound() -> None:
    source = ColumnSource(0.0)
    packets: list[LiveColumns] = []
    for number in range(600):  # 10 min in 6 s
        packets += source.feed(block(silence(), number * RATE), number / 100)
    heard_s = 0.2 * len(packets)
    assert BUFFER_S - 1 < heard_s < BUFFER_S + 6 + 1
    # once it comes at the speed of sound, all of it is taken
    later = [source.feed(block(silence(), number * RATE), 60.0 + number) for number in range(1000, 1010)]
    assert sum(len(list(each)) for each in later) >= 45


@given(st.lists(st.floats(0, 1), max_size=20))
def test_splitting_the_blocks_changes_neither_columns_nor_times(cuts: list[float]) -> None:
    signal = np.random.default_rng(3).normal(0, 0.1, 2 * RATE).astype(np.float32)
    whole = list(ColumnSource(0.0).feed(block(signal), 0.0))
    ends = [*sorted(round(cut * len(signal)) for cut in cuts), len(signal)]
    source, split, begin = ColumnSource(0.0), list[LiveColumns](), 0
    for end in ends:
        split += source.feed(block(signal[begin:end], begin), 0.0)
        begin = end
    assert [packet.at for packet in split] == [packet.at for packet in whole]
    np.testing.assert_array_equal([packet.levels for packet in split], [packet.levels for packet in whole])
