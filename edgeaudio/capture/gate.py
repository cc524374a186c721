"""Keeps what comes by HTTP from leading to hosts of another kind than the one that was named.

Owns: the forwarder on loopback through which FFmpeg makes its HTTP connections, and which hosts it reaches.
Does not know: what is fetched, logins, certificates (TLS passes through it sealed).

A redirect or an HLS list can name any host, and FFmpeg follows: a list from the internet could have a
device ask things of its own network. FFmpeg has no bound for that, but it can be told of an HTTP proxy.
This is one, for one connection of one source: it looks up each name itself, and connects to addresses
of the kind that the source's own host has (this machine, the local network, the internet) and no other.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Literal, Self
from urllib.parse import urlsplit

_MAX_HEAD_BYTES = 65536
_MAX_CONNECTIONS = 16  # at once; FFmpeg has a few for a list
_CONNECT_S = 5.0
_WAIT_S = 0.2
_PIECE_BYTES = 65536

Kind = Literal["this machine", "the local network", "the internet"]


def kind_of(address: str) -> Kind:
    """What kind of host has that IP address."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    if parsed.is_loopback or parsed.is_unspecified:
        return "this machine"
    return "the internet" if parsed.is_global else "the local network"


def is_gated(scheme: str) -> bool:
    """Whether a source of that scheme is read through a gate; not where the system has a proxy, which then decides."""
    return scheme in {"http", "https"} and not os.environ.get("http_proxy")


class Gate:
    """A way to hosts of the kind that `host` is of. Use it in a `with` block; raises OSError where it cannot listen.

    `on_refusal` is called, in a thread of the gate's own, with a line about what was not followed.
    """

    def __init__(self, host: str, on_refusal: Callable[[str], None]) -> None:
        self._host = host
        self._on_refusal = on_refusal
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._ends: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        # FFmpeg would go past the gate to the hosts that this names
        os.environ.pop("no_proxy", None)
        self._begin(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        with self._lock:
            for end in (self._server, *self._ends):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            threads = self._threads
        self._server.close()
        for thread in threads:
            thread.join(_WAIT_S)  # one may hang in the resolver; it ends when that does

    def _begin(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments, name="gate", daemon=True)
        with self._lock:
            thread.start()
            self._threads = [thread, *(other for other in self._threads if other.is_alive())]

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                near = self._server.accept()[0]
            except OSError:
                return
            if len(self._threads) > _MAX_CONNECTIONS:
                near.close()
            else:
                self._begin(self._forward, near)

    def _forward(self, near: socket.socket) -> None:
        # what fails is closed without an answer: whoever sees that looks for the evidence himself
        with near, contextlib.suppress(OSError, ValueError), self._known(near):
            near.settimeout(_CONNECT_S)
            first, rest = _head(near)
            method, target, version = first.split(" ")
            parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
            far = self._connect(parts.hostname or "", parts.port or 80)
            if far is None:
                return
            with far, self._known(far):
                if method == "CONNECT":
                    near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                else:
                    path = parts._replace(scheme="", netloc="").geturl() or "/"
                    far.sendall(f"{method} {path} {version}\r\n".encode("latin-1") + rest)
                self._pump(near, far)

    def _connect(self, host: str, port: int) -> socket.socket | None:
        allowed = self._kind(self._host)
        found = [info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        good = [str(address) for address in found if kind_of(str(address)) == allowed]
        if not good:
            kind = kind_of(str(found[0]))
            self._on_refusal(f"led to {host}, a host of {kind}; not followed, for the source's own is of {allowed}")
            return None
        for address in good[:-1]:
            with contextlib.suppress(OSError):
                return socket.create_connection((address, port), _CONNECT_S)
        return socket.create_connection((good[-1], port), _CONNECT_S)

    @staticmethod
    def _kind(host: str) -> Kind:
        return kind_of(str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0]))

    def _pump(self, near: socket.socket, far: socket.socket) -> None:
        for end in (near, far):
            end.settimeout(None)  # how long nothing may come is FFmpeg's affair
        with selectors.DefaultSelector() as selector:
            selector.register(near, selectors.EVENT_READ, (near, far))
            selector.register(far, selectors.EVENT_READ, (far, near))
            while not self._closed.is_set():
                for key, _ in selector.select(_WAIT_S):
                    source, target = key.data
                    data = source.recv(_PIECE_BYTES)
                    if not data:
                        return
                    target.sendall(data)

    @contextlib.contextmanager
    def _known(self, end: socket.socket) -> Iterator[None]:
        """Have it shut down when the gate closes."""
        with self._lock:
            if self._closed.is_set():
                raise ConnectionAbortedError
            self._ends.add(end)
        try:
            yield
        finally:
            with self._lock:
                self._ends.discard(end)


def _head(connection: socket.socket) -> tuple[str, bytes]:
    """The first line of a request, and all that came after it. Raises OSError, ValueError."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(_PIECE_BYTES)
        data += more
        if not more or len(data) > _MAX_HEAD_BYTES:
            raise ConnectionAbortedError
    first, _, rest = data.partition(b"\r\n")
    return first.decode("latin-1"), rest
