"""A Supervisor of Home Assistant with one resource, the broker, at the path of the real one."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

TOKEN = "a-token-of-the-supervisor"


class Supervisor(ThreadingHTTPServer):
    """Answers what Home Assistant's would: 400 while there is no broker, 401 without the token."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Answer)
        self.broker: dict[str, Any] | None = None
        self.raw: bytes | None = None  # answered instead
        self.failing: int | None = None  # ... with this status
        self.asked = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *how: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.server_port)


class Answer(BaseHTTPRequestHandler):
    server: Supervisor

    def do_GET(self) -> None:
        allowed = self.headers["Authorization"] == f"Bearer {TOKEN}" and self.path == "/services/mqtt"
        broker = self.server.broker
        status = 401 if not allowed else 400 if broker is None else 200
        body = {"result": "ok", "data": broker} if status == 200 else {"result": "error", "message": "not enabled"}
        content = self.server.raw or json.dumps(body).encode()
        self.send_response(self.server.failing or (200 if self.server.raw else status))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.server.asked += 1

    def log_message(self, *_: object) -> None:
        pass
