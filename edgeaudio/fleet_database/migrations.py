"""The layout of the database, brought up to date step by step.

Owns: the steps and their numbers, and refusing a database that a newer edgeaudio has changed.
Does not know: partitions (collect/partitions.py), connections (database.py).

All steps that are missing are one transaction, under an advisory lock: of several processes that start at once, one
makes them and the others find them made. A step that has been released is never edited; a change is a new step.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

from edgeaudio.fleet_database.database import Database, DatabaseError
from edgeaudio.fleet_database.tables import SCHEMA

LOCK: Final = 0x65646701  # of pg_advisory_xact_lock: "edg" and a number

STEPS: Final = (
    """
    CREATE TABLE edgeaudio.detections (
        at timestamptz NOT NULL, device text NOT NULL, source text NOT NULL, id text NOT NULL,
        kind text NOT NULL CHECK (kind IN ('onset', 'offset')), label text NOT NULL, score real NOT NULL,
        at_error_s real, duration_s double precision NOT NULL, model text NOT NULL, seq bigint NOT NULL,
        seq_epoch text NOT NULL, test boolean NOT NULL, received_at timestamptz NOT NULL DEFAULT now()
    ) PARTITION BY RANGE (at);
    CREATE INDEX ON edgeaudio.detections (at);
    CREATE INDEX ON edgeaudio.detections (device, source, at);
    CREATE INDEX ON edgeaudio.detections (label, at);
    CREATE TABLE edgeaudio.misdated_detections
        (LIKE edgeaudio.detections INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
    CREATE UNIQUE INDEX ON edgeaudio.misdated_detections (id, kind, device, source);
    CREATE INDEX ON edgeaudio.misdated_detections (received_at);
    CREATE TABLE edgeaudio.status_changes (
        since timestamptz NOT NULL, device text NOT NULL, source text NOT NULL, state text NOT NULL,
        reason text NOT NULL, detail text NOT NULL, received_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (device, source, since, state, reason)
    ) PARTITION BY RANGE (since);
    CREATE INDEX ON edgeaudio.status_changes (since);
    CREATE TABLE edgeaudio.availability_changes (
        at timestamptz NOT NULL, device text NOT NULL, shard text NOT NULL, online boolean NOT NULL,
        PRIMARY KEY (device, shard, at)
    ) PARTITION BY RANGE (at);
    CREATE TABLE edgeaudio.health (
        begins_at timestamptz NOT NULL, device text NOT NULL, shard text NOT NULL, at timestamptz NOT NULL,
        version text NOT NULL, started_at timestamptz, restarts bigint, cpu_percent double precision,
        memory_mb double precision, temperature_c double precision, disk_free_mb double precision,
        outbox_messages bigint, outbox_bytes bigint, outbox_oldest_s double precision, outbox_dropped bigint,
        outbox_trouble text NOT NULL, sources jsonb NOT NULL, models jsonb NOT NULL,
        PRIMARY KEY (device, shard, begins_at)
    ) PARTITION BY RANGE (begins_at);
    CREATE TABLE edgeaudio.devices (
        device text NOT NULL, shard text NOT NULL, online boolean NOT NULL, changed_at timestamptz NOT NULL,
        PRIMARY KEY (device, shard)
    );
    CREATE TABLE edgeaudio.sources (
        device text NOT NULL, source text NOT NULL, state text NOT NULL, reason text NOT NULL, detail text NOT NULL,
        since timestamptz NOT NULL, codec text NOT NULL, sample_rate integer, channels integer, next_try timestamptz,
        PRIMARY KEY (device, source)
    );
    CREATE VIEW edgeaudio.events AS
        SELECT onset.at AS begins_at, ending.at AS ends_at, onset.device, onset.source, onset.id, onset.label,
            greatest(onset.score, ending.score) AS score, coalesce(ending.duration_s, onset.duration_s) AS duration_s,
            onset.at_error_s AS begin_error_s, ending.at_error_s AS end_error_s, onset.model, onset.test
        FROM edgeaudio.detections AS onset
        LEFT JOIN edgeaudio.detections AS ending
            ON ending.id = onset.id AND ending.kind = 'offset' AND ending.device = onset.device
            AND ending.source = onset.source AND ending.at >= onset.at AND ending.at < onset.at + interval '31 days'
        WHERE onset.kind = 'onset';
    """,
    # what people say on the dashboard; the index: offsets by the beginning of their event, whose onset may be lost
    """
    CREATE INDEX ON edgeaudio.detections
        ((at AT TIME ZONE 'UTC' - make_interval(secs => least(duration_s, 2678400)))) WHERE kind = 'offset';
    CREATE TABLE edgeaudio.reviews (
        device text NOT NULL, source text NOT NULL, id text NOT NULL,
        verdict text NOT NULL CHECK (verdict IN ('right', 'wrong', 'other')), given_label text,
        reviewer text NOT NULL, reviewed_at timestamptz NOT NULL,
        PRIMARY KEY (device, source, id), CHECK ((verdict = 'other') = (given_label IS NOT NULL))
    );
    CREATE INDEX ON edgeaudio.reviews (verdict);
    CREATE INDEX ON edgeaudio.reviews (given_label) WHERE given_label IS NOT NULL;
    CREATE TABLE edgeaudio.review_log (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, device text NOT NULL, source text NOT NULL,
        id text NOT NULL, at timestamptz NOT NULL, reviewer text NOT NULL, verdict text, given_label text
    );
    CREATE INDEX ON edgeaudio.review_log (device, source, id, number);
    CREATE TABLE edgeaudio.missed_sounds (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, device text NOT NULL, source text NOT NULL,
        label text NOT NULL, begins_at timestamptz NOT NULL, ends_at timestamptz NOT NULL, reviewer text NOT NULL,
        marked_at timestamptz NOT NULL
    );
    CREATE INDEX ON edgeaudio.missed_sounds (begins_at, number);
    """,
    # what charts read (packed_counts.py), and what has changed since it was counted: everything that is there. An empty
    # name is all of them, the quarter one of an hour since 1970. Whoever may read or judge may go on
    """
    CREATE TABLE edgeaudio.counts (
        device text NOT NULL, source text NOT NULL, day integer NOT NULL, label text NOT NULL, entries bytea NOT NULL,
        totals bytea, PRIMARY KEY (device, source, day, label)
    );
    CREATE INDEX ON edgeaudio.counts (day);
    CREATE TABLE edgeaudio.uncounted (device text NOT NULL, source text NOT NULL, quarter integer NOT NULL);
    INSERT INTO edgeaudio.uncounted SELECT '', '', quarter FROM generate_series(
        CAST((SELECT extract(epoch FROM min(at)) / 900 FROM edgeaudio.detections) AS integer) - 31 * 96,
        CAST((SELECT extract(epoch FROM max(at)) / 900 FROM edgeaudio.detections) AS integer) + 1) AS quarter;
    DO $$ DECLARE statement text; BEGIN
        FOR statement IN SELECT 'GRANT ' || CASE table_name WHEN 'detections' THEN 'SELECT ON edgeaudio.counts'
                ELSE 'INSERT ON edgeaudio.uncounted' END || ' TO '
                || CASE grantee WHEN 'PUBLIC' THEN 'PUBLIC' ELSE quote_ident(grantee) END
            FROM information_schema.table_privileges WHERE table_schema = 'edgeaudio'
                AND (table_name, privilege_type) IN (('detections', 'SELECT'), ('reviews', 'INSERT'))
        LOOP EXECUTE statement; END LOOP;
    END $$;
    """,
    # of fused models; a column without a default is added without writing a row
    """
    ALTER TABLE edgeaudio.detections ADD COLUMN members jsonb;
    ALTER TABLE edgeaudio.misdated_detections ADD COLUMN members jsonb;
    """,
)
LAYOUT: Final = len(STEPS)
# SQLSTATEs that say so: a table is there already, a column or its type is not ours
_OTHERS: Final = frozenset({"42P07", "42703", "42804", "42883"})


def migrate(database: Database) -> None:
    """Bring the layout up to date. Raises DatabaseError, not `passing` if it is newer, or of another program."""
    try:
        with database.transaction() as db:
            _migrate(db, database)
    except DatabaseError as error:
        if error.state not in _OTHERS:
            raise
        raise DatabaseError(
            f"database {database.url}: the schema {SCHEMA} has tables of another program: name another database",
            passing=False,
        ) from None


def _migrate(db: Connection, database: Database) -> None:
    _require_known(_layout(db), database)
    if _layout(db) == LAYOUT:
        return
    db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    done = _layout(db)
    _require_known(done, database)
    if done == 0:
        db.exec_driver_sql(
            f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}; CREATE TABLE IF NOT EXISTS {SCHEMA}.migrations "
            "(number integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
    for number, step in enumerate(STEPS[done:], done + 1):
        db.exec_driver_sql(step)
        db.execute(text(f"INSERT INTO {SCHEMA}.migrations (number) VALUES (:number)"), {"number": number})  # noqa: S608 - a constant


def require_layout(db: Connection, database: Database) -> None:
    """Refuse what this edgeaudio cannot read; nothing is written. Raises DatabaseError."""
    layout = _layout(db)
    _require_known(layout, database)
    if layout == 0:
        raise DatabaseError(f"database {database.url}: has no tables yet: edgeaudio collect makes them")
    if layout < LAYOUT:
        raise DatabaseError(
            f"database {database.url}: is of an older edgeaudio (layout {layout}, this one needs {LAYOUT}): start the "
            "edgeaudio collect of this version, which brings it up to date",
            passing=False,
        )


def _layout(db: Connection) -> int:
    """Return the number of the last step that was made; 0: none."""
    # from the catalogue itself: to_regclass would still say what it knew before the lock was waited for
    known = text("SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = :schema AND tablename = 'migrations'")
    if not db.scalar(known, {"schema": SCHEMA}):
        return 0
    return int(db.scalar(text(f"SELECT coalesce(max(number), 0) FROM {SCHEMA}.migrations")) or 0)  # noqa: S608 - a constant


def _require_known(layout: int, database: Database) -> None:
    if layout > LAYOUT:
        raise DatabaseError(
            f"database {database.url}: is of a newer edgeaudio (layout {layout}, this one knows {LAYOUT}): "
            "upgrade this one, or name another database",
            passing=False,
        )
