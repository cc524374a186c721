"""From an exception and the evidence around it to one Reason, a detail and what to do.

Owns: SourceError, and the table that tells failures apart.
Does not know: retries. No text made here holds a login: FFmpeg's own messages, which carry the
whole URL, are never passed on.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

import av.error

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.evidence import Finding, explain_os_error, probe_address
from edgeaudio.capture.ffmpeg_log import FfmpegLog
from edgeaudio.capture.pipe import kind_of
from edgeaudio.capture.soundcard_errors import explain_sound_card
from edgeaudio.capture.urls import SourceUrl
from edgeaudio.recognise.types import EdgeaudioError, Reason

# PyAV raises the last three beside FFmpeg's own
FFMPEG_ERRORS = (av.error.FFmpegError, OSError, ValueError, RuntimeError)

HINTS = {
    Reason.UNAUTHORIZED: "check the username and password",
    Reason.NOT_FOUND: "check the path",
    Reason.REFUSED: "check the port, and that the service is switched on",
    Reason.UNREACHABLE: "check the address and the network",
    Reason.NAME_NOT_FOUND: "check the host name and the name server",
    Reason.TLS_UNTRUSTED: "give ca_file, or set tls_verify = false for this source",
    Reason.TIMEOUT: "check that the device is on and sends",
    Reason.NO_AUDIO_TRACK: "switch audio on in the camera's settings, or choose another stream",
    Reason.UNSUPPORTED_CODEC: "choose another audio codec in the camera's settings",
    Reason.UNSUPPORTED_TRANSPORT: 'set transport = "auto" for this source, or another transport in the camera',
    Reason.SERVER_BUSY: "end another viewer; one that takes the sound alone of a stream that is shared (as GStreamer's "
    'server does) keeps all others out until it takes everything: with edgeaudio, media = "all"',
    Reason.INVALID_DATA: "check that the address names a stream or a recording",
    Reason.DEVICE_BUSY: "close the other program, or let both use a shared ALSA device (dsnoop)",
    Reason.DEVICE_GONE: "plug the sound card in again",
}

PUSHED = "have the sound pushed by RTSP, to a source with the url rtsp+listen://127.0.0.1:8554/NAME"

# the first that fits, special before general
_ANSWERS: dict[type[Exception], Finding] = {
    av.error.HTTPUnauthorizedError: Finding(Reason.UNAUTHORIZED, "the server refused the login (401)"),
    av.error.HTTPForbiddenError: Finding(Reason.UNAUTHORIZED, "the server forbids access (403)"),
    av.error.HTTPNotFoundError: Finding(Reason.NOT_FOUND, "the server knows no such stream (404)"),
    av.error.HTTPTooManyRequestsError: Finding(Reason.SERVER_BUSY, "the server has had too many requests (429)"),
    av.error.HTTPServerError: Finding(Reason.INVALID_DATA, "the server failed (5xx)"),
    av.error.HTTPClientError: Finding(Reason.INVALID_DATA, "the server refused the request (4xx)"),
    av.error.DecoderNotFoundError: Finding(Reason.UNSUPPORTED_CODEC, "there is no decoder for the audio"),
}

_NO_FILES = {
    "directory": Finding(Reason.NOT_FOUND, "this is a directory", "name a recording in it"),
    "socket": Finding(Reason.INVALID_DATA, "this is a socket, not a recording", PUSHED),
}
_FORBIDDEN = Finding(
    Reason.UNAUTHORIZED,
    "not allowed to read this file",
    "let the user that edgeaudio runs as read it, and enter its folders",
)
_EMPTY = Finding(Reason.INVALID_DATA, "the file is empty", "record it anew")
_UNDECODABLE = Finding(Reason.UNSUPPORTED_CODEC, "there is no decoder for the audio", "convert the recording")
_UNREADABLE = Finding(
    Reason.INVALID_DATA, "not a recording that can be read, or its end is cut off", "check that it plays elsewhere"
)


class SourceError(EdgeaudioError):
    """A source cannot be opened or read: which, why (one of Reason), the evidence, what to do."""

    def __init__(self, source: str, url: SourceUrl, reason: Reason, detail: str, hint: str | None = None) -> None:
        self.source = source
        self.url = str(url)  # masked
        self.reason = reason
        self.detail = detail
        self.hint = HINTS.get(reason, "") if hint is None else hint
        super().__init__(f"source {source} ({self.url}): {self.explanation}")

    @property
    def explanation(self) -> str:
        """What is wrong and what to do, without the source's name and address."""
        return f"{self.detail}; {self.hint}" if self.hint else self.detail


