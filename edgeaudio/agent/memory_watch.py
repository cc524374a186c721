"""Ends the connections over which a source makes FFmpeg fill the machine's memory.

Owns: the limit, how often memory is measured, and which source is suspected.
Does not know: what fills the memory, or how a connection is ended.

FFmpeg keeps an endless playlist, or an endless head of a file, until it is complete: hundreds of MB a second, in one
call. So memory is measured more often the nearer the limit is. The connection that has recently received most data that
did not become sound is ended first; if that frees nothing, it was not to blame, and the source is tried again at once.
If no connection has received such data, memory has filled slowly: then every _REMIND_S all connections are ended in
turn, the one that has received most in total first.
"""

from __future__ import annotations

import logging
import os
import resource
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgeaudio.capture.reader_counts import Load
from edgeaudio.health.machine import MB, give_back_memory
from edgeaudio.throttled_log import LogThrottle

log = logging.getLogger(__name__)

# memory that an agent needs beyond that at its start, before any source is open
SPARE_MB = 48.0
SPARE_PER_SOURCE_MB = 4.0
# fastest growth between two measurements
FASTEST_MB_PER_S = 1000.0
SHORTEST_S, LONGEST_S = 0.01, 1.0
QUICK_MB = 10.0  # faster growth between two measurements is not memory that was freed and not returned
END_ONE_TIMEOUT_S = 0.3  # for one connection to end, before another is suspected too
END_ALL_TIMEOUT_S = 2.0  # for all suspects; some calls of FFmpeg cannot be interrupted
_STEP_S = 0.01
WINDOW_S = 10.0  # data counts that was received in this window, and in part of the window before
# normal traffic of a connection: data to find the tracks in, and pictures beside the sound
_PROBE_BYTES = 5 * MB
_BYTES_PER_HEARD_S = 2 * MB
# without a count of bytes, CPU time stands in: bytes that a thread copies and parses in a second of it, and the CPU
# time of a small board for a second of sound
_BYTES_PER_CPU_S = 100 * MB
_CPU_PER_HEARD_S = 0.25
_LEAST_FREED_MB = 4.0


class Suspect(Protocol):
    """The part of a source that the watch uses."""

    name: str

    def load(self) -> Load | None: ...

    def end_too_large(self, detail: str) -> None: ...

    def pardon(self) -> None: ...


Loads = dict[str, Load]


@dataclass(frozen=True, slots=True)
class Limit:
    """Limit of resident memory, in MB. `raised`: above the wanted limit, for the process needs it at rest."""

    mb: float
    raised: bool


def limit_of(asked_mb: float | None, bound_mb: float | None, resident_mb: float, sources: int) -> Limit | None:
    """Return the limit in force: `asked_mb`, else half of `bound_mb`; None if both are unknown.

    bound_mb: the most memory that the process may use. resident_mb: its memory at rest.
    """
    wanted_mb = asked_mb if asked_mb is not None else (None if bound_mb is None else bound_mb / 2)
    if wanted_mb is None:
        return None
    needed_mb = resident_mb + SPARE_MB + SPARE_PER_SOURCE_MB * sources
    return Limit(max(wanted_mb, needed_mb), raised=wanted_mb < needed_mb)


