"""A slow line to a server: a forwarder on loopback whose connections share one rate, as behind one modem."""

from __future__ import annotations

import queue
import socket
import threading
import time
from contextlib import ExitStack, suppress
from typing import Self

from support.serving import serving

PIECE = 1024  # bytes that are forwarded at a time
QUEUE_PIECES = 16  # of all connections, in the order of their arrival: what a modem holds


class NarrowLine:
    """Forwards connections to 127.0.0.1:`target`, all bytes towards it together at one rate; answers go at once.

    Use it in a `with` block, in which `port` is that of the near end.
    """

    def __init__(self, target: int, bytes_per_s: float) -> None:
        self._target = target
        self._bytes_per_s = bytes_per_s
        self._queue: queue.Queue[tuple[socket.socket, bytes]] = queue.Queue(QUEUE_PIECES)
        self._stack = ExitStack()
        self._ended = threading.Event()
        self.port = 0
        self.forwarded = 0  # bytes

    def _forward(self, near: socket.socket, _ended: threading.Event) -> None:
        with near, suppress(OSError), socket.create_connection(("127.0.0.1", self._target), 5) as far:
            near.settimeout(0.1)
            far.settimeout(0.1)
            back = threading.Thread(target=self._answer, args=(far, near))
            back.start()
            while not self._ended.is_set():
                with suppress(TimeoutError):
                    if not (data := near.recv(PIECE)):
                        break
                    self._queue.put((far, data))
            self._queue.put((far, b""))
            back.join()

    def _answer(self, far: socket.socket, near: socket.socket) -> None:
        with suppress(OSError):
            while not self._ended.is_set():
                with suppress(TimeoutError):
                    if not (data := far.recv(65536)):
                        break
                    near.sendall(data)
        # a killed broker resets its connections: the near end has to hear of that, too
        with suppress(OSError):
            near.shutdown(socket.SHUT_RDWR)

    def _drain(self) -> None:
        due_s = time.monotonic()
        while not self._ended.is_set():
            try:
                far, data = self._queue.get(timeout=0.1)
            except queue.Empty:
                continue
            due_s = max(due_s, time.monotonic()) + len(data) / self._bytes_per_s
            self._ended.wait(due_s - time.monotonic())
            with suppress(OSError):
                if data:
                    far.sendall(data)
                    self.forwarded += len(data)
                else:
                    far.shutdown(socket.SHUT_WR)

    def __enter__(self) -> Self:
        self.port = self._stack.enter_context(serving(self._forward, receive_buffer=4096))
        self._drainer = threading.Thread(target=self._drain)
        self._drainer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._drainer.join()
        with suppress(queue.Empty):
            while True:
                self._queue.get_nowait()
        self._stack.close()
