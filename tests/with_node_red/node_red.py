"""Node-RED in a process of its own, with a folder that is kept over restarts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from support.ports import free_port
from support.programs import require_program
from support.waiting import wait_until

RED = Path(__file__).parents[2] / "build" / "node-red" / "node_modules" / "node-red" / "red.js"
SETTINGS = """
module.exports = {
  uiHost: "127.0.0.1",
  uiPort: PORT,
  flowFile: "flows.json",
  credentialSecret: false,
  externalModules: { autoInstall: false, palette: { allowInstall: false } },
  telemetry: { enabled: false, updateNotification: false },
  contextStorage: CONTEXT,
};
"""
IN_MEMORY = '{ default: { module: "memory" } }'
ON_DISK = '{ default: { module: "localfilesystem" } }'  # as deploy/node-red/README.md has it
Flows = list[dict[str, Any]]


class NodeRed:
    """Use it in a `with` block, which stops it."""

    def __init__(self, folder: Path, flows: Flows, *, context: str = IN_MEMORY) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()
        (folder / "settings.js").write_text(SETTINGS.replace("PORT", str(self._port)).replace("CONTEXT", context))
        (folder / "flows.json").write_text(json.dumps(flows))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text()

    def start(self) -> None:
        command = [require_program("node"), str(RED), "--userDir", str(self._folder)]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self._folder), "TZ": "Europe/Berlin"}
        started = self.log.count("Started flows") if (self._folder / "log").exists() else 0
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=self._folder)
        wait_until(lambda: self.log.count("Started flows") > started, 60, "Node-RED does not start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(15)
            finally:
                self._process.kill()
                self._process.wait(5)
            self._process = None

    def deploy(self, flows: Flows) -> None:
        """Deploy as the editor's button does: everything is stopped and started again."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/flows",
            json.dumps(flows).encode(),
            {"Content-Type": "application/json", "Node-RED-Deployment-Type": "full"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 204
