"""What every request meets first: the Host that it names, how many there may be, and the headers of every answer.

Owns: the security headers, which hosts are served, the limit of requests, and where a path below a proxy begins.
Does not know: routes, roles (access.py).

Without a login only requests whose Host is loopback are answered, so that a page of another site cannot reach the
server by a name that resolves to this machine (DNS rebinding); and none that a proxy forwards, which would let in
whoever reaches the proxy. With a login, addresses are served too: a page that is reached by an address is of no other
site. What a trusted proxy asks for is served by any name.
"""

from __future__ import annotations

import ipaddress
import math
import time
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgeaudio.dashboard.config import AccessConfig
from edgeaudio.dashboard.rates import Buckets, bucket_of
from edgeaudio.dashboard.web.answers import problem
from edgeaudio.dashboard.web.peer import Peer, peer_of

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; media-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer, forms would have no Origin
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_BURST: Final = 1000  # requests of one address at once
_EVERY_S: Final = 0.02  # and then one each


class Guard:
    """Refuses what is not for this host, and adds the headers to every answer."""

    def __init__(self, app: ASGIApp, config: AccessConfig) -> None:
        self._app = app
        self._config = config
        self._requests = Buckets(_BURST, _EVERY_S)
        policy = HEADERS["Content-Security-Policy"]
        self._headers = HEADERS | {"Content-Security-Policy": _framed(policy, config.frame_ancestors)}
        # the page that shows an ingress is of the same origin
        self._ingress_headers = HEADERS | {
            "Content-Security-Policy": _framed(policy, ("'self'", *config.frame_ancestors))
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = peer_of(scope, self._config)
        headers = self._ingress_headers if peer.is_ingress else self._headers

        async def send_with_headers(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                answer = MutableHeaders(scope=message)
                for name, value in headers.items():
                    answer.setdefault(name, value)
            await send(message)

        scope = {**scope, "state": {**scope.get("state", {}), "peer": peer}, "path": _below(scope["path"], peer)}
        answer = self._refusal(peer) or _redirect(scope, peer)
        if answer is None:
            await self._app(scope, receive, send_with_headers)
        elif scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
            await answer(scope, receive, send_with_headers)
        else:
            await send({"type": "websocket.close"})

    def _refusal(self, peer: Peer) -> Response | None:
        """Return the answer to a request that goes no further."""
        if self._config.has_login and (wait_s := self._requests.take(bucket_of(peer.address), time.monotonic())):
            return too_many("too many requests", wait_s)
        if peer.is_forwarded and not self._config.has_login:
            return problem(403, "a proxy forwards this, and there is no login: set dashboard.users")
        if not (peer.host in _LOOPBACK or (self._config.has_login and self._is_ours(peer))):
            named = "set dashboard.hosts" if self._config.has_login else "without a login no other is served"
            return problem(403, f"this page is not served by that host name: open it as localhost; {named}")
        return None

    def _is_ours(self, peer: Peer) -> bool:
        return peer.is_proxied or peer.host in self._config.hosts or _is_address(peer.host)


def too_many(text: str, wait_s: float) -> Response:
    """Return the answer to who asks too often."""
    seconds = max(1, math.ceil(wait_s))
    answer = problem(429, f"{text}: try again in {seconds} s")
    answer.headers["Retry-After"] = str(seconds)
    return answer


def _framed(policy: str, origins: tuple[str, ...]) -> str:
    """Return a policy by which pages of some origins may show this one in a frame."""
    return policy.replace("frame-ancestors 'none'", f"frame-ancestors {' '.join(origins)}") if origins else policy


def _below(path: str, peer: Peer) -> str:
    """Return a path without the base path, which some proxies strip."""
    return path[len(peer.base_path) :] if peer.base_path and path.startswith(f"{peer.base_path}/") else path


def _redirect(scope: Scope, peer: Peer) -> Response | None:
    """Return the way to the page for who leaves out the slash behind the base path: its addresses are relative."""
    return RedirectResponse(f"{peer.base_path}/", 308) if peer.base_path and scope["path"] == peer.base_path else None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
