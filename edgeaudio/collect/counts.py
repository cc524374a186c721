"""What this process has done, in numbers. Thread-safe."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Final

STORED: Final = "stored"
REPEATED: Final = "repeated"  # was stored before
MISDATED: Final = "misdated"  # detections whose time nobody can believe: in a table of their own
EXPIRED: Final = "expired"  # older than what is kept
REFUSED: Final = "refused"  # breaks the wire contract
UNSTORABLE: Final = "unstorable"  # PostgreSQL does not take its values
FAILURES: Final = "database_failures"  # transactions that failed and are made again


class Counts:
    """Messages by what became of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, what: str, number: int = 1) -> None:
        with self._lock:
            self._counts[what] += number

    def all(self) -> dict[str, int]:
        with self._lock:
            return {what: self._counts[what] for what in NAMES}


NAMES: Final = (STORED, REPEATED, MISDATED, EXPIRED, REFUSED, UNSTORABLE, FAILURES)
