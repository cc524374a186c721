"""A running dashboard, as a service manager runs it, and a client of its page."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from support.ports import free_port
from support.waiting import wait_until

if TYPE_CHECKING:
    from edgeaudio.dashboard.history import History
    from edgeaudio.dashboard.service import Dashboard


def own_history(dashboard: Dashboard) -> History:
    """Return the history that the dashboard writes itself; a fleet's is another program's."""
    from edgeaudio.dashboard.history import History  # noqa: PLC0415 (tests without the extra `dashboard` import this file)

    assert isinstance(dashboard.history, History)
    return dashboard.history


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]  # names in small letters
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class RunningDashboard:
    """`edgeaudio dashboard` in a process of its own."""

    def __init__(
        self, folder: Path, broker_port: int, *, base: str = "edgeaudio", settings: str = "", port: int = 0
    ) -> None:
        self.port = port or free_port()
        self.database = folder / "dashboard.sqlite"
        self.config = folder / "dashboard.toml"
        self.log_file = folder / "dashboard.log"
        self.config.write_text(
            f'device = "desk"\nstate_dir = "{folder}"\n[mqtt]\nurl = "mqtt://127.0.0.1:{broker_port}"\n'
            f'base_topic = "{base}"\n[dashboard]\nlisten = "127.0.0.1:{self.port}"\n{settings}'
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        with self.log_file.open("ab") as log:
            command = [sys.executable, "-m", "edgeaudio", "dashboard", "--config", str(self.config)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ})
        wait_until(self._answers, 20, "the dashboard does not answer")
        return self

    def wait_subscribed(self) -> Self:
        wait_until(lambda: all(self.get("/api/fleet").json()["broker"].values()), 20, "no subscription is granted")
        return self

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def post(self, path: str, value: object, **headers: str) -> Answer:
        """Send JSON, as a page of this server does; other headers replace its own."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        own = {"Content-Type": "application/json", "Origin": f"http://127.0.0.1:{self.port}"}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("POST", path, body, own | {key.replace("_", "-"): text for key, text in headers.items()})
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def metric(self, name: str) -> float | None:
        """Value of a series, by its name with labels as it is written."""
        for line in self.get("/metrics").body.decode().splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
        return None

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        try:
            return self.get("/").status == 200
        except OSError:
            return False


class WebSocketClient:
    """As little of RFC 6455 as the tests need."""

    def __init__(self, port: int, path: str = "/api/live", **headers: str) -> None:
        wanted = {"Host": f"127.0.0.1:{port}", "Origin": f"http://127.0.0.1:{port}"} | headers
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", *(f"{k}: {v}" for k, v in wanted.items() if v), "Upgrade: websocket"]
        lines += ["Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
        self._socket = socket.create_connection(("127.0.0.1", port), 10)
        self._socket.sendall("\r\n".join(lines).encode())
        self._file = self._socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        while self._file.readline() not in {b"\r\n", b""}:
            pass

    def read(self) -> Any:
        """Return the next message: of text its value, else its bytes."""
        head, length = self._file.read(2)
        if length == 126:
            (length,) = struct.unpack("!H", self._file.read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._file.read(8))
        assert head in {0x81, 0x82}, "this is no whole message"
        body = self._file.read(length)
        return json.loads(body) if head == 0x81 else body

    def read_until(self, wanted: Callable[[Any], bool]) -> Any:
        """Return the first message that is wanted, within 30 s."""
        deadline_s = time.monotonic() + 30
        while time.monotonic() < deadline_s:
            if wanted(message := self.read()):
                return message
        raise AssertionError("the message does not come")

    def read_close(self) -> int:
        """Return the code with which the server closes, after the messages before it; within 10 s."""
        while True:
            head, length = self._file.read(2)
            if length == 126:
                (length,) = struct.unpack("!H", self._file.read(2))
            body = self._file.read(length)
            if head == 0x88:
                (code,) = struct.unpack("!H", body[:2])
                return int(code)

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
