"""The Home Assistant app: its configuration is what Home Assistant takes, and its options are the agent's settings."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.loading import load
from support.programs import require_program
from support.supervisor import TOKEN, Supervisor
from support.waiting import wait_until

from deploy.homeassistant.edgeaudio import run
from edgeaudio.version import __version__
from tools.maintenance import app_icon

ROOT = Path(__file__).parents[2]
REPOSITORY = ROOT / "deploy" / "homeassistant"
APP = REPOSITORY / "edgeaudio"
CONFIG: dict[str, Any] = yaml.safe_load((APP / "config.yaml").read_text())
TRANSLATIONS = sorted((APP / "translations").glob("*.yaml"))
MOSQUITTO: dict[str, Any] = {
    "host": "core-mosquitto",
    "port": 1883,
    "ssl": False,
    "username": "addons",
    "password": "s3cret",
}
VARIABLE = "EDGEAUDIO_SOURCES__CAMERA_NVR__PASSWORD"
# https://developers.home-assistant.io/docs/apps/configuration: keys of config.yaml, those that this app has
REQUIRED = {"name", "version", "slug", "description", "arch"}
KNOWN = REQUIRED | {
    "init",
    "tmpfs",
    "services",
    "audio",
    "options",
    "schema",
    "url",
    "startup",
    "boot",
    "stage",
    "image",
}
# ... and what a value of `schema` may be
ELEMENT = re.compile(
    r"(str|int|float)(\((-?\d+(\.\d+)?)?,(-?\d+(\.\d+)?)?\))?\??|(bool|email|url|port|password)\??|device(\(.+\))?\??"
    r"|match\(.*\)\??|list\([^|]+(\|[^|]+)*\)\??"
)


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with Supervisor() as server:
        yield server


@pytest.fixture
def waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "waiting"
    monkeypatch.setattr(run, "WAITING", path)
    monkeypatch.setattr(run, "FIRST_DELAY_S", 0.01)
    return path


@contextmanager
def app(folder: Path, options: object, supervisor: Supervisor) -> Iterator[subprocess.Popen[str]]:
    """The app in a process of its own; what stands in for the agent prints its settings."""
    (folder / "options.json").write_text(json.dumps(options))
    agent = folder / "agent.py"
    agent.write_text(
        "import json, os, sys\n"
        "settings = {name: value for name, value in os.environ.items() if name.startswith(('EDGEAUDIO_', 'SUPER'))}\n"
        "print(json.dumps([sys.argv[1:], settings]))\n"
    )
    program = (
        "import sys\nfrom pathlib import Path\nfrom deploy.homeassistant.edgeaudio import run\n"
        f"run.ENTRY, run.WAITING, run.FIRST_DELAY_S = Path({str(agent)!r}), Path({str(folder / 'waiting')!r}), 0.01\n"
        f"sys.exit(run.main(Path({str(folder / 'options.json')!r}), {supervisor.address!r}))\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EDGEAUDIO_")}
    environment |= {"PYTHONPATH": str(ROOT), "SUPERVISOR_TOKEN": TOKEN}
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def settings_of(options: dict[str, Any]) -> dict[str, str]:
    return run.variables({**CONFIG["options"], **options})


def test_the_configuration_is_what_home_assistant_knows() -> None:
    assert REQUIRED <= set(CONFIG) <= KNOWN
    assert CONFIG["arch"] == ["aarch64", "amd64"]
    assert CONFIG["init"] is False
    assert CONFIG["services"] == ["mqtt:want"]
    assert re.fullmatch(r"[-_.A-Za-z0-9]+", CONFIG["slug"])
    assert yaml.safe_load((REPOSITORY / "repository.yaml").read_text())["name"]
    assert not (APP / "build.yaml").exists()


def test_its_version_is_the_agent_s() -> None:
    assert CONFIG["version"] == __version__


def test_every_option_has_a_type_and_every_password_is_one() -> None:
    elements = list(leaves(CONFIG["schema"]))
    assert len(elements) > 5
    for name, element in elements:
        assert ELEMENT.fullmatch(element), name
        assert ("password" in name) == element.startswith("password"), name
    assert set(CONFIG["options"]) <= set(CONFIG["schema"])
    # what has no default and no question mark, the user would have to type
    wanted = {name for name, element in CONFIG["schema"].items() if isinstance(element, str) and element[-1] != "?"}
    assert wanted <= set(CONFIG["options"])


def leaves(schema: Any) -> Iterator[tuple[str, str]]:
    for name, element in schema.items():
        if isinstance(element, str):
            yield name, element
        else:
            (inner,) = element
            yield from leaves(inner)


@pytest.mark.parametrize("path", TRANSLATIONS, ids=lambda path: path.stem)
def test_every_option_has_a_name_in_every_language_and_no_other_has(path: Path) -> None:
    words = yaml.safe_load(path.read_text())["configuration"]
    assert set(words) == set(CONFIG["schema"])
    assert set(words["cameras"]["fields"]) == set(CONFIG["schema"]["cameras"][0])
    for word in [*words.values(), *words["cameras"]["fields"].values()]:
        assert word["name"]
        assert set(word) <= {"name", "description", "fields"}


def test_the_icon_is_a_square_of_the_size_that_is_asked_for() -> None:
    file = (APP / "icon.png").read_bytes()
    assert file.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", file[16:24]) == (128, 128)
    drawn = app_icon.draw()
    assert drawn[64, 64].tolist() != drawn[64, 4].tolist()  # a bar and the ground
    assert drawn[0, 0, 3] == 0  # outside of the round corner


def test_every_option_is_documented() -> None:
    documented = re.findall(r"^\| (`.+?`) \|", (APP / "DOCS.md").read_text(), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(documented))) == set(CONFIG["schema"])


def test_apparmor_can_read_the_profile(tmp_path: Path) -> None:
    profile = APP / "apparmor.txt"
    assert f"\nprofile {CONFIG['slug']} " in profile.read_text()
    parser = require_program("apparmor_parser")
    done = subprocess.run(
        [parser, "--skip-kernel-load", "--skip-cache", profile], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_camera_s_address_is_all_that_need_be_typed() -> None:
    found = settings_of({"cameras": [{"url": "rtsp://192.168.1.20/stream1"}]})
    settings = load(None, (), found)
    assert settings.device == "home"
    assert list(settings.sources) == ["camera-192-168-1-20"]


def test_all_options_are_settings() -> None:
    camera = {"url": "rtsp://porch.lan/stream1", "name": "front-door", "username": "viewer", "password": "p,w ü"}
    options = {
        "device": "house",
        "cameras": [camera],
        "microphone": True,
        "mqtt_url": "mqtt://192.168.1.2",
        "mqtt_username": "me",
        "mqtt_password": "s3cret",
        "log_level": "debug",
    }
    assert set(options) == set(CONFIG["schema"])
    settings = load(None, (), settings_of(options))
    assert (settings.device, settings.log_level, set(settings.sources)) == (
        "house",
        "debug",
        {"front-door", "microphone"},
    )
    front = settings.sources["front-door"]
    assert front.password is not None
    assert (front.username, front.password.get_secret_value()) == ("viewer", "p,w ü")
    assert settings.sources["microphone"].url.get_secret_value() == "alsa:default"
    assert settings.mqtt.url.get_secret_value() == "mqtt://192.168.1.2"


def test_cameras_of_one_host_and_of_strange_addresses_have_names_of_their_own() -> None:
    urls = ["rtsp://nvr/1", "rtsp://nvr/2", "rtsp://[fd00::1]/", "rtsp://[/", "http://" + 90 * "a"]
    found = settings_of({"cameras": [{"url": url} for url in urls]})
    assert {name.split("__")[1] for name in found if "SOURCES" in name} == {
        "CAMERA_NVR",
        "CAMERA_NVR_2",
        "CAMERA_FD00_1",
        "CAMERA",
        f"CAMERA_{90 * 'A'}"[:60],
    }


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"cameras": []}, "cameras: add one; the address is enough, as in rtsp://192.168.1.20/stream1"),
        ({"cameras": [{"name": "porch"}]}, "cameras: camera 1 has no url"),
        ({"cameras": "rtsp://me:secret@host/"}, "cameras: must be a list of cameras, each with a url"),
        ([], "options.json: is not an object; save the app's configuration again"),
        (
            {"cameras": [{"url": "rtsp://nvr/1", "name": "front--door"}]},
            "cameras: camera 1: its name must be of a-z, 0-9 and single hyphens, as in front-door",
        ),
        (
            {"cameras": [{"url": "rtsp://nvr/1", "name": "porch=1"}]},
            "cameras: camera 1: its name must be of a-z, 0-9 and single hyphens, as in front-door",
        ),
        *(
            (
                {"cameras": [{"url": "rtsp://nvr/1", "password": f"s3cret{odd}"}]},
                f"{VARIABLE}: is too long, or has a character that no address, name or password has",
            )
            for odd in ("\0", "\ud800", 200_000 * "x")
        ),
    ],
)
def test_options_that_cannot_be_used_are_told_in_a_line(
    tmp_path: Path, supervisor: Supervisor, options: object, line: str
) -> None:
    with app(tmp_path, options, supervisor) as process:
        _, error = process.communicate(timeout=20)
    assert process.returncode == 2
    assert re.fullmatch(rf"edgeaudio: (\S*/)?{re.escape(line)}\n", error)


def test_options_that_are_not_there_are_told_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(run.OptionsError, match=r"gone: cannot be read: No such file or directory$"):
        run.read_options(tmp_path / "gone")
    for cut in ('{"device": "ho', "", 100_000 * "["):
        (tmp_path / "cut").write_text(cut)
        with pytest.raises(run.OptionsError, match=r"cut: is not JSON; save the app's configuration again$"):
            run.read_options(tmp_path / "cut")


def test_options_that_nobody_knows_are_left_alone() -> None:
    options = {"cameras": [{"url": "rtsp://nvr/1", "colour": "red"}], "gone": {"with": "an upgrade"}}
    assert settings_of(options) == settings_of({"cameras": [{"url": "rtsp://nvr/1"}]})


@pytest.mark.parametrize(
    "password", ["a \"b\" 'c'", " s p ", "ü€😀", "two\nlines", "123", "true", '["a"]', "{x=1}", "%41$HOME#"]
)
def test_the_broker_s_password_is_the_agent_s_to_the_letter(supervisor: Supervisor, password: str) -> None:
    supervisor.broker = {**MOSQUITTO, "password": password}
    found = run.ask_for_broker(supervisor.address, TOKEN)
    settings = load(None, (), {**settings_of({"cameras": [{"url": "rtsp://nvr/1"}]}), **found})
    assert settings.mqtt.password is not None
    assert settings.mqtt.password.get_secret_value() == password


def test_the_broker_is_asked_for_until_it_is_there_and_the_agent_has_its_login(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    with app(tmp_path, {"device": "home", "cameras": [{"url": "rtsp://nvr/1"}]}, supervisor) as process:
        wait_until(lambda: supervisor.asked > 2, 20)
        assert (tmp_path / "waiting").exists()
        supervisor.broker = MOSQUITTO
        output, error = process.communicate(timeout=20)
    assert process.returncode == 0
    arguments, found = json.loads(output)
    assert arguments == ["run"]  # a login in the command line could be read by everybody
    assert found["EDGEAUDIO_MQTT__URL"] == "mqtt://core-mosquitto:1883"
    assert "SUPERVISOR_TOKEN" not in found
    settings = load(None, (), found)
    assert settings.mqtt.password is not None
    assert (settings.mqtt.username, settings.mqtt.password.get_secret_value()) == ("addons", "s3cret")
    assert not (tmp_path / "waiting").exists()
    line = "waiting for a broker: Home Assistant has none; install the app Mosquitto broker, or name another broker"
    assert error == f"edgeaudio: {line} in the options\n"  # once
    assert MOSQUITTO["password"] not in error


def test_a_broker_of_one_s_own_is_taken_and_the_supervisor_not_asked(tmp_path: Path, supervisor: Supervisor) -> None:
    options = {"device": "home", "cameras": [{"url": "rtsp://nvr/1"}], "mqtt_url": "mqtts://broker.lan"}
    with app(tmp_path, options, supervisor) as process:
        output, _ = process.communicate(timeout=20)
    assert json.loads(output)[1]["EDGEAUDIO_MQTT__URL"] == "mqtts://broker.lan"
    assert supervisor.asked == 0


def test_a_stop_while_it_waits_is_obeyed(tmp_path: Path, supervisor: Supervisor) -> None:
    with app(tmp_path, {"device": "home", "cameras": [{"url": "rtsp://nvr/1"}]}, supervisor) as process:
        wait_until(lambda: supervisor.asked, 20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    "raw",
    [
        b"<html>",
        b"[]",
        b"null",
        b'{"data": 1}',
        b'{"data": {"host": "h", "port": "x"}}',
        b'{"data": {"host": "h", "port": 1e999}}',
        b'{"data": {"host": ["h"], "port": 1883}}',
        b'{"data": {"host": "h", "port": 1883, "password": "\\u0000"}}',
        100_000 * b"[",
        b"\xff",
    ],
    ids=lambda raw: repr(raw[:60]),
)
def test_a_supervisor_that_talks_nonsense_is_asked_again(supervisor: Supervisor, waiting: Path, raw: bytes) -> None:
    supervisor.raw, supervisor.broker = raw, {**MOSQUITTO, "ssl": True, "host": "fd00::1", "port": 8883}
    found: list[dict[str, str]] = []
    thread = threading.Thread(target=lambda: found.append(run.wait_for_broker(supervisor.address, TOKEN)))
    thread.start()
    wait_until(lambda: supervisor.asked > 1, 20)
    assert waiting.exists()
    supervisor.raw = None
    thread.join(20)
    assert found[0]["EDGEAUDIO_MQTT__URL"] == "mqtts://[fd00::1]:8883"


def test_what_is_wrong_is_told_once_and_again_when_it_is_something_else(tmp_path: Path, supervisor: Supervisor) -> None:
    supervisor.failing = 500
    with app(tmp_path, {"device": "home", "cameras": [{"url": "rtsp://nvr/1"}]}, supervisor) as process:
        wait_until(lambda: supervisor.asked > 2, 20)
        supervisor.failing, supervisor.raw, asked = None, b'{"data": {"host": "s3cret"}}', supervisor.asked
        wait_until(lambda: supervisor.asked > asked + 2, 20)
        supervisor.raw, asked = None, supervisor.asked
        wait_until(lambda: supervisor.asked > asked + 2, 20)
        supervisor.broker = MOSQUITTO
        _, error = process.communicate(timeout=20)
    assert process.returncode == 0
    assert [line.partition("waiting for a broker: ")[2] for line in error.splitlines()] == [
        "the Supervisor does not answer as it should: HTTP status 500",
        "the Supervisor does not answer as it should: what it says of its broker cannot be understood",
        "Home Assistant has none; install the app Mosquitto broker, or name another broker in the options",
    ]


def test_a_supervisor_that_is_slow_or_not_there_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(run.SupervisorError, match=r"^ConnectionRefusedError$"):
        run.ask_for_broker(("127.0.0.1", 1), TOKEN)
    monkeypatch.setattr(run, "TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(run.SupervisorError, match=r"^TimeoutError$"):
        run.ask_for_broker(silent.getsockname(), TOKEN)


def test_the_image_is_the_agent_s_with_stages_of_its_own(tmp_path: Path) -> None:
    dockerfile = (ROOT / "deploy" / "balena" / "Dockerfile").read_text() + (APP / "Dockerfile").read_text()
    stages = re.findall(r"^FROM (\S+) AS (\w+)$", dockerfile, re.MULTILINE)
    assert stages[-3:] == [("base", "edgeaudio"), ("edgeaudio", "plugins"), ("edgeaudio", "app")]
    hadolint = Path(sys.executable).with_name("hadolint")
    if hadolint.exists():
        (tmp_path / "Dockerfile").write_text(dockerfile)
        done = subprocess.run([hadolint, tmp_path / "Dockerfile"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "")
