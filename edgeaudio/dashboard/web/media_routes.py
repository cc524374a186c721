"""Clips and pictures by the id of their event.

Owns: `/api/events/…/clip` and `/api/events/…/picture`, their headers, and names of downloads.
Does not know: where files are, how a copy is made (media/).

What is served has a type of the fixed list (media/wire.py), and its bytes begin as that type's do. Copies are made one
at a time, and threads that wait for the database are few: the rest of the page waits for neither.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import closing
from datetime import UTC, datetime
from typing import Final

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from edgeaudio.dashboard.media.archive import OpenMedium
from edgeaudio.dashboard.media.store import EventKey
from edgeaudio.dashboard.media.wav_copy import CopyError, WavCopies
from edgeaudio.dashboard.media.wire import MediaKind
from edgeaudio.dashboard.service import Dashboard
from edgeaudio.dashboard.web.answers import problem
from edgeaudio.dashboard.web.query import QueryError
from edgeaudio.dashboard.web.ranges import Span, UnsatisfiableError, is_known, span_of
from edgeaudio.dashboard.web.routes import AnyRoute, Role, get
from edgeaudio.slugs import slugify

_PIECE: Final = 64 * 1024  # bytes
_MAX_FINDING: Final = 4  # requests at once


class MediaRoutes:
    """The handlers."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._media = dashboard.media
        self._history = dashboard.history
        self._copies = WavCopies(dashboard.media.folder.path)
        self._finding = asyncio.Semaphore(_MAX_FINDING)
        self._copying = asyncio.Lock()

    def routes(self) -> list[AnyRoute]:
        return [
            get("/api/events/{device}/{source}/{id}/clip", self._get_clip, Role.READER),
            get("/api/events/{device}/{source}/{id}/picture", self._get_picture, Role.READER),
        ]

    async def _get_clip(self, request: Request) -> Response:
        wanted = request.query_params.get("format", "")
        if wanted not in {"", "wav"}:
            raise QueryError("format: is not wav")
        medium = await self._find(request, "clip")
        if medium is None:
            return _none("clip")
        if wanted and medium.type.suffix != "wav":
            with closing(_Descriptor(medium.descriptor)):
                try:
                    medium = await self._copy(request, medium)
                except CopyError as error:
                    return problem(422, f"there is no copy of this clip: {error}")
        return await self._answer(request, medium)

    async def _get_picture(self, request: Request) -> Response:
        medium = await self._find(request, "picture")
        return _none("picture") if medium is None else await self._answer(request, medium)

    async def _find(self, request: Request, kind: MediaKind) -> OpenMedium | None:
        async with self._finding:
            return await to_thread.run_sync(self._media.open_medium, _event(request), kind)

    async def _copy(self, request: Request, medium: OpenMedium) -> OpenMedium:
        async with self._copying:
            if await request.is_disconnected():
                raise CopyError("the browser is gone")
            return await to_thread.run_sync(self._copies.get, medium)

    async def _answer(self, request: Request, medium: OpenMedium) -> Response:
        descriptor = _Descriptor(medium.descriptor)
        headers = {
            "Content-Type": medium.type.content_type,
            "ETag": f'"{medium.version}"',
            "Accept-Ranges": "bytes",
            "Cache-Control": "private, no-cache",  # it may be kept, but is asked for each time
        }
        try:
            if "download" in request.query_params:
                async with self._finding:
                    name = await to_thread.run_sync(self._name, _event(request), medium.type.suffix)
                headers["Content-Disposition"] = f'attachment; filename="{name}"'
            return _part(request, descriptor, medium.bytes, headers)
        finally:
            descriptor.close()

    def _name(self, event: EventKey, suffix: str) -> str:
        """Return the name of a download, of ASCII letters, digits, hyphens and underscores."""
        device, source, event_id = event
        found = self._history.event(*event)
        begin, what = "", f"{device}-{source}"
        if found is not None:
            begin = f"{datetime.fromtimestamp(found.begin_ms / 1000, UTC):%Y%m%dT%H%M%SZ}_"
            what += f"-{slugify(found.label)}"
        return f"{begin}{what}_{event_id}.{suffix}"


def _event(request: Request) -> EventKey:
    names = request.path_params
    return names["device"], names["source"], names["id"]


def _none(kind: MediaKind) -> Response:
    return problem(404, f"there is no {kind} of this event: none came, or it has been deleted")


def _part(request: Request, file: _Descriptor, n_bytes: int, headers: dict[str, str]) -> Response:
    """Answer with what is asked for of an open file, which an answer with content takes over."""
    etag = headers["ETag"]
    if is_known(request.headers, etag):
        return Response(status_code=304, headers={name: headers[name] for name in ("ETag", "Cache-Control")})
    try:
        span = span_of(request.headers, n_bytes, etag)
    except UnsatisfiableError:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{n_bytes}"})
    status = 200
    if span is None:
        span = Span(0, n_bytes)
    else:
        status = 206
        headers["Content-Range"] = f"bytes {span.begin}-{span.end - 1}/{n_bytes}"
    headers["Content-Length"] = str(span.end - span.begin)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return _FilePart(file.take(), span, status, headers)


class _Descriptor:
    """A file descriptor that is closed once, at the latest when nothing refers to it: an answer may never be begun."""

    def __init__(self, number: int) -> None:
        self.number = number

    def take(self) -> _Descriptor:
        """Return another owner of the descriptor, in place of this one."""
        taken = _Descriptor(self.number)
        self.number = -1
        return taken

    def close(self) -> None:
        number, self.number = self.number, -1
        if number >= 0:
            os.close(number)

    def __del__(self) -> None:
        self.close()


class _FilePart(Response):
    """An answer that is read from a file as it is sent: a player takes it slowly, and may leave in the middle."""

    def __init__(self, file: _Descriptor, span: Span, status: int, headers: dict[str, str]) -> None:
        super().__init__(status_code=status, headers=headers)
        self._file = file
        self._span = span

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (of ASGI)
        with closing(self._file) as file:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            at, end = self._span.begin, self._span.end
            while at < end and (piece := await to_thread.run_sync(os.pread, file.number, min(_PIECE, end - at), at)):
                at += len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": at < end})
