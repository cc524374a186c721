"""FFmpeg's own log lines, kept as evidence within bounds."""

import threading

import av.logging

from edgeaudio.capture.deadline import Deadline
from edgeaudio.capture.ffmpeg_log import recorded


def test_a_call_that_logs_without_end_fills_no_memory() -> None:
    deadline = Deadline(threading.Event())
    with deadline, recorded() as log:
        for number in range(1000):
            for _ in range(10):
                av.logging.log(av.logging.ERROR, "matroska", f"Element {number} is too large")
            deadline.poll()  # FFmpeg's poll leads here every 20 ms
        assert len(log._lines) == 200
        assert log.search("Element 0 is")
        assert not log.search("Element 999 is")


def test_lines_of_other_threads_are_not_recorded_here() -> None:
    with recorded() as log:
        other = threading.Thread(target=av.logging.log, args=(av.logging.ERROR, "rtsp", "method SETUP failed: 461"))
        other.start()
        other.join()
        assert log.is_empty
