"""Process 1 of the Home Assistant app: options become settings, the broker is the Supervisor's, then the agent runs.

Owns: the setting of each option, and the wait for a broker. Does not know: whether a value is right; the agent checks
that.
"""

from __future__ import annotations

import http.client
import json
import os
import re
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
# in a variable's name a hyphen is an underscore, and two underscores separate a source from its settings
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MAX_VALUE = 10_000  # characters; the kernel starts no program with a variable of 128 KiB


class OptionsError(Exception):
    """Options that cannot be used. The text has the reason, and no value."""


class SupervisorError(Exception):
    """An answer that cannot be used. The text has the reason, and nothing of the answer."""


def read_options(path: Path) -> dict[str, Any]:
    """Return the user's options. Raises OptionsError."""
    try:
        with path.open("rb") as file:
            options = json.loads(file.read(MAX_BYTES))
    except OSError as error:
        raise OptionsError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise OptionsError(f"{path}: is not JSON; save the app's configuration again") from None
    if not isinstance(options, dict):
        raise OptionsError(f"{path}: is not an object; save the app's configuration again")
    return options


def variables(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the options as settings in environment variables. Raises OptionsError."""
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
        if not NAME.fullmatch(name):
            raise OptionsError(
                f"cameras: camera {number}: its name must be of a-z, 0-9 and single hyphens, as in front-door"
            )
        for key in ("url", "username", "password"):
            found[f"SOURCES__{name.replace('-', '_')}__{key.upper()}"] = camera.get(key)
    if options.get("microphone"):
        found[f"SOURCES__{_free('microphone', taken)}__URL"] = "alsa:default"
    if not taken:
        raise OptionsError("cameras: add one; the address is enough, as in rtsp://192.168.1.20/stream1")
    return _environment(found)


def _environment(found: Mapping[str, Any]) -> dict[str, str]:
    """Return settings as environment variables, without empty ones. Raises OptionsError."""
    variables = {f"EDGEAUDIO_{name}".upper(): str(value) for name, value in found.items() if value not in (None, "")}
    for name, value in variables.items():
        # JSON has characters that a variable cannot hold: NUL, and lone surrogates
        if len(value) > MAX_VALUE or re.search("[\0\ud800-\udfff]", value):
            raise OptionsError(f"{name}: is too long, or has a character that no address, name or password has")
    return variables


def _name(url: str) -> str:
    """Return a name for a camera, from its host: it stays the same when others are added or removed."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""  # the agent reports what is wrong with the address
    parts = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in host.lower()).split()
    return "-".join(["camera", *parts])[:60].rstrip("-")


def _free(name: str, taken: set[str]) -> str:
    """Return the name, with a number if another camera has it."""
    free = next(each for each in (name, *(f"{name}-{number}" for number in range(2, 1000))) if each not in taken)
    taken.add(free)
    return free


def ask_for_broker(address: tuple[str, int], token: str) -> dict[str, str]:
    """Return the Supervisor's broker as settings; empty if it has none yet. Raises SupervisorError."""
    connection = http.client.HTTPConnection(*address, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/services/mqtt", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        content = answer.read(MAX_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise SupervisorError(type(error).__name__) from None
    finally:
        connection.close()
    if answer.status == http.HTTPStatus.BAD_REQUEST:
        return {}
    if answer.status != http.HTTPStatus.OK:
        raise SupervisorError(f"HTTP status {answer.status}")
    try:
        return _broker(json.loads(content)["data"])
    except (LookupError, OptionsError, RecursionError, TypeError, ValueError):
        raise SupervisorError("what it says of its broker cannot be understood") from None


def _broker(service: Mapping[str, Any]) -> dict[str, str]:
    """Return the Supervisor's answer as settings. Raises LookupError, TypeError or OptionsError."""
    host, port = service["host"], service["port"]
    if not isinstance(host, str) or not isinstance(port, int):
        raise TypeError
    found = {
        "MQTT__URL": f"{'mqtts' if service.get('ssl') else 'mqtt'}://{f'[{host}]' if ':' in host else host}:{port}"
    }
    return _environment(found | {f"MQTT__{key.upper()}": service.get(key) for key in ("username", "password")})


def wait_for_broker(address: tuple[str, int], token: str) -> dict[str, str]:
    """Return the broker as settings; waits for one, if need be for days. Each new reason is logged once."""
    delay_s, logged = FIRST_DELAY_S, ""
    while True:
        try:
            if broker := ask_for_broker(address, token):
                WAITING.unlink(missing_ok=True)
                return broker
            why = "Home Assistant has none; install the app Mosquitto broker, or name another broker in the options"
        except SupervisorError as error:
            why = f"the Supervisor does not answer as it should: {error}"
        if why != logged:
            WAITING.touch()
            _say(f"waiting for a broker: {why}")
            logged = why
        time.sleep(delay_s)
        delay_s = min(2 * delay_s, LAST_DELAY_S)


def _say(line: str) -> None:
    sys.stderr.write(f"edgeaudio: {line}\n")
    sys.stderr.flush()


def main(path: Path = OPTIONS, supervisor: tuple[str, int] = SUPERVISOR) -> int:
    """Replace this process by the agent; returns 2 if the options cannot be used."""
    # process 1 gets no signal without a handler: a stop would last until it is killed
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    WAITING.unlink(missing_ok=True)
    try:
        settings = variables(read_options(path))
    except OptionsError as error:
        _say(str(error))
        return 2
    if "EDGEAUDIO_MQTT__URL" not in settings:
        settings |= wait_for_broker(supervisor, os.environ.get(TOKENS[0], ""))
    # the agent gets no token of the Supervisor
    environment = {name: value for name, value in os.environ.items() if name not in TOKENS}
    command = [sys.executable, str(ENTRY), "run"]
    return os.execve(sys.executable, command, {**environment, **settings})  # noqa: S606 (no shell)


if __name__ == "__main__":
    sys.exit(main())
