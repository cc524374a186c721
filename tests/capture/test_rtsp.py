"""RTSP: a scripted camera, a sender that pushes to FFmpeg's listen mode, and GStreamer's server."""

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from support.camera import PACKET, RATE, Packet, Script, camera, sine_packets
from support.ports import free_port
from support.rtsp import CODECS, VIDEO, push_rtsp, start_gst_server
from support.sources import Heard, hear, pitch_hz, purity
from support.waiting import wait_until

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import open_source
from edgeaudio.capture.errors import SourceError
from edgeaudio.capture.opening import SourceMemory
from edgeaudio.capture.rtsp_setup import MediaSetting, RtspMode
from edgeaudio.types import Reason


def assert_tone(heard: Heard, rate: int) -> None:
    samples = heard.samples[rate // 4 :]
    for channel in samples.reshape(len(samples), -1).T:
        assert pitch_hz(channel, rate) == pytest.approx(1000, abs=3)
        assert purity(channel) > 0.99
    assert heard.epochs == [0]


def refusal(url: str, **config: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        hear(url, 5, **{"open_timeout_s": 3, "read_timeout_s": 1, **config})
    assert caught.value.__context__ is None  # FFmpeg's own exceptions hold the login
    return caught.value


# a camera in the test


def test_video_is_neither_set_up_nor_sent_where_audio_alone_is_enough() -> None:
    script = Script(video=True)
    with camera(script) as url:
        assert_tone(hear(url, 1), RATE)
    assert "SETUP audio" in script.seen
    assert "SETUP video" not in script.seen


@pytest.mark.parametrize("answer", ["461 Unsupported Transport", "455 Method Not Valid", "500 Internal Server Error"])
def test_a_camera_that_refuses_audio_alone_gives_the_whole_stream_and_is_remembered(answer: str) -> None:
    script = Script(video=True, refuse_audio_alone=answer)
    memory = SourceMemory()
    with camera(script) as url:
        heard = hear(url, 1, memory=memory)
        assert_tone(heard, RATE)
        assert {track.kind for track in heard.connection.info.tracks} == {"audio", "video"}
        assert memory.rtsp_setup.learned == RtspMode("all")
        refused = script.seen.count("PLAY ")
        hear(url, 0.3, memory=memory)
        assert script.seen.count("PLAY ") == refused + 1  # at once, this time


def test_a_camera_that_answers_nothing_to_audio_alone_gives_the_whole_stream_at_the_next_try() -> None:
    memory = SourceMemory()
    with camera(Script(video=True, refuse_audio_alone="hang")) as url:
        with pytest.raises(SourceError, match="no complete answer within 1 s"):
            hear(url, 1, memory=memory, open_timeout_s=1)
        assert_tone(hear(url, 1, memory=memory), RATE)


@pytest.mark.parametrize("media", ["audio", "all"])
def test_what_a_camera_is_asked_for_can_be_set(media: MediaSetting) -> None:
    script = Script(video=True)
    with camera(script) as url:
        hear(url, 0.3, asked=media)
        assert ("SETUP video" in script.seen) == (media == "all")
    with camera(Script(video=True, refuse_audio_alone="500 Internal Server Error")) as url:
        if media == "audio":
            assert refusal(url, asked="audio").reason is Reason.INVALID_DATA
        else:
            hear(url, 0.3, asked="all")


def test_a_camera_without_audio() -> None:
    with camera(Script(video=True, audio=False)) as url:
        assert refusal(url).reason is Reason.NO_AUDIO_TRACK


def altered(change: dict[int, int], lost: frozenset[int] = frozenset()) -> Iterator[Packet]:
    """A tone whose timestamps move by `change[packet]` samples from that packet on."""
    moved = 0
    for index, packet in enumerate(sine_packets(150)):
        moved += change.get(index, 0)
        packet.timestamp += moved
        if index not in lost:
            yield packet


def test_lost_packets_leave_silence_of_their_length_and_are_counted() -> None:
    lost = frozenset(range(20, 150, 10))
    with camera(Script(packets=lambda: altered({}, lost))) as url:
        heard = hear(url, 1.9)
    assert heard.epochs == [0]
    assert heard.connection.blocks.filled_s == pytest.approx(8 * PACKET / RATE, abs=0.04)
    # the tone goes on in step on the other side of each hole
    time_s = np.arange(len(heard.samples)) / RATE
    reference = 0.5 * np.sin(2 * np.pi * 1000 * time_s)
    sounding = heard.samples != 0
    step = np.abs(heard.samples - reference)[sounding]
    assert np.quantile(step, 0.75) < 0.01


def test_a_long_hole_and_a_restart_of_the_timestamps_begin_epochs() -> None:
    with camera(Script(packets=lambda: altered({40: RATE, 80: -2 * RATE}))) as url:
        heard = hear(url, 2.4)
    assert heard.epochs == [0, 1, 2]
    assert [block.offset for block in heard.blocks if block.offset == 0] == [0, 0, 0]


def test_garbage_on_the_connection_is_skipped() -> None:
    def packets() -> Iterator[Packet]:
        generator = np.random.default_rng(1)
        for packet in sine_packets(120):
            yield packet
            yield Packet(packet.timestamp, generator.bytes(100), 0, channel=9)
            yield Packet(packet.timestamp + PACKET, b"", 0)

    with camera(Script(packets=packets)) as url:
        heard = hear(url, 1.5)
    assert pitch_hz(heard.samples, RATE) == pytest.approx(1000, abs=2)
    assert heard.epochs == [0]


def test_audio_that_dies_while_video_goes_on_is_a_stall() -> None:
    def packets() -> Iterator[Packet]:
        yield from sine_packets(25)
        for index in range(1000):
            yield Packet(index * 3600, b"\x41\x9a\x02", 0.04, channel=2)

    script = Script(video=True, refuse_audio_alone="461 Unsupported Transport", packets=packets)
    with camera(script) as url:
        error = refusal(url, open_timeout_s=2)
    assert error.reason is Reason.TIMEOUT
    assert error.detail == "no sound within 1 s"


def test_the_server_ends_the_stream() -> None:
    with camera(Script(packets=lambda: sine_packets(50))) as url:
        assert hear(url).seconds == pytest.approx(1.0)


# a push from another process, as any machine can do it


@pytest.mark.parametrize(("codec", "rate"), [("pcm_alaw", 8000), ("aac", 16000), ("libopus", 48000)])
def test_a_pushed_stream(codec: str, rate: int) -> None:
    port = free_port()
    with push_rtsp(f"rtsp://127.0.0.1:{port}/in", codec=codec, rate=rate):
        assert_tone(hear(f"rtsp+listen://127.0.0.1:{port}/in", 1.5), rate)


def test_waiting_for_a_push_ends_with_the_stop() -> None:
    stop = threading.Event()
    timer = threading.Timer(0.5, stop.set)
    timer.start()
    with pytest.raises(Exception, match="stopped while opening"):
        hear(f"rtsp+listen://127.0.0.1:{free_port()}/in", stop=stop)
    timer.join()


def test_who_connects_and_pushes_nothing_keeps_no_sender_out() -> None:
    port = free_port()
    url = f"rtsp+listen://127.0.0.1:{port}/in"
    with contextlib.ExitStack() as stack:
        visits: list[socket.socket] = []

        def visit() -> None:
            while not visits:
                with contextlib.suppress(ConnectionRefusedError):
                    visits.append(stack.enter_context(socket.create_connection(("127.0.0.1", port))))

        thread = threading.Thread(target=visit)
        thread.start()
        error = refusal(url, open_timeout_s=1)
        thread.join()
        assert (error.reason, error.detail) == (
            Reason.TIMEOUT,
            "somebody connected to it, and pushed nothing within 1 s",
        )
    with push_rtsp(f"rtsp://127.0.0.1:{port}/in"):
        assert hear(url, 0.5).seconds >= 0.5


def test_two_cannot_listen_on_one_port() -> None:
    with camera(Script()) as url:
        port = re.findall(r":(\d+)/", url)[0]
        assert refusal(f"rtsp+listen://127.0.0.1:{port}/in").reason is Reason.DEVICE_BUSY


# GStreamer's server


@pytest.mark.parametrize("video", [False, True])
@pytest.mark.parametrize("codec", CODECS)
def test_gstreamer(codec: str, video: bool) -> None:
    rate, pipeline = CODECS[codec]
    with start_gst_server(f"{pipeline} {VIDEO}" if video else pipeline) as server:
        heard = hear(server.url, 1.2)
    assert heard.connection.info.codec == codec
    assert heard.blocks[0].sample_rate == rate
    assert_tone(heard, rate)


TICKS = (
    "wave=ticks tick-interval=2000000000 sine-periods-per-tick=500 freq=1000 volume=0.5"  # half a second of each two
)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_opus_that_sends_little_while_it_is_quiet_is_one_epoch_of_sound_and_silence(transport: str) -> None:
    chain = "opusenc dtx=true ! rtpopuspay dtx=true name=pay0 pt=96"
    pipeline = f"audiotestsrc is-live=true {TICKS} ! audio/x-raw,rate=48000,channels=1 ! {chain}"
    with start_gst_server(pipeline) as server:
        heard = hear(server.url, 4.5, transport=transport)
    assert len(heard.epochs) <= 2  # what a connection begins with may have a hole
    assert heard.connection.blocks.filled_s < 0.1
    assert heard.connection.blocks.quiet_s > 1.5
    assert heard.connection.pauses
    loud = np.abs(heard.samples[:, 0]) > 0.1
    assert 0.15 < loud.mean() < 0.35


def test_gstreamer_with_the_whole_stream() -> None:
    rate, pipeline = CODECS["aac"]
    with start_gst_server(f"{pipeline} {VIDEO}") as server:
        heard = hear(server.url, 1.2, asked="all")
    assert pitch_hz(heard.samples, rate) == pytest.approx(1000, abs=3)
    assert {track.codec for track in heard.connection.info.tracks} == {"aac", "h264"}


def test_a_server_that_knows_udp_alone_is_asked_again_over_udp_and_remembered() -> None:
    """As VLC's server does; GStreamer's answers 461 in the same words."""
    rate, pipeline = CODECS["pcm_alaw"]
    with start_gst_server(pipeline, protocols="udp") as server:
        memory = SourceMemory()
        assert_tone(hear(server.url, 1.2, memory=memory), rate)
        assert memory.rtsp_setup.learned == RtspMode("audio", "udp")
        error = refusal(server.url, transport="tcp")
        assert (error.reason, error.detail) == (
            Reason.UNSUPPORTED_TRANSPORT,
            "the server does not know this transport of RTSP (461)",
        )
        assert 'set transport = "auto"' in error.hint


def test_a_server_that_knows_tcp_alone_says_so_to_who_asks_for_udp() -> None:
    with start_gst_server(CODECS["pcm_alaw"][1], protocols="tcp") as server:
        assert refusal(server.url, transport="udp").reason is Reason.UNSUPPORTED_TRANSPORT

        def is_heard() -> bool:
            try:
                return hear(server.url, 0.5).seconds >= 0.5
            except SourceError as error:
                if error.reason is Reason.SERVER_BUSY:  # with the end of the session that it refused
                    return False
                raise

        wait_until(is_heard)


def test_a_shared_stream_of_which_another_takes_the_sound_alone_is_busy_and_the_hint_says_why() -> None:
    pipeline = f"{CODECS['pcm_alaw'][1]} {VIDEO}"
    with start_gst_server(pipeline) as server:
        config = SourceConfig(name="other", url=server.url, media="audio")
        with open_source(config, threading.Event()) as other:
            next(iter(other))
            error = refusal(server.url, asked="all")
        assert (error.reason, error.detail) == (
            Reason.SERVER_BUSY,
            "the server serves no further viewer (503, to DESCRIBE)",
        )
        assert 'media = "all"' in error.hint
    with start_gst_server(pipeline) as server:
        config = SourceConfig(name="other", url=server.url, media="all")
        with open_source(config, threading.Event()) as other:
            next(iter(other))
            assert hear(server.url, 0.5, asked="all").seconds >= 0.5


@pytest.mark.parametrize("auth", ["basic", "digest"])
def test_logins_with_special_characters(auth: str) -> None:
    password = "p@s/s:#w%41 ü"
    with start_gst_server(CODECS["pcm_alaw"][1], auth=auth, user="üser", password=password) as server:
        assert hear(server.url, 0.5, username="üser", password=password).seconds >= 0.5
        for login in ({}, {"username": "üser", "password": "hunter2"}):
            error = refusal(server.url, **login)
            assert error.reason is Reason.UNAUTHORIZED
            assert "hunter2" not in str(error)
        assert refusal(server.url + "x", username="üser", password=password).reason is Reason.NOT_FOUND
