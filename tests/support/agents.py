"""Running agents, as a service manager runs them: `edgeaudio run` in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.brokers import Heard, Subscriber
from support.processes import command_line_of, tree_of
from support.tflite import without_runtime_line
from support.waiting import wait_until

from edgeaudio.recognise.manifest import DetectorSection, Threshold

DEVICE = "testbox"
# the test model gives the level of three bands; a tone of 1 kHz is in the second
LABEL = "second"
DETECTOR = DetectorSection(on=0.65, off=0.6)
NEVER = Threshold(1.0, 1.0)
_RUN = "\nimport sys\nfrom edgeaudio.cli import main\nsys.exit(main(sys.argv[1:]))\n"


class RunningAgent:
    """An agent, its settings and its log."""

    def __init__(
        self, folder: Path, broker_port: int, sources: str, *, settings: str = "", device: str = DEVICE
    ) -> None:
        self._folder = folder
        self.config = folder / "edgeaudio.toml"
        self.model_folder = folder / "test"
        self.log_file = folder / "agent.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.runtime_dir = folder / "run"
        self.environment = {**os.environ, "RUNTIME_DIRECTORY": str(self.runtime_dir)}
        self._head = (
            f'device = "{device}"\nstate_dir = "{folder / "state"}"\n{settings}\n'
            f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker_port}"\n[health]\ninterval_s = 1\n'
            f'[models.test]\npath = "{self.model_folder}"\n'
        )
        self.write(sources)

    def write(self, sources: str) -> None:
        """Write the settings file; a running agent reads it on SIGHUP."""
        self.config.write_text(self._head + sources)

    def start(self, prefix: Sequence[str] = (), patch: str = "", output: int | None = None) -> RunningAgent:
        """Start the agent.

        prefix: a command that runs the one behind it. patch: Python that runs before it. output: a descriptor for its
        output, instead of the log file.
        """
        program = ["-c", patch + _RUN] if patch else ["-m", "edgeaudio"]
        command = [*prefix, sys.executable, *program, "run", "--config", str(self.config)]
        with self.log_file.open("ab") as log:
            target = log if output is None else output
            self.process = subprocess.Popen(command, stdout=target, stderr=target, env=self.environment)
        return self

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, timeout_s: float = 30) -> int:
        assert self.process is not None
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    @property
    def command_lines(self) -> str:
        """The command lines of the agent and of all below it, as `ps` shows them to everybody."""
        assert self.process is not None
        return "\n".join(map(command_line_of, tree_of(self.process.pid)))

    @property
    def stacks(self) -> str:
        """The stacks that the interpreter wrote of a crash: in the log, or in the file that the next agent logs."""
        return self.log + "".join(path.read_text() for path in self.runtime_dir.glob("*/stacks"))

    @property
    def log(self) -> str:
        return without_runtime_line(self.log_file.read_text()) if self.log_file.exists() else ""


class Listener(Subscriber):
    """A subscriber that knows the wire contract."""

    def payloads(self, ending: str) -> list[dict[str, Any]]:
        """JSON payloads of the agent's topics with that ending."""
        messages = [message for message in list(self.heard) if message.topic.endswith(ending) and message.payload]
        return [json.loads(message.payload) for message in messages]

    def detections(self, kind: str | None = None) -> list[dict[str, Any]]:
        return [event for event in self.payloads("/detection") if kind in (None, event["kind"])]

    def wait_state(self, source: str, state: str, reason: str | None = None, timeout_s: float = 20) -> dict[str, Any]:
        """Wait for a status of that state; returns the first one."""

        def found() -> list[dict[str, Any]]:
            statuses = self.payloads(f"{source}/status")
            return [s for s in statuses if s["state"] == state and reason in (None, s["reason"])]

        wait_until(
            found, timeout_s, lambda: f"{source} never was {state} {reason}: {self.payloads(f'{source}/status')[-3:]}"
        )
        return found()[0]

    def wait_detection(self, kind: str, timeout_s: float = 20, count: int = 1) -> dict[str, Any]:
        wait_until(
            lambda: len(self.detections(kind)) >= count, timeout_s,
            lambda: f"no {kind}: {self.detections()}; {self.payloads('/status')[-3:]}",
        )  # fmt: skip
        return self.detections(kind)[count - 1]

    def forget(self) -> None:
        self.heard: list[Heard] = []
