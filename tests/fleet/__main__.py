"""Roll out to machines that boot, and break it: `make test-fleet`, or `python -m fleet [NAME ...]`.

Owns: the scenarios, and the table. Does not know: how a machine boots (machines.py), or what the role does.

The devices have no internet: they get a folder of wheels, or find a package index here. Broker and camera run here too,
ssh goes over a virtual network.
Versions are builds of the committed tree under other numbers; the broken one ends as soon as it is to run. The exit
status is 0 where all was right. docs/fleet.md has the last run of each machine that was. Ubuntu's are run if named: a
Debian system has no keyring of Ubuntu's archive.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from chaos.table import rewrite, table
from deb.__main__ import sound
from deb.machines import FOLDER as DEB_FOLDER
from fresh.__main__ import FOLDER as FRESH_FOLDER
from support.brokers import BrokerProcess, Subscriber
from support.camera import Script, camera, packets_of
from support.chosen import chosen_machines
from support.serving import pump_both, serving

from fleet import machines
from fleet.machines import FOLDER, HERE, KEY, ROOT, SSH_OPTIONS, Device, device, wait_for

DOCUMENT = ROOT / "docs" / "fleet.md"
PLAYBOOKS = ROOT / "deploy" / "ansible"
PYTHONS = {"bookworm": "3.11", "trixie": "3.13", "jammy": "3.11", "noble": "3.12"}
FIRST, NEXT, BROKEN, BUILT, INDEXED = "0.0.1", "0.0.2", "0.0.3", "0.0.4", "0.0.5"
BROKEN_TEXT = 'import sys\n\nif "run" in sys.argv[1:2]:\n    sys.exit("broken on purpose")\n'
CAMERA_PORT, INDEX_PORT = 8554, 8080
INDEX = f"http://{HERE}:{INDEX_PORT}/"
CONFIRM_S = 30
HEARD_S = 90.0
# takes more and more memory, in the agent's place
DROP_IN = Path("/run/systemd/system/edgeaudio.service.d/greedy.conf")
GREEDY = """\
[Service]
Type=simple
ExecStart=
ExecStart=/etc/edgeaudio/current/venv/bin/python -c "[bytes([1]) * 10**7 for _ in iter(int, 1)]"
"""
# what is left of it, once it is removed
LEFT = (
    "find / -xdev -name '*edgeaudio*' -not -path '/proc/*' -not -path '/sys/*'; "
    "ls -d /run/*edgeaudio* /run/private/*edgeaudio*"
)
PLAY_S = 600.0
BUILD_TOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
COMMIT = ["-c", "user.name=fleet", "-c", "user.email=fleet@example.org", "commit", "-qam", "version"]
SETTINGS = """\
health.interval_s = 1

[mqtt]
url = "mqtt://{here}:{port}"
username = "edgeaudio"

