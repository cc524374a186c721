"""The web server: pages, `/api`, `/metrics`.

Owns: every route, the headers of every answer, and who may ask. The only importer of starlette and uvicorn.
Does not know: MQTT, the database's tables, the names in JSON (api.py).

There is no login yet: it listens on loopback only, and answers only requests whose Host is loopback, so that a page of
another site cannot reach it by a name that resolves to this machine (DNS rebinding). A WebSocket needs an Origin of
this host. What is not in WebApp.routes is not found.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import re
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from importlib.resources import files
from typing import Any, Final

import uvicorn
from anyio import to_thread
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.http.h11_impl import H11Protocol

from edgeaudio.dashboard import api
from edgeaudio.dashboard.api import QueryError
from edgeaudio.dashboard.columns import Columns
from edgeaudio.dashboard.history import HistoryError
from edgeaudio.dashboard.metrics import CONTENT_TYPE, Metrics
from edgeaudio.dashboard.service import Dashboard
from edgeaudio.dashboard.viewers import Viewer
from edgeaudio.dashboard.wire import Scores
from edgeaudio.errors import EdgeaudioError

log = logging.getLogger(__name__)

_STATIC: Final = {
    "page.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{0,5})?")
_MAX_LIVE: Final = 100  # pages with a WebSocket; others ask every few seconds
_MAX_CONNECTIONS: Final = 500  # systems allow 1,024 open files
_REQUEST_LIMIT_S: Final = 30.0  # from a connection to its first request
_STEP_S: Final = 0.25
_LIVE_STEP_S: Final = 0.1  # where a source is watched, whose columns come five times a second
_FLEET_EVERY_S: Final = 2.0
_SEND_LIMIT_S: Final = 10.0
_MAX_SENT: Final = 100  # detections in one message
_POLICY_VIOLATION: Final = 1008
_TRY_AGAIN: Final = 1013


class WebApp:
    """The handlers, and what they share."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard
        self._metrics = Metrics(dashboard)
        self._live = 0
        self._searching = asyncio.Lock()
        self._static = {name: files("edgeaudio.dashboard").joinpath("static", name).read_bytes() for name in _STATIC}
        self._metrics_text = _Shared(self._metrics.render)
        self._fleet_text = _Shared(lambda: _dump(self._fleet()).encode())
        self.routes: list[BaseRoute] = [
            Route("/", partial(self._file, "page.html"), methods=["GET"]),
            Route("/page.css", partial(self._file, "page.css"), methods=["GET"]),
            Route("/page.js", partial(self._file, "page.js"), methods=["GET"]),
            Route("/live.js", partial(self._file, "live.js"), methods=["GET"]),
            Route("/icon.svg", partial(self._file, "icon.svg"), methods=["GET"]),
            Route("/metrics", self._get_metrics, methods=["GET"]),
            Route("/api/fleet", self._get_fleet, methods=["GET"]),
            Route("/api/recent", self._get_recent, methods=["GET"]),
            Route("/api/events", self._get_events, methods=["GET"]),
            Route("/api/events/{device}/{source}/{id}", self._get_event, methods=["GET"]),
            Route("/api/counts", self._get_counts, methods=["GET"]),
            WebSocketRoute("/api/live", self._watch),
        ]

    async def _file(self, name: str, _: Request) -> Response:
        return Response(self._static[name], headers={"Content-Type": _STATIC[name], "Cache-Control": "no-cache"})

    async def _get_metrics(self, _: Request) -> Response:
        return Response(await self._metrics_text.get(), headers={"Content-Type": CONTENT_TYPE})

    async def _get_fleet(self, _: Request) -> Response:
        return Response(await self._fleet_text.get(), headers={"Content-Type": "application/json"})

    async def _get_recent(self, request: Request) -> Response:
        after = api.number_of(request.query_params)
        return await _json_of(lambda: {"recent": self._recent(after), **self._connections()})

    async def _get_events(self, request: Request) -> Response:
        query = request.query_params
        wanted, after, limit = api.filter_of(query), api.cursor_of(query), api.limit_of(query)
        return await self._search(
            request, lambda: _json(api.page_json(self._dashboard.history.page(wanted, after, limit)))
        )

    async def _get_event(self, request: Request) -> Response:
        names = request.path_params

        def find() -> Response:
            event = self._dashboard.history.event(names["device"], names["source"], names["id"])
            if event is None:
                return _problem(404, "this event is not in the history: it is too old, or never arrived")
            return _json(api.event_json(event))

        return await self._search(request, find)

    async def _get_counts(self, request: Request) -> Response:
        wanted = api.span_of(request.query_params)
        return await self._search(
            request,
            lambda: _json({"counts": [[at, labels] for at, labels in self._dashboard.history.counts(wanted).items()]}),
        )

    async def _search(self, request: Request, find: Callable[[], Response]) -> Response:
        """Answer from the history: one after the other, or slow searches would hold every thread that others need."""
        async with self._searching:
            if await request.is_disconnected():
                return _problem(503, "the browser is gone")
            return await to_thread.run_sync(find)

    async def _watch(self, websocket: WebSocket) -> None:
        """Send detections as they come, and the revision of the fleet, until the page is gone.

        With the names of a source in the query also its columns and scores: the page then counts as one of its viewers.
        """
        if not _is_same_origin(websocket.headers):
            await websocket.close(_POLICY_VIOLATION)
            return
        if self._live >= _MAX_LIVE:
            await websocket.close(_TRY_AGAIN)
            return
        self._live += 1
        try:
            after = api.number_of(websocket.query_params)
            watched = api.watched_of(websocket.query_params)
            await websocket.accept()
            with nullcontext() if watched is None else self._dashboard.viewers.watching(watched) as viewer:
                await self._send_all(websocket, after, viewer)
        except QueryError:
            await websocket.close(_POLICY_VIOLATION)
        except (WebSocketDisconnect, TimeoutError):
            pass  # the browser is gone, or takes nothing: it comes back with the number that it has
        finally:
            self._live -= 1

    async def _send_all(self, websocket: WebSocket, after: int, viewer: Viewer | None) -> None:
        gone = asyncio.create_task(_until_gone(websocket))
        loop = asyncio.get_running_loop()
        revision, fleet_at_s = -1, 0.0
        connections: dict[str, Any] = {}
        trouble = ""
        try:
            while not gone.done():
                message: dict[str, Any] = {}
                if recent := self._recent(after):
                    after = recent[-1]["number"]
                    message["recent"] = recent
                if loop.time() >= fleet_at_s and self._dashboard.fleet.revision != revision:
                    revision, fleet_at_s = self._dashboard.fleet.revision, loop.time() + _FLEET_EVERY_S
                    message["fleet"] = revision
                if (now := self._connections()) != connections:
                    connections = now
                    message |= now
                values = viewer.take() if viewer else []
                if viewer and (now_wrong := self._dashboard.viewers.trouble(viewer.watched)) != trouble:
                    message["trouble"] = trouble = now_wrong
                if scores := [api.scores_json(value) for value in values if isinstance(value, Scores)]:
                    message["scores"] = scores
                if message:
                    await asyncio.wait_for(websocket.send_text(_dump(message)), _SEND_LIMIT_S)
                for value in values:
                    if isinstance(value, Columns):
                        await asyncio.wait_for(websocket.send_bytes(value.packet), _SEND_LIMIT_S)
                await asyncio.wait({gone}, timeout=_LIVE_STEP_S if viewer else _STEP_S)
        finally:
            gone.cancel()

    def _fleet(self) -> dict[str, Any]:
        dashboard = self._dashboard
        return api.fleet_json(dashboard.fleet.snapshot(), dashboard.recorder.numbers()) | self._connections()

    def _recent(self, after: int) -> list[dict[str, Any]]:
        """Return what came after a number; a page that begins gets the newest."""
        recorder = self._dashboard.recorder
        # a page can have a higher number than there is after the clock was set back
        found = recorder.recent(after if after <= recorder.last_number else 0)
        return [api.recent_json(recent) for recent in found[-_MAX_SENT:]]

    def _connections(self) -> dict[str, Any]:
        up = self._dashboard.connections
        return {"broker": {"detections": up.detections, "state": up.state}}


