"""What the page needs of events, whoever keeps them: the dashboard's own SQLite, or the PostgreSQL of a fleet.

Owns: the methods that both have, and choosing one. Does not know: tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edgeaudio.dashboard.history import Cursor, Filter, HistoryEvent, Page
from edgeaudio.dashboard.missed import MissedPage, MissedSound
from edgeaudio.dashboard.reviews import Changed, Judgement, LoggedChange

if TYPE_CHECKING:
    from edgeaudio.dashboard.postgres.store import FleetStore
    from edgeaudio.fleet_database.database import DatabaseUrl


class EventHistory(Protocol):
    """Events that are read. Every method raises DatabaseError."""

    def page(self, wanted: Filter, after: Cursor | None = None, limit: int = 100) -> Page: ...

    def event(self, device: str, source: str, event_id: str) -> HistoryEvent | None: ...

    def counts(self, wanted: Filter, steps: Sequence[int]) -> dict[str, list[int]]: ...


class EventReviews(Protocol):
    """Verdicts. Every method raises DatabaseError."""

    def judge(self, judgements: Sequence[Judgement], reviewer: str, now_s: float) -> Changed: ...

    def log(self, event: HistoryEvent) -> list[LoggedChange]: ...


class MissedStore(Protocol):
    """Sounds that were not detected. Every method raises DatabaseError."""

    def add(
        self, device: str, source: str, label: str, span_ms: tuple[int, int], reviewer: str, now_s: float
    ) -> MissedSound: ...

    def remove(self, numbers: tuple[int, ...]) -> list[MissedSound]: ...

    def page(self, wanted: Filter, after: Cursor | None = None, limit: int = 100) -> MissedPage: ...

    def labels(self) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class FleetEvents:
    """What a fleet's database has of all three."""

    store: FleetStore
    history: EventHistory
    reviews: EventReviews
    missed: MissedStore

    @classmethod
    def of(cls, url: DatabaseUrl) -> FleetEvents:
        """Return them; nothing is connected yet. Imports what knows PostgreSQL, which nobody else needs."""
        from edgeaudio.dashboard.postgres.history import FleetHistory  # noqa: PLC0415
        from edgeaudio.dashboard.postgres.missed import FleetMissedSounds  # noqa: PLC0415
        from edgeaudio.dashboard.postgres.reviews import FleetReviews  # noqa: PLC0415
        from edgeaudio.dashboard.postgres.store import FleetStore  # noqa: PLC0415

        store = FleetStore(url)
        return cls(store, FleetHistory(store), FleetReviews(store), FleetMissedSounds(store))
