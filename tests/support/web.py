"""Web servers for tests, plain and with TLS, and a TLS front for a plain server."""

import contextlib
import functools
import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.certificates import authority, names
from support.serving import pump_both, serving


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
    """A TLS server that hands everything to the plain server on `port`; yields its own port."""

    def session(plain: socket.socket, _: threading.Event) -> None:
        with contextlib.suppress(OSError):
            plain.settimeout(5)
            with (
                context.wrap_socket(plain, server_side=True) as outside,
                socket.create_connection(("127.0.0.1", port), 5) as inside,
            ):
                pump_both(outside, inside)

    with serving(session) as front:
        yield front
