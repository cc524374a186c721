"""Where Blocks are on a film's time: nothing twice, nothing moved without need, and time stays true."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.film.time_line import DRIFT_S, Placed, TimeLine
from edgeaudio.types import Block

RATE = 1000
ZERO = datetime(2026, 1, 1, tzinfo=UTC)


def block(epoch: int, offset: int, at_s: float, n: int = 100, rate: int = RATE) -> Block:
    samples = np.arange(offset, offset + n, dtype=np.float32)
    return Block("a", epoch, offset, ZERO + timedelta(seconds=at_s), rate, samples)


def placed(line: TimeLine, each: Block, now_s: float | None = None) -> tuple[float, int, bool, bool] | None:
    found = line.place(each, now_s)
    return None if found is None else (round(found.begin_s, 6), len(found.samples), found.joined, found.is_gap)


def test_sound_of_an_epoch_is_placed_by_its_offset() -> None:
    line = TimeLine(ZERO, is_live=True)
    assert placed(line, block(0, 0, 0.0)) == (0.0, 100, False, True)
    assert placed(line, block(0, 100, 0.13)) == (0.1, 100, True, False)  # jitter moves nothing
    assert placed(line, block(0, 200, 0.15)) == (0.2, 100, True, False)


def test_an_epoch_begins_at_its_time() -> None:
    line = TimeLine(ZERO, is_live=True)
    placed(line, block(0, 0, 0.0))
    assert placed(line, block(1, 0, 5.0)) == (5.0, 100, False, True)
    assert placed(line, block(1, 100, 5.1)) == (5.1, 100, True, False)
    assert line.film_s(0, 0.05) == pytest.approx(0.05)
    assert line.film_s(1, 0.25) == pytest.approx(5.25)
    assert line.film_s(7, 0.0) is None


def test_sound_that_was_dropped_within_an_epoch_is_a_gap() -> None:
    line = TimeLine(ZERO, is_live=True)
    placed(line, block(0, 0, 0.0))
    assert placed(line, block(0, 300, 0.3)) == (0.3, 100, False, True)


def test_a_senders_clock_that_drifts_is_followed_in_steps() -> None:
    line = TimeLine(ZERO, is_live=True)
    begins = [line.place(block(0, 100 * number, 0.1002 * number)) for number in range(2000)]
    found = [each for each in begins if each is not None]
    assert not any(each.is_gap for each in found[1:])
    moved = [each for each in found[1:] if not each.joined]
    assert 2 <= len(moved) <= 4  # 0.4 s in all
    assert max(abs(each.begin_s - 0.1002 * number) for number, each in enumerate(found)) <= DRIFT_S + 1e-6


def test_a_fast_sender_loses_what_there_is_no_time_for() -> None:
    line = TimeLine(ZERO, is_live=True)
    length_s = 0.0
    for number in range(2000):
        found = line.place(block(0, 100 * number, 0.0998 * number))
        length_s += 0.0 if found is None else len(found.samples) / RATE
    assert line.end_s == pytest.approx(length_s)
    assert line.end_s == pytest.approx(0.0998 * 2000, abs=DRIFT_S + 0.001)


def test_a_recording_is_never_moved() -> None:
    line = TimeLine(ZERO, is_live=False)
    placed(line, block(0, 0, 0.0))
    assert placed(line, block(0, 100, 3.0)) == (0.1, 100, True, False)


def test_sound_that_comes_when_its_time_has_passed_is_left_out() -> None:
    line = TimeLine(ZERO, is_live=True)
    placed(line, block(0, 0, 0.0))
    line.pass_to(2.0)
    assert placed(line, block(1, 0, 1.85)) is None
    assert placed(line, block(1, 100, 1.95)) == (2.0, 50, False, False)
    assert placed(line, block(1, 200, 2.05)) == (2.05, 100, True, False)
    assert line.late_s == pytest.approx(0.15)


def test_what_is_before_the_beginning_and_after_the_end_is_left_out() -> None:
    line = TimeLine(ZERO + timedelta(seconds=0.25), is_live=False, length_s=0.3)
    assert placed(line, block(0, 0, 0.0)) is None
    assert placed(line, block(0, 100, 0.1)) is None
    assert placed(line, block(0, 200, 0.2)) == (0.0, 50, False, False)
    assert line.late_s == 0
    assert placed(line, block(0, 300, 0.3)) == (0.05, 100, True, False)
    assert line.end_s < 0.3
    assert placed(line, block(0, 400, 0.4, 400)) == (0.15, 150, True, False)
    assert line.is_over
    assert placed(line, block(0, 800, 0.8)) is None


def test_a_film_is_over_where_a_gap_spans_its_end() -> None:
    line = TimeLine(ZERO, is_live=False, length_s=1.0)
    placed(line, block(0, 0, 0.0))
    assert placed(line, block(1, 0, 5.0)) is None
    assert line.is_over


@pytest.mark.parametrize("step_s", [86_400.0 * 365, -3600.0, 90.0])
def test_a_system_clock_that_is_set_moves_the_clock_and_not_the_film(step_s: float) -> None:
    line = TimeLine(ZERO, is_live=True)
    placed(line, block(0, 0, 0.0), 0.1)
    assert placed(line, block(0, 100, 0.1 + step_s), 0.2) == (0.1, 100, True, False)
    assert placed(line, block(0, 200, 0.2 + step_s), 0.3) == (0.2, 100, True, False)
    assert line.steps == 1
    assert (line.zero - ZERO).total_seconds() == pytest.approx(step_s, abs=0.01)


@pytest.mark.parametrize("step_s", [-30.0, -2.0, 0.5, 20.0])
@pytest.mark.parametrize("epoch", [0, 1])
def test_a_small_step_of_the_clock_that_is_announced_loses_no_sound(step_s: float, epoch: int) -> None:
    line = TimeLine(ZERO, is_live=True)
    placed(line, block(0, 0, 0.0), 0.1)
    line.expect_step(step_s)
    assert placed(line, block(0, 100, 0.1), 0.2) == (0.1, 100, True, False)  # it was on its way before
    begin = 0 if epoch else 200
    found = placed(line, block(epoch, begin, 0.2 + step_s), 0.3)
    assert found == (0.2, 100, not epoch, bool(epoch))
    assert placed(line, block(epoch, begin + 100, 0.3 + step_s), 0.4) == (0.3, 100, True, False)
    assert line.steps == 1
    assert (line.zero - ZERO).total_seconds() == pytest.approx(step_s, abs=0.01)


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 500), st.floats(-5, 20, allow_nan=False), st.integers(1, 300)),
        max_size=30,
    ),
    st.booleans(),
)
def test_whatever_comes_time_goes_on(pieces: list[tuple[int, int, float, int]], is_live: bool) -> None:
    line, end_s, found = TimeLine(ZERO, is_live=is_live, length_s=15.0), 0.0, 0.0
    for epoch, offset, at_s, n in pieces:
        each: Placed | None = line.place(block(epoch, offset, at_s, n), 10.0 if is_live else None)
        if each is not None:
            assert each.begin_s >= end_s - 1 / RATE
            assert each.end_s <= 15.0 + 1 / RATE
            assert len(each.samples) > 0
            end_s, found = each.end_s, found + len(each.samples) / RATE
        assert line.end_s >= end_s - 1e-9
    assert found <= line.end_s + len(pieces) / RATE
