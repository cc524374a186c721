"""Devices of a fleet: Debian and Ubuntu machines that boot, each with an address of its own, reached by ssh.

Owns: the network that they share with this process, their roots, their boot, their end, with and without a shutdown.
Does not know: what is tried on them.

The process that uses this must be alone in a network and a mount namespace (`alone`): the bridge, the addresses and
the mounts end with it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deb import machines as deb
from fresh.machines import SCRIPTS, bootstrap, machine
from support.processes import children_of
from support.waiting import wait_until

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("FLEET_FOLDER", ROOT / "build" / "fleet"))
HERE = "10.77.0.1"  # this machine, as devices see it
BRIDGE = "fleet"
ALONE = "FLEET_IS_ALONE"
KEY = FOLDER / "key"
SSH_OPTIONS = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=5"
BOOT_S, STOP_S = 60.0, 30.0
# what devices have; Ubuntu 22.04 has a newer Python beside its own
PACKAGES = "systemd systemd-sysv dbus openssh-server"
UBUNTU = {"jammy": "python3.11 python3.11-venv", "noble": ""}
KEYRING = Path("/usr/share/keyrings/ubuntu-archive-keyring.gpg")
NETWORK = """\
[Match]
Name=host0
[Network]
Address={address}/24
"""
# this machine's control groups; those of version 1 are not at hand in a device, so its own systemd bounds nothing there
GROUPS = Path("/sys/fs/cgroup")
LIMITABLE = (GROUPS / "memory" / "memory.limit_in_bytes").exists()
# what DevicePolicy=closed leaves: null, zero, full, random, urandom, tty, ptmx and what is made by that
CLOSED = ("1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "5:2", "136:*")
# a control group of its own: several machines would share the one that this process is in, and its name
BOOT = """
for hierarchy in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
  if mkdir -p "$hierarchy/fleet-$2" 2>/dev/null && echo $$ >"$hierarchy/fleet-$2/cgroup.procs"; then break; fi
done
exec systemd-nspawn --quiet --boot --register=no --keep-unit --console=pipe --resolv-conf=off \
  --network-bridge="$3" --directory="$1" --machine="$2"
"""


def alone() -> None:
    """Begin again in namespaces of its own, unless that was done; make the network and a place for nspawn's sockets."""
    if ALONE not in os.environ:
        command = ["unshare", "--mount", "--net", "--propagation", "private", sys.executable, *sys.orig_argv[1:]]
        os.execvpe(command[0], command, {**os.environ, ALONE: "1"})  # noqa: S606 (no shell is wanted)
    Path("/run/systemd/nspawn").mkdir(parents=True, exist_ok=True)
    for words in (
        "mount -t tmpfs tmpfs /run/systemd/nspawn",
        "ip link set lo up",
        f"ip link add {BRIDGE} type bridge",
        f"ip address add {HERE}/24 dev {BRIDGE}",
        f"ip link set {BRIDGE} up",
        "nft add table inet fleet",
        "nft add chain inet fleet out { type filter hook output priority 0 ; }",
    ):
        _run(words)


def _run(words: str) -> None:
    subprocess.run(words.split(), check=True)


@contextmanager
def ssh_cut() -> Iterator[None]:
    """Drop what this machine sends to any ssh server; everything else goes on."""
    _run("nft add rule inet fleet out tcp dport 22 drop")
    try:
        yield
    finally:
        _run("nft flush chain inet fleet out")


def kept_root(name: str) -> Path:
    """Return the root of that distribution with systemd and sshd, a tar file, and make it if it is not there."""
    kept = FOLDER / f"{name}-fleet.tar"
    if not kept.exists():
        with deb.unpacked(_bare_root(name)) as root:
            if name in UBUNTU:
                sources = root / "etc" / "apt" / "sources.list"
                updates = sources.read_text().replace(f" {name} ", f" {name}-updates ")
                sources.with_name("sources.list.d").joinpath("updates.list").write_text(updates)
            deb.in_root(root, "sh", "-c", deb.INSTALL.format(f"{PACKAGES} {UBUNTU.get(name, '')}"))
            shutil.rmtree(root / "var" / "cache" / "apt" / "archives")
            unfinished = kept.with_suffix(".unfinished")
            subprocess.run(["tar", "-cf", str(unfinished), "-C", str(root), "."], check=True)
        unfinished.replace(kept)
    return kept


def _bare_root(name: str) -> Path:
    """Return the kept root of that distribution, and make it if it is not there."""
    if name not in UBUNTU:
        return machine(name)
    kept = FOLDER / f"{name}.tar"
    if not kept.exists():
        if not KEYRING.exists():  # debootstrap would go on without
            raise SystemExit(f"fleet: {name} needs {KEYRING}: install the package ubuntu-keyring, which Ubuntu has")
        # its own mirror, by an older release's script: an older debootstrap has no other, and all are made alike
        bootstrap(kept, name, "", str(SCRIPTS / "jammy"), options=["--components=main,universe"])
    return kept


