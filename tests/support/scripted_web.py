"""A web server that says, byte for byte, what a test wants it to say."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Answer = Callable[["Asked"], bytes | Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    target: str  # path and query
    text: str  # the whole head


@dataclass(slots=True)
class ScriptedWeb:
    """A running server and what it was asked."""

    port: int
    asked: list[Asked] = field(default_factory=list)
    context: ssl.SSLContext | None = None  # may be changed while it runs; None: no TLS

    @property
    def targets(self) -> list[str]:
        return [asked.target for asked in self.asked]


def ok(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A plain response with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


@contextlib.contextmanager
def scripted_web(
    answer: Answer, *, context: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> Iterator[ScriptedWeb]:
    """Serve on loopback, one request a connection; the answer is sent as it comes, then the connection is closed."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.create_server((host, 0), family=family)
    web = ScriptedWeb(server.getsockname()[1], context=context)
    ended = threading.Event()
    threads: list[threading.Thread] = []

    def session(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            if web.context is None:
                _serve(web, connection, answer, ended)
            else:
                with web.context.wrap_socket(connection, server_side=True) as secured:
                    _serve(web, secured, answer, ended)

    def accept() -> None:
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                thread = threading.Thread(target=session, args=(server.accept()[0],))
                thread.start()
                threads.append(thread)

    server.settimeout(0.05)
    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield web
    finally:
        ended.set()
        acceptor.join()
        server.close()
        for thread in threads:
            thread.join()


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