class StoppedError(EdgeaudioError):
    """The caller's stop event ended an open."""


@dataclass(frozen=True, slots=True)
class Call:
    """What is known of a call of FFmpeg's that failed, beside its exception."""

    opening: bool  # else reading
    timed_out: bool  # the Guard's limit had run out
    limit_s: float  # that limit
    log: FfmpegLog


def failure_of(config: SourceConfig, error: Exception, call: Call) -> SourceError:
    """The SourceError for an exception of PyAV. May probe the network for up to a few seconds."""
    url = config.address
    number = error.errno if isinstance(error, av.error.FFmpegError | OSError) else None
    if url.scheme == "alsa":
        finding = explain_sound_card(url, call.log, opening=call.opening, timed_out=call.timed_out)
    elif url.path is not None:
        finding = _file(error, url.path, call)
    else:
        where = f"{url.host}:{url.port}" if url.port else str(url.host)
        finding = (
            _by_rtsp_answer(call.log)
            or _by_answer(error)
            or _listener(url, number, where, call)
            or explain_os_error(number, where)
            # a name that does not resolve is EIO, a mute RTSP server "invalid data", a certificate
            # that is not trusted either of them: look for ourselves
            or probe_address(url, tls_verify=config.tls_verify, ca_file=config.ca_file)
            or _by_behaviour(error, url.scheme, call)
        )
    return SourceError(config.name, url, *finding)


def _by_rtsp_answer(log: FfmpegLog) -> Finding | None:
    """What an RTSP server's answer says that FFmpeg's error does not."""
    answer = log.search(r"method (?P<method>[A-Z_]{3,16}) failed: (?P<code>\d{3})")
    if answer is None:
        return None
    method, code = answer["method"], int(answer["code"])
    if code == 461 and method == "SETUP":
        return Finding(Reason.UNSUPPORTED_TRANSPORT, "the server does not know this transport of RTSP (461)")
    if code in {453, 503}:
        return Finding(Reason.SERVER_BUSY, f"the server serves no further viewer ({code}, to {method})")
    return None


def _by_answer(error: Exception) -> Finding | None:
    return next((found for kind, found in _ANSWERS.items() if isinstance(error, kind)), None)


def _by_behaviour(error: Exception, scheme: str, call: Call) -> Finding:
    if call.timed_out or isinstance(error, (av.error.ExitError, TimeoutError)):
        what = "no complete answer" if call.opening else "no sound"
        return Finding(Reason.TIMEOUT, f"{what} within {call.limit_s:g} s")
    if not call.opening:
        return Finding(Reason.END_OF_STREAM, "the sender broke off")
    if isinstance(error, av.error.EOFError) and scheme not in {"http", "https"}:
        return Finding(Reason.INVALID_DATA, "the server closed the connection without an answer")
    return Finding(Reason.INVALID_DATA, "the answer is not a stream that can be read")


def _listener(url: SourceUrl, number: int | None, where: str, call: Call) -> Finding | None:
    """What stands in the way of a source that is pushed."""
    if url.scheme != "rtsp+listen":
        return None
    if number == errno.EADDRINUSE:
        return Finding(Reason.DEVICE_BUSY, f"another program listens on {where}", "stop it, or choose another port")
    if number == errno.EACCES:
        return Finding(
            Reason.UNAUTHORIZED, f"not allowed to listen on {where}", "choose a port from 1024 on, and an address"
        )
    if number == errno.EADDRNOTAVAIL:
        hint = "write an address of this machine, or 0.0.0.0 for all of them"
        return Finding(Reason.UNREACHABLE, f"this machine has no address {url.host}", hint)
    if call.opening and call.timed_out:
        hint = f"start the sender first, and let it push by RTSP over TCP to port {url.port} of this machine"
        return Finding(Reason.TIMEOUT, f"no sender pushed to it within {call.limit_s:g} s", hint)
    return None


def _file(error: Exception, path: Path, call: Call) -> Finding:
    kind = kind_of(path)
    certain = _NO_FILES.get(kind or "") or (_FORBIDDEN if isinstance(error, PermissionError) else None)
    if certain is not None:
        return certain
    try:
        size = path.stat().st_size
    except OSError:
        return Finding(Reason.NOT_FOUND, "there is no such file")
    if call.timed_out and kind is not None:
        hint = "start the program that writes to it; it must not pause for so long"
        return Finding(Reason.TIMEOUT, f"nothing was written to this {kind} within {call.limit_s:g} s", hint)
    if kind is None and size == 0:
        return _EMPTY
    return _UNDECODABLE if isinstance(error, av.error.DecoderNotFoundError) else _UNREADABLE
