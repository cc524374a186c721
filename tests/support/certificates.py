"""Certificates for tests, right and wrong, made here without any program."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
DAY = timedelta(days=1)
SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
CLIENT = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])


@dataclass(frozen=True)
class Identity:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self, password: bytes = b"") -> bytes:
        how: KeySerializationEncryption = BestAvailableEncryption(password) if password else NoEncryption()
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)

    def write(self, folder: Path, name: str, *chain: Identity) -> tuple[Path, Path]:
        """Write certificate and key; `chain`: further certificates into the certificate's file."""
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        certificate.write_bytes(self.pem + b"".join(other.pem for other in chain))
        key.write_bytes(self.key_pem())
        return certificate, key


def issue(
    name: str,
    by: Identity | None = None,
    *,
    extensions: Iterable[x509.ExtensionType] = (),
    first_day: timedelta = -DAY,
    last_day: timedelta = DAY,
    key: Key | None = None,
) -> Identity:
    """Issue a certificate, by itself where nobody is named. Days are counted from now."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + first_day)
        .not_valid_after(now + last_day)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return Identity(builder.sign(by.key if by else key, hashes.SHA256()), key)


def authority(
    name: str = "authority", by: Identity | None = None, *extensions: x509.ExtensionType, pathlen: int | None = None
) -> Identity:
    """Make an authority as a plain `openssl req -x509` does: key identifiers, CA:TRUE, and no keyUsage."""
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    issuer = by.key.public_key() if by else key.public_key()
    own = [
        identifier,
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer),
        x509.BasicConstraints(ca=True, path_length=pathlen),
    ]
    return issue(name, by, extensions=[*own, *extensions], key=key)


def names(*hosts: str) -> x509.SubjectAlternativeName:
    """Return a subjectAltName of host names and addresses."""
    entries: list[x509.GeneralName] = []
    for host in hosts:
        try:
            entries.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            entries.append(x509.DNSName(host))
    return x509.SubjectAlternativeName(entries)


def key_usage(*uses: str) -> x509.KeyUsage:
    """Return a keyUsage with nothing but what is named."""
    every = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{use: use in uses for use in every})
