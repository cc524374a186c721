"""What stands before a dashboard: nginx as docs/dashboard.md has it, Home Assistant's ingress, a page with a frame."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from support.ports import free_port
from support.programs import require_program
from support.serving import pump_both, serving
from support.waiting import wait_until

DOCUMENT = Path(__file__).parents[2] / "docs" / "dashboard.md"
INGRESS = "/api/hassio_ingress/AbC_dEf-123"
# what a frame shows is another site's: the outer page learns that something was loaded, and not what
_FRAME = """<!doctype html>
<title>outer</title>
<link rel="icon" href="data:,">
<iframe src="{address}" width="900" height="600"></iframe>
<script>
const frame = document.querySelector("iframe");
frame.addEventListener("load", () => {{ frame.dataset.loaded = "yes"; }});
</script>"""


@contextmanager
def nginx_before(dashboard_port: int, folder: Path) -> Iterator[int]:
    """Run nginx with the documented settings, which have the dashboard under /x/; yields its port."""
    port = free_port()
    (documented,) = re.findall(r"```nginx\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    server = documented.replace("listen 80;", f"listen 127.0.0.1:{port};").replace(
        "127.0.0.1:8420", f"127.0.0.1:{dashboard_port}"
    )
    assert str(port) in server
    assert str(dashboard_port) in server
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    user = "user root;\n" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(
        f"{user}daemon off;\npid {folder}/nginx.pid;\nerror_log {folder}/nginx.log;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{paths}{server}}}\n"
    )
    program = require_program("nginx")
    process = subprocess.Popen([program, "-p", str(folder), "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: process.poll() is not None or _listens(port), 10)
        assert process.poll() is None, (folder / "nginx.log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def ingress_before(dashboard_port: int, user: str) -> Iterator[int]:
    """Do what Home Assistant and its supervisor do for a panel: /panel shows INGRESS in a frame; yields the port."""

    def session(near: socket.socket, ended: threading.Event) -> None:
        with near:
            first, headers, body = _head(near, ended)
            method, path, _ = first.split(" ")
            if path == "/panel":
                _answer(near, _FRAME.format(address=f"{INGRESS}/"))
            elif path.startswith(f"{INGRESS}/"):
                lines = [
                    f"{method} {path.removeprefix(INGRESS)} HTTP/1.1",
                    *(line for line in headers if not line.lower().startswith(("x-remote-user", "connection: keep"))),
                    f"X-Remote-User-Name: {user}",
                    f"X-Ingress-Path: {INGRESS}",
                    "X-Forwarded-For: 192.168.1.77, 127.0.0.1",
                    "X-Forwarded-Proto: http",
                    *([] if any(line.lower().startswith("upgrade:") for line in headers) else ["Connection: close"]),
                ]
                with socket.create_connection(("127.0.0.1", dashboard_port), 10) as far:
                    far.settimeout(None)
                    far.sendall("\r\n".join([*lines, "", ""]).encode() + body)
                    threading.Thread(target=_end, args=(ended, near, far), daemon=True).start()
                    pump_both(near, far)
            else:
                with suppress(OSError):
                    near.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with serving(session) as port:
        yield port


@contextmanager
def page_with_frame(address: str, host: str = "localhost") -> Iterator[str]:
    """Serve a page that shows an address in a frame; yields its origin. `localhost` is another site than 127.0.0.1."""

    def session(near: socket.socket, ended: threading.Event) -> None:
        with near:
            _head(near, ended)
            with suppress(OSError):
                _answer(near, _FRAME.format(address=address))

    with serving(session) as port:
        yield f"http://{host}:{port}"


def _end(ended: threading.Event, *connections: socket.socket) -> None:
    ended.wait()
    for connection in connections:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def _head(near: socket.socket, ended: threading.Event) -> tuple[str, list[str], bytes]:
    """Return the first line, the headers and what came of the body; browsers connect early, and ask much later."""
    near.settimeout(0.1)
    data = b""
    while b"\r\n\r\n" not in data and not ended.is_set():
        with suppress(TimeoutError):
            if not (more := near.recv(65536)):
                break
            data += more
    near.settimeout(None)
    head, _, body = data.partition(b"\r\n\r\n")
    first, *headers = head.decode("latin-1").split("\r\n")
    return first if first.count(" ") == 2 else "GET /none HTTP/1.1", headers, body


def _answer(near: socket.socket, page: str) -> None:
    body = page.encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    near.sendall(head.encode() + body)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
