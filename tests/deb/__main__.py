"""Try the .deb on machines that boot: `make test-deb`, or `python -m deb [NAME ...]`.

Owns: what is tried on each distribution, and the table. Does not know: how a machine boots (machines.py).

The package is built in a bare root of the distribution, and again under the next version. On a booted machine the first
is installed, hears a camera in the unit as it ships, is upgraded and hears on, is removed and purged; then nothing is
left of it. Broker and camera run here, on loopback. The exit status is 0 where all was right; then docs/platforms.md is
rewritten.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from chaos.table import rewrite, table
from fresh.machines import machine
from support.brokers import BrokerProcess, Subscriber
from support.camera import Script, alarm_sound, camera, packets_of
from support.chosen import chosen_machines
from support.waiting import wait_until

from deb.machines import FOLDER, ROOT, Booted, booted, in_root, unpacked

DOCUMENT = ROOT / "docs" / "platforms.md"
NAMES = ("bookworm", "trixie")
NEXT = {"bookworm": "trixie"}  # what a machine is upgraded to, with the package on it
SETTINGS = """\
device = "{name}"
health.interval_s = 1

[mqtt]
url = "mqtt://127.0.0.1:{port}"
username = "edgeaudio"

[sources.porch]
url = "{camera}"
"""
CURRENT = "etc/edgeaudio/current"
HEARD_S = 90.0


@dataclass(frozen=True)
class Row:
    """What came of one distribution. Each word is "right", or what is wrong."""

    machine: str
    package_mb: float
    installed_mb: float
    exposure: float
    hears: str
    upgrade: str
    a_stopped_agent_stays_so: str
    to_next_release: str
    remove: str
    purge_leaves: str
    install_s: float

    @property
    def right(self) -> bool:
        words = {self.hears, self.upgrade, self.a_stopped_agent_stays_so, self.remove}
        words |= {self.to_next_release} - {""}
        return words == {"right"} and self.purge_leaves == "nothing" and self.exposure <= 2.0


def main() -> int:
    programs = {"debootstrap": "debootstrap", "systemd-nspawn": "systemd-container", "mosquitto": "mosquitto"}
    wanted = chosen_machines("deb", "The .deb on machines that boot.", NAMES, programs)
    FOLDER.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # which shuts down what runs
    rows = [run(name) for name in wanted or NAMES]
    lines = table(rows) if len(rows) > 1 else [str(rows[0])]
    print("\n".join(lines))
    right = all(row.right for row in rows)
    if right and not wanted:
        told = f"`make test-deb`, {datetime.now(UTC):%Y-%m-%d}:"
        DOCUMENT.write_text(rewrite(DOCUMENT.read_text(), "deb", [told, "", *lines]))
    return 0 if right else 1


def build(name: str) -> tuple[Path, Path]:
    """Return the package for that distribution, and that of the next version; both are built in a bare root."""
    with unpacked(machine(name)) as root:
        project = root / "root" / "edgeaudio"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(project)], check=True)
        first = build_in(root, name)
        version = project / "edgeaudio" / "version.py"
        version.write_text(next_version(version.read_text()))
        example = project / "edgeaudio" / "settings" / "example.toml"  # new with almost every version
        example.write_text(f"# another example\n{example.read_text()}")
        return first, build_in(root, name)


def build_in(root: Path, name: str) -> Path:
    print(f"{name}: make deb ...", flush=True)
    printed = in_root(root, "make", "--no-print-directory", "-C", "/root/edgeaudio", "deb")
    return Path(shutil.copy(root / printed.splitlines()[-1].lstrip("/"), FOLDER))


def next_version(text: str) -> str:
    return re.sub(r'(\d+)(?="$)', lambda found: str(int(found[1]) + 1), text, flags=re.MULTILINE)


def run(name: str) -> Row:
    """Try both packages on one machine."""
    first, second = build(name)
    with ExitStack() as stack:
        broker = BrokerProcess(lambda port: ["mosquitto", "-p", str(port)], FOLDER / "broker.log").start()
        stack.callback(broker.stop)
        url = stack.enter_context(camera(Script(packets=lambda: packets_of(alarm_sound()))))
        subscriber = stack.enter_context(Subscriber(broker.port))
        there = stack.enter_context(booted(name))
        began_s = time.monotonic()
        install(there, first)
        install_s = time.monotonic() - began_s
        release = there.root / "etc" / "edgeaudio" / "releases" / "debian"
        (release / "edgeaudio.toml").write_text(SETTINGS.format(name=name, port=broker.port, camera=url))
        password = release / "credentials" / "mqtt.password"
        password.write_text("made up")
        password.chmod(0o600)
        there.run("systemctl", "enable", "--now", "edgeaudio")
        hears = hearing(subscriber, there, name, version_of(first))
        exposed = re.findall(r"exposure level .*: ([0-9.]+)", there.run("systemd-analyze", "security", "edgeaudio"))
        installed_mb = int(there.run("du", "-sm", "/opt/edgeaudio").split()[0])
        subscriber.heard.clear()
        install(there, second)
        upgrade = hearing(subscriber, there, name, version_of(second))
        there.run("systemctl", "stop", "edgeaudio")
        install(there, second)
        stopped = there.run("systemctl", "is-active", "edgeaudio", check=False)
        there.run("systemctl", "start", "edgeaudio")
        further = upgraded(subscriber, there, name, version_of(second)) if name in NEXT else ""
        there.run("dpkg", "--remove", "edgeaudio")
        gone = there.run("systemctl", "is-active", "edgeaudio", check=False) == "inactive"
        kept = password.exists() and (release / "edgeaudio.toml").exists()
        there.run("dpkg", "--purge", "edgeaudio")
        left = there.run(
            "find", "/", "-xdev", "-name", "*edgeaudio*", "-not", "-path", "/proc/*", "-not", "-path", "/sys/*"
        )
        left += there.run("find", "/run", "/var/lib/private", "-name", "*edgeaudio*")
    return Row(
        machine=name,
        package_mb=first.stat().st_size / 1e6,
        installed_mb=installed_mb,
        exposure=float(exposed[0]),
        hears=hears,
        upgrade=upgrade,
        a_stopped_agent_stays_so="right" if stopped == "inactive" else stopped,
        to_next_release=further,
        remove="right" if gone and kept else "the agent runs on" if kept else "settings are gone",
        purge_leaves=", ".join(left.split()) or "nothing",
        install_s=install_s,
    )


def install(there: Booted, package: Path) -> None:
    """Install the package, or upgrade to it."""
    shutil.copy(package, there.root / "root")
    there.run("apt-get", "install", "-yq", "--no-install-recommends", "--reinstall", f"/root/{package.name}")
    (there.root / "root" / package.name).unlink()


def hearing(subscriber: Subscriber, there: Booted, name: str, version: str) -> str:
    """Wait until that version tells of a detection. Returns "right", or what it told instead, with the journal."""

    def heard() -> bool:
        health = [json.loads(payload) for payload in subscriber.of(f"edgeaudio/{name}/health")]
        right = any(report["version"] == version for report in health)
        return right and bool(subscriber.of(f"edgeaudio/{name}/porch/detection"))

    try:
        wait_until(heard, HEARD_S)
    except AssertionError:
        print(there.run("journalctl", "--unit", "edgeaudio", "--no-pager", "--lines", "50"), file=sys.stderr)
        return f"not heard within {HEARD_S:.0f} s"
    return "right"


def upgraded(subscriber: Subscriber, there: Booted, name: str, version: str) -> str:
    """Upgrade the machine to the next Debian, as its manual says. Returns what `hearing` does, of a new start."""
    print(f"{name}: to {NEXT[name]} ...", flush=True)
    sources = there.root / "etc" / "apt" / "sources.list"
    sources.write_text(sources.read_text().replace(name, NEXT[name]))
    there.run("apt-get", "update", "-q")
    for step in ("upgrade", "full-upgrade"):
        there.run("apt-get", step, "-yq", "--option", "Dpkg::Options::=--force-confold")
    subscriber.heard.clear()
    there.run("systemctl", "restart", "edgeaudio")
    return hearing(subscriber, there, name, version)


def version_of(package: Path) -> str:
    return package.name.split("_")[1].partition("-")[0]


if __name__ == "__main__":
    sys.exit(main())
