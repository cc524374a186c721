"""Routes with the role that each needs.

Owns: which role each route needs, and that what changes something comes from a page of this server.
Does not know: what a route does, who has which role.

A route is made by `get`, `post` or `socket`, which all ask for a role: what names none cannot be written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeAlias

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from edgeaudio.dashboard.database import DatabaseError
from edgeaudio.dashboard.roles import Role
from edgeaudio.dashboard.sessions import Session, Sessions
from edgeaudio.dashboard.web.answers import problem
from edgeaudio.dashboard.web.body import bounded
from edgeaudio.dashboard.web.peer import Peer, is_own_origin

__all__ = [
    "METRICS",
    "POLICY_VIOLATION",
    "AnyRoute",
    "Role",
    "RoleRoute",
    "RoleSocket",
    "get",
    "is_same_origin",
    "peer_of",
    "post",
    "role_of",
    "session_of",
    "socket",
    "user_of",
]

POLICY_VIOLATION: Final = 1008  # of WebSockets
LOGGED_OUT: Final = 4401  # of WebSockets: the session is over
METRICS: Final = "/metrics"
_SESSION_STEP_S: Final = 2.0  # within which a WebSocket ends after its session
_FOREIGN: Final = "this request did not come from a page of the dashboard"

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]
SocketHandler: TypeAlias = Callable[[WebSocket], Coroutine[Any, Any, None]]


def role_of(connection: HTTPConnection) -> Role:
    """Return the role of whoever asks."""
    role: Role = connection.scope["state"]["role"]
    return role


def user_of(connection: HTTPConnection) -> str | None:
    """Return the name of whoever asks; None: there is no login, or he has none."""
    user: str | None = connection.scope["state"].get("user")
    return user


def session_of(connection: HTTPConnection) -> Session | None:
    """Return the session of whoever asks; None: his role is not by a session."""
    session: Session | None = connection.scope["state"].get("session")
    return session


def peer_of(connection: HTTPConnection) -> Peer:
    """Return where a request comes from."""
    peer: Peer = connection.scope["state"]["peer"]
    return peer


class RoleRoute(Route):
    """A route of HTTP."""

    role: Role


class RoleSocket(WebSocketRoute):
    """A WebSocket."""

    role: Role


AnyRoute: TypeAlias = RoleRoute | RoleSocket


def get(path: str, handler: Handler, role: Role) -> RoleRoute:
    """Return a route that changes nothing."""
    return _route(path, handler, role, "GET")


def post(path: str, handler: Handler, role: Role) -> RoleRoute:
    """Return a route that changes something, and so is for pages of this server alone. Its body is bounded."""

    async def answer(request: Request) -> Response:
        if not is_same_origin(request):
            return problem(403, _FOREIGN)
        return await handler(bounded(request))

    return _route(path, answer, role, "POST")


def socket(path: str, handler: SocketHandler, role: Role) -> RoleSocket:
    """Return the route of a WebSocket, for pages of this server alone."""

    async def answer(websocket: WebSocket) -> None:
        if not is_same_origin(websocket):
            await websocket.send_denial_response(problem(403, _FOREIGN))
        elif role_of(websocket) < role:
            await websocket.send_denial_response(_refusal(websocket))
        else:
            await while_logged_in(websocket, handler(websocket))

    route = RoleSocket(path, answer)
    route.role = role
    return route


async def while_logged_in(websocket: WebSocket, answering: Coroutine[Any, Any, None]) -> None:
    """Serve a WebSocket until it ends, or the session that it belongs to: pages may stay open for months."""
    if (session := session_of(websocket)) is None:
        await answering
        return
    sessions: Sessions = websocket.scope["state"]["sessions"]
    served = asyncio.create_task(answering)
    try:
        while not served.done() and sessions.use(session.number, time.time()):
            await asyncio.wait({served}, timeout=_SESSION_STEP_S)
    finally:
        is_over = not served.done()
        served.cancel()
        with suppress(asyncio.CancelledError):
            await served
    if is_over:
        with suppress(RuntimeError, WebSocketDisconnect):  # it is closed already
            await websocket.close(LOGGED_OUT)


def is_same_origin(connection: HTTPConnection) -> bool:
    """True if a page of this very server sent the request.

    Browsers that say how page and server are related are believed: no page can forge that. For others (browsers do not
    say it over plain HTTP) the Origin must be this server's.
    """
    origin, relation = connection.headers.get("origin", ""), connection.headers.get("sec-fetch-site")
    if relation is not None:
        return relation == "same-origin" and origin.startswith(("http://", "https://"))
    return is_own_origin(origin, peer_of(connection))


def _refusal(connection: HTTPConnection) -> Response:
    """Return the answer to who may not have what he asks for."""
    state = connection.scope["state"]
    trouble: DatabaseError | None = state.get("trouble")
    if trouble is not None:
        return problem(503, f"nobody can log in: {trouble.public}")
    if "user" in state:
        return problem(403, "this needs a login that may do it")
    answer = problem(401, "this needs a login")
    answer.headers["WWW-Authenticate"] = "Bearer" if connection.scope["path"] == METRICS else "Cookie"
    return answer


def _route(path: str, handler: Handler, role: Role, method: str) -> RoleRoute:
    async def answer(request: Request) -> Response:
        return _refusal(request) if role_of(request) < role else await handler(request)

    route = RoleRoute(path, answer, methods=[method])
    route.role = role
    return route
