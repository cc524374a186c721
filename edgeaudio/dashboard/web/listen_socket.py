"""The WebSocket by which a page listens to a source.

Owns: `/api/listen`, the number of open ones, and who may open one. Does not know: MQTT, what a message holds.

Sound has a route of its own, and so a role of its own: whoever may see a picture live may not always listen.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from edgeaudio.dashboard.sound import Sound
from edgeaudio.dashboard.viewers import Viewer, Viewers, Watched
from edgeaudio.dashboard.web.answers import dump
from edgeaudio.dashboard.web.live_socket import SEND_LIMIT_S, TRY_AGAIN, until_gone
from edgeaudio.dashboard.web.query import QueryError, source_of
from edgeaudio.dashboard.web.routes import POLICY_VIOLATION, AnyRoute, Role, socket

MAX_LISTENERS: Final = 50
_STEP_S: Final = 0.1


@dataclass(slots=True)
class ListenSocket:
    """The handler of all of them."""

    viewers: Viewers
    open: int = 0

    def routes(self) -> list[AnyRoute]:
        return [socket("/api/listen", self._listen, Role.READER)]

    async def _listen(self, websocket: WebSocket) -> None:
        """Send a source's sound as it comes, and why it does not, until the page is gone."""
        if self.open >= MAX_LISTENERS:
            await websocket.close(TRY_AGAIN)
            return
        try:
            watched = Watched(*source_of(websocket.query_params), "sound")
        except QueryError:
            await websocket.close(POLICY_VIOLATION)
            return
        self.open += 1
        try:
            await websocket.accept()
            with self.viewers.watching(watched) as viewer:
                await self._send_all(websocket, viewer)
        except (WebSocketDisconnect, TimeoutError):
            pass  # the browser is gone, or takes nothing
        finally:
            self.open -= 1

    async def _send_all(self, websocket: WebSocket, viewer: Viewer) -> None:
        gone = asyncio.create_task(until_gone(websocket))
        trouble = ""
        try:
            while not gone.done():
                if (now_wrong := self.viewers.trouble(viewer.watched)) != trouble:
                    trouble = now_wrong
                    await asyncio.wait_for(websocket.send_text(dump({"trouble": trouble})), SEND_LIMIT_S)
                for value in viewer.take():
                    if isinstance(value, Sound):
                        await asyncio.wait_for(websocket.send_bytes(value.message), SEND_LIMIT_S)
                await asyncio.wait({gone}, timeout=_STEP_S)
        finally:
            gone.cancel()
