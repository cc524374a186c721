"""Process 1 of the Home Assistant app: its options become settings, its broker is the Supervisor's, the agent follows.

Owns: what each option is among the settings, and the waiting for a broker. Does not know: whether a value is right,
which the agent says of each.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

OPTIONS = Path("/data/options.json")
ENTRY = Path(__file__).with_name("entry.py")
WAITING = Path("/tmp/waiting-for-a-broker")  # noqa: S108 (in the app's own container; its health check looks for it)
SUPERVISOR = ("supervisor", 80)
TOKENS = ("SUPERVISOR_TOKEN", "HASSIO_TOKEN")  # the second is its old name, and set as well
MAX_BYTES = 1_000_000
TIMEOUT_S = 10.0
FIRST_DELAY_S, LAST_DELAY_S = 2.0, 30.0


class OptionsError(Exception):
    """Options that cannot be read; the text says what is wrong and holds none of them."""


def read_options(path: Path) -> dict[str, Any]:
    """What the user chose. Raises OptionsError."""
    try:
        with path.open("rb") as file:
            options = json.loads(file.read(MAX_BYTES))
    except OSError as error:
        raise OptionsError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise OptionsError(f"{path}: is not JSON; save the app's configuration again") from None
    if not isinstance(options, dict):
        raise OptionsError(f"{path}: is not an object; save the app's configuration again")
    return options


def variables(options: Mapping[str, Any]) -> dict[str, str]:
    """The settings that the options are, as variables of the environment. Raises OptionsError."""
    found = {
        "DEVICE": options.get("device"),
        "LOG_LEVEL": options.get("log_level"),
        "MQTT__URL": options.get("mqtt_url"),
        "MQTT__USERNAME": options.get("mqtt_username"),
        "MQTT__PASSWORD": options.get("mqtt_password"),
    }
    cameras = options.get("cameras", [])
    if not isinstance(cameras, list) or not all(isinstance(camera, dict) for camera in cameras):
        raise OptionsError("cameras: must be a list of cameras, each with a url")
    taken: set[str] = set()
    for number, camera in enumerate(cameras, 1):
        if not camera.get("url"):
            raise OptionsError(f"cameras: camera {number} has no url")
        name = _free(str(camera.get("name") or _name(str(camera["url"]))), taken)
        for key in ("url", "username", "password"):
            found[f"SOURCES__{name.replace('-', '_')}__{key.upper()}"] = camera.get(key)
    if options.get("microphone"):
        found[f"SOURCES__{_free('microphone', taken)}__URL"] = "alsa:default"
    if not taken:
        raise OptionsError("cameras: add one; the address is enough, as in rtsp://192.168.1.20/stream1")
    return {f"EDGEAUDIO_{name}".upper(): str(value) for name, value in found.items() if value not in (None, "")}


def _name(url: str) -> str:
    """A name for a camera, the same after others came and went: its host's."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""  # the agent will say what is wrong with the address
    parts = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in host.lower()).split()
    return "-".join(["camera", *parts])[:60].rstrip("-")


def _free(name: str, taken: set[str]) -> str:
    """That name, or with a number where another camera has it."""
    free = next(each for each in (name, *(f"{name}-{number}" for number in range(2, 1000))) if each not in taken)
    taken.add(free)
    return free


def ask_for_broker(address: tuple[str, int], token: str) -> dict[str, str]:
    """The Supervisor's broker, as settings; empty where it has none yet. Raises OSError, HTTPException, ValueError."""
    connection = http.client.HTTPConnection(*address, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/services/mqtt", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        content = answer.read(MAX_BYTES)
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        return {}
    service = json.loads(content).get("data")
    if not isinstance(service, dict) or not service.get("host"):
        return {}
    host = str(service["host"])
    scheme = "mqtts" if service.get("ssl") else "mqtt"
    found = {"MQTT__URL": f"{scheme}://{f'[{host}]' if ':' in host else host}:{int(service.get('port') or 1883)}"}
    found |= {f"MQTT__{key.upper()}": str(service[key]) for key in ("username", "password") if service.get(key)}
    return {f"EDGEAUDIO_{name}": value for name, value in found.items()}


def wait_for_broker(address: tuple[str, int], token: str) -> dict[str, str]:
    """Ask until there is one; said once, for it may take days."""
    delay_s = FIRST_DELAY_S
    while True:
        try:
            broker = ask_for_broker(address, token)
            why = "Home Assistant has none; install the app Mosquitto broker, or name another broker in the options"
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            broker, why = {}, f"the Supervisor does not answer as it should ({type(error).__name__})"
        if broker:
            WAITING.unlink(missing_ok=True)
            return broker
        if not WAITING.exists():
            WAITING.touch()
            _say(f"waiting for a broker: {why}")
        time.sleep(delay_s)
        delay_s = min(2 * delay_s, LAST_DELAY_S)


def _say(line: str) -> None:
    sys.stderr.write(f"edgeaudio: {line}\n")
    sys.stderr.flush()


def main(path: Path = OPTIONS, supervisor: tuple[str, int] = SUPERVISOR) -> int:
    """Become the agent; returns 2 where the options cannot be used."""
    # the kernel spares process 1 a signal that it has not asked for, and a stop would take until it is killed
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    WAITING.unlink(missing_ok=True)
    try:
        settings = variables(read_options(path))
    except OptionsError as error:
        _say(str(error))
        return 2
    if "EDGEAUDIO_MQTT__URL" not in settings:
        settings |= wait_for_broker(supervisor, os.environ.get(TOKENS[0], ""))
    # the agent has no business with the Supervisor
    environment = {name: value for name, value in os.environ.items() if name not in TOKENS}
    command = [sys.executable, str(ENTRY), "run"]
    return os.execve(sys.executable, command, {**environment, **settings})  # noqa: S606 (no shell)


if __name__ == "__main__":
    sys.exit(main())
