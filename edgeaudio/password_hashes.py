"""Passwords as scrypt hashes: made, read from text within bounds, checked in constant time. Pure.

Owns: the form of the text, that of passlib and the PHC (`$scrypt$ln=14,r=8,p=5$SALT$HASH`, base64 without padding), and
what a hash may cost. Does not know: users.

A password is Unicode text: it is hashed in NFC, so that it is the same one from every keyboard.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import unicodedata
from dataclasses import dataclass
from typing import Final

MAX_PASSWORD: Final = 1024  # bytes
_LN, _R, _P = 14, 8, 5  # 16 MiB, of which a board has enough; as costly as OWASP asks for
_LEAST_COST: Final = 1 << 17  # N * r * p: less is guessed too fast
_MOST_COST: Final = 1 << 22
_MOST_BYTES: Final = 64 << 20
_SPARE_BYTES: Final = 1 << 20  # for OpenSSL's own bookkeeping
_DIGESTS: Final = (32, 64)  # bytes
_FORM: Final = re.compile(
    r"\$scrypt\$ln=([0-9]{1,2}),r=([0-9]{1,3}),p=([0-9]{1,3})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})"
)


@dataclass(frozen=True, slots=True, repr=False)
class PasswordHash:
    """A hash, with all that it takes to make it again."""

    ln: int  # the work is 2 ** ln
    r: int
    p: int
    salt: bytes
    digest: bytes

    @classmethod
    def of(cls, password: str) -> PasswordHash:
        """Return a new hash of a password, with a random salt. Takes a while."""
        salt = secrets.token_bytes(16)
        return cls(_LN, _R, _P, salt, _scrypt(password, _LN, _R, _P, salt, 32))

    @classmethod
    def parse(cls, text: str) -> PasswordHash:
        """Read a hash. Raises ValueError, whose message holds nothing of it."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError("must be a hash that `edgeaudio dashboard --hash-password` prints")
        ln, r, p = map(int, found.groups()[:3])
        if not (1 <= ln <= 20 and r >= 1 and p >= 1 and (r << ln) * p >= _LEAST_COST):
            raise ValueError("is a hash that is guessed too fast: make one by `edgeaudio dashboard --hash-password`")
        if (r << ln) * p > _MOST_COST or _bytes_of(ln, r, p) > _MOST_BYTES:
            raise ValueError("is a hash that takes too long: make one by `edgeaudio dashboard --hash-password`")
        try:
            salt, digest = (
                base64.b64decode(part + "=" * (-len(part) % 4), validate=True) for part in found.groups()[3:]
            )
        except binascii.Error:
            salt = digest = b""
        if len(digest) not in _DIGESTS:
            raise ValueError("is a hash that is cut off or mistyped")
        return cls(ln, r, p, salt, digest)

    def __str__(self) -> str:
        salt, digest = (base64.b64encode(part).decode().rstrip("=") for part in (self.salt, self.digest))
        return f"$scrypt$ln={self.ln},r={self.r},p={self.p}${salt}${digest}"

    __repr__ = object.__repr__  # holds nothing of it

    def matches(self, password: str) -> bool:
        """True if this is the hash of that password. Takes as long for every password."""
        made = _scrypt(password, self.ln, self.r, self.p, self.salt, len(self.digest))
        return hmac.compare_digest(made, self.digest)

    def like(self) -> PasswordHash:
        """Return a hash that takes as long as this one, and that no password has."""
        return PasswordHash(self.ln, self.r, self.p, secrets.token_bytes(16), secrets.token_bytes(len(self.digest)))


def _scrypt(password: str, ln: int, r: int, p: int, salt: bytes, length: int) -> bytes:
    text = unicodedata.normalize("NFC", password).encode()
    return hashlib.scrypt(text, salt=salt, n=1 << ln, r=r, p=p, maxmem=_bytes_of(ln, r, p) + _SPARE_BYTES, dklen=length)


def _bytes_of(ln: int, r: int, p: int) -> int:
    return 128 * r * ((1 << ln) + p + 2)
