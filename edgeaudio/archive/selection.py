"""Which events are meant: filters, the site of each, and neighbours made one.

Owns: the table `chosen` in a database of results, made by SQL. Does not know: what is then counted or written.

    chosen: key, recording, site, begins_at, ends_at, offset_s, duration_s, label, score, model, detections

An event belongs to where it begins. `detections` is how many were made one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from edgeaudio.archive.database import Database
from edgeaudio.archive.recorders import recorders_of
from edgeaudio.archive.recordings import FOLLOWS_WITHIN_S
from edgeaudio.archive.results import Wanted
from edgeaudio.archive.sites import Sites, folder_of
from edgeaudio.errors import EdgeaudioError

NO_SITE: Final = "(no site)"  # of recordings that a CSV of sites leaves out
Within = Literal["chain", "recording"]


@dataclass(frozen=True, slots=True)
class Filters:
    """What events must be; an empty one lets all pass."""

    labels: tuple[str, ...] = ()
    score: float = 0.0  # the least
    begin: datetime | None = None  # aware
    end: datetime | None = None  # not included
    sites: tuple[str, ...] = ()
    hours: tuple[int, int] | None = None  # of the zone's clock: from the first to before the second, over midnight too
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Merging:
    """Which neighbours are one: of one label, and at most so many seconds apart."""

    gap_s: float
    within: Within  # recordings that follow without a gap, or each by itself


def in_hours(filters: Filters, at: str) -> str:
    """Return the condition on the hour of a time; `at` is a word of SQL."""
    if filters.hours is None:
        return "true"
    hour = f"extract(hour FROM timezone($zone, {at}))"
    first, last = filters.hours
    return f"({hour} >= $first_hour {'AND' if first < last else 'OR'} {hour} < $last_hour)"


def values_of(filters: Filters, sql: str, **more: object) -> dict[str, object]:
    """Return the values of the parameters that a text of SQL has."""
    first, last = filters.hours or (0, 24)
    values: dict[str, object] = {
        "labels": list(filters.labels),
        "score": filters.score,
        "begin": filters.begin,
        "end": filters.end,
        "sites": list(filters.sites),
        "zone": filters.zone,
        "first_hour": first,
        "last_hour": last,
        **more,
    }
    return {name: value for name, value in values.items() if f"${name}" in sql}


def place_recordings(results: Database, sites: Sites | None, wanted: tuple[str, ...]) -> int:
    """Make the table `placed` with the site of each recording; return how many a CSV leaves out.

    Raises EdgeaudioError if a wanted site has no recording.
    """
    names = [name for (name,) in results.rows("SELECT DISTINCT recording FROM recordings ORDER BY recording")]
    site_of: Callable[[str], str] = folder_of if sites is None else lambda name: _site(sites, name)
    found = [site_of(name) for name in names]
    if missing := [site for site in wanted if site not in found]:
        known = ", ".join(sorted(set(found))[:20])
        raise EdgeaudioError(f"no recording is from the site {missing[0]}; there are {known or 'none'}")
    results.keep("placed", "recording VARCHAR, site VARCHAR", [names, found])
    return found.count(NO_SITE) if sites is not None else 0


def _site(sites: Sites, recording: str) -> str:
    site = sites.of(recording)
    return NO_SITE if site is None else site.site


def events_of(filters: Filters, *, few_columns: bool = False) -> Wanted:
    """Return which rows are read for `choose`. few_columns: those of labels and times alone."""
    condition = " AND ".join(_conditions(filters))
    values = values_of(filters, condition)
    return Wanted(condition, values, _FEW_COLUMNS) if few_columns else Wanted(condition, values)


_FEW_COLUMNS = "kind, key, recording, begins_at, ends_at, label"


def choose(results: Database, filters: Filters, merging: Merging | None = None, columns: str = "*") -> None:
    """Make the table `chosen` of what was read, after `place_recordings`, with those of its columns.

    Raises UnreadableError.
    """
    sql = _EVENTS.format(sites="site IN (SELECT unnest($sites))" if filters.sites else "true")
    more: dict[str, object] = {}
    if merging is not None:
        if merging.within == "chain":
            _place_recorders(results)
            results.make(_CHAINS, {"slack": timedelta(seconds=FOLLOWS_WITHIN_S)})
        else:
            results.make("CREATE TABLE chains AS SELECT key, row_number() OVER () AS chain FROM recordings")
        sql = _MERGED.format(events=sql)
        more = {"gap": timedelta(seconds=merging.gap_s)}
    results.make(f"CREATE TABLE chosen AS SELECT {columns} FROM ({sql})", values_of(filters, sql, **more))
    results.make("DROP TABLE heard")  # which may be large


# what Python can say of it too
_POSSIBLE = (
    "begins_at BETWEEN '1900-01-01 00:00:00+00' AND '2200-01-01 00:00:00+00' AND ends_at < '2300-01-01 00:00:00+00'"
)


def _conditions(filters: Filters) -> list[str]:
    conditions = ["kind = 'event' AND label IS NOT NULL AND score IS NOT NULL", _POSSIBLE]
    if filters.labels:
        conditions.append("label IN (SELECT unnest($labels))")
    if filters.score > 0:
        conditions.append("score >= CAST($score AS FLOAT)")  # as it is kept: else 0.7 would not be 0.7
    if filters.begin is not None:
        conditions.append("begins_at >= $begin")
    if filters.end is not None:
        conditions.append("begins_at < $end")
    if filters.hours is not None:
        conditions.append(in_hours(filters, "begins_at"))
    return conditions


_EVENTS = f"""
SELECT heard.* EXCLUDE (kind), coalesce(site, '{NO_SITE}') AS site, CAST(1 AS BIGINT) AS detections
FROM heard LEFT JOIN placed ON placed.recording = heard.recording
WHERE {{sites}}
"""

# a recording follows another of its recorder if it begins where that ends; `chain` counts those that do not
_CHAINS = """
CREATE TABLE chains AS
WITH following AS (
  SELECT key, recorder, begins_at,
         coalesce(begins_at BETWEEN lag(ends_at) OVER w - $slack AND lag(ends_at) OVER w + $slack, false) AS follows
  FROM recordings JOIN recorders USING (recording) WINDOW w AS (PARTITION BY recorder ORDER BY begins_at, key)
)
SELECT key, sum(CASE WHEN follows THEN 0 ELSE 1 END) OVER (ORDER BY recorder, begins_at, key) AS chain FROM following
"""


def _place_recorders(results: Database) -> None:
    """Make the table `recorders`: a number for each recording."""
    by_folder: dict[str, list[tuple[str, datetime]]] = {}
    for recording, at_us in results.rows("SELECT recording, min(epoch_us(begins_at)) FROM recordings GROUP BY ALL"):
        folder, _, name = recording.rpartition("/")
        begins_at = datetime.fromtimestamp(at_us // 1_000_000, UTC)
        by_folder.setdefault(folder, []).append((name, begins_at))
    numbers: dict[str, int] = {}
    recordings: list[str] = []
    recorders: list[int] = []
    for folder, names in sorted(by_folder.items()):
        for (name, _), recorder in zip(names, recorders_of(folder, names), strict=True):
            recordings.append(f"{folder}/{name}" if folder else name)
            recorders.append(numbers.setdefault(recorder, len(numbers)))
    results.keep("recorders", "recording VARCHAR, recorder BIGINT", [recordings, recorders])


_MERGED = """
WITH events AS ({events}), chained AS (
  SELECT events.*, chain, CASE WHEN chain IS NULL THEN events.key END AS alone
  FROM events LEFT JOIN chains ON chains.key = events.key
), marked AS (
  SELECT *, coalesce(begins_at <= max(ends_at) OVER (
    PARTITION BY chain, alone, label ORDER BY begins_at, ends_at, key, offset_s, score
    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) + $gap, false) AS joins
  FROM chained
), numbered AS (
  SELECT *, sum(CASE WHEN joins THEN 0 ELSE 1 END) OVER (
    PARTITION BY chain, alone, label ORDER BY begins_at, ends_at, key, offset_s, score
    ROWS UNBOUNDED PRECEDING) AS run
  FROM marked
)
SELECT arg_min(key, (begins_at, ends_at, key, offset_s)) AS key,
       arg_min(recording, (begins_at, ends_at, key, offset_s)) AS recording,
       arg_min(site, (begins_at, ends_at, key, offset_s)) AS site,
       min(begins_at) AS begins_at, max(ends_at) AS ends_at,
       arg_min(offset_s, (begins_at, ends_at, key, offset_s)) AS offset_s,
       epoch_us(max(ends_at) - min(begins_at)) / 1e6 AS duration_s,
       label, max(score) AS score, any_value(model) AS model, count(*) AS detections
FROM numbered GROUP BY chain, alone, label, run
"""
