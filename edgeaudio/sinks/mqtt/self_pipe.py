"""Waking a thread that waits for the network.

Owns: a pair of sockets, one to be polled and one to be written to. Does not know: who waits, and for what.
"""

from __future__ import annotations

import socket


class SelfPipe:
    """Wakes a thread that is inside `MqttConnection.poll`. Safe from any thread, also after `close`."""

    def __init__(self) -> None:
        self._inner, self._outer = socket.socketpair()
        self._inner.settimeout(0.0)
        self._outer.settimeout(0.0)

    def wake(self) -> None:
        try:
            self._outer.send(b"\0")
        except OSError:  # full: it will wake anyway; closed: nobody is there to be woken
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
