#!/usr/bin/python3
"""Switch this device to another release of edgeaudio, and back again unless the release is confirmed in time.

Owns: the link /etc/edgeaudio/current, the unit of the release, the pending switch, and the timer that rolls back.
Does not know: where a release comes from (the role), or what the agent does.

    switch RELEASE  try the release's settings, note what is heard now, arm the timer, switch, restart; with --return it
                    is noted that this is the way back
    verify          wait until the new release hears all that was heard before; changes nothing
    confirm         keep the release, disarm the timer
    rollback        return to the release before, if a switch is pending; run by the timer and at boot too
    prune           remove what neither the current nor the previous release uses
    status          show current, previous, pending, the end of the last switch, and whether the current release was
                    returned to, as JSON

A switch is pending from before the link changes until it is confirmed. Whatever ends in between (ssh, the controller,
the power) leaves it pending, and a pending switch is rolled back: by the timer, or at the next boot. Verifying and
confirming are two commands so that nothing is confirmed by a controller that is gone.

Standard library of Python 3.10, the oldest that a supported system has. Exit status: 0 done, 1 not verified, 2 refused.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ETC = Path("/etc/edgeaudio")
OPT = Path("/opt/edgeaudio")
UNITS = Path("/etc/systemd/system")
LOCK = Path("/run/edgeaudio-switch.lock")
SERVICE = "edgeaudio.service"
TIMER = "edgeaudio-unconfirmed"
HEARING = {"listening", "silent", "clipping", "hum"}
# a recording that was heard to its end, and a schedule that ended, are no loss
DONE = {"ended", "off"}
SETTLE_S = 20.0  # for sources that are connecting as the switch begins
STEADY_S = 10.0  # a release that crashes soon after its start is not verified between two crashes
POLL_S = 1.0


class RefusedError(Exception):
    """A refusal in one line: what is wrong and what to do."""


def switch(release: str, limit_s: float, *, returns: bool) -> None:
    """Make `release` the current one, pending until it is confirmed. Raises RefusedError, and then changes nothing."""
    new = ETC / "releases" / release
    if not (new / "venv" / "bin" / "edgeaudio").exists():
        raise RefusedError(f"{new} is no release: it has no venv/bin/edgeaudio")
    if pending := _read(ETC / "pending.json"):
        raise RefusedError(f"the switch to {pending['new']} is pending: confirm it, or roll back, first")
    _check(new)
    # what was laid out and installed is on the disk before it counts
    os.sync()
    old = _target(ETC / "current")
    _write(
        ETC / "pending.json",
        {
            "old": old,
            "new": release,
            "version": (new / "venv").resolve().name,
            "heard": _heard_before() if old else [],
            "switched_at": _now(),
            "returned": returns,
        },
    )
    try:
        _arm(limit_s)
    except subprocess.CalledProcessError as error:
        _forget()
        raise RefusedError(f"systemd arms no timer: {error.stderr.strip()}") from error
    _activate(release)


def verify(limit_s: float) -> None:
    """Wait until the pending release receives sound. Raises RefusedError with what is missing after `limit_s`."""
    pending = _read(ETC / "pending.json")
    if pending is None:
        raise RefusedError(f"no switch is pending{_last_words()}")
    deadline = time.monotonic() + limit_s
    steady: tuple[str, float] | None = None  # when the process started, and since when all is well
    while True:
        answer = _ask()
        missing = _missing(pending, answer)
        if missing:
            steady = None
        else:
            started_at = answer["health"]["started_at"]
            if steady is None or steady[0] != started_at:
                steady = started_at, time.monotonic()
            if time.monotonic() - steady[1] >= STEADY_S:
                return
        if time.monotonic() > deadline:
            raise RefusedError(missing or "the agent has not run for long enough")
        if not (ETC / "pending.json").exists():
            raise RefusedError(f"the switch was undone meanwhile{_last_words()}")
        time.sleep(POLL_S)


def confirm() -> None:
    """Keep the pending release. Raises RefusedError if it is no longer pending."""
    pending = _read(ETC / "pending.json")
    if pending is None or _target(ETC / "current") != pending["new"]:
        raise RefusedError(f"no switch is pending{_last_words()}")
    if pending["old"] and pending["old"] != pending["new"]:
        _point(ETC / "previous", f"releases/{pending['old']}")
    _end(pending["new"], "confirmed", "", returned=pending.get("returned", False))


def rollback(why: str) -> bool:
    """Return to the release before the pending switch; False if none is pending. Safe to repeat after an abort."""
    pending = _read(ETC / "pending.json")
    if pending is None:
        return False
    _activate(pending["old"])
    _end(pending["new"], "rolled back", why, returned=_returned())
    return True


def prune() -> list[Path]:
    """Remove releases other than current and previous, and environments that neither uses; return what was removed."""
    if (ETC / "pending.json").exists():
        raise RefusedError("a switch is pending: what it may return to is kept")
    kept = {(ETC / link).resolve() for link in ("current", "previous")}
    removed = [path for path in sorted((ETC / "releases").glob("*")) if path.resolve() not in kept]
    used = {(release / "venv").resolve() for release in kept}
    removed += [path for path in sorted(OPT.glob("*")) if path.resolve() not in used]
    for path in removed:
        shutil.rmtree(path)
    return removed


def status() -> dict[str, Any]:
    """Return the state of the device."""
    return {
        "current": _target(ETC / "current"),
        "previous": _target(ETC / "previous"),
        "pending": _read(ETC / "pending.json"),
        "last": _read(ETC / "last-switch.json"),
        "returned": _returned(),
    }


def _check(new: Path) -> None:
    """Check settings, models and credentials of a release. Raises RefusedError with the faults."""
    command = [str(new / "venv" / "bin" / "edgeaudio"), "check", "--offline", "--config", str(new / "edgeaudio.toml")]
    environment = {**os.environ, "CREDENTIALS_DIRECTORY": str(new / "credentials")}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RefusedError(f"{new.name}: `edgeaudio check --offline` did not run: {error}") from error
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}"
        raise RefusedError(f"{new.name}: {said}")


def _ask() -> Any:  # noqa: ANN401 (as it came)
    """Return the answer of the running agent; None without one."""
    command = [str(ETC / "current" / "venv" / "bin" / "edgeaudio"), "health", "--json"]
    command += ["--config", str(ETC / "current" / "edgeaudio.toml")]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        return json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def _heard_before() -> list[str]:
    """Return the sources that are heard now, after a wait for the agent's answer and for connecting sources."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        sources = _sources(_ask())
        if (sources and "connecting" not in sources.values()) or time.monotonic() > deadline:
            return sorted(name for name, state in sources.items() if state in HEARING)
        time.sleep(POLL_S)


