"""Who asks, and what he may do: by his session, by a trusted proxy, by a token, or as the public.

Owns: the cookie, and how a request comes by its role. Does not know: passwords (login_routes.py), routes.
"""

from __future__ import annotations

import hmac
import logging
import time
from typing import Final

from anyio import to_thread
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from edgeaudio.dashboard.config import AccessConfig
from edgeaudio.dashboard.database import DatabaseError
from edgeaudio.dashboard.roles import Role
from edgeaudio.dashboard.sessions import LIFETIME_S, Session, Sessions
from edgeaudio.dashboard.web.peer import Peer
from edgeaudio.dashboard.web.routes import METRICS
from edgeaudio.throttled_log import LogThrottle

log = logging.getLogger(__name__)

_MAX_COOKIES: Final = 16_384  # characters
_MAX_TOKENS: Final = 5


class Access:
    """Gives every request its role; what comes without one is of nobody."""

    def __init__(self, app: ASGIApp, config: AccessConfig, sessions: Sessions) -> None:
        self._app = app
        self._config = config
        self._sessions = sessions
        self._throttle = LogThrottle()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] |= {"sessions": self._sessions} | await self._asker(scope)
        await self._app(scope, receive, send)

    async def _asker(self, scope: Scope) -> dict[str, object]:
        config, peer, headers = self._config, scope["state"]["peer"], Headers(scope=scope)
        if not config.has_login:
            return {"role": Role.OWNER}
        asker: dict[str, object] = {"role": Role.VISITOR if config.is_public else Role.NOBODY}
        if scope["path"] == METRICS and self._has_metrics_token(headers):
            return {"role": Role.READER}
        if peer.user:
            known = config.users.get(peer.user)
            role = known.role if known else config.user_role
            if role is not Role.NOBODY:
                return {"role": role, "user": peer.user}
        for token in tokens_of(headers, config, peer):
            try:
                session = await self._find(token)
            except DatabaseError as error:
                if self._throttle.is_due(str(error), time.monotonic()):
                    log.warning("nobody can log in: %s", error)
                return asker | {"trouble": error}
            if session is not None and (user := config.users.get(session.user)) is not None:
                return {"role": user.role, "user": session.user, "session": session}
        return asker

    async def _find(self, token: str) -> Session | None:
        if not self._sessions.is_loaded:
            await to_thread.run_sync(self._sessions.load, time.time())
        return self._sessions.find(token, time.time())

    def _has_metrics_token(self, headers: Headers) -> bool:
        kind, _, token = headers.get("authorization", "").partition(" ")
        wanted = self._config.metrics_token
        return (
            wanted is not None
            and kind.lower() == "bearer"
            and hmac.compare_digest(token.encode("latin-1"), wanted.encode())
        )


def cookie_name(config: AccessConfig, peer: Peer) -> str:
    """Return the name of the cookie: with the port, because browsers send cookies to all ports of a host.

    By the beginning of the name, browsers take it from pages over TLS alone, and one without a path from no other host.
    """
    prefix = "" if peer.scheme == "http" else "__Secure-" if peer.base_path else "__Host-"
    return f"{prefix}edgeaudio_{config.port}"


def tokens_of(headers: Headers, config: AccessConfig, peer: Peer) -> list[str]:
    """Return the ids of sessions in the cookies, in their order.

    There may be several: of another path of the page, or set by another program of the same host to log somebody out.
    """
    name = cookie_name(config, peer)
    parts = "; ".join(headers.getlist("cookie"))[:_MAX_COOKIES].split(";")
    pairs = (part.strip().partition("=") for part in parts)
    return [value for key, _, value in pairs if key == name and value][:_MAX_TOKENS]


def set_cookie(token: str, config: AccessConfig, peer: Peer) -> str:
    """Return the header that sets the cookie, or with an empty id removes it."""
    # in a frame of another site, browsers send only cookies that are partitioned by the outer site, over TLS
    is_framed = bool(config.frame_ancestors) and peer.scheme == "https"
    parts = [
        f"{cookie_name(config, peer)}={token}",
        f"Path={peer.base_path or '/'}",
        f"Max-Age={LIFETIME_S if token else 0:.0f}",
        "HttpOnly",
        *(["Secure"] if peer.scheme == "https" else []),
        "SameSite=None; Partitioned" if is_framed else "SameSite=Strict",
    ]
    return "; ".join(parts)
