"""Why a connection to the broker cannot be made: a BrokerReason, a sentence and a hint for each network fault.

Owns: the broker's sentences. Does not know: how exceptions are classified (network_errors.py), sockets, MQTT.
"""

from __future__ import annotations

from typing import Final

from edgeaudio.health.broker import BrokerReason
from edgeaudio.network_errors import Diagnosis, NetworkFault, diagnose, diagnose_tls
from edgeaudio.tls_errors import HUNG_UP, NO_TLS, Peer

_BROKER: Final = Peer("the broker", "`mqtt.ca_file`", "`mqtt.url`", " (Mosquitto: certfile with the whole chain)")
_OURS: Final = "this device's certificate (`mqtt.cert_file`)"
_NO_TLS: Final = "the port speaks no TLS: use the broker's port for it (usually 8883), or mqtt:// without TLS"

_SENTENCES: Final = {
    NetworkFault.INVALID_NAME: (BrokerReason.NAME_NOT_FOUND, "{words}"),
    NetworkFault.NAME_NOT_FOUND: (BrokerReason.NAME_NOT_FOUND, "the host name does not resolve"),
    NetworkFault.UNREACHABLE: (BrokerReason.UNREACHABLE, "{words}"),
    NetworkFault.REFUSED: (BrokerReason.REFUSED, "connection refused"),
    NetworkFault.TIMEOUT: (BrokerReason.TIMEOUT, "connecting took too long"),
    NetworkFault.CLOSED: (BrokerReason.CLOSED, "the connection was cut off"),
    NetworkFault.NO_TLS: (BrokerReason.TLS_FAILED, "TLS failed: {words}"),
    NetworkFault.TLS_CLOSED: (BrokerReason.TLS_FAILED, "TLS failed: the broker hung up"),
    NetworkFault.TLS_ALERT: (BrokerReason.TLS_FAILED, "the broker ended TLS: {words}"),
    NetworkFault.TLS_FAILED: (BrokerReason.TLS_FAILED, "TLS failed: {words}"),
    NetworkFault.UNTRUSTED: (BrokerReason.TLS_UNTRUSTED, "certificate not trusted: {words}"),
    NetworkFault.CLOCK: (BrokerReason.CLOCK, "certificate not trusted: {words}"),
    NetworkFault.OTHER: (BrokerReason.UNREACHABLE, "{words}"),
}
_ALERT_HINTS: Final = {  # RFC 8446, 6
    "unknown ca": f"the broker does not know the authority of {_OURS}: add it to the broker's (Mosquitto: cafile)",
    "certificate required": "the broker wants a certificate of this device: set `mqtt.cert_file` and `mqtt.key_file`",
    "handshake failure": "the broker wants a certificate of this device (set `mqtt.cert_file` and `mqtt.key_file`), or "
    "has no cipher in common with it",
    "certificate expired": f"renew {_OURS}; if it is valid, look at the broker's clock",
    "certificate revoked": f"the broker's list has {_OURS} as revoked: issue another",
    "certificate unknown": f"the broker does not accept {_OURS}, or its authority: look at the broker's log",
    "bad certificate": f"the broker finds {_OURS} bad: look at its first day and the broker's clock, at its key's "
    "length, and at the broker's log",
    "unsupported certificate": f"issue {_OURS} for clients: extendedKeyUsage clientAuth",
    "access denied": f"the broker's rules do not admit {_OURS}: add it to them",
    "decrypt error": f"the broker has another key for the authority of {_OURS}: give it the new certificate",
    "protocol version": "allow TLS 1.2 or 1.3 in the broker: older versions are not spoken",
    "insufficient security": "the broker demands stronger ciphers than this machine has: update this machine",
    "no application protocol": "the broker wants ALPN on this port (AWS IoT on 443 does): use its port 8883",
    "unrecognized name": "the broker serves no host of that name: write the host in `mqtt.url` as the broker has it",
    "internal error": "the broker failed: look at its log",
    "unexpected message": _NO_TLS,
}
_FAILURE_HINTS: Final = {  # by OpenSSL's words
    **dict.fromkeys(NO_TLS, _NO_TLS),
    "unsupported protocol": "allow TLS 1.2 or 1.3 in the broker: it answered with an older version",
    "no protocols available": "allow TLS 1.2 or 1.3 in this machine's openssl.cnf",
    "dh key too small": "the broker's Diffie-Hellman parameters are too short: make them of 2048 bits or more",
    HUNG_UP: "check that the port speaks TLS (usually 8883 does), and look at the broker's log",
    "tls/ssl connection has been closed (eof)": "the broker ended TLS in good order: look at its log",
}


def classify(error: OSError | ValueError) -> tuple[BrokerReason, str, str | None]:
    """Return reason, detail and hint for the exception of a connection that was not made; None: HINTS has the hint."""
    return _explain(diagnose(error, _BROKER))


def classify_tls(text: str) -> tuple[BrokerReason, str, str | None]:
    """Return the same for the text of an ssl.SSLError that paho has swallowed."""
    return _explain(diagnose_tls(text))


def _explain(diagnosis: Diagnosis) -> tuple[BrokerReason, str, str | None]:
    reason, sentence = _SENTENCES[diagnosis.fault]
    hints = _ALERT_HINTS if diagnosis.fault is NetworkFault.TLS_ALERT else _FAILURE_HINTS
    return reason, sentence.format(words=diagnosis.words), diagnosis.hint or hints.get(diagnosis.words)
