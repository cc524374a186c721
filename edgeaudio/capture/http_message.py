"""Parser of HTTP messages for the proxy: bounded heads, and bodies in pieces.

Owns: parsing of request and response heads, chunked and compressed bodies.
Does not know: sockets (a callable receives bytes), playlists, addresses.

Lenient where FFmpeg is lenient (`ICY 200 OK`, bare line feeds), strict in every size.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MAX_HEAD_BYTES = 65536
MAX_HEADERS = 200
_MAX_CHUNK_LINE = 1024
_PIECE_BYTES = 65536
_STATUS = re.compile(r"(\S{1,16})[ \t]+(\d{3})(?:\s|$)")

Receive = Callable[[], bytes]  # the next bytes, b"" at the end


class MessageError(ValueError):
    """Bytes that are not HTTP, or exceed a limit."""


class BrokenOffError(ConnectionError):
    """The peer closed the connection before the message was complete."""


class HeadTooLargeError(MessageError):
    """A head beyond MAX_HEAD_BYTES or MAX_HEADERS."""


@dataclass(slots=True)
class Head:
    """First line of a message, and its headers with names as written."""

    first: str
    headers: list[tuple[str, str]]

    def get(self, name: str) -> str | None:
        """Return the first header of that name (in lower case), whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name), None)

    def without(self, *names: str) -> list[tuple[str, str]]:
        """Return the headers without those; `names` in lower case."""
        return [(key, value) for key, value in self.headers if key.lower() not in names]

    @property
    def status(self) -> int:
        """The status code of a response. Raises MessageError."""
        match = _STATUS.match(self.first)
        if match is None:
            raise MessageError("no status line")
        return int(match[2])


def read_head(receive: Receive, first: bytes = b"") -> tuple[Head, bytes]:
    """Return the head, and the bytes of the body received with it. Raises MessageError, BrokenOffError."""
    data = bytearray(first)
    while (end := _end_of_head(data)) is None:
        if len(data) > MAX_HEAD_BYTES:
            raise HeadTooLargeError("the head is too large")
        piece = receive()
        if not piece:
            raise BrokenOffError("closed before the head was complete")
        data += piece
    if end > MAX_HEAD_BYTES:
        raise HeadTooLargeError("the head is too large")
    lines = data[:end].decode("latin-1").split("\n")
    headers: list[tuple[str, str]] = []
    for line in lines[1:]:
        text = line.rstrip("\r")
        name, colon, value = text.partition(":")
        if text[:1] in {" ", "\t"} or not colon or not name.strip():
            continue  # a continued line, which FFmpeg ignores as well
        headers.append((name.strip(), value.strip()))
        if len(headers) > MAX_HEADERS:
            raise HeadTooLargeError("too many headers")
    return Head(lines[0].rstrip("\r"), headers), bytes(data[end:])


def write_head(first: str, headers: list[tuple[str, str]]) -> bytes:
    """Return the head as bytes."""
    lines = [first, *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def body_of(head: Head, first: bytes, receive: Receive) -> Iterator[bytes]:
    """Yield the decoded body of a response in pieces, as they are received.

    Raises BrokenOffError if it ends before its announced end, MessageError if it is malformed.
    """
    pieces = _raw(first, receive)
    if "chunked" in (head.get("transfer-encoding") or "").lower():
        pieces = _dechunked(pieces)
    elif (length := length_of(head)) is not None:
        pieces = _sized(pieces, length)
    if is_compressed(head):
        pieces = _inflated(pieces)
    return pieces


def length_of(head: Head) -> int | None:
    """Return the announced length of the encoded body; None if there is none. Raises MessageError."""
    text = head.get("content-length")
    if text is None or "chunked" in (head.get("transfer-encoding") or "").lower():
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise MessageError("no such length")
    return int(text)


def is_compressed(head: Head) -> bool:
    """True if the body is compressed by gzip or deflate, requested or not."""
    return (head.get("content-encoding") or "").lower() in {"gzip", "x-gzip", "deflate"}


def _end_of_head(data: bytearray) -> int | None:
    ends = [at + len(mark) for mark in (b"\r\n\r\n", b"\n\n") if (at := data.find(mark)) >= 0]
    return min(ends, default=None)


def _raw(first: bytes, receive: Receive) -> Iterator[bytes]:
    if first:
        yield first
    while piece := receive():
        yield piece


def _sized(pieces: Iterator[bytes], length: int) -> Iterator[bytes]:
    while length > 0:
        piece = next(pieces, b"")
        if not piece:
            raise BrokenOffError("closed before the body was complete")
        yield piece[:length]
        length -= len(piece)


def _dechunked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    held = b""

    def line() -> bytes:
        nonlocal held
        while b"\n" not in held:
            if len(held) > _MAX_CHUNK_LINE:
                raise MessageError("no chunk")
            held += more()
        text, _, held = held.partition(b"\n")
        return text.strip()

    def more() -> bytes:
        piece = next(pieces, b"")
        if not piece:
            raise BrokenOffError("closed within a chunk")
        return piece

    while True:
        size = line().partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", size):
            raise MessageError("no chunk")
        left = int(size, 16)
        if left == 0:
            return
        while left > 0:
            held = held or more()
            yield held[:left]
            left, held = left - min(left, len(held)), held[left:]
        line()


def _inflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    inflater = zlib.decompressobj(32 + zlib.MAX_WBITS)  # with zlib's header or gzip's
    try:
        for piece in pieces:
            packed = piece
            while packed and not inflater.eof:
                if out := inflater.decompress(packed, _PIECE_BYTES):
                    yield out
                packed = inflater.unconsumed_tail
        if out := inflater.flush():
            yield out
    except zlib.error:
        raise MessageError("not packed as it says") from None