def make_app(dashboard: Dashboard) -> ASGIApp:
    """Return the application."""
    handlers: Mapping[Any, Any] = {QueryError: _bad_query, HistoryError: _no_history}
    app = Starlette(routes=WebApp(dashboard).routes, exception_handlers=handlers)
    app.router.redirect_slashes = False  # an address that is not listed is not found, with a slash at its end too
    return _Guard(app)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises EdgeaudioError if the address is in use or is none of this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise EdgeaudioError(
            f"dashboard.listen: cannot listen on {host}, port {port}: {error.strerror}; set another port"
        ) from None
    return sock


def serve(dashboard: Dashboard, sock: socket.socket) -> None:
    """Answer requests until SIGTERM or SIGINT, or until a thread of the dashboard has ended."""
    server = uvicorn.Server(
        uvicorn.Config(
            make_app(dashboard),
            http=_Connection,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            ws_max_size=1024,  # pages send nothing
            timeout_graceful_shutdown=2,
        )
    )

    def stop(*_: object) -> None:
        server.should_exit = True

    # uvicorn has handlers of its own while it serves, and raises the signal again afterwards: it must end here
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    asyncio.run(_serve(server, dashboard, sock))


async def _serve(server: uvicorn.Server, dashboard: Dashboard, sock: socket.socket) -> None:
    async def end_with_the_threads() -> None:
        while dashboard.failure is None:  # noqa: ASYNC110 (set by threads, which know no loop)
            await asyncio.sleep(1.0)
        server.should_exit = True

    watch = asyncio.create_task(end_with_the_threads())
    try:
        await server.serve(sockets=[sock])
    finally:
        watch.cancel()


