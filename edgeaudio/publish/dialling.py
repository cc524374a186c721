"""Reaching the broker's port: TLS as it is configured, and telling apart why a connection cannot be made.

Owns: the TLS context, and the reading of the exceptions of sockets and TLS. Does not know: MQTT.
"""

from __future__ import annotations

import socket
import ssl

from edgeaudio.publish.broker import BrokerError, BrokerReason, MqttConfig


def tls_context(config: MqttConfig) -> ssl.SSLContext:
    """Make the context for one connection, certificate and host name verified, files read anew (they get renewed).

    Raises BrokerError that names the files where they cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
        if config.cert_file is not None:
            # an empty password makes an encrypted key an error, where otherwise OpenSSL asks on the terminal
            context.load_cert_chain(config.cert_file, config.key_file, password="")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        files = ", ".join(str(file) for file in (config.ca_file, config.cert_file, config.key_file) if file)
        why = error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
        detail = f"cannot use the certificates ({files}): {why}"
        raise BrokerError(config.where, BrokerReason.TLS_FAILED, detail) from None
    context.sslsocket_class = _TidySocket
    return context


def told_apart(error: OSError | ValueError) -> tuple[BrokerReason, str]:
    """Tell apart, by the exception, what kept the socket from being connected."""
    match error:
        case ssl.SSLCertVerificationError():
            told = BrokerReason.TLS_UNTRUSTED, f"certificate not trusted: {error.verify_message}"
        case ssl.SSLError():
            told = BrokerReason.TLS_FAILED, f"TLS failed: {error.reason or error}"
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
    return told


class _TidySocket(ssl.SSLSocket):
    """Closes itself when the handshake fails, where paho forgets to."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise
