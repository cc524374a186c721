"""Build the images and hear with them: `make test-image`, or `python -m image`.

Owns: a base that stands in for the one that the Dockerfile names, the builds, the containers, what is asked of them.
Does not know: what the Dockerfiles do.

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
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import yaml
from chaos.table import rewrite, table
from fresh.__main__ import machine, processor, settle_in
from support.agents import Listener
from support.brokers import AMQTT, BrokerProcess, free_port
from support.supervisor import TOKEN, Supervisor
from support.waiting import wait_until

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "platforms.md"
FOLDER = Path(os.environ.get("IMAGE_FOLDER", ROOT / "build" / "image"))
SOUND = ROOT / "edgeaudio" / "demo" / "sounds" / "kitchen.opus"
CONTAINER = "edgeaudio-image"
RUNC = ("runc", "--root", str(FOLDER / "runc"))
CAMERA = "porch"
MOST_MB = 350
INSIDE = "--inside"
UUID = "0123456789abcdef0123456789abcdef"
# what the official images do and debootstrap does not: pip on the path, no caches of apt, nothing to read
LIKE_THE_OFFICIAL = """
apt-get -qq purge --autoremove git make >/dev/null
apt-get -qq purge 'perl-modules-*' libperl5* perl >/dev/null
apt-get clean
rm -rf /var/lib/apt/lists/* /usr/share/doc /usr/share/man /usr/share/locale
echo 'Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";' >/etc/apt/apt.conf.d/docker-clean
python3 -m venv /usr/local/python
for name in python python3 pip; do ln -s ../python/bin/$name /usr/local/bin/$name; done
find / -xdev -name __pycache__ -prune -exec rm -r {} +
"""


@dataclass(frozen=True)
class Image:
    """What is built, and how a container of it is named and told of its broker and its camera."""

    name: str
    context: Path
    dockerfile: Path
    device: str
    in_memory: tuple[str, ...]

    @property
    def tag(self) -> str:
        return f"localhost/edgeaudio-{self.name}"


@dataclass(frozen=True)
class Row:
    """What came of one image."""

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
    health: int
    memory_mb: float
    stopped_after_s: float
    exit_status: int

    @property
    def right(self) -> bool:
        small = self.image != BALENA.name or self.with_the_wheels_of_arm64_mb < MOST_MB
        return small and (self.health, self.exit_status, self.root) == (0, 0, "read-only")


BALENA = Image(
    "balena",
    ROOT / "build" / "balena",
    ROOT / "build" / "balena" / "deploy" / "balena" / "Dockerfile",
    UUID[:12],
    ("/run/edgeaudio", "/tmp"),
)
APP = Image(
    "homeassistant",
    ROOT / "build" / "homeassistant" / "edgeaudio",
    ROOT / "build" / "homeassistant" / "edgeaudio" / "Dockerfile",
    "home",
    ("/tmp",),
)


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
    """Build one image and hear with it."""
    print(f"{image.name}: building ...", flush=True)
    how = ["--isolation", "chroot", "--network", "host", "--pull-never", "--format", "docker", "--tag", image.tag]
    log = buildah("build", *how, "--layers", "--file", image.dockerfile, image.context)
    (FOLDER / f"{image.name}.log").write_text(log)
    with mounted(image.tag) as (root, config), tempfile.TemporaryDirectory(dir=FOLDER) as home:
        return hear(image, root, config, Path(home), base_mb)


def base_name(dockerfile: Path) -> str:
    """The image that a Dockerfile begins with."""
    first = next(line for line in dockerfile.read_text().splitlines() if line.startswith("FROM "))
    return first.split()[1]


def buildah(*words: str | Path) -> str:
    """Run buildah on a storage of its own, and return what it prints."""
    command = ["buildah", "--root", FOLDER / "storage", "--runroot", FOLDER / "run", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"image: buildah {words[0]} failed:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout.strip()


def make_base(name: str) -> float:
    """Make the base under the name of the official one. Returns its size in MB."""
    release = name.rpartition("-")[2]
    print(f"making {name} of Debian's {release} ...", flush=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as unpacked:
        Path(unpacked).chmod(0o755)
        subprocess.run(["tar", "-xf", machine(release), "-C", unpacked], check=True)
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"}
        inside = ["chroot", unpacked, "sh", "-ec", LIKE_THE_OFFICIAL]
        subprocess.run(inside, env=environment, stderr=subprocess.DEVNULL, check=True)
        settle_in(Path(unpacked))
        container = buildah("from", "scratch")
        buildah("add", container, unpacked, "/")
        buildah("commit", "--rm", container, name)
        return size_mb(Path(unpacked))


@contextmanager
def mounted(tag: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The image's files, and what it says about itself."""
    container = buildah("from", "--pull-never", tag)
    try:
        config = json.loads(buildah("inspect", "--type", "image", tag))["Docker"]["config"]
        yield Path(buildah("mount", container)), config
    finally:
        buildah("rm", container)


def size_mb(root: Path) -> float:
    """The sizes of all files, in the million bytes that engines count images in."""
    return int(subprocess.check_output(["du", "-xs", "--block-size=1", root]).split()[0]) / 1e6


def arm64_mb(image: Image, packages: Path) -> float:
    """The size of arm64's wheels, installed and stripped as the Dockerfile does it; by this machine's pip."""
    python = packages.parent.name.removeprefix("python")
    (strip,) = re.findall(r"^RUN (rm -rf .*?)\nCOPY", image.dockerfile.read_text(), re.DOTALL | re.MULTILINE)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        target = Path(folder) / packages
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary=:all:", "--require-hashes", "--ignore-requires-python", "--python-version", python]
        for minor in range(41, 16, -1):
            command += ["--platform", f"manylinux_2_{minor}_aarch64"]
        locked = ROOT / "deploy" / "requirements" / f"arm64-{python}.txt"
        subprocess.run([*command, "--target", target, "--requirement", locked], check=True)
        subprocess.run(["sh", "-ec", strip], cwd=target, check=True)
        return size_mb(target)


def hear(image: Image, root: Path, config: dict[str, Any], home: Path, base_mb: float) -> Row:
    """Run it, push a sound to it, ask it how it is, and stop it."""
    broker = BrokerProcess(lambda port: [*AMQTT, str(port)], home / "broker.log").start()
    url = f"rtsp://127.0.0.1:{free_port()}/{CAMERA}"
    try:
        with (
            Listener(broker.port, "edgeaudio/#") as listener,
            told(image, home, broker.port, url.replace("rtsp:", "rtsp+listen:")) as variables,
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
        health=health,
        memory_mb=memory_mb,
        stopped_after_s=stopped_s,
        exit_status=status,
    )


def onset_of(listener: Listener, source: str) -> dict[str, Any]:
    """The first sound that a source was heard to make."""

    def found() -> list[dict[str, Any]]:
        return [event for event in listener.detections("onset") if event["source"] == source]

    wait_until(found, 60, f"{source} was not heard")
    return found()[0]


def heard(onset: dict[str, Any]) -> str:
    return f"{onset['label']}, score {onset['score']:.2f}"


@contextmanager
def told(image: Image, home: Path, broker: int, url: str) -> Iterator[dict[str, str]]:
    """What the container is told: by variables, or by the files and the Supervisor of Home Assistant."""
    data = home / "data"
    data.mkdir(mode=0o700)
    if image is not APP:
        yield {
            "BALENA_DEVICE_UUID": UUID,
            "EDGEAUDIO_MQTT__URL": f"mqtt://127.0.0.1:{broker}",
            f"EDGEAUDIO_SOURCES__{CAMERA.upper()}__URL": url,
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
    """PulseAudio as Home Assistant has it, its microphone what is played to it; and what is told of it to the app."""
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
    """The sound, played to the sound server."""
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
    """A camera of the demo that calls the container; gives the time at which its sound began."""
    command = [sys.executable, "-m", "edgeaudio.demo.camera", url, str(SOUND), "aac", "16000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield float(process.stdout.readline().split()[1])
        finally:
            process.terminate()


@contextmanager
def container(
    image: Image, root: Path, config: dict[str, Any], home: Path, variables: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """The image's own command in a container, as the compose files run it."""
    user = int(config["User"].partition(":")[0])
    os.chown(home / "data", user, user)
    (home / "hosts").write_text("127.0.0.1 localhost supervisor\n")
    environment = [*config["Env"], *(f"{name}={value}" for name, value in variables.items())]
    mounts = [mount(path, "tmpfs", "mode=1777", "nosuid", "nodev") for path in image.in_memory]
    mounts += [bind(home / "data", "/data", "rw"), bind(home / "hosts", "/etc/hosts", "ro")]
    if image is APP:
        mounts += [bind(home / "audio", "/run/audio", "rw"), bind(home / "asound.conf", "/etc/asound.conf", "ro")]
        mounts += [bind(home / "client.conf", "/etc/pulse/client.conf", "ro")]
    bundle = oci(root, user, [*(config["Entrypoint"] or ()), *(config["Cmd"] or ())], environment, mounts)
    (home / "config.json").write_text(json.dumps(bundle))
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [*RUNC, "run", "--bundle", home, CONTAINER], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            subprocess.run([*RUNC, "delete", "--force", CONTAINER], capture_output=True, check=False)
            process.wait(30)


def oci(
    root: Path, user: int, command: Sequence[str], environment: Sequence[str], mounts: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """What runc is told: the settings of deploy/balena/docker-compose.yml in the words of the OCI."""
    return {
        "ociVersion": "1.0.0",
        "process": {
            "user": {"uid": user, "gid": user},
            "args": [*command],
            "env": [*environment],
            "cwd": "/",
            "capabilities": {kind: [] for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")},
            "noNewPrivileges": True,
        },
        "root": {"path": str(root), "readonly": True},
        "mounts": [
            mount("/proc", "proc"),
            mount("/dev", "tmpfs", "mode=755"),
            mount("/dev/shm", "tmpfs", "mode=1777"),
            mount("/sys", "sysfs", "ro"),
            *mounts,
        ],
        # no network of its own: broker and camera are on this machine's loopback
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]},
    }


def bind(source: Path, path: str, access: str) -> dict[str, Any]:
    return {"destination": path, "type": "bind", "source": str(source), "options": ["bind", access]}


def mount(path: str, kind: str, *options: str) -> dict[str, Any]:
    return {"destination": path, "type": kind, "source": kind, "options": [*options]}


def runc(*words: str) -> int:
    """Run runc; returns its exit status."""
    return subprocess.run([*RUNC, *words], stdout=subprocess.DEVNULL, check=False).returncode


def ask(config: dict[str, Any]) -> int:
    """The exit status of the image's health check."""
    kind, *command = config["Healthcheck"]["Test"]
    shell = ["/bin/sh", "-c"] if kind == "CMD-SHELL" else []
    return runc("exec", CONTAINER, *shell, *command)


if __name__ == "__main__":
    sys.exit(main())
