"""Cookies of one connection of a source.

FFmpeg's own do not work through a proxy: it compares their paths with whole addresses.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from edgeaudio.capture.origin import Origin

_MAX_COOKIES = 64
_MAX_CHARS = 4096


@dataclass(frozen=True, slots=True)
class _Cookie:
    value: str
    secure: bool  # sent only through TLS


class CookieJar:
    """Cookies by server and path. May be used from any thread. Keeps at most 64, of at most 4096 characters each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cookies: dict[tuple[str, bool, str, str], _Cookie] = {}  # by host, whether subdomains count, path, name

    def take(self, origin: Origin, target: str, header: str) -> None:
        """Store the cookie of a Set-Cookie header in an answer to `target`."""
        pair, *rest = header.split(";")
        name, equals, value = pair.strip().partition("=")
        if not equals or not name or len(header) > _MAX_CHARS or not header.isprintable():
            return
        given = {key.strip().lower(): text.strip() for key, _, text in (part.partition("=") for part in rest)}
        domain = given.get("domain", "").lower().lstrip(".")
        below = "." in domain and (origin.host == domain or origin.host.endswith(f".{domain}"))
        if domain and not below and domain != origin.host:
            return
        path = given.get("path", "")
        if not path.startswith("/"):
            path = target.partition("?")[0].rpartition("/")[0] + "/"
        key = (domain if below else origin.host, below, path, name)
        with self._lock:
            self._cookies.pop(key, None)
            if not given.get("max-age", "1").startswith(("0", "-")) and len(self._cookies) < _MAX_COOKIES:
                self._cookies[key] = _Cookie(value, "secure" in given)

    def header(self, origin: Origin, target: str) -> str:
        """Return the Cookie header of a request for `target`; empty if it has no cookie."""
        path = target.partition("?")[0]
        with self._lock:
            return "; ".join(
                f"{name}={cookie.value}"
                for (host, below, prefix, name), cookie in self._cookies.items()
                if (host == origin.host or (below and origin.host.endswith(f".{host}")))
                and (path == prefix or path.startswith(prefix if prefix.endswith("/") else f"{prefix}/"))
                and (origin.tls or not cookie.secure)
            )
