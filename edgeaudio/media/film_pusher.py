"""The program that pushes a film to a server: `python -m edgeaudio.media.film_pusher`, with film_wire.py on its pipes.

Owns: the connection to the server, for as long as it holds. Does not know: how the film is made, when to try again.

It is a process of its own, because a server that stalls holds up FFmpeg for ever, whatever its time limits, and keeps
Python's lock while it connects: only a signal from another process ends that. It ends with its parent.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import re
import select
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import av.logging
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from edgeaudio.media.film_pace import Pace
from edgeaudio.media.film_wire import FAULT, OPENED, TAKEN, PacketHead, PushHead, WireReader
from edgeaudio.urls import split_url

UNACKNOWLEDGED_S: Final = 10  # a peer that acknowledges nothing for so long is gone
_READ_BYTES: Final = 1 << 20
SEND_BUFFER_BYTES: Final = 256 * 1024  # a peer that stalls is noticed when it is full
_PR_SET_PDEATHSIG: Final = 1
# FFmpeg's own words; the groups can hold no login
_REFUSED: Final = re.compile(
    r"(?:method|Server error:|server returned) ?[\w ]{0,20}failed: (?P<code>\d{3})", re.IGNORECASE
)


def main() -> int:
    """Push what comes on standard input; returns the exit status."""
    _end_with_parent()
    av.logging.set_level(av.logging.ERROR)
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints is no answer
    wire = WireReader()
    with av.logging.Capture() as lines:
        try:
            while (head := wire.head()) is None:
                if not (data := os.read(0, _READ_BYTES)):
                    return 0
                wire.feed(data)
            with av.open(io.BytesIO(head.template), "r", format="nut", options={"probesize": "32"}) as template:
                _push(head, template, wire, answers)
        except (av.FFmpegError, OSError, ValueError) as error:
            fault = _fault(error, lines)
        else:
            return 0
    with suppress(OSError):
        os.write(answers, FAULT + json.dumps(fault).encode())
    return 1


def _push(head: PushHead, template: InputContainer, wire: WireReader, answers: int) -> None:
    url = split_url(head.url)
    socket.getaddrinfo(url.host, url.port)  # FFmpeg tells a name that is unknown from no other failure
    with av.open(head.url, "w", format=head.container, container_options=head.options) as output:
        streams = [output.add_stream_from_template(stream, opaque=True) for stream in template.streams]
        output.start_encoding()
        _bound_sockets()
        os.write(answers, OPENED)
        origin_s: int | None = None  # time of the film at which the connection began
        for packet_head, data in _paced(wire, head.units):
            unit = head.units[packet_head.stream]
            if origin_s is None:  # whole seconds, which every unit can hold
                origin_s = int(packet_head.dts * unit)
            _mux(output, streams[packet_head.stream], packet_head, data, unit, int(origin_s / unit))
            os.write(answers, TAKEN)


def _paced(wire: WireReader, units: Sequence[Fraction]) -> Iterator[tuple[PacketHead, bytes]]:
    """Yield packets as they are due, up to the end of standard input; then those that still wait."""
    pace: Pace[tuple[PacketHead, bytes]] = Pace()
    while True:
        wait_s = pace.wait_s(time.monotonic())
        if select.select([0], [], [], wait_s)[0]:
            data = os.read(0, _READ_BYTES)
            if not data:
                break
            wire.feed(data)
            while (packet := wire.packet()) is not None:
                pace.put(float(packet[0].dts * units[packet[0].stream]), packet, time.monotonic())
        while (due := pace.next_due(time.monotonic())) is not None:
            yield due
    while (rest := pace.take()) is not None:
        yield rest


def _mux(output: OutputContainer, stream: Stream, head: PacketHead, data: bytes, unit: Fraction, origin: int) -> None:
    packet: Packet[Stream] = Packet(data)
    packet.stream = stream
    packet.time_base = unit
    packet.pts, packet.dts = head.pts - origin, head.dts - origin
    packet.duration = head.duration
    packet.is_keyframe = head.is_key
    output.mux(packet)


def _bound_sockets() -> None:
    """Have the kernel notice a peer that is gone, and keep little for one that stalls."""
    for entry in Path("/proc/self/fd").iterdir():
        number = int(entry.name)
        with suppress(OSError), socket.socket(fileno=os.dup(number)) as connection:
            if connection.family in {socket.AF_INET, socket.AF_INET6} and connection.type == socket.SOCK_STREAM:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_S * 1000)


def _end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, also while FFmpeg waits."""
    parent = os.getppid()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _fault(error: Exception, lines: list[tuple[int, str, str]]) -> dict[str, object]:
    """Return what is known of a failure, in words of this module alone: FFmpeg's hold the address and its login."""
    text = "\n".join(line for _, _, line in lines)
    refused = _REFUSED.search(text)
    return {
        "kind": type(error).__name__,
        "errno": error.errno if isinstance(error, OSError | av.FFmpegError) else None,
        "code": int(refused["code"]) if refused else None,
        "certificate": "certificate" in text.lower(),
    }


if __name__ == "__main__":
    status = main()
    os._exit(status)  # FFmpeg's threads and Python's shutdown do not go together
