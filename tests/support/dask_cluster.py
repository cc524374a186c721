"""A real Dask on loopback: a scheduler and workers of one thread, as their command lines start them."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from support.brokers import ROOT
from support.ports import free_port
from support.processes import children_of, command_line_of
from support.waiting import wait_until

# as docs/archives.md says: workers only wait, and need neither a profile of themselves nor a look at the clock
ENVIRONMENT = {
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
}
OPTIONS = ("--memory-limit", "0")  # of workers


class Dask:
    """The cluster; use it in a `with` block."""

    def __init__(self, folder: Path, *, workers: int) -> None:
        self._folder = folder
        self._count = workers
        self._stack = ExitStack()
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self.workers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self._folder.mkdir()
        port = self.address.rpartition(":")[2]
        self._scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", port)
        for number in range(self._count):
            own = (
                "--nthreads",
                "1",
                *OPTIONS,
                "--name",
                str(number),
                "--local-directory",
                str(self._folder),
                "--host",
                "127.0.0.1",
            )
            self.workers.append(self._start("worker", self.address, *own))
        wait_until(lambda: len(self.worker_pids()) == self._count, 60.0, "no workers of Dask")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def processes(self) -> list[subprocess.Popen[bytes]]:
        """The scheduler, and the nannies of the workers."""
        return [self._scheduler, *self.workers]

    def worker_pids(self) -> list[int]:
        """Of the processes below the nannies."""
        return [pid for nanny in self.workers for pid in children_of(nanny.pid) if "spawn_main" in command_line_of(pid)]

    def kill_scheduler(self) -> None:
        """End the scheduler without a word."""
        self._scheduler.kill()

    def _start(self, kind: str, *options: str) -> subprocess.Popen[bytes]:
        log = self._stack.enter_context((self._folder / f"{kind}.log").open("ab"))
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", kind, *options, "--dashboard-address", "127.0.0.1:0"],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=self._folder,
            env=os.environ | ENVIRONMENT | {"PYTHONPATH": str(ROOT / "tests")},
        )
        self._stack.callback(_end, process)
        return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
