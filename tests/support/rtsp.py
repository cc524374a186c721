"""Live senders for tests: GStreamer's RTSP server, and pushes from a child process, by RTSP and otherwise."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.programs import SYSTEM_PYTHON, require_gstreamer

_HERE = Path(__file__).parent
VIDEO = (
    "videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=10/1 ! "
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! rtph264pay name=pay1 pt=97 config-interval=1"
)


def tone(rate: int, chain: str, *, channels: int = 1, frequency_hz: int = 1000) -> str:
    """A live tone for `start_gst_server`; `chain` encodes it, and ends in a payloader without its name."""
    caps = f"audio/x-raw,rate={rate},channels={channels}"
    return f"audiotestsrc is-live=true freq={frequency_hz} volume=0.5 ! {caps} ! audioconvert ! {chain} name=pay0"


# codec, as FFmpeg names it -> (rate in Hz, pipeline)
CODECS = {
    "pcm_alaw": (8000, tone(8000, "alawenc ! rtppcmapay pt=8")),
    "pcm_mulaw": (8000, tone(8000, "mulawenc ! rtppcmupay pt=0")),
    "pcm_s16be": (96000, tone(96000, "rtpL16pay pt=96")),
    "opus": (48000, tone(48000, "opusenc ! rtpopuspay pt=96")),
    "aac": (16000, tone(16000, "voaacenc ! rtpmp4gpay pt=96")),
    "g726le": (8000, tone(8000, "avenc_g726 bitrate=32000 ! rtpg726pay force-aal2=false pt=96")),
}


@dataclass(frozen=True, slots=True)
class GstServer:
    """A running server; kill or stop `process` to see what happens."""

    url: str
    process: subprocess.Popen[str]


@contextlib.contextmanager
def start_gst_server(
    pipeline: str,
    *,
    address: str = "127.0.0.1",
    port: int = 0,
    within: Sequence[str] = (),
    auth: str | None = None,
    user: str = "user",
    password: str = "secret",  # noqa: S107 (made up)
    protocols: str | None = None,
) -> Iterator[GstServer]:
    """GStreamer's RTSP server playing `pipeline`; skips the test where it is not installed.

    `within`: the command that runs it where `address` is, in a network namespace for instance.
    """
    require_gstreamer()
    command = [*within, SYSTEM_PYTHON, "-W", "ignore", str(_HERE / "gst_server.py"), "--launch", pipeline]
    command += ["--address", address, "--port", str(port)]
    if auth:
        command += ["--auth", auth, "--user", user, "--password", password]
    if protocols:
        command += ["--protocols", protocols]
    with running(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "the RTSP server did not start"
        yield GstServer(url, process)


@contextlib.contextmanager
def push_rtsp(url: str, *, codec: str = "pcm_alaw", rate: int = 8000, seconds: float = 30) -> Iterator[None]:
    """Push a 1 kHz tone to an RTSP listener from a child process, in real time, as soon as it listens."""
    with push(url, "rtsp", codec, rate, seconds):
        yield


@contextlib.contextmanager
def push(url: str, container: str, codec: str, rate: int, seconds: float = 30) -> Iterator[None]:
    """Send a 1 kHz tone, in any of FFmpeg's formats, from a child process in real time; MPEG-TS with pictures."""
    command = [sys.executable, str(_HERE / "media.py"), "push", container, url, codec, str(rate), str(seconds)]
    with running(command, stderr=subprocess.DEVNULL):
        yield


@contextlib.contextmanager
def running(command: list[str], **pipes: int) -> Iterator[subprocess.Popen[str]]:
    """A child process that ends with the block, however it stands then."""
    process = subprocess.Popen(command, text=True, **pipes)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
