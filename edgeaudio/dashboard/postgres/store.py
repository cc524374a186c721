"""The fleet's database as the dashboard's other rooms see it: their DatabaseError, times in Unix ms.

Owns: the words for a database that is away, slow or not to be written to. Does not know: tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from edgeaudio.dashboard.database import DatabaseError
from edgeaudio.fleet_database.database import DatabaseError as FleetDatabaseError
from edgeaudio.fleet_database.database import DatabaseUrl, RowError, TooSlowError
from edgeaudio.fleet_database.queries import STATEMENT_LIMIT_S, Queries, Session

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS: Final = 253_370_764_800_000  # 9999-01-01: PostgreSQL knows later times, Python does not
_FORBIDS: Final = frozenset({"42501", "25006"})  # SQLSTATEs: no right, a server that is only read
_AWAY: Final = "the fleet's database cannot be used now: the dashboard's log says why"
_REFUSED: Final = "the fleet's database can hold no such text or number"
_FORBIDDEN: Final = "the dashboard may not do that in the fleet's database: its log says what to grant"
_SLOW: Final = f"the search took longer than {STATEMENT_LIMIT_S} s: narrow it by device, label or time"


class FleetStore:
    """The database. Every method raises DatabaseError."""

    def __init__(self, url: DatabaseUrl) -> None:
        self._queries = Queries(url)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Yield a transaction, committed on return."""
        try:
            with self._queries.session() as session:
                yield session
        except TooSlowError:
            raise DatabaseError(_SLOW, passing=True, public=_SLOW) from None
        except RowError as error:
            raise DatabaseError(str(error), passing=True, public=_REFUSED) from None
        except FleetDatabaseError as error:
            public = _FORBIDDEN if error.state in _FORBIDS else _AWAY
            raise DatabaseError(str(error), passing=error.passing, public=public) from None

    def check(self) -> None:
        """See that the database is there and of this layout."""
        with self.session():
            pass

    def close(self) -> None:
        self._queries.close()


def at_of(ms: int, microseconds: int = 0) -> datetime:
    """Return Unix milliseconds as a time, the nearest one that there is."""
    return EPOCH + timedelta(milliseconds=min(max(ms, 0), _LAST_MS), microseconds=microseconds)


def ms_of(at: datetime) -> int:
    """Return a time as whole Unix milliseconds, rounded down."""
    return (at - EPOCH) // timedelta(milliseconds=1)
