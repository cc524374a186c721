"""Endless media: a Matroska recording whose head goes on for ever, over HTTP or in a file that takes no disk."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from support.serving import serving

TAG_BYTES = 1_000_000


def _element(number: str, body: bytes, size: int | None = None) -> bytes:
    return bytes.fromhex(number) + ((len(body) if size is None else size) | 1 << 56).to_bytes(8, "big") + body


HEAD = (
    _element("1A45DFA3", _element("4282", b"matroska") + _element("4287", b"\x04") + _element("4285", b"\x02"))
    + bytes.fromhex("18538067")
    + b"\x01"
    + b"\xff" * 7  # the segment is of unknown length
)


def _tag(number: int) -> bytes:
    """All of a tag but its text of TAG_BYTES. FFmpeg keeps every one until the first sound comes."""
    name = _element("45A3", b"T%d" % number)
    text = _element("4487", b"", TAG_BYTES)
    simple = _element("67C8", name + text, len(name) + len(text) + TAG_BYTES)
    tag = _element("7373", simple, len(simple) + TAG_BYTES)
    return _element("1254C367", tag, len(tag) + TAG_BYTES)


def write_long_head(path: Path, tags: int) -> None:
    """A file of that many MB, which takes hardly any disk."""
    with path.open("wb") as file:
        file.write(HEAD)
        for number in range(tags):
            file.write(_tag(number))
            file.seek(TAG_BYTES, 1)
        file.truncate()


@contextlib.contextmanager
def endless_server() -> Iterator[str]:
    """A web server each answer of which goes on as fast as it is read; yields a URL."""

    def answer(connection: socket.socket, ended: threading.Event) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5)
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/x-matroska\r\n\r\n" + HEAD)
            number = 0
            while not ended.is_set():
                connection.sendall(_tag(number) + b"x" * TAG_BYTES)
                number += 1

    with serving(answer) as port:
        yield f"http://127.0.0.1:{port}/x.mkv"
