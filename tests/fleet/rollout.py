"""Rollouts to a device, and what its agent does after them.

Owns: the inventory, Ansible's processes, and the checks of a device. Does not know: the scenarios (scenarios.py).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from support.brokers import BrokerProcess, Subscriber
from support.waiting import wait_until

from fleet.machines import FOLDER, HERE, KEY, ROOT, SSH_OPTIONS, Device
from fleet.versions import INDEX

PLAYBOOKS = ROOT / "deploy" / "ansible"
CAMERA_PORT = 8554
CONFIRM_S = 30
HEARD_S = 90.0
PLAY_S = 600.0
SETTINGS = """\
health.interval_s = 1

[mqtt]
url = "mqtt://{here}:{port}"
username = "edgeaudio"

[sources.porch]
url = "rtsp://{here}:{camera}/camera"
"""


@dataclass(frozen=True)
class Play:
    """Result of a playbook."""

    status: int
    output: str

    @property
    def changed(self) -> int:
        return sum(int(count) for count in re.findall(r"changed=(\d+)", self.output))


class WrongError(Exception):
    """A result that differs from what the scenario demands."""


class Fleet:
    """A device with its broker, camera and controller."""

    def __init__(self, there: Device, wheels: Path, broker: BrokerProcess, subscriber: Subscriber) -> None:
        self.there, self.wheels, self.broker, self.subscriber = there, wheels, broker, subscriber
        self.models: list[dict[str, str]] = []
        self.source = {"edgeaudio_source": "wheels", "edgeaudio_wheels": str(wheels)}
        self._folder = FOLDER / f"controller-{there.name}"
        self._folder.mkdir(exist_ok=True)
        self._printed = self._folder / "printed"
        self._began_at = datetime.now(UTC)

    def start(
        self, version: str, *words: str, hosts: dict[str, dict[str, str]] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start the rollout of a version, in a process group of its own."""
        settings = SETTINGS.format(here=HERE, port=self.broker.port, camera=CAMERA_PORT)
        settings += "".join(f'\n[models.{model["name"]}]\npath = "models/{model["name"]}"\n' for model in self.models)
        own = {"ansible_host": self.there.address, "edgeaudio_device": self.there.name}
        inventory = {
            "edgeaudio": {
                "hosts": hosts or {self.there.name: own},
                "vars": {
                    "ansible_user": "root",
                    "ansible_ssh_private_key_file": str(KEY),
                    "edgeaudio_version": version,
                    **self.source,
                    "edgeaudio_settings": settings,
                    "edgeaudio_credentials": {"mqtt.password": "made up"},
                    "edgeaudio_models": self.models,
                    "edgeaudio_journal_in_memory": True,
                    "edgeaudio_confirm_s": CONFIRM_S,
                },
            }
        }
        self._began_at = datetime.now(UTC)
        self.subscriber.heard.clear()
        path = self._folder / "inventory.json"
        path.write_text(json.dumps(inventory))
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(PLAYBOOKS / "ansible.cfg"),
            "ANSIBLE_HOME": str(self._folder / "home"),
            "ANSIBLE_SSH_COMMON_ARGS": SSH_OPTIONS,
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self._folder / "cp"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
            # a version is built with what the index here has
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": INDEX,
            "PIP_TRUSTED_HOST": HERE,
        }
        program = Path(sys.executable).with_name("ansible-playbook")
        # a file, for a pipe would end only with the connections that Ansible leaves open
        with self._printed.open("wb") as printed:
            return subprocess.Popen(
                [str(program), "--inventory", str(path), str(PLAYBOOKS / "site.yml"), *words],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def finish(self, process: subprocess.Popen[bytes]) -> Play:
        """Wait for a rollout to end."""
        process.wait(PLAY_S)
        return Play(process.returncode, self._printed.read_text())

    def roll_out(self, version: str, *words: str, hosts: dict[str, dict[str, str]] | None = None) -> Play:
        return self.finish(self.start(version, *words, hosts=hosts))

    def well(self, version: str, *words: str) -> Play:
        """Roll out a version. Raises WrongError, with the end of the output, if that fails."""
        play = self.roll_out(version, *words)
        if play.status:
            raise WrongError(f"the play failed: {play.output[-3000:]}")
        return play

    def hears(self, version: str) -> None:
        """Wait until an agent of that version, started since the last rollout began, publishes a detection.

        Raises WrongError with the journal.
        """
        base = f"edgeaudio/{self.there.name}"

        def heard() -> bool:
            health = [json.loads(payload) for payload in self.subscriber.of(f"{base}/health")]
            started = any(
                report["version"] == version and datetime.fromisoformat(report["started_at"]) >= self._began_at
                for report in health
            )
            return started and bool(self.subscriber.of(f"{base}/porch/detection"))

        try:
            wait_until(heard, HEARD_S)
        except AssertionError:
            raise WrongError(f"{version} is not heard; {self.journal()}") from None

    def restart(self) -> None:
        """Restart the agent."""
        self._began_at = datetime.now(UTC)
        self.subscriber.heard.clear()
        self.there.ssh("systemctl restart edgeaudio")

    def journal(self) -> str:
        """Return the end of the agent's log."""
        return self.there.ssh(
            "journalctl --unit 'edgeaudio*' --no-pager --lines 40; edgeaudio-switch status", check=False
        )[1]

    def fails(self, play: Play, words: str) -> None:
        """Raise WrongError if a play did not fail, or its output lacks those words."""
        if play.status == 0:
            raise WrongError(f"the play did not fail: {play.output[-2000:]}")
        if words not in re.sub(r"\s+", " ", play.output):
            raise WrongError(f"the play does not say {words!r}: {play.output[-3000:]}")

    def returns(self, to: str) -> None:
        """Wait until no switch is pending and that version detects. Raises WrongError."""
        wait_until(lambda: not self.there.pending, CONFIRM_S + 120.0, f"{self.there.name} does not roll back")
        self.hears(to)
        if not self.there.current.startswith(f"releases/{to}-"):
            raise WrongError(f"current is {self.there.current}")
