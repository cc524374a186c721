"""Routes with the role that each needs.

Owns: which role each route needs, and that what changes something comes from a page of this server.
Does not know: what a route does, who has which role.

A route is made by `get`, `post` or `socket`, which all ask for a role: what names none cannot be written.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from edgeaudio.dashboard.roles import Role
from edgeaudio.dashboard.web.answers import problem

__all__ = [
    "POLICY_VIOLATION",
    "AnyRoute",
    "Role",
    "RoleRoute",
    "RoleSocket",
    "get",
    "is_same_origin",
    "post",
    "role_of",
    "socket",
]

POLICY_VIOLATION: Final = 1008  # of WebSockets

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]
SocketHandler: TypeAlias = Callable[[WebSocket], Awaitable[None]]


def role_of(connection: HTTPConnection) -> Role:
    """Return the role of whoever asks. Without a login only this machine is served, and who is on it is an owner."""
    role: Role = connection.scope.get("state", {}).get("role", Role.OWNER)
    return role


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
    """Return a route that changes something, and so is for pages of this server alone."""

    async def answer(request: Request) -> Response:
        if not is_same_origin(request.headers):
            return problem(403, "this request did not come from a page of the dashboard")
        return await handler(request)

    return _route(path, answer, role, "POST")


def socket(path: str, handler: SocketHandler, role: Role) -> RoleSocket:
    """Return the route of a WebSocket, for pages of this server alone."""

    async def answer(websocket: WebSocket) -> None:
        if not is_same_origin(websocket.headers) or role_of(websocket) < role:
            await websocket.close(POLICY_VIOLATION)
            return
        await handler(websocket)

    route = RoleSocket(path, answer)
    route.role = role
    return route


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """True if a page of this very server sent the request."""
    origin = headers.get("origin", "")
    return origin.startswith(("http://", "https://")) and origin.partition("://")[2] == headers.get("host")


def _route(path: str, handler: Handler, role: Role, method: str) -> RoleRoute:
    async def answer(request: Request) -> Response:
        if role_of(request) < role:
            return problem(403, "this needs a login that may do it")
        return await handler(request)

    route = RoleRoute(path, answer, methods=[method])
    route.role = role
    return route