class _Connection(H11Protocol):
    """A connection within a bound on their number: out of descriptors, asyncio logs thousands of errors a second."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        if len(self.connections) > _MAX_CONNECTIONS:
            transport.abort()
        else:
            self.loop.call_later(_REQUEST_LIMIT_S, self._end_without_request)

    def _end_without_request(self) -> None:
        if not self.headers:  # of the last request
            self.transport.abort()


class _Shared:
    """A text that takes a while to make, in a thread: all who asked before one was begun get that one."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._lock = asyncio.Lock()
        self._begun_s = -math.inf
        self._text = b""

    async def get(self) -> bytes:
        """Return a text that is not older than this call."""
        asked_s = time.monotonic()
        async with self._lock:
            if self._begun_s <= asked_s:
                begun_s = time.monotonic()
                self._text = await to_thread.run_sync(self._make)
                self._begun_s = begun_s
            return self._text


class _Guard:
    """Refuses what is not for this host, and adds the headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    answer.setdefault(name, value)
            await send(message)

        if _host_of(headers.get(b"host", b"").decode("latin-1")) in _LOOPBACK:
            await self._app(scope, receive, send_with_headers)
        elif scope["type"] == "websocket":
            await WebSocket(scope, receive, send).close(_POLICY_VIOLATION)
        else:
            refusal = PlainTextResponse("open the page as localhost: others are not served", 403)
            await refusal(scope, receive, send_with_headers)


def _host_of(host: str) -> str:
    """Return the host of a Host header without its port; empty where it is none."""
    found = _HOST.fullmatch(host)
    return found[1].strip("[]").lower() if found else ""


def _is_same_origin(headers: Mapping[str, str]) -> bool:
    """True if a page of this very server opened the WebSocket."""
    origin = headers.get("origin", "")
    return origin.startswith(("http://", "https://")) and origin.partition("://")[2] == headers.get("host")


async def _until_gone(websocket: WebSocket) -> None:
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


async def _json_of(make: Callable[[], object]) -> Response:
    """Return an answer whose value is made and written in a thread."""
    return await to_thread.run_sync(lambda: _json(make()))


def _json(value: object) -> Response:
    return Response(_dump(value), headers={"Content-Type": "application/json"})


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _problem(status: int, text: str) -> Response:
    return Response(_dump({"error": text}), status, headers={"Content-Type": "application/json"})


def _bad_query(_: Request, error: QueryError) -> Response:
    return _problem(400, str(error))


def _no_history(_: Request, error: HistoryError) -> Response:
    log.warning("%s", error)
    return _problem(503, str(error))
