"""A Reader against servers that die, hang, move and come back."""

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.camera import Packet, Script, camera, sine_packets
from support.media import sine, write_media
from support.ports import free_port
from support.readers import Watched, reading
from support.rtsp import CODECS, push_rtsp, start_gst_server
from support.waiting import wait_until

from edgeaudio.capture import reader
from edgeaudio.capture.admission import Admission, Hold
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.errors import SourceError
from edgeaudio.capture.reader import Reader
from edgeaudio.capture.rtsp_setup import RtspMode, RtspSetupStore
from edgeaudio.types import Block, Reason, SourceState


def delays_of(watched: Watched, count: int, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it waits between its first tries, without chance."""
    delays: list[float] = []

    class Impatient(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            delays.append(timeout)
            if len(delays) >= count:
                self.set()
            return self.is_set()

    watched.reader._stop = Impatient()
    monkeypatch.setattr(reader, "JITTER", 0.0)
    watched.reader.run()
    return delays


def test_delays_double_to_a_cap_and_start_anew_after_enough_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    assert delays_of(Watched("/nowhere/a.wav"), 9, monkeypatch) == [1, 2, 4, 8, 16, 30, 30, 30, 30]


def test_a_clock_that_is_wrong_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    def behind(config: SourceConfig, *_args: object, **_more: object) -> None:
        raise SourceError(config.name, config.address, Reason.CLOCK, "not yet valid")

    monkeypatch.setattr(reader, "open_source", behind)
    assert delays_of(Watched("https://cam/x"), 5, monkeypatch) == [1, 2, 4, 5, 5]


@pytest.mark.usefixtures("quick")
def test_jitter_keeps_within_its_bounds() -> None:
    with reading("/nowhere/a.wav") as watched:
        wait_until(lambda: len(watched.statuses) > 8)
    tries = [status for status in watched.statuses if status.next_try is not None]
    assert tries
    assert all(status.state is SourceState.WAITING for status in tries)
    assert len({status.since for status in watched.statuses[1:]}) == 1  # since when it is deaf
    assert all(status.reason is Reason.NOT_FOUND for status in watched.statuses[1:])
    assert "there is no such file; check the path" in {status.detail for status in tries}


@pytest.mark.usefixtures("quick")
def test_a_camera_that_is_absent_at_boot_and_later_reboots(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    port = free_port()
    with reading(f"rtsp://127.0.0.1:{port}/camera") as watched:
        after = watched.wait_for(SourceState.WAITING, Reason.REFUSED)
        wait_until(lambda: watched.reader.counts().failures >= 3)
        for _ in range(2):
            with camera(Script(), port):
                after = watched.wait_for(SourceState.LISTENING, None, after)
                watched.wait_for_blocks(3)
            after = watched.wait_for(SourceState.WAITING, Reason.REFUSED, after)
    lines = [record.getMessage() for record in caplog.records if record.name.endswith("outage_log")]
    # many tries, few lines
    assert sum("nothing listens on" in line for line in lines) <= 4
    assert sum("heard again after" in line for line in lines) == 2
    assert all("\n" not in line for line in lines)


@pytest.mark.usefixtures("quick")
def test_lost_seconds_are_counted_to_the_wall_clock() -> None:
    def packets() -> Iterator[Packet]:
        for index, packet in enumerate(sine_packets()):
            if index % 10 != 5:
                yield packet

    def script() -> Iterator[Packet]:
        due = 0.0
        for packet in packets():
            packet.wait_s = packet.timestamp / 16000 - due
            due += packet.wait_s
            yield packet

    with camera(Script(packets=script)) as url, reading(url) as watched:
        wait_until(lambda: watched.reader.counts().coverage.heard_s > 0)
        first = watched.reader.counts().coverage
        wait_until(lambda: watched.reader.counts().coverage.accounted_s > first.accounted_s + 2.5)
        coverage = watched.reader.counts().coverage
    heard_s, accounted_s = coverage.heard_s - first.heard_s, coverage.accounted_s - first.accounted_s
    assert heard_s == pytest.approx(0.9 * accounted_s, abs=0.3)


@pytest.mark.usefixtures("quick")
def test_a_source_that_moves_to_another_codec_and_rate() -> None:
    port = free_port()
    with reading(f"rtsp+listen://127.0.0.1:{port}/in") as watched:
        after = 0
        for codec, rate in (("pcm_alaw", 8000), ("aac", 16000)):
            with push_rtsp(f"rtsp://127.0.0.1:{port}/in", codec=codec, rate=rate):
                after = watched.wait_for(SourceState.LISTENING, None, after)
                assert (watched.statuses[after - 1].codec, watched.statuses[after - 1].sample_rate) == (codec, rate)
    assert {block.sample_rate for block in watched.blocks} == {8000, 16000}


@pytest.mark.usefixtures("quick")
def test_a_real_server_that_is_stopped_killed_and_replaced() -> None:
    port = free_port()
    with contextlib.ExitStack() as stack:
        watched = stack.enter_context(reading(f"rtsp://127.0.0.1:{port}/camera"))
        with start_gst_server(CODECS["pcm_alaw"][1], port=port) as server:
            after = watched.wait_for(SourceState.LISTENING)
            server.process.send_signal(signal.SIGSTOP)  # its connection is half open now
            after = watched.wait_for(SourceState.STALLED, Reason.TIMEOUT, after)
            after = watched.wait_for(SourceState.WAITING, Reason.TIMEOUT, after)
            server.process.send_signal(signal.SIGCONT)
            after = watched.wait_for(SourceState.LISTENING, None, after)
        after = watched.wait_for(SourceState.WAITING, Reason.REFUSED, after)
        with start_gst_server(CODECS["opus"][1], port=port):
            after = watched.wait_for(SourceState.LISTENING, None, after)
            assert watched.statuses[after - 1].codec == "opus"


def test_the_watchdog_sees_progress_and_its_want() -> None:
    with camera(Script()) as url, reading(url) as watched:
        watched.wait_for(SourceState.LISTENING)
        first = watched.reader.counts().last_progress_s
        wait_until(lambda: watched.reader.counts().last_progress_s > first)
        assert watched.reader.stall_timeout_s < 120


def test_an_error_in_a_callback_is_nobodys_to_swallow(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_media(path, "pcm_s16le", sine(1000, 8000, 0.4), 8000)
    watched = Watched(str(path))

    def fail(block: Block) -> None:
        raise ZeroDivisionError(block.source)

    watched.reader._on_block = fail
    with pytest.raises(ZeroDivisionError):
        watched.reader.run()


def test_while_nobody_pushes_the_state_says_that_it_waits_for_a_sender() -> None:
    with reading(f"rtsp+listen://127.0.0.1:{free_port()}/in") as watched:
        watched.wait_for(SourceState.CONNECTING)
        assert watched.statuses[0].detail == f"waiting for a sender to push to {watched.reader.config.address}"


def test_a_camera_that_stalls_early_with_the_sound_alone_is_asked_for_everything_from_then_on(quick) -> None:
    """As UniFi's do: they agree to it, and send for a moment."""
    script = Script(video=True, alone=20)
    learned: list[RtspMode | None] = []
    with camera(script) as url:
        watched = Watched(url, read_timeout_s=0.4)
        watched.reader._rtsp_store = RtspSetupStore(None, learned.append)
        watched.thread.start()
        try:
            wait_until(lambda: learned)
            watched.wait_for(SourceState.LISTENING, None, len(watched.statuses))
            wait_until(lambda: len(watched.blocks) > 8)
            media = [status.media for status in watched.statuses if status.state is SourceState.LISTENING]
            assert media == ["audio", "audio", "all"]
            assert learned == [RtspMode("all")]
        finally:
            watched.stop.set()
            watched.thread.join(5)
        recalled = Reader(
            watched.reader.config,
            on_block=lambda _: watched.stop.set(),
            on_status=lambda _: None,
            stop=watched.stop,
            clock=watched.clock,
            rtsp_store=RtspSetupStore(learned[0], learned.append),
        )
        watched.stop.clear()
        script.seen.clear()
        recalled.run()
    assert "SETUP video" in script.seen
    assert script.seen.count("PLAY ") + script.seen.count("PLAY camera") == 1
    assert len(learned) == 1


class _Holding(Admission):
    """Admission that holds a source back until it is released."""

    def __init__(self) -> None:
        self.hold: Hold | None = Hold(datetime.now(UTC) + timedelta(hours=6), 6 * 3600.0, "for a test")
        self.told: list[str] = []

    def ask(self) -> Hold | None:
        return self.hold

    def sounding(self) -> None:
        self.told.append("sounding")

    def proven(self) -> None:
        self.told.append("proven")

    def over(self) -> None:
        self.told.append("over")


@pytest.mark.usefixtures("quick")
def test_a_source_that_is_held_back_for_hours_is_not_stuck(tmp_path: Path) -> None:
    write_media(tmp_path / "a.wav", "pcm_s16le", sine(1000.0, 8000, 0.6), 8000)
    gatekeeper = _Holding()
    with reading(str(tmp_path / "a.wav"), admission=gatekeeper) as watched:
        watched.wait_for(SourceState.QUARANTINED, Reason.CRASHED_THE_AGENT)
        assert gatekeeper.hold is not None
        assert watched.statuses[-1].next_try == gatekeeper.hold.until
        held_s = watched.reader.counts().last_progress_s
        wait_until(lambda: watched.reader.counts().last_progress_s > held_s, what="it looks stuck")
        assert gatekeeper.told == []
        gatekeeper.hold = None
        watched.wait_for(SourceState.ENDED, Reason.END_OF_STREAM)
    # a recording that was heard to its end has proven itself, however short it is
    assert gatekeeper.told == ["sounding", "proven", "over"]


@pytest.mark.usefixtures("quick")
def test_after_too_much_memory_the_wait_is_long_and_no_sign_of_being_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_PARDON_STEP_S", 0.05)
    with camera(Script(packets=lambda: sine_packets(3000))) as url, reading(url) as watched:
        watched.wait_for(SourceState.LISTENING)
        error = SourceError("yard", watched.reader.config.address, Reason.TOO_LARGE, "for a test")
        watched.reader.end_connection(error, long_wait=True)
        position = watched.wait_for(SourceState.WAITING, Reason.TOO_LARGE)
        next_try = watched.statuses[position - 1].next_try
        assert next_try is not None
        assert next_try - datetime.now(UTC) > timedelta(seconds=50)
        assert watched.reader.load() is None
        waits_s = watched.reader.counts().last_progress_s
        wait_until(lambda: watched.reader.counts().last_progress_s > waits_s, what="it looks stuck")
        watched.reader.pardon()
        watched.wait_for(SourceState.LISTENING, after=position)
        load = watched.reader.load()
        assert load is not None
        assert load.received_bytes is None
        assert 0 <= load.cpu_s < 5