def make_key() -> None:
    """Make the key that opens the devices."""
    for path in (KEY, KEY.with_suffix(".pub")):
        path.unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(KEY)], check=True)


class Device:
    """A machine: a root on disk, that runs or does not."""

    def __init__(self, name: str, root: Path, address: str) -> None:
        self.name, self.root, self.address = name, root, address
        self._process: subprocess.Popen[bytes] | None = None
        (root / "etc" / "hostname").write_text(f"{name}\n")
        (root / "etc" / "machine-id").write_text("")
        (root / "etc" / "systemd" / "network").mkdir(exist_ok=True)
        (root / "etc" / "systemd" / "network" / "10-host0.network").write_text(NETWORK.format(address=address))
        keys = root / "root" / ".ssh"
        keys.mkdir(mode=0o700, exist_ok=True)
        (keys / "authorized_keys").write_text(KEY.with_suffix(".pub").read_text())
        wants = root / "etc" / "systemd" / "system" / "multi-user.target.wants"
        wants.mkdir(parents=True, exist_ok=True)
        if not (wants / "systemd-networkd.service").is_symlink():
            (wants / "systemd-networkd.service").symlink_to("/usr/lib/systemd/system/systemd-networkd.service")

    def boot(self) -> None:
        """Start it, and wait until it can be logged in to. Raises AssertionError where it does not come up."""
        with self._log.open("ab") as log:
            command = ["sh", "-ec", BOOT, "sh", str(self.root), self.name, BRIDGE]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(lambda: self.ssh("true", check=False)[0] == 0, BOOT_S, f"{self.name} does not boot, see {self._log}")

    def power_off(self) -> None:
        """Take its power: no process of it runs any longer, and none was asked to end."""
        if self._process is not None:
            # with which the kernel ends all others; nspawn's end alone would not
            for leader in self._leaders():
                os.kill(leader, signal.SIGKILL)
            self._end(signal.SIGCONT)  # it ends by itself

    def shut_down(self) -> None:
        self._end(signal.SIGTERM)

    def ssh(self, command: str, *, check: bool = True) -> tuple[int, str]:
        """Run the command there; returns exit status and output. Raises SystemExit where it fails and is checked."""
        words = ["ssh", *SSH_OPTIONS.split(), "-i", str(KEY), f"root@{self.address}", command]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise SystemExit(
                f"fleet: {self.name}: {command}: exit status {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done.returncode, done.stdout

    @contextmanager
    def limited(self, memory_bytes: int) -> Iterator[Path]:
        """Hold what is started there meanwhile to so much memory, and to no devices; yields memory's control group.

        In place of the device's own systemd, where that has no control groups (LIMITABLE).
        """
        homes = {}
        for kind, limits in {
            "memory": [("memory.limit_in_bytes", str(memory_bytes))],
            "devices": [("devices.deny", "a"), *(("devices.allow", f"c {numbers} rwm") for numbers in CLOSED)],
        }.items():
            group = GROUPS / kind / f"fleet-{self.name}"
            group.mkdir()
            for file, text in limits:
                (group / file).write_text(text)
            for leader in self._leaders():
                within = Path(f"/proc/{leader}/cgroup").read_text()
                homes[group] = GROUPS / kind / within.partition(f":{kind}:/")[2].partition("\n")[0]
                (group / "cgroup.procs").write_text(str(leader))
        try:
            yield GROUPS / "memory" / f"fleet-{self.name}"
        finally:
            for group, home in homes.items():
                for process in (group / "cgroup.procs").read_text().split():
                    with contextlib.suppress(OSError):  # it has ended
                        (home / "cgroup.procs").write_text(process)
                wait_until(functools.partial(_removed, group), STOP_S, f"{group} is not empty")

    @property
    def pending(self) -> bool:
        """Whether a switch of it is neither confirmed nor rolled back."""
        return (self.root / "etc" / "edgeaudio" / "pending.json").exists()

    @property
    def current(self) -> str:
        """The release that it runs; empty if none."""
        link = self.root / "etc" / "edgeaudio" / "current"
        return str(link.readlink()) if link.is_symlink() else ""

    def _leaders(self) -> list[int]:
        """Process number 1 of the machine, as it is called here."""
        if self._process is None:
            return []
        return children_of(self._process.pid)

    @property
    def _log(self) -> Path:
        return FOLDER / f"{self.name}.log"

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        for group in GROUPS.glob(f"*/fleet-{self.name}"):
            wait_until(functools.partial(_removed, group), STOP_S, f"{group} is not empty")


@contextmanager
def device(distribution: str, name: str, number: int) -> Iterator[Device]:
    """Yield a device, running; it and its root are gone afterwards."""
    with deb.unpacked(kept_root(distribution)) as root:
        made = Device(name, root, f"10.77.0.{10 + number}")
        try:
            made.boot()
            yield made
        finally:
            made.shut_down()


def _removed(group: Path) -> bool:
    """Remove a control group and those in it; False while a process is in one of them."""
    try:
        for path in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            path.rmdir()
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
