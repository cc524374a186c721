"""Sound that begins late, or after a large picture, is found within the probe limits; no sound is another reason."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from support.camera import Script, camera
from support.rtsp import CODECS, VIDEO, start_gst_server
from support.sources import hear

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import open_source
from edgeaudio.capture.errors import SourceError
from edgeaudio.capture.opening import SourceMemory
from edgeaudio.types import Reason

RATE = 44100


def write_film(
    path: Path, container: str, *, first_picture_bytes: int = 0, late_s: float = 0.0, seconds: float = 8.0
) -> Path:
    """Pictures, the first of the given size, and MP3 that begins `late_s` after them."""
    with av.open(str(path), "w", format=container) as film:
        pictures: Any = film.add_stream("flv1" if container == "flv" else "mpeg4", rate=10)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 64, "yuv420p"
        key = bytes((list(pictures.encode(av.VideoFrame(64, 64, "yuv420p"))) + list(pictures.encode(None)))[0])
        sound: Any = film.add_stream("libmp3lame", rate=RATE, layout="mono") if late_s < seconds else None
        packets: list[tuple[float, Any]] = []
        for index in range(int(10 * seconds)):
            packet = av.Packet(key + bytes(max(0, first_picture_bytes - len(key)) if index == 0 else 0))
            packet.stream, packet.time_base, packet.pts, packet.dts = pictures, Fraction(1, 10), index, index
            packet.is_keyframe = index == 0
            packets.append((index / 10, packet))
        tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(int(RATE * seconds)) / RATE).astype(np.float32)
        for start in range(int(late_s * RATE), len(tone) - 1152, 1152):
            frame = AudioFrame.from_ndarray(tone[None, start : start + 1152], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = RATE, start
            packets += [(float(packet.pts * packet.time_base), packet) for packet in sound.encode(frame)]
        for _, packet in sorted(packets, key=lambda pair: pair[0]):
            film.mux(packet)
    return path


@pytest.mark.parametrize(
    "film", [{"first_picture_bytes": 1_700_000, "late_s": 0.05}, {"late_s": 2.5}, {"late_s": 4.0}], ids=str
)
def test_sound_that_begins_late_is_found_and_remembered(film: dict[str, Any], tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.flv", "flv", **film)
    memory = SourceMemory()
    assert hear(str(path), 1.0, media=True, memory=memory).connection.info.sample_rate == RATE
    assert memory.begins_late
    assert hear(str(path), 1.0, media=True, memory=memory).seconds >= 1.0


def refusal(url: str, **config: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        hear(url, 1.0, media=True, **config)
    return caught.value


def test_what_is_not_within_the_limits_is_told_with_their_names_and_found_beyond_them(tmp_path: Path) -> None:
    path = str(write_film(tmp_path / "a.flv", "flv", late_s=6.5))
    error = refusal(path)
    assert (error.reason, error.detail) == (
        Reason.NO_AUDIO_FOUND,
        "no audio came within 5 s or 5 MB, only video",
    )
    assert "raise probe_s and probe_bytes of this source" in error.hint
    assert hear(path, 0.5, media=True, probe_s=10.0).seconds >= 0.5
    big = str(write_film(tmp_path / "b.flv", "flv", first_picture_bytes=1_700_000, late_s=0.05))
    assert refusal(big, probe_bytes=1_500_000).detail == "no audio came within 5 s or 1.5 MB, only video"


@pytest.mark.parametrize("container", ["mpegts", "mp4", "matroska"])
def test_where_a_table_of_tracks_names_no_sound_there_is_none(container: str, tmp_path: Path) -> None:
    error = refusal(str(write_film(tmp_path / "a", container, late_s=99.0)))
    assert (error.reason, error.detail) == (Reason.NO_AUDIO_TRACK, "no audio track, only video")


def test_a_description_without_sound_is_believed_at_once() -> None:
    with camera(Script(video=True, audio=False)) as url:
        began_s = time.monotonic()
        error = refusal(url)
        assert error.reason is Reason.NO_AUDIO_TRACK
        assert time.monotonic() - began_s < 4.0


@contextlib.contextmanager
def stream(path: Path, bytes_per_s: float) -> Iterator[str]:
    """A film over HTTP, as slowly as a live stream comes."""
    ended = threading.Event()
    data = path.read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)

        def serve() -> None:
            while not ended.is_set():
                with contextlib.suppress(OSError), server.accept()[0] as connection:
                    connection.settimeout(5)
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: video/x-flv\r\n\r\n")
                    for start in range(0, len(data), 4096):
                        connection.sendall(data[start : start + 4096])
                        if ended.wait(4096 / bytes_per_s):
                            break

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/live.flv"
        finally:
            ended.set()
            thread.join()


def test_a_live_stream_whose_sound_begins_late(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.flv", "flv", late_s=2.5, seconds=20.0)
    with stream(film, film.stat().st_size / 20.0 * 1.5) as url:
        assert hear(url, 0.5).connection.info.codec.startswith("mp3")


def test_what_says_what_it_holds_is_opened_at_once() -> None:
    with start_gst_server(f"{CODECS['aac'][1]} {VIDEO}") as server:
        config = SourceConfig("a", server.url, probe_bytes=50_000_000, probe_s=30.0)
        with open_source(config, threading.Event()):
            pass  # the server makes its pictures ready for the first viewer
        began_s = time.monotonic()
        with open_source(config, threading.Event()):
            assert time.monotonic() - began_s < 1.5
