"""The page's own files.

Owns: which files there are, and their types. Does not know: what is in them.
"""

from __future__ import annotations

from functools import partial
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from edgeaudio.dashboard.web.routes import AnyRoute, Role, get

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def static_routes() -> list[AnyRoute]:
    """Return a route for each file of the folder `static`; page.html is at the root."""
    found = sorted(files("edgeaudio.dashboard").joinpath("static").iterdir(), key=lambda file: file.name)
    return [_file_route(file.name, file.read_bytes()) for file in found]


def _file_route(name: str, content: bytes) -> AnyRoute:
    suffix = name[name.rindex(".") :]
    path = "/" if name == "page.html" else f"/{name}"
    return get(path, partial(_answer, content, _TYPES[suffix]), Role.NOBODY)


async def _answer(content: bytes, content_type: str, _: Request) -> Response:
    return Response(content, headers={"Content-Type": content_type, "Cache-Control": "no-cache"})
