"""A line from a camera that turns to noise: a forwarder on loopback.

Owns: which bytes are spoilt. Does not know: who speaks, but for how RTSP frames what it carries.
"""

from __future__ import annotations

import random
import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, Self

Noise = Literal["", "everything", "payload"]
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class NoisyLine:
    """Forwards connections to 127.0.0.1:`target`.

    `noise` may be set at any time: "everything" makes random bytes of all that the server sends,
    "payload" of what is in the RTP packets alone, so that the session stays in order.
    """

    def __init__(self, target: int) -> None:
        self.noise: Noise = ""
        self._target = target
        self._dice = random.Random(target)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._closed = threading.Event()
        self._threads: list[threading.Thread] = []
        self.port: int = self._server.getsockname()[1]

    def __enter__(self) -> Self:
        self._server.settimeout(0.1)
        self._begin(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        for thread in self._threads:
            thread.join(10)
        self._server.close()

    def _begin(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closed.is_set():
            with suppress(TimeoutError):
                near = self._server.accept()[0]
                try:
                    far = socket.create_connection(("127.0.0.1", self._target), 5)
                except OSError:
                    near.close()
                    continue
                for end in (near, far):
                    end.settimeout(0.1)
                self._begin(self._forward, near, far, _as_it_is)
                self._begin(self._forward, far, near, self._spoilt)

    def _forward(self, source: socket.socket, target: socket.socket, change: Callable[[bytes], bytes]) -> None:
        held = b""
        with source, suppress(OSError):
            while not self._closed.is_set():
                try:
                    data = source.recv(65536)
                except TimeoutError:
                    continue
                if not data:
                    break
                whole, held = _whole_units(held + data)
                target.sendall(b"".join(map(change, whole)))
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def _spoilt(self, unit: bytes) -> bytes:
        if self.noise == "everything":
            return self._dice.randbytes(len(unit))
        if self.noise == "payload" and unit[:1] == b"$" and unit[1] % 2 == 0:
            return unit[:16] + self._dice.randbytes(len(unit) - 16)  # 4 bytes of framing, 12 of RTP's header
        return unit


def _as_it_is(unit: bytes) -> bytes:
    return unit


def _whole_units(data: bytes) -> tuple[list[bytes], bytes]:
    """Cut what either side of RTSP sends into interleaved packets and messages; and what is not whole yet."""
    units = []
    while data:
        if data[:1] == b"$":
            length = 4 + int.from_bytes(data[2:4], "big") if len(data) >= 4 else len(data) + 1
        else:
            head, found, _ = data.partition(b"\r\n\r\n")
            body = _LENGTH.search(head)
            length = len(head) + 4 + (int(body[1]) if body else 0) if found else len(data) + 1
        if length > len(data):
            break
        units.append(data[:length])
        data = data[length:]
    return units, data