[sources.porch]
url = "rtsp://{here}:{camera}/camera"
"""


@dataclass(frozen=True)
class Row:
    """What came of one scenario on one distribution."""

    machine: str
    scenario: str
    result: str
    took_s: float

    @property
    def right(self) -> bool:
        return not self.result.startswith("wrong")


@dataclass(frozen=True)
class Play:
    """What a playbook ended with."""

    status: int
    output: str

    @property
    def changed(self) -> int:
        return sum(int(count) for count in re.findall(r"changed=(\d+)", self.output))


class WrongError(Exception):
    """What was not as it must be."""


class Fleet:
    """A device, and the broker, the camera and the controller that it deals with."""

    def __init__(self, there: Device, wheels: Path, broker: BrokerProcess, subscriber: Subscriber) -> None:
        self.there, self.wheels, self.broker, self.subscriber = there, wheels, broker, subscriber
        self.models: list[dict[str, str]] = []
        self.source = {"edgeaudio_source": "wheels", "edgeaudio_wheels": str(wheels)}
        self._folder = FOLDER / f"controller-{there.name}"
        self._folder.mkdir(exist_ok=True)
        self._printed = self._folder / "printed"
        self._began_at = datetime.now(UTC)

    def start(
        self, version: str, *words: str, hosts: dict[str, dict[str, str]] | None = None
    ) -> subprocess.Popen[bytes]:
        """Begin to roll out a version, in a process group of its own."""
        settings = SETTINGS.format(here=HERE, port=self.broker.port, camera=CAMERA_PORT)
        settings += "".join(f'\n[models.{model["name"]}]\npath = "models/{model["name"]}"\n' for model in self.models)
        own = {"ansible_host": self.there.address, "edgeaudio_device": self.there.name}
        inventory = {
            "edgeaudio": {
                "hosts": hosts or {self.there.name: own},
                "vars": {
                    "ansible_user": "root",
                    "ansible_ssh_private_key_file": str(KEY),
                    "edgeaudio_version": version,
                    **self.source,
                    "edgeaudio_settings": settings,
                    "edgeaudio_credentials": {"mqtt.password": "made up"},
                    "edgeaudio_models": self.models,
                    "edgeaudio_journal_in_memory": True,
                    "edgeaudio_confirm_s": CONFIRM_S,
                },
            }
        }
        self._began_at = datetime.now(UTC)
        self.subscriber.heard.clear()
        path = self._folder / "inventory.json"
        path.write_text(json.dumps(inventory))
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(PLAYBOOKS / "ansible.cfg"),
            "ANSIBLE_HOME": str(self._folder / "home"),
            "ANSIBLE_SSH_COMMON_ARGS": SSH_OPTIONS,
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self._folder / "cp"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
            # a version is built with what the index here has
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": INDEX,
            "PIP_TRUSTED_HOST": HERE,
        }
        program = Path(sys.executable).with_name("ansible-playbook")
        # a file, for a pipe would end only with the connections that Ansible leaves open
        with self._printed.open("wb") as printed:
            return subprocess.Popen(
                [str(program), "--inventory", str(path), str(PLAYBOOKS / "site.yml"), *words],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def finish(self, process: subprocess.Popen[bytes]) -> Play:
        """Wait for a rollout to end."""
        process.wait(PLAY_S)
        return Play(process.returncode, self._printed.read_text())

    def roll_out(self, version: str, *words: str, hosts: dict[str, dict[str, str]] | None = None) -> Play:
        return self.finish(self.start(version, *words, hosts=hosts))

    def well(self, version: str, *words: str) -> Play:
        """Roll out, and have it end well. Raises WrongError with the end of what it printed."""
        play = self.roll_out(version, *words)
        if play.status:
            raise WrongError(f"the play failed: {play.output[-3000:]}")
        return play

    def hears(self, version: str) -> None:
        """Wait until an agent of that version, started since the last rollout began, tells of a detection.

        Raises WrongError with the journal.
        """
        started = False
        deadline_s = time.monotonic() + HEARD_S
        base = f"edgeaudio/{self.there.name}"
        while time.monotonic() < deadline_s:
            for message in list(self.subscriber.heard):
                if message.topic == f"{base}/health":
                    told = json.loads(message.payload)
                    started = started or (
                        told["version"] == version and datetime.fromisoformat(told["started_at"]) >= self._began_at
                    )
                if started and message.topic == f"{base}/porch/detection":
                    return
            time.sleep(0.1)
        raise WrongError(f"{version} is not heard; {self.journal()}")

    def restart(self) -> None:
        """Have the agent restarted."""
        self._began_at = datetime.now(UTC)
        self.subscriber.heard.clear()
        self.there.ssh("systemctl restart edgeaudio")

    def journal(self) -> str:
        """The end of what the device's agent logged."""
        return self.there.ssh(
            "journalctl --unit 'edgeaudio*' --no-pager --lines 40; edgeaudio-switch status", check=False
        )[1]

    def fails(self, play: Play, words: str) -> None:
        """Raises WrongError where a play did not fail, or did not say those words."""
        if play.status == 0:
            raise WrongError(f"the play did not fail: {play.output[-2000:]}")
        if words not in re.sub(r"\s+", " ", play.output):
            raise WrongError(f"the play does not say {words!r}: {play.output[-3000:]}")

    def returns(self, to: str) -> None:
        """Wait until no switch is pending and that version hears. Raises WrongError."""
        wait_for(lambda: not self.there.pending, CONFIRM_S + 120.0, f"{self.there.name} does not roll back")
        self.hears(to)
        if not self.there.current.startswith(f"releases/{to}-"):
            raise WrongError(f"current is {self.there.current}")


