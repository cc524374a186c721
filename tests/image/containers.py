"""A container of an image, run by runc as compose would: the root read-only, no capabilities, /data from a folder.

Does not know: what is tried in it.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from image.images import APP, FOLDER, Image

CONTAINER = "edgeaudio-image"
RUNC = ("runc", "--root", str(FOLDER / "runc"))


@contextmanager
def container(
    image: Image, root: Path, config: dict[str, Any], home: Path, variables: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the image's own command in a container, as the compose files do."""
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
    """Return the settings of deploy/balena/docker-compose.yml as a configuration of the OCI."""
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
    """Run the image's health check; returns its exit status."""
    kind, *command = config["Healthcheck"]["Test"]
    shell = ["/bin/sh", "-c"] if kind == "CMD-SHELL" else []
    return runc("exec", CONTAINER, *shell, *command)
