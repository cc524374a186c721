"""Cameras that can be broken, and the faults that befall them: GStreamer's RTSP server, killed, frozen, changed.

Owns: how each fault is made and mended, and the states that the agent may report. Does not know: how that is measured
(cameras.py).
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from support.ports import free_port
from support.rtsp import CODECS, VIDEO, GstServer, start_gst_server, tone

from chaos.network import Cable
from chaos.noisy_line import Noise, NoisyLine

ALAW, AAC, VIDEO_ALONE = CODECS["pcm_alaw"][1], CODECS["aac"][1], VIDEO.replace("pay1", "pay0")
# what another camera, or the same one after an update, may send
AAC_48K = tone(48000, "voaacenc ! rtpmp4gpay pt=96")
BROKEN_OFF = {"waiting end_of_stream", "waiting refused"}  # the line breaks before or after the port is closed
STALLED = {"stalled timeout"}


class Camera:
    """GStreamer's RTSP server on a port of its own, which can be killed, frozen and started with another stream."""

    def __init__(self, stack: ExitStack, pipeline: str = ALAW, cable: Cable | None = None) -> None:
        self.port = free_port()
        self._pipeline = pipeline
        self._where = {"address": cable.address, "within": cable.within} if cable else {}
        self._stack = stack.enter_context(ExitStack())
        self._server: GstServer | None = None
        self.url = f"rtsp://{cable.address if cable else '127.0.0.1'}:{self.port}/camera"

    def start(self, pipeline: str = "", password: str = "") -> None:
        """Serve from now on, in place of the server that ran before."""
        self.kill()
        login = {"auth": "digest", "password": password} if password else {}
        options = {**self._where, **login}
        server = start_gst_server(pipeline or self._pipeline, port=self.port, **options)  # type: ignore[arg-type]
        self._server = self._stack.enter_context(server)

    def kill(self) -> None:
        self._stack.close()

    def shut_down(self) -> None:
        """Have the server end by itself."""
        assert self._server is not None
        assert self._server.process.stdin is not None
        self._server.process.stdin.close()
        self._server.process.wait(10)
        self.kill()

    def freeze(self) -> None:
        assert self._server is not None
        self._server.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._server is not None
        self._server.process.send_signal(signal.SIGCONT)


@dataclass(frozen=True, slots=True)
class Fault:
    """A camera and what happens to it. `harm` returns when the fault began, `mend` when it was over."""

    name: str
    source: str
    url: str
    harm: Callable[[], float]
    mend: Callable[[], float]
    told: set[str]  # the states and reasons that may be published
    settings: str = ""


def loopback_faults(stack: ExitStack) -> list[Fault]:
    """Return the faults that need no network of their own; each has a camera, which serves from now on."""
    return [*_server_faults(stack), *_answer_faults(stack), *_noise_faults(stack)]


def _server_faults(stack: ExitStack) -> list[Fault]:
    killed, restarted, frozen, moved = (Camera(stack) for _ in range(4))
    for camera in (killed, restarted, frozen, moved):
        camera.start()
    other = {ALAW: AAC_48K, AAC_48K: ALAW}
    codec = [ALAW]

    def move() -> None:
        codec[0] = other[codec[0]]
        moved.start(codec[0])

    return [
        Fault("server killed", "killed", killed.url, _before(killed.kill), now_after(killed.start), BROKEN_OFF),
        Fault(
            "server shut down in good order",
            "restarted",
            restarted.url,
            _before(restarted.shut_down),
            now_after(restarted.start),
            BROKEN_OFF,
        ),
        Fault(
            "server frozen, its connection half open",
            "frozen",
            frozen.url,
            now_after(frozen.freeze),
            now_after(frozen.thaw),
            STALLED,
        ),
        Fault(
            "camera reboots with another codec and rate",
            "moved",
            moved.url,
            _before(moved.kill),
            now_after(move),
            BROKEN_OFF,
        ),
    ]


def _answer_faults(stack: ExitStack) -> list[Fault]:
    locked, dumb = Camera(stack), Camera(stack)
    locked.start(password="right")
    dumb.start()
    return [
        Fault(
            "password changed",
            "locked",
            locked.url.replace("//", "//user:right@"),
            now_after(lambda: locked.start(password="other")),
            now_after(lambda: locked.start(password="right")),
            {"waiting unauthorized"},
        ),
        Fault(
            "audio switched off in the camera",
            "dumb",
            dumb.url,
            now_after(lambda: dumb.start(VIDEO_ALONE)),
            now_after(dumb.start),
            {"waiting no_audio_track"},
        ),
    ]


def _noise_faults(stack: ExitStack) -> list[Fault]:
    faults = []
    for name, source, noise in (
        ("garbage in place of the stream", "garbage", "everything"),
        ("garbage in place of the sound's packets", "payload", "payload"),
    ):
        camera = Camera(stack, AAC)
        camera.start()
        line = stack.enter_context(NoisyLine(camera.port))
        url = camera.url.replace(str(camera.port), str(line.port))
        faults.append(
            Fault(
                name,
                source,
                url,
                now_after(_set_noise(line, noise)),  # type: ignore[arg-type]
                now_after(_set_noise(line, "")),
                {*STALLED, "stalled invalid_data", "waiting end_of_stream"},
            )
        )
    return faults


def _set_noise(line: NoisyLine, noise: Noise) -> Callable[[], None]:
    return lambda: setattr(line, "noise", noise)


def _before(deed: Callable[[], object]) -> Callable[[], float]:
    """Return a function that does it, and returns the time before."""

    def do() -> float:
        now_s = time.monotonic()
        deed()
        return now_s

    return do


def now_after(deed: Callable[[], object]) -> Callable[[], float]:
    """Return a function that does it, and returns the time after."""

    def do() -> float:
        deed()
        return time.monotonic()

    return do


def settings_of(fault: Fault) -> str:
    """Return the table of the fault's source."""
    return f'[sources.{fault.source}]\nurl = "{fault.url}"\n{fault.settings}'
