"""The WebSocket of a page: detections as they come, the revision of the fleet, and a source that is watched live.

Owns: `/api/live`, the number of open ones, and how often each sends. Does not know: MQTT.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from edgeaudio.dashboard.columns import Columns
from edgeaudio.dashboard.service import Dashboard
from edgeaudio.dashboard.viewers import Viewer
from edgeaudio.dashboard.web import values
from edgeaudio.dashboard.web.answers import dump
from edgeaudio.dashboard.web.fleet_routes import arrivals, connections, recent
from edgeaudio.dashboard.web.query import QueryError, number_of, watched_of
from edgeaudio.dashboard.web.routes import POLICY_VIOLATION, AnyRoute, Role, role_of, socket
from edgeaudio.wire.payloads import Scores

_MAX_LIVE: Final = 100  # pages with a WebSocket; others ask every few seconds
_MAX_LIVE_PUBLIC: Final = 50  # where visitors have as many, those with a login still have the rest
_STEP_S: Final = 0.25
_LIVE_STEP_S: Final = 0.1  # where a source is watched, whose columns come five times a second
_FLEET_EVERY_S: Final = 2.0
SEND_LIMIT_S: Final = 10.0
TRY_AGAIN: Final = 1013


class LiveSocket:
    """The handler of all of them."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard
        self._live = 0

    def routes(self) -> list[AnyRoute]:
        return [socket("/api/live", self._watch, Role.VISITOR)]

    async def _watch(self, websocket: WebSocket) -> None:
        """Send detections as they come, and the revision of the fleet, until the page is gone.

        With the names of a source in the query also its columns and scores: the page then counts as one of its viewers.
        """
        is_visitor = role_of(websocket) < Role.READER
        if self._live >= (_MAX_LIVE_PUBLIC if is_visitor else _MAX_LIVE):
            await websocket.close(TRY_AGAIN)
            return
        self._live += 1
        try:
            after = number_of(websocket.query_params)
            watched = watched_of(websocket.query_params)
            if watched is not None and is_visitor:  # words can be guessed from a spectrogram
                await websocket.close(POLICY_VIOLATION)
                return
            await websocket.accept()
            with nullcontext() if watched is None else self._dashboard.viewers.watching(watched) as viewer:
                await self._send_all(websocket, after, viewer)
        except QueryError:
            await websocket.close(POLICY_VIOLATION)
        except (WebSocketDisconnect, TimeoutError):
            pass  # the browser is gone, or takes nothing: it comes back with the number that it has
        finally:
            self._live -= 1

    async def _send_all(self, websocket: WebSocket, after: int, viewer: Viewer | None) -> None:
        gone = asyncio.create_task(until_gone(websocket))
        loop = asyncio.get_running_loop()
        revision, fleet_at_s = -1, 0.0
        known: dict[str, Any] = {}
        trouble = ""
        media_after = 0
        try:
            while not gone.done():
                message, media_after = arrivals(self._dashboard, media_after)
                if found := recent(self._dashboard, after):
                    after = found[-1]["number"]
                    message["recent"] = found
                if loop.time() >= fleet_at_s and self._dashboard.fleet.revision != revision:
                    revision, fleet_at_s = self._dashboard.fleet.revision, loop.time() + _FLEET_EVERY_S
                    message["fleet"] = revision
                if (now := connections(self._dashboard)) != known:
                    known = now
                    message |= now
                came = viewer.take() if viewer else []
                if viewer and (now_wrong := self._dashboard.viewers.trouble(viewer.watched)) != trouble:
                    message["trouble"] = trouble = now_wrong
                if scores := [values.scores_json(value) for value in came if isinstance(value, Scores)]:
                    message["scores"] = scores
                if message:
                    await asyncio.wait_for(websocket.send_text(dump(message)), SEND_LIMIT_S)
                for value in came:
                    if isinstance(value, Columns):
                        await asyncio.wait_for(websocket.send_bytes(value.packet), SEND_LIMIT_S)
                await asyncio.wait({gone}, timeout=_LIVE_STEP_S if viewer else _STEP_S)
        finally:
            gone.cancel()


async def until_gone(websocket: WebSocket) -> None:
    """Wait until the page is gone; what it sends is nothing."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass
