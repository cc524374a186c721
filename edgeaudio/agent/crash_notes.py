"""Notes that a process leaves for the next one, in case it crashes: which sources are open, and how far each has come.

Owns: the notes' content, their file in the runtime directory, and when it is written.
Does not know: how a crash is judged (crash_suspects.py), or when sources are opened.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from edgeaudio.runtime_files import RuntimeDir

log = logging.getLogger(__name__)

NAME = "opened"
MAX_BYTES = 256 * 1024
_MAX_NAME = 64


class Phase(StrEnum):
    """Progress of a source that is open."""

    OPENING = "opening"
    SOUNDING = "sounding"  # some sound came
    PROVEN = "proven"  # enough of it


@dataclass(frozen=True, slots=True)
class CrashNotes:
    """State of a process, as far as it bears on a crash."""

    boot_id: str  # a process that ended with the machine incriminates no source
    main_thread: int
    kernel_kills: int | None  # out-of-memory kills between the machine's start and this process's
    opened: Mapping[str, tuple[Phase, int]] = field(default_factory=dict)  # phase and thread, by source
    trial: str | None = None  # the source that is tried alone
    stuck: str | None = None  # the source whose reader stalled
    aborted: str | None = None  # why the process ended itself
    killed: Mapping[str, int] = field(default_factory=dict)  # unexplained deaths in a row, by source being opened


class CrashNotesFile:
    """File of the notes in the runtime directory; only changes are written."""

    def __init__(self, runtime_dir: RuntimeDir) -> None:
        self._path = runtime_dir.file(NAME)
        self._in_memory = runtime_dir.in_memory
        self._written: CrashNotes | None = None

    def read_earlier(self) -> CrashNotes | None:
        """Return the notes of the process before; None if there are none, or none that can be read."""
        return read_notes(self._path)

    def write(self, notes: CrashNotes) -> bool:
        """Write the notes if they changed; on a disk, not for each attempt at a source that is away.

        Return False, after a log line, if they cannot be written.
        """
        if not self._in_memory and self._written is not None:
            kept = {
                name: state for name, state in self._written.opened.items() if _may_stay(state, notes.opened.get(name))
            }
            trial = self._written.trial if notes.trial is None and self._written.trial in kept else notes.trial
            notes = replace(notes, opened={**notes.opened, **kept}, trial=trial)
        if notes == self._written:
            return True
        try:
            write_notes(self._path, notes)
        except OSError as error:
            log.warning("what is opened cannot be noted any more: %s", os.strerror(error.errno or 0))
            return False
        self._written = notes
        return True

    def remove(self) -> None:
        """Remove the file. Raises OSError."""
        self._path.unlink(missing_ok=True)


def _may_stay(written: tuple[Phase, int], now: tuple[Phase, int] | None) -> bool:
    """True if a written phase need not be corrected, though the source has closed or is being opened again."""
    return now is None or (now[0] is Phase.OPENING and written[0] is Phase.SOUNDING)


def read_notes(path: Path) -> CrashNotes | None:
    """Return the notes in a file; None if there are none, or none that can be read."""
    try:
        with path.open("rb") as file:
            values = json.loads(file.read(MAX_BYTES))
        opened = {_name(name): (Phase(state[0]), int(state[1])) for name, state in _mapping(values["opened"]).items()}
        killed = {_name(name): int(count) for name, count in _mapping(values["killed"]).items()}
        kills, aborted = values["kernel_kills"], values["aborted"]
        return CrashNotes(
            boot_id=str(values["boot_id"]),
            main_thread=int(values["main_thread"]),
            kernel_kills=None if kills is None else int(kills),
            opened=opened,
            trial=None if values["trial"] is None else _name(values["trial"]),
            stuck=None if values["stuck"] is None else _name(values["stuck"]),
            aborted=None if aborted is None else str(aborted),
            killed=killed,
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError):
        return None


def write_notes(path: Path, notes: CrashNotes) -> None:
    """Replace the file by these notes, at once. Raises OSError."""
    temporary = path.with_suffix(path.suffix + ".new")
    temporary.write_text(json.dumps(asdict(notes)))
    temporary.replace(path)


def boot_id() -> str:
    """Return the identifier of this start of the machine; "" where the kernel has none."""
    return _text(Path("/proc/sys/kernel/random/boot_id")).strip()


def kernel_kills() -> int | None:
    """Return how many processes the kernel has killed for lack of memory since the machine's start."""
    found = re.search(r"^oom_kill (\d+)$", _text(Path("/proc/vmstat")), re.MULTILINE)
    return int(found[1]) if found else None


def _mapping(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("not a table")
    return value


def _name(value: object) -> str:
    if not isinstance(value, str) or len(value) > _MAX_NAME:
        raise ValueError("not a source's name")
    return value


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
