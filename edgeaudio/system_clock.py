"""Whether this machine's clock is known to be wrong: one without a battery begins in the past, until NTP sets it.

Owns: the evidence for it, which is the kernel's word, timesyncd's, and files that are newer than now.
Does not know: what the time is needed for.
"""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path
from typing import Final

_UNSYNCHRONISED: Final = 5  # TIME_ERROR of adjtimex(2)
_TIMEX_BYTES: Final = 1024  # far more than any architecture's struct timex
_TIMESYNC: Final = Path("/run/systemd/timesync")  # timesyncd's; it makes a file in it once it is synchronised
# when each of them was last changed, this machine's clock was right, or behind
_OLDER_THAN_NOW: Final = (
    Path(__file__),
    Path(os.__file__),
    Path("/usr/lib/clock-epoch"),
    Path("/var/lib/systemd/timesync/clock"),
    Path("/etc/fake-hwclock.data"),
)


def why_behind() -> str | None:
    """What shows that this clock may be behind, in words that stay the same from one try to the next; None: nothing."""
    if time.time() < _newest_s():
        return "is older than edgeaudio or this system"
    if _synchronised() is False:
        return "was not synchronised since its start"
    return None


def _newest_s() -> float:
    return max(map(_changed_s, _OLDER_THAN_NOW))


def _changed_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _synchronised() -> bool | None:
    """Whether NTP keeps the clock; None where nobody says. A hardened service may not ask the kernel."""
    answer: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if answer >= 0:
        return answer != _UNSYNCHRONISED
    return (_TIMESYNC / "synchronized").exists() if _TIMESYNC.is_dir() else None
