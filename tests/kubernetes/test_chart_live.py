"""The commands, variables, files and probes of rendered pods, run: two shards hear their sources, and reload them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.agents import Listener
from support.brokers import BrokerProcess, broker
from support.charts import Rendered, rendered
from support.kubelet import Volume, inside, named, with_rights
from support.loading import is_setting
from support.ports import free_port
from support.programs import missing
from support.tflite import model_directory
from support.waiting import wait_until
from support.wave_files import write_wave

from edgeaudio.shards import owner_of

__all__ = ["broker"]

ROOT = Path(__file__).parents[2]
ENTRY = ROOT / "deploy" / "balena" / "entry.py"  # the image's entry point
SHARDS = 2
CAMERAS = [f"camera-{number}" for number in range(4)]


class Pod:
    """One pod of the StatefulSet: its container's process, its volumes."""

    def __init__(self, folder: Path, ordinal: int, whole: Rendered) -> None:
        self.host = f"hall-edgeaudio-{ordinal}"
        self._folder = folder
        self._container = whole.container()
        self.settings = Volume(folder / "etc" / "edgeaudio")
        self.log = folder / "log"
        (folder / "data").mkdir()
        (folder / "run" / "edgeaudio").mkdir(parents=True)
        variables = {name: inside(folder, value) for name, value in whole.variables().items()}
        # the chart's 10 s are long for a test
        variables["EDGEAUDIO_RELOAD_INTERVAL_S"] = "1"
        others = {name: value for name, value in os.environ.items() if not is_setting(name)}
        self._environment = {**others, **variables, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}

    @contextmanager
    def running(self, prefix: Sequence[str] = ()) -> Iterator[subprocess.Popen[bytes]]:
        """Run the container's command, behind a prefix; without one, with the pod's host name and the test's rights."""
        arguments = [inside(self._folder, each) for each in self._container["args"]]
        with self.log.open("wb") as log:
            command = [*(prefix or named(self.host)), sys.executable, str(ENTRY), *arguments]
            process = subprocess.Popen(command, stdout=log, stderr=log, env=self._environment)
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)

    def probe(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run a probe of the container."""
        program, *arguments = self._container[name]["exec"]["command"]
        assert program == "edgeaudio"
        command = [sys.executable, "-m", "edgeaudio", *arguments]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=60, check=False)


def values(broker: BrokerProcess, model: Path, sound: Path, cameras: list[str]) -> dict[str, Any]:
    return {
        "device": "hall",
        "shards": SHARDS,
        "sources": {name: {"url": str(sound), "loop": True} for name in cameras},
        "settings": {
            "mqtt": {"url": f"mqtt://127.0.0.1:{broker.port}"},
            "health": {"interval_s": 1},
            "models": {"test": {"path": str(model)}},
        },
    }


class Centre:
    """The pods of a release, and what the broker hears of them."""

    def __init__(self, folder: Path, whole: Rendered, broker: BrokerProcess, stack: ExitStack) -> None:
        self.listener = stack.enter_context(Listener(broker.port, "edgeaudio/#"))
        self.pods = [Pod(folder / str(ordinal), ordinal, whole) for ordinal in range(SHARDS)]
        self.replace(whole)
        self.processes = [stack.enter_context(pod.running()) for pod in self.pods]

    def replace(self, whole: Rendered) -> None:
        """Have the ConfigMap of a release in all pods."""
        for pod in self.pods:
            pod.settings.replace({"edgeaudio.toml": whole.toml()})

    def hears(self, cameras: list[str]) -> bool:
        """True if each shard listens to those cameras that are its own, and to no other."""
        wanted = [{name for name in cameras if owner_of(name, SHARDS) == index} for index in range(SHARDS)]
        return [self._sources(index) for index in range(SHARDS)] == wanted

    def _sources(self, index: int) -> set[str]:
        reports = self.listener.payloads(f"edgeaudio/hall/_shard/{index}/health")
        sources = reports[-1]["sources"] if reports else {}
        return {name for name, each in sources.items() if each["state"] == "listening"}

    def logs(self) -> str:
        return "\n".join(pod.log.read_text() for pod in self.pods)

    def stop(self, grace_s: float) -> list[int]:
        """End the processes as the kubelet does; returns their exit statuses."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        return [process.wait(grace_s) for process in self.processes]


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    rng = np.random.default_rng(20)
    return write_wave(tmp_path / "noise.wav", 0.1 * rng.standard_normal(48_000), 16_000)


@pytest.fixture(autouse=True)
def _host_names() -> None:
    if subprocess.run([*named("pod-0"), "true"], capture_output=True, check=False).returncode:
        missing("the right to have a host name of its own")


def test_shards_hear_their_cameras_and_take_others_over_without_a_restart(
    broker: BrokerProcess, sound: Path, tmp_path: Path
) -> None:
    model = model_directory(tmp_path, "features_time_major")
    broker.start()
    whole = rendered(values(broker, model, sound, CAMERAS))
    others = [*CAMERAS[1:], "attic", "porch", "yard"]
    changed = rendered(values(broker, model, sound, others))
    with ExitStack() as stack:
        centre = Centre(tmp_path, whole, broker, stack)
        wait_until(lambda: centre.hears(CAMERAS), 60, centre.logs)
        for index, pod in enumerate(centre.pods):
            for name in ("startupProbe", "livenessProbe"):
                done = pod.probe(name)
                assert done.returncode == 0, done.stdout + done.stderr
                assert f"shard {index} of {SHARDS}" in done.stdout

        # helm upgrade changes no pod, and the kubelet replaces the file: one camera less, three more
        assert changed.one("StatefulSet") == whole.one("StatefulSet")
        centre.replace(changed)
        wait_until(lambda: centre.hears(others), 60, centre.logs)
        assert [process.poll() for process in centre.processes] == [None, None]

        # what is no settings file changes nothing
        centre.pods[0].settings.replace({"edgeaudio.toml": "[sources"})
        wait_until(lambda: "not reloaded" in centre.pods[0].log.read_text(), 30, centre.logs)
        wait_until(lambda: centre.hears(others), 30, centre.logs)

        assert centre.stop(whole.one("StatefulSet")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]) == [
            0,
            0,
        ]
        for index in range(SHARDS):
            assert centre.listener.of(f"edgeaudio/hall/_shard/{index}/availability")[-1] == b"offline"


