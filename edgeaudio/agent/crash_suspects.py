"""Sources suspected of having crashed the process before.

Owns: the verdict on a crash. Does not know: what becomes of suspects (source_quarantine.py).

The evidence, strongest first: the watchdog named a reader; the interpreter's own stacks, written when a signal such as
SIGSEGV ends the process, name a thread; the kernel counted a process killed for lack of memory. Without any of them
the process was killed from outside, which incriminates no source; a source that was being opened at three such deaths
in a row is suspected nevertheless.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from edgeaudio.agent.crash_notes import CrashNotes, Phase
from edgeaudio.health.watchdog import FATAL

KILLS = 3  # unexplained deaths in a row, at which the sources that were being opened are suspected
_ABORTED = "Aborted"
# files of threads that work for all sources
_SHARED = ("edgeaudio/agent/recogniser.py", "edgeaudio/sinks/mqtt/sender.py")
TIMEOUT = "Timeout ("  # the interpreter's heading of the stacks of a stalled main thread


@dataclass(frozen=True, slots=True)
class CrashVerdict:
    """Suspects of a crash, and the evidence."""

    suspects: tuple[str, ...] = ()
    how: str = ""
    killed: Mapping[str, int] = field(default_factory=dict)  # as in CrashNotes, this crash included


def suspects_of(notes: CrashNotes, stacks: str, kernel_kills: int | None) -> CrashVerdict:
    """Return the verdict on the process that left these notes and stacks; `kernel_kills`: the count by now."""
    if notes.stuck is not None:
        return CrashVerdict((notes.stuck,), "its reader did not come back")
    if notes.aborted is not None or stacks.lstrip().startswith(TIMEOUT):
        return CrashVerdict()
    if FATAL in stacks:
        return _by_stacks(notes, stacks)
    if kernel_kills is not None and notes.kernel_kills is not None and kernel_kills > notes.kernel_kills:
        return CrashVerdict(_unproven(notes), "killed for want of memory")
    opening = [name for name, (phase, _) in notes.opened.items() if phase is Phase.OPENING]
    killed = {**notes.killed, **{name: notes.killed.get(name, 0) + 1 for name in opening}}
    often = tuple(name for name in _unproven(notes) if killed.get(name, 0) >= KILLS)
    left = {name: count for name, count in killed.items() if name not in often}
    return CrashVerdict(often, f"killed {KILLS} times in a row", left)


def _by_stacks(notes: CrashNotes, stacks: str) -> CrashVerdict:
    how = stacks.partition(FATAL)[2].partition("\n")[0].strip()[:80]
    found = re.search(r"Current thread 0x([0-9a-f]+)", stacks)
    thread = int(found[1], 16) if found else None
    if culprits := tuple(name for name, (_, each) in notes.opened.items() if each == thread):
        return CrashVerdict(culprits, how)
    if how.startswith(_ABORTED) and thread == notes.main_thread:
        return CrashVerdict()  # the service manager's watchdog
    stack = stacks.partition("Current thread")[2].partition("\n\n")[0]
    if any(part in stack for part in _SHARED):
        return CrashVerdict()  # the model's runtime, or the connection to the broker
    return CrashVerdict(_unproven(notes), how)


def _unproven(notes: CrashNotes) -> tuple[str, ...]:
    """Return the source on trial if there is one, else every open source that is not proven."""
    unproven = [name for name, (phase, _) in notes.opened.items() if phase is not Phase.PROVEN]
    return (notes.trial,) if notes.trial is not None and notes.trial in unproven else tuple(unproven)
