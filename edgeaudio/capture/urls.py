"""Source addresses: what may be written as a source's `url`, and how it looks without its secrets.

Owns: parsing and validating source URLs, joining them with a separate login.
Does not know: FFmpeg's options, networks, or whether anything answers at the address.

One spelling for each kind of source:

    rtsp://host[:554]/path      rtsps://host[:322]/path      rtmp://host/app/name      rtmps://...
    http://host/path            https://host/path            (a file, a live stream, or HLS)
    udp://0.0.0.0:5004          (MPEG-TS, unicast or multicast group)
    /path/to/file, file:///path (a recording)
    alsa:default, alsa:hw:1,0?sample_rate=192000&channels=1  (a sound card)
    rtsp+listen://127.0.0.1:8554/path  (wait on this port for a sender that pushes by RTSP)
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from edgeaudio.masking import HIDDEN, mask_url
from edgeaudio.recognise.types import EdgeaudioError

NETWORK_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "rtsp+listen")
SCHEMES = (*NETWORK_SCHEMES, "file", "alsa")
LOGIN_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https")
DEFAULT_PORTS = {
    "rtsp": 554,
    "rtsps": 322,
    "rtmp": 1935,
    "rtmps": 443,
    "http": 80,
    "https": 443,
    "rtsp+listen": 8554,
}

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*):")


class UrlError(EdgeaudioError):
    """A source's address cannot be used; the message says why, masked, and how to write it."""


@dataclass(frozen=True, slots=True)
class SourceUrl:
    """A validated address. `str()` and `repr()` never show the login."""

    scheme: str  # one of SCHEMES
    host: str | None = None  # without brackets; None for files and sound cards
    port: int | None = None
    rest: str = ""  # path and query of a network address, as written
    path: Path | None = None  # of a recording
    device: str | None = None  # ALSA's name of the sound card
    sample_rate: int | None = None  # Hz, asked of the sound card
    channels: int | None = None  # asked of the sound card
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def is_network(self) -> bool:
        return self.scheme in NETWORK_SCHEMES

    @property
    def is_tls(self) -> bool:
        return self.scheme in {"rtsps", "rtmps", "https"}

    def with_login(self) -> str:
        """The network address with its login, percent-encoded. Secret: hand it to FFmpeg only."""
        login = ""
        if self.username is not None:
            login = quote(self.username, safe="")
            if self.password is not None:
                login += ":" + quote(self.password, safe="")
            login += "@"
        return self._network("rtsp" if self.scheme == "rtsp+listen" else self.scheme, login)

    def __str__(self) -> str:
        if self.path is not None:
            return str(self.path)
        if self.device is not None:
            return f"alsa:{self.device}"
        login = "" if self.username is None else f"{self.username}:{HIDDEN}@"
        return mask_url(self._network(self.scheme, login))

    def _network(self, scheme: str, login: str) -> str:
        host = self.host or ""
        if ":" in host:
            host = f"[{host}]"
        port = f":{self.port}" if self.port is not None else ""
        return f"{scheme}://{login}{host}{port}{self.rest}"


def parse_url(url: str, username: str | None = None, password: str | None = None) -> SourceUrl:
    """The validated address of a source, its login taken from the URL or given beside it.

    Raises UrlError.
    """
    if not url or "\0" in url or "\n" in url:
        raise UrlError("a source needs a url: an address, a path, or alsa:DEVICE")
    match = _SCHEME.match(url)
    scheme = match.group(1).lower() if match else "file"
    if scheme not in SCHEMES:
        raise UrlError(f"{mask_url(url)!r}: unsupported kind of address {scheme!r}; use one of {', '.join(SCHEMES)}")
    if scheme not in LOGIN_SCHEMES and (username is not None or password is not None):
        raise UrlError(f"{mask_url(url)!r}: {scheme} sources take no username or password")
    if scheme == "file":
        return SourceUrl(scheme, path=_path(url))
    if scheme == "alsa":
        return _sound_card(url)
    return _network_url(scheme, url, username, password)


def _path(url: str) -> Path:
    if not url.lower().startswith("file:"):
        return Path(url)
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"} or not parts.path:
        raise UrlError(f"{url!r}: a file address is written file:///path/to/file")
    return Path(unquote(parts.path))


def _sound_card(url: str) -> SourceUrl:
    device, _, query = url.partition(":")[2].partition("?")
    if not device:
        raise UrlError(f"{url!r}: names no sound card; write alsa:default or alsa:hw:1,0")
    asked = dict(parse_qsl(query, keep_blank_values=True))
    unknown = set(asked) - {"sample_rate", "channels"}
    if unknown:
        raise UrlError(f"{url!r}: unknown {unknown.pop()!r}; a sound card takes sample_rate, channels")
    numbers: dict[str, int | None] = {"sample_rate": None, "channels": None}
    for key, value in asked.items():
        limit = 768_000 if key == "sample_rate" else 64
        if not value.isascii() or not value.isdecimal() or not 1 <= int(value[:9]) <= limit:
            raise UrlError(f"{url!r}: {key} must be a whole number from 1 to {limit}")
        numbers[key] = int(value)
    return SourceUrl("alsa", device=device, sample_rate=numbers["sample_rate"], channels=numbers["channels"])


def _network_url(scheme: str, url: str, username: str | None, password: str | None) -> SourceUrl:
    parts = _split(url)
    if parts.username is not None:
        if username is not None or password is not None:
            raise UrlError(f"{mask_url(url)!r}: the login is given twice, in the url and beside it")
        if scheme not in LOGIN_SCHEMES:
            raise UrlError(f"{mask_url(url)!r}: {scheme} sources take no username or password")
        username = unquote(parts.username)
        password = None if parts.password is None else unquote(parts.password)
    elif password is not None and username is None:
        raise UrlError(f"{mask_url(url)!r}: has a password and no username")
    if parts.fragment:
        # "#" in a password ends the address early, and the rest would be taken for a host name
        raise UrlError(f"{mask_url(url)!r}: has a '#'; write %23, or give username and password as settings")
    host, port = parts.hostname, parts.port
    if not host and scheme != "udp":
        raise UrlError(f"{mask_url(url)!r}: names no host; write {scheme}://host/path")
    if scheme == "udp" and port is None:
        raise UrlError(f"{mask_url(url)!r}: names no port; write udp://0.0.0.0:5004")
    if scheme == "rtsp+listen":
        port = port or DEFAULT_PORTS[scheme]
    rest = parts.path + (f"?{parts.query}" if parts.query else "")
    return SourceUrl(scheme, host or "", port, rest, username=username, password=password)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number from 0 to 65535
    except ValueError:
        parts = None
    if parts is None or (parts.hostname and re.search(r"[\s\\<>\"]", parts.hostname)):
        raise UrlError(
            f"{mask_url(url)!r}: not a valid address; special characters in a login must be "
            "percent-encoded, or given as username and password"
        )
    return parts
