"""One classification of what goes wrong on the way to a server, for sources and brokers alike.

Owns: telling exceptions of name resolution, sockets and TLS apart.
Does not know: what a reason is called in a source's state or a broker's, or the sentences around it; those are a table
each in capture/network_probe.py and sinks/mqtt/connect_errors.py.
"""

from __future__ import annotations

import errno
import socket
import ssl
from enum import Enum, auto
from typing import Final, NamedTuple

from edgeaudio.tls_errors import HUNG_UP, NO_TLS, Peer, explain_certificate, read_tls_error

_UNREACHABLE: Final = {
    errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL,
}  # fmt: skip


class NetworkFault(Enum):
    """What failed, in the order in which a connection is made."""

    INVALID_NAME = auto()  # no name server can be asked for this host
    NAME_NOT_FOUND = auto()
    UNREACHABLE = auto()  # no route
    REFUSED = auto()  # no process listens on the port
    TIMEOUT = auto()
    CLOSED = auto()  # by the peer: reset, aborted
    NO_TLS = auto()  # the port answers in another protocol
    TLS_CLOSED = auto()  # the peer closed the connection without an alert
    TLS_ALERT = auto()  # the peer closed the connection with an alert
    TLS_FAILED = auto()
    UNTRUSTED = auto()  # the peer's certificate
    CLOCK = auto()  # the peer's certificate is not yet valid by this machine's clock, which is known to be behind
    OTHER = auto()


class Diagnosis(NamedTuple):
    """A fault, and what is known of it."""

    fault: NetworkFault
    words: str  # the system's, the resolver's or OpenSSL's
    hint: str | None = None  # what to do about a certificate


def diagnose(error: OSError | ValueError, peer: Peer) -> Diagnosis:
    """Return what an exception of name resolution, a socket or a TLS handshake with `peer` means."""
    match error:
        case ssl.SSLCertVerificationError():
            words, hint, by_clock = explain_certificate(error, peer)
            return Diagnosis(NetworkFault.CLOCK if by_clock else NetworkFault.UNTRUSTED, words, hint)
        case ssl.SSLError():
            return diagnose_tls(str(error))
        case socket.gaierror():
            return Diagnosis(NetworkFault.NAME_NOT_FOUND, (error.strerror or "no answer").lower())
        case OSError():
            return Diagnosis(_fault_of(error), error.strerror or type(error).__name__)
        case _:  # the codec of host names, and `ssl` for a name that is no host's
            return Diagnosis(NetworkFault.INVALID_NAME, str(error))


def diagnose_tls(text: str) -> Diagnosis:
    """Return what the text of an ssl.SSLError means that does not judge a certificate."""
    words, is_alert = read_tls_error(text)
    if is_alert:
        return Diagnosis(NetworkFault.TLS_ALERT, words)
    if words == HUNG_UP:
        return Diagnosis(NetworkFault.TLS_CLOSED, words)
    return Diagnosis(NetworkFault.NO_TLS if words in NO_TLS else NetworkFault.TLS_FAILED, words)


def _fault_of(error: OSError) -> NetworkFault:
    match error:
        case ConnectionRefusedError():
            return NetworkFault.REFUSED
        case ConnectionError():
            return NetworkFault.CLOSED
        case TimeoutError():
            return NetworkFault.TIMEOUT
        case _:
            return NetworkFault.UNREACHABLE if error.errno in _UNREACHABLE else NetworkFault.OTHER
