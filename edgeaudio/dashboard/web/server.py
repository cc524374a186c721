"""The socket and the server: listens, bounds connections, serves until it is stopped.

Owns: uvicorn, and the signals that end it. Does not know: what is answered (app.py).
"""

from __future__ import annotations

import asyncio
import fcntl
import ipaddress
import logging
import signal
import socket
import termios
import time
from contextlib import suppress
from typing import Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

from edgeaudio.dashboard.config import Network
from edgeaudio.dashboard.rates import bucket_of
from edgeaudio.dashboard.service import Dashboard
from edgeaudio.dashboard.web.app import make_app
from edgeaudio.dashboard.web.guard import HEADERS
from edgeaudio.dashboard.web.peer import address_of, is_in
from edgeaudio.errors import EdgeaudioError
from edgeaudio.throttled_log import LogThrottle

_MAX_CONNECTIONS: Final = 500  # systems allow 1,024 open files
_BACKLOG: Final = 128  # connections that are taken at once, before any is refused: these have descriptors too
_MAX_OF_ADDRESS: Final = 200  # so that one host leaves room for others; a browser has up to 6, and a WebSocket a tab
_MOST_WAITING: Final = 1_000_000  # bytes for a WebSocket; far above what the routes let wait
_LOOK_EVERY_S: Final = 5.0
_MAX_STILL: Final = 12  # looks without a request, or without taking any of an answer: a minute
# where proxies and tunnels are, which ask for many
_LOOPBACK: Final = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises EdgeaudioError if the address is in use or is none of this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # of a socket without its protocol asyncio leaves TCP_NODELAY off, and each answer waits for 40 ms
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise EdgeaudioError(
            f"dashboard.listen: cannot listen on {host}, port {port}: {error.strerror}; set another port"
        ) from None
    return sock


def make_server(dashboard: Dashboard) -> uvicorn.Server:
    """Return a server that answers what a dashboard is asked."""
    logging.getLogger("uvicorn.error").addFilter(_QUIET)  # the same one again is no other one
    return uvicorn.Server(
        uvicorn.Config(
            make_app(dashboard),
            http=_connections_for(dashboard.access.trusted_proxies),
            ws=_WebSocket,  # never another package that happens to be installed: they differ
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            ws_max_size=1024,  # pages send nothing
            ws_per_message_deflate=False,  # a frame of 400 KB can be 400 MB
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


def _connections_for(trusted: tuple[Network, ...]) -> type[_Connection]:
    """Return the class of connections, of which trusted proxies may have all."""

    class Connection(_Connection):
        unbounded = (*_LOOPBACK, *trusted)

    return Connection


class _WebSocket(WSProtocol):
    """A WebSocket whose page takes what it asks for: each ping is answered at once, whatever waits already."""

    def data_received(self, data: bytes) -> None:
        if self.transport.get_write_buffer_size() > _MOST_WAITING:
            self.transport.abort()
        else:
            super().data_received(data)


class Quiet(logging.Filter):
    """Keeps what strangers cause, and what ends with the server, from filling the log."""

    def __init__(self) -> None:
        super().__init__()
        self._throttle = LogThrottle()

    def filter(self, record: logging.LogRecord) -> bool:
        """True if a record is to be logged."""
        if record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError):
            return False  # a request that the stop cut off
        return record.levelno != logging.WARNING or self._throttle.is_due(record.msg, time.monotonic())


_QUIET: Final = Quiet()


class _Connection(H11Protocol):
    """A connection that ends when nothing moves, within a bound on their number.

    Out of descriptors, asyncio logs thousands of errors a second; and connections that cost their peer nothing would
    take the room of all others. uvicorn ends those alone that send nothing at all after an answer.
    """

    unbounded: tuple[Network, ...] = ()  # addresses that may have all connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self._resumed = 0  # how often the browser has taken what waited for it
        self._seen: object = None
        self._still = 0  # looks since something moved: not seconds, in which this process may have had no turn
        if len(self.connections) > _MAX_CONNECTIONS or self._is_one_too_many():
            transport.abort()
        else:
            self.loop.call_later(_LOOK_EVERY_S, self._look)

    def resume_writing(self) -> None:
        self._resumed += 1
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, with the headers of all other answers."""
        body = msg.encode("ascii", "replace")
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        headers += [("Connection", "close"), *HEADERS.items()]
        events = (h11.Response(status_code=400, headers=headers, reason=b"Bad Request"), h11.Data(data=body))
        for event in (*events, h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _is_one_too_many(self) -> bool:
        if len(self.connections) <= _MAX_OF_ADDRESS or self.client is None:
            return False
        if is_in(address_of(self.client[0]), self.unbounded):
            return False
        own = bucket_of(self.client[0])
        clients = [getattr(each, "client", None) for each in self.connections]
        return sum(bucket_of(client[0]) == own for client in clients if client) > _MAX_OF_ADDRESS

    def _look(self) -> None:
        """End the connection if it stands still."""
        waiting = self.transport.get_write_buffer_size()
        if self.transport.is_closing() and not waiting:
            return  # it is gone
        seen = self._state(waiting)
        self._still = self._still + 1 if seen is not None and seen == self._seen else 0
        self._seen = seen
        if self._still >= _MAX_STILL:
            self.transport.abort()
        else:
            self.loop.call_later(_LOOK_EVERY_S, self._look)

    def _state(self, waiting: int) -> object:
        """Return what must change; None: the server works. `waiting`: bytes that the browser has to take."""
        if self.transport.is_closing():
            return "closing", waiting, self._in_flight()
        if self.transport.get_protocol() is not self:
            return None  # a WebSocket, which has limits of its own
        cycle: RequestResponseCycle | None = self.cycle  # none before the first request
        if cycle is None or cycle.response_complete:
            return "no request", cycle, waiting
        return ("sending", self._resumed, waiting, self._in_flight()) if self.flow.write_paused else None

    def _in_flight(self) -> bytes:
        """Return how much the browser has to acknowledge, which changes with all that it takes.

        The system takes more of an answer only once a third of its own queue is free: over a slow line, after minutes.
        """
        with suppress(OSError):
            return fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
        return b""
