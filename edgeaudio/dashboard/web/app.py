"""The application: all routes together, and what an error becomes.

Owns: that what is in no list of routes is not found. Does not know: what a route does, sockets (server.py).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from edgeaudio.dashboard.database import DatabaseError
from edgeaudio.dashboard.service import Dashboard
from edgeaudio.dashboard.web.access import Access
from edgeaudio.dashboard.web.answers import problem
from edgeaudio.dashboard.web.body import BodyError
from edgeaudio.dashboard.web.control_routes import ControlRoutes
from edgeaudio.dashboard.web.export_routes import ExportRoutes
from edgeaudio.dashboard.web.fleet_routes import FleetRoutes
from edgeaudio.dashboard.web.guard import Guard
from edgeaudio.dashboard.web.history_routes import HistoryRoutes
from edgeaudio.dashboard.web.listen_socket import ListenSocket
from edgeaudio.dashboard.web.live_socket import LiveSocket
from edgeaudio.dashboard.web.login_routes import LoginRoutes
from edgeaudio.dashboard.web.media_routes import MediaRoutes
from edgeaudio.dashboard.web.query import QueryError
from edgeaudio.dashboard.web.review_routes import ReviewRoutes
from edgeaudio.dashboard.web.routes import AnyRoute, Role, role_of
from edgeaudio.dashboard.web.static_routes import static_routes
from edgeaudio.throttled_log import LogThrottle

log = logging.getLogger(__name__)


def make_routes(dashboard: Dashboard) -> list[AnyRoute]:
    """Return everything that is served."""
    history = HistoryRoutes(dashboard)
    return [
        *static_routes(),
        *LoginRoutes(dashboard.access, dashboard.sessions).routes(),
        *FleetRoutes(dashboard).routes(),
        *MediaRoutes(dashboard).routes(),
        *history.routes(),
        *ReviewRoutes(dashboard, history.search).routes(),
        *ExportRoutes(dashboard).routes(),
        *LiveSocket(dashboard).routes(),
        *ListenSocket(dashboard.viewers).routes(),
        *ControlRoutes(dashboard).routes(),
    ]


def make_app(dashboard: Dashboard) -> ASGIApp:
    """Return the application."""
    throttle = LogThrottle()

    def no_database(request: Request, error: DatabaseError) -> Response:
        if throttle.is_due(str(error), time.monotonic()):
            log.warning("%s", error)
        return problem(503, str(error) if role_of(request) >= Role.READER else error.public)

    handlers: Mapping[Any, Any] = {BodyError: _bad_body, QueryError: _bad_query, DatabaseError: no_database}
    app = Starlette(routes=make_routes(dashboard), exception_handlers=handlers)
    app.router.redirect_slashes = False  # an address that is not listed is not found, with a slash at its end too
    return Guard(Access(app, dashboard.access, dashboard.sessions), dashboard.access)


def _bad_body(_: Request, error: BodyError) -> Response:
    return problem(error.status, str(error))


def _bad_query(_: Request, error: QueryError) -> Response:
    return problem(400, str(error))
