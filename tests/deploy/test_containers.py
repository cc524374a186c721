"""The image and the compose files: what they name exists, and balena and compose take them as they are written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.brokers import BrokerProcess, Subscriber
from support.loading import load
from support.programs import missing, require_program
from support.waiting import wait_until

from edgeaudio.settings import SettingsError

ROOT = Path(__file__).parents[2]
BALENA = ROOT / "deploy" / "balena"
COMPOSE = ROOT / "deploy" / "compose"
DOCKERFILE = BALENA / "Dockerfile"
ENTRY = BALENA / "entry.py"
UUID = "0123456789abcdef0123456789abcdef"
RELEASES = sorted(BALENA.glob("docker-compose*.yml"))
# https://docs.balena.io/reference/supervisor/docker-compose/: the fields of a service that balena takes
TAKEN = """
    build cap_add cap_drop cgroup_parent command cpu_shares cpu_quota cpuset devices depends_on dns dns_opt dns_search
    domainname entrypoint environment expose extra_hosts group_add healthcheck hostname image ipc labels mac_address
    mem_limit mem_reservation network_mode networks oom_kill_disable oom_score_adj pid pids_limit ports privileged
    read_only restart security_opt shm_size stop_grace_period stop_signal sysctls tmpfs ulimits user userns_mode
    volumes working_dir