def check_mode(fleet: Fleet) -> str:
    """See what an installation would do; nothing is done."""
    play = fleet.well(FIRST, "--check")
    there = fleet.there.ssh("find /opt /etc /usr/local -name '*edgeaudio*'")[1]
    if not play.changed or there:
        raise WrongError(f"changed={play.changed}, there: {there}")
    return "changes are told, none is made"


def install(fleet: Fleet) -> str:
    """Install on a bare machine; detections arrive."""
    fleet.well(FIRST)
    fleet.hears(FIRST)
    return "detections arrive"


def second_run(fleet: Fleet) -> str:
    """Run the same again, check mode too; nothing changes."""
    for words in ((), ("--check",)):
        play = fleet.well(FIRST, *words)
        if play.changed:
            raise WrongError(f"{' '.join(words)} changed={play.changed}: {play.output[-3000:]}")
    return "changed=0, with --check too"


def properties(fleet: Fleet) -> str:
    """Who can read what, and what the running unit is."""
    for path, wanted in {"": "755", "/credentials": "700", "/credentials/mqtt.password": "600"}.items():
        mode = fleet.there.ssh(f"stat --dereference --format %a /etc/edgeaudio/current{path}")[1].strip()
        if mode != wanted:
            raise WrongError(f"{path} has mode {mode}")
    shown = dict(
        line.split("=", 1)
        for line in fleet.there.ssh(
            "systemctl show edgeaudio -p DynamicUser -p ProtectSystem -p NoNewPrivileges -p SubState -p UnitFileState"
        )[1].splitlines()
    )
    wanted_properties = {
        "DynamicUser": "yes",
        "ProtectSystem": "strict",
        "NoNewPrivileges": "yes",
        "SubState": "running",
        "UnitFileState": "enabled",
    }
    if shown != wanted_properties:
        raise WrongError(str(shown))
    if "made up" in fleet.there.ssh("journalctl --no-pager; cat /etc/edgeaudio/current/edgeaudio.toml")[1]:
        raise WrongError("a password is in the journal or the settings")
    if "Storage=volatile" not in fleet.there.ssh("systemd-analyze cat-config systemd/journald.conf")[1]:
        raise WrongError("the journal is not kept in memory")
    return "hardened unit runs, passwords for root alone"


def bounded(fleet: Fleet) -> str:
    """Within its unit's bounds the agent hears; what takes more memory in its place is ended, and started again."""
    if not machines.LIMITABLE:
        return "left out: this machine has no control groups of version 1"
    limit = int(fleet.there.ssh("systemctl show edgeaudio --property MemoryMax --value")[1])
    with fleet.there.limited(limit) as group:
        fleet.restart()
        fleet.hears(FIRST)
        peak = int((group / "memory.max_usage_in_bytes").read_text())
        fleet.there.ssh(f"mkdir -p {DROP_IN.parent} && echo '{GREEDY}' >{DROP_IN} && systemctl daemon-reload")
        fleet.restart()
        restarts = "systemctl show edgeaudio --property NRestarts --value"
        wait_for(lambda: int(fleet.there.ssh(restarts)[1]) > 0, HEARD_S, "what takes too much memory is not ended")
        if "oom_kill 0" in (group / "memory.oom_control").read_text():
            raise WrongError("it ended by itself")
        fleet.there.ssh(f"rm {DROP_IN} && systemctl daemon-reload")
    fleet.restart()
    fleet.hears(FIRST)
    told = f"hears with {peak / 2**20:.0f} of {limit / 2**20:.0f} MB and no devices"
    return f"{told}, what takes more is ended and started again"


