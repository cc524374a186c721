"""What went wrong in TLS, from OpenSSL's words for it: a line that says it, and what to do.

Owns: the verdicts on the certificates of brokers and of sources, and the alerts by which a broker judges ours. Pure,
but for the clock, which may be what is wrong (system_clock.py).
Does not know: sockets, MQTT.

The words are matched, not Python's names for them: newer OpenSSL has errors that an older Python has no name for, and a
client library that swallows the exception leaves its text.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from edgeaudio.system_clock import why_behind


@dataclass(frozen=True, slots=True)
class Peer:
    """Whose certificate is judged, and the settings by which it is."""

    name: str
    ca_file: str
    url: str
    chain: str  # how it is made to send the certificates in between


class Verdict(NamedTuple):
    """Why a certificate was refused."""

    detail: str
    hint: str | None  # what to do; None: nothing more than the general hint
    by_clock: bool = False  # this machine's clock is to blame, by evidence


BROKER: Final = Peer("the broker", "`mqtt.ca_file`", "`mqtt.url`", " (Mosquitto: certfile with the whole chain)")
SOURCE: Final = Peer("the server", "this source's `ca_file`", "`url`", "")

_ISSUER: Final = (
    "name the authority that signed it as {ca_file} (made anew, it is another, whatever its name); if it is, or "
    "is public, let {peer} send the certificates in between too{chain}"
)
_NAME: Final = "write the host in {url} as the certificate has it (its subjectAltName), or issue "
_SHORT: Final = "with RSA of 2048 bits or more, or EC of 256"
_CONSTRAINED: Final = "the authority may not sign for that host (nameConstraints): have another issue the certificate"
_AUTHORITY: Final = (
    "what signed it is no authority: that needs basicConstraints CA:TRUE, and keyCertSign where there is a keyUsage"
)
# by X509_V_ERR_ of OpenSSL's x509_vfy.h, but for dates; the others arise from checks that are not made, or hardly ever
_VERDICTS: Final = {
    2: _ISSUER,
    20: _ISSUER,
    21: _ISSUER,
    7: "the authority in {ca_file} has the right name and another key: it was made anew, copy its new certificate",
    13: "the certificate's first day is unreadable: issue it anew",
    14: "the certificate's last day is unreadable: issue it anew",
    18: "{peer}'s certificate is signed by itself: name a copy of that certificate as {ca_file}",
    19: "name the certificate of the authority at the end of {peer}'s chain as {ca_file}",
    22: "{peer} sends too many certificates: let it send its own and those between it and the authority",
    23: "issue another certificate for {peer}, or take the list of the revoked out of {ca_file}",
    24: _AUTHORITY,  # OpenSSL 1.1.1
    79: _AUTHORITY,
    25: "an authority in {peer}'s chain may not have authorities below it (pathlen): issue one that may",
    26: "{peer}'s certificate, or its authority's, is not meant for servers: issue it with extendedKeyUsage "
    "serverAuth and keyUsage digitalSignature, and see that it is not a client's",
    27: "the file in {ca_file} does not trust that authority for servers: write it as a plain certificate",
    28: "the file in {ca_file} rejects that authority for servers: write it as a plain certificate",
    32: "the authority's certificate may not sign others: issue it with keyUsage keyCertSign",
    34: "the certificate demands something that OpenSSL does not know (a critical extension): issue it without",
    39: "the certificate may not sign: issue it with keyUsage digitalSignature",
    47: _CONSTRAINED,
    48: _CONSTRAINED,
    62: _NAME + "it for this host",
    64: _NAME + "it with this address as an IP entry",
    66: "{peer}'s key is too short: issue its certificate " + _SHORT,
    67: "the authority's key is too short: make the authority anew " + _SHORT,
    68: "a certificate in the chain is signed with a weak digest (MD5, SHA-1): issue it anew with SHA-256",
}

_NO_TLS: Final = "the port speaks no TLS: use the broker's port for it (usually 8883), or mqtt:// without TLS"
_HUNG_UP: Final = "eof occurred in violation of protocol"
_PEM: Final = "write the certificate as PEM (-----BEGIN CERTIFICATE-----)"
_OURS: Final = "this device's certificate (`mqtt.cert_file`)"
_ALERTS: Final = {  # RFC 8446, 6: what the broker says of us before it hangs up
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
_FAILURES: Final = {  # what is found out here
    "wrong version number": _NO_TLS,
    "record layer failure": _NO_TLS,  # the same in OpenSSL 3.2 and later
    "unexpected message": _NO_TLS,
    "packet length too long": _NO_TLS,
    "http request": _NO_TLS,
    "unsupported protocol": "allow TLS 1.2 or 1.3 in the broker: it answered with an older version",
    "no protocols available": "allow TLS 1.2 or 1.3 in this machine's openssl.cnf",
    "dh key too small": "the broker's Diffie-Hellman parameters are too short: make them of 2048 bits or more",
    "ee key too small": f"issue {_OURS} {_SHORT}",
    "ca md too weak": f"issue {_OURS} with SHA-256",
    "key values mismatch": "the key is not the certificate's: name the one that it was issued for as `mqtt.key_file`",
    "no certificate or crl found": f"it holds no certificate: {_PEM}",
    "pem lib": f"one of the files is damaged or of another kind: {_PEM}, the key as PEM without a password",
    _HUNG_UP: "check that the port speaks TLS (usually 8883 does), and look at the broker's log",
    "tls/ssl connection has been closed (eof)": "the broker ended TLS in good order: look at its log",
}
_FILE: Final = "see that the file is there, and that the user of the agent may read it"
_ERROR: Final = re.compile(r"(?:\[[^]]*\] )?(?P<words>.*?)(?: \(_ssl\.c:\d+\))?")
_ALERT: Final = re.compile(r"(?:(?:sslv3|tlsv1|tlsv13|ssl/tls) )(?:alert )?(?P<alert>.*)")


def explain_certificate(error: ssl.SSLCertVerificationError, peer: Peer = BROKER) -> Verdict:
    """Judge by OpenSSL's verdict, and of a certificate whose time has not come by the clock as well."""
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    detail = f"certificate not trusted: {error.verify_message.rstrip('.')}"
    hint: str | None
    match error.verify_code:
        case 9 if (evidence := why_behind()) is not None:
            detail += f" by this machine's clock, which {evidence}"
            hint = f"wait until NTP sets it (see `timedatectl`): it says {now}; if that is right, "
            hint += "issue the certificate anew"
            return Verdict(detail, hint, by_clock=True)
        case 9:
            hint = f"set this machine's clock, which says {now} (without a battery it needs NTP after each start)"
        case 10:
            hint = f"renew the certificate of {peer.name} or of its authority, unless this machine's clock is wrong"
            hint += f" ({now})"
        case code:
            hint = _VERDICTS.get(code)
            if hint is not None:
                hint = hint.format(peer=peer.name, ca_file=peer.ca_file, url=peer.url, chain=peer.chain)
    return Verdict(detail, hint)


def explain_tls(text: str) -> tuple[str, str | None]:
    """Return what the text of an ssl.SSLError means and what to do; None: nothing more than the general hint."""
    words = _words(text)
    if alert := _ALERT.fullmatch(words):
        said = alert["alert"]
        return f"the broker ended TLS: {said}", _ALERTS.get(said)
    what = "the broker hung up" if words == _HUNG_UP else words
    return f"TLS failed: {what}", _FAILURES.get(words)


def speaks_no_tls(text: str) -> bool:
    """True if the text of an ssl.SSLError means that the other end speaks something else than TLS."""
    return _FAILURES.get(_words(text)) == _NO_TLS


def explain_file(error: OSError | ValueError) -> tuple[str, str | None]:
    """Return why files of certificates or keys cannot be used and what to do; None as above."""
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        return error.strerror or type(error).__name__, _FILE
    words = _words(str(error))
    return words, _FAILURES.get(words)


def _words(text: str) -> str:
    found = _ERROR.fullmatch(text)
    return (found["words"] if found else text).lower()
