"""Sockets of a proxy, shut down together so that no thread keeps waiting on one."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Self


class OpenSockets:
    """All open sockets of a proxy. May be used from any thread."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()

    def add(self, opened: socket.socket) -> None:
        """Add a socket. Raises ConnectionAbortedError after `shut_down`."""
        with self._lock:
            if self.closed.is_set():
                raise ConnectionAbortedError
            self._sockets.add(opened)

    def remove(self, closing: list[socket.socket]) -> None:
        """Remove sockets that are about to be closed."""
        with self._lock:
            self._sockets.difference_update(closing)

    def shut_down(self) -> None:
        """Shut down every socket: whatever waits on one returns."""
        self.closed.set()
        with self._lock:
            for each in self._sockets:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


class ExchangeSockets:
    """The sockets of one exchange, closed when it is over: first the client's, then those towards servers."""

    def __init__(self, everything: OpenSockets) -> None:
        self._everything = everything
        self._own: list[socket.socket] = []

    def add(self, opened: socket.socket) -> None:
        """Add a socket. Raises ConnectionAbortedError where the proxy is closed."""
        self._own.append(opened)
        self._everything.add(opened)

    @contextlib.contextmanager
    def until_closed(self, connection: socket.socket) -> Iterator[None]:
        """Close a connection to a server, and the sockets that it was made of, at the end of the block."""
        try:
            yield
        finally:
            self._everything.remove(self._own[1:])
            connection.close()
            del self._own[1:]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._everything.remove(self._own)
        for each in self._own:
            each.close()
