"""A scripted broker, byte by byte, for behaviour that no real one has."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

# packets of MQTT 5, by hand
WELCOME_5 = b"\x20\x03\x00\x00\x00"
WELCOME_311 = b"\x20\x02\x00\x00"


def refusal_5(code: int) -> bytes:
    return bytes([0x20, 0x03, 0x00, code, 0x00])


def goodbye(code: int) -> bytes:
    """DISCONNECT with a reason string: without any property, paho before 2.2 does not look at the code."""
    return bytes([0xE0, 0x06, code, 0x04, 0x1F, 0x00, 0x01]) + b"x"


class ScriptedBroker:
    """Runs `script(connection)` for each connection, one after another, and closes it when the script returns."""

    def __init__(self, script: Callable[[socket.socket], None]) -> None:
        self._script = script
        self._server = socket.create_server(("127.0.0.1", 0))
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.connections = 0
        self.port: int = self._server.getsockname()[1]

    def _serve(self) -> None:
        while not self._closed.is_set():
            with suppress(OSError):
                connection, _ = self._server.accept()
                self.connections += 1
                with connection:
                    connection.settimeout(5)
                    self._script(connection)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(10)


def read_packet(connection: socket.socket) -> tuple[int, bytes]:
    """Read one packet: its first byte, and what comes after its length. Raises OSError at the end."""
    first = _exactly(connection, 1)[0]
    length, shift = 0, 0
    while True:
        digit = _exactly(connection, 1)[0]
        length |= (digit & 0x7F) << shift
        shift += 7
        if digit < 0x80:
            return first, _exactly(connection, length)


def wait_for_end(connection: socket.socket) -> None:
    """Read until the other side closes."""
    while connection.recv(4096):
        pass


def answer_with(answer: bytes) -> Callable[[socket.socket], None]:
    """Return a script that reads one packet, answers so, and waits for the end."""

    def script(connection: socket.socket) -> None:
        read_packet(connection)
        connection.sendall(answer)
        wait_for_end(connection)

    return script


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionResetError
        data += more
    return data
