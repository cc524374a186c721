"""`/health` and `/metrics` over HTTP, for probes and Prometheus.

Owns: the two pages. Does not know: where the numbers come from. Nobody logs in, and nothing can be changed: it listens
where it is told to. Each connection has a few seconds, however slow its client is, and there are few at a time: a probe
must not wait for anybody.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

from edgeaudio.collect.collector import CollectorStatus
from edgeaudio.errors import EdgeaudioError

_TIMEOUT_S: Final = 5.0  # of a whole connection
_MOST: Final = 32  # connections at once
_HELP: Final = {
    "messages_total": "messages by what became of them",
    "consumers": "consumers of this process",
    "consumers_subscribed": "consumers whose subscription is granted",
    "database_waits_seconds": "how long messages have waited for the database; 0 while it works",
    "keeps_state": "1 in the process that writes what is now",
}


def metrics(status: CollectorStatus) -> str:
    """Return the page for Prometheus."""
    values: dict[str, list[tuple[str, float]]] = {
        "messages_total": [(f'{{result="{name}"}}', number) for name, number in status.counts.items()],
        "consumers": [("", status.consumers)],
        "consumers_subscribed": [("", status.subscribed)],
        "database_waits_seconds": [("", round(status.waits_s, 3))],
        "keeps_state": [("", status.is_keeping)],
    }
    lines = []
    for name, series in values.items():
        full = f"edgeaudio_collect_{name}"
        lines += [f"# HELP {full} {_HELP[name]}", f"# TYPE {full} {'counter' if name.endswith('_total') else 'gauge'}"]
        lines += [f"{full}{labels} {float(value):.15g}" for labels, value in series]
    return "\n".join(lines) + "\n"


class _BoundedServer(ThreadingHTTPServer):
    """A thread a connection, within _MOST and _TIMEOUT_S."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._free = threading.BoundedSemaphore(_MOST)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 (as the base has them)
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 (as the base has them)
        # a time limit of the socket would begin anew with every byte
        limit = threading.Timer(_TIMEOUT_S, _end, (request,))
        limit.daemon = True
        limit.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            limit.cancel()
            self._free.release()

    def handle_error(self, *_: object) -> None:
        """Say nothing of a client that went away."""


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class StatusServer:
    """The server, in a thread of its own while it is used in a `with` block."""

    def __init__(self, host: str, port: int, status: Callable[[], CollectorStatus]) -> None:
        """Listen. Raises EdgeaudioError."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                now = status()
                if path == "/metrics":
                    self._answer(200, metrics(now), "text/plain; version=0.0.4; charset=utf-8")
                elif path == "/health":
                    self._answer(503 if now.trouble else 200, f"{now.trouble or 'well'}\n", "text/plain; charset=utf-8")
                else:
                    self._answer(404, "there are /health and /metrics\n", "text/plain; charset=utf-8")

            def log_message(self, *_: object) -> None:
                """Log nothing: a probe comes every few seconds."""

            def _answer(self, code: int, body: str, kind: str) -> None:
                data = body.encode()
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        class Server(_BoundedServer):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        try:
            self._server = Server((host, port), Handler)
        except OSError as error:
            raise EdgeaudioError(f"--listen {host}:{port}: {error.strerror}; name another port or address") from None
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="status", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
