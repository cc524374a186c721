"""How long a silence is waited out, by the clock alone."""

import threading

import pytest

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.deadline import Deadline
from edgeaudio.capture.opening import SourceMemory
from edgeaudio.capture.pauses import PauseWatch


class Waited(Deadline):
    """A deadline whose clock is moved by hand."""

    def __init__(self) -> None:
        super().__init__(threading.Event())
        self.now_s = self.end_s = 0.0

    def limit(self, seconds: float) -> None:
        self.end_s = self.now_s + seconds


def silence(url: str, *, pauses: bool = False, answers: bool = True, memory: SourceMemory | None = None) -> float:
    """How long a connection lasts on which no sound comes."""
    config, deadline = SourceConfig("x", url, pauses=pauses), Waited()
    watch = PauseWatch(config, memory or SourceMemory(), deadline, 0.0, answers=lambda: answers)
    deadline.limit(config.read_timeout_s)
    while deadline.now_s < min(deadline.end_s, 3000):
        watch.waiting(deadline.now_s)
        deadline.now_s += 0.1
    return deadline.now_s


RTSP, PUSHED = "rtsp://127.0.0.1/x", "rtsp+listen://127.0.0.1:9/x"


@pytest.mark.parametrize(
    ("url", "pauses", "answers", "expected_s"),
    [
        (RTSP, False, True, 20),
        (RTSP, False, False, 5),
        (RTSP, True, True, 3000),
        (RTSP, True, False, 5),
        (PUSHED, False, True, 20),
        (PUSHED, True, True, 610),  # nobody can be asked: the connection may be half open
        ("http://127.0.0.1/x", True, True, 5),
    ],
)
def test_a_silence_is_waited_out_as_long_as_there_is_reason_to(
    url: str, pauses: bool, answers: bool, expected_s: float
) -> None:
    assert silence(url, pauses=pauses, answers=answers) == pytest.approx(expected_s, abs=3)


def test_a_source_that_was_found_to_pause_is_not_waited_for_for_ever() -> None:
    assert silence(RTSP, memory=SourceMemory(pauses=True)) == pytest.approx(610, abs=3)  # it may be stuck, after all


def test_a_source_that_was_waited_for_in_vain_is_soon_given_up() -> None:
    memory = SourceMemory()
    assert silence(RTSP, memory=memory) == pytest.approx(20, abs=1)
    assert silence(RTSP, memory=memory) == pytest.approx(5, abs=1)
