"""A Reader of senders that send nothing for a while: stalled, or quiet."""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.camera import PACKET, RATE, Packet, Script, camera, sine_packets
from support.icecast import live_server
from support.media import sine, write_media
from support.readers import reading
from support.waiting import wait_until

from edgeaudio.types import Reason, SourceState


@pytest.mark.usefixtures("quick")
def test_a_camera_that_falls_silent_is_stalled_and_then_tried_again() -> None:
    script = Script(packets=lambda: sine_packets(40), linger=True)
    with camera(script) as url, reading(url) as watched:
        after = watched.wait_for(SourceState.LISTENING)
        began = time.monotonic()
        after = watched.wait_for(SourceState.STALLED, Reason.TIMEOUT, after)
        assert time.monotonic() - began < 3.0
        stalled = watched.statuses[after - 1]
        # it might have been a pause of the sender: the server answers
        assert stalled.detail == "no sound within 1 s; the server answers, so it is waited for"
        after = watched.wait_for(SourceState.STALLED, Reason.TIMEOUT, after)
        assert time.monotonic() - began < 6.0
        stalled = watched.statuses[after - 1]
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
        wait_until(lambda: watched.statuses[-1].pauses)
        count = len(watched.statuses)
        # the second pause is told while it lasts, and no state is left
        wait_until(lambda: watched.reader.counts().quiet_s > 5.0, 12)
        wait_until(lambda: sum(block.duration_s for block in watched.blocks) > 9.0, 12)
        assert len(watched.statuses) == count
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
        states = {status.state for status in watched.statuses}
    assert states == {SourceState.CONNECTING, SourceState.LISTENING}
    assert {block.epoch for block in watched.blocks} == {0}


def test_a_sender_that_pauses_and_is_gone_is_not_waited_for() -> None:
    script = Script(packets=lambda: pausing([1.5, 60.0]), linger=True)
    with camera(script) as url, reading(url) as watched:
        wait_until(lambda: any(status.pauses for status in watched.statuses))
        script.hang_at = "OPTIONS"
        watched.wait_for(SourceState.STALLED, Reason.TIMEOUT, len(watched.statuses))
