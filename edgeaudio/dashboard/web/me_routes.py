"""Who is asking.

Owns: `/api/me`, by which a page knows what to offer. Does not know: how a role is given.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from edgeaudio.dashboard.web.answers import json_answer
from edgeaudio.dashboard.web.routes import AnyRoute, Role, get, role_of


def me_routes() -> list[AnyRoute]:
    """Return the route."""
    return [get("/api/me", _get_me, Role.NOBODY)]


async def _get_me(request: Request) -> Response:
    return json_answer({"user": None, "role": role_of(request).word, "login": False})