def two_of_one_name(fleet: Fleet) -> str:
    """Two hosts of one device name; refused before anything is touched."""
    own = {"ansible_host": fleet.there.address, "edgeaudio_device": fleet.there.name}
    before = fleet.there.current
    play = fleet.roll_out(NEXT, hosts={"one": own, "two": own})
    fleet.fails(play, "each host another")
    if fleet.there.current != before or "PLAY [Roll out" in play.output:
        raise WrongError("it was touched")
    return "refused, untouched"


def broken(fleet: Fleet) -> str:
    """Upgrade to a version that does not run."""
    fleet.fails(fleet.roll_out(BROKEN), "returns to the release before")
    fleet.returns(FIRST)
    return "the play fails, the old version hears again"


def stops_after_one(fleet: Fleet) -> str:
    """A broken version over three hosts, one of them away: the first that answers is the only one tried."""
    hosts = {"away": {"ansible_host": "10.77.0.99", "edgeaudio_device": "away"}}
    hosts["one"] = {"ansible_host": fleet.there.address, "edgeaudio_device": fleet.there.name}
    hosts["two"] = {"ansible_host": fleet.there.address, "edgeaudio_device": "another"}
    play = fleet.roll_out(BROKEN, hosts=hosts)
    fleet.fails(play, "returns to the release before")
    rolled_out = play.output.partition("PLAY [Roll out")[2].partition("PLAY RECAP")[0]
    # whichever of them answered first
    if len(tried := [name for name in hosts if f"[{name}]" in rolled_out]) != 1:
        raise WrongError(f"{', '.join(tried)} were tried: {play.output[-3000:]}")
    fleet.returns(FIRST)
    return "away is skipped, the first to answer rolls back, the third is not tried"


def ssh_is_cut(fleet: Fleet) -> str:
    """Ssh is cut once the switch is made, to a version that would do."""
    process = fleet.start(NEXT)
    wait_for(lambda: fleet.there.pending, PLAY_S, "nothing is switched")
    with machines.ssh_cut():
        play = fleet.finish(process)
        fleet.returns(FIRST)
    fleet.fails(play, "cannot be reached any more")
    return "the play fails, the old version hears again"


def controller_dies(fleet: Fleet) -> str:
    """The controller is killed once the switch is made."""
    process = fleet.start(NEXT)
    wait_for(lambda: fleet.there.pending, PLAY_S, "nothing is switched")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    fleet.returns(FIRST)
    return "the old version hears again"


def power_cut(fleet: Fleet) -> str:
    """The device loses its power once the switch is begun, and boots again later."""
    process = fleet.start(NEXT)
    wait_for(lambda: fleet.there.pending, PLAY_S, "nothing is switched")
    fleet.there.power_off()
    play = fleet.finish(process)
    fleet.there.boot()
    fleet.returns(FIRST)
    if play.status == 0:
        raise WrongError("the play did not fail")
    return "the play fails, the old version hears again after the boot"


def upgrade(fleet: Fleet) -> str:
    """Upgrade; the new version hears."""
    fleet.well(NEXT)
    fleet.hears(NEXT)
    return "the new version hears"


def back(fleet: Fleet) -> str:
    """Return by command."""
    fleet.well(NEXT, "--tags", "rollback")
    fleet.hears(FIRST)
    if changed := fleet.well(NEXT, "--tags", "rollback").changed:
        raise WrongError(f"run again, changed={changed}")
    return "the old version hears again, and stays when asked again"


def unsent(fleet: Fleet) -> str:
    """1,000 detections that were never sent, the broker away: through an upgrade and the way back."""
    fleet.broker.stop()
    python = "/etc/edgeaudio/current/venv/bin/python"
    fleet.there.ssh("systemctl stop edgeaudio")
    (fleet.there.root / "root" / "fill.py").write_text(FILL.format(device=fleet.there.name))
    fleet.there.ssh(f"{python} /root/fill.py && rm /root/fill.py && systemctl start edgeaudio")
    fleet.well(NEXT)
    fleet.well(NEXT, "--tags", "rollback")
    fleet.subscriber.heard.clear()
    fleet.broker.start()

    def arrived() -> set[str]:
        texts = fleet.subscriber.of(f"edgeaudio/{fleet.there.name}/porch/detection")
        return {told["id"] for told in map(json.loads, texts) if told["id"].startswith("made-")}

    with contextlib.suppress(SystemExit):
        wait_for(lambda: len(arrived()) == 1000, HEARD_S, "")
    if len(arrived()) != 1000:
        raise WrongError(f"{len(arrived())} of 1000 arrived")
    return "1,000 of 1,000 arrive"


