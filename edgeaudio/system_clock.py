"""Whether NTP keeps this machine's clock, and evidence that it is behind.

A clock without a battery starts in the past, until NTP sets it. The evidence is the kernel's state, that of timesyncd,
and files that are newer than now.
"""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path
from typing import Final

_UNSYNCHRONISED: Final = 5  # TIME_ERROR of adjtimex(2)
_TIMEX_BYTES: Final = 1024  # far more than any architecture's struct timex
_TIMESYNC: Final = Path("/run/systemd/timesync")  # timesyncd makes a file in it once it is synchronised
# each file's modification time was once the present, by a clock that was right or behind
_OLDER_THAN_NOW: Final = (
    Path(__file__),
    Path(os.__file__),
    Path("/usr/lib/clock-epoch"),
    Path("/var/lib/systemd/timesync/clock"),
    Path("/etc/fake-hwclock.data"),
)


def why_behind() -> str | None:
    """Return the evidence that the clock is behind, in words that do not vary between calls; None: there is none."""
    if time.time() < _newest_s():
        return "is older than edgeaudio or this system"
    if is_synchronised() is False:
        return "was not synchronised since its start"
    return None


def is_synchronised() -> bool | None:
    """True if NTP keeps the clock; None if unknown: a hardened service may not ask the kernel."""
    answer: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if answer >= 0:
        return answer != _UNSYNCHRONISED
    return (_TIMESYNC / "synchronized").exists() if _TIMESYNC.is_dir() else None


def _newest_s() -> float:
    return max(map(_changed_s, _OLDER_THAN_NOW))


def _changed_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
