"""A real PgBouncer in front of a PostgreSQL, which gives each transaction another connection."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from support.ports import free_port
from support.postgres import Postgres
from support.programs import require_program
from support.waiting import wait_until


@contextmanager
def running_pgbouncer(server: Postgres, *, connections: int) -> Iterator[int]:
    """Yield the port of a pooler of transactions."""
    program = require_program("pgbouncer")
    user = "postgres" if os.geteuid() == 0 else None  # it refuses root, as PostgreSQL does
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="edgeaudio-pgbouncer-") as folder:
        settings = Path(folder) / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n* = host=127.0.0.1 port={server.port} user=edgeaudio\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
            f"pool_mode = transaction\ndefault_pool_size = {connections}\n"
        )
        if user:
            shutil.chown(folder, user)
        process = subprocess.Popen([program, "--quiet", str(settings)], user=user, cwd="/")
        try:
            wait_until(lambda: _answers(server, port), 20, "PgBouncer does not answer")
            yield port
        finally:
            process.kill()
            process.wait(10)


def _answers(server: Postgres, port: int) -> bool:
    with suppress(psycopg.OperationalError):
        psycopg.connect(server.url().replace(f":{server.port}/", f":{port}/"), connect_timeout=2).close()
        return True
    return False
