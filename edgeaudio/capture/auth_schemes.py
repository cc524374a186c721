"""Authentication schemes that a server demands, and whether FFmpeg supports them: Basic, and Digest with MD5.

No login is read, sent or shown here.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterable
from pathlib import Path

from edgeaudio.capture.http_message import MessageError, read_head
from edgeaudio.capture.network_probe import ProbeResult
from edgeaudio.capture.source_urls import SourceUrl
from edgeaudio.capture.tls import unverified_context, verifying_context
from edgeaudio.types import Reason

ASKING_S = 2.0  # for each step
_SCHEME = re.compile(r"\s*([A-Za-z]+)(?=\s|$)")
_ALGORITHM = re.compile(r'\balgorithm\s*=\s*"?([A-Za-z0-9-]{1,32})', re.IGNORECASE)
_KNOWN = {"Basic", "Digest MD5", "Digest MD5-SESS"}


def explain_login(challenges: Iterable[str], *, given: bool) -> ProbeResult:
    """Return why a login was refused (401); `challenges`: values of WWW-Authenticate, `given`: a login was sent."""
    if not given:
        detail = "the server asks for a login, and none is given (401)"
        return ProbeResult(Reason.UNAUTHORIZED, detail, "set username and password for this source")
    methods = [method for challenge in challenges if (method := _method(challenge))]
    # of several FFmpeg uses the last Digest
    digests = [method for method in methods if method.startswith("Digest")]
    taken = (digests or methods or ["Basic"])[-1]
    if taken in _KNOWN:
        return ProbeResult(Reason.UNAUTHORIZED, "the server refused the login (401)")
    detail = f"the server asks for a kind of login that is not supported, {taken} (401)"
    return ProbeResult(Reason.UNAUTHORIZED, detail, "set the camera to Digest with MD5, or to Basic, in its settings")


def _method(challenge: str) -> str | None:
    scheme = _SCHEME.match(challenge)
    if scheme is None:
        return None
    name = scheme[1].capitalize()
    algorithm = _ALGORITHM.search(challenge)
    return f"{name} {algorithm[1].upper() if algorithm else 'MD5'}" if name == "Digest" else name


def challenges_of(url: SourceUrl, *, tls_verify: bool, ca_file: Path | None) -> list[str]:
    """Return an RTSP server's WWW-Authenticate values for a request without login; none for any other answer."""
    host, port = url.host or "", url.server_port
    request = f"DESCRIBE {url.without_login()} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n"
    with contextlib.suppress(OSError, ValueError, MessageError), contextlib.ExitStack() as closing:
        connection = closing.enter_context(socket.create_connection((host, port), ASKING_S))
        if url.is_tls:
            context = verifying_context(ca_file) if tls_verify else unverified_context()
            connection = closing.enter_context(context.wrap_socket(connection, server_hostname=host))
        connection.sendall(request.encode())
        head, _ = read_head(lambda: connection.recv(4096))
        return [value for name, value in head.headers if name.lower() == "www-authenticate"]
    return []