"""


def read(path: Path) -> dict[str, Any]:
    """The YAML in a file, in which no key stands twice."""
    loaded = yaml.safe_load(path.read_text())
    assert isinstance(loaded, dict)
    return loaded


def complaints(variables: dict[str, str]) -> str:
    """What is wrong with settings that are nothing but these variables."""
    try:
        load(None, (), variables)
    except SettingsError as error:
        return str(error)
    return ""


def entry(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("EDGEAUDIO_", "BALENA_"))}
    return subprocess.run(
        [sys.executable, ENTRY, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT), **variables},
    )


@pytest.mark.parametrize("dockerfile", [DOCKERFILE, ROOT / "deploy" / "kubernetes" / "Dockerfile"], ids=str)
def test_hadolint_finds_no_fault_in_the_dockerfile(dockerfile: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        missing("hadolint, which the extra `test` brings on x86_64")
    done = subprocess.run([hadolint, dockerfile], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_all_that_the_image_copies_is_there_and_given_to_balena() -> None:
    text = DOCKERFILE.read_text()
    copied = [word for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE) for word in line.split()]
    assert len(copied) > 5
    (given,) = re.findall(r"^CONTEXT := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for path in copied:
        assert (ROOT / path).exists(), path
        assert any(path == whole or path.startswith(f"{whole}/") for whole in given.split()), path


def test_there_is_a_locked_list_for_the_image_s_python() -> None:
    text = DOCKERFILE.read_text()
    (python,) = re.findall(r"^FROM docker.io/library/python:(3\.\d+)\.\d+-slim-\w+ AS base$", text, re.MULTILINE)
    assert set(re.findall(r"python(3\.\d+)/|\)-(3\.\d+)\.txt", text)) == {(python, ""), ("", python)}
    for architecture in ("amd64", "arm64"):
        assert (ROOT / "deploy" / "requirements" / f"{architecture}-{python}.txt").exists()


def test_a_device_of_balena_has_a_name_of_its_own() -> None:
    done = entry("check", "--print", BALENA_DEVICE_UUID=UUID)
    assert re.search(rf'^device = "{UUID[:12]}"', done.stdout, re.MULTILINE), done.stdout + done.stderr


def test_a_name_that_was_given_wins_over_balena_s() -> None:
    done = entry("check", "--print", BALENA_DEVICE_UUID=UUID, EDGEAUDIO_DEVICE="jetty")
    assert re.search(r'^device = "jetty"', done.stdout, re.MULTILINE), done.stdout + done.stderr


@pytest.mark.parametrize("name", ["", None])
def test_an_agent_without_a_name_does_not_run(name: str | None) -> None:
    done = entry("run", **({} if name is None else {"EDGEAUDIO_DEVICE": name}))
    line = "edgeaudio: EDGEAUDIO_DEVICE: must be set: a container's own name is another each time\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


@pytest.mark.parametrize("path", RELEASES, ids=lambda path: path.name)
def test_balena_takes_it(path: Path) -> None:
    release = read(path)
    assert release["version"] == "2.4"
    assert set(release) == {"version", "volumes", "services"}
    # the only substitution that a file may ask for, and balena makes none
    assert "$" not in path.read_text()
    used = set()
    for service in release["services"].values():
        assert set(service) <= set(TAKEN.split())
        for volume in service["volumes"]:
            name, target = volume.split(":")
            assert re.fullmatch(r"\w+", name), f"{volume}: not a named volume"
            assert target.startswith("/")
            used.add(name)
        if "build" in service:
            assert service["build"] == {"context": ".", "dockerfile": "deploy/balena/Dockerfile"}
    assert used == set(release["volumes"])


@pytest.mark.parametrize("path", RELEASES, ids=lambda path: path.name)
def test_the_agent_is_the_same_in_every_release(path: Path) -> None:
    plain = read(BALENA / "docker-compose.yml")["services"]["edgeaudio"]
    service = read(path)["services"]["edgeaudio"]
    assert {key: value for key, value in service.items() if key in plain} == plain
    assert set(service) - set(plain) <= {"devices", "group_add", "environment"}


@pytest.mark.parametrize("path", [*RELEASES, COMPOSE / "docker-compose.yml"], ids=lambda path: path.name)
def test_the_agent_may_do_little_and_keeps_its_state(path: Path) -> None:
    service = read(path)["services"]["edgeaudio"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    variables = dict(re.findall(r"^ +([A-Z_]+)=(\S+)", DOCKERFILE.read_text(), re.MULTILINE))
    assert variables["RUNTIME_DIRECTORY"] in service["tmpfs"]
    assert f"data:{variables['EDGEAUDIO_STATE_DIR']}" in service["volumes"]


@pytest.mark.parametrize("path", [BALENA / "docker-compose.microphone.yml", COMPOSE / "microphone.yml"])
def test_a_microphone_is_a_device_and_a_group_and_no_more_rights(path: Path) -> None:
    service = read(path)["services"]["edgeaudio"]
    assert service["devices"] == ["/dev/snd:/dev/snd"]
    (group,) = service["group_add"]
    assert re.fullmatch(r"\d+|\$\{AUDIO_GID:-\d+\}", group)


def test_the_laptop_s_camera_calls_the_agent_with_a_sound_that_is_there() -> None:
    composed = read(COMPOSE / "docker-compose.yml")
    services = composed["services"]
    settings = load(None, (), services["edgeaudio"]["environment"])
    called, sound, _, _ = services["camera"]["command"]
    listening = settings.sources["camera"].url.get_secret_value()
    assert called.replace("//edgeaudio:", "//0.0.0.0:") == listening.replace("rtsp+listen:", "rtsp:")
    assert (ROOT / "edgeaudio" / sound.partition("/site-packages/edgeaudio/")[2]).exists()
    assert settings.device
    for service in services.values():
        assert set(service.get("depends_on", ())) <= set(services)
        for volume in service.get("volumes", ()):
            assert volume.partition(":")[0] in composed["volumes"]
        # what asks for no login is for this machine alone
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_a_release_s_broker_remembers_over_a_restart(tmp_path: Path) -> None:
    program = require_program("mosquitto")
    service = read(BALENA / "docker-compose.broker.yml")["services"]["mosquitto"]
    (data,) = (volume.partition(":")[2] for volume in service["volumes"])
    shell, option, script = service["command"]
    for here, there in (("/tmp/", f"{tmp_path}/"), (data, str(tmp_path)), ("exec mosquitto", f"exec {program}")):
        assert here in script
        script = script.replace(here, there)

    def command(port: int) -> list[str]:
        # it would give up the rights of root, and with them pytest's folder
        return [shell, option, script.replace("'listener 1883'", f"'user root' 'listener {port} 127.0.0.1'")]

    broker = BrokerProcess(command, tmp_path / "log").start()
    try:
        with Subscriber(broker.port, "#") as first:
            first.publish("edgeaudio/x/availability", "online", retain=True)
        broker.stop()
        broker.start()
        with Subscriber(broker.port, "#") as second:
            wait_until(lambda: b"online" in second.of("edgeaudio/x/availability"), 20)
    finally:
        broker.stop()


def test_every_variable_that_the_files_name_is_a_setting() -> None:
    texts = [path.read_text() for path in sorted([*BALENA.iterdir(), *COMPOSE.iterdir()]) if path.is_file()]
    named = {name for text in texts for name in re.findall(r"EDGEAUDIO_[A-Z_]+", text)}
    assert len(named) > 4
    assert [name for name in named if "unknown setting" in complaints({name: "x"})] == []
    assert "unknown setting" in complaints({"EDGEAUDIO_MQTT__ADDRESS": "x"})
