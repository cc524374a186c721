"""The bodies of requests: bounded, in time, and JSON where that is wanted.

Owns: the limits. Does not know: what a body says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from anyio import fail_after
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive

MAX_BODY: Final = 1024 * 1024  # bytes; to undo 500 verdicts with the longest labels takes half of it
_LIMIT_S: Final = 10.0
_TOO_LARGE: Final = f"the body has over {MAX_BODY // 1024} KiB"


class BodyError(ValueError):
    """A body that cannot be used: the status of the answer, and one line that says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def bounded(request: Request) -> Request:
    """Return a request of whose body only so much can be read. Raises BodyError, also later, while it is read."""
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or len(declared) > 15 or int(declared) > MAX_BODY:
        raise BodyError(413, _TOO_LARGE)
    return Request(request.scope, _bounded(request.receive))


async def read_json(request: Request) -> Mapping[str, Any]:
    """Return the JSON object of a body. Raises BodyError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise BodyError(415, "the body must be application/json")
    try:
        with fail_after(_LIMIT_S):
            body = await request.body()
    except TimeoutError:
        raise BodyError(408, f"the body did not come within {_LIMIT_S:g} s") from None
    except ClientDisconnect:
        raise BodyError(400, "the browser is gone") from None
    try:
        table = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise BodyError(400, "the body is no JSON") from None
    if not isinstance(table, dict):
        raise BodyError(400, "the body is no JSON object")
    return table


def _bounded(receive: Receive) -> Receive:
    length = 0

    async def receive_within_bound() -> Message:
        nonlocal length
        message = await receive()
        length += len(message.get("body", b""))
        if length > MAX_BODY:
            raise BodyError(413, _TOO_LARGE)
        return message

    return receive_within_bound


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError
