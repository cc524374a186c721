"""The scenarios of `make test-fleet`, in their order: what is done to a device, and what must come of it.

Each returns the words for the table, or raises WrongError, SystemExit or AssertionError.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from support.waiting import wait_until

from fleet import machines
from fleet.machines import FOLDER, ROOT
from fleet.rollout import HEARD_S, PLAY_S, Fleet, WrongError
from fleet.versions import BROKEN, BUILT, COMMIT, FIRST, INDEXED, NEXT, clone_of_version, package_index

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
        wait_until(lambda: int(fleet.there.ssh(restarts)[1]) > 0, HEARD_S, "what takes too much memory is not ended")
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
    wait_until(lambda: fleet.there.pending, PLAY_S, "nothing is switched")
    with machines.ssh_cut():
        play = fleet.finish(process)
        fleet.returns(FIRST)
    fleet.fails(play, "cannot be reached any more")
    return "the play fails, the old version hears again"


def controller_dies(fleet: Fleet) -> str:
    """The controller is killed once the switch is made."""
    process = fleet.start(NEXT)
    wait_until(lambda: fleet.there.pending, PLAY_S, "nothing is switched")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    fleet.returns(FIRST)
    return "the old version hears again"


def power_cut(fleet: Fleet) -> str:
    """The device loses its power once the switch is begun, and boots again later."""
    process = fleet.start(NEXT)
    wait_until(lambda: fleet.there.pending, PLAY_S, "nothing is switched")
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

    with contextlib.suppress(AssertionError):
        wait_until(lambda: len(arrived()) == 1000, HEARD_S)
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
    with package_index(fleet.there, fleet.wheels):
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
    with package_index(fleet.there, fleet.wheels):
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
