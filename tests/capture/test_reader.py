"""A Reader against servers that die, hang, move and come back."""

import contextlib
import itertools
import logging
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from support.camera import PACKET, RATE, Packet, Script, camera, sine_packets
from support.icecast import live_server
from support.media import sine, write_media
from support.ports import free_port
from support.rtsp import CODECS, push_rtsp, start_gst_server
from support.waiting import wait_until

from edgeaudio.capture import reader
from edgeaudio.capture.admission import Admission, Hold
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.errors import SourceError
from edgeaudio.capture.reader import Reader
from edgeaudio.capture.rtsp_setup import RtspMode, RtspSetupStore
from edgeaudio.clock import Clock
from edgeaudio.types import Block, Reason, SourceState, SourceStatus


class Watched:
    """A Reader in a thread, and all that it said."""

    def __init__(self, url: str, admission: Admission | None = None, **config: object) -> None:
        self.blocks: list[Block] = []
        self.said: list[SourceStatus] = []
        self.stop = threading.Event()
        self.clock = Clock()
        self.began_s = self.clock.monotonic()
        settings = {"open_timeout_s": 2.0, "read_timeout_s": 1.0, **config}
        self.reader = Reader(
            SourceConfig(name="yard", url=url, **settings),  # type: ignore[arg-type]
            on_block=self.blocks.append,
            on_status=self.said.append,
            stop=self.stop,
            clock=self.clock,
            admission=admission,
        )
        self.thread = threading.Thread(target=self.reader.run)

    def states(self) -> list[tuple[SourceState, Reason | None]]:
        return [(status.state, status.reason) for status in self.said]

    def wait_for(self, state: SourceState, reason: Reason | None = None, after: int = 0) -> int:
        """Wait until `state` is said at or after position `after`; returns the position behind it."""

        def found() -> int:
            states = self.states()
            return next((k + 1 for k in range(after, len(states)) if states[k] == (state, reason)), 0)

        wait_until(found, 12, f"{state} {reason}")
        return found()

    def wait_for_blocks(self, more: int) -> None:
        count = len(self.blocks) + more
        wait_until(lambda: len(self.blocks) >= count)

    def check(self) -> None:
        """What must hold of any Reader at any time."""
        counts = self.reader.counts()
        wall_s = self.clock.monotonic() - self.began_s
        coverage = counts.coverage
        assert coverage.heard_s + coverage.lost_s == pytest.approx(coverage.accounted_s, abs=1e-9)
        # up to the last sound, and what is on its way is younger than the limit for a stall
        assert wall_s - 2.0 < coverage.accounted_s <= wall_s
        assert coverage.heard_s <= sum(block.duration_s for block in self.blocks) + 0.1
        order = [(block.epoch, block.offset) for block in self.blocks]
        assert order == sorted(order)
        times = [block.at for block in self.blocks]
        assert times == sorted(times)


