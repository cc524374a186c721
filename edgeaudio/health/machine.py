"""What the operating system says of this process and this board: processor, memory, heat, disk.

Owns: the places under /proc and /sys. Does not know: who asks. Every value is None where the
machine does not tell it.
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
LARGE_BYTES = 128 * 1024
MAX_HEAPS = 2
LEAST_OWN_MB = 256.0


class Machine:
    """Readings of one process; `root` stands in for `/` in tests."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._last = (time.monotonic(), time.process_time())

    def cpu_percent(self) -> float:
        """Processor time since the last call, of one core, in percent."""
        now = (time.monotonic(), time.process_time())
        wall_s, cpu_s = now[0] - self._last[0], now[1] - self._last[1]
        self._last = now
        return 100.0 * cpu_s / wall_s if wall_s > 0 else 0.0

    def memory_mb(self) -> float | None:
        """Resident memory of the process, in MB."""
        fields = self._text("proc/self/statm").split()
        return int(fields[1]) * resource.getpagesize() / MB if len(fields) > 1 else None

    def memory_bound_mb(self) -> float | None:
        """The most memory that this process may use: the machine's, or that of its control groups if it is less."""
        bounds = [limit for path in self._memory_limits() if (limit := self._text(path)).isdigit()]
        total = re.search(r"^MemTotal:\s+(\d+) kB$", self._text("proc/meminfo"), re.MULTILINE)
        bytes_ = [int(bound) for bound in bounds] + ([int(total[1]) * 1024] if total else [])
        return min(bytes_) / MB if bytes_ else None

    def _memory_limits(self) -> Iterator[Path]:
        """Files that may hold a bound, of cgroup v2 and v1; those of each group around this process's too."""
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
            # in a container the path may be the host's: then the root is the container's own group
            parts = [part for part in path.split("/") if part not in {"", ".."}]
            for depth in range(len(parts) + 1):
                for name in names:
                    yield root.joinpath(*parts[:depth]) / name

    def temperature_c(self) -> float | None:
        """Temperature of the hottest thermal zone."""
        zones = sorted(self._root.glob("sys/class/thermal/thermal_zone*/temp"))
        values = [text for zone in zones if (text := self._text(zone)).lstrip("-").isdigit()]
        return max(int(value) for value in values) / 1000 if values else None

    def throttled(self) -> bool | None:
        """Whether a Raspberry Pi has seen its supply voltage too low since boot."""
        for name in sorted(self._root.glob("sys/class/hwmon/hwmon*/name")):
            if self._text(name) == "rpi_volt":
                return self._text(name.parent / "in0_lcrit_alarm") == "1"
        return None

    def disk_free_mb(self, path: Path) -> float | None:
        """Space that is left where `path` is, in MB."""
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
    """Let this process have no more memory of its own than half of what it may use, inside the block.

    For commands, which open what nobody has tried before. What FFmpeg is then refused, it reports as any other fault.
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
    """Limit malloc to a few arenas, and map large blocks one by one; a no-op where the C library has no mallopt (musl).

    glibc makes up to eight arenas a core. Each reader's thread may get another arena than the one before it, so that
    the peaks of all add up. And each large block that is freed raises glibc's mmap threshold: larger blocks then go
    into the arenas, which a small block behind them keeps from shrinking. Call it before threads are started.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, MAX_HEAPS)
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)


def give_back_memory() -> None:
    """Have the C library return what it holds and does not use; a no-op where it cannot (musl).

    FFmpeg's buffers come and go with every connection: without this the process keeps the shape of
    the worst minute that it has had.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
