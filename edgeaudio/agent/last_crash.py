"""How the last process of this agent that crashed ended, kept in the state over restarts of the machine.

Owns: the mark of a running agent, the verdict on a mark without an orderly end, and the record of the last crash.
Does not know: which sources are to blame (crash_suspects.py), what is published of it (health/report.py).

The state is written at a start, at an orderly end and at a crash, never in between: a memory card wears out with each
write.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from edgeaudio.agent.crash_notes import NAME, CrashNotes, boot_id, kernel_kills, read_notes
from edgeaudio.agent.crash_suspects import TIMEOUT
from edgeaudio.agent.source_quarantine import Store
from edgeaudio.health.report import Crash, CrashReason
from edgeaudio.health.watchdog import FATAL
from edgeaudio.redact import mask
from edgeaudio.runtime_files import RuntimeDir

log = logging.getLogger(__name__)

_RUNNING = "running"  # boot_id of the process that has not ended in good order
_LAST = "last_crash"
MAX_DETAIL = 200
_OURS = re.compile(r"edgeaudio/[a-z_/]+\.py$")
_FRAME = re.compile(r'File "[^"]*?(edgeaudio/[a-z_/]+\.py)", line (\d+)')


class CrashLog:
    """Record of the last crash. Nothing is marked before `begin`, so a command that only reads is no process."""

    def __init__(self, store: Store, utc: Callable[[], datetime]) -> None:
        self._store = store
        self._utc = utc
        self._last = _read(store.settings().get(_LAST, ""))

    @property
    def last(self) -> Crash | None:
        return self._last

    def begin(self, runtime_dir: RuntimeDir | None, stacks: str, stacks_at: datetime | None) -> None:
        """Judge how the process before ended, and mark this one as running.

        Call it before the notes of the process before are overwritten.
        """
        boot = boot_id()
        earlier_boot = self._store.settings().get(_RUNNING)
        if earlier_boot is not None:
            path = None if runtime_dir is None else runtime_dir.file(NAME)
            notes = None if path is None else read_notes(path)
            if notes is not None and notes.boot_id != earlier_boot:
                notes = None
            reason, detail = how_it_ended(earlier_boot == boot, notes, stacks, kernel_kills())
            at = stacks_at
            if at is None and path is not None and notes is not None and notes.aborted is not None:
                at = _changed_at(path)
            self._keep(Crash(at or self._utc(), reason, detail))
            log.error("the agent was not stopped last time (%s): %s", reason, detail)
        self._store.set_setting(_RUNNING, boot)

    def raised(self, error: BaseException) -> None:
        """Record the unexpected exception that ends this process."""
        frames = traceback.extract_tb(error.__traceback__)
        places = [f"{found[0]}:{frame.lineno}" for frame in frames if (found := _OURS.search(frame.filename))]
        what = str(error).partition("\n")[0]
        words = f"{type(error).__name__}: {what}" if what else type(error).__name__
        self._keep(Crash(self._utc(), CrashReason.EXCEPTION, f"{words} in {places[-1]}" if places else words))
        self.end()

    def end(self) -> None:
        """Remove the mark: the process ends in good order, or its crash is recorded."""
        self._store.set_setting(_RUNNING, None)

    def _keep(self, crash: Crash) -> None:
        self._last = crash = Crash(crash.at, crash.reason, mask(crash.detail)[:MAX_DETAIL])
        values = {"at": crash.at.isoformat(), "reason": crash.reason, "detail": crash.detail}
        self._store.set_setting(_LAST, json.dumps(values))


def how_it_ended(same_boot: bool, notes: CrashNotes | None, stacks: str, kills: int | None) -> tuple[CrashReason, str]:
    """Return reason and detail of a crash.

    same_boot: the machine has not been restarted since. notes, stacks: what the process left.
    kills: `kernel_kills` by now.
    """
    if FATAL in stacks:
        fatal = stacks.partition(FATAL)[2]
        found = _FRAME.search(fatal.partition("Current thread")[2].partition("\n\n")[0])
        return CrashReason.SIGNAL, fatal.partition("\n")[0].strip() + (f" in {found[1]}:{found[2]}" if found else "")
    if notes is not None and notes.aborted is not None:
        return CrashReason.STUCK, notes.aborted
    if stacks.lstrip().startswith(TIMEOUT):
        return CrashReason.STUCK, "the main thread had not moved for too long"
    if not same_boot:
        return (
            CrashReason.MACHINE_RESET,
            "the machine began anew and had not stopped the agent: a power cut, a crash of the system, or a reset",
        )
    if kills is not None and notes is not None and notes.kernel_kills is not None and kills > notes.kernel_kills:
        return CrashReason.OUT_OF_MEMORY, "killed while the kernel killed for want of memory"
    return CrashReason.KILLED, "it ended without a word, as by SIGKILL"


def _changed_at(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except (OSError, ValueError, OverflowError):
        return None


def _read(text: str) -> Crash | None:
    try:
        values = json.loads(text)
        at = datetime.fromisoformat(values["at"]).astimezone(UTC)
        return Crash(at, CrashReason(values["reason"]), str(values["detail"])[:MAX_DETAIL])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