class MemoryWatch:
    """Watch over the process's memory, in a thread of its own. Any thread may change `limit_mb`; None: no limit."""

    def __init__(self, suspects: Callable[[], Iterable[Suspect]], *, abort: Callable[[Suspect], None]) -> None:
        """`abort` is called when a connection does not end, so that the process must."""
        self.limit_mb: float | None = None
        self._suspects = suspects
        self._abort = abort
        self._throttle = LogThrottle()
        self._windows: tuple[Loads, Loads] = {}, {}  # loads at the beginning of the last two windows, by source
        self._window_s = float("-inf")  # beginning of the last window, monotonic

    def set_limit(self, asked_mb: float | None, bound_mb: float | None, resident_mb: float, sources: int) -> None:
        """Set the limit as `limit_of` does, and log a warning if it is raised."""
        limit = limit_of(asked_mb, bound_mb, resident_mb, sources)
        if limit is not None and limit.raised:
            log.warning(
                "the memory limit is raised to %.0f MB, for the agent needs that at rest; give it more memory, or set "
                "memory_limit_mb",
                limit.mb,
            )
        self.limit_mb = None if limit is None else limit.mb

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set."""
        with Path("/proc/self/statm").open("rb", buffering=0) as statm:
            wait_s, before_mb = SHORTEST_S, 0.0
            while not stop.wait(wait_s):
                limit_mb, now_mb = self.limit_mb, _resident_mb(statm.fileno())
                wait_s = LONGEST_S
                self._turn_window()
                if limit_mb is None:
                    continue
                if now_mb > limit_mb and now_mb - before_mb < QUICK_MB:
                    give_back_memory()
                    now_mb = _resident_mb(statm.fileno())
                before_mb = now_mb
                if now_mb < limit_mb or self._relieve(limit_mb, statm.fileno(), stop):
                    wait_s = min(max((limit_mb - now_mb) / FASTEST_MB_PER_S, SHORTEST_S), LONGEST_S)

    def _relieve(self, limit_mb: float, statm: int, stop: threading.Event) -> bool:
        """End connections until memory is within its limit; False if no suspect is left."""
        loads = [(suspect, load) for suspect in self._suspects() if (load := suspect.load()) is not None]
        guilt = [(unheard_bytes(self._recent_load(suspect, load)), -load.age_s, suspect) for suspect, load in loads]
        guilt = [each for each in guilt if each[0] > 0]
        if not guilt and self._throttle.is_due("no suspect", time.monotonic()):
            log.warning(
                "the agent's memory is past its limit of %.0f MB, and no source is to blame by itself", limit_mb
            )
            guilt = [(_received_bytes(load), -load.age_s, suspect) for suspect, load in loads]
        ordered = sorted(guilt, key=lambda each: each[:2], reverse=True)
        for unheard, _, suspect in ordered:
            before_mb = _resident_mb(statm)
            suspect.end_too_large(
                f"the agent's memory is {before_mb:.0f} MB, its limit {limit_mb:.0f} MB, and this connection received "
                f"about {unheard / MB:.0f} MB of late that did not become sound"
            )
            ended = _ended([suspect], END_ONE_TIMEOUT_S, stop)
            give_back_memory()
            now_mb = _resident_mb(statm)
            if ended and before_mb - now_mb < _LEAST_FREED_MB:
                suspect.pardon()
            if now_mb < limit_mb:
                return True
        suspected = [suspect for _, _, suspect in ordered]
        if not _ended(suspected, END_ALL_TIMEOUT_S, stop) and _resident_mb(statm) > limit_mb and not stop.is_set():
            self._abort(next((suspect for suspect in suspected if suspect.load() is not None), suspected[0]))
            return False
        give_back_memory()
        return _resident_mb(statm) < limit_mb

    def _turn_window(self) -> None:
        now_s = time.monotonic()
        if now_s - self._window_s >= WINDOW_S:
            self._window_s = now_s
            loads = {suspect.name: load for suspect in self._suspects() if (load := suspect.load()) is not None}
            self._windows = self._windows[1], loads

    def _recent_load(self, suspect: Suspect, load: Load) -> Load:
        """Return a connection's load since the window before this one began, or since the connection began."""
        before = self._windows[0].get(suspect.name)
        if before is None or before.age_s > load.age_s:
            return load
        known = load.received_bytes is not None and before.received_bytes is not None
        return Load(
            age_s=load.age_s,
            heard_s=load.heard_s - before.heard_s,
            received_bytes=(load.received_bytes or 0) - (before.received_bytes or 0) if known else None,
            cpu_s=load.cpu_s - before.cpu_s,
        )


def unheard_bytes(load: Load) -> float:
    """Return how many bytes a connection has received beyond normal traffic for the sound that came of it."""
    usual = _BYTES_PER_HEARD_S if load.received_bytes is not None else _CPU_PER_HEARD_S * _BYTES_PER_CPU_S
    return max(0.0, _received_bytes(load) - _PROBE_BYTES - usual * load.heard_s)


def _received_bytes(load: Load) -> float:
    return load.cpu_s * _BYTES_PER_CPU_S if load.received_bytes is None else load.received_bytes


def _ended(suspects: Iterable[Suspect], timeout_s: float, stop: threading.Event) -> bool:
    """Wait for the suspects' connections to end; False if one has not within the timeout."""
    deadline_s = time.monotonic() + timeout_s
    while any(suspect.load() is not None for suspect in suspects) and not stop.is_set():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(_STEP_S)
    return True


def _resident_mb(statm: int) -> float:
    """Return resident memory in MB; `statm` is the descriptor of /proc/self/statm."""
    return int(os.pread(statm, 128, 0).split()[1]) * resource.getpagesize() / MB
