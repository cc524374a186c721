"""A scripted web server: the test supplies each response, byte by byte."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from support.serving import serving

Answer = Callable[["Asked"], bytes | Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    target: str  # path and query
    text: str  # the whole head


@dataclass(slots=True)
class ScriptedWeb:
    """A running server and the requests that it received."""

    port: int
    asked: list[Asked] = field(default_factory=list)
    context: ssl.SSLContext | None = None  # may be changed while it runs; None: no TLS

    @property
    def targets(self) -> list[str]:
        return [asked.target for asked in self.asked]


def ok(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Return a plain response with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


@contextlib.contextmanager
def scripted_web(
    answer: Answer, *, context: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> Iterator[ScriptedWeb]:
    """Serve on loopback, one request a connection; the answer is sent as it comes, then the connection is closed."""
    web = ScriptedWeb(0, context=context)

    def session(connection: socket.socket, ended: threading.Event) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            if web.context is None:
                _serve(web, connection, answer, ended)
            else:
                with web.context.wrap_socket(connection, server_side=True) as secured:
                    _serve(web, secured, answer, ended)

    with serving(session, host=host) as web.port:
        yield web


def _serve(web: ScriptedWeb, connection: socket.socket, answer: Answer, ended: threading.Event) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return
        data += piece
    text = data.decode("latin-1")
    asked = Asked(text.split(" ")[1], text)
    web.asked.append(asked)
    said = answer(asked)
    for part in [said] if isinstance(said, bytes) else said:
        if ended.is_set():
            return
        connection.sendall(part)
