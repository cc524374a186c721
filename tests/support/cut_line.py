"""A line to a server that can be cut and mended: a forwarder on loopback."""

from __future__ import annotations

import selectors
import socket
import threading
from contextlib import suppress
from typing import Self


class CutLine:
    """Forwards connections to 127.0.0.1:`target`; while cut, ends those there are and those that come."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._ends: set[socket.socket] = set()
        self._cut = self._closed = False
        self._threads: list[threading.Thread] = []
        self.port: int = self._server.getsockname()[1]

    def cut(self) -> None:
        with self._lock:
            self._cut = True
            for end in self._ends:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        with self._lock:
            self._cut = False

    def _accept(self) -> None:
        while not self._closed:
            with suppress(OSError):
                near, _ = self._server.accept()
                thread = threading.Thread(target=self._forward, args=(near,))
                self._threads.append(thread)
                thread.start()

    def _forward(self, near: socket.socket) -> None:
        with near, suppress(OSError), socket.create_connection(("127.0.0.1", self._target), 5) as far:
            with self._lock:
                if self._cut:
                    return
                self._ends |= {near, far}
            with selectors.DefaultSelector() as selector:
                selector.register(near, selectors.EVENT_READ, far)
                selector.register(far, selectors.EVENT_READ, near)
                try:
                    while True:
                        for key, _ in selector.select(5):
                            assert isinstance(key.fileobj, socket.socket)
                            data = key.fileobj.recv(65536)
                            if not data:
                                return
                            key.data.sendall(data)
                finally:
                    with self._lock:
                        self._ends -= {near, far}

    def __enter__(self) -> Self:
        thread = threading.Thread(target=self._accept)
        self._threads.append(thread)
        thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self.cut()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join(10)
