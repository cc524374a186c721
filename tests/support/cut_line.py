"""A line to a server that can be cut and mended: a forwarder on loopback."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, suppress
from typing import Self

from support.serving import pump_both, serving


class CutLine:
    """Forwards connections to 127.0.0.1:`target`; while cut, ends those there are and those that come.

    Use it in a `with` block, in which `port` is that of the near end.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._ends: set[socket.socket] = set()
        self._cut = False
        self._stack = ExitStack()
        self.port = 0

    def cut(self) -> None:
        with self._lock:
            self._cut = True
            for end in self._ends:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        with self._lock:
            self._cut = False

    def _forward(self, near: socket.socket, _ended: threading.Event) -> None:
        with near, suppress(OSError), socket.create_connection(("127.0.0.1", self._target), 5) as far:
            far.settimeout(None)
            with self._lock:
                if self._cut:
                    return
                self._ends |= {near, far}
            pump_both(near, far)
            with self._lock:
                self._ends -= {near, far}

    def __enter__(self) -> Self:
        self.port = self._stack.enter_context(serving(self._forward))
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._stack.close()
