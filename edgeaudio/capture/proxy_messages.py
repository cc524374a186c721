"""Requests and responses on their way through the proxy.

Owns: reading what FFmpeg asks of its proxy, and passing a response on to it.
Does not know: whether it may be asked for, and what comes of it.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from edgeaudio.capture.http_message import Head, MessageError, is_compressed, length_of, write_head
from edgeaudio.capture.origin import HOST, Origin, Proxy
from edgeaudio.capture.playlist_parser import MAGIC

_MAX_BLANK_BYTES = 65536  # in front of a playlist
_BOM = b"\xef\xbb\xbf"
_PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
# of one connection, or written by the proxy
_HOP_BY_HOP = (
    *("connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer"),
    *("transfer-encoding", "upgrade"),
)
_OF_THE_BODY = (
    *("transfer-encoding", "content-type", "content-length", "content-encoding", "content-range", "content-md5"),
    *("accept-ranges", "etag"),
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request of FFmpeg."""

    method: str
    version: str
    host: str
    port: int
    target: str  # path and query
    head: Head

    @classmethod
    def parse(cls, head: Head) -> Request:
        method, _, rest = head.first.partition(" ")
        target, _, version = rest.rpartition(" ")
        if method not in {"GET", "HEAD"} or not target.isprintable() or not version.startswith("HTTP/1."):
            raise MessageError("not a request that is served here")
        parts = urlsplit(target)  # ValueError is a MessageError's base
        try:
            port = parts.port
        except ValueError:
            raise MessageError("no such port") from None
        if parts.scheme != "http" or not parts.hostname or not HOST.fullmatch(parts.hostname):
            raise MessageError("not a request to a proxy")
        path = parts._replace(scheme="", netloc="", fragment="").geturl().replace(" ", "%20") or "/"
        return cls(method, version, parts.hostname.lower(), port or 80, path, head)

    @staticmethod
    def url_of(parts: SplitResult) -> str:
        """Return one text for all spellings of an address."""
        path = parts._replace(scheme="", netloc="", fragment="").geturl().replace(" ", "%20") or "/"
        return f"{(parts.hostname or '').lower()} {parts.port or 80} {path}"

    @property
    def url(self) -> str:
        return f"{self.host} {self.port} {self.target}"

    @property
    def where(self) -> str:
        return str(Origin(self.host, self.port, tls=False))

    @property
    def knows_chunks(self) -> bool:
        return self.version == "HTTP/1.1"

    @property
    def offset(self) -> int:
        """Position of the first requested byte."""
        match = re.match(r"bytes=(\d{1,18})-", self.head.get("range") or "")
        return int(match[1]) if match else 0

    @property
    def from_start(self) -> bool:
        """True if the request begins at the first byte."""
        return self.offset == 0

    def head_for(self, origin: Origin, proxy: Proxy | None, cookies: str) -> bytes:
        """Return the head of the request to the server or, if there is one, to the system's proxy."""
        headers = self.head.without(*_HOP_BY_HOP, "host", "accept-encoding", "cookie")
        own = [("Host", origin.authority), *headers, ("Accept-Encoding", "identity"), ("Connection", "close")]
        own += [("Cookie", cookies)] if cookies else []
        if proxy is None:
            return write_head(f"{self.method} {self.target} HTTP/1.1", own)
        where = f"http://{origin.authority}{self.target}"
        return write_head(f"{self.method} {where} HTTP/1.1", [*own, *proxy.headers])


def split_list(body: Iterator[bytes]) -> tuple[bytes, bool]:
    """Return the beginning of the body, and whether it is that of a playlist."""
    start = b""
    for piece in body:
        start += piece
        text = start.removeprefix(_BOM).lstrip()
        if not MAGIC.startswith(text[: len(MAGIC)]) or len(text) >= len(MAGIC) or len(start) > _MAX_BLANK_BYTES:
            break
    text = start.removeprefix(_BOM).lstrip()
    return (text, True) if text.startswith(MAGIC) else (start, False)


def send_list(near: socket.socket, response: Head, text: bytes) -> None:
    """Pass a response on, with this playlist as its body."""
    headers = response.without(*_OF_THE_BODY)
    headers += [("Content-Type", _PLAYLIST_TYPE), ("Content-Length", str(len(text)))]
    send(near, Head("HTTP/1.1 200 OK", headers), iter((text,)), chunks=False)


def joined(start: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the whole body, whose start was read already."""
    if start:
        yield start
    yield from rest


def send(near: socket.socket, response: Head, body: Iterator[bytes], *, chunks: bool) -> None:
    """Pass a response on; `chunks`: send a body without a length in chunks, so that a truncated one is recognised."""
    packed = is_compressed(response)
    sized = length_of(response) is not None and not packed
    own = [] if sized else ["content-length"]
    headers = response.without(*_HOP_BY_HOP, *own, *(["content-encoding"] if packed else []))
    chunks = chunks and not sized
    if chunks:
        headers.append(("Transfer-Encoding", "chunked"))
    near.sendall(write_head(response.first, [*headers, ("Connection", "close")]))
    for piece in body:
        near.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunks else piece)
    if chunks:
        near.sendall(b"0\r\n\r\n")
