"""A scripted camera in a thread: a small RTSP server, for faults that real servers do not have.

It sends 16-bit PCM (L16) over the RTSP connection. A `Script` has its packets and faults.
"""

import contextlib
import itertools
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from support.serving import serving

RATE = 16000
PACKET = 320  # samples, 20 ms
ALARM = Path(__file__).parents[2] / "edgeaudio" / "demo" / "sounds" / "kitchen.opus"


@dataclass(slots=True)
class Packet:
    """One RTP packet of a script."""

    timestamp: int
    payload: bytes
    wait_s: float = PACKET / RATE  # before it is sent
    channel: int = 0  # interleaved channel: 0 audio, 2 video
    raw: bytes = b""  # sent as it is, in place of all that


def sine_packets(count: int = 10**9, *, start: int = 0) -> Iterator[Packet]:
    """A flawless 1 kHz tone."""
    time_s = np.arange(PACKET) / RATE
    payload = (0.5 * 32767 * np.sin(2 * np.pi * 1000 * time_s)).astype(">i2").tobytes()
    for index in range(start, start + count):
        yield Packet(index * PACKET, payload)


def alarm_sound() -> NDArray[np.float64]:
    """Whole seconds of the demo's smoke alarm, `(n * RATE,)` from -1 to 1."""
    resampler = av.AudioResampler(format="dbl", layout="mono", rate=RATE)
    with av.open(str(ALARM)) as container:
        frames = [made for frame in container.decode(audio=0) for made in resampler.resample(frame)]
    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    return samples[: len(samples) // RATE * RATE]


def packets_of(sound: NDArray[np.float64]) -> Iterator[Packet]:
    """Whole seconds of sound, `(n * RATE,)` from -1 to 1, again and again."""
    parts = np.rint(32767 * sound).astype(">i2").reshape(-1, PACKET)
    for index in itertools.count():
        yield Packet(index * PACKET, parts[index % len(parts)].tobytes())


@dataclass(slots=True)
class Script:
    """The behaviour of a camera. `packets` is called for each session."""

    packets: Callable[[], Iterator[Packet]] = sine_packets
    audio: bool = True
    codec: str = "L16"  # that it claims to send
    sdp: str = ""  # in place of a session description that fits
    video: bool = False
    refuse: str = ""  # the status line's code and text of every DESCRIBE
    refuse_audio_alone: str = ""  # the status line's code and text; "hang": no answer at all
    alone: int | None = None  # packets that are sent, if sound alone is asked for, before nothing comes any more
    udp: bool = False  # it agrees to send by UDP, and what it sends never arrives
    hang_at: str = ""  # the method that is never answered
    linger: bool = False  # keep the connection when the packets are out
    reset: bool = False  # reset it then
    seen: list[str] = field(default_factory=list)  # methods and paths of all requests


def _sdp(script: Script) -> str:
    if script.sdp:
        return script.sdp
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=camera", "t=0 0", "a=control:*"]
    if script.video:
        lines += ["m=video 0 RTP/AVP 97", "a=rtpmap:97 H264/90000", "a=control:video"]
    if script.audio:
        lines += ["m=audio 0 RTP/AVP 96", f"a=rtpmap:96 {script.codec}/{RATE}", "a=control:audio"]
    return "\r\n".join(lines) + "\r\n"


@contextlib.contextmanager
def camera(script: Script, port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Run a camera and yield its URL; with `tls`, one that serves TLS as localhost."""
    scheme, host = ("rtsp", "127.0.0.1") if tls is None else ("rtsps", "localhost")
    with serving(lambda connection, ended: _session(connection, script, ended, tls), port=port) as own:
        yield f"{scheme}://{host}:{own}/camera"


def _session(connection: socket.socket, script: Script, ended: threading.Event, tls: ssl.SSLContext | None) -> None:
    with contextlib.suppress(OSError):
        connection.settimeout(5)
        connection = tls.wrap_socket(connection, server_side=True) if tls else connection
    with connection, contextlib.suppress(OSError, ValueError):
        connection.settimeout(0.1)
        held = b""
        tracks: set[str] = set()
        while not ended.is_set():
            request, held = _request(connection, held, ended)
            if not request:
                return
            method, url = request.split()[:2]
            script.seen.append(f"{method} {url.rsplit('/', 1)[-1]}")
            if method == script.hang_at:
                ended.wait()
                return
            sequence = next((line for line in request.splitlines() if line.lower().startswith("cseq")), "")
            status, headers, body = "200 OK", ["Session: 7"], ""
            if method == "DESCRIBE":
                status = script.refuse or status
                body = _sdp(script)
                headers = ["Content-Type: application/sdp", f"Content-Base: {url}/"]
            elif method == "SETUP":
                track = url.rsplit("/", 1)[-1]
                tracks.add(track)
                pair = "2-3" if track == "video" else "0-1"
                ports = re.search(r"client_port=[0-9-]+", request)
                answer = f"RTP/AVP;unicast;{ports[0]};server_port=9-9" if script.udp and ports else ""
                headers.append(f"Transport: {answer or f'RTP/AVP/TCP;unicast;interleaved={pair}'}")
            elif method == "PLAY" and script.refuse_audio_alone and script.video and "video" not in tracks:
                if script.refuse_audio_alone == "hang":
                    ended.wait()
                    return
                status = script.refuse_audio_alone
            lines = [f"RTSP/1.0 {status}", sequence, *headers, f"Content-Length: {len(body.encode())}"]
            connection.sendall(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
            if method == "PLAY" and status == "200 OK" and not script.udp:
                alone = script.alone if "video" not in tracks else None
                _play(connection, script, ended, alone)
                if script.linger or alone is not None:
                    ended.wait()
                return


def _request(connection: socket.socket, held: bytes, ended: threading.Event) -> tuple[str, bytes]:
    while b"\r\n\r\n" not in held and not ended.is_set():
        with contextlib.suppress(TimeoutError):
            more = connection.recv(4096)
            if not more:
                return "", b""
            held += more
    head, _, held = held.partition(b"\r\n\r\n")
    return head.decode(), held


def _play(connection: socket.socket, script: Script, ended: threading.Event, most: int | None) -> None:
    connection.settimeout(5)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    due = time.monotonic()
    for sequence, packet in enumerate(itertools.islice(script.packets(), most)):
        due += packet.wait_s
        if ended.wait(max(0.0, due - time.monotonic())):
            return
        if packet.raw:
            connection.sendall(packet.raw)
            continue
        kind = 97 if packet.channel == 2 else 96
        # FFmpeg takes a first timestamp of 0 for none
        timestamp = (packet.timestamp + 123_456) & 0xFFFFFFFF
        header = struct.pack(">BBHII", 0x80, kind, sequence & 0xFFFF, timestamp, 99)
        data = header + packet.payload
        connection.sendall(struct.pack(">cBH", b"$", packet.channel, len(data)) + data)
    if script.reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
