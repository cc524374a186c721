"""What an earlier process of this agent has left behind, and which sources that makes suspects.

Owns: the notes in the runtime directory, and the judgement. Does not know: what becomes of suspects.

The evidence, strongest first: the watchdog that named a reader; the interpreter's own stacks, written as a signal such
as SIGSEGV ended the process, which name the thread; the kernel's count of processes that it killed for want of memory.
Where there is none of it, somebody has killed the process, and that says nothing; but a source that was being opened
at three such deaths in a row is suspected all the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from edgeaudio.health.watchdog import FATAL

KILLS = 3  # that nothing explains, at which whoever was being opened each time is suspected
MAX_BYTES = 256 * 1024
_MAX_NAME = 64
_ABORTED = "Aborted"
# in the stacks of threads that work for all sources
_SHARED = ("edgeaudio/agent/recogniser.py", "edgeaudio/sinks/mqtt/sender.py")
TIMEOUT = "Timeout ("  # how the interpreter heads the stacks of a main thread that stood still


class Phase(StrEnum):
    """How far an open source has come."""

    OPENING = "opening"
    SOUNDING = "sounding"  # some sound came
    PROVEN = "proven"  # enough of it


@dataclass(frozen=True, slots=True)
class CrashNotes:
    """What a process has to say to the next one."""

    boot_id: str  # what a power cut ended is nobody's fault
    main_thread: int
    kernel_kills: int | None  # for want of memory, since the machine's start, as this process began
    opened: Mapping[str, tuple[Phase, int]] = field(default_factory=dict)  # and its thread
    trial: str | None = None
    stuck: str | None = None  # the source whose reader did not come back
    gave_up: str | None = None  # why the process ended itself
    killed: Mapping[str, int] = field(default_factory=dict)  # deaths in a row that nothing explains


@dataclass(frozen=True, slots=True)
class CrashVerdict:
    """Who is suspected, and why."""

    suspects: tuple[str, ...] = ()
    how: str = ""
    killed: Mapping[str, int] = field(default_factory=dict)


def suspects_of(notes: CrashNotes, stacks: str, kernel_kills: int | None) -> CrashVerdict:
    """Judge how a process ended of which these notes and stacks were left."""
    if notes.stuck is not None:
        return CrashVerdict((notes.stuck,), "its reader did not come back")
    if notes.gave_up is not None or stacks.lstrip().startswith(TIMEOUT):
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
        return CrashVerdict()  # the model's runtime, or the way to the broker
    return CrashVerdict(_unproven(notes), how)


def _unproven(notes: CrashNotes) -> tuple[str, ...]:
    """Who may be to blame: whoever is on trial alone; else all that are not proven, with some sound or without."""
    unproven = [name for name, (phase, _) in notes.opened.items() if phase is not Phase.PROVEN]
    return (notes.trial,) if notes.trial is not None and notes.trial in unproven else tuple(unproven)


def boot_id() -> str:
    """What tells one start of the machine from another; "" where it does not say."""
    return _text(Path("/proc/sys/kernel/random/boot_id")).strip()


def kernel_kills() -> int | None:
    """How many processes the kernel has killed for want of memory since the machine's start."""
    found = re.search(r"^oom_kill (\d+)$", _text(Path("/proc/vmstat")), re.MULTILINE)
    return int(found[1]) if found else None


def read_notes(path: Path) -> CrashNotes | None:
    """What `write_notes` wrote; None where there is nothing, or nothing that makes sense."""
    try:
        with path.open("rb") as file:
            values = json.loads(file.read(MAX_BYTES))
        opened = {_name(name): (Phase(state[0]), int(state[1])) for name, state in _mapping(values["opened"]).items()}
        killed = {_name(name): int(count) for name, count in _mapping(values["killed"]).items()}
        kills = values["kernel_kills"]
        return CrashNotes(
            boot_id=str(values["boot_id"]),
            main_thread=int(values["main_thread"]),
            kernel_kills=None if kills is None else int(kills),
            opened=opened,
            trial=None if values["trial"] is None else _name(values["trial"]),
            stuck=None if values["stuck"] is None else _name(values["stuck"]),
            gave_up=None if values["gave_up"] is None else str(values["gave_up"]),
            killed=killed,
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError):
        return None


def write_notes(path: Path, notes: CrashNotes) -> None:
    """Write the notes, all of them or none. Raises OSError."""
    temporary = path.with_suffix(path.suffix + ".new")
    temporary.write_text(json.dumps(asdict(notes)))
    temporary.replace(path)


def _mapping(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("no table")
    return value


def _name(value: object) -> str:
    if not isinstance(value, str) or len(value) > _MAX_NAME:
        raise ValueError("no name of a source")
    return value


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
