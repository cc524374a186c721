"""The record of the last crash, judged by what the process left."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgeaudio.agent.crash_notes import CrashNotes, write_notes
from edgeaudio.agent.last_crash import CrashLog, how_it_ended
from edgeaudio.health.report import Crash, CrashReason
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.runtime_files import RuntimeDir

NOTES = CrashNotes("boot", 1, 5)
SEGV = (
    "Fatal Python error: Segmentation fault\n\nThread 0x1 (most recent call first):\n"
    '  File "/opt/x/edgeaudio/sinks/mqtt/sender.py", line 1 in run\n\nCurrent thread 0x2 (most recent call first):\n'
    '  File "/opt/x/av/container.py", line 3 in open\n  File "/opt/x/edgeaudio/capture/opening.py", line 88 in open\n'
)
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SEEN = datetime(2026, 5, 1, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("same_boot", "notes", "stacks", "kills", "reason", "detail"),
    [
        (True, NOTES, SEGV, 6, CrashReason.SIGNAL, "Segmentation fault in edgeaudio/capture/opening.py:88"),
        (False, None, SEGV, 0, CrashReason.SIGNAL, "Segmentation fault in edgeaudio/capture/opening.py:88"),
        (True, NOTES, "Fatal Python error: Aborted\n", 5, CrashReason.SIGNAL, "Aborted"),
        (True, replace(NOTES, aborted="it hung"), "it hung\nThread", 6, CrashReason.STUCK, "it hung"),
        (True, NOTES, "Timeout (0:02:00)!\nThread", 5, CrashReason.STUCK, "the main thread"),
        (True, NOTES, "", 6, CrashReason.OUT_OF_MEMORY, "killed while the kernel killed"),
        (False, NOTES, "", 6, CrashReason.MACHINE_RESET, "the machine began anew"),
        (True, NOTES, "", 5, CrashReason.KILLED, "it ended without a word"),
        (True, NOTES, "", None, CrashReason.KILLED, "it ended without a word"),
        (True, None, "", 6, CrashReason.KILLED, "it ended without a word"),
    ],
)
def test_the_strongest_evidence_is_reported(
    same_boot: bool, notes: CrashNotes | None, stacks: str, kills: int | None, reason: CrashReason, detail: str
):
    found = how_it_ended(same_boot, notes, stacks, kills)
    assert found[0] is reason
    assert found[1].startswith(detail)


class Machine:
    """A state directory and the processes on it; `changes` counts writes to the disk."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.boot = "boot"
        self.changes = 0
        self.runtime_dir = RuntimeDir(folder, in_memory=True)
        self._folder = folder
        monkeypatch.setattr("edgeaudio.agent.last_crash.boot_id", lambda: self.boot)
        monkeypatch.setattr("edgeaudio.agent.last_crash.kernel_kills", lambda: 5)

    def start(self, stacks: str = "", stacks_at: datetime | None = None) -> CrashLog:
        self.outbox = Outbox(self._folder / "outbox.sqlite")
        written = self.outbox.set_setting

        def counted(key: str, value: str | None) -> None:
            self.changes += 1
            written(key, value)

        self.outbox.set_setting = counted  # type: ignore[method-assign]
        begun = CrashLog(self.outbox, lambda: NOW)
        begun.begin(self.runtime_dir, stacks, stacks_at)
        write_notes(self.runtime_dir.file("opened"), replace(NOTES, boot_id=self.boot))
        return begun

    def crash(self) -> None:
        self.outbox.close()

    def stop(self, begun: CrashLog) -> None:
        begun.end()
        self.outbox.close()
        self.runtime_dir.file("opened").unlink()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_the_record_survives_restarts_of_the_machine_until_the_next_crash(machine: Machine):
    first = machine.start()
    assert first.last is None
    machine.crash()
    second = machine.start(SEGV, SEEN)
    assert second.last == Crash(SEEN, CrashReason.SIGNAL, "Segmentation fault in edgeaudio/capture/opening.py:88")
    machine.stop(second)
    machine.boot = "next"
    third = machine.start()
    assert third.last == second.last
    machine.crash()
    machine.boot = "last"
    fourth = machine.start()
    assert fourth.last is not None
    assert (fourth.last.reason, fourth.last.at) == (CrashReason.MACHINE_RESET, NOW)
    machine.crash()


def test_a_start_a_stop_and_a_crash_are_one_write_each(machine: Machine):
    begun = machine.start()
    machine.stop(begun)
    assert machine.changes == 2
    begun = machine.start()
    machine.crash()
    assert machine.changes == 3
    machine.start()
    machine.crash()
    assert machine.changes == 5


def test_a_process_that_aborts_records_time_and_reason(machine: Machine):
    machine.start()
    write_notes(machine.runtime_dir.file("opened"), replace(NOTES, aborted="the sender has made no progress for 90 s"))
    machine.crash()
    last = machine.start().last
    assert last is not None
    assert last.detail == "the sender has made no progress for 90 s"
    assert last.at != NOW
    machine.crash()


def test_notes_of_an_earlier_start_of_the_machine_are_ignored(machine: Machine):
    machine.start()
    write_notes(machine.runtime_dir.file("opened"), replace(NOTES, boot_id="older", aborted="it hung"))
    machine.crash()
    last = machine.start().last
    assert last is not None
    assert last.reason is CrashReason.KILLED
    machine.crash()


def test_an_exception_is_recorded_in_one_line_without_secrets(machine: Machine):
    begun = machine.start()
    begun.raised(ValueError("no rtsp://me:hunter2@cam/x\nhere" + "x" * 1000))
    machine.crash()
    last = machine.start().last
    assert last is not None
    assert last.detail.startswith("ValueError: no rtsp://")
    assert "hunter2" not in last.detail
    assert "\n" not in last.detail
    machine.crash()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"at": "x", "reason": "killed", "detail": ""}', '{"at": "2026-01-01"}']
)
def test_an_unreadable_record_is_none(text: str, machine: Machine):
    machine.start()
    machine.outbox.set_setting("last_crash", text)
    machine.crash()
    machine.outbox = Outbox(machine.runtime_dir.folder / "outbox.sqlite")
    assert CrashLog(machine.outbox, lambda: NOW).last is None
    machine.outbox.close()


def test_an_agent_that_does_not_run_marks_nothing(tmp_path: Path):
    outbox = Outbox(tmp_path / "outbox.sqlite")
    CrashLog(outbox, lambda: NOW)
    assert outbox.settings() == {}
    outbox.close()