@contextlib.contextmanager
def reading(url: str, admission: Admission | None = None, **config: object) -> Iterator[Watched]:
    watched = Watched(url, admission, **config)
    watched.thread.start()
    try:
        yield watched
        watched.check()
    finally:
        began = time.monotonic()
        watched.stop.set()
        watched.thread.join(5)
        assert not watched.thread.is_alive()
        assert time.monotonic() - began < 1.0
    assert watched.reader.counts().coverage.accounted_s == pytest.approx(
        watched.clock.monotonic() - watched.began_s, abs=0.2
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-off in tenths of a second."""
    monkeypatch.setattr(reader, "FIRST_DELAY_S", 0.1)
    monkeypatch.setattr(reader, "LAST_DELAY_S", 0.4)


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


def test_a_recording_is_heard_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_RESTING_TURN_S", 0.05)
    path = tmp_path / "a.wav"
    write_media(path, "pcm_s16le", sine(1000, 8000, 0.4), 8000)
    watched = Watched(str(path))
    watched.thread.start()
    watched.wait_for(SourceState.ENDED, Reason.END_OF_STREAM)
    counts = watched.reader.counts()
    wait_until(lambda: watched.reader.counts().last_progress_s > counts.last_progress_s)  # it does not look stuck
    watched.stop.set()
    watched.thread.join(5)
    assert sum(block.duration_s for block in watched.blocks) == pytest.approx(0.4)
    assert watched.reader.counts().coverage.lost_s == pytest.approx(
        counts.coverage.lost_s
    )  # nothing more is to be heard
    assert watched.reader.counts().connections == 1


def test_a_recording_that_a_server_plays_is_heard_once_too(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_media(path, "pcm_s16le", sine(1000, 8000, 2.0), 8000)
    played = f"filesrc location={path} ! wavparse ! audioconvert ! alawenc ! rtppcmapay name=pay0 pt=8"
    with start_gst_server(played) as server:
        watched = Watched(server.url)
        watched.thread.start()
        watched.wait_for(SourceState.ENDED, Reason.END_OF_STREAM)
        watched.stop.set()
        watched.thread.join(5)
    assert sum(block.duration_s for block in watched.blocks) == pytest.approx(2.0, abs=0.2)
    assert watched.reader.counts().connections == 1


def test_a_recording_that_is_cut_off_has_ended_too(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_media(path, "pcm_s16le", sine(1000, 8000, 1.0), 8000)
    path.write_bytes(path.read_bytes()[:10_000])
    watched = Watched(str(path))
    watched.thread.start()
    watched.wait_for(SourceState.ENDED, Reason.INVALID_DATA)
    watched.stop.set()
    watched.thread.join(5)
    assert "cut off" in watched.said[-1].detail


@pytest.mark.usefixtures("quick")
def test_jitter_keeps_within_its_bounds() -> None:
    with reading("/nowhere/a.wav") as watched:
        wait_until(lambda: len(watched.said) > 8)
    tries = [status for status in watched.said if status.next_try is not None]
    assert tries
    assert all(status.state is SourceState.WAITING for status in tries)
    assert len({status.since for status in watched.said[1:]}) == 1  # since when it is deaf
    assert all(status.reason is Reason.NOT_FOUND for status in watched.said[1:])
    assert "there is no such file; check the path" in {status.detail for status in tries}


@pytest.mark.usefixtures("quick")
def test_a_recording_is_played_in_a_loop_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_media(path, "pcm_s16le", sine(1000, 8000, 0.4), 8000)
    with reading(str(path), loop=True) as watched:
        after = watched.wait_for(SourceState.LISTENING)
        watched.wait_for(SourceState.LISTENING, None, after)
    assert SourceState.WAITING not in {status.state for status in watched.said}
    assert watched.blocks[-1].epoch > 0
    heard = next(status for status in watched.said if status.state is SourceState.LISTENING)
    assert (heard.codec, heard.sample_rate, heard.channels) == ("pcm_s16le", 8000, 1)
    assert watched.reader.counts().connections >= 2


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
def test_a_camera_that_falls_silent_is_stalled_and_then_tried_again() -> None:
    script = Script(packets=lambda: sine_packets(40), linger=True)
    with camera(script) as url, reading(url) as watched:
        after = watched.wait_for(SourceState.LISTENING)
        began = time.monotonic()
        after = watched.wait_for(SourceState.STALLED, Reason.TIMEOUT, after)
        assert time.monotonic() - began < 3.0
        stalled = watched.said[after - 1]
        # it might have been a pause of the sender: the server answers
        assert stalled.detail == "no sound within 1 s; the server answers, so it is waited for"
        after = watched.wait_for(SourceState.STALLED, Reason.TIMEOUT, after)
        assert time.monotonic() - began < 6.0
        stalled = watched.said[after - 1]
        assert stalled.detail == "no sound within 1 s; check that the device is on and sends"
        assert stalled.next_try is not None
        watched.wait_for(SourceState.LISTENING, None, after)


def test_what_a_server_had_in_store_is_heard_though_nothing_follows(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    write_media(path, "libmp3lame", sine(1000, 16000, 4.0), 16000, bit_rate=64000)
    with (
        live_server(path.read_bytes(), 8000, stored_s=4.0, open_end=True) as url,
        reading(url, read_timeout_s=4.0) as got,
    ):
        began = time.monotonic()
        got.wait_for(SourceState.LISTENING)
        wait_until(lambda: sum(block.duration_s for block in got.blocks) > 3.0)
        assert time.monotonic() - began < 3.5  # before the connection is given up
        got.wait_for(SourceState.STALLED, Reason.TIMEOUT)


def pausing(pauses_s: list[float], *, timestamps_stand: bool = False) -> Iterator[Packet]:
    """Half a second of a tone after each pause in which nothing is sent."""
    payload = next(sine_packets(1)).payload
    timestamp = 0
    for pause_s in [0.0, *pauses_s]:
        timestamp += 0 if timestamps_stand else round(pause_s * RATE)
        for index in range(25):
            yield Packet(timestamp, payload, wait_s=PACKET / RATE + (pause_s if index == 0 else 0.0))
            timestamp += PACKET


@pytest.mark.parametrize("timestamps_stand", [False, True])
def test_a_pause_of_the_sender_is_silence_and_teaches_that_it_pauses(timestamps_stand: bool) -> None:
    pauses = [1.8, 6.0]  # the limit is 1 s, and four times that for a source that is not known to pause
    script = Script(packets=lambda: pausing(pauses, timestamps_stand=timestamps_stand), linger=True)
    with camera(script) as url, reading(url) as watched:
        after = watched.wait_for(SourceState.LISTENING)
        after = watched.wait_for(SourceState.STALLED, Reason.TIMEOUT, after)
        watched.wait_for(SourceState.LISTENING, None, after)
        wait_until(lambda: watched.said[-1].pauses)
        count = len(watched.said)
        # the second pause is told while it lasts, and no state is left
        wait_until(lambda: watched.reader.counts().quiet_s > 5.0, 12)
        wait_until(lambda: sum(block.duration_s for block in watched.blocks) > 9.0, 12)
        assert len(watched.said) == count
        counts = watched.reader.counts()
    assert {block.epoch for block in watched.blocks} == {0}
    assert counts.quiet_s == pytest.approx(7.8, abs=0.9)
    assert counts.connections == 1
    assert counts.coverage.lost_s < 0.6
    loud_s = sum(block.duration_s for block in watched.blocks if np.abs(block.samples).max() > 0.1)
    assert loud_s == pytest.approx(1.5, abs=0.6)  # blocks reach over the edges


def test_a_sender_that_is_known_to_pause_is_waited_for_from_the_beginning() -> None:
    script = Script(packets=lambda: itertools.islice(pausing([3.0]), 25, None), linger=True)  # a pause comes first
    with camera(script) as url, reading(url, pauses=True) as watched:
        watched.wait_for(SourceState.LISTENING)
        wait_until(lambda: any(np.abs(block.samples).max() > 0.1 for block in watched.blocks))
        states = {status.state for status in watched.said}
    assert states == {SourceState.CONNECTING, SourceState.LISTENING}
    assert {block.epoch for block in watched.blocks} == {0}


def test_a_sender_that_pauses_and_is_gone_is_not_waited_for() -> None:
    script = Script(packets=lambda: pausing([1.5, 60.0]), linger=True)
    with camera(script) as url, reading(url) as watched:
        wait_until(lambda: any(status.pauses for status in watched.said))
        script.hang_at = "OPTIONS"
        watched.wait_for(SourceState.STALLED, Reason.TIMEOUT, len(watched.said))


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
                assert (watched.said[after - 1].codec, watched.said[after - 1].sample_rate) == (codec, rate)
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
            assert watched.said[after - 1].codec == "opus"


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
        assert watched.said[0].detail == f"waiting for a sender to push to {watched.reader.config.address}"


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
            watched.wait_for(SourceState.LISTENING, None, len(watched.said))
            wait_until(lambda: len(watched.blocks) > 8)
            media = [status.media for status in watched.said if status.state is SourceState.LISTENING]
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


class _Gatekeeper(Admission):
    """Holds a source back until it is told not to."""

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
    gatekeeper = _Gatekeeper()
    with reading(str(tmp_path / "a.wav"), admission=gatekeeper) as watched:
        watched.wait_for(SourceState.QUARANTINED, Reason.CRASHED_THE_AGENT)
        assert gatekeeper.hold is not None
        assert watched.said[-1].next_try == gatekeeper.hold.until
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
        next_try = watched.said[position - 1].next_try
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
