"""The dashboard on the PostgreSQL of a fleet: slow, of other rights, with hostile text, and behind a pooler or TLS."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from collect.test_writer import HEALTH
from dashboard.values import AT, AT_MS, NOW_S, history_of, offset, onset
from support.brokers import MosquittoFactory
from support.certificates import authority, issue, names
from support.dashboards import RunningDashboard
from support.pgbouncer import running_pgbouncer
from support.postgres import FAST, Postgres, running_postgres
from support.waiting import wait_until

from edgeaudio.cli import main
from edgeaudio.collect.chart_counts import count_noted
from edgeaudio.collect.counts import Counts
from edgeaudio.collect.writer import Writer
from edgeaudio.dashboard.database import DatabaseError
from edgeaudio.dashboard.event_store import FleetEvents
from edgeaudio.dashboard.history import Cursor, Filter
from edgeaudio.dashboard.reviews import Judgement
from edgeaudio.dashboard.training_set import REVIEWS
from edgeaudio.fleet_database import queries
from edgeaudio.fleet_database.database import Database, SessionLock, Use, parse_database_url
from edgeaudio.fleet_database.migrations import STEPS, migrate
from edgeaudio.packed_counts import QUARTER_MS

ALL = Filter()
# of SQL, HTML, other scripts and directions, half of an emoji's parts, and as long as MQTT lets them be
HOSTILE = (
    "'; DROP TABLE edgeaudio.detections; --",
    "' OR '1'='1",
    '" UNION SELECT 1 --',
    "%s %(x)s :label \\' $1 {x}",
    "<script>alert(1)</script>",
    "\u202eevil\u2066",
    "e\u0301🐕\u200d🦺",
    "\ufffd\ufeff\x7f\x1b[31m",
    "x" * 200,
)
_NUMBERS = itertools.count(1)


@pytest.fixture
def url(postgres: Postgres) -> str:
    """Return the URL of an empty database."""
    return postgres.new_database(f"faults_{next(_NUMBERS)}")


@contextmanager
def fleet_of(url: str) -> Iterator[FleetEvents]:
    fleet = FleetEvents.of(parse_database_url(url))
    with closing(fleet.store):
        yield fleet


@contextmanager
def writer_of(url: str) -> Iterator[tuple[Writer, Database]]:
    with closing(Database(parse_database_url(url), connections=1)) as database:
        writer = Writer(database, Counts(), keep_months=None)
        writer.prepare()
        yield writer, database


def role_of(url: str, *grants: str) -> str:
    """Make a role with these rights; return the URL with it."""
    role = f"role_{next(_NUMBERS)}"
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(f"CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA edgeaudio TO {role}")
        for grant in grants:
            db.execute(f"GRANT {grant} TO {role}")
    return url.replace("edgeaudio@", f"{role}@")


def chart(fleet: FleetEvents, wanted: Filter = ALL) -> dict[str, list[int]]:
    return fleet.history.counts(replace(wanted, from_ms=AT_MS // QUARTER_MS * QUARTER_MS), [1])


def test_text_from_the_wire_stays_text_in_every_filter(url: str) -> None:
    with writer_of(url) as (writer, database), fleet_of(url) as fleet:
        writer.write([onset(f"e{n}", after_s=n / 100, label=label) for n, label in enumerate(HOSTILE)])
        writer.write([onset(label, label="dog", model=label) for label in HOSTILE])
        count_noted(database)
        assert {event.label for event in fleet.history.page(ALL).events} == {*HOSTILE, "dog"}
        for n, text in enumerate(HOSTILE):
            assert [event.id for event in fleet.history.page(Filter(label=text)).events] == [f"e{n}"]
            for nobody in (Filter(device=text), Filter(source=text), Filter(device="dock", source=text)):
                assert fleet.history.page(nobody).events == ()
                assert chart(fleet, nobody) == {}
            assert chart(fleet, Filter(label=text)) == {text: [1]}
            assert fleet.history.event("dock", "porch", text) is not None
            assert fleet.history.event(text, text, text) is None
            judged = Judgement("dock", "porch", text, "other", text)
            assert fleet.reviews.judge([judged], text, NOW_S).left_out == 0
            fleet.missed.add("dock", "porch", text, (AT_MS, AT_MS + 1), text, NOW_S)
            assert [sound.label for sound in fleet.missed.page(Filter(label=text)).sounds] == [text]
        assert fleet.history.page(ALL, Cursor((1 << 53) - 1, (1 << 53) - 1)).events
        count_noted(database)
        assert chart(fleet) == {text: [2] for text in sorted(HOSTILE)}
        assert set(fleet.missed.labels()) == {*HOSTILE, "dog"}
        for text in ("\x00", "a\x00b", "\ud800"):
            with pytest.raises(DatabaseError) as caught:
                fleet.history.page(Filter(label=text))
            assert caught.value.public == "the fleet's database can hold no such text or number"
        assert len(fleet.history.page(ALL).events) == 2 * len(HOSTILE)


def test_counts_are_those_of_the_rows_whatever_was_stored_before_they_were_kept(url: str) -> None:
    """A database of the layout before them is brought up to date, with its rights, and counted."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(
            "CREATE SCHEMA edgeaudio; CREATE TABLE edgeaudio.migrations "
            "(number integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        for number, step in enumerate(STEPS[:2], 1):
            db.execute(step)
            db.execute("INSERT INTO edgeaudio.migrations (number) VALUES (%s)", (number,))
        db.execute(
            "CREATE TABLE edgeaudio.detections_2026_11 PARTITION OF edgeaudio.detections "
            "FOR VALUES FROM ('2026-11-01 00:00Z') TO ('2026-12-01 00:00Z');"
            "CREATE UNIQUE INDEX ON edgeaudio.detections_2026_11 (id, kind, device, source)"
        )
        for kind, at in (("onset", AT), ("offset", offset().at)):
            db.execute(
                "INSERT INTO edgeaudio.detections VALUES (%s, 'dock', 'porch', 'e1', %s, 'dog', 0.9, NULL, 3, 'home', "
                "1, 'a', false)",
                (at, kind),
            )
    reader = role_of(url, "SELECT ON edgeaudio.detections, edgeaudio.migrations, edgeaudio.reviews")
    with writer_of(url) as (writer, database), fleet_of(reader) as fleet:
        for _ in range(2):
            while not count_noted(database):
                pass
            assert chart(fleet) == chart(fleet, Filter(device="dock", source="porch", min_score=0.9)) == {"dog": [1]}
            writer.write([onset(), offset()])  # delivered again
        writer.write([onset("e2")])
        count_noted(database)
        assert chart(fleet) == {"dog": [2]}


