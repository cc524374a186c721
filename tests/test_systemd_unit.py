"""The units: systemd takes them as they are written, and leaves the programs no more of the machine than they need."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.ports import free_port
from support.programs import require_program
from support.waiting import wait_until

FOLDER = Path(__file__).parents[1] / "deploy" / "systemd"
UNIT = FOLDER / "edgeaudio.service"
PROGRAM = "/etc/edgeaudio/current/venv/bin/edgeaudio"
DASHBOARD = FOLDER / "edgeaudio-dashboard.service"
DASHBOARD_PROGRAM = "/opt/edgeaudio-dashboard/bin/edgeaudio"
MOST_EXPOSED = 2.0


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def with_card(tmp_path: Path) -> Path:
    """A folder of units, where the one for sound cards holds."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(PROGRAM, "/bin/true"))
    drop_in = tmp_path / f"{UNIT.name}.d" / "sound-card.conf"
    drop_in.parent.mkdir()
    shutil.copy(FOLDER / "sound-card.conf", drop_in)
    return unit


def test_systemd_finds_no_fault_in_it(tmp_path: Path) -> None:
    done = run(require_program("systemd-analyze"), "verify", "--man=no", with_card(tmp_path))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def dashboard_unit(tmp_path: Path) -> Path:
    unit = tmp_path / DASHBOARD.name
    unit.write_text(DASHBOARD.read_text().replace(DASHBOARD_PROGRAM, "/bin/true"))
    return unit


def exposure(unit: Path) -> float:
    done = run(
        require_program("systemd-analyze"), "security", "--offline=yes", f"--threshold={MOST_EXPOSED * 10:.0f}", unit
    )
    assert done.returncode == 0, done.stdout
    (exposed,) = re.findall(r"Overall exposure level for \S+.service: ([0-9.]+)", done.stdout)
    return float(exposed)


def test_systemd_finds_no_fault_in_that_of_the_dashboard(tmp_path: Path) -> None:
    done = run(require_program("systemd-analyze"), "verify", "--man=no", dashboard_unit(tmp_path))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert exposure(dashboard_unit(tmp_path)) <= MOST_EXPOSED


def test_the_dashboard_keeps_its_history_where_its_unit_lets_it_write(tmp_path: Path) -> None:
    pytest.importorskip("starlette", reason="starlette is not installed: `dashboard` brings it")
    text = DASHBOARD.read_text()
    (command,) = re.findall(r"ExecStart=(.+)", text)
    (state,) = re.findall(r"StateDirectory=(.+)", text)
    program, *words = command.split()
    settings = tmp_path / "dashboard.toml"
    settings.write_text(
        f'device = "desk"\n[mqtt]\nurl = "mqtt://127.0.0.1:1"\n[dashboard]\nlisten = "127.0.0.1:{free_port()}"\n'
    )
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "edgeaudio_mqtt.username").write_text("page")
    # what systemd sets for these lines of the unit
    environment = {
        **os.environ,
        "STATE_DIRECTORY": str(tmp_path / state),
        "CREDENTIALS_DIRECTORY": str(credentials),
    }
    assert program == DASHBOARD_PROGRAM
    words[words.index("/etc/edgeaudio/dashboard.toml")] = str(settings)
    process = subprocess.Popen([sys.executable, "-m", "edgeaudio", *words], env=environment, cwd=tmp_path)
    try:
        wait_until((tmp_path / state / "dashboard.sqlite").exists, 20)
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("card", [False, True])
def test_it_is_exposed_to_little(tmp_path: Path, *, card: bool) -> None:
    unit = with_card(tmp_path)
    if card:  # `security --offline` reads no drop-ins
        (section,) = re.findall(r"\[Service\]\n(.*)", (FOLDER / "sound-card.conf").read_text(), re.DOTALL)
        unit.write_text(unit.read_text().replace("[Install]", f"{section}\n[Install]"))
    assert exposure(unit) <= MOST_EXPOSED


def test_it_runs_what_is_current_and_starts_whatever_the_settings_say() -> None:
    text = UNIT.read_text()
    assert f"ExecStart={PROGRAM} run --config /etc/edgeaudio/current/edgeaudio.toml\n" in text
    assert "ExecStartPre" not in text
    assert "LoadCredential=edgeaudio:/etc/edgeaudio/current/credentials\n" in text
