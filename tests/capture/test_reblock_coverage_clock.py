"""The small pure parts: cutting, seconds heard and lost, and the clock."""

import logging
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.capture.coverage import Coverage
from edgeaudio.capture.reblock import LIVE, MAX_FRAMES, STORED, Chunk, Lengths, Reblocker
from edgeaudio.clock import Clock


@given(
    st.lists(st.integers(1, 9000), min_size=1, max_size=40),
    st.sampled_from([8000, 16000, 192000]),
    st.sampled_from([LIVE, STORED]),
)
def test_cutting_neither_loses_nor_moves_a_sample(sizes: list[int], rate: int, lengths: Lengths) -> None:
    whole = np.arange(sum(sizes), dtype=np.float32)
    reblocker, done = Reblocker[np.ndarray](np.concatenate, lengths), 0
    cuts: list[Chunk] = []
    for size in sizes:
        cuts += reblocker.add([whole[done : done + size]], size, rate, 3.0 + done / rate)
        done += size
    for cut in cuts:
        assert len(cut.samples) <= lengths.max_s * rate
    if sum(sizes) >= lengths.min_s * rate:
        assert cuts
    cuts += reblocker.flush()
    assert list(reblocker.flush()) == []
    np.testing.assert_array_equal(np.concatenate([cut.samples for cut in cuts]), whole)
    for cut in cuts:
        assert cut.samples[0] == cut.offset
        assert cut.begin_s == pytest.approx(3.0 + cut.offset / rate)


def test_frames_of_single_samples_are_not_kept_for_long() -> None:
    joined: list[int] = []

    def join(frames: list[int]) -> np.ndarray:
        joined.append(len(frames))
        return np.zeros(len(frames), np.float32)

    reblocker = Reblocker[int](join, STORED)
    for number in range(5000):
        list(reblocker.add([0], 1, 192_000, number / 192_000))
    assert joined == [MAX_FRAMES] * 5


@given(
    st.lists(
        st.tuples(st.sampled_from(["hear", "go on", "lose"]), st.floats(-2, 5), st.floats(0, 3), st.floats(0, 2)),
        max_size=60,
    )
)
def test_heard_and_lost_add_up_and_never_shrink(steps: list[tuple[str, float, float, float]]) -> None:
    coverage, now, before = Coverage(10.0), 10.0, Coverage(10.0).totals()
    for what, at, length, later in steps:
        now += later
        if what == "lose":
            coverage.lose(now)
        else:
            begin = None if what == "go on" else now + at
            coverage.hear(begin, now + at + length, filled_s=length / 10, now_s=now)
        totals = coverage.totals()
        assert totals.heard_s + totals.lost_s == pytest.approx(totals.accounted_s, abs=1e-9)
        assert totals.accounted_s <= now - 10.0 + 1e-9
        assert totals.heard_s >= before.heard_s
        assert totals.lost_s >= before.lost_s - 1e-9
        before = totals


def test_the_account_of_an_outage() -> None:
    coverage = Coverage(0.0)
    coverage.hear(1.0, 3.0, filled_s=0.0, now_s=3.1)  # connected after 1 s
    coverage.hear(None, 4.0, filled_s=0.2, now_s=4.1)
    coverage.lose(9.0)
    coverage.hear(8.5, 10.0, filled_s=0.0, now_s=10.0)  # half a second of this was booked as lost
    totals = coverage.totals()
    assert totals.accounted_s == 10.0
    assert totals.heard_s == pytest.approx(2.0 + 0.8 + 1.0)
    assert totals.lost_s == pytest.approx(1.0 + 0.2 + 5.0)


class Times:
    def __init__(self) -> None:
        self.mono, self.wall = 50.0, 1_000_000.0


def test_a_step_of_the_system_clock_moves_utc_once(caplog: pytest.LogCaptureFixture) -> None:
    times = Times()
    clock = Clock(lambda: times.mono, lambda: times.wall)
    assert clock.utc(50.0) == datetime.fromtimestamp(1_000_000, UTC)
    times.mono, times.wall = 51.0, 900_000_001.0  # NTP found the year
    with caplog.at_level(logging.WARNING):
        assert clock.utc(50.5) == datetime.fromtimestamp(900_000_000.5, UTC)
        assert clock.utc(51.0) == datetime.fromtimestamp(900_000_001, UTC)
    assert clock.steps == 1
    assert [record.getMessage() for record in caplog.records] == ["the system clock was stepped by +899000000.000 s"]


def test_a_slewed_clock_is_followed_in_silence() -> None:
    times = Times()
    clock = Clock(lambda: times.mono, lambda: times.wall)
    for _ in range(1000):
        times.mono += 1.0
        times.wall += 1.0005
        assert clock.utc().timestamp() == pytest.approx(times.wall, abs=1e-3)
    assert clock.steps == 0


def test_a_turn_that_is_taken_away_between_two_readings_is_no_step() -> None:
    now_s, waits = [100.0], iter([0.0, 0.4, 0.4, 0.0, 0.0, 0.0])

    def wall() -> float:
        now_s[0] += next(waits)  # another program runs
        return 1_000_000 + now_s[0]

    clock = Clock(lambda: now_s[0], wall)
    times = [clock.utc() for _ in range(3)]
    assert clock.steps == 0
    assert times == sorted(times)
