"""The unit: systemd takes it as it is written, and leaves the agent no more of the machine than it needs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.programs import require_program

FOLDER = Path(__file__).parents[1] / "deploy" / "systemd"
UNIT = FOLDER / "edgeaudio.service"
PROGRAM = "/etc/edgeaudio/current/venv/bin/edgeaudio"
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


@pytest.mark.parametrize("card", [False, True])
def test_it_is_exposed_to_little(tmp_path: Path, *, card: bool) -> None:
    unit = with_card(tmp_path)
    if card:  # `security --offline` reads no drop-ins
        (section,) = re.findall(r"\[Service\]\n(.*)", (FOLDER / "sound-card.conf").read_text(), re.DOTALL)
        unit.write_text(unit.read_text().replace("[Install]", f"{section}\n[Install]"))
    done = run(
        require_program("systemd-analyze"), "security", "--offline=yes", f"--threshold={MOST_EXPOSED * 10:.0f}", unit
    )
    assert done.returncode == 0, done.stdout
    (exposed,) = re.findall(r"Overall exposure level for edgeaudio.service: ([0-9.]+)", done.stdout)
    assert float(exposed) <= MOST_EXPOSED


def test_it_runs_what_is_current_and_starts_whatever_the_settings_say() -> None:
    text = UNIT.read_text()
    assert f"ExecStart={PROGRAM} run --config /etc/edgeaudio/current/edgeaudio.toml\n" in text
    assert "ExecStartPre" not in text
    assert "LoadCredential=edgeaudio:/etc/edgeaudio/current/credentials\n" in text
