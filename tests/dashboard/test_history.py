import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dashboard.values import AT_MS, NOW_S, history_of, offset, onset
from hypothesis import given, settings
from hypothesis import strategies as st
from support.dashboards import own_history
from support.examples import examples

from edgeaudio.dashboard import counts as counts_module
from edgeaudio.dashboard import database
from edgeaudio.dashboard import history as module
from edgeaudio.dashboard.database import Database, DatabaseError
from edgeaudio.dashboard.history import SCHEMA, Cursor, Filter, History, HistoryEvent, Page, upgrade
from edgeaudio.dashboard.service import Dashboard
from edgeaudio.dashboard.web.query import cursor_of
from edgeaudio.dashboard.web.values import page_json
from edgeaudio.packed_counts import QUARTER_MS, no_changes
from edgeaudio.steady_clock import SteadyClock
from edgeaudio.wire.payloads import Detection

ALL = Filter()
DAY_S = 86_400.0
EVENT = HistoryEvent(
    *(1, "dock", "porch", "e1", "dog", "home", 0.9, AT_MS, 0.1, AT_MS + 3000, 0.2, 3.0), test=False, onset_lost=False
)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with history_of(tmp_path / "folder" / "history.sqlite", keep_s=30 * DAY_S) as history:
        yield history


def ids(history: History, wanted: Filter = ALL) -> list[str]:
    return [event.id for event in history.page(wanted).events]


def counted(history: History, wanted: Filter = ALL) -> dict[int, dict[str, int]]:
    """Counts of 90 days, by the beginning of their quarter of an hour and label."""
    first_ms = AT_MS // QUARTER_MS * QUARTER_MS - 60 * 96 * QUARTER_MS
    found: dict[int, dict[str, int]] = {}
    for label, counts in history.counts(replace(wanted, from_ms=first_ms), [1] * (90 * 96)).items():
        for place, count in enumerate(counts):
            if count:
                found.setdefault(first_ms + place * QUARTER_MS, {})[label] = count
    return found


@settings(max_examples=examples(30))  # each is a file
@given(order=st.permutations([onset(), offset(), onset(), offset()]), cuts=st.sets(st.integers(1, 3)))
def test_the_order_and_repetitions_of_detections_do_not_matter(
    order: list[Detection], cuts: set[int], tmp_path_factory
) -> None:
    path = tmp_path_factory.mktemp("history") / "history.sqlite"
    with history_of(path, keep_s=DAY_S) as history:
        new = [
            written
            for first, last in itertools.pairwise([0, *sorted(cuts), 4])
            for written in history.write(order[first:last], NOW_S).new
        ]
        (event,) = history.page(ALL).events
        assert replace(event, number=0) == replace(EVENT, number=0)
        assert sorted(detection.kind for detection in new) == ["offset", "onset"]
        assert counted(history) == {AT_MS // QUARTER_MS * QUARTER_MS: {"dog": 1}}


@pytest.mark.parametrize(
    "wanted",
    [
        ALL,
        Filter(device="dock"),
        Filter(device="dock", source="porch"),
        Filter(label="dog", min_score=0.5),
        Filter(verdict="unreviewed"),
        Filter(verdict="wrong", device="dock", label="dog"),
    ],
)
def test_no_page_is_sorted(history: History, monkeypatch: pytest.MonkeyPatch, wanted: Filter) -> None:
    monkeypatch.setattr(module, "_SORTED_AT_MOST", -1)
    history.write([onset()], NOW_S)
    statements: list[str] = []
    with closing(sqlite3.connect(history.database.path)) as db:
        history.page(wanted)
        assert history.database._reader is not None
        history.database._reader.set_trace_callback(statements.append)
        history.page(wanted, Cursor(AT_MS, 5))
        for statement in (one for one in statements if "ORDER BY" in one):
            plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}")]
            assert "USING INDEX" in plan[0]
            assert plan[1:] == [
                "CORRELATED SCALAR SUBQUERY 1",
                "SEARCH model_files USING INTEGER PRIMARY KEY (rowid=?)",
            ]


