"""A server with a thread for each connection, and forwarding between two connections."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

Session = Callable[[socket.socket, threading.Event], object]


@contextlib.contextmanager
def serving(
    session: Session, *, host: str = "127.0.0.1", port: int = 0, receive_buffer: int | None = None
) -> Iterator[int]:
    """Serve on loopback; yields the port. `session` gets each connection, and an event that is set at the end.

    `receive_buffer`: bytes that the kernel takes before the session does; None: megabytes.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.create_server((host, port), family=family)
    if receive_buffer is not None:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    server.settimeout(0.05)
    ended = threading.Event()
    threads: list[threading.Thread] = []

    def accept() -> None:
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                thread = threading.Thread(target=session, args=(server.accept()[0], ended))
                thread.start()
                threads.append(thread)

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield server.getsockname()[1]
    finally:
        ended.set()
        acceptor.join()
        server.close()
        for thread in threads:
            thread.join()


def pump_both(near: socket.socket, far: socket.socket) -> None:
    """Forward in both directions until both connections have ended."""
    back = threading.Thread(target=_pump, args=(far, near))
    back.start()
    _pump(near, far)
    back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
