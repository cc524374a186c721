"""Looks again where FFmpeg's answer is ambiguous: does the name resolve, the port answer, TLS hold?

Owns: short network probes made after a failed open, each with a time limit.
Does not know: FFmpeg, or what the caller makes of the evidence.
"""

from __future__ import annotations

import errno
import socket
import ssl
from pathlib import Path
from typing import NamedTuple

from edgeaudio.capture.source_urls import DEFAULT_PORTS, SourceUrl
from edgeaudio.tls_errors import SOURCE, explain_certificate, speaks_no_tls
from edgeaudio.types import Reason

_PROBE_S = 2.0
_ANSWER_S = 1.0
PROBING_S = 2 * _PROBE_S  # for all of a probe: the connection, and TLS
_NO_ROUTE = {
    errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL,
}  # fmt: skip


class ProbeResult(NamedTuple):
    """What is wrong with a source."""

    reason: Reason
    detail: str  # without a login
    hint: str | None = None  # what to do; None: what is said of the reason everywhere


def probe_address(url: SourceUrl, *, tls_verify: bool, ca_file: Path | None) -> ProbeResult | None:
    """What is wrong on the way to `url`'s server; None where it answers as far as can be seen.

    Takes at most about 2 s a step (name resolution has the resolver's own limits).
    """
    host, port = url.host or "", url.port or DEFAULT_PORTS.get(url.scheme, 0)
    if not host or url.scheme == "rtsp+listen":
        return None
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return ProbeResult(Reason.NAME_NOT_FOUND, f"the name {host} does not resolve ({_gai(error)})")
    except UnicodeError:
        return ProbeResult(Reason.NAME_NOT_FOUND, f"{host} is not a valid host name")
    try:
        with socket.create_connection((str(addresses[0][4][0]), port), _PROBE_S) as connection:
            return _probe_tls(connection, host, ca_file) if url.is_tls and tls_verify else None
    except OSError as error:
        return explain_os_error(error.errno, f"{host}:{port}", timed_out=isinstance(error, TimeoutError))


def rtsp_answers(url: SourceUrl) -> bool:
    """True if the RTSP server of `url` answers a question that needs no login. Takes at most about 2 s."""
    if url.scheme == "rtsp+listen":
        return True  # the sender's connection would have been closed
    try:
        with (
            socket.create_connection((url.host or "", url.port or DEFAULT_PORTS[url.scheme]), _ANSWER_S) as plain,
            _unverified(plain) if url.is_tls else plain as connection,
        ):
            connection.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
            return connection.recv(16).startswith(b"RTSP/")
    except OSError:
        return False


def _unverified(connection: socket.socket) -> ssl.SSLSocket:
    """TLS that is asked for a sign of life alone: nothing is sent through it that is worth anything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection)


def explain_os_error(number: int | None, where: str, *, timed_out: bool = False) -> ProbeResult | None:
    """The finding for the errno of a failed connection; None where it says nothing."""
    if number == errno.ECONNREFUSED:
        return ProbeResult(Reason.REFUSED, f"nothing listens on {where}")
    if number in _NO_ROUTE:
        return ProbeResult(Reason.UNREACHABLE, f"no route to {where}")
    if timed_out or number == errno.ETIMEDOUT:
        return ProbeResult(Reason.TIMEOUT, f"{where} does not answer")
    return None


def unreadable_authorities(ca_file: Path | None) -> ProbeResult:
    """The finding for a `ca_file` that holds no certificates, or cannot be read."""
    detail = f"the file of trusted certificates {ca_file} cannot be read"
    return ProbeResult(
        Reason.TLS_UNTRUSTED, detail, "see that it holds certificates as PEM, and that edgeaudio may read it"
    )


def _probe_tls(connection: socket.socket, host: str, ca_file: Path | None) -> ProbeResult | None:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError):
        return unreadable_authorities(ca_file)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # on since Python 3.13; FFmpeg, for whom we look, is not so strict
    try:
        with context.wrap_socket(connection, server_hostname=host):
            return None
    except (OSError, ValueError) as error:
        return explain_tls_error(error, host)


def explain_tls_error(error: OSError | ValueError, host: str) -> ProbeResult:
    """The finding for what a TLS handshake with `host` raised."""
    if isinstance(error, ssl.SSLCertVerificationError):
        detail, hint, by_clock = explain_certificate(error, SOURCE)
        reason = Reason.CLOCK if by_clock else Reason.TLS_UNTRUSTED
        return ProbeResult(reason, f"certificate of {host}: {detail.partition(': ')[2]}", hint)
    if isinstance(error, TimeoutError):
        return ProbeResult(Reason.TIMEOUT, f"{host} does not answer the TLS handshake")
    if isinstance(error, ssl.SSLError) and not speaks_no_tls(str(error)) and not isinstance(error, ssl.SSLEOFError):
        words = (error.reason or "unknown").lower().replace("_", " ")
        hint = "see which versions of TLS the server speaks, and whether it wants a certificate of this device"
        return ProbeResult(Reason.INVALID_DATA, f"TLS with {host} failed: {words}", hint)
    hint = "use the server's port for TLS, or an address without it (rtsp://, http://)"
    return ProbeResult(Reason.INVALID_DATA, f"{host} does not speak TLS on this port", hint)


def _gai(error: socket.gaierror) -> str:
    return (error.strerror or "no answer").lower()
