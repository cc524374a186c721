"""Permission to open a source, asked for before each connection."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Hold:
    """A source must not be opened now."""

    until: datetime  # estimated
    wait_s: float  # before the next question
    detail: str  # why


class Admission:
    """Permission that is always given, and the progress of each connection; a subclass may hold a source back.

    All methods are called in the reader's thread.
    """

    def ask(self) -> Hold | None:
        """Return None if the source may be opened; the reader opens it at once."""
        return None

    def sounding(self) -> None:
        """Note the first sound of the connection."""

    def proven(self) -> None:
        """Note that the connection has brought PROVEN_S (reader.py) of sound, or all of a recording."""

    def over(self) -> None:
        """Note that the connection is over, or was not made."""
