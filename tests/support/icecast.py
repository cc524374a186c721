"""A server of live sound over HTTP: its buffer is sent at once, the rest in real time."""

import contextlib
import http.server
import threading
import time
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def live_server(
    content: bytes,
    bytes_per_s: float,
    *,
    stored_s: float,
    open_end: bool = False,
) -> Iterator[str]:
    """Serve `content` from its beginning to everybody who comes, `stored_s` of it at once; yields the URL.

    `open_end`: the connection stays when there is nothing more to send.

    The whole is live from the server's start on: who comes later gets the last `stored_s` before his coming.
    """
    ended = threading.Event()
    began_s = time.monotonic()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "audio/mpeg")
            self.send_header("icy-name", "test")
            self.end_headers()
            sent = max(0, int((time.monotonic() - began_s) * bytes_per_s))
            with contextlib.suppress(OSError):
                while not ended.is_set() and (open_end or sent < len(content)):
                    due = int((time.monotonic() - began_s + stored_s) * bytes_per_s)
                    self.wfile.write(content[sent:due])
                    sent = max(sent, due)
                    ended.wait(0.1)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/live"
    finally:
        ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
