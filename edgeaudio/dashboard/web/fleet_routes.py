"""Devices, the newest detections, and metrics.

Owns: `/api/fleet`, `/api/recent`, `/metrics`. Does not know: the history, WebSockets.
"""

from __future__ import annotations

import gzip
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from edgeaudio.dashboard.metrics import CONTENT_TYPE, Metrics
from edgeaudio.dashboard.service import Dashboard
from edgeaudio.dashboard.web import values
from edgeaudio.dashboard.web.answers import SharedText, dump, json_in_thread
from edgeaudio.dashboard.web.query import number_of
from edgeaudio.dashboard.web.routes import METRICS, AnyRoute, Role, get, role_of

_PACKING: Final = 1  # the fastest level of gzip
_MAX_SENT: Final = 100  # detections, or clips and pictures, in one message


class FleetRoutes:
    """The handlers."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard
        self._fleet_texts = {
            (is_public, is_packed): SharedText(partial(self._fleet_text, is_public=is_public, is_packed=is_packed))
            for is_public in (False, True)
            for is_packed in (False, True)
        }
        self._metrics_text = SharedText(Metrics(dashboard).render)

    def routes(self) -> list[AnyRoute]:
        return [
            get(METRICS, self._get_metrics, Role.READER),
            get("/api/fleet", self._get_fleet, Role.VISITOR),
            get("/api/recent", self._get_recent, Role.VISITOR),
        ]

    async def _get_metrics(self, _: Request) -> Response:
        return Response(await self._metrics_text.get(), headers={"Content-Type": CONTENT_TYPE})

    async def _get_fleet(self, request: Request) -> Response:
        is_packed = "gzip" in request.headers.get("Accept-Encoding", "")
        text = self._fleet_texts[role_of(request) < Role.READER, is_packed]
        headers = {"Content-Type": "application/json", "Vary": "Accept-Encoding"}
        return Response(await text.get(), headers=headers | ({"Content-Encoding": "gzip"} if is_packed else {}))

    async def _get_recent(self, request: Request) -> Response:
        after = number_of(request.query_params)
        return await json_in_thread(
            lambda: {
                "recent": recent(self._dashboard, after),
                **arrivals(self._dashboard, 0)[0],
                **connections(self._dashboard),
            }
        )

    def _fleet_text(self, *, is_public: bool, is_packed: bool) -> bytes:
        """Return the whole fleet as JSON, which pages ask for every few seconds: of 3,000 sources it is 600 kB."""
        fleet = self._fleet()
        text = dump(values.without_details(fleet) if is_public else fleet).encode()
        return gzip.compress(text, _PACKING, mtime=0) if is_packed else text

    def _fleet(self) -> dict[str, Any]:
        dashboard = self._dashboard
        fleet = values.fleet_json(dashboard.fleet.snapshot(), dashboard.recorder.numbers())
        return fleet | connections(dashboard)


def recent(dashboard: Dashboard, after: int) -> list[dict[str, Any]]:
    """Return what came after a number; a page that begins gets the newest."""
    recorder = dashboard.recorder
    # a page can have a higher number than there is after the clock was set back
    found = recorder.recent(after if after <= recorder.last_number else 0)
    return [values.recent_json(recent) for recent in found[-_MAX_SENT:]]


def arrivals(dashboard: Dashboard, after: int) -> tuple[dict[str, Any], int]:
    """Return the newest clips and pictures that came after a number, if any did, and the number to go on with."""
    found = dashboard.media.arrivals(after)[-_MAX_SENT:]
    if not found:
        return {}, after
    return {"media": [values.media_json(arrival) for arrival in found]}, found[-1].number


def connections(dashboard: Dashboard) -> dict[str, Any]:
    """Return whether each subscription is granted."""
    up = dashboard.connections
    return {"broker": {"detections": up.detections, "state": up.state}}
