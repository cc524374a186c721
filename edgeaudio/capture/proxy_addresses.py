"""Addresses in redirects and playlists, rewritten so that FFmpeg speaks plain HTTP to the proxy.

Owns: which servers are reached through TLS, and that an https source never leads to http.
Does not know: sockets, playlists.
"""

from __future__ import annotations

import re
import threading
from urllib.parse import urljoin, urlsplit

from edgeaudio.capture.origin import HOST, LeadError, Origin
from edgeaudio.capture.proxy_messages import Request
from edgeaudio.capture.schemes import SCHEMES
from edgeaudio.capture.source_urls import SourceUrl
from edgeaudio.types import Reason

_MAX_SERVERS = 1000
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


class ProxyAddresses:
    """Addresses of one connection of a source. May be used from any thread."""

    def __init__(self, url: SourceUrl) -> None:
        self._encrypted = url.is_tls
        self._lock = threading.Lock()
        self._tls_servers = {((url.host or "").lower(), url.server_port)} if url.is_tls else set()

    def origin(self, request: Request) -> Origin:
        """Return the server of a request. Raises LeadError for one without TLS where the source has TLS."""
        with self._lock:
            tls = (request.host, request.port) in self._tls_servers
        origin = Origin(request.host, request.port, tls)
        if self._encrypted and not tls:
            detail = f"led from https to {origin}, which is not encrypted; not followed"
            raise LeadError(Reason.INVALID_DATA, detail, "", final=True)
        return origin

    def redirect(self, request: Request, origin: Origin, location: str) -> str:
        """Return the address that FFmpeg is given for a redirect. Raises LeadError for too many servers."""
        base = f"{'https' if origin.tls else 'http'}://{origin}{request.target}"
        return self.rewrite(urljoin(base, location.strip()), origin)

    def rewrite(self, uri: str, base: Origin) -> str:
        """Return the address that FFmpeg is given for one in a playlist or a redirect.

        An https address becomes one of http with its port, which the proxy remembers as TLS. Other schemes are not
        read: their addresses become names beside the list. Raises LeadError for too many servers.
        """
        if uri.startswith("//"):
            uri = f"{'https' if base.tls else 'http'}:{uri}"
        match = _SCHEME.match(uri)
        if match is None:
            return uri
        scheme = SCHEMES.get(match[1].lower())
        try:
            parts = urlsplit(uri)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            return f"./{uri}"
        if scheme is None or scheme.family != "http" or not HOST.fullmatch(host):
            return f"./{uri}"
        origin = Origin(host, port or scheme.port or 0, scheme.tls)
        if origin.tls:
            with self._lock:
                if len(self._tls_servers) >= _MAX_SERVERS:
                    raise LeadError(Reason.TOO_LARGE, f"led to more than {_MAX_SERVERS:,} servers", "", final=True)
                self._tls_servers.add((origin.host, origin.port))
        login = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        return parts._replace(scheme="http", netloc=f"{login}{origin}", fragment="").geturl()
