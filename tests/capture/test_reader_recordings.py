"""A Reader of recordings: heard once, or in a loop, at their own speed."""

from pathlib import Path

import pytest
from support.media import sine, write_media
from support.readers import Watched, reading
from support.rtsp import start_gst_server
from support.waiting import wait_until

from edgeaudio.capture import reader
from edgeaudio.types import Reason, SourceState


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
    assert "cut off" in watched.statuses[-1].detail


@pytest.mark.usefixtures("quick")
def test_a_recording_is_played_in_a_loop_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_media(path, "pcm_s16le", sine(1000, 8000, 0.4), 8000)
    with reading(str(path), loop=True) as watched:
        after = watched.wait_for(SourceState.LISTENING)
        watched.wait_for(SourceState.LISTENING, None, after)
    assert SourceState.WAITING not in {status.state for status in watched.statuses}
    assert watched.blocks[-1].epoch > 0
    heard = next(status for status in watched.statuses if status.state is SourceState.LISTENING)
    assert (heard.codec, heard.sample_rate, heard.channels) == ("pcm_s16le", 8000, 1)
    assert watched.reader.counts().connections >= 2
