"""Network errors: exceptions of the resolver, sockets and OpenSSL, classified once for sources and brokers."""

from __future__ import annotations

import errno
import os
import socket
import ssl

import pytest

from edgeaudio.capture.network_probe import explain_connecting, explain_errno, explain_handshake
from edgeaudio.network_errors import NetworkFault, diagnose
from edgeaudio.sinks.mqtt.connect_errors import classify
from edgeaudio.tls_errors import Peer

PEER = Peer("the server", "`ca_file`", "`url`", "")


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (errno.ECONNREFUSED, NetworkFault.REFUSED),
        (errno.EHOSTUNREACH, NetworkFault.UNREACHABLE),
        (errno.ENETUNREACH, NetworkFault.UNREACHABLE),
        (errno.EHOSTDOWN, NetworkFault.UNREACHABLE),
        (errno.ENETDOWN, NetworkFault.UNREACHABLE),
        (errno.EADDRNOTAVAIL, NetworkFault.UNREACHABLE),
        (errno.ETIMEDOUT, NetworkFault.TIMEOUT),
        (errno.ECONNRESET, NetworkFault.CLOSED),
        (errno.ECONNABORTED, NetworkFault.CLOSED),
        (errno.EPIPE, NetworkFault.CLOSED),
        (errno.EPERM, NetworkFault.OTHER),
    ],
)
def test_a_system_error_is_classified_by_its_number(number: int, fault: NetworkFault) -> None:
    assert diagnose(OSError(number, os.strerror(number)), PEER)[:2] == (fault, os.strerror(number))


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), NetworkFault.NAME_NOT_FOUND),
        (TimeoutError("timed out"), NetworkFault.TIMEOUT),
        (UnicodeError("label too long"), NetworkFault.INVALID_NAME),
        (ValueError("server_hostname cannot be an empty string"), NetworkFault.INVALID_NAME),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1000)"), NetworkFault.NO_TLS),
        (ssl.SSLError(1, "[SSL] record layer failure (_ssl.c:1000)"), NetworkFault.NO_TLS),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol (_ssl.c:992)"), NetworkFault.TLS_CLOSED),
        (ssl.SSLError(1, "[SSL: X] tlsv1 alert protocol version (_ssl.c:1000)"), NetworkFault.TLS_ALERT),
        (ssl.SSLError(1, "[SSL: X] no protocols available (_ssl.c:1000)"), NetworkFault.TLS_FAILED),
    ],
)
def test_an_exception_is_classified(error: OSError | ValueError, fault: NetworkFault) -> None:
    assert diagnose(error, PEER).fault is fault


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ETIMEDOUT])
def test_a_source_and_the_broker_name_the_same_reason(number: int) -> None:
    of_source = explain_errno(number, "camera:554")
    assert of_source is not None
    assert of_source.reason.value == classify(OSError(number, os.strerror(number)))[0].value


def test_an_error_that_says_nothing_is_left_to_other_evidence() -> None:
    assert explain_errno(None, "camera:554") is None
    assert explain_errno(errno.EIO, "camera:554") is None
    assert explain_connecting(ConnectionResetError(), "camera:554") is None


@pytest.mark.parametrize("error", [ConnectionResetError(), ssl.SSLEOFError(8, "EOF occurred in violation of protocol")])
def test_a_handshake_that_the_server_cuts_off_means_a_port_without_tls(error: OSError) -> None:
    assert explain_handshake(error, "camera").detail == "camera does not speak TLS on this port"


def test_a_failed_handshake_is_reported_in_openssls_words() -> None:
    error = ssl.SSLError(1, "[SSL: TLSV1_ALERT_PROTOCOL_VERSION] tlsv1 alert protocol version (_ssl.c:1000)")
    assert explain_handshake(error, "camera").detail == "TLS with camera failed: protocol version"
