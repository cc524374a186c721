"""Classification of a source's failures: from an exception and its circumstances to a Reason, a detail and a hint.

Owns: SourceError, and the tables of failures.
Does not know: retries. No text made here holds a login: FFmpeg's own messages, which hold the whole URL, are never
passed on.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

import av.error

from edgeaudio.capture.alsa_errors import explain_sound_card
from edgeaudio.capture.auth_schemes import challenges_of, explain_login
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.ffmpeg_log import FfmpegLog
from edgeaudio.capture.network_probe import ProbeResult, explain_errno, probe_address
from edgeaudio.capture.pipe import kind_of
from edgeaudio.capture.source_urls import SourceUrl
from edgeaudio.errors import EdgeaudioError
from edgeaudio.types import Reason

# PyAV also raises the last three
FFMPEG_ERRORS = (av.error.FFmpegError, OSError, ValueError, RuntimeError)

HINTS = {
    Reason.UNAUTHORIZED: "check the username and password",
    Reason.NOT_FOUND: "check the path",
    Reason.REFUSED: "check the port, and that the service is switched on",
    Reason.UNREACHABLE: "check the address and the network",
    Reason.NAME_NOT_FOUND: "check the host name and the name server",
    Reason.TLS_UNTRUSTED: "give ca_file, or set tls_verify = false for this source",
    Reason.CLOCK: "set this machine's clock",
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

# for files, in place of those above
_FILE_HINTS = {
    Reason.NO_AUDIO_TRACK: "name a recording that has sound",
    Reason.UNSUPPORTED_CODEC: "convert the recording",
    Reason.INVALID_DATA: "check that it plays elsewhere",
}

_OVER_UDP = 'let a firewall pass UDP from the camera to this machine, or set transport = "tcp" for this source'
PUSHED = "have the sound pushed by RTSP, to a source with the url rtsp+listen://127.0.0.1:8554/NAME"

# for an address to listen on, which is appended
_NOT_BOUND = {
    errno.EADDRINUSE: ProbeResult(Reason.DEVICE_BUSY, "another program listens on", "stop it, or choose another port"),
    errno.EACCES: ProbeResult(Reason.UNAUTHORIZED, "not allowed to listen on", "choose a port from 1024 on"),
    errno.EADDRNOTAVAIL: ProbeResult(
        Reason.UNREACHABLE,
        "this machine has no address",
        "write an address of this machine, or 0.0.0.0 for all of them",
    ),
}
_NOT_KNOWN = (av.error.PatchWelcomeError, av.error.DecoderNotFoundError)
# the first match counts, special before general
_ANSWERS: dict[type[Exception], ProbeResult] = {
    av.error.HTTPForbiddenError: ProbeResult(
        Reason.UNAUTHORIZED,
        "the server forbids access (403)",
        "check the username and password, and what the server lets that user, and this machine, see",
    ),
    av.error.HTTPNotFoundError: ProbeResult(Reason.NOT_FOUND, "the server knows no such stream (404)"),
    av.error.HTTPTooManyRequestsError: ProbeResult(
        Reason.SERVER_BUSY, "the server has had too many requests (429)", "ask it less often"
    ),
    av.error.HTTPServerError: ProbeResult(Reason.INVALID_DATA, "the server failed (5xx)"),
    av.error.HTTPClientError: ProbeResult(Reason.INVALID_DATA, "the server refused the request (4xx)"),
    av.error.DecoderNotFoundError: ProbeResult(Reason.UNSUPPORTED_CODEC, "there is no decoder for the audio"),
}

_NO_FILES = {
    "directory": ProbeResult(Reason.NOT_FOUND, "this is a directory", "name a recording in it"),
    "socket": ProbeResult(Reason.INVALID_DATA, "this is a socket, not a recording", PUSHED),
}
_FORBIDDEN = ProbeResult(
    Reason.UNAUTHORIZED,
    "not allowed to read this file",
    "let the user that edgeaudio runs as read it, and enter its folders",
)
_EMPTY = ProbeResult(Reason.INVALID_DATA, "the file is empty", "copy or record it again")
_UNDECODABLE = ProbeResult(Reason.UNSUPPORTED_CODEC, "there is no decoder for the audio", "convert the recording")
_UNREADABLE = ProbeResult(
    Reason.INVALID_DATA, "not a recording that can be read, or its end is cut off", "check that it plays elsewhere"
)


class SourceError(EdgeaudioError):
    """A source cannot be opened or read: its name, a Reason, a detail and a hint."""

    def __init__(
        self,
        source: str,
        url: SourceUrl,
        reason: Reason,
        detail: str,
        hint: str | None = None,
        *,
        stalled: bool = False,
    ) -> None:
        """`hint`: None for that of HINTS; `stalled`: there was a connection, and it brought no sound."""
        self.stalled = stalled or reason is Reason.TIMEOUT
        self.source = source
        self.url = str(url)  # masked
        self.reason = reason
        self.detail = detail
        hints = HINTS if url.path is None else HINTS | _FILE_HINTS
        self.hint = hints.get(reason, "") if hint is None else hint
        super().__init__(f"source {source} ({self.url}): {self.explanation}")

    @property
    def explanation(self) -> str:
        """Detail and hint, without the source's name and address."""
        return f"{self.detail}; {self.hint}" if self.hint else self.detail


