"""The process and the board: processor, memory, temperature, disk.

Owns: the paths under /proc and /sys, and the C library's malloc settings. A value that the machine lacks is None.
"""

from __future__ import annotations

import contextlib
import ctypes
import re
import resource
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

MB = 1_000_000
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # glibc's malloc.h
# above the arrays of one clip: each block that is mapped costs a page fault for each page, whenever it is allocated
LARGE_BYTES = 512 * 1024
MAX_ARENAS = 2
LEAST_OWN_MB = 256.0


class Machine:
    """Readings of this process and its machine; `root` replaces `/` in tests."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._last = (time.monotonic(), time.process_time())

    def cpu_percent(self) -> float:
        """Return the CPU time since the last call, in percent of one core."""
        now = (time.monotonic(), time.process_time())
        wall_s, cpu_s = now[0] - self._last[0], now[1] - self._last[1]
        self._last = now
        return 100.0 * cpu_s / wall_s if wall_s > 0 else 0.0

    def memory_mb(self) -> float | None:
        """Return the resident memory of the process, in MB."""
        fields = self._text("proc/self/statm").split()
        return int(fields[1]) * resource.getpagesize() / MB if len(fields) > 1 else None

    def memory_bound_mb(self) -> float | None:
        """Return the memory that this process may use, in MB: the machine's, or its control groups' limit if lower."""
        bounds = [limit for path in self._memory_limits() if (limit := self._text(path)).isdigit()]
        total = re.search(r"^MemTotal:\s+(\d+) kB$", self._text("proc/meminfo"), re.MULTILINE)
        bytes_ = [int(bound) for bound in bounds] + ([int(total[1]) * 1024] if total else [])
        return min(bytes_) / MB if bytes_ else None

    def _memory_limits(self) -> Iterator[Path]:
        """Yield files that may hold a limit, of cgroup v2 and v1, for this process's group and all groups above it."""
        groups = Path("sys/fs/cgroup")
        for line in self._text("proc/self/cgroup").splitlines():
            _, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            if controllers == "":
                root, names = groups, ["memory.max", "memory.high"]
            elif "memory" in controllers.split(","):
                root, names = groups / "memory", ["memory.limit_in_bytes"]
            else:
                continue
            # in a container the path may be the host's; the root is then the container's own group
            parts = [part for part in path.split("/") if part not in {"", ".."}]
            for depth in range(len(parts) + 1):
                for name in names:
                    yield root.joinpath(*parts[:depth]) / name

    def temperature_c(self) -> float | None:
        """Return the temperature of the hottest thermal zone."""
        zones = sorted(self._root.glob("sys/class/thermal/thermal_zone*/temp"))
        values = [text for zone in zones if (text := self._text(zone)).lstrip("-").isdigit()]
        return max(int(value) for value in values) / 1000 if values else None

    def throttled(self) -> bool | None:
        """True if a Raspberry Pi's supply voltage has been too low since boot."""
        for name in sorted(self._root.glob("sys/class/hwmon/hwmon*/name")):
            if self._text(name) == "rpi_volt":
                return self._text(name.parent / "in0_lcrit_alarm") == "1"
        return None

    def disk_free_mb(self, path: Path) -> float | None:
        """Return the free space of the file system of `path`, in MB."""
        try:
            return shutil.disk_usage(path).free / MB
        except OSError:
            return None

    def _text(self, path: str | Path) -> str:
        try:
            return (self._root / path).read_text().strip()
        except OSError:
            return ""


@contextlib.contextmanager
def bounded_memory() -> Iterator[None]:
    """Limit this process's own memory to half of what it may use, inside the block.

    For commands, which open untried sources. FFmpeg reports a failed allocation like any other error.
    """
    bound_mb = Machine().memory_bound_mb()
    before = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = [int(max(bound_mb / 2, LEAST_OWN_MB) * MB)] if bound_mb is not None else []
    resource.setrlimit(resource.RLIMIT_DATA, (_least(*before, *wanted), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _least(*limits: int) -> int:
    return min((limit for limit in limits if limit != resource.RLIM_INFINITY), default=resource.RLIM_INFINITY)


def limit_arenas() -> None:
    """Limit malloc to MAX_ARENAS arenas, and map large blocks one by one; a no-op without mallopt (musl).

    glibc makes up to eight arenas per core. Each new reader's thread may get another arena, so that their peaks add up.
    And each large block that is freed raises glibc's mmap threshold: larger blocks then go into arenas, which one small
    block behind them keeps from shrinking. Call it before threads are started.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, MAX_ARENAS)
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)


def give_back_memory() -> None:
    """Return the C library's unused memory to the system; a no-op without malloc_trim (musl).

    Each connection allocates and frees FFmpeg's buffers: without this the process stays as large as its largest peak.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
