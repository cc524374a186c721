"""TLS contexts for connections to a source's servers."""

from __future__ import annotations

import ssl
from pathlib import Path


def verifying_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that verifies by these authorities, or the system's (None).

    Raises OSError for a file that cannot be read or holds no certificate (ssl.SSLError is one).
    """
    context = ssl.create_default_context(cafile=ca_file)
    # on since Python 3.13; authorities made by plain openssl break its rules, and FFmpeg does not apply them
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def unverified_context() -> ssl.SSLContext:
    """Return a context that accepts any certificate: for `tls_verify = false`, and for probes that send no secret."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
