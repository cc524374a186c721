"""Which target of a film is which: a file, or a server that it is pushed to.

Owns: the schemes, and refusing what they cannot take. Does not know: how anything is written.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field, replace
from typing import Final

from edgeaudio.film.errors import FilmError
from edgeaudio.media.film_form import FilmAudio
from edgeaudio.redact import mask_url
from edgeaudio.urls import HIDDEN, Url, UrlSyntaxError, split_url


@dataclass(frozen=True, slots=True)
class _Scheme:
    container: str  # FFmpeg's name
    needs_h264: bool
    options: dict[str, str]
    tls: bool = False


_US: Final = 1_000_000
# the interleaver waits so long for a stream that has nothing, and then lets the other go on
_INTERLEAVE: Final = {"max_interleave_delta": str(_US)}
# microseconds that one read or write may take; a server that takes nothing in them is left by push_output.py
_RTSP: Final = {"rtsp_transport": "tcp", "timeout": str(10 * _US), **_INTERLEAVE}
_NAME: Final = re.compile(r"[a-z]{1,16}(?:[-_][a-z]{1,16}){0,2}[0-9]{0,3}", re.ASCII)  # keys have digits among letters
_SCHEMES: Final = {
    "rtsp": _Scheme("rtsp", needs_h264=False, options=_RTSP),
    "rtsps": _Scheme("rtsp", needs_h264=False, options=_RTSP | {"tls_verify": "1"}, tls=True),
    "rtmp": _Scheme("flv", needs_h264=True, options={"flvflags": "no_duration_filesize", **_INTERLEAVE}),
}
_NO_RTMPS: Final = (
    "a film cannot go by RTMPS, for PyAV hands FFmpeg no option to verify the server's certificate; "
    "push by rtsps://, or by rtmp:// to a relay on this machine that speaks TLS to the server (stunnel)"
)


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
    if scheme.lower() == "rtmps":
        raise FilmError(f"{mask_url(target)}: {_NO_RTMPS}")
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
    shown = _shown(url, has_key=known.container == "flv")
    if audio == "flac":
        raise FilmError(f"{shown}: a server takes AAC, and no FLAC; leave it out, or write a .mkv file")
    options = dict(known.options)
    # FFmpeg in PyAV's wheels looks for it elsewhere
    if known.tls and (authorities := ssl.get_default_verify_paths().cafile):
        options["ca_file"] = authorities
    return PushTarget(url.with_login(), shown, known.container, known.needs_h264, options)


def _shown(url: Url, *, has_key: bool) -> str:
    """Return an address without its secrets: the last part of an RTMP address is a key, unless it reads as a name."""
    before, _, name = url.path.rpartition("/")
    if not has_key or _NAME.fullmatch(name):
        return str(url)
    return str(replace(url, path=f"{before}/{HIDDEN}"))
