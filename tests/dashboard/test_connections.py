"""Connections that stand still, and one host that has many, over real sockets."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
from support.dashboard_access import USERS, ServedDashboard, ask
from support.dashboards import WebSocketClient
from support.waiting import wait_until

from edgeaudio.dashboard.columns import Columns
from edgeaudio.dashboard.web import live_socket, server


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedDashboard]:
    monkeypatch.setattr(server, "_LOOK_EVERY_S", 0.03)
    monkeypatch.setattr(server, "_MAX_STILL", 8)
    monkeypatch.setattr(live_socket, "SEND_LIMIT_S", 0.1)
    with ServedDashboard(tmp_path) as served:
        yield served


def connect(served: ServedDashboard, sent: str = "") -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # little waits here
    connection.settimeout(5)
    connection.connect(("127.0.0.1", served.port))
    connection.sendall(sent.format(port=served.port).encode())
    return connection


def is_ended(connection: socket.socket) -> bool:
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


WHOLE = "GET /api/me HTTP/1.1\r\nHost: localhost\r\n\r\n"
UNREAD = "POST /api/fleet HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n"


def test_a_connection_that_stands_still_ends(served: ServedDashboard) -> None:
    with ExitStack() as stack:
        silent, half = (stack.enter_context(closing(connect(served, sent))) for sent in ("", "GET / HT"))
        second, unread = (stack.enter_context(closing(connect(served, sent))) for sent in (WHOLE, UNREAD))
        for connection in (second, unread):
            assert connection.recv(65536).startswith(b"HTTP/1.1 ")
            connection.sendall(b"G")  # of a second request, or of a body that nobody reads
        assert all(map(is_ended, (silent, half, second, unread)))


def test_a_browser_that_takes_no_answer_is_not_waited_for(served: ServedDashboard) -> None:
    with closing(connect(served)) as connection, pytest.raises(ConnectionError):
        connection.sendall(b"GET /page.css HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200_000)


def test_a_browser_on_a_slow_line_gets_its_answer(served: ServedDashboard) -> None:
    with closing(connect(served)) as connection:
        connection.settimeout(0)
        with suppress(BlockingIOError):
            while True:
                connection.send(b"GET /page.css HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
        connection.settimeout(5)
        for _ in range(15):
            time.sleep(0.05)  # together longer than a connection may stand still
            assert connection.recv(4096)


def test_a_page_that_takes_nothing_over_its_websocket_is_gone(served: ServedDashboard) -> None:
    connections = served.connections
    with WebSocketClient(served.port, "/api/live?device=attic&source=porch") as client:
        assert client.status == 101
        columns = Columns("attic", "porch", b"x" * 60_000)

        def is_gone() -> bool:
            for _ in range(100):
                served.dashboard.viewers.hand_out(columns)
            return not connections

        wait_until(is_gone, 10)


def test_websockets_are_those_of_the_package_that_the_extra_names(served: ServedDashboard) -> None:
    sent = "POST /api/live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    sent += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    with closing(connect(served, sent)) as connection:  # by the package websockets it has no answer at all
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")


OPENING = (
    "GET /api/live HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
    "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


def test_a_websocket_takes_nothing_compressed(served: ServedDashboard) -> None:
    with closing(connect(served, OPENING + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n")) as connection:
        answer = connection.recv(4096)  # a small frame could be any size
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"deflate" not in answer


def test_pings_whose_answers_nobody_takes_end_a_websocket(served: ServedDashboard) -> None:
    ping = bytes((0x89, 0x80 | 125)) + bytes(4 + 125)
    with closing(connect(served, OPENING + "\r\n")) as connection:
        connection.settimeout(60)
        with pytest.raises(ConnectionError):
            connection.sendall(ping * 500_000)


def test_one_host_that_is_no_proxy_has_so_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_MAX_OF_ADDRESS", 5)
    monkeypatch.setattr(server, "_LOOPBACK", ())
    with ServedDashboard(tmp_path, users=USERS) as served, ExitStack() as stack:
        held = [stack.enter_context(closing(connect(served))) for _ in range(6)]
        assert is_ended(held[-1])  # the room is for others
        held[0].sendall(WHOLE.encode())
        assert held[0].recv(100).startswith(b"HTTP/1.1 200 ")


def test_a_proxy_on_this_machine_may_have_as_many_as_it_wants(
    served: ServedDashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_MAX_OF_ADDRESS", 5)
    with ExitStack() as stack:
        for _ in range(20):  # a proxy, or a tunnel
            stack.enter_context(closing(connect(served)))
        assert ask(served.port, "/").status == 200


def test_what_strangers_cause_and_what_the_stop_cuts_off_does_not_fill_the_log() -> None:
    quiet = server.Quiet()

    def is_logged(level: int, error: BaseException | None = None) -> bool:
        said = (type(error), error, None) if error else None
        return quiet.filter(logging.LogRecord("uvicorn.error", level, "", 0, "Invalid HTTP request.", (), said))

    assert [is_logged(logging.WARNING) for _ in range(3)] == [True, False, False]
    assert is_logged(logging.ERROR, OSError())
    assert is_logged(logging.ERROR, OSError())
    assert not is_logged(logging.ERROR, asyncio.CancelledError())
