"""The training set as an archive that a browser downloads.

Owns: `/api/export`, the limits of one, and that there is one at a time. Does not know: what is in it (training_set.py).

The archive is made while it is sent: in memory are one sound, and the records of the set.
"""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import AsyncIterator, Generator
from datetime import UTC, datetime
from typing import Final

from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from edgeaudio.dashboard import training_set
from edgeaudio.dashboard.database import DatabaseError
from edgeaudio.dashboard.history import Filter
from edgeaudio.dashboard.service import Dashboard
from edgeaudio.dashboard.web.answers import problem
from edgeaudio.dashboard.web.query import filter_of
from edgeaudio.dashboard.web.routes import AnyRoute, Role, get

MAX_RECORDS: Final = 20_000
MAX_BYTES: Final = 2_000_000_000  # of sounds
LIMIT_S: Final = 900.0
_INCOMPLETE: Final = "INCOMPLETE.txt"
_OLDEST: Final = (1980, 1, 1, 0, 0, 0)  # that an archive can hold


class ExportRoutes:
    """The handler."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard
        self._until_s = 0.0  # monotonic; until then nobody else begins: a browser that takes nothing holds up no other

    def routes(self) -> list[AnyRoute]:
        return [get("/api/export", self._get_export, Role.OWNER)]

    async def _get_export(self, request: Request) -> Response:
        wanted = filter_of(request.query_params)
        if wanted.verdict == "unreviewed":
            return problem(400, "verdict: what nobody has judged is in no training set")
        if time.monotonic() < self._until_s:
            return problem(503, "another training set is being downloaded: try again when it is here")
        name = f"edgeaudio-training-{datetime.now(UTC):%Y%m%d-%H%M%S}.zip"
        headers = {"Content-Type": "application/zip", "Content-Disposition": f'attachment; filename="{name}"'}
        return (
            Response(headers=headers)
            if request.method == "HEAD"
            else StreamingResponse(self._send(wanted), headers=headers)
        )

    async def _send(self, wanted: Filter) -> AsyncIterator[bytes]:
        self._until_s = until_s = time.monotonic() + LIMIT_S
        pieces = _Archive(self._dashboard, wanted).pieces()
        try:
            async for piece in iterate_in_threadpool(pieces):
                yield piece
        finally:
            pieces.close()
            if self._until_s == until_s:
                self._until_s = 0.0


class _Archive:
    """One archive."""

    def __init__(self, dashboard: Dashboard, wanted: Filter) -> None:
        self._dashboard = dashboard
        self._wanted = wanted
        self._written = _Written()
        self._zip = zipfile.ZipFile(self._written, "w")
        self._end_s = time.monotonic() + LIMIT_S
        self._sound_bytes = 0

    def pieces(self) -> Generator[bytes, None, None]:
        """Yield the archive."""
        lines: list[str] = []
        trouble = ""
        found = training_set.entries(self._dashboard.history, self._dashboard.missed, self._wanted)
        try:
            for item in training_set.items(found, training_set.sounds_of(self._dashboard.media)):
                if trouble := self._limit(len(lines)):
                    break
                for name, content in item.files:
                    self._sound_bytes += len(content)
                    self._zip.writestr(_info(name), content)
                lines.append(item.line)
                yield from self._written.take()
        except (DatabaseError, OSError) as error:
            trouble = f"{error}"
        self._text(training_set.REVIEWS, "".join(lines))
        if trouble:
            self._text(_INCOMPLETE, f"Something is missing: {trouble}\n")
        self._zip.close()
        yield from self._written.take()

    def _limit(self, records: int) -> str:
        if records >= MAX_RECORDS:
            wrong = f"there are over {MAX_RECORDS:,} records"
        elif self._sound_bytes > MAX_BYTES:
            wrong = f"the sounds have over {MAX_BYTES // 1_000_000:,} MB"
        elif time.monotonic() > self._end_s:
            wrong = f"it took over {LIMIT_S / 60:g} min"
        else:
            return ""
        return f"{wrong}; narrow it by a filter, or use `edgeaudio dashboard export FOLDER` on the dashboard's machine"

    def _text(self, name: str, text: str) -> None:
        self._zip.writestr(_info(name, zipfile.ZIP_DEFLATED), text)


class _Written(io.RawIOBase):
    """What an archive has written, until it is taken: it cannot go back in what was sent."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override] # of all buffers
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> list[bytes]:
        """Return what was written since the last time, in one piece or none."""
        piece = b"".join(self._pieces)
        self._pieces = []
        return [piece] if piece else []


def _info(name: str, compression: int = zipfile.ZIP_STORED) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, max(time.gmtime()[:6], _OLDEST))
    info.compress_type = compression
    info.external_attr = 0o644 << 16
    return info
