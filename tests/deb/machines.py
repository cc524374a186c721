"""Debian machines that boot, by systemd-nspawn.

Owns: roots with systemd, the way from a root to a running machine and its end, and programs run in it. Does not know:
what is tried.

The network is this machine's own, so a broker and a camera on loopback are reached. Nothing is registered with this
machine's systemd, which need not run at all.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fresh.machines import INSIDE, apt_environment, machine, settle_in
from support.processes import children_of

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("DEB_FOLDER", ROOT / "build" / "deb"))
INSTALL = "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends {}"
BOOT = """
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn
exec systemd-nspawn --quiet --boot --register=no --keep-unit --console=pipe --directory="$1" --machine="$2"
"""
BOOT_S, STOP_S = 60.0, 30.0


@dataclass(frozen=True)
class Booted:
    """A machine that runs."""

    root: Path
    leader: int  # the process that is number 1 in it

    def run(self, *command: str, check: bool = True) -> str:
        """Return what the command prints, there. Raises SystemExit with that where it fails."""
        enter = [
            "nsenter",
            "--target",
            str(self.leader),
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--pid",
            "--root",
            "--wd",
        ]
        enter += ["env", "--ignore-environment", "HOME=/root", "DEBIAN_FRONTEND=noninteractive"]
        enter += ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *command]
        done = subprocess.run(
            enter, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if check and done.returncode:
            raise SystemExit(f"deb: {' '.join(command)}: exit status {done.returncode}\n{done.stdout[-4000:]}")
        return done.stdout.strip()


@contextmanager
def unpacked(kept: Path) -> Iterator[Path]:
    """Yield a root of its own from a kept one, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=f"{kept.stem}-", dir=FOLDER) as folder:
        root = Path(folder)
        root.chmod(0o755)
        subprocess.run(["tar", "-xf", str(kept), "-C", str(root)], check=True)
        yield root


def in_root(root: Path, *command: str) -> str:
    """Return what the command prints in a root that is not booted. Raises SystemExit where it fails."""
    inside = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-ec", INSIDE]
    done = subprocess.run(
        [*inside, "sh", str(root), *command], env=settle_in(root), stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"deb: {' '.join(command)}: exit status {done.returncode}\n{done.stdout[-4000:]}")
    return done.stdout


def with_systemd(name: str) -> Path:
    """Return the kept root of that distribution with systemd, a tar file, and make it if it is not there."""
    kept = FOLDER / f"{name}-systemd.tar"
    if kept.exists():
        return kept
    with unpacked(machine(name)) as root:
        in_root(root, "sh", "-c", INSTALL.format("systemd systemd-sysv"))
        shutil.rmtree(root / "var" / "cache" / "apt" / "archives")
        unfinished = kept.with_suffix(".unfinished")
        subprocess.run(["tar", "-cf", str(unfinished), "-C", str(root), "."], check=True)
    unfinished.replace(kept)
    return kept


@contextmanager
def booted(name: str) -> Iterator[Booted]:
    """Yield a machine of that distribution, running; it and its root are gone afterwards."""
    with unpacked(with_systemd(name)) as root:
        settle_in(root)
        command = [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-ec",
            BOOT,
            "sh",
            str(root),
            f"{name}-device",
        ]
        with (FOLDER / f"{name}-boot.log").open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=apt_environment())
        try:
            yield _wait_for_boot(process, name, root)
        finally:
            process.terminate()  # which shuts it down
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for_boot(process: subprocess.Popen[bytes], name: str, root: Path) -> Booted:
    deadline_s = time.monotonic() + BOOT_S
    while time.monotonic() < deadline_s and process.poll() is None:
        if leader := children_of(process.pid):
            there = Booted(root, leader[0])
            if there.run("systemctl", "is-system-running", check=False) in {"running", "degraded"}:
                return there
        time.sleep(0.1)
    raise SystemExit(f"deb: {name} does not boot; see {FOLDER}/{name}-boot.log")