def _missing(pending: dict[str, Any], answer: Any) -> str:  # noqa: ANN401 (as it came)
    """Return why the pending release is not verified yet; "" if it is."""
    try:
        if answer is None or answer["health"] is None:
            return "the agent does not answer"
        if answer["stuck"] is not None:
            return f"in the agent {answer['stuck']} does not move"
        if answer["health"]["version"] != pending["version"]:
            return f"version {answer['health']['version']} runs, not {pending['version']}"
        if _time(answer["health"]["started_at"]) <= _time(pending["switched_at"]):
            return "the agent has not started since the switch"
    except (KeyError, TypeError, ValueError):
        return "the agent's answer is not understood"
    sources = _sources(answer)
    # a source that the new settings leave out cannot be heard again
    deaf = [f"{name} ({sources[name]})" for name in pending["heard"] if sources.get(name, "off") not in HEARING | DONE]
    return f"not heard as before: {', '.join(deaf)}" if deaf else ""


def _sources(answer: Any) -> dict[str, str]:  # noqa: ANN401 (as it came)
    """Return the states of the sources; empty where the answer has none."""
    try:
        return {str(name): str(source["state"]) for name, source in answer["health"]["sources"].items()}
    except (KeyError, TypeError, AttributeError):
        return {}


def _activate(release: str | None) -> None:
    """Point `current` at the release and run it under its own unit; None: no release, as before the first."""
    if release is None:
        _systemctl("disable", "--now", SERVICE, check=False)
        for path in (ETC / "current", UNITS / SERVICE):
            path.unlink(missing_ok=True)
        shutil.rmtree(UNITS / f"{SERVICE}.d", ignore_errors=True)
        _systemctl("daemon-reload")
        return
    _point(ETC / "current", f"releases/{release}")
    folder = ETC / "releases" / release
    _write_text(UNITS / SERVICE, (folder / SERVICE).read_text())
    drop_ins = UNITS / f"{SERVICE}.d"
    drop_ins.mkdir(exist_ok=True)
    wanted = {path.name: path.read_text() for path in (folder / f"{SERVICE}.d").glob("*.conf")}
    for name, text in wanted.items():
        _write_text(drop_ins / name, text)
    for path in drop_ins.glob("*.conf"):
        if path.name not in wanted:
            path.unlink()
    _systemctl("daemon-reload")
    _systemctl("enable", SERVICE)
    # without a wait: at boot this runs before the service, and a release that never gets ready is rolled back
    _systemctl("--no-block", "restart", SERVICE)


