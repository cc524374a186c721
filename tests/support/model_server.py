"""A web server on loopback that hands out files as a test wants it: cut off, slowly, elsewhere, or not at all."""

from __future__ import annotations

import contextlib
import http.server
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Answer = Callable[["Handler"], None]


@dataclass
class ModelServer:
    """What it answers, by path (of a proxy, by the whole address), and what it was asked."""

    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)  # headers of each request, in order
    ended: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    """One request."""

    of: ModelServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
        pass

    def do_GET(self) -> None:
        self.of.asked.append(dict(self.headers.items()))
        with contextlib.suppress(ConnectionError):
            self.of.answers.get(self.path, status(404))(self)

    def head(self, code: int, **headers: object) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()


def whole(content: bytes, tag: str = '"1"') -> Answer:
    """Send a file, or the rest of it to who has its beginning (RFC 9110: Range, If-Range)."""

    def answer(request: Handler) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        if asked and request.headers.get("If-Range") == tag:
            rest = content[int(asked[1]) :]
            place = f"bytes {asked[1]}-{len(content) - 1}/{len(content)}"
            request.head(206, Content_Length=len(rest), Content_Range=place, ETag=tag)
            request.wfile.write(rest)
        else:
            request.head(200, Content_Length=len(content), ETag=tag)
            request.wfile.write(content)

    return answer


def cut(content: bytes, after: int, tag: str = '"1"', then: Callable[[Handler], None] = lambda _: None) -> Answer:
    """Announce a whole file, send its beginning, do `then`, and hang up."""

    def answer(request: Handler) -> None:
        request.head(200, Content_Length=len(content), **({"ETag": tag} if tag else {}))
        request.wfile.write(content[:after])
        request.wfile.flush()
        then(request)

    return answer


def stalled(request: Handler) -> None:
    """Send nothing more until the test ends."""
    request.of.ended.wait(30)


def status(code: int, **headers: object) -> Answer:
    return lambda request: request.head(code, Content_Length=0, **headers)


def unannounced(content: bytes) -> Answer:
    """Send a file whose length nobody says."""

    def answer(request: Handler) -> None:
        request.head(200, ETag='"1"')
        request.wfile.write(content)

    return answer


@contextlib.contextmanager
def model_server() -> Iterator[ModelServer]:
    """Run the server on a free port of loopback."""
    state = ModelServer()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"of": state}))
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield state
    finally:
        state.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