def test_a_rare_score_is_looked_for_by_itself(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = [onset(f"e{n}", after_s=n, score=0.5 + n % 50 / 100, label=("dog", "cat")[n % 2]) for n in range(200)]
    history.write(batch, NOW_S)
    for wanted in (Filter(min_score=0.97), Filter(min_score=0.9, label="cat", device="dock"), Filter(min_score=1.0)):
        pages: list[Page] = []
        after = None
        while pages == [] or after is not None:
            monkeypatch.setattr(module, "_SORTED_AT_MOST", 10_000)
            pages.append(history.page(wanted, after, limit=5))
            monkeypatch.setattr(module, "_SORTED_AT_MOST", -1)
            assert history.page(wanted, after, limit=5) == pages[-1]
            after = pages[-1].next
    assert len(ids(history, Filter(min_score=0.97))) == 12


@settings(max_examples=examples(30))
@given(
    changes=st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 5 * 96), st.sampled_from([0.0, 0.4, 0.5, 1.0]))
    ),
    batch=st.integers(1, 5),
)
def test_counts_are_those_of_a_list(
    changes: list[tuple[str, int, float]], batch: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("counts") / "history.sqlite"
    steps = [96, 92, 100, 3, 5]
    with history_of(path, keep_s=DAY_S) as history:
        history.database.open()
        for first in range(0, len(changes), batch):
            with history.database.writing() as db:
                noted = no_changes()
                for label, quarter, score in changes[first : first + batch]:
                    counts_module.note(noted, ("dock", "porch"), quarter * QUARTER_MS, label, score, 1)
                counts_module.write(db, noted)
        ends = list(itertools.accumulate(steps, initial=7))
        for wanted in (Filter(from_ms=7 * QUARTER_MS), Filter(from_ms=7 * QUARTER_MS, min_score=0.5, label="a")):
            expected = {
                label: [
                    sum(
                        name == label and begin <= at < end and score >= (wanted.min_score or 0)
                        for name, at, score in changes
                    )
                    for begin, end in itertools.pairwise(ends)
                ]
                for label in (["a", "b"] if wanted.label is None else ["a"])
            }
            assert history.counts(wanted, steps) == {label: of for label, of in expected.items() if any(of)}
        # taken away again, nothing is left
        with history.database.writing() as db:
            noted = no_changes()
            for label, quarter, score in changes:
                counts_module.note(noted, ("dock", "porch"), quarter * QUARTER_MS, label, score, -1)
            counts_module.write(db, noted)
        with history.database.reading() as db:
            assert db.execute("SELECT count(*) FROM counts").fetchone() == (0,)


def test_a_day_with_many_sounds_is_counted_as_one_with_few(history: History) -> None:
    history.database.open()
    with history.database.writing() as db:
        noted = no_changes()
        for quarter in range(2 * 96):
            for hundredths in (50, 70, 90) if quarter < 96 else (90,):
                counts_module.note(noted, ("dock", "porch"), quarter * QUARTER_MS, "dog", hundredths / 100, 1)
        counts_module.write(db, noted)
        rows = db.execute(
            "SELECT length(entries), totals IS NULL FROM counts WHERE device = '' AND source = ''"
        ).fetchall()
    assert rows == [(3 * 96 * 4, 0), (96 * 4, 1)]
    wanted = Filter(from_ms=2 * QUARTER_MS)
    assert history.counts(wanted, [90, 100, 4]) == {"dog": [270, 3 * 4 + 96, 0]}
    assert history.counts(replace(wanted, min_score=0.7), [90, 100, 4]) == {"dog": [180, 2 * 4 + 96, 0]}
    # and when it has few again
    with history.database.writing() as db:
        noted = no_changes()
        for quarter in range(96):
            for hundredths in (50, 90):
                counts_module.note(noted, ("dock", "porch"), quarter * QUARTER_MS, "dog", hundredths / 100, -1)
        counts_module.write(db, noted)
    assert history.counts(wanted, [90, 100, 4]) == {"dog": [90, 4 + 96, 0]}


def test_a_file_of_layout_1_keeps_its_events_and_is_counted_anew(history: History) -> None:
    batch = [onset("a"), onset("b", label="cat", after_s=900, score=0.55), onset("c", test=True)]
    history.write([*batch, offset("a")], NOW_S)
    before, events = counted(history), history.page(ALL)
    history.database.close()
    with closing(sqlite3.connect(history.database.path)) as db:
        db.executescript(
            "DROP TABLE counts; PRAGMA user_version = 1;"
            "CREATE TABLE slots (device TEXT NOT NULL, source TEXT NOT NULL, slot INTEGER NOT NULL,"
            "label TEXT NOT NULL, events INTEGER NOT NULL, PRIMARY KEY (device, source, slot, label)) WITHOUT ROWID"
        )
    history.database.open()
    assert history.page(ALL) == events
    assert counted(history) == before
    assert len(before) == 2
    assert list(counted(history, Filter(min_score=0.6)).values()) == [{"dog": 1}]
    history.database.close()
    with closing(sqlite3.connect(history.database.path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (database.LAYOUT,)
        assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'slots'").fetchone() == (0,)


def test_gaps_outlast_a_restart(history: History) -> None:
    history.write([onset("a", seq=5), onset("b", seq=8)], NOW_S)
    history.database.close()
    written = history.write([onset("c", seq=6)], NOW_S + 1)
    assert written.sequences["dock"].missing == 1
    assert history.sequences() == written.sequences


def test_old_events_go_and_so_do_their_counts(history: History) -> None:
    history.write([onset("old", after_s=-40 * DAY_S)], NOW_S - 40 * DAY_S)
    history.write([onset("new"), onset("late", after_s=-35 * DAY_S)], NOW_S)
    while history.prune(NOW_S):
        pass
    assert ids(history) == ["new", "late"]  # what came late is kept for as long as what came in time
    for scope in (ALL, Filter(device="dock"), Filter(device="dock", source="porch")):
        assert list(counted(history, scope)) == [AT_MS // QUARTER_MS * QUARTER_MS]


def test_the_numbers_of_a_device_go_with_its_last_event(history: History) -> None:
    history.write([onset("old", device="gone")], NOW_S - 40 * DAY_S)
    history.write([onset("new")], NOW_S)
    while history.prune(NOW_S):
        pass
    assert list(history.sequences()) == ["dock"]


def test_a_clock_that_was_wrong_for_a_while_takes_no_other_events_with_it(history: History) -> None:
    history.write([onset("before")], NOW_S)
    history.write([onset("in 1970", after_s=1)], 1000.0)
    history.write([onset("after", after_s=2)], NOW_S)
    assert history.prune(NOW_S) == 0
    assert ids(history) == ["after", "in 1970", "before"]
    assert history.prune(NOW_S + 31 * DAY_S) == 3


def test_events_of_a_clock_that_was_ahead_go_in_time_after_all(history: History) -> None:
    history.write([onset("ahead")], NOW_S + 3650 * DAY_S)
    history.write([onset("after", after_s=1)], NOW_S)
    assert history.prune(NOW_S) == 0
    assert history.prune(NOW_S + 29 * DAY_S) == 0
    assert history.prune(NOW_S + 31 * DAY_S) == 2


def test_too_many_events_go_from_the_oldest(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_EVENTS", 10)
    monkeypatch.setattr(module, "_PRUNED_AT_ONCE", 4)
    history.write([onset(f"e{n}", after_s=n) for n in range(25)], NOW_S)
    pruned = []
    while gone := history.prune(NOW_S):
        pruned.append(gone)
    assert pruned == [4, 4, 4, 3]
    assert ids(history) == [f"e{n}" for n in reversed(range(15, 25))]


def test_a_locked_database_is_one_line_and_works_again(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_LOCK_WAIT_S", 0.05)
    history.database.open()
    with closing(sqlite3.connect(history.database.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseError, match=r"another process has it locked; see which, or set") as caught:
            history.write([onset()], NOW_S)
        assert caught.value.passing
        assert "\n" not in str(caught.value)
        other.execute("ROLLBACK")
    history.write([onset()], NOW_S)
    assert ids(history) == ["e1"]


@pytest.mark.parametrize("place", [0, 4096 * 2])
def test_a_damaged_database_is_renamed_and_a_new_one_begins(
    history: History, place: int, caplog: pytest.LogCaptureFixture
) -> None:
    history.write([onset(f"e{n}") for n in range(2000)], NOW_S)
    history.database.close()
    content = bytearray(history.database.path.read_bytes())
    content[place : place + 60_000] = b"\xa5" * 60_000
    history.database.path.write_bytes(content)
    for n in range(3):
        with suppress(DatabaseError):
            history.write([onset(f"new{n}")], NOW_S)
    assert ids(history)[0] == "new2"
    damaged = history.database.path.with_name("history.sqlite.damaged")
    assert damaged.read_bytes()[place : place + 60_000] == b"\xa5" * 60_000
    assert "is damaged: it is now history.sqlite.damaged, and a new one begins" in caplog.text


def test_a_database_that_is_removed_begins_anew(history: History, caplog: pytest.LogCaptureFixture) -> None:
    history.write([onset("before")], NOW_S)
    assert ids(history) == ["before"]
    for file in history.database.path.parent.glob("history.sqlite*"):
        file.unlink()
    history.write([onset("after")], NOW_S)
    assert ids(history) == ["after"]
    assert "was removed or replaced: it is opened anew" in caplog.text
    history.database.close()
    assert ids(history) == ["after"]


def test_a_database_of_a_newer_edgeaudio_is_left_alone(history: History) -> None:
    history.database.open()
    history.database.close()
    with closing(sqlite3.connect(history.database.path)) as db:
        db.execute(f"PRAGMA user_version = {database.LAYOUT + 1}")
    with pytest.raises(DatabaseError, match="is of a newer edgeaudio") as caught:
        history.database.open()
    assert not caught.value.passing


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE messages (x); PRAGMA user_version = 1")
    before = path.read_bytes()
    with pytest.raises(DatabaseError, match="is a database of another program") as caught:
        Database(path, SCHEMA, upgrade).open()
    assert not caught.value.passing
    assert path.read_bytes() == before


def test_a_database_that_another_dashboard_uses_is_refused(history: History) -> None:
    history.write([onset()], NOW_S)
    with history_of(history.database.path, keep_s=DAY_S) as other:
        with pytest.raises(DatabaseError, match=r"another dashboard uses it: stop that one, or set another") as caught:
            other.database.open()
        assert not caught.value.passing
        history.database.close()
        assert ids(other) == ["e1"]
        other.database.open()


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseError, match=r"history .*: File exists; set dashboard.database") as caught:
        Database(tmp_path / "file" / "history.sqlite", SCHEMA, upgrade).open()
    assert not caught.value.passing
    with pytest.raises(DatabaseError, match="cannot be opened; see that the folder is there"):
        Database(tmp_path, SCHEMA, upgrade).open()


def test_a_search_that_takes_too_long_is_refused(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_READ_LIMIT_S", -1.0)
    history.write([onset(f"e{n}") for n in range(3000)], NOW_S)
    with pytest.raises(DatabaseError, match="narrow it by device, label or time"):
        history.page(Filter(device="dock", source="hall"))


def test_by_a_clock_that_is_not_believed_nothing_is_too_old(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    history.write([onset(f"e{number}", seq=number + 1) for number in range(3)], NOW_S)
    before = counted(history)
    assert history.prune(None) == 0
    assert counted(history) == before
    assert history.prune(NOW_S) == 0  # it was not dated anew
    monkeypatch.setattr(module, "MAX_EVENTS", 2)
    assert history.prune(None) == 1
    assert [event.id for event in history.page(Filter()).events] == ["e2", "e1"]


def test_a_start_by_a_wrong_clock_takes_nothing(dashboard: Dashboard) -> None:
    own_history(dashboard).write([onset()], NOW_S)
    running_s = 0.0
    dashboard._clock = SteadyClock(lambda: 1e10 + running_s, lambda: running_s, lambda: False)
    dashboard._prune()
    assert dashboard.history.page(Filter()).events
    running_s = 8 * DAY_S
    dashboard._prune()
    assert not dashboard.history.page(Filter()).events


def test_an_event_that_would_have_begun_before_1970_has_a_place_among_the_pages(history: History) -> None:
    at = datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC)
    history.write([replace(offset(f"e{n}"), at=at, duration_s=duration_s) for n, duration_s in enumerate([3, 1e10])], 0)
    first = history.page(Filter(), limit=1)
    assert first.next is not None
    place = page_json(first, {}, names=True)["next"]
    second = history.page(Filter(), cursor_of({"after": place}))
    assert [event.begin_ms for event in (*first.events, *second.events)] == [0, 0]


def test_counts_of_a_clock_that_is_ahead_do_not_stay_for_ever(history: History) -> None:
    history.write([onset("e1"), onset("e2", after_s=0.5 * DAY_S), onset("e3", after_s=100 * 365 * DAY_S)], NOW_S)
    history.prune(NOW_S)
    with history.database.reading() as db:
        days = [day for (day,) in db.execute("SELECT DISTINCT day FROM counts ORDER BY day")]
    today = AT_MS // 86_400_000
    assert days == [today, today + 1]