def _arm(limit_s: float) -> None:
    command = [
        "systemd-run",
        "--quiet",
        f"--unit={TIMER}",
        f"--on-active={limit_s:.0f}s",
        "--timer-property=AccuracySec=1s",
    ]
    command += [str(Path(__file__).resolve()), "rollback", "--why", f"not confirmed within {limit_s:.0f} s"]
    # the failed unit of an earlier switch keeps the name
    _systemctl("stop", f"{TIMER}.timer", check=False)
    _systemctl("reset-failed", f"{TIMER}.service", check=False)
    subprocess.run(command, capture_output=True, text=True, check=True)


def _end(release: str, result: str, why: str, *, returned: bool) -> None:
    """Record how the switch to a release ended, and whether the current release was returned to."""
    words = {"release": release, "result": result, "why": why, "at": _now(), "returned": returned}
    _write(ETC / "last-switch.json", words)
    _forget()


def _returned() -> bool:
    """True if the release before the pending switch, or the current one where none is pending, was returned to."""
    return bool((_read(ETC / "last-switch.json") or {}).get("returned", False))


def _forget() -> None:
    """End the pending switch: on disk first, so that a timer in between has nothing to do."""
    (ETC / "pending.json").unlink(missing_ok=True)
    _sync(ETC)
    _systemctl("stop", f"{TIMER}.timer", check=False)


def _systemctl(*words: str, check: bool = True) -> None:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RefusedError(f"systemctl {' '.join(words)}: {done.stderr.strip()}")


def _point(link: Path, target: str) -> None:
    """Point the link there atomically, also across a power cut."""
    beside = link.with_name(f".{link.name}.new")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    beside.replace(link)
    _sync(link.parent)


def _target(link: Path) -> str | None:
    """Return the release that the link points to; None without a link."""
    return link.readlink().name if link.is_symlink() else None


def _write(path: Path, value: dict[str, Any]) -> None:
    _write_text(path, json.dumps(value) + "\n")


def _write_text(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.new")
    with beside.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    _sync(path.parent)


def _read(path: Path) -> dict[str, Any] | None:
    """Return the values in a file; None without the file."""
    try:
        value: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RefusedError(f"{path} is damaged: {error}") from error
    return value


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _last_words() -> str:
    last = _read(ETC / "last-switch.json")
    return f"; the last, to {last['release']}, was {last['result']} {last['why']}".rstrip() if last else ""


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _time(text: str) -> datetime:
    # the Z is read by Python 3.11 and later only
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    with LOCK.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _do(asked: argparse.Namespace) -> None:
    match asked.command:
        case "switch":
            switch(asked.release, asked.limit, returns=asked.returns)
        case "confirm":
            confirm()
        case "rollback":
            print("rolled back" if rollback(asked.why) else "no switch is pending")
        case "prune":
            print("\n".join(map(str, prune())))
        case _:
            print(json.dumps(status()))


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="edgeaudio-switch", description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("switch", "verify", "confirm", "rollback", "prune", "status"):
        command = commands.add_parser(name)
        if name == "switch":
            command.add_argument("release")
            command.add_argument("--return", dest="returns", action="store_true")
        if name in ("switch", "verify"):
            command.add_argument("--limit", type=float, required=True, metavar="SECONDS")
        if name == "rollback":
            command.add_argument("--why", default="asked for")
    asked = parser.parse_args()
    try:
        if asked.command == "verify":  # it takes minutes, in which the timer must be able to roll back
            verify(asked.limit)
        else:
            with _alone():
                _do(asked)
    except RefusedError as error:
        print(f"edgeaudio-switch: {error}", file=sys.stderr)
        return 1 if asked.command == "verify" else 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
