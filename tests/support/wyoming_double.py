"""A recogniser that speaks Wyoming, made of sockets: it answers what a test wants, or not at all, and can be killed.

Its answers are numbered, so that a test sees which of them came out, and whether one did twice.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Any

from support.ports import free_port


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as it came."""

    seconds: float  # of sound
    language: str | None
    at_s: float  # monotonic, when all of it had come


class WyomingDouble:
    """Listens on `port`. `answer` returns the text for a request's number, from 1; it may wait, or raise OSError."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"wyoming://127.0.0.1:{self.port}"
        self.answer: Callable[[int], str] = lambda number: f"sentence {number}"
        self.asked: list[Asked] = []
        self.answered: list[str] = []
        self._server: socket.socket | None = None
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        self._server = socket.create_server(("127.0.0.1", self.port))
        self._spawn(self._accept, self._server)

    def kill(self) -> None:
        """End at once: the connections are reset, and new ones refused."""
        server, self._server = self._server, None
        for each in [*([server] if server else []), *self._open]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(10)
        self._open, self._threads = [], []

    def _spawn(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                self._open.append(connection)
                self._spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection, connection.makefile("rwb") as stream:
            seconds, language = 0.0, None
            for kind, data, payload in events(stream):
                match kind:
                    case "describe":
                        send(stream, "info", {"asr": [{"name": "double", "models": []}]})
                    case "transcribe":
                        language = data.get("language")
                    case "audio-chunk":
                        seconds += len(payload) / 2 / data["rate"]
                    case "audio-stop":
                        self.asked.append(Asked(seconds, language, time.monotonic()))
                        text = self.answer(len(self.asked))
                        send(stream, "transcript", {"text": text, "language": "en"})
                        self.answered.append(text)


@contextmanager
def wyoming_double() -> Iterator[WyomingDouble]:
    """Yield one that does not listen yet; it has ended behind the `with`."""
    double = WyomingDouble()
    try:
        yield double
    finally:
        double.kill()


def events(stream: BufferedIOBase) -> Iterator[tuple[str, dict[str, Any], bytes]]:
    """Yield type, data and payload of each event of a stream, until its end."""
    while line := stream.readline():
        head = json.loads(line)
        data = head.get("data") or {}
        if n_bytes := head.get("data_length"):
            data |= json.loads(stream.read(n_bytes))
        yield head["type"], data, stream.read(head.get("payload_length") or 0)


def send(stream: BufferedIOBase, kind: str, data: dict[str, Any]) -> None:
    stream.write(json.dumps({"type": kind, "data": data}).encode() + b"\n")
    stream.flush()
