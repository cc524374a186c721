"""Times as people type and read them: in the zone of this machine's user."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime


def moment(text: str) -> datetime:
    """Return the UTC time of a date or time; without a zone it is local. A type for argparse."""
    at = written_moment(text)
    try:
        return at.astimezone(UTC)
    except (ValueError, OverflowError, OSError):  # of a year that the local zone lacks
        raise _no_moment(text) from None


def written_moment(text: str) -> datetime:
    """Return the date or time as it is written: naive where it has no zone of its own. A type for argparse."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise _no_moment(text) from None


def _no_moment(text: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"{text} is no time; write 2026-11-30, 2026-11-30T18:30 or 2026-11-30T17:30Z")


def local_text(at: datetime, timespec: str = "seconds") -> str:
    """Return an aware time in the local zone, with the zone: around a change of clocks an hour comes twice."""
    local = at.astimezone()
    return f"{local.replace(tzinfo=None).isoformat(' ', timespec)} {local:%Z}"
