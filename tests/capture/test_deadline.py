"""The seam into FFmpeg's waiting: with this PyAV it must hold."""

import threading
import time

import av.container.core
import pytest
from support.camera import Script, camera

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import open_source
from edgeaudio.capture.deadline import Deadline
from edgeaudio.capture.errors import SourceError, StoppedError
from edgeaudio.types import Reason


def test_pyav_still_asks_the_clock_that_we_replace() -> None:
    with Deadline(threading.Event()):
        pass
    core = vars(av.container.core)
    assert core["time"] is not time
    assert core["time"].monotonic() == pytest.approx(time.monotonic(), abs=0.5)
    assert core["time"].sleep is time.sleep


def test_outside_a_guard_and_in_other_threads_the_clock_tells_the_truth() -> None:
    stop = threading.Event()
    stop.set()
    seen: list[float] = []
    with Deadline(stop):
        leapt = vars(av.container.core)["time"].monotonic()
        other = threading.Thread(target=lambda: seen.append(vars(av.container.core)["time"].monotonic()))
        other.start()
        other.join()
    assert leapt > time.monotonic() + 1e5
    assert seen[0] == pytest.approx(time.monotonic(), abs=0.5)
    assert vars(av.container.core)["time"].monotonic() == pytest.approx(time.monotonic(), abs=0.5)


def test_a_limit_expires_and_begins_anew() -> None:
    deadline = Deadline(threading.Event())
    deadline.limit(-1)
    assert deadline.must_end()
    assert deadline.expired
    deadline.limit(60)
    assert not deadline.must_end()
    assert not deadline.expired


def test_the_limit_of_an_open_is_kept_once_not_twice() -> None:
    with camera(Script(hang_at="DESCRIBE")) as url:
        began = time.monotonic()
        with pytest.raises(SourceError) as caught:
            open_source(SourceConfig(name="a", url=url, open_timeout_s=0.5), threading.Event())
        assert time.monotonic() - began < 1.5
    assert caught.value.reason is Reason.TIMEOUT


def test_a_stop_ends_an_open_at_once() -> None:
    stop = threading.Event()
    timer = threading.Timer(0.3, stop.set)
    with camera(Script(hang_at="DESCRIBE")) as url:
        timer.start()
        began = time.monotonic()
        with pytest.raises(StoppedError):
            open_source(SourceConfig(name="a", url=url), stop)
        assert time.monotonic() - began < 1.3
    timer.join()


def test_a_stop_ends_the_reading_of_a_mute_stream_at_once() -> None:
    stop = threading.Event()
    with (
        camera(Script(packets=lambda: iter(()), linger=True)) as url,
        open_source(SourceConfig(name="a", url=url, open_timeout_s=0.5), stop) as connection,
    ):
        timer = threading.Timer(0.3, stop.set)
        timer.start()
        began = time.monotonic()
        assert list(connection) == []
        assert time.monotonic() - began < 1.3
        timer.join()
