"""How long a snooze lasts, whatever the system clock does and however often the agent starts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.agent.snooze import NOTE_S, Snooze

AT = datetime(2026, 1, 1, tzinfo=UTC)
LENGTH_S = 3600.0


def later(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def restored(snooze: Snooze, now: datetime, now_s: float) -> Snooze:
    found = Snooze.restore(snooze.stored(), now, now_s)
    assert found is not None
    return found


def test_a_snooze_ends_after_its_length():
    snooze = Snooze.begin(LENGTH_S, AT, 50.0)
    assert snooze.until == later(LENGTH_S)
    assert not snooze.is_over(50.0 + LENGTH_S - 0.001)
    assert snooze.is_over(50.0 + LENGTH_S)
    assert snooze.followed(later(10.5), 60.0) is snooze  # the clock is slewed


@pytest.mark.parametrize("step_s", [-1e9, -30.0, 30.0, 1e9])
def test_a_step_of_the_clock_moves_the_end_of_a_snooze_and_not_its_length(step_s: float):
    snooze = Snooze.begin(LENGTH_S, AT, 0.0).followed(later(60 + step_s), 60.0)
    assert snooze.until == later(LENGTH_S + step_s)
    assert snooze.until_s == LENGTH_S
    assert snooze.followed(later(61 + step_s), 61.0) is snooze
    # and so after a restart
    assert restored(snooze, later(100 + step_s), 0.0).until_s == LENGTH_S - 100


def test_a_snooze_goes_on_after_a_restart_until_the_same_time():
    snooze = restored(Snooze.begin(LENGTH_S, AT, 1000.0), later(700), 5.0)
    assert (snooze.until, snooze.until_s) == (later(LENGTH_S), 5.0 + 2900)
    assert Snooze.restore(snooze.stored(), later(LENGTH_S), 5.0) is None


def test_a_clock_that_is_set_forward_after_the_restart_ends_a_snooze_in_time():
    """Like a board without a clock, which starts at a time of the past."""
    for behind_s in (60, -1e9):
        snooze = restored(Snooze.begin(LENGTH_S, AT, 0.0), later(behind_s), 0.0)
        followed = snooze.followed(later(LENGTH_S - 100), 10.0)
        assert (followed.until, followed.until_s) == (later(LENGTH_S), 110.0)
        assert snooze.followed(later(LENGTH_S + 100), 10.0).is_over(10.0)


def test_a_clock_that_is_set_back_after_the_restart_does_not_stretch_a_snooze():
    snooze = restored(Snooze.begin(LENGTH_S, AT, 0.0), later(600), 0.0)
    assert snooze.followed(later(-1e6), 10.0) is snooze
    assert snooze.until_s == 3000.0


def test_what_is_left_is_noted_and_counts_where_the_clock_is_behind_after_the_restart():
    snooze = Snooze.begin(LENGTH_S, AT, 0.0)
    assert snooze.followed(later(NOTE_S - 1), NOTE_S - 1) is snooze
    noted = snooze.followed(later(NOTE_S), NOTE_S)
    assert noted.noted_s == LENGTH_S - NOTE_S
    # a clock that is behind by less than a step
    assert restored(snooze, later(-0.5), 0.0).until_s == LENGTH_S
    # what may have passed since the last note has passed
    assert restored(snooze, later(-1e9), 0.0).until_s == LENGTH_S - NOTE_S
    assert restored(noted, later(-1e9), 0.0).until_s == LENGTH_S - 2 * NOTE_S
    assert Snooze.restore(Snooze.begin(NOTE_S, AT, 0.0).stored(), later(-1e9), 0.0) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[]", "null", "1", "{" * 9, '{"until": 1, "left_s": 2}', '{"until": "2026-01-02", "left_s": 2}'),
        '{"until": "2026-01-02T00:00:00+00:00", "left_s": NaN}',
    ],
)
def test_what_is_no_snooze_is_none(text: str):
    assert Snooze.restore(text, AT, 0.0) is None


STEPS = st.lists(st.tuples(st.sampled_from(["passes"] * 5 + ["step", "restart"]), st.floats(-1e5, 1e5)), max_size=60)


@given(STEPS)
def test_no_steps_and_restarts_have_the_agent_run_longer_with_a_snooze_than_it_is_long(steps):
    clock_s = now_s = ran_s = 0.0
    bounded = 0  # times that the clock may have been off by less than counts as a step
    snooze = Snooze.begin(LENGTH_S, AT, 0.0)
    for kind, amount_s in steps:
        if kind == "passes":  # the time of one turn of the agent, or a machine that stood still
            passed_s = abs(amount_s) / 100
            ran_s += max(0.0, min(passed_s, snooze.until_s - now_s))
            clock_s, now_s = clock_s + passed_s, now_s + passed_s
            snooze = snooze.followed(later(clock_s), now_s)
            if snooze.is_over(now_s):
                break
        elif kind == "step":
            clock_s += amount_s
        else:
            clock_s, now_s, bounded = clock_s + amount_s, 0.0, bounded + 1
            found = Snooze.restore(snooze.stored(), later(clock_s), now_s)
            if found is None:
                break
            snooze = found
        assert snooze.until_s - now_s <= LENGTH_S
    assert ran_s <= LENGTH_S + 1.01 * bounded