# the outbox is filled by the version that runs, as its own code does
FILL = """\
import contextlib, json, os, pathlib, shutil
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.types import Message
path = next(pathlib.Path("/var/lib/private/edgeaudio").glob("*.sqlite"))
owner = path.stat()
with contextlib.closing(Outbox(path)) as outbox:
    for number in range(1000):
        payload = json.dumps({{"id": f"made-{{number}}"}}).encode()
        outbox.add([Message("edgeaudio/{device}/porch/detection", payload, 1, False)])
for file in path.parent.glob("*"):
    os.chown(file, owner.st_uid, owner.st_gid)
"""


def model(fleet: Fleet) -> str:
    """Push a model; a wrong hash is refused first."""
    source = ROOT / "models" / "alarms"
    fleet.models = [{"name": "alarms", "src": str(source), "sha256": "0" * 64}]
    before = fleet.there.current
    fleet.fails(fleet.roll_out(FIRST, "--tags", "model"), "has the sha256")
    if fleet.there.current != before:
        raise WrongError("it was switched")
    sha256 = subprocess.run(["sha256sum", str(source / "model.tflite")], capture_output=True, text=True, check=True)
    fleet.models[0]["sha256"] = sha256.stdout.split()[0]
    fleet.well(FIRST, "--tags", "model")
    fleet.hears(FIRST)
    health = [json.loads(text) for text in fleet.subscriber.of(f"edgeaudio/{fleet.there.name}/health")]
    if list(health[-1]["models"]) != ["alarms"]:
        raise WrongError(f"models: {health[-1]['models']}")
    return "a wrong hash is refused, the right one heard with"


def from_checkout(fleet: Fleet) -> str:
    """Upgrade to what a checkout holds; a change that is not committed is refused, what git ignores is left out."""
    tree = FOLDER / f"checkout-{fleet.there.name}"
    shutil.rmtree(tree, ignore_errors=True)
    clone_of_version(BUILT, tree)
    subprocess.run(["git", "-C", str(tree), *COMMIT], check=True)
    (tree / ".git" / "info" / "exclude").write_text("mine.*\n")
    for path in ("edgeaudio/mine.py", "models/mine.txt", "edgeaudio/more.py"):
        (tree / path).write_text("")
    fleet.source = {"edgeaudio_source": "checkout", "edgeaudio_checkout": str(tree)}
    with package_index(fleet):
        fleet.fails(fleet.roll_out(BUILT), "these are not: edgeaudio/more.py;")
        (tree / "edgeaudio" / "more.py").unlink()
        fleet.well(BUILT)
        fleet.hears(BUILT)
    if found := fleet.there.ssh("find /opt/edgeaudio -name 'mine.*'")[1]:
        raise WrongError(f"not committed, and there: {found}")
    return "a change that is not committed is refused, the committed version hears"


def from_index(fleet: Fleet) -> str:
    """Upgrade to what a package index has."""
    fleet.source = {"edgeaudio_source": "index"}
    with package_index(fleet):
        fleet.well(INDEXED)
        fleet.hears(INDEXED)
    return "the new version hears"


def remove(fleet: Fleet) -> str:
    """Remove all of it."""
    fleet.well(FIRST, "--tags", "remove")
    left = fleet.there.ssh(LEFT, check=False)[1]
    if left.split():
        raise WrongError(f"left: {left.split()}")
    fleet.well(FIRST, "--tags", "remove")
    return "nothing is left"


