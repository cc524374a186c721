"""A real PostgreSQL for tests: a cluster of its own in a temporary folder, on a Unix socket and a loopback port."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import psycopg
import pytest
from support.ports import free_port
from support.programs import require_program
from support.waiting import wait_until

FAST = ("fsync=off", "full_page_writes=off", "max_wal_size=256MB")


class Postgres:
    """A server that can be started, stopped, killed and frozen; it keeps its port and its data."""

    def __init__(self, folder: Path, *settings: str) -> None:
        """Make a cluster, whose superuser is `edgeaudio` and needs no password."""
        self._server = require_program("postgres")
        self._home = folder
        self._settings = settings
        # as root the server refuses to run: root becomes the user of Debian's package
        self._user = "postgres" if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        if self._user:
            shutil.chown(folder, self._user)
        command = [require_program("initdb"), "--no-sync", "--auth=trust", "--username=edgeaudio", "--encoding=UTF8"]
        command += ["--locale=C", "--no-instructions", "--pgdata", str(folder / "data")]
        subprocess.run(command, check=True, timeout=60, capture_output=True, user=self._user, cwd="/")

    def start(self) -> Self:
        command = [self._server, "-D", str(self._home / "data"), "-p", str(self.port), "-k", ""]
        command += ["-h", "127.0.0.1"]
        for setting in self._settings:
            command += ["-c", setting]
        wait_until(lambda: self._runs(command), 60, "PostgreSQL does not answer")
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://edgeaudio@127.0.0.1:{self.port}/{database}"

    def stop(self, how: int = signal.SIGINT) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def kill(self) -> None:
        """SIGKILL to the server and all of its processes, whose group is its own: as a power cut."""
        self.stop(signal.SIGKILL)

    def new_database(self, name: str) -> str:
        """Make an empty database; return its URL."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def _runs(self, command: list[str]) -> bool:
        """Start the server if it does not run: a killed one may leave processes that must end first."""
        if self._process is None or self._process.poll() is not None:
            with (self._home / "log").open("ab") as log:
                self._process = subprocess.Popen(command, stdout=log, stderr=log, user=self._user, cwd="/")
        with suppress(psycopg.OperationalError):
            psycopg.connect(self.url(), connect_timeout=2).close()
            return True
        return False


@contextmanager
def running_postgres(*settings: str) -> Iterator[Postgres]:
    """Yield a server that runs, in a folder that its user may reach: those of pytest are root's alone."""
    with tempfile.TemporaryDirectory(prefix="edgeaudio-postgres-", ignore_cleanup_errors=True) as folder:
        server = Postgres(Path(folder), *settings).start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Yield a server for all tests of a worker; each test makes a database of its own."""
    with running_postgres(*FAST) as server:
        yield server
