"""Source addresses: the values of a source's `url`, validated, and shown without secrets.

Owns: parsing of source URLs, and joining them with a separate login.
Does not know: FFmpeg's options, networks.

One spelling for each kind of source:

    rtsp://host[:554]/path      rtsps://host[:322]/path      rtmp://host/app/name      rtmps://...
    http://host/path            https://host/path            (a file, a live stream, or HLS)
    udp://0.0.0.0:5004          (MPEG-TS, unicast or multicast group)
    /path/to/file, file:///path (a recording)
    alsa:default, alsa:plughw:CARD=Device,DEV=0?sample_rate=192000&channels=1  (a sound card)
    rtsp+listen://127.0.0.1:8554/path  (wait on this port for a sender that pushes by RTSP)
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from edgeaudio.capture.schemes import SCHEMES
from edgeaudio.errors import EdgeaudioError
from edgeaudio.redact import mask_url
from edgeaudio.urls import Url, UrlSyntaxError, is_path, is_plain, split_url

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*):")
_NO_KIND = "an address begins with its kind, as in rtsp://host/path; a file of that name is written ./NAME"
_DEVICE = re.compile(r"[A-Za-z0-9_:,.=+-]*")  # ALSA's names of sound cards


class UrlError(EdgeaudioError):
    """A source's address cannot be used; the message says why and how to write it, without its secrets."""


@dataclass(frozen=True, slots=True)
class SourceUrl:
    """A validated address. `str()` and `repr()` show no login, and nothing else that may be secret."""

    scheme: str  # a key of SCHEMES
    host: str | None = None  # without brackets; None for files and sound cards
    port: int | None = None
    rest: str = field(default="", repr=False)  # path and query of a network address, as written
    path: Path | None = field(default=None, repr=False)  # of a recording
    device: str | None = None  # ALSA's name of the sound card
    sample_rate: int | None = None  # Hz, asked of the sound card
    channels: int | None = None  # asked of the sound card
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def is_network(self) -> bool:
        """True if the sound comes over a network."""
        return SCHEMES[self.scheme].network

    @property
    def is_tls(self) -> bool:
        """True if the server is reached through TLS."""
        return SCHEMES[self.scheme].tls

    @property
    def is_rtsp(self) -> bool:
        """True if an RTSP server is asked for the stream."""
        return SCHEMES[self.scheme].family == "rtsp"

    @property
    def is_http(self) -> bool:
        """True if the sound comes over HTTP, as a file, a stream or HLS."""
        return SCHEMES[self.scheme].family == "http"

    @property
    def is_pushed(self) -> bool:
        """True if the source is a port of this machine, to which a sender pushes by RTSP."""
        return SCHEMES[self.scheme].family == "push"

    @property
    def server_port(self) -> int:
        """The port as given, or the scheme's own; 0 where neither is known."""
        return self.port or SCHEMES[self.scheme].port or 0

    @property
    def place(self) -> str:
        """Host and port, as an address has them."""
        return Url(self.scheme, self.host or "", self.server_port or None, "", "").place

    def with_login(self) -> str:
        """The network address with its login, percent-encoded. Secret: hand it to FFmpeg only."""
        return self._url("rtsp" if self.is_pushed else self.scheme).with_login()

    def without_login(self) -> str:
        """The network address without login. The query may be secret: hand it to the server only."""
        return replace(self, username=None, password=None).with_login()

    def __str__(self) -> str:
        if self.path is not None:
            return mask_url(str(self.path))
        if self.device is not None:
            return f"alsa:{self.device}"
        return str(self._url(self.scheme))

    def _url(self, scheme: str) -> Url:
        path, _, query = self.rest.partition("?")
        return Url(scheme, self.host or "", self.port, path, query, self.username, self.password)


