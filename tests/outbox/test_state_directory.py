"""The directory of the outbox: who else uses it, who may read it, and one that cannot be used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgeaudio.outbox.outbox import Outbox, OutboxError


def test_a_second_agent_on_the_same_state_directory_is_an_error(outbox: Outbox, path: Path) -> None:
    with pytest.raises(OutboxError, match=r"outbox\.db is in use: another edgeaudio runs on this state directory$"):
        Outbox(path)


def test_a_state_directory_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        OutboxError, match=r"^state directory .*/file cannot be used: .*; make it writable for user \d+"
    ):
        Outbox(tmp_path / "file" / "outbox.db")


AS_NOBODY = """
import os
import sys
from pathlib import Path
from edgeaudio.outbox.outbox import Outbox, OutboxError
if os.geteuid() == 0:
    os.setuid(65534)
try:
    Outbox(Path(sys.argv[1]) / "outbox.db")
except OutboxError as error:
    print(error)
"""


@pytest.mark.parametrize("closed", [False, True])
def test_a_state_directory_without_permission_is_one_clear_line(closed: bool, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o000)
    directory = f"{tmp_path}/closed/state" if closed else "/edgeaudio-test"
    command = [sys.executable, "-c", AS_NOBODY, directory]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    expected = f"state directory {directory} cannot be used: Permission denied; make it writable for user "
    assert done.stdout.startswith(expected)


def test_other_users_cannot_read_the_outbox(outbox: Outbox, path: Path) -> None:
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
