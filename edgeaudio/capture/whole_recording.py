"""Recordings that need seeking, from servers without byte ranges: kept in memory, and served in parts.

Owns: which recordings need it, their bytes, and the answers to range requests.
Does not know: connections to the server.

FFmpeg reads an MP4 whose index follows its sound by seeking to its end and back, which takes byte ranges (RFC 9110,
14). Python's http.server and many small servers have none.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

from edgeaudio.capture.http_message import Head
from edgeaudio.capture.proxy_messages import send

MAX_WHOLE_BYTES = 32 << 20
_FRONT = {b"ftyp", b"free", b"skip", b"wide", b"pnot", b"uuid"}  # boxes that may stand before sound and index
_FRONT_BYTES = 256
_PIECE_BYTES = 65536


class TooLongError(ValueError):
    """A recording beyond MAX_WHOLE_BYTES."""


def gives_ranges(response: Head) -> bool:
    """True if the server of this response supports byte ranges."""
    return response.status == 206 or "bytes" in (response.get("accept-ranges") or "").lower()


def read_front(start: bytes, body: Iterator[bytes]) -> bytes:
    """Return the beginning of the body, long enough for `index_is_last` if the body is."""
    while len(start) < _FRONT_BYTES and (piece := next(body, b"")):
        start += piece
    return start


def index_is_last(front: bytes) -> bool:
    """True for an MP4 (ISO/IEC 14496-12) or MOV whose sound precedes its index."""
    at = 0
    while at + 8 <= len(front):
        size, kind = int.from_bytes(front[at : at + 4]), front[at + 4 : at + 8]
        if kind not in _FRONT or size < 8:
            return kind == b"mdat"
        at += size
    return False


class WholeRecording:
    """A recording in memory, from the body of a response."""

    def __init__(self, url: str, response: Head, body: Iterator[bytes]) -> None:
        """Read the body. Raises TooLongError."""
        self.url = url
        self._content = bytearray()
        for piece in body:
            self._content += piece
            if len(self._content) > MAX_WHOLE_BYTES:
                raise TooLongError
        rewritten = ("content-length", "content-range", "content-encoding", "transfer-encoding", "accept-ranges")
        self._headers = [*response.without(*rewritten), ("Accept-Ranges", "bytes")]

    def send(self, near: socket.socket, offset: int) -> None:
        """Answer a request for the bytes from `offset` on."""
        length = len(self._content)
        pieces = (bytes(self._content[at : at + _PIECE_BYTES]) for at in range(offset, length, _PIECE_BYTES))
        first, headers = "HTTP/1.1 200 OK", [*self._headers, ("Content-Length", str(max(0, length - offset)))]
        if offset >= length:
            first = "HTTP/1.1 416 Range Not Satisfiable"
        elif offset:
            first = "HTTP/1.1 206 Partial Content"
            headers.append(("Content-Range", f"bytes {offset}-{length - 1}/{length}"))
        send(near, Head(first, headers), pieces, chunks=False)
