"""Which target of a film is which: a file, or a server that it is pushed to.

Owns: the schemes, and refusing what they cannot take. Does not know: how anything is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from edgeaudio.film.errors import FilmError
from edgeaudio.media.film_form import FilmAudio
from edgeaudio.redact import mask_url
from edgeaudio.urls import UrlSyntaxError, split_url


@dataclass(frozen=True, slots=True)
class _Scheme:
    container: str  # FFmpeg's name
    needs_h264: bool
    options: dict[str, str]
    tls: bool = False


_S_IN_US: Final = 1_000_000
_SOCKET: Final = str(10 * _S_IN_US)  # microseconds that a read or a write of FFmpeg may wait
# the interleaver waits so long for a stream that has nothing, and then lets the other go on
_INTERLEAVE: Final = {"max_interleave_delta": str(_S_IN_US)}
_VERIFIED: Final = {"tls_verify": "1"}
_RTSP: Final = {"rtsp_transport": "tcp", "timeout": _SOCKET, **_INTERLEAVE}
# RTMP's own `timeout` would make FFmpeg a server
_RTMP: Final = {"rw_timeout": _SOCKET, "flvflags": "no_duration_filesize", **_INTERLEAVE}
_SCHEMES: Final = {
    "rtsp": _Scheme("rtsp", needs_h264=False, options=_RTSP),
    "rtsps": _Scheme("rtsp", needs_h264=False, options=_RTSP | _VERIFIED, tls=True),
    "rtmp": _Scheme("flv", needs_h264=True, options=_RTMP),
    "rtmps": _Scheme("flv", needs_h264=True, options=_RTMP | _VERIFIED, tls=True),
}


@dataclass(frozen=True, slots=True)
class PushTarget:
    """A server that a film is pushed to. `str()` and `repr()` hide its secrets."""

    url: str = field(repr=False)  # with its login: secret
    shown: str
    container: str
    needs_h264: bool
    options: dict[str, str]

    def __str__(self) -> str:
        return self.shown


def push_target(target: str, audio: FilmAudio | None) -> PushTarget | None:
    """Return the server that a target names; None for a file. Raises FilmError."""
    scheme, separator, _ = target.partition("://")
    if not separator:
        return None
    known = _SCHEMES.get(scheme.lower())
    if known is None:
        raise FilmError(
            f"{mask_url(target)}: a film goes to a file, or to {', '.join(f'{name}://' for name in _SCHEMES)}"
        )
    try:
        url = split_url(target)
    except UrlSyntaxError as error:
        raise FilmError(f"{mask_url(target)}: this address {error}") from None
    if not url.host:
        raise FilmError(f"{mask_url(target)}: this address has no host")
    if known.container == "flv" and len([part for part in url.path.split("/") if part]) < 2:
        raise FilmError(f"{url}: an RTMP address names an application and a stream, as in rtmp://host/live/film")
    if audio == "flac":
        raise FilmError(f"{url}: a server takes AAC, and no FLAC; leave it out, or write a .mkv file")
    return PushTarget(url.with_login(), str(url), known.container, known.needs_h264, dict(known.options))