def parse_url(url: str, username: str | None = None, password: str | None = None) -> SourceUrl:
    """Return the validated address of a source, with the login of the URL or the separate one.

    Raises UrlError. If the address is ambiguous, so that a part of a password could be taken for another part, the
    message shows no part of it.
    """
    if not url or "\0" in url or "\n" in url:
        raise UrlError("a source needs a url: an address, a path, or alsa:DEVICE")
    if url != url.strip():
        raise UrlError("the address begins or ends with a blank; take it away")
    match = _SCHEME.match(url)
    scheme = match.group(1).lower() if match else "file"
    if scheme not in SCHEMES:
        raise UrlError(_unsupported(url, scheme))
    if not SCHEMES[scheme].login and (username is not None or password is not None):
        raise UrlError(f"{scheme} sources take no username or password")
    if scheme == "file":
        return SourceUrl(scheme, path=_path(url))
    if scheme == "alsa":
        return _sound_card(url)
    return _network_url(scheme, url, username, password)


def _unsupported(url: str, scheme: str) -> str:
    known = f"use one of {', '.join(SCHEMES)}"
    parts = None
    if "://" in url:
        parts = _split(url)
    elif "@" in url:
        return _NO_KIND
    kind = f"unsupported kind of address {scheme!r}" if is_plain(scheme) else "unsupported kind of address"
    return f"{str(parts)!r}: {kind}; {known}" if parts else f"{kind}; {known}"


def _path(url: str) -> Path:
    if not url.lower().startswith("file:"):
        before, at, _ = url.rpartition("@")
        address = "://" in url or (at and (url.startswith("//") or (":" in before and not is_path(url))))
        if address:
            raise UrlError(_NO_KIND)
        return Path(url)
    name = url[len("file:") :]
    if name.startswith("//"):
        host, slash, name = name[2:].partition("/")
        name = slash + name
        if host.lower() not in {"", "localhost"}:
            name = ""
    if not name:
        raise UrlError("a file address is written file:///path/to/file")
    return Path(unquote(name))


def _sound_card(url: str) -> SourceUrl:
    device, _, query = url.partition(":")[2].partition("?")
    if not device:
        raise UrlError("the address names no sound card; write alsa:default or alsa:plughw:CARD=NAME,DEV=0")
    if not _DEVICE.fullmatch(device):
        raise UrlError(
            "the address has a name that no sound card can have; write alsa:default or alsa:plughw:CARD=NAME,DEV=0"
        )
    asked = dict(parse_qsl(query, keep_blank_values=True))
    numbers: dict[str, int | None] = {"sample_rate": None, "channels": None}
    for key, value in asked.items():
        if key not in numbers:
            unknown = f"unknown {key!r}; " if is_plain(key) else ""
            raise UrlError(f"alsa:{device}: {unknown}a sound card takes sample_rate, channels")
        limit = 768_000 if key == "sample_rate" else 64
        if not value.isascii() or not value.isdecimal() or not 1 <= int(value[:9]) <= limit:
            raise UrlError(f"alsa:{device}: {key} must be a whole number from 1 to {limit}")
        numbers[key] = int(value)
    return SourceUrl("alsa", device=device, sample_rate=numbers["sample_rate"], channels=numbers["channels"])


def _network_url(scheme: str, url: str, username: str | None, password: str | None) -> SourceUrl:
    if "://" not in url:
        raise UrlError(f"the address names no host; write {scheme}://host/path")
    parts = _split(url)
    if parts.username is not None:
        if username is not None or password is not None:
            raise UrlError(f"{str(parts)!r}: the login is given twice, in the url and beside it")
        if not SCHEMES[scheme].login:
            raise UrlError(f"{str(parts)!r}: {scheme} sources take no username or password")
        username, password = parts.username, parts.password
    elif password is not None and username is None:
        raise UrlError(f"{str(parts)!r}: has a password and no username")
    if username is not None and ":" in username:  # RFC 7617; what is before it would be sent, and the rest be lost
        raise UrlError(f"{str(parts)!r}: the user name has a ':', which no login by {scheme} can carry")
    if not parts.host and scheme != "udp":
        raise UrlError(f"{str(parts)!r}: names no host; write {scheme}://host/path")
    if scheme == "udp" and not parts.port:
        raise UrlError(f"{str(parts)!r}: names no port; write udp://0.0.0.0:5004")
    port = parts.port or (SCHEMES[scheme].port if SCHEMES[scheme].family == "push" else None)
    return SourceUrl(scheme, parts.host, port, parts.rest, username=username, password=password)


def _split(url: str) -> Url:
    try:
        return split_url(url)
    except UrlSyntaxError as error:
        raise UrlError(f"not a valid address: it {error}") from None
