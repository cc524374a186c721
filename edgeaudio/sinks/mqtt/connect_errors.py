"""Reaching the broker's port: TLS as it is configured, and telling apart why a connection cannot be made.

Owns: the TLS context, and the reading of the exceptions of sockets. Does not know: MQTT, what OpenSSL's errors ask for
(tls_errors.py).
"""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from edgeaudio.health.broker import BrokerReason
from edgeaudio.sinks.mqtt.broker import BrokerError, MqttConfig
from edgeaudio.tls_errors import explain_certificate, explain_file, explain_tls

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def tls_context(config: MqttConfig) -> ssl.SSLContext:
    """Make the context for one connection, certificate and host name verified, files read anew (they get renewed).

    What is verified is the same on every Python (docs/mqtt.md says what): 3.13 began to refuse authorities that break
    formal rules of RFC 5280, as every one made by a plain `openssl req -x509` does, and to take an authority in between
    for an end of the chain. The first is left out everywhere, the second done everywhere.
    Raises BrokerError that names the file where one cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise _unusable(config, f"ca_file {config.ca_file}", error) from None
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.cert_file is not None:
        try:
            # an empty password makes an encrypted key an error, where otherwise OpenSSL asks on the terminal
            context.load_cert_chain(config.cert_file, config.key_file, password="")
        except (OSError, ValueError) as error:
            files = f"cert_file {config.cert_file} with key_file {config.key_file}"
            raise _unusable(config, files, error) from None
    context.sslsocket_class = _TidySocket
    return context


def classify(error: OSError | ValueError) -> tuple[BrokerReason, str, str | None]:
    """Tell apart, by the exception, what kept the socket from being connected: reason, detail, hint.

    The hint is None where there is no better one than HINTS has for the reason.
    """
    match error:
        case ssl.SSLCertVerificationError():
            detail, hint, by_clock = explain_certificate(error)
            return BrokerReason.CLOCK if by_clock else BrokerReason.TLS_UNTRUSTED, detail, hint
        case ssl.SSLError():
            return BrokerReason.TLS_FAILED, *explain_tls(str(error))
        case socket.gaierror():
            told = BrokerReason.NAME_NOT_FOUND, "the host name does not resolve"
        case ConnectionRefusedError():
            told = BrokerReason.REFUSED, "connection refused"
        case TimeoutError():
            told = BrokerReason.TIMEOUT, "connecting took too long"
        case ConnectionResetError() | BrokenPipeError():
            told = BrokerReason.CLOSED, "the connection was cut off"
        case OSError():
            told = BrokerReason.UNREACHABLE, error.strerror or type(error).__name__
        case _:  # a host name that cannot be one
            told = BrokerReason.NAME_NOT_FOUND, str(error)
    return *told, None


def _unusable(config: MqttConfig, what: str, error: OSError | ValueError) -> BrokerError:
    why, hint = explain_file(error)
    return BrokerError(config.where, BrokerReason.TLS_FAILED, f"cannot use {what}: {why}", hint)


class _TidySocket(ssl.SSLSocket):
    """Closes itself when the handshake fails, where paho forgets to, and does not miss why the broker hung up."""

    _sent = False
    _alert: ssl.SSLError | None = None

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLZeroReturnError):
            # by a port without TLS, for one; Python 3.11.2 takes the end of the connection for an orderly end of TLS
            self.close()
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF occurred in violation of protocol") from None
        except BaseException:
            self.close()
            raise

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        """Send; where the broker hung up before the first byte, raise the alert that it left as the reason.

        In TLS 1.3 a broker looks at our certificate when for us the handshake is over: its alert can lie unread while
        sending already fails.
        """
        if self._alert is not None:
            raise self._alert
        try:
            sent = super().send(data, flags)
        except (ssl.SSLEOFError, ConnectionResetError, BrokenPipeError):
            if not self._sent:
                self._look_for_alert()
            raise
        self._sent = True
        return sent

    def _look_for_alert(self) -> None:
        try:
            self.recv(1)  # nothing but an alert can be there: the broker has not been asked anything yet
        except (ssl.SSLEOFError, ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            return
        except ssl.SSLError as alert:
            self._alert = alert
            raise
        except OSError:
            return
