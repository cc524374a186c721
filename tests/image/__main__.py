"""Build the images, and detect a sound with each: `make test-image`, or `python -m image`.

Owns: what is asked of each image, and the table. Does not know: how an image is built (images.py), how a container runs
(containers.py), or what the Dockerfiles do.

The images are built of what `make balena` and `make homeassistant` make of the committed tree. The base is a Debian
root of the same release and Python, made as tests/fresh makes its machines, with nothing that the official image lacks
and the names that it has; so no registry of images is needed. buildah builds without an engine, and runc runs the
result as compose would: the root read-only, no capabilities, /data from a folder, the rest in memory. The containers
share this machine's loopback, where broker, camera and a Supervisor are, and the app the sound server. The exit status
is 0 where all was right; then docs/platforms.md is rewritten.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import yaml
from chaos.table import rewrite, table
from fresh.machines import processor
from support.agents import Listener
from support.brokers import AMQTT, BrokerProcess
from support.ports import free_port
from support.supervisor import TOKEN, Supervisor
from support.waiting import wait_until

from image.containers import CONTAINER, ask, container, runc
from image.images import (
    APP,
    BALENA,
    FOLDER,
    ROOT,
    UUID,
    Image,
    arm64_mb,
    base_name,
    buildah,
    make_base,
    mounted,
    size_mb,
)

DOCUMENT = ROOT / "docs" / "platforms.md"
SOUND = ROOT / "edgeaudio" / "demo" / "sounds" / "kitchen.opus"
CAMERA = "porch"
MOST_MB = 350
INSIDE = "--inside"


@dataclass(frozen=True)
class Row:
    """Results of one image."""

    image: str
    Python: str
    base_mb: float
    added_mb: float
    size_mb: float
    with_the_wheels_of_arm64_mb: float
    root: str
    user: str
    camera: str
    after_its_beginning_s: float
    microphone: str
    picture: str
    health: int
    memory_mb: float
    stopped_after_s: float
    exit_status: int

    @property
    def right(self) -> bool:
        small = self.image != BALENA.name or self.with_the_wheels_of_arm64_mb < MOST_MB
        drawn = self.image != BALENA.name or self.picture.endswith("kB")
        return small and drawn and (self.health, self.exit_status, self.root) == (0, 0, "read-only")


def main() -> int:
    if os.geteuid() != 0:
        sys.exit("image: needs root, to make mounts")
    if wanted := [
        name for name in ("buildah", "runc", "debootstrap", "pulseaudio", "paplay") if shutil.which(name) is None
    ]:
        packages = "buildah runc debootstrap pulseaudio pulseaudio-utils"
        sys.exit(f"image: {', '.join(wanted)} is not installed: apt-get install {packages}")
    if subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, check=True).stdout:
        print("image: what is not committed is not tried", file=sys.stderr)
    if INSIDE not in sys.argv:  # with the end of a namespace of their own all mounts are gone
        space = ["unshare", "--mount", "--propagation", "private"]
        return subprocess.run([*space, sys.executable, "-m", "image", INSIDE], check=False).returncode
    FOLDER.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # which ends what runs, and takes all mounts away
    subprocess.run(["make", "--silent", "balena", "homeassistant"], cwd=ROOT, check=True)
    base_mb = make_base(base_name(BALENA.dockerfile))
    rows = [run(image, base_mb) for image in (BALENA, APP)]
    lines = table(rows)
    print("\n".join(lines))
    right = all(row.right for row in rows)
    if right:
        told = f"`make test-image`, {datetime.now(UTC):%Y-%m-%d}, on {processor()}:"
        DOCUMENT.write_text(rewrite(DOCUMENT.read_text(), "image", [told, "", *lines]))
    return 0 if right else 1


def run(image: Image, base_mb: float) -> Row:
    """Build one image, and test it."""
    print(f"{image.name}: building ...", flush=True)
    how = ["--isolation", "chroot", "--network", "host", "--pull-never", "--format", "docker", "--tag", image.tag]
    log = buildah("build", *how, "--layers", "--file", image.dockerfile, image.context)
    (FOLDER / f"{image.name}.log").write_text(log)
    with mounted(image.tag) as (root, config), tempfile.TemporaryDirectory(dir=FOLDER) as home:
        return hear(image, root, config, Path(home), base_mb)


def hear(image: Image, root: Path, config: dict[str, Any], home: Path, base_mb: float) -> Row:
    """Run a container, push a sound to it, run its health check, and stop it."""
    broker = BrokerProcess(lambda port: [*AMQTT, str(port)], home / "broker.log").start()
    url = f"rtsp://127.0.0.1:{free_port()}/{CAMERA}"
    try:
        with (
            Listener(broker.port, "edgeaudio/#") as listener,
            configured(image, home, broker.port, url.replace("rtsp:", "rtsp+listen:")) as variables,
            container(image, root, config, home, variables) as process,
        ):
            availability = f"edgeaudio/{image.device}/availability"
            wait_until(lambda: b"online" in listener.of(availability), 60, "it never was online")
            with camera(url) as began_s:
                print(f"{image.name}: a sound is played to it ...", flush=True)
                onset = onset_of(listener, CAMERA)
                after_s = time.time() - began_s
            microphone = ""
            if image is APP:
                with playing(home):
                    microphone = heard(onset_of(listener, "microphone"))
            root_is = "read-only" if runc("exec", CONTAINER, "touch", "/try") else "can be written to"
            health = ask(config)
            memory_mb = listener.payloads("/health")[-1]["memory_mb"]
            runc("kill", CONTAINER, "TERM")
            stopping_s = time.monotonic()
            status = process.wait(30)
            stopped_s = time.monotonic() - stopping_s
            # the agent completes its clip at its stop
            picture = next((f"{file.stat().st_size / 1000:.0f} kB" for file in home.glob("data/clips/*.webp")), "")
    except AssertionError:
        print((home / "log").read_text(), file=sys.stderr)
        raise
    finally:
        broker.stop()
    (installed,) = (root / "opt" / "edgeaudio" / "lib").iterdir()
    packages = installed / "site-packages"
    on_arm64_mb = size_mb(packages / "edgeaudio") + arm64_mb(image, packages.relative_to(root))
    return Row(
        image=image.name,
        Python=installed.name.removeprefix("python"),
        base_mb=base_mb,
        added_mb=size_mb(root) - base_mb,
        size_mb=size_mb(root),
        with_the_wheels_of_arm64_mb=size_mb(root) - size_mb(packages) + on_arm64_mb,
        root=root_is,
        user=config["User"],
        camera=heard(onset),
        after_its_beginning_s=after_s,
        microphone=microphone,
        picture=picture,
        health=health,
        memory_mb=memory_mb,
        stopped_after_s=stopped_s,
        exit_status=status,
    )


def onset_of(listener: Listener, source: str) -> dict[str, Any]:
    """Return the first onset of a source."""

    def found() -> list[dict[str, Any]]:
        return [event for event in listener.detections("onset") if event["source"] == source]

    wait_until(found, 60, f"{source} was not heard")
    return found()[0]


def heard(onset: dict[str, Any]) -> str:
    return f"{onset['label']}, score {onset['score']:.2f}"


@contextmanager
def configured(image: Image, home: Path, broker: int, url: str) -> Iterator[dict[str, str]]:
    """Yield the container's environment; the app has its settings from options and the Supervisor of Home Assistant."""
    data = home / "data"
    data.mkdir(mode=0o700)
    if image is not APP:
        yield {
            "BALENA_DEVICE_UUID": UUID,
            "EDGEAUDIO_MQTT__URL": f"mqtt://127.0.0.1:{broker}",
            f"EDGEAUDIO_SOURCES__{CAMERA.upper()}__URL": url,
            "EDGEAUDIO_CLIPS__ENABLED": "true",
            "EDGEAUDIO_CLIPS__PICTURE": "webp",
            "EDGEAUDIO_CLIPS__MIN_FREE_MB": "0",
        }
        return
    options = yaml.safe_load((image.context / "config.yaml").read_text())["options"]
    options |= {"cameras": [{"url": url, "name": CAMERA}], "microphone": True}
    (data / "options.json").write_text(json.dumps(options))
    with sound_server(home), Supervisor(80) as supervisor:
        supervisor.broker = {"host": "127.0.0.1", "port": broker, "ssl": False}
        yield {"SUPERVISOR_TOKEN": TOKEN}


