"""The processes below a process, as /proc has them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path


def children_of(pid: int) -> list[int]:
    """Return the processes that a process started and that run still; none where it has ended."""
    children: list[int] = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (thread / "children").read_text().split())
    return children


def tree_of(pid: int) -> Iterator[int]:
    """Yield a process and all below it."""
    yield pid
    for child in children_of(pid):
        yield from tree_of(child)


def command_line_of(pid: int) -> str:
    """Return the command line as `ps` shows it to everybody; empty where the process has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def pss_mb(pid: int) -> float:
    """Return the memory of a process in MB, shared pages by its share; 0 where it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1000
    return 0.0
