"""Web servers for tests, plain and with TLS, and a TLS front for a plain server."""

import asyncio
import contextlib
import functools
import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.certificates import authority, names


@dataclass(frozen=True, slots=True)
class Certificate:
    """A self-signed certificate for `localhost`."""

    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def make_certificate(directory: Path) -> Certificate:
    return Certificate(*authority("localhost", None, names("localhost")).write(directory, "localhost"))


class _Handler(http.server.SimpleHTTPRequestHandler):
    redirects: dict[str, str]
    login: str
    challenge: str

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
        pass

    def do_GET(self) -> None:
        if self.login and self.headers.get("Authorization") != self.login:
            self.send_response(401)
            self.send_header("WWW-Authenticate", self.challenge)
            self.end_headers()
        elif self.path in self.redirects:
            self.send_response(302)
            self.send_header("Location", self.redirects[self.path])
            self.end_headers()
        else:
            super().do_GET()


@contextlib.contextmanager
def web_server(
    directory: Path,
    *,
    certificate: Certificate | None = None,
    redirects: dict[str, str] | None = None,
    login: str = "",
    challenge: str = 'Basic realm="x"',
    host: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[int]:
    """Serve `directory`; yields the port, a free one by default. `login`: the Authorization header asked for."""
    attributes = {"redirects": redirects or {}, "login": login, "challenge": challenge}
    handler = functools.partial(type("Handler", (_Handler,), attributes), directory=str(directory))
    server = http.server.ThreadingHTTPServer((host, port), handler)
    if certificate is not None:
        server.socket = certificate.server_context().wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def tls_front(port: int, context: ssl.SSLContext) -> Iterator[int]:
    """A TLS server that hands everything to the plain server on `port`; yields its own port.

    One thread reads and writes: two on one TLS connection break it now and then.
    """

    async def session(outside: asyncio.StreamReader, to_outside: asyncio.StreamWriter) -> None:
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(to_outside.transport.abort)
            with contextlib.suppress(OSError):
                inside, to_inside = await asyncio.open_connection("127.0.0.1", port)
                stack.callback(to_inside.transport.abort)
                ways = [asyncio.create_task(_forward(outside, to_inside))]
                ways.append(asyncio.create_task(_forward(inside, to_outside)))
                for way in ways:
                    stack.callback(way.cancel)
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for writer in (to_inside, to_outside):  # what is on its way still arrives
                    writer.close()
                await asyncio.wait([asyncio.create_task(_closed(w)) for w in (to_inside, to_outside)], timeout=5)

    started: Future[tuple[int, Callable[[], object]]] = Future()

    async def serve() -> None:
        ended = asyncio.Event()
        server = await asyncio.start_server(session, "127.0.0.1", 0, ssl=context)
        loop = asyncio.get_running_loop()
        started.set_result((server.sockets[0].getsockname()[1], lambda: loop.call_soon_threadsafe(ended.set)))
        await ended.wait()
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    front, end = started.result(10)
    try:
        yield front
    finally:
        end()
        thread.join()


async def _forward(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()


async def _closed(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        await writer.wait_closed()
