"""What every request meets first: the Host that it names, and the headers of every answer.

Owns: the security headers, and which hosts are served. Does not know: routes, roles (routes.py).

Only requests whose Host is loopback are answered, so that a page of another site cannot reach the server by a name that
resolves to this machine (DNS rebinding).
"""

from __future__ import annotations

import re
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from edgeaudio.dashboard.web.routes import POLICY_VIOLATION

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


class Guard:
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
            await WebSocket(scope, receive, send).close(POLICY_VIOLATION)
        else:
            refusal = PlainTextResponse("open the page as localhost: others are not served", 403)
            await refusal(scope, receive, send_with_headers)


def _host_of(host: str) -> str:
    """Return the host of a Host header without its port; empty where it is none."""
    found = _HOST.fullmatch(host)
    return found[1].strip("[]").lower() if found else ""
