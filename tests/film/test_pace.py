"""A slow machine leaves pictures out, and makes all of them again once it can; a film that is sent keeps its pace."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from edgeaudio.film import live
from edgeaudio.film.film import Film
from edgeaudio.film.pacing import Pacer


class _Machine:
    """A machine whose clock goes as far as the work on a film takes."""

    def __init__(self, monkeypatch) -> None:
        self.now_s = 100.0
        monkeypatch.setattr(live, "time", SimpleNamespace(monotonic=lambda: self.now_s))
        self.film: Any = SimpleNamespace(drawn_s=0.0, waited_s=0.0, stride=1, frame_rate=30)
        self.pace = live.Pace()

    def work(self, seconds: int, *, busy_s: float, waited_s: float = 0.0) -> int:
        """Make seconds of film, each in `busy_s` for all pictures; return the stride after them."""
        for _ in range(seconds):
            with self.pace.of(cast("Film", self.film)):
                self.film.drawn_s += 1.0
                self.film.waited_s += waited_s
                self.now_s += busy_s / self.film.stride + waited_s
        return int(self.film.stride)


def test_a_machine_that_keeps_up_makes_every_picture(monkeypatch) -> None:
    assert _Machine(monkeypatch).work(60, busy_s=0.6) == 1


def test_a_slow_machine_leaves_as_many_out_as_it_has_to(monkeypatch, caplog) -> None:
    machine = _Machine(monkeypatch)
    assert machine.work(60, busy_s=2.5) == 4
    logged = [record.getMessage() for record in caplog.records]
    assert len(logged) == 1  # once
    assert logged[0].startswith("this machine is too slow for 30 pictures a second: some are left out")
    assert machine.work(20, busy_s=0.2) == 1  # its other work is done


def test_waiting_for_the_time_of_a_picture_is_no_work(monkeypatch) -> None:
    assert _Machine(monkeypatch).work(60, busy_s=0.2, waited_s=0.8) == 1


def test_pictures_that_are_early_wait_and_late_ones_do_not() -> None:
    pacer = Pacer(threading.Event())
    assert pacer(5.0) == 0.0  # the first one begins
    begin_s = time.monotonic()
    assert pacer(5.1) == pytest.approx(0.1, abs=0.09)
    assert time.monotonic() - begin_s >= 0.09
    time.sleep(0.1)
    assert pacer(5.15) == 0.0


def test_nothing_waits_once_the_film_is_to_end() -> None:
    stop = threading.Event()
    stop.set()
    pacer = Pacer(stop)
    begin_s = time.monotonic()
    pacer(0.0)
    pacer(60.0)
    assert time.monotonic() - begin_s < 1.0