def test_members_of_an_event_are_those_of_its_highest_score(url: str) -> None:
    began, ended = (("home", 0.7), ("yamnet", 0.5)), (("home", 0.9),)
    with writer_of(url) as (writer, _), fleet_of(url) as fleet:
        writer.write([onset(members=began), offset(members=ended), onset("e2", members=began), onset("e3")])
        found = [fleet.history.event("dock", "porch", name) for name in ("e1", "e2", "e3")]
        assert [event and event.members for event in found] == [ended, began, ()]


def test_two_that_count_at_once_count_each_event_once(url: str) -> None:
    with writer_of(url) as (writer, database), closing(Database(parse_database_url(url), connections=4)) as several:
        for round_ in range(4):
            writer.write([onset(f"e{round_}-{n}", source=f"s{n % 5}") for n in range(40)])
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda _: count_noted(several, 2), range(8)))
        while not count_noted(database):
            pass
    with fleet_of(url) as fleet:
        assert chart(fleet) == {"dog": [160]}


def test_a_slow_search_is_one_line_and_leaves_connections_for_others(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "_USE", Use("x", connect_timeout_s=2, statement_timeout_s=1))
    with writer_of(url) as (writer, _), fleet_of(url) as fleet:
        writer.write([onset()])

        def slow(_: int) -> str:
            with pytest.raises(DatabaseError) as caught, fleet.store.session() as db:
                db.rows("SELECT pg_sleep(30)")
            assert caught.value.passing
            return caught.value.public

        begun_s = time.monotonic()
        with ThreadPoolExecutor(12) as pool:
            told = set(pool.map(slow, range(12)))
        assert told == {"the search took longer than 5 s: narrow it by device, label or time"}
        assert time.monotonic() - begun_s < 20  # and not twelve times half a minute
        assert len(fleet.history.page(ALL).events) == 1


def test_whoever_may_not_write_reads_and_is_told_so(url: str) -> None:
    with writer_of(url) as (writer, _):
        writer.write([onset()])
    reader = role_of(url, "SELECT ON ALL TABLES IN SCHEMA edgeaudio")
    judge = role_of(
        url,
        "SELECT ON ALL TABLES IN SCHEMA edgeaudio",
        "INSERT, UPDATE, DELETE ON edgeaudio.reviews, edgeaudio.review_log, edgeaudio.missed_sounds",
        "INSERT ON edgeaudio.uncounted",
    )
    judgement = Judgement("dock", "porch", "e1", "right")
    read_only = f"{judge}?options=-c%20default_transaction_read_only%3Don"
    for url_of in (reader, read_only):
        with fleet_of(url_of) as fleet:
            assert len(fleet.history.page(ALL).events) == 1
            assert chart(fleet) == {}
            for write in (
                lambda fleet=fleet: fleet.reviews.judge([judgement], "anna", NOW_S),
                lambda fleet=fleet: fleet.missed.add("dock", "porch", "owl", (AT_MS, AT_MS + 1), "anna", NOW_S),
            ):
                with pytest.raises(DatabaseError) as caught:
                    write()
                assert caught.value.public == (
                    "the dashboard may not do that in the fleet's database: its log says what to grant"
                )
    with fleet_of(judge) as fleet:
        assert fleet.reviews.judge([judgement], "anna", NOW_S).before