@contextmanager
def sound_server(home: Path) -> Iterator[None]:
    """Run PulseAudio as Home Assistant has it, with what is played as its microphone, and its settings for the app."""
    folder = home / "audio"
    folder.mkdir()
    (home / "asound.conf").write_text("pcm.!default { type pulse }\n")
    (home / "client.conf").write_text("default-server = unix:///run/audio/pulse.sock\n")
    command = ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1"]
    command += [
        "-L",
        "module-null-sink",
        "-L",
        f"module-native-protocol-unix auth-anonymous=1 socket={folder}/pulse.sock",
    ]
    environment = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    with (home / "pulseaudio.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            wait_until((folder / "pulse.sock").exists, 20, "pulseaudio does not start")
            yield
        finally:
            process.terminate()
            process.wait(20)


@contextmanager
def playing(home: Path) -> Iterator[None]:
    """Play the sound to the sound server."""
    with av.open(str(SOUND)) as recording, wave.open(str(home / "sound.wav"), "wb") as file:
        file.setparams((1, 2, 48000, 0, "NONE", ""))
        resampler = av.AudioResampler(format="s16", layout="mono", rate=48000)
        for frame in itertools.chain(recording.decode(audio=0), [None]):
            for part in resampler.resample(frame):
                file.writeframes(part.to_ndarray().tobytes())
    environment = {**os.environ, "HOME": str(home), "PULSE_SERVER": f"unix:{home}/audio/pulse.sock"}
    with subprocess.Popen(["paplay", home / "sound.wav"], env=environment) as process:
        try:
            yield
        finally:
            process.terminate()


@contextmanager
def camera(url: str) -> Iterator[float]:
    """Run a camera of the demo that pushes to the container; yields the time at which its sound began."""
    command = [sys.executable, "-m", "edgeaudio.demo.camera", url, str(SOUND), "aac", "16000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield float(process.stdout.readline().split()[1])
        finally:
            process.terminate()


if __name__ == "__main__":
    sys.exit(main())