class StoppedError(EdgeaudioError):
    """The stop event ended an open."""


@dataclass(frozen=True, slots=True)
class Call:
    """Circumstances of a failed call of FFmpeg."""

    opening: bool  # else reading
    timed_out: bool  # the Deadline had expired
    limit_s: float  # that limit
    over_udp: bool  # RTP comes over UDP
    log: FfmpegLog
    received: int = 0  # bytes without sound, as far as is known


def classify(config: SourceConfig, error: Exception, call: Call) -> SourceError:
    """Return the SourceError for an exception of PyAV. May probe the network for a few seconds."""
    url = config.address
    number = error.errno if isinstance(error, av.error.FFmpegError | OSError) else None
    if url.scheme == "alsa":
        result = explain_sound_card(url, call.log, opening=call.opening, timed_out=call.timed_out)
    elif url.path is not None:
        result = _file(error, url.path, call)
    else:
        where = f"{url.host}:{url.port}" if url.port else str(url.host)
        result = (
            _by_login(config, error)
            or _by_rtsp_answer(call.log)
            or _by_answer(error)
            or _receiver(url, number, where, call)
            or _by_redirect(url, call.log)
            or explain_errno(number, where)
            # FFmpeg reports EIO for a name that does not resolve, "invalid data" for a mute RTSP server, and either for
            # an untrusted certificate: probe
            or probe_address(url, tls_verify=config.tls_verify, ca_file=config.ca_file)
            or _by_behaviour(error, url, call)
        )
    return SourceError(config.name, url, *result)


def undecodable(config: SourceConfig, packets: int, last_error: type[Exception] | None) -> SourceError:
    """Return the SourceError for packets that could not be decoded; `last_error`: of the last of them."""
    detail = f"{packets} packets came, and none of them could be decoded"
    if last_error is not None and issubclass(last_error, _NOT_KNOWN):
        return SourceError(config.name, config.address, Reason.UNSUPPORTED_CODEC, detail)
    hint = "restart the camera; if that does not help, choose another audio codec in its settings"
    return SourceError(config.name, config.address, Reason.INVALID_DATA, detail, hint, stalled=True)


def _by_login(config: SourceConfig, error: Exception) -> ProbeResult | None:
    url = config.address
    if not isinstance(error, av.error.HTTPUnauthorizedError):
        return None
    asked = url.is_rtsp and url.username is not None
    challenges = challenges_of(url, tls_verify=config.tls_verify, ca_file=config.ca_file) if asked else []
    return explain_login(challenges, given=url.username is not None)


def _by_redirect(url: SourceUrl, log: FfmpegLog) -> ProbeResult | None:
    """Return what is wrong with the target of an RTSP redirect."""
    unknown = log.search(r"Failed to resolve hostname (?P<host>[A-Za-z0-9._-]+):")
    hint = "mend the redirect, or set the address that it means"
    if unknown and unknown["host"].lower() != url.host:
        name = unknown["host"]
        return ProbeResult(Reason.NAME_NOT_FOUND, f"the server redirects to {name}, which does not resolve", hint)
    failed = log.search(r"Connection to tcp://(?P<where>[A-Za-z0-9._\[\]:-]+:\d+)\S* failed: (?P<words>.+)")
    if failed is None or failed["where"] == f"{url.place}":
        return None
    number = next((number for number in errno.errorcode if os.strerror(number) == failed["words"].strip()), None)
    found = explain_errno(number, failed["where"])
    return found and ProbeResult(found.reason, f"the server redirects, and {found.detail}", hint)


