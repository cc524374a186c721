"""A clock without a battery: what shows that it is behind."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgeaudio import system_clock


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One whose kernel may not be asked, without timesyncd, and with one old file."""
    kernel_says(monkeypatch, -1)
    monkeypatch.setattr(system_clock, "_TIMESYNC", tmp_path / "timesync")
    monkeypatch.setattr(system_clock, "_OLDER_THAN_NOW", (Path(__file__), tmp_path / "newest"))
    return tmp_path


def kernel_says(monkeypatch: pytest.MonkeyPatch, answer: int) -> None:
    library = SimpleNamespace(adjtimex=lambda _timex: answer)
    monkeypatch.setattr(system_clock, "ctypes", SimpleNamespace(CDLL=lambda _: library, create_string_buffer=bytes))


@pytest.mark.parametrize(("answer", "behind"), [(0, False), (1, False), (5, True), (-1, False)])
def test_the_kernel_says_whether_it_is_synchronised(answer: int, behind: bool, monkeypatch: pytest.MonkeyPatch):
    kernel_says(monkeypatch, answer)
    assert (system_clock.why_behind() is not None) is behind


def test_where_the_kernel_may_not_be_asked_timesyncd_says_it(machine: Path):
    (machine / "timesync").mkdir()
    assert system_clock.why_behind() == "was not synchronised since its start"
    (machine / "timesync" / "synchronized").touch()
    assert system_clock.why_behind() is None


def test_a_file_of_tomorrow_shows_that_it_is_yesterday(machine: Path, monkeypatch: pytest.MonkeyPatch):
    kernel_says(monkeypatch, 0)
    (machine / "newest").touch()
    assert system_clock.why_behind() is None
    os.utime(machine / "newest", (time.time() + 3600,) * 2)
    assert system_clock.why_behind() == "is older than edgeaudio or this system"


def test_this_machine_can_be_asked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    assert system_clock.why_behind() in {None, "was not synchronised since its start"}
