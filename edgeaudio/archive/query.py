"""Counts of what was heard, and how long was listened: by label, site, day, hour and month.

Owns: the questions, answered by SQL over results, and what their columns mean. Does not know: how answers are shown.

Counts are of events that begin in a cell; hours are those of recordings there, also where nothing was heard. A cell
without recordings is no row, one without events has count 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from edgeaudio.archive.database import Database
from edgeaudio.archive.results import Say, ask
from edgeaudio.archive.selection import Filters, Merging, choose, events_of, in_hours, place_recordings, values_of
from edgeaudio.archive.sites import Sites
from edgeaudio.archive.written_times import named_zone
from edgeaudio.console import counted
from edgeaudio.errors import EdgeaudioError

Key = Literal["label", "site", "day", "hour", "month"]
KEYS: Final[tuple[Key, ...]] = ("label", "site", "day", "hour", "month")
MOST_ROWS: Final = 1_000_000
_SLICE_S: Final = 900  # every zone's hours begin at a quarter of an hour of UTC

# `at` stands for a time; clocks are the zone's
_EXPRESSIONS: Final[dict[Key, str]] = {
    "label": "label",
    "site": "site",
    "day": "CAST(timezone($zone, {at}) AS DATE)",
    "hour": "CAST(extract(hour FROM timezone($zone, {at})) AS INTEGER)",
    "month": "strftime(timezone($zone, {at}), '%Y-%m')",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows by the keys that were asked for, in their order: keys, count of events, hours listened."""

    by: tuple[Key, ...]
    rows: list[tuple[Any, ...]]
    recordings: int  # that any of it was listened to
    hours: float  # listened to in all
    begin: datetime | None  # of the first recording
    end: datetime | None


def query(
    place: Path,
    by: Sequence[Key],
    filters: Filters,
    say: Say,
    *,
    sites: Sites | None = None,
    merge_s: float | None = None,
) -> Answer:
    """Return the counts of a place's events by some of KEYS. Raises EdgeaudioError."""
    keys = tuple(dict.fromkeys(by))
    merging = None if merge_s is None else Merging(merge_s, "chain")

    def work(results: Database) -> Answer:
        left_out = place_recordings(results, sites, filters.sites)
        if left_out:
            say(f"{counted(left_out, 'recording')} of no site in the CSV: under the site (no site)")
        choose(results, filters, merging, "label, site, begins_at")
        _slice(results, filters)
        return _answer(results, keys, filters)

    return ask(place, events_of(filters, few_columns=merging is None), say, work)


_SLICES = f"""
CREATE TABLE slices AS
WITH clipped AS (
  SELECT recordings.recording, site, epoch_us(greatest(begins_at, coalesce($begin, begins_at))) AS begin_us,
         epoch_us(least(ends_at, coalesce($end, ends_at))) AS end_us
  FROM recordings JOIN placed ON placed.recording = recordings.recording
  WHERE {{sites}}
), cut AS (
  SELECT *, unnest(range(begin_us // {_SLICE_S}000000, (end_us - 1) // {_SLICE_S}000000 + 1)) AS slice
  FROM clipped WHERE end_us > begin_us
)
SELECT site, recording, to_timestamp(slice * {_SLICE_S}) AS begins_at,
       (least(end_us, (slice + 1) * {_SLICE_S}000000) - greatest(begin_us, slice * {_SLICE_S}000000)) / 1e6 AS heard_s
FROM cut WHERE {{hours}}
"""


def _slice(results: Database, filters: Filters) -> None:
    """Make the table `slices`: what was listened to, in quarters of an hour."""
    sites = "site IN (SELECT unnest($sites))" if filters.sites else "true"
    sql = _SLICES.format(sites=sites, hours=in_hours(filters, f"to_timestamp(slice * {_SLICE_S})"))
    results.make(sql, values_of(filters, sql))


def _answer(results: Database, by: tuple[Key, ...], filters: Filters) -> Answer:
    rows = list(results.rows(sql := _counts_sql(by), values_of(filters, sql, most=MOST_ROWS + 1)))
    if len(rows) > MOST_ROWS:
        raise EdgeaudioError(f"the answer has more than {MOST_ROWS} rows; ask by fewer keys, or for a shorter time")
    total = "SELECT count(DISTINCT recording), coalesce(sum(heard_s), 0) / 3600 FROM slices"
    (recordings, hours), *_ = results.rows(total)
    (begin, end), *_ = results.rows("SELECT epoch(min(begins_at)), epoch(max(ends_at)) FROM recordings")
    zone = named_zone(filters.zone)
    first, last = (None if at is None else datetime.fromtimestamp(at, zone) for at in (begin, end))
    return Answer(by, rows, recordings, hours, first, last)


def _counts_sql(by: tuple[Key, ...]) -> str:
    """Return the question: all cells that were listened to, each with every label where that is a key."""
    named = [f"{_EXPRESSIONS[key].format(at='begins_at')} AS {key}" for key in by]
    of_cell = [text for key, text in zip(by, named, strict=True) if key != "label"]
    cells = ", ".join([*of_cell, "sum(heard_s) / 3600 AS hours"])
    labels = " CROSS JOIN labels" if "label" in by else ""
    keys = ", ".join(by)
    return f"""
WITH counted AS (SELECT {", ".join(named)}, count(*) AS events FROM chosen GROUP BY ALL),
heard AS (SELECT {cells} FROM slices GROUP BY ALL),
labels AS (SELECT DISTINCT label FROM chosen UNION SELECT unnest(CAST($labels AS VARCHAR[]))),
cells AS (SELECT * FROM heard{labels})
SELECT {keys}, coalesce(events, 0), coalesce(hours, 0)
FROM cells FULL JOIN counted USING ({keys}) ORDER BY {keys} LIMIT $most
"""
