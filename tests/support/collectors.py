"""A running `edgeaudio collect`, as a service manager runs it."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Self

from support.brokers import ROOT
from support.ports import free_port
from support.waiting import wait_until


class RunningCollector:
    """`edgeaudio collect` in a process of its own, with its page of metrics."""

    def __init__(
        self, folder: Path, broker_port: int, url: str, *options: str, device: str = "hall", config: str = ""
    ) -> None:
        """`config`: a settings file with the broker, which then is not the one at `broker_port`."""
        self.port = free_port()
        self.log_file = folder / f"collect-{device}.log"
        self._command = [sys.executable, "-m", "edgeaudio", "collect", "--set", f"device={device}"]
        self._command += ["--config", config] if config else ["--set", f"mqtt.url=mqtt://127.0.0.1:{broker_port}"]
        self._command += ["--listen", f"127.0.0.1:{self.port}"]
        self._command += options
        self._environment = os.environ | {"EDGEAUDIO_COLLECT_DATABASE": url}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log, env=self._environment, cwd=ROOT)
        return self

    def wait_subscribed(self, *, keeps_state: bool = False) -> Self:
        """Wait until all consumers are subscribed, and with `keeps_state` until it writes what is now."""
        wait_until(lambda: self._is_subscribed(keeps_state=keeps_state), 30, "no subscription is granted")
        return self

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def get(self, path: str) -> tuple[int, str]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def metric(self, name: str) -> float:
        """Value of a series of edgeaudio_collect_..., as its name and labels are written."""
        found = re.search(rf"^edgeaudio_collect_{re.escape(name)} (\S+)$", self.get("/metrics")[1], re.MULTILINE)
        assert found is not None
        return float(found[1])

    def messages(self, result: str) -> int:
        return int(self.metric(f'messages_total{{result="{result}"}}'))

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)

    def kill(self) -> None:
        if self.runs and self.process is not None:
            self.process.kill()
            self.process.wait(10)

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def _is_subscribed(self, *, keeps_state: bool) -> bool:
        assert self.runs, self.log
        with suppress(OSError):
            return self.get("/health")[0] == 200 and (not keeps_state or self.metric("keeps_state") == 1)
        return False
