"""The socket and the server: listens, bounds connections, serves until it is stopped.

Owns: uvicorn, and the signals that end it. Does not know: what is answered (app.py).
"""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from edgeaudio.dashboard.service import Dashboard
from edgeaudio.dashboard.web.app import make_app
from edgeaudio.dashboard.web.guard import HEADERS
from edgeaudio.errors import EdgeaudioError

_MAX_CONNECTIONS: Final = 500  # systems allow 1,024 open files
_REQUEST_LIMIT_S: Final = 30.0  # from a connection to its first request


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises EdgeaudioError if the address is in use or is none of this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # of a socket without its protocol asyncio leaves TCP_NODELAY off, and each answer waits for 40 ms
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise EdgeaudioError(
            f"dashboard.listen: cannot listen on {host}, port {port}: {error.strerror}; set another port"
        ) from None
    return sock


def make_server(dashboard: Dashboard) -> uvicorn.Server:
    """Return a server that answers what a dashboard is asked."""
    return uvicorn.Server(
        uvicorn.Config(
            make_app(dashboard),
            http=_Connection,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            ws_max_size=1024,  # pages send nothing
            timeout_graceful_shutdown=2,
        )
    )


def serve(dashboard: Dashboard, sock: socket.socket) -> None:
    """Answer requests until SIGTERM or SIGINT, or until a thread of the dashboard has ended."""
    server = make_server(dashboard)

    def stop(*_: object) -> None:
        server.should_exit = True

    # uvicorn has handlers of its own while it serves, and raises the signal again afterwards: it must end here
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    asyncio.run(_serve(server, dashboard, sock))


async def _serve(server: uvicorn.Server, dashboard: Dashboard, sock: socket.socket) -> None:
    async def end_with_the_threads() -> None:
        while dashboard.failure is None:  # noqa: ASYNC110 (set by threads, which know no loop)
            await asyncio.sleep(1.0)
        server.should_exit = True

    watch = asyncio.create_task(end_with_the_threads())
    try:
        await server.serve(sockets=[sock])
    finally:
        watch.cancel()


class _Connection(H11Protocol):
    """A connection within a bound on their number: out of descriptors, asyncio logs thousands of errors a second."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        if len(self.connections) > _MAX_CONNECTIONS:
            transport.abort()
        else:
            self.loop.call_later(_REQUEST_LIMIT_S, self._end_without_request)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, with the headers of all other answers."""
        body = msg.encode("ascii", "replace")
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        headers += [("Connection", "close"), *HEADERS.items()]
        events = (h11.Response(status_code=400, headers=headers, reason=b"Bad Request"), h11.Data(data=body))
        for event in (*events, h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _end_without_request(self) -> None:
        if not self.headers:  # of the last request
            self.transport.abort()
