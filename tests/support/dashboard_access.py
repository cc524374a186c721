"""The web server of a dashboard in this process, without a broker, and a client that keeps its cookie."""

from __future__ import annotations

import asyncio
import http.client
import ipaddress
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from support.dashboards import Answer
from support.waiting import wait_until

from edgeaudio.dashboard.config import AccessConfig, DashboardConfig, User
from edgeaudio.dashboard.database import DatabaseError
from edgeaudio.dashboard.roles import Role
from edgeaudio.dashboard.service import Dashboard
from edgeaudio.dashboard.web.server import listen, make_server
from edgeaudio.password_hashes import PasswordHash
from edgeaudio.sinks.mqtt.broker import MqttConfig

PASSWORD = "correct horse"
# as cheap as may be; the passwords are PASSWORD
CHEAP = PasswordHash.parse("$scrypt$ln=14,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$0LupyHkzAIgDr9UDsriAAf87vMbCbcaUfDvFOAHk0D0")
USERS = {"anna": User(Role.OWNER, CHEAP), "rita": User(Role.READER, CHEAP)}
LOOPBACK = (ipaddress.ip_network("127.0.0.1"),)


class ServedDashboard:
    """Answers on a port of its own, within `with`."""

    def __init__(self, folder: Path, **access: Any) -> None:
        self._sock = listen("127.0.0.1", 0)
        self.port: int = self._sock.getsockname()[1]
        config = AccessConfig(port=self.port, **access)
        mqtt = MqttConfig("127.0.0.1", 1, "edgeaudio-x")
        self.dashboard = Dashboard(
            DashboardConfig(mqtt, "edgeaudio", folder / "d.sqlite", 1e9, folder / "clips", 10**8, config)
        )
        self._server = make_server(self.dashboard)
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        asyncio.run(self._server.serve([self._sock]))

    def __enter__(self) -> Self:
        with suppress(DatabaseError):  # it is tried again
            self.dashboard.database.open()
        self._thread.start()
        wait_until(lambda: self._server.started, 10)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive()
        self.dashboard.sessions.flush(0)
        self.dashboard.database.close()

    @property
    def connections(self) -> set[Any]:
        """Those that are open, as they are now and later."""
        return self._server.server_state.connections

    def ask(self, path: str, method: str = "GET", body: str = "", headers: Mapping[str, str] | None = None) -> Answer:
        return ask(self.port, path, method, body, headers)


def ask(port: int, path: str, method: str = "GET", body: str = "", headers: Mapping[str, str] | None = None) -> Answer:
    """Ask a server on loopback; POSTs come from its own page unless `headers` say otherwise."""
    sent = {"Host": f"127.0.0.1:{port}"}
    if method == "POST":
        sent |= {"Origin": f"http://127.0.0.1:{port}", "Content-Type": "application/x-www-form-urlencoded"}
    sent |= headers or {}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, body, {name: value for name, value in sent.items() if value})
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())


class Browser:
    """Somebody who looks at a dashboard, with the cookie that he got."""

    def __init__(self, port: int, base: str = "", **headers: str) -> None:
        self.port = port
        self.base = base
        self.headers = headers

    @property
    def cookie(self) -> str:
        return self.headers.get("Cookie", "")

    def get(self, path: str) -> Answer:
        return ask(self.port, self.base + path, headers=self.headers)

    def post(self, path: str, form: Mapping[str, str] | None = None) -> Answer:
        answer = ask(self.port, self.base + path, "POST", urlencode(form or {}), self.headers)
        if cookie := answer.headers.get("set-cookie"):
            self.headers["Cookie"] = cookie.partition(";")[0]
        return answer

    def log_in(self, user: str = "anna", password: str = PASSWORD, back: str = "") -> Answer:
        return self.post("/login", {"user": user, "password": password, "next": back})

    def role(self) -> str:
        role: str = self.get("/api/me").json()["role"]
        return role
