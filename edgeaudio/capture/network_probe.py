"""Network probes after a failed open, where FFmpeg's error is ambiguous: name resolution, the port, TLS.

Owns: short probes with a time limit, and the Reason and sentence of a source for each network fault.
Does not know: FFmpeg, how exceptions are classified (network_errors.py).
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import NamedTuple

from edgeaudio.capture.source_urls import SourceUrl
from edgeaudio.capture.tls import unverified_context, verifying_context
from edgeaudio.network_errors import NetworkFault, diagnose
from edgeaudio.tls_errors import Peer
from edgeaudio.types import Reason

_PROBE_S = 2.0
_ANSWER_S = 1.0
PROBING_S = 2 * _PROBE_S  # for a whole probe: the connection, and TLS
_SERVER = Peer("the server", "this source's `ca_file`", "`url`", "")


class ProbeResult(NamedTuple):
    """What is wrong with a source."""

    reason: Reason
    detail: str  # without a login
    hint: str | None = None  # what to do; None: the hint of the reason


# {place} is a host, or host:port
_CONNECTING = {
    NetworkFault.INVALID_NAME: ProbeResult(Reason.NAME_NOT_FOUND, "{place} is not a valid host name"),
    NetworkFault.NAME_NOT_FOUND: ProbeResult(Reason.NAME_NOT_FOUND, "the name {place} does not resolve ({words})"),
    NetworkFault.UNREACHABLE: ProbeResult(Reason.UNREACHABLE, "no route to {place}"),
    NetworkFault.REFUSED: ProbeResult(Reason.REFUSED, "nothing listens on {place}"),
    NetworkFault.TIMEOUT: ProbeResult(Reason.TIMEOUT, "{place} does not answer"),
}
_TLS_FAILED = ProbeResult(
    Reason.INVALID_DATA,
    "TLS with {place} failed: {words}",
    "see which versions of TLS the server speaks, and whether it wants a certificate of this device",
)
_HANDSHAKE = {
    NetworkFault.TIMEOUT: ProbeResult(Reason.TIMEOUT, "{place} does not answer the TLS handshake"),
    NetworkFault.UNTRUSTED: ProbeResult(Reason.TLS_UNTRUSTED, "certificate of {place}: {words}"),
    NetworkFault.CLOCK: ProbeResult(Reason.CLOCK, "certificate of {place}: {words}"),
    NetworkFault.TLS_ALERT: _TLS_FAILED,
    NetworkFault.TLS_FAILED: _TLS_FAILED,
}
# whatever else ends a handshake
_NO_TLS = ProbeResult(
    Reason.INVALID_DATA,
    "{place} does not speak TLS on this port",
    "use the server's port for TLS, or an address without it (rtsp://, http://)",
)


def probe_address(url: SourceUrl, *, tls_verify: bool, ca_file: Path | None) -> ProbeResult | None:
    """Return what is wrong on the way to `url`'s server; None if it answers as far as can be seen.

    Takes at most about 2 s a step (name resolution has the resolver's own limits).
    """
    host, port = url.host or "", url.server_port
    if not host or url.is_pushed:
        return None
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return explain_connecting(error, host)
    try:
        with socket.create_connection((str(addresses[0][4][0]), port), _PROBE_S) as connection:
            return _probe_tls(connection, host, ca_file) if url.is_tls and tls_verify else None
    except OSError as error:
        return explain_connecting(error, f"{host}:{port}")


def rtsp_answers(url: SourceUrl) -> bool:
    """True if the RTSP server of `url` answers a request that needs no login. Takes at most about 2 s."""
    if url.is_pushed:
        return True  # FFmpeg would have reported that the sender closed its connection
    try:
        with (
            socket.create_connection((url.host or "", url.server_port), _ANSWER_S) as plain,
            unverified_context().wrap_socket(plain) if url.is_tls else plain as connection,
        ):
            connection.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
            return connection.recv(16).startswith(b"RTSP/")
    except OSError:
        return False


def explain_connecting(error: OSError | ValueError, place: str) -> ProbeResult | None:
    """Return what an exception of name resolution or of a socket that connects means; None if it is not known."""
    diagnosis = diagnose(error, _SERVER)
    found = _CONNECTING.get(diagnosis.fault)
    return found and found._replace(detail=found.detail.format(place=place, words=diagnosis.words))


def explain_errno(number: int | None, place: str) -> ProbeResult | None:
    """Return what the errno of a failed connection to `place` means; None if it is not known."""
    return None if number is None else explain_connecting(OSError(number, os.strerror(number)), place)


def explain_handshake(error: OSError | ValueError, host: str) -> ProbeResult:
    """Return what the exception of a TLS handshake with `host` means."""
    diagnosis = diagnose(error, _SERVER)
    found = _HANDSHAKE.get(diagnosis.fault, _NO_TLS)
    detail = found.detail.format(place=host, words=diagnosis.words)
    return ProbeResult(found.reason, detail, found.hint if diagnosis.hint is None else diagnosis.hint)


def unreadable_authorities(ca_file: Path | None) -> ProbeResult:
    """Return the result for a `ca_file` that holds no certificates, or cannot be read."""
    detail = f"the file of trusted certificates {ca_file} cannot be read"
    return ProbeResult(
        Reason.TLS_UNTRUSTED, detail, "see that it holds certificates as PEM, and that edgeaudio may read it"
    )


def _probe_tls(connection: socket.socket, host: str, ca_file: Path | None) -> ProbeResult | None:
    try:
        context = verifying_context(ca_file)
    except OSError:
        return unreadable_authorities(ca_file)
    try:
        with context.wrap_socket(connection, server_hostname=host):
            return None
    except (OSError, ValueError) as error:
        return explain_handshake(error, host)