SCENARIOS: dict[str, Callable[[Fleet], str]] = {
    "check mode on a bare machine": check_mode,
    "install": install,
    "second run": second_run,
    "unit and secrets": properties,
    "the unit's bounds": bounded,
    "two of one name": two_of_one_name,
    "broken version": broken,
    "broken version, three hosts, one away": stops_after_one,
    "ssh cut after the switch": ssh_is_cut,
    "controller killed after the switch": controller_dies,
    "power cut after the switch": power_cut,
    "upgrade": upgrade,
    "rolled back by command": back,
    "1,000 detections, the broker away": unsent,
    "model update": model,
    "from a checkout": from_checkout,
    "from a package index": from_index,
    "remove": remove,
}


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


def wheels(name: str) -> Path:
    """The folder of wheels for a distribution."""
    return FOLDER / f"wheels-{name}"


def fill_wheels(name: str) -> None:
    """Fetch what a distribution needs, and build the versions from the committed tree."""
    python = PYTHONS[name]
    requirements = ROOT / "deploy" / "requirements" / f"amd64-{python}.txt"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    words = [
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
        "--python-version",
        python,
        "--dest",
        str(wheels(name)),
    ]
    subprocess.run([*pip, "download", *words, "--requirement", str(requirements)], check=True)
    for version in (FIRST, NEXT, BROKEN, INDEXED):
        with tempfile.TemporaryDirectory(dir=FOLDER) as tree:
            clone_of_version(version, Path(tree))
            subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(wheels(name)), tree], check=True)
    # what this machine builds with, where the index is all that it has
    subprocess.run([*pip, "download", "--only-binary=:all:", "--dest", str(wheels("tools")), *BUILD_TOOLS], check=True)


def clone_of_version(version: str, tree: Path) -> None:
    """Clone the committed tree, and give it another number."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(tree)], check=True)
    text = f'"""The version."""\n\n__version__ = "{version}"\n'
    (tree / "edgeaudio" / "version.py").write_text(text + (BROKEN_TEXT if version == BROKEN else ""))


class IndexHandler(SimpleHTTPRequestHandler):
    """Lists folders and hands out files, and prints nothing."""

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def package_index(fleet: Fleet) -> Iterator[None]:
    """Serve the wheels as a package index, a folder for each project, and have the device's pip ask there."""
    folder = FOLDER / f"index-{fleet.there.name}"
    shutil.rmtree(folder, ignore_errors=True)
    for wheel in [*fleet.wheels.glob("*.whl"), *wheels("tools").glob("*.whl")]:
        project = folder / re.sub("[-_.]+", "-", wheel.name.partition("-")[0]).lower()
        project.mkdir(parents=True, exist_ok=True)
        (project / wheel.name).symlink_to(wheel)
    settings = fleet.there.root / "etc" / "pip.conf"
    settings.write_text(f"[global]\nindex-url = {INDEX}\ntrusted-host = {HERE}\n")
    with ThreadingHTTPServer((HERE, INDEX_PORT), partial(IndexHandler, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            settings.unlink()


def run(name: str, number: int) -> Iterator[Row]:
    """Go through all scenarios on one machine, one after the other; the first that is wrong is the last."""
    with ExitStack() as stack:
        kept = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="broker-", dir=FOLDER)))
        broker = BrokerProcess(partial(listen_everywhere, kept), FOLDER / "broker.log").start()
        stack.callback(broker.stop)
        url = stack.enter_context(camera(Script(packets=lambda: packets_of(sound()))))
        stack.enter_context(forwarded(int(url.split(":")[2].partition("/")[0])))
        subscriber = stack.enter_context(Subscriber(broker.port, session="proof"))
        there = stack.enter_context(device(name, f"{name}-device", number))
        fleet = Fleet(there, wheels(name), broker, subscriber)
        for scenario, does in SCENARIOS.items():
            print(f"{name}: {scenario} ...", flush=True)
            began_s = time.monotonic()
            try:
                result = does(fleet)
            except (WrongError, SystemExit) as error:
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
    """Let devices reach the camera, which listens on loopback."""

    def session(connection: socket.socket, _ended: threading.Event) -> None:
        with connection, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as far:
            pump_both(connection, far)

    with serving(session, host=HERE, port=CAMERA_PORT):
        yield


if __name__ == "__main__":
    sys.exit(main())
