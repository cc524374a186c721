"""What commands may change at a source, and commands.

Owns: `/api/controls`, `/api/command`. Does not know: MQTT, which commands there are (commands.py).
"""

from __future__ import annotations

import asyncio
import time

from starlette.requests import Request
from starlette.responses import Response

from edgeaudio.dashboard.commands import CommandRequestError, command_of
from edgeaudio.dashboard.service import Dashboard
from edgeaudio.dashboard.web import values
from edgeaudio.dashboard.web.answers import json_answer, problem
from edgeaudio.dashboard.web.body import read_json
from edgeaudio.dashboard.web.query import number_of, source_of
from edgeaudio.dashboard.web.routes import AnyRoute, Role, get, post


class ControlRoutes:
    """The handlers."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._controls = dashboard.controls
        self._feed = dashboard.control_feed

    def routes(self) -> list[AnyRoute]:
        return [
            get("/api/controls", self._get_controls, Role.READER),
            post("/api/command", self._command, Role.OWNER),
        ]

    async def _get_controls(self, request: Request) -> Response:
        """Answer with what is known of a source, once more than the revision in `after` is.

        What is known comes within a second of the first question, and as long as questions come.
        """
        key, after = source_of(request.query_params), number_of(request.query_params)
        found = self._controls.visit(key, time.monotonic())
        if found is None:
            return problem(503, "too many sources are looked at: close other pages, and try again")
        self._feed.wake()
        return json_answer({"revision": found.revision} if found.revision == after else values.controls_json(found))

    async def _command(self, request: Request) -> Response:
        """Send a command, and answer with the device's own answer, or why there is none."""
        try:
            answer = self._feed.send(command_of(await read_json(request)))
        except CommandRequestError as error:
            return problem(400, str(error))
        if answer is None:
            return problem(503, "too many commands await their answers: try again")
        found = await asyncio.wrap_future(answer)
        return json_answer({"ok": not found.error, "answered": found.answered, "error": found.error})
