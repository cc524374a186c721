"""Verdicts on events, sounds that were not detected, and the labels that can be given.

Owns: `/api/reviews`, `/api/missed`, `/api/labels`, and that changes wait for each other. Does not know: the database's
tables, the form of the bodies (review_values.py).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from edgeaudio.dashboard.missed import FullError
from edgeaudio.dashboard.service import Dashboard
from edgeaudio.dashboard.web import review_values
from edgeaudio.dashboard.web.answers import json_answer, problem
from edgeaudio.dashboard.web.body import read_json
from edgeaudio.dashboard.web.query import cursor_of, filter_of, limit_of
from edgeaudio.dashboard.web.routes import AnyRoute, Role, get, post, user_of

Search: TypeAlias = Callable[[Request, Callable[[], Response]], Awaitable[Response]]
NO_LOGIN: Final = "local"  # the reviewer where there is no login: whoever is on this machine
_MAX_REVIEWER: Final = 64  # characters


class ReviewRoutes:
    """The handlers."""

    def __init__(self, dashboard: Dashboard, search: Search) -> None:
        """`search`: answers what reads, one after the other."""
        self._reviews = dashboard.reviews
        self._missed = dashboard.missed
        self._search = search
        self._changing = asyncio.Lock()

    def routes(self) -> list[AnyRoute]:
        return [
            post("/api/reviews", self._judge, Role.OWNER),
            get("/api/missed", self._get_missed, Role.READER),
            post("/api/missed/add", self._add_missed, Role.OWNER),
            post("/api/missed/remove", self._remove_missed, Role.OWNER),
            get("/api/labels", self._get_labels, Role.READER),
        ]

    async def _judge(self, request: Request) -> Response:
        judgements = review_values.judgements_of(await read_json(request))
        reviewer = reviewer_of(request)
        return await self._change(
            lambda: json_answer(review_values.changed_json(self._reviews.judge(judgements, reviewer, time.time())))
        )

    async def _get_missed(self, request: Request) -> Response:
        query = request.query_params
        wanted, after, limit = filter_of(query), cursor_of(query), limit_of(query)
        return await self._search(
            request, lambda: json_answer(review_values.missed_page_json(self._missed.page(wanted, after, limit)))
        )

    async def _add_missed(self, request: Request) -> Response:
        sound = review_values.missed_of(await read_json(request))
        reviewer = reviewer_of(request)

        def add() -> Response:
            try:
                added = self._missed.add(sound.device, sound.source, sound.label, sound.span_ms, reviewer, time.time())
            except FullError as error:
                return problem(409, str(error))
            return json_answer(review_values.missed_json(added))

        return await self._change(add)

    async def _remove_missed(self, request: Request) -> Response:
        numbers = review_values.numbers_of(await read_json(request))
        return await self._change(
            lambda: json_answer({"removed": [review_values.missed_json(each) for each in self._missed.remove(numbers)]})
        )

    async def _get_labels(self, request: Request) -> Response:
        return await self._search(request, lambda: json_answer({"labels": self._missed.labels()}))

    async def _change(self, change: Callable[[], Response]) -> Response:
        async with self._changing:
            return await to_thread.run_sync(change)


def reviewer_of(request: Request) -> str:
    """Return the name of whoever asks."""
    return (user_of(request) or NO_LOGIN)[:_MAX_REVIEWER]
