"""Answers as JSON, and texts that many ask for at once.

Does not know: what they hold.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable

from anyio import to_thread
from starlette.responses import Response


def dump(value: object) -> str:
    """Return a value as JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def json_answer(value: object) -> Response:
    """Return a value as the body of an answer."""
    return Response(dump(value), headers={"Content-Type": "application/json"})


async def json_in_thread(make: Callable[[], object]) -> Response:
    """Return an answer whose value is made and written in a thread."""
    return await to_thread.run_sync(lambda: json_answer(make()))


def problem(status: int, text: str) -> Response:
    """Return an error in one line, for a person."""
    return Response(dump({"error": text}), status, headers={"Content-Type": "application/json"})


class SharedText:
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
