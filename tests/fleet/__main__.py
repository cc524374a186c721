"""Roll out to machines that boot, and break it: `make test-fleet`, or `python -m fleet [NAME ...]`.

Owns: the order of machines and scenarios, and the table. Does not know: how a machine boots (machines.py), what is
tried on it (scenarios.py), or what the role does.

The devices have no internet: they get a folder of wheels, or find a package index here. Broker and camera run here too,
ssh goes over a virtual network.
Versions are builds of the committed tree under other numbers; the broken one ends as soon as it is to run. The exit
status is 0 where all was right. docs/fleet.md has the last run of each machine that was. Ubuntu's are run if named: a
Debian system has no keyring of Ubuntu's archive.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from chaos.table import rewrite, table
from deb.machines import FOLDER as DEB_FOLDER
from fresh.machines import FOLDER as FRESH_FOLDER
from support.brokers import BrokerProcess, Subscriber
from support.camera import Script, alarm_sound, camera, packets_of
from support.chosen import chosen_machines
from support.serving import pump_both, serving

from fleet import machines
from fleet.machines import FOLDER, HERE, ROOT, device
from fleet.rollout import CAMERA_PORT, Fleet, WrongError
from fleet.scenarios import SCENARIOS
from fleet.versions import PYTHONS, fill_wheels, wheels

DOCUMENT = ROOT / "docs" / "fleet.md"


@dataclass(frozen=True)
class Row:
    """Result of one scenario on one distribution."""

    machine: str
    scenario: str
    result: str
    took_s: float

    @property
    def right(self) -> bool:
        return not self.result.startswith("wrong")


def main() -> int:
    programs = {
        "debootstrap": "debootstrap",
        "systemd-nspawn": "systemd-container",
        "mosquitto": "mosquitto",
        "ssh-keygen": "openssh-client",
        "nft": "nftables",
        "ip": "iproute2",
    }
    names = chosen_machines("fleet", "A fleet of machines that boot.", PYTHONS, programs)
    names = names or [name for name in PYTHONS if name not in machines.UBUNTU]
    for folder in (FOLDER, DEB_FOLDER, FRESH_FOLDER):
        folder.mkdir(parents=True, exist_ok=True)
    if machines.ALONE not in os.environ:  # what follows has no internet
        for name in names:
            machines.kept_root(name)
            fill_wheels(name)
    machines.alone()
    machines.make_key()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # which shuts down what runs
    rows: list[Row] = []
    for number, name in enumerate(names):
        found = list(run(name, number))
        if all(row.right for row in found):
            told = f"`make test-fleet FLEET={name}`, {datetime.now(UTC):%Y-%m-%d}:"
            document = rewrite(DOCUMENT.read_text(), f"fleet-{name}", [told, "", *table(found)])
            DOCUMENT.write_text(document)
        rows += found
    print("\n".join(table(rows)))
    return 0 if all(row.right for row in rows) else 1


def run(name: str, number: int) -> Iterator[Row]:
    """Run all scenarios on one machine, in order, up to the first that fails."""
    with ExitStack() as stack:
        kept = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="broker-", dir=FOLDER)))
        broker = BrokerProcess(partial(listen_everywhere, kept), FOLDER / "broker.log").start()
        stack.callback(broker.stop)
        url = stack.enter_context(camera(Script(packets=lambda: packets_of(alarm_sound()))))
        stack.enter_context(forwarded(int(url.split(":")[2].partition("/")[0])))
        subscriber = stack.enter_context(Subscriber(broker.port, session="proof"))
        there = stack.enter_context(device(name, f"{name}-device", number))
        fleet = Fleet(there, wheels(name), broker, subscriber)
        for scenario, does in SCENARIOS.items():
            print(f"{name}: {scenario} ...", flush=True)
            began_s = time.monotonic()
            try:
                result = does(fleet)
            except (WrongError, SystemExit, AssertionError) as error:
                print(f"{error}\n{fleet.journal()}", file=sys.stderr)
                result = f"wrong: {str(error)[:80]}"
            took_s = time.monotonic() - began_s
            print(f"{name}: {scenario}: {result}, {took_s:.0f} s", flush=True)
            yield Row(name, scenario, result, took_s)
            if result.startswith("wrong"):
                return


def listen_everywhere(kept: Path, port: int) -> list[str]:
    """Mosquitto for the devices, in this network alone; it keeps sessions in that folder over its restarts.

    After one, a device may be back before the subscriber is.
    """
    path = kept / "mosquitto.conf"
    path.write_text(
        f"listener {port} 0.0.0.0\nallow_anonymous true\nuser root\n"
        f"persistence true\npersistence_location {kept}/\nmax_queued_messages 0\n"
    )
    return ["mosquitto", "-c", str(path)]


@contextmanager
def forwarded(port: int) -> Iterator[None]:
    """Forward connections of devices to the camera, which listens on loopback."""

    def session(connection: socket.socket, _ended: threading.Event) -> None:
        with connection, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as far:
            pump_both(connection, far)

    with serving(session, host=HERE, port=CAMERA_PORT):
        yield


if __name__ == "__main__":
    sys.exit(main())
