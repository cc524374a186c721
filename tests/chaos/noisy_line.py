"""A line from a camera whose bytes can be replaced by noise: a forwarder on loopback.

Owns: which bytes are replaced. Does not know: what is sent, apart from RTSP's framing.
"""

from __future__ import annotations

import random
import re
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Literal, Self

from support.serving import serving

Noise = Literal["", "everything", "payload"]
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class NoisyLine:
    """Forwards connections to 127.0.0.1:`target`; use it in a `with` block, in which `port` is that of the near end.

    `noise` may be set at any time: "everything" makes random bytes of all that the server sends,
    "payload" of what is in the RTP packets alone, so that the session stays in order.
    """

    def __init__(self, target: int) -> None:
        self.noise: Noise = ""
        self.port = 0
        self._target = target
        self._dice = random.Random(target)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.port = self._stack.enter_context(serving(self._session))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _session(self, near: socket.socket, ended: threading.Event) -> None:
        with near, suppress(OSError), socket.create_connection(("127.0.0.1", self._target), 5) as far:
            for end in (near, far):
                end.settimeout(0.1)
            back = threading.Thread(target=_forward, args=(far, near, self._spoilt, ended))
            back.start()
            _forward(near, far, _as_it_is, ended)
            back.join()

    def _spoilt(self, unit: bytes) -> bytes:
        if self.noise == "everything":
            return self._dice.randbytes(len(unit))
        if self.noise == "payload" and unit[:1] == b"$" and unit[1] % 2 == 0:
            return unit[:16] + self._dice.randbytes(len(unit) - 16)  # 4 bytes of framing, 12 of RTP's header
        return unit


def _forward(
    source: socket.socket, target: socket.socket, change: Callable[[bytes], bytes], ended: threading.Event
) -> None:
    held = b""
    with suppress(OSError):
        while not ended.is_set():
            try:
                data = source.recv(65536)
            except TimeoutError:
                continue
            if not data:
                break
            whole, held = _whole_units(held + data)
            target.sendall(b"".join(map(change, whole)))
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _as_it_is(unit: bytes) -> bytes:
    return unit


def _whole_units(data: bytes) -> tuple[list[bytes], bytes]:
    """Split bytes of RTSP into interleaved packets and messages; returns them, and the incomplete rest."""
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
