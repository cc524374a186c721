"""Whose turn it is: a recogniser that is away is not asked all the time, and no utterance makes the others wait."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.sinks.transcripts.turns import FIRST_DELAY_S, LAST_DELAY_S, MAX_STRIKES, Turns


class Simulation:
    """A queue, a recogniser that fails for what `fails` says, and a clock that jumps to the next turn."""

    def __init__(self, ids: list[str], fails: Callable[[str], bool]) -> None:
        self.ids, self.fails = ids, fails
        self.turns = Turns(lambda: 1.0)
        self.now_s = 0.0
        self.tries: list[tuple[float, str]] = []
        self.done: list[str] = []
        self.done_s = 0.0  # when the latest was done
        self.given_up: list[str] = []

    def run(self, n_tries: int) -> None:
        while n_tries and self.ids:
            tried, wait_s = self.turns.next(self.ids, self.now_s)
            if tried is None:
                self.now_s += wait_s
                continue
            n_tries -= 1
            self.tries.append((self.now_s, tried))
            if self.fails(tried):
                self.turns.fail(tried, self.now_s)
                continue
            self.ids.remove(tried)
            self.done.append(tried)
            self.done_s = self.now_s
            if (given_up := self.turns.succeed(tried)) is not None:
                self.ids.remove(given_up)
                self.given_up.append(given_up)


def test_without_failures_the_oldest_goes_first() -> None:
    simulation = Simulation(["a", "b", "c"], lambda _each: False)
    simulation.run(9)
    assert simulation.done == ["a", "b", "c"]
    assert simulation.now_s == 0


def test_a_recogniser_that_is_away_is_asked_after_growing_delays() -> None:
    simulation = Simulation(["a", "b", "c"], lambda _each: True)
    simulation.run(12)
    times = [at_s for at_s, _ in simulation.tries]
    # the second try tells whether the first utterance is to blame
    assert times[:5] == [0, 0, 2 * FIRST_DELAY_S, 6 * FIRST_DELAY_S, 14 * FIRST_DELAY_S]
    assert times[-1] - times[-2] == LAST_DELAY_S
    assert simulation.given_up == []


def test_when_it_is_back_nothing_is_lost_and_all_goes_at_once() -> None:
    away = [True]
    simulation = Simulation([*"abcdefgh"], lambda _each: away[0])
    simulation.run(50)
    away[0] = False
    begun_s = simulation.now_s
    simulation.run(50)
    assert sorted(simulation.done) == [*"abcdefgh"]
    assert simulation.now_s - begun_s <= LAST_DELAY_S
    assert simulation.given_up == []


def test_what_fails_for_any_of_them_is_no_utterance_s_fault() -> None:
    """Two servers behind one address, say, and one of them is down: each other try fails."""
    turns = Turns(lambda: 1.0)
    ids, now_s = [f"{number:03d}" for number in range(100)], 0.0
    is_up = False
    while ids:
        tried, wait_s = turns.next(ids, now_s)
        now_s += 0.0 if tried else wait_s
        if tried and is_up:
            assert turns.succeed(tried) is None
            ids.remove(tried)
        elif tried:
            turns.fail(tried, now_s, is_for_all=True)
        is_up ^= tried is not None
    assert now_s < FIRST_DELAY_S * 10


def test_one_that_always_fails_does_not_hold_up_the_others_and_is_given_up() -> None:
    simulation = Simulation([*"abcdef"], lambda each: each == "a")
    simulation.run(50)
    assert simulation.done == [*"bcdef"]
    assert simulation.done_s == 0
    assert simulation.given_up == []  # it failed while others succeeded only once, and then had its turn last
    for later in "gh":
        assert simulation.given_up == []
        simulation.ids.append(later)
        simulation.run(20)
    assert simulation.given_up == ["a"]


def test_with_one_alone_a_new_one_does_not_wait_for_its_back_off() -> None:
    simulation = Simulation(["a"], lambda each: each == "a")
    simulation.run(9)
    before_s = simulation.now_s = simulation.now_s + 0.5
    simulation.ids.append("b")
    simulation.run(1)
    assert simulation.tries[-1] == (before_s, "b")


def test_new_ones_do_not_hurry_a_recogniser_that_is_away() -> None:
    simulation = Simulation(["a", "b"], lambda _each: True)
    simulation.run(9)
    retry_s = simulation.now_s + simulation.turns.next(simulation.ids, simulation.now_s)[1]
    simulation.ids += ["c", "d", "e"]
    simulation.run(1)
    assert simulation.tries[-1][0] == retry_s


def test_two_bad_ones_do_not_hold_up_the_others_for_ever() -> None:
    simulation = Simulation([*"abcdefghijkl"], lambda each: each in "ab")
    simulation.run(60)
    assert set("cdefghijkl") <= set(simulation.done)
    assert simulation.done_s < 10 * FIRST_DELAY_S


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 8))
def test_the_innocent_are_never_given_up_while_all_fail_alike(outcomes: list[bool], n_ids: int) -> None:
    """A recogniser that comes and goes: each try has its own luck, and every utterance is tried in the end."""
    luck = iter(outcomes)
    simulation = Simulation([str(n) for n in range(n_ids)], lambda _each: next(luck, False))
    simulation.run(len(outcomes) + 2 * n_ids + 2)
    assert len(simulation.done) + len(simulation.given_up) == n_ids
    strikes = sum(1 for (_, one), (_, two) in zip(simulation.tries, simulation.tries[1:], strict=False) if one != two)
    assert len(simulation.given_up) <= strikes / MAX_STRIKES
