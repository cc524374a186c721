"""The device's own part of a rollout: switching, confirming, and back, whatever ends in between."""

from __future__ import annotations

import importlib.util
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "ansible" / "roles" / "edgeaudio" / "files" / "edgeaudio_switch.py"
AGENT = """\
#!/bin/sh
case $1 in
check) cat "$(dirname "$0")/../refusal" >&2 2>/dev/null && exit 2; exit 0 ;;
health) cat {answer} ;;
esac
"""


class PowerCut(BaseException):
    """Nothing runs any more."""


class Machine:
    """A device's files, its agent's answers, and what systemd was asked for."""

    def __init__(self, root: Path, tool: ModuleType) -> None:
        self.root, self.tool = root, tool
        self.asked: list[list[str]] = []
        self.answer = root / "answer.json"

    def release(self, version: str, *, drop_in: str = "", refusal: str = "") -> str:
        """Lay out a release and its environment."""
        environment = self.root / "opt" / version
        (environment / "bin").mkdir(parents=True)
        agent = environment / "bin" / "edgeaudio"
        agent.write_text(AGENT.format(answer=self.answer))
        agent.chmod(0o755)
        if refusal:
            (environment / "refusal").write_text(refusal)
        folder = self.root / "etc" / "releases" / f"{version}-x"
        (folder / "edgeaudio.service.d").mkdir(parents=True)
        (folder / "venv").symlink_to(environment)
        (folder / "edgeaudio.service").write_text(f"# unit of {version}\n")
        if drop_in:
            (folder / "edgeaudio.service.d" / "more.conf").write_text(drop_in)
        return folder.name

    def says(self, version: str, *, started_s: float = 1.0, stuck: str | None = None, **sources: str) -> None:
        """What the agent answers from now on; it started so many seconds from now."""
        started_at = (datetime.now(UTC) + timedelta(seconds=started_s)).isoformat(timespec="milliseconds")
        health = {
            "version": version,
            "started_at": started_at.replace("+00:00", "Z"),
            "sources": {name: {"state": state} for name, state in sources.items()},
            "broker": {"state": "waiting"},
        }
        self.answer.write_text(json.dumps({"device": "porch", "stuck": stuck, "health": health}))

    def run(self, *words: str) -> int:
        """Run a command of the tool; returns its exit status."""
        sys.argv = ["edgeaudio-switch", *words]
        status: int = self.tool.main()
        return status

    @property
    def at(self) -> tuple[str | None, str, list[str], bool]:
        """Release, unit, drop-ins, and whether a switch is pending."""
        unit = self.root / "units" / "edgeaudio.service"
        drop_ins = sorted(path.read_text() for path in (self.root / "units" / "edgeaudio.service.d").glob("*.conf"))
        current = self.tool.status()["current"]
        return (
            current,
            unit.read_text() if unit.exists() else "",
            drop_ins,
            (self.root / "etc" / "pending.json").exists(),
        )


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    spec = importlib.util.spec_from_file_location("edgeaudio_switch", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    for name in ("etc", "opt", "units"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(tool, name.upper(), tmp_path / name)
    monkeypatch.setattr(tool, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(tool, "POLL_S", 0.01)
    monkeypatch.setattr(tool, "STEADY_S", 0.0)
    monkeypatch.setattr(sys, "argv", [])
    made = Machine(tmp_path, tool)
    real = tool.subprocess.run

    def run(command: list[str], **options: Any) -> Any:
        if command[0] not in ("systemctl", "systemd-run"):
            return real(command, **options)
        made.asked.append(command)
        return tool.subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(tool.subprocess, "run", run)
    return made


@pytest.fixture
def settled(machine: Machine) -> Machine:
    """A machine whose release 1 is confirmed and hears the porch, not the garage; release 2 is laid out."""
    first = machine.release("1", drop_in="one")
    machine.says("1", porch="listening", garage="waiting")
    assert machine.run("switch", first, "--limit", "60") == 0
    assert machine.run("confirm") == 0
    machine.release("2")
    machine.asked.clear()
    return machine


At = tuple[str | None, str, list[str], bool]
OLD: At = ("1-x", "# unit of 1\n", ["one"], False)
NEW: At = ("2-x", "# unit of 2\n", [], False)


def test_a_confirmed_release_stays_and_the_one_before_is_remembered(settled: Machine) -> None:
    assert settled.run("switch", "2-x", "--limit", "60") == 0
    assert settled.at == (*NEW[:3], True)
    armed = [words for words in settled.asked if words[0] == "systemd-run"]
    assert "--on-active=60s" in armed[0]
    assert armed[0][-3:-1] == ["rollback", "--why"]
    # armed before anything is switched, and restarted last
    assert settled.asked[-1] == ["systemctl", "--no-block", "restart", "edgeaudio.service"]
    assert settled.asked.index(armed[0]) < settled.asked.index(["systemctl", "daemon-reload"])
    settled.says("2", porch="listening", garage="waiting")
    assert settled.run("verify", "--limit", "5") == 0
    assert settled.at == (*NEW[:3], True)  # verifying alone keeps nothing
    assert settled.run("confirm") == 0
    assert settled.at == NEW
    assert settled.run("rollback") == 0  # the timer came too late: nothing to do
    assert settled.at == NEW
    assert settled.tool.status()["previous"] == "1-x"


@pytest.mark.parametrize(
    ("says", "why"),
    [
        ({"version": "1"}, "version 1 runs, not 2"),
        ({"version": "2", "started_s": -60.0}, "has not started since the switch"),
        ({"version": "2", "porch": "waiting"}, "not heard as before: porch (waiting)"),
        ({"version": "2", "stuck": "outbox"}, "outbox does not move"),
        (None, "does not answer"),
    ],
)
def test_a_release_that_does_not_hear_as_before_is_not_verified(
    settled: Machine, says: dict[str, Any] | None, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settled.run("switch", "2-x", "--limit", "60")
    if says is None:
        settled.answer.unlink()
    else:
        settled.says(**{"porch": "listening", **says})
    assert settled.run("verify", "--limit", "0") == 1
    assert why in capsys.readouterr().err
    assert settled.run("rollback", "--why", why) == 0
    assert settled.at == OLD
    assert settled.tool.status()["last"]["why"] == why


@pytest.mark.parametrize("garage", ["waiting", "failed", "listening"])
@pytest.mark.parametrize("porch", ["listening", "silent", "off", "ended"])
def test_a_source_that_was_away_may_be_and_so_may_the_broker(settled: Machine, garage: str, porch: str) -> None:
    settled.run("switch", "2-x", "--limit", "60")
    settled.says("2", porch=porch, garage=garage)
    assert settled.run("verify", "--limit", "0") == 0


def test_a_source_that_the_new_settings_leave_out_is_not_waited_for(settled: Machine) -> None:
    settled.run("switch", "2-x", "--limit", "60")
    settled.says("2", garage="waiting")
    assert settled.run("verify", "--limit", "0") == 0


def test_a_release_that_starts_again_and_again_is_not_verified(
    settled: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled.run("switch", "2-x", "--limit", "60")
    monkeypatch.setattr(settled.tool, "STEADY_S", 0.3)
    ask = settled.tool._ask
    starts = iter(range(1, 10**6))

    def crashing() -> Any:
        settled.says("2", started_s=next(starts), porch="listening")
        return ask()

    monkeypatch.setattr(settled.tool, "_ask", crashing)
    assert settled.run("verify", "--limit", "1") == 1
    monkeypatch.setattr(settled.tool, "_ask", ask)
    assert settled.run("verify", "--limit", "1") == 0


def test_a_switch_that_was_undone_ends_the_verification(settled: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    settled.run("switch", "2-x", "--limit", "60")
    settled.run("rollback", "--why", "not confirmed within 60 s")
    for command in (["verify", "--limit", "60"], ["confirm"]):
        assert settled.run(*command) != 0
        assert "rolled back not confirmed within 60 s" in capsys.readouterr().err
    assert settled.at == OLD


def test_settings_that_are_refused_change_nothing(settled: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    settled.release("3", refusal="edgeaudio: edgeaudio.toml: mqtt.url: must be set")
    assert settled.run("switch", "3-x", "--limit", "60") == 2
    assert "mqtt.url: must be set" in capsys.readouterr().err
    assert settled.run("switch", "4-x", "--limit", "60") == 2
    assert "is no release" in capsys.readouterr().err
    assert settled.at == OLD
    assert settled.asked == []


def test_an_agent_that_just_starts_is_waited_for_to_know_what_it_hears(
    settled: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = settled.answer.read_text()
    settled.answer.unlink()
    sleep = settled.tool.time.sleep

    def started(_s: float) -> None:
        settled.answer.write_text(answer)
        monkeypatch.setattr(settled.tool.time, "sleep", sleep)

    monkeypatch.setattr(settled.tool.time, "sleep", started)
    assert settled.run("switch", "2-x", "--limit", "60") == 0
    assert settled.tool.status()["pending"]["heard"] == ["porch"]


def test_what_was_laid_out_is_on_the_disk_before_the_switch(settled: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    at: list[At] = []
    monkeypatch.setattr(settled.tool.os, "sync", lambda: at.append(settled.at))
    assert settled.run("switch", "2-x", "--limit", "60") == 0
    assert at == [OLD]


def test_a_device_that_was_returned_says_so_until_it_is_switched_again(settled: Machine) -> None:
    def returned() -> bool:
        said: bool = settled.tool.status()["returned"]
        return said

    assert not returned()
    settled.run("switch", "2-x", "--limit", "60")
    settled.run("confirm")
    assert not returned()
    settled.run("switch", "1-x", "--limit", "60", "--return")
    settled.run("rollback", "--why", "not heard as before: porch")
    assert not returned()  # the way back was undone
    settled.run("switch", "1-x", "--limit", "60", "--return")
    settled.run("confirm")
    assert returned()
    settled.run("switch", "2-x", "--limit", "60")
    settled.run("rollback", "--why", "not heard as before: porch")
    assert returned()  # the way forward was undone
    settled.run("switch", "2-x", "--limit", "60")
    settled.run("confirm")
    assert not returned()


def test_while_a_switch_is_pending_no_other_begins(settled: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    settled.run("switch", "2-x", "--limit", "60")
    assert settled.run("switch", "1-x", "--limit", "60") == 2
    assert "the switch to 2-x is pending" in capsys.readouterr().err
    assert settled.run("prune") == 2


@pytest.mark.parametrize("command", ["switch", "rollback"])
def test_without_power_at_any_step_the_next_boot_is_at_the_old_release(
    settled: Machine, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    tool = settled.tool
    steps = ("_write_text", "_point", "_systemctl", "_arm", "_sync")
    real = {name: getattr(tool, name) for name in steps}
    cuts = 0
    while True:
        if command == "rollback":
            assert settled.run("switch", "2-x", "--limit", "60") == 0
        left = cuts

        def step(*args: Any, name: str, **options: Any) -> None:
            nonlocal left
            if left == 0:
                raise PowerCut
            left -= 1
            real[name](*args, **options)

        for name in steps:
            monkeypatch.setattr(tool, name, lambda *args, name=name, **options: step(*args, name=name, **options))
        words = ["2-x", "--limit", "60"] if command == "switch" else []
        try:
            settled.run(command, *words)
        except PowerCut:
            done = False
        else:
            done = True
        for name in steps:
            monkeypatch.setattr(tool, name, real[name])
        settled.run("rollback", "--why", "boot")
        assert settled.at == OLD, f"cut after {cuts} steps"
        if done:
            break
        cuts += 1
    assert cuts > 10


def test_a_first_release_that_fails_leaves_nothing_behind(machine: Machine) -> None:
    assert machine.run("switch", machine.release("1"), "--limit", "60") == 0
    machine.run("rollback")
    assert machine.at == (None, "", [], False)
    assert ["systemctl", "disable", "--now", "edgeaudio.service"] in machine.asked


def test_two_releases_are_kept(settled: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    for version in ("2", "3"):
        if version == "3":
            settled.release("3")
        settled.run("switch", f"{version}-x", "--limit", "60")
        settled.run("confirm")
    capsys.readouterr()
    assert settled.run("prune") == 0
    assert [Path(line).name for line in capsys.readouterr().out.split()] == ["1-x", "1"]
    assert {path.name for path in (settled.root / "opt").iterdir()} == {"2", "3"}
    assert settled.run("prune") == 0
    assert capsys.readouterr().out.strip() == ""
