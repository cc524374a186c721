"""What OpenSSL reports of a TLS connection that failed, and what to do about a certificate that was refused.

Owns: OpenSSL's error texts, and the verdicts on certificates. Pure, but for the clock, which may be what is wrong
(system_clock.py).
Does not know: sockets, other failures of a network (network_errors.py), MQTT.

Texts are matched, not Python's names for them: newer OpenSSL has errors that an older Python has no name for, and a
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
    """The server whose certificate is judged, and the settings that decide on it, in words for hints."""

    name: str
    ca_file: str
    url: str
    chain: str  # how to make it send intermediate certificates


class Verdict(NamedTuple):
    """Why a certificate was refused."""

    words: str  # OpenSSL's
    hint: str | None  # what to do; None: only the general hint applies
    by_clock: bool = False  # this machine's clock is known to be behind


class TlsFailure(NamedTuple):
    """OpenSSL's text of a failure, in its parts."""

    words: str  # in lower case; of an alert its name alone
    is_alert: bool = False  # sent by the peer


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

HUNG_UP: Final = "eof occurred in violation of protocol"
NO_TLS: Final = frozenset(
    {
        "wrong version number",
        "record layer failure",  # the same in OpenSSL 3.2 and later
        "unexpected message",
        "packet length too long",
        "http request",
    }
)

_ERROR: Final = re.compile(r"(?:\[[^]]*\] )?(?P<words>.*?)(?: \(_ssl\.c:\d+\))?")
_ALERT: Final = re.compile(r"(?:(?:sslv3|tlsv1|tlsv13|ssl/tls) )(?:alert )?(?P<alert>.*)")


def explain_certificate(error: ssl.SSLCertVerificationError, peer: Peer) -> Verdict:
    """Return OpenSSL's verdict with what to do; of a certificate that is not yet valid, judge the clock as well."""
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    words = error.verify_message.rstrip(".")
    hint: str | None
    match error.verify_code:
        case 9 if (evidence := why_behind()) is not None:
            words += f" by this machine's clock, which {evidence}"
            hint = f"wait until NTP sets it (see `timedatectl`): it says {now}; if that is right, "
            hint += "issue the certificate anew"
            return Verdict(words, hint, by_clock=True)
        case 9:
            hint = f"set this machine's clock, which says {now} (without a battery it needs NTP after each start)"
        case 10:
            hint = f"renew the certificate of {peer.name} or of its authority, unless this machine's clock is wrong"
            hint += f" ({now})"
        case code:
            hint = _VERDICTS.get(code)
            if hint is not None:
                hint = hint.format(peer=peer.name, ca_file=peer.ca_file, url=peer.url, chain=peer.chain)
    return Verdict(words, hint)


def read_tls_error(text: str) -> TlsFailure:
    """Return the parts of an ssl.SSLError's text."""
    found = _ERROR.fullmatch(text)
    words = (found["words"] if found else text).lower()
    if alert := _ALERT.fullmatch(words):
        return TlsFailure(alert["alert"], is_alert=True)
    return TlsFailure(words)
