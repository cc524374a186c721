"""TLS with the broker: the context as it is configured, and a socket that keeps the broker's alert.

Owns: what is verified, and why files of certificates and keys cannot be used.
Does not know: MQTT, why a connection failed (connect_errors.py).
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from edgeaudio.health.broker import BrokerReason
from edgeaudio.sinks.mqtt.broker import BrokerError, MqttConfig
from edgeaudio.tls_errors import HUNG_UP, read_tls_error

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_PEM: Final = "write the certificate as PEM (-----BEGIN CERTIFICATE-----)"
_OURS: Final = "this device's certificate (`mqtt.cert_file`)"
_FILE_HINTS: Final = {  # by OpenSSL's words
    "ee key too small": f"issue {_OURS} with RSA of 2048 bits or more, or EC of 256",
    "ca md too weak": f"issue {_OURS} with SHA-256",
    "key values mismatch": "the key is not the certificate's: name the one that it was issued for as `mqtt.key_file`",
    "no certificate or crl found": f"it holds no certificate: {_PEM}",
    "pem lib": f"one of the files is damaged or of another kind: {_PEM}, the key as PEM without a password",
}
_UNREADABLE_HINT: Final = "see that the file is there, and that the user of the agent may read it"


def tls_context(config: MqttConfig) -> ssl.SSLContext:
    """Return the context for one connection: certificate and host name verified, files read again (they get renewed).

    Verification is the same on every Python (docs/mqtt.md). Python 3.13 refuses authorities that break formal rules of
    RFC 5280, as every one made by a plain `openssl req -x509` does: switched off here. It also accepts an intermediate
    authority as the end of a chain: switched on here. Raises BrokerError with the name of a file that cannot be used.
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
            # without a password OpenSSL asks on the terminal for that of an encrypted key
            context.load_cert_chain(config.cert_file, config.key_file, password="")
        except (OSError, ValueError) as error:
            files = f"cert_file {config.cert_file} with key_file {config.key_file}"
            raise _unusable(config, files, error) from None
    context.sslsocket_class = _TidySocket
    return context


def _unusable(config: MqttConfig, what: str, error: OSError | ValueError) -> BrokerError:
    hint: str | None
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        why, hint = error.strerror or type(error).__name__, _UNREADABLE_HINT
    else:
        why = read_tls_error(str(error)).words
        hint = _FILE_HINTS.get(why)
    return BrokerError(config.where, BrokerReason.TLS_FAILED, f"cannot use {what}: {why}", hint)


class _TidySocket(ssl.SSLSocket):
    """Socket that closes itself when the handshake fails (paho does not), and keeps the broker's last alert."""

    _sent = False
    _alert: ssl.SSLError | None = None

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLZeroReturnError):
            # a port without TLS does this; Python 3.11.2 reports the end of the connection as an orderly end of TLS
            self.close()
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, HUNG_UP) from None
        except BaseException:
            self.close()
            raise

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        """Send; if the broker closed the connection before the first byte, raise the alert that it left.

        In TLS 1.3 a broker checks the client's certificate after the client's handshake: its alert can lie unread while
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
            self.recv(1)  # only an alert can be there: the broker has received no request yet
        except (ssl.SSLEOFError, ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            return
        except ssl.SSLError as alert:
            self._alert = alert
            raise
        except OSError:
            return
