"""Build the image and hear with it: `make test-image`, or `python -m image`.

Owns: a base that stands in for the one that the Dockerfile names, the build, the container, and what is asked of it.
Does not know: what the Dockerfile does.

The base is a Debian root of the same release and Python, made as tests/fresh makes its machines, with nothing that the
official image lacks and the names that it has; so no registry of images is needed. buildah builds without an engine,
and runc runs the result as compose would: the root read-only, no capabilities, /data from a folder, the rest in memory.
The container shares this machine's loopback, where the broker and a camera are. The exit status is 0 where all was
right; then docs/platforms.md is rewritten.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from faults.table import rewrite, table
from fresh.__main__ import machine, processor, settle_in
from support.agents import Listener
from support.brokers import AMQTT, BrokerProcess, free_port
from support.waiting import wait_until

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "platforms.md"
DOCKERFILE = ROOT / "deploy" / "balena" / "Dockerfile"
FOLDER = Path(os.environ.get("IMAGE_FOLDER", ROOT / "build" / "image"))
IMAGE = "localhost/edgeaudio"
CONTAINER = "edgeaudio-image"
RUNC = ("runc", "--root", str(FOLDER / "runc"))
SOURCE, UUID = "porch", "0123456789abcdef0123456789abcdef"
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
class Row:
    """What came of it."""

    Python: str
    base_mb: float
    added_mb: float
    image_mb: float
    root: str
    user: str
    heard: str
    heard_after_its_beginning_s: float
    health: int
    memory_mb: float
    stopped_after_s: float
    exit_status: int

    @property
    def right(self) -> bool:
        return (self.health, self.exit_status, self.root) == (0, 0, "read-only")


def main() -> int:
    if os.geteuid() != 0:
        sys.exit("image: needs root, to make mounts")
    if wanted := [name for name in ("buildah", "runc", "debootstrap") if shutil.which(name) is None]:
        sys.exit(f"image: {', '.join(wanted)} is not installed: apt-get install {' '.join(wanted)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # which ends what runs, and takes all mounts away
    base_mb = make_base()
    build()
    with mounted() as (root, config), tempfile.TemporaryDirectory(dir=FOLDER) as home:
        row = hear(root, config, Path(home), base_mb)
    lines = table([row])
    print("\n".join(lines))
    if row.right:
        told = f"`make test-image`, {datetime.now(UTC):%Y-%m-%d}, on {processor()}:"
        DOCUMENT.write_text(rewrite(DOCUMENT.read_text(), "image", [told, "", *lines]))
    return 0 if row.right else 1


def base_name() -> str:
    """The image that the Dockerfile begins with."""
    first = next(line for line in DOCKERFILE.read_text().splitlines() if line.startswith("FROM "))
    return first.split()[1]


def buildah(*words: str | Path) -> str:
    """Run buildah on a storage of its own, and return what it prints."""
    command = ["buildah", "--root", FOLDER / "storage", "--runroot", FOLDER / "run", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"image: buildah {words[0]} failed:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout.strip()


def make_base() -> float:
    """Make the base under the name of the official one. Returns its size in MB."""
    name = base_name()
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


def build() -> None:
    """Build the image from the working tree."""
    print("building ...", flush=True)
    what = ["--isolation", "chroot", "--network", "host", "--pull-never", "--format", "docker", "--tag", IMAGE]
    (FOLDER / "build.log").write_text(buildah("build", *what, "--file", DOCKERFILE, ROOT))


@contextmanager
def mounted() -> Iterator[tuple[Path, dict[str, Any]]]:
    """The image's files, and what it says about itself."""
    container = buildah("from", "--pull-never", IMAGE)
    try:
        config = json.loads(buildah("inspect", "--type", "image", IMAGE))["Docker"]["config"]
        yield Path(buildah("mount", container)), config
    finally:
        buildah("rm", container)


def size_mb(root: Path) -> float:
    """The sizes of all files, in the million bytes that engines count images in."""
    return int(subprocess.check_output(["du", "-xs", "--block-size=1", root]).split()[0]) / 1e6


def hear(root: Path, config: dict[str, Any], home: Path, base_mb: float) -> Row:
    """Run it, push a sound to it, ask it how it is, and stop it."""
    broker = BrokerProcess(lambda port: [*AMQTT, str(port)], home / "broker.log").start()
    port = free_port()
    url = f"rtsp://127.0.0.1:{port}/{SOURCE}"
    settings = {
        "BALENA_DEVICE_UUID": UUID,
        "EDGEAUDIO_MQTT__URL": f"mqtt://127.0.0.1:{broker.port}",
        f"EDGEAUDIO_SOURCES__{SOURCE.upper()}__URL": url.replace("rtsp:", "rtsp+listen:"),
    }
    try:
        with Listener(broker.port, "edgeaudio/#") as listener, container(root, config, home, settings) as process:
            topic = f"edgeaudio/{UUID[:12]}/availability"
            wait_until(lambda: b"online" in listener.of(topic), 60, "it never was online")
            with camera(url) as began_s:
                print("a sound is played to it ...", flush=True)
                onset = listener.wait_detection("onset", 60)
                after_s = time.time() - began_s
            root_is = "read-only" if runc("exec", CONTAINER, "touch", "/try") else "can be written to"
            health = ask(config)
            memory_mb = listener.payloads("/health")[-1]["memory_mb"]
            runc("kill", CONTAINER, "TERM")
            stopping_s = time.monotonic()
            status = process.wait(30)
            stopped_s = time.monotonic() - stopping_s
            (installed,) = (root / "opt" / "edgeaudio" / "lib").iterdir()
            return Row(
                installed.name.removeprefix("python"),
                base_mb,
                size_mb(root) - base_mb,
                size_mb(root),
                root_is,
                config["User"],
                f"{onset['label']}, score {onset['score']:.2f}",
                after_s,
                health,
                memory_mb,
                stopped_s,
                status,
            )
    except AssertionError:
        print((home / "log").read_text(), file=sys.stderr)
        raise
    finally:
        broker.stop()


@contextmanager
def camera(url: str) -> Iterator[float]:
    """A camera of the demo that calls the container; gives the time at which its sound began."""
    sound = ROOT / "edgeaudio" / "demo" / "sounds" / "kitchen.opus"
    command = [sys.executable, "-m", "edgeaudio.demo.camera", url, str(sound), "aac", "16000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield float(process.stdout.readline().split()[1])
        finally:
            process.terminate()


@contextmanager
def container(
    root: Path, config: dict[str, Any], home: Path, settings: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """The image's own command in a container, as the compose files run it."""
    user = int(config["User"].partition(":")[0])
    data = home / "data"
    data.mkdir(mode=0o700)
    os.chown(data, user, user)
    environment = [*config["Env"], *(f"{name}={value}" for name, value in settings.items())]
    bundle = oci(root, data, user, [*config["Entrypoint"], *config["Cmd"]], environment)
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


def oci(root: Path, data: Path, user: int, command: Sequence[str], environment: Sequence[str]) -> dict[str, Any]:
    """What runc is told: the settings of deploy/balena/docker-compose.yml in the words of the OCI."""
    in_memory = [mount(path, "tmpfs", "mode=1777", "nosuid", "nodev") for path in ("/run/edgeaudio", "/tmp")]
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
            *in_memory,
            {"destination": "/data", "type": "bind", "source": str(data), "options": ["bind", "rw"]},
        ],
        # no network of its own: broker and camera are on this machine's loopback
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]},
    }


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
