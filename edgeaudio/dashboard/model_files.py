"""Which file a device's model was, by its SHA-256, when an event arrived.

Owns: its tables. Does not know: events, where the hashes come from.

A detection names its model, and the device's health report the hash of that model's file. The report may be lost or
come later, so the last one of each device and model is kept. Each hash is stored once: events have its number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from edgeaudio.dashboard.database import Connection

MAX_FILES: Final = 10_000  # further ones are not known
SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS model_files (number INTEGER PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE)",
    """CREATE TABLE IF NOT EXISTS device_models (
        device TEXT NOT NULL, model TEXT NOT NULL, file INTEGER NOT NULL,
        PRIMARY KEY (device, model)) WITHOUT ROWID""",
)


class ModelFiles:
    """The numbers of files, in one transaction."""

    def __init__(self, db: Connection, sha256_of: Callable[[str, str], str | None]) -> None:
        self._db = db
        self._sha256_of = sha256_of
        self._numbers: dict[tuple[str, str], int | None] = {}  # by device and model

    def number_of(self, device: str, model: str) -> int | None:
        """Return the number of the file that a device's model is; None: it is not known."""
        key = (device, model)
        if key not in self._numbers:
            self._numbers[key] = self._find(device, model)
        return self._numbers[key]

    @staticmethod
    def prune(db: Connection) -> None:
        """Forget the models of devices that have no events."""
        db.execute(
            "DELETE FROM device_models WHERE NOT EXISTS (SELECT 1 FROM events WHERE device = device_models.device)"
        )

    def _find(self, device: str, model: str) -> int | None:
        row = self._db.execute(
            "SELECT file, sha256 FROM device_models JOIN model_files ON number = file WHERE device = ? AND model = ?",
            (device, model),
        ).fetchone()
        last, known = row or (None, None)
        reported = self._sha256_of(device, model)
        if reported is None or reported == known:
            return int(last) if last is not None else None
        number = self._number(reported)
        if number is not None:
            self._db.execute("REPLACE INTO device_models VALUES (?, ?, ?)", (device, model, number))
        return number

    def _number(self, sha256: str) -> int | None:
        query = "SELECT number FROM model_files WHERE sha256 = ?"
        row = self._db.execute(query, (sha256,)).fetchone()
        if row is None:
            (count,) = self._db.execute("SELECT count(*) FROM model_files").fetchone()
            if count >= MAX_FILES:
                return None
            row = self._db.execute("INSERT INTO model_files VALUES (NULL, ?) RETURNING number", (sha256,)).fetchone()
        return int(row[0])
