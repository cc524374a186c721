"""The searchable history.

Owns: `/api/events`, `/api/counts`, and that searches wait for each other. Does not know: the database's tables.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from edgeaudio.dashboard.history import HistoryEvent
from edgeaudio.dashboard.media.store import EventKey
from edgeaudio.dashboard.service import Dashboard
from edgeaudio.dashboard.web import values
from edgeaudio.dashboard.web.answers import json_answer, problem
from edgeaudio.dashboard.web.query import cursor_of, filter_of, limit_of, steps_of
from edgeaudio.dashboard.web.review_values import log_json
from edgeaudio.dashboard.web.routes import AnyRoute, Role, get, role_of

MAX_VISITORS: Final = 30  # searches that wait at once; each takes 2 s at worst


class HistoryRoutes:
    """The handlers."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._history = dashboard.history
        self._media = dashboard.media
        self._reviews = dashboard.reviews
        self._recorder = dashboard.recorder
        self._searching = asyncio.Lock()
        self._searching_visitors = asyncio.Lock()
        self._waiting_visitors = 0

    def routes(self) -> list[AnyRoute]:
        return [
            get("/api/events", self._get_events, Role.VISITOR),
            get("/api/events/{device}/{source}/{id}", self._get_event, Role.VISITOR),
            get("/api/counts", self._get_counts, Role.VISITOR),
        ]

    async def _get_events(self, request: Request) -> Response:
        query, names = request.query_params, _sees_names(request)
        wanted, after, limit = filter_of(query), cursor_of(query), limit_of(query)

        def find() -> Response:
            page = self._history.page(wanted, after, limit)
            return json_answer(values.page_json(page, self._media.media_of(map(_key, page.events)), names=names))

        return await self.search(request, find)

    async def _get_event(self, request: Request) -> Response:
        key, names = request.path_params, _sees_names(request)

        def find() -> Response:
            event = self._history.event(key["device"], key["source"], key["id"])
            if event is None:
                return problem(404, "this event is not in the history: it is too old, or never arrived")
            found = values.event_json(event, self._media.media_of([_key(event)]), names=names)
            log = self._reviews.log(event) if names else []
            members = dict(self._recorder.members(*_key(event)) or event.members)
            return json_answer(found | {"members": members, "keeps_media": self._media.is_on, "reviews": log_json(log)})

        return await self.search(request, find)

    async def _get_counts(self, request: Request) -> Response:
        wanted, steps = filter_of(request.query_params), steps_of(request.query_params)
        return await self.search(
            request, lambda: json_answer(values.counts_json(self._history.counts(wanted, steps), len(steps)))
        )

    async def search(self, request: Request, find: Callable[[], Response]) -> Response:
        """Answer from the history: one after the other, or slow searches would hold every thread that others need.

        Visitors wait for visitors alone, and few of them: whoever has a login is not behind all that strangers ask.
        """
        if role_of(request) >= Role.READER:
            return await _in_turn(self._searching, request, find)
        if self._waiting_visitors >= MAX_VISITORS:
            return problem(503, "too many look at the history at once: try again in a few seconds")
        self._waiting_visitors += 1
        try:
            return await _in_turn(self._searching_visitors, request, find)
        finally:
            self._waiting_visitors -= 1


async def _in_turn(lock: asyncio.Lock, request: Request, find: Callable[[], Response]) -> Response:
    async with lock:
        if await request.is_disconnected():
            return problem(503, "the browser is gone")
        return await to_thread.run_sync(find)


def _key(event: HistoryEvent) -> EventKey:
    return event.device, event.source, event.id


def _sees_names(request: Request) -> bool:
    """True if whoever asks may know who judged: what is public names no people."""
    return role_of(request) >= Role.READER