def _by_rtsp_answer(log: FfmpegLog) -> ProbeResult | None:
    """Return what an RTSP server's status code means, if FFmpeg's error does not show it."""
    answer = log.search(r"method (?P<method>[A-Z_]{3,16}) failed: (?P<code>\d{3})")
    if answer is None:
        return None
    method, code = answer["method"], int(answer["code"])
    if code == 461 and method == "SETUP":
        return ProbeResult(Reason.UNSUPPORTED_TRANSPORT, "the server does not know this transport of RTSP (461)")
    if code in {453, 503}:
        return ProbeResult(Reason.SERVER_BUSY, f"the server serves no further viewer ({code}, to {method})")
    if code >= 500:
        detail = f"the server failed ({code}, to {method})"
        return ProbeResult(Reason.INVALID_DATA, detail, "restart the camera, or look at the server's log")
    if code >= 400 and code not in {401, 403, 404, 429}:
        detail = f"the server refused the request ({code}, to {method})"
        return ProbeResult(Reason.INVALID_DATA, detail, "check the path, and what streams the camera offers")
    return None


def _by_answer(error: Exception) -> ProbeResult | None:
    return next((found for kind, found in _ANSWERS.items() if isinstance(error, kind)), None)


def _by_behaviour(error: Exception, url: SourceUrl, call: Call) -> ProbeResult:
    if call.timed_out or isinstance(error, (av.error.ExitError, TimeoutError)):
        if call.received:
            detail = f"{call.received:,} bytes came, and no sound was found in them"
            hint = "check that the address names a stream, and that it comes fast enough"
            return ProbeResult(Reason.TIMEOUT, detail, hint)
        what = "no complete answer" if call.opening else "no sound"
        return ProbeResult(Reason.TIMEOUT, f"{what} within {call.limit_s:g} s", _OVER_UDP if call.over_udp else None)
    if not call.opening:
        return ProbeResult(Reason.END_OF_STREAM, "the sender broke off")
    if isinstance(error, av.error.EOFError) and not url.is_http:
        hint = "check the port; a camera with too many viewers does that too"
        return ProbeResult(Reason.INVALID_DATA, "the server closed the connection without an answer", hint)
    return ProbeResult(Reason.INVALID_DATA, "the answer is not a stream that can be read")


def _receiver(url: SourceUrl, number: int | None, where: str, call: Call) -> ProbeResult | None:
    """Return what is wrong with a source whose sender connects to this machine."""
    if not url.is_pushed and url.scheme != "udp":
        return None
    if number in _NOT_BOUND:
        result = _NOT_BOUND[number]
        return result._replace(detail=f"{result.detail} {url.host if number == errno.EADDRNOTAVAIL else where}")
    if url.scheme == "udp" and (call.timed_out or number in {errno.ETIMEDOUT, errno.EAGAIN}):
        detail = f"nothing that could be read came to port {url.port} within {call.limit_s:g} s"
        hint = f"check where the sender sends to, and that a firewall lets UDP to port {url.port} of this machine pass"
        return ProbeResult(Reason.TIMEOUT, detail, hint)
    if url.is_pushed and call.opening and call.timed_out:
        hint = f"start the sender first, and let it push by RTSP over TCP to port {url.port} of this machine"
        return ProbeResult(Reason.TIMEOUT, f"no sender pushed to it within {call.limit_s:g} s", hint)
    return None


def _file(error: Exception, path: Path, call: Call) -> ProbeResult:
    kind = kind_of(path)
    certain = _NO_FILES.get(kind or "") or (_FORBIDDEN if isinstance(error, PermissionError) else None)
    if certain is not None:
        return certain
    try:
        size = path.stat().st_size
    except OSError:
        return ProbeResult(Reason.NOT_FOUND, "there is no such file")
    if call.timed_out and kind is not None:
        hint = "start the program that writes to it; it must not pause for so long"
        return ProbeResult(Reason.TIMEOUT, f"nothing was written to this {kind} within {call.limit_s:g} s", hint)
    if kind is None and size == 0:
        return _EMPTY
    return _UNDECODABLE if isinstance(error, av.error.DecoderNotFoundError) else _UNREADABLE