def test_the_hash_of_a_model_is_what_its_device_reported_at_the_time(url: str) -> None:
    sha = "a" * 64
    with writer_of(url) as (writer, _), fleet_of(url) as fleet:
        writer.write([replace(HEALTH, at=AT, models={"home": sha}), replace(HEALTH, device="shed", at=AT)])
        writer.write([onset(), onset("late", after_s=1800), onset("x", model="'; --"), onset("y", device="shed")])
        found = {event.id: event.model_sha256 for event in fleet.history.page(ALL).events}
        assert found == {"e1": sha, "late": None, "x": None, "y": None}


@pytest.mark.parametrize("action", [(), ("export", "DIR")])
def test_what_must_be_mended_at_the_start_is_one_line(
    url: str, action: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("starlette", reason="the extra `dashboard` brings it")
    secret = tmp_path / "database.txt"
    secret.write_text(url.replace("edgeaudio@", "edgeaudio:s3cret@"))
    target = [str(tmp_path / "out") if each == "DIR" else each for each in action]

    def run(option: str) -> str:
        history = tmp_path / f"{next(_NUMBERS)}.sqlite"  # a process has its own until it ends
        history.touch()
        settings = ("--set", "mqtt.url=mqtt://127.0.0.1:1", "--set", f"dashboard.database={history}")
        assert main(["dashboard", *settings, "--database", option, *target]) == 2
        return capsys.readouterr().err.strip().split("\n")[-1]

    with closing(Database(parse_database_url(url), connections=1)) as database:
        migrate(database)
    for statement, said in (
        ("DELETE FROM edgeaudio.migrations WHERE number > 1", "is of an older edgeaudio (layout 1"),
        ("INSERT INTO edgeaudio.migrations (number) VALUES (99)", "is of a newer edgeaudio (layout 99"),
    ):
        with psycopg.connect(url, autocommit=True) as db:
            db.execute(statement)
        error = run(f"@{secret}")
        assert said in error
        assert "s3cret" not in error
    for option, said in (
        ("postgresql://u:s3cret@db/x", "--database holds a password"),
        ("postgresql://u:s3@cret@db/x", "can be read in two ways"),
        ("mysql://u:s3cret@db/x", "must begin with postgresql://"),
        ("@/nowhere", "/nowhere: secret file cannot be read"),
    ):
        error = run(option)
        assert said in error
        assert "cret@" not in error


def test_the_page_asks_with_hostile_text_and_the_password_is_seen_nowhere(
    mosquitto: MosquittoFactory,
    run_dashboard: Callable[..., RunningDashboard],
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with writer_of(url) as (writer, _):
        writer.write([onset()])
    monkeypatch.setenv("EDGEAUDIO_FLEET_DATABASE", url.replace("edgeaudio@", "edgeaudio:s3cret@"))
    page = run_dashboard(mosquitto().start()).start()
    for text in HOSTILE:
        for key in ("device", "source", "label"):
            answer = page.get(f"/api/events?{key}={quote(text)}")
            assert (answer.status, answer.json()["events"]) == (200, [])
    answer = page.get("/api/events?label=a%00b")
    assert answer.status == 503
    assert "PostgreSQL text fields cannot contain NUL" in answer.json()["error"]
    assert len(page.get("/api/events").json()["events"]) == 1
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("INSERT INTO edgeaudio.migrations (number) VALUES (99)")
        assert page.get("/api/events").status == 503
        db.execute("DELETE FROM edgeaudio.migrations WHERE number = 99")
    assert page.get("/api/events").status == 200
    assert page.process is not None
    assert "s3cret" not in page.log
    assert b"s3cret" not in Path(f"/proc/{page.process.pid}/cmdline").read_bytes()


def test_a_pooler_of_transactions_may_stand_before_the_database(
    postgres: Postgres, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each transaction may get another connection of the server: nothing may be left in one, or expected there."""
    monkeypatch.setattr(queries, "_USE", Use("x", connect_timeout_s=5, statement_timeout_s=2))
    with running_pgbouncer(postgres, connections=3) as port:
        pooled = url.replace(f":{postgres.port}/", f":{port}/")
        with (
            writer_of(pooled) as (writer, database),
            fleet_of(pooled) as fleet,
            closing(Database(parse_database_url(pooled), connections=1)) as other,
        ):
            first, second = SessionLock(database, 7), SessionLock(other, 7)
            assert first.is_held()

            def use(n: int) -> None:
                fleet.history.page(Filter(min_score=0.1 * (n % 9)))
                chart(fleet)
                assert not second.is_held()

            for n in range(8):  # a driver prepares a statement that comes for the sixth time
                writer.write([onset(f"e{n}"), offset(f"e{n}")])
                count_noted(database)
                use(n)
            with ThreadPoolExecutor(4) as pool:
                pages = pool.map(lambda n: fleet.history.page(Filter(min_score=0.1 * (n % 9))), range(40))
                assert {len(page.events) for page in pages} == {8}
            assert chart(fleet) == {"dog": [8]}
            assert first.is_held()
            with pytest.raises(DatabaseError), fleet.store.session() as db:
                db.rows("SELECT pg_sleep(60)")  # the limit is that of the transaction
            first.release()
            wait_until(second.is_held, 10, "the lock is not free")
            second.release()
            with psycopg.connect(pooled, autocommit=True) as strange:
                assert strange.execute("SHOW statement_timeout").fetchone() == ("0",)


def test_libpq_reads_the_address_the_password_and_the_authority_from_its_own_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, wrong = authority(), authority("other")
    with tempfile.TemporaryDirectory(prefix="edgeaudio-tls-") as name:
        folder = Path(name)
        certificate, key = issue("127.0.0.1", right, extensions=[names("127.0.0.1")]).write(folder, "server")
        rules = folder / "pg_hba.conf"
        rules.write_text("host all edgeaudio 127.0.0.1/32 trust\nhostssl all page 127.0.0.1/32 scram-sha-256\n")
        key.chmod(0o600)
        if os.geteuid() == 0:
            for path in (folder, certificate, key, rules):
                shutil.chown(path, "postgres")
        tls = ("ssl=on", f"ssl_cert_file={certificate}", f"ssl_key_file={key}", f"hba_file={rules}")
        with running_postgres(*FAST, *tls) as server:
            with writer_of(server.url()) as (writer, _):
                writer.write([onset()])
            with psycopg.connect(server.url(), autocommit=True) as db:
                db.execute("CREATE ROLE page LOGIN PASSWORD 's3cret'; GRANT USAGE ON SCHEMA edgeaudio TO page")
                db.execute("GRANT SELECT ON ALL TABLES IN SCHEMA edgeaudio TO page")
            roots = {True: tmp_path / "right.crt", False: tmp_path / "wrong.crt"}
            roots[True].write_bytes(right.pem)
            roots[False].write_bytes(wrong.pem)
            passwords, service = tmp_path / "pgpass", tmp_path / "services"
            passwords.write_text(f"127.0.0.1:{server.port}:postgres:page:s3cret\n")
            passwords.chmod(0o600)
            service.write_text(
                f"[fleet]\nhost=127.0.0.1\nport={server.port}\ndbname=postgres\nuser=page\nsslmode=verify-full\n"
            )
            monkeypatch.setenv("PGPASSFILE", str(passwords))
            monkeypatch.setenv("PGSERVICEFILE", str(service))
            monkeypatch.setenv("PGSERVICE", "fleet")
            for is_right, path in roots.items():
                monkeypatch.setenv("PGSSLROOTCERT", str(path))
                with fleet_of("postgresql://") as fleet:
                    if is_right:
                        assert len(fleet.history.page(ALL).events) == 1
                        continue
                    with pytest.raises(DatabaseError, match="certificate verify failed") as caught:
                        fleet.history.page(ALL)
                    assert "s3cret" not in str(caught.value)


def test_what_a_fleet_reviewed_is_exported(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with writer_of(url) as (writer, _), fleet_of(url) as fleet:
        writer.write([onset(f"e{n}", after_s=n, label=label) for n, label in enumerate(HOSTILE)])
        fleet.reviews.judge([Judgement("dock", "porch", f"e{n}", "right") for n in range(len(HOSTILE))], "anna", NOW_S)
    with history_of(tmp_path / "sounds.sqlite", keep_s=1e9) as history:  # of the logins, and of the clips
        history.open()
    settings = ("--set", f"dashboard.database={tmp_path / 'sounds.sqlite'}")
    target = tmp_path / "out"
    assert main(["dashboard", "export", *settings, "--database", url, str(target)]) == 0
    assert f"0 sounds of {len(HOSTILE)} records" in capsys.readouterr().out
    records = [json.loads(line) for line in (target / REVIEWS).read_text().splitlines()]
    assert {record["label"] for record in records} == set(HOSTILE)