@pytest.mark.parametrize("host", ["hall-edgeaudio-2", "hall-edgeaudio"])
def test_a_pod_that_no_shard_is_for_says_so(host: str, broker: BrokerProcess, tmp_path: Path) -> None:
    whole = rendered(values(broker, tmp_path, tmp_path, []))
    pod = Pod(tmp_path / "pod", 0, whole)
    pod.host = host
    pod.settings.replace({"edgeaudio.toml": whole.toml()})
    with pod.running() as process:
        assert process.wait(60) == 2
    assert host in pod.log.read_text()


@pytest.fixture
def reachable() -> Iterator[Path]:
    """Yield a folder that every user may enter: pytest's are root's alone."""
    with tempfile.TemporaryDirectory(prefix="edgeaudio-pod-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_shard_hears_with_the_few_rights_of_its_pod(broker: BrokerProcess, reachable: Path) -> None:
    """Another user, no capabilities, nothing to write to but its volumes; Secrets are root's, for its group to read."""
    if os.geteuid() != 0:
        pytest.skip("only root becomes another user")
    broker.start()
    said = values(broker, ROOT / "models" / "home", ROOT / "edgeaudio" / "demo" / "sounds" / "kitchen.opus", ["porch"])
    whole = rendered({**said, "shards": 1, "credentials": ["logins"]})
    specification = whole.one("StatefulSet")["spec"]["template"]["spec"]
    group = specification["securityContext"]["fsGroup"]
    pod = Pod(reachable, 0, whole)
    pod.settings.replace({"edgeaudio.toml": whole.toml()})
    logins = Volume(reachable / "run" / "secrets" / "edgeaudio" / "credentials")
    logins.replace({"mqtt.username": "hall", "mqtt.password": "hunter2"})
    (mode,) = (each["projected"]["defaultMode"] for each in specification["volumes"] if each["name"] == "credentials")
    for file in (logins.folder / "..data").iterdir():
        os.chown(file, 0, group)
        file.chmod(mode)
    (reachable / "tmp").mkdir()
    for name in ("data", "run/edgeaudio", "tmp"):  # as the kubelet leaves an emptyDir or a claim with an fsGroup
        os.chown(reachable / name, 0, group)
        (reachable / name).chmod(0o2775)
    prefix = with_rights(specification, pod.host, reachable)
    if subprocess.run(
        [*prefix, sys.executable, "-c", f"open({str(ENTRY)!r})"], capture_output=True, check=False
    ).returncode:
        pytest.skip("another user may not run this Python, or read this checkout")
    with Listener(broker.port, "edgeaudio/#") as listener, pod.running(prefix) as process:
        heard = "edgeaudio/hall/_shard/0/health"
        wait_until(
            lambda: any(each["sources"]["porch"]["state"] == "listening" for each in listener.payloads(heard)),
            60,
            pod.log.read_text,
        )
        status = dict(re.findall(r"^(\w+):\t(\S+)", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE))
        assert (status["Uid"], status["NoNewPrivs"]) == (str(specification["securityContext"]["runAsUser"]), "1")
        assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
        mounts = [line.split() for line in Path(f"/proc/{process.pid}/mountinfo").read_text().splitlines()]
        assert "ro" in next(fields[5] for fields in reversed(mounts) if fields[4] == "/").split(",")
        assert pod.probe("livenessProbe").returncode == 0
        process.terminate()
        assert process.wait(20) == 0


def test_the_page_starts_as_its_pod_says_and_answers_its_probe(tmp_path: Path) -> None:
    port = free_port()
    whole = rendered({"dashboard": {"enabled": True}})
    name, kind = "hall-edgeaudio-dashboard", "Deployment"
    settings = Volume(tmp_path / "etc" / "edgeaudio")
    settings.replace({"edgeaudio.toml": whole.toml("hall-edgeaudio-programs")})
    (tmp_path / "data").mkdir()
    # 8420 may be another's here
    variables = {
        key: inside(tmp_path, value).replace(":8420", f":{port}") for key, value in whole.variables(name, kind).items()
    }
    others = {key: value for key, value in os.environ.items() if not is_setting(key)}
    container = whole.container(name, kind)
    log = tmp_path / "log"
    with log.open("wb") as output:
        command = [sys.executable, str(ENTRY), *(inside(tmp_path, each) for each in container["args"])]
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**others, **variables, "PYTHONPATH": str(ROOT)}
        )
    _, *arguments = (each.replace("8420", str(port)) for each in container["livenessProbe"]["exec"]["command"])
    try:
        wait_until(
            lambda: subprocess.run([sys.executable, *arguments], capture_output=True, check=False).returncode == 0,
            60,
            log.read_text,
        )
        assert (tmp_path / "data" / "dashboard.sqlite").exists()
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait(10)
