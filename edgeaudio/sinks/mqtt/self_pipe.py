"""A pipe to oneself, by which other threads wake one that polls the network."""

from __future__ import annotations

import socket


class SelfPipe:
    """A pair of sockets, one to be polled and one to be written to. Safe from any thread, also after `close`."""

    def __init__(self) -> None:
        self._inner, self._outer = socket.socketpair()
        self._inner.settimeout(0.0)
        self._outer.settimeout(0.0)

    def wake(self) -> None:
        try:
            self._outer.send(b"\0")
        except OSError:  # full: the thread will wake anyway; closed: no thread polls
            return

    def drain(self) -> None:
        try:
            self._inner.recv(4096)
        except BlockingIOError:
            return

    def fileno(self) -> int:
        return self._inner.fileno()

    def close(self) -> None:
        self._inner.close()
        self._outer.close()
