"""Verdicts, their log, and what is counted; missed sounds; the labels that are known; files of an older layout."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from dashboard.test_history import counted
from dashboard.values import AT_MS, NOW_S, history_of, offset, onset
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from edgeaudio.dashboard import model_files
from edgeaudio.dashboard.database import LAYOUT
from edgeaudio.dashboard.history import Filter, History, Verdict
from edgeaudio.dashboard.reviews import Judgement, Reviews
from edgeaudio.packed_counts import QUARTER_MS

DAY_S = 86_400.0
KEEP_S = 30 * DAY_S
ALL = Filter()
QUARTER = AT_MS // QUARTER_MS * QUARTER_MS
SHA = {letter: letter * 64 for letter in "abc"}


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with history_of(tmp_path / "history.sqlite", keep_s=KEEP_S) as history:
        history.database.open()
        yield history


def judged(event_id: str, verdict: Verdict | None, label: str | None = None, device: str = "dock") -> Judgement:
    return Judgement(device, "porch", event_id, verdict, label)


def ids(history: History, wanted: Filter) -> list[str]:
    return [event.id for event in history.page(wanted).events]


def prune(history: History, now_s: float) -> None:
    while history.prune(now_s):
        pass


def test_the_log_goes_with_its_event(history: History) -> None:
    history.write([onset("a")], NOW_S)
    store = Reviews(history)
    store.judge([judged("a", "right")], "anna", NOW_S)
    (event,) = history.page(ALL).events
    store.judge([judged("a", None)], "anna", NOW_S)
    assert len(store.log(event)) == 2
    prune(history, NOW_S + KEEP_S + 1)
    assert store.log(event) == []


def test_what_is_reviewed_stays_and_the_rest_goes(history: History) -> None:
    history.write([onset(f"e{n}", after_s=n) for n in range(5)], NOW_S)
    store = Reviews(history)
    store.judge([judged("e0", "right"), judged("e2", "wrong")], "anna", NOW_S)
    later_s = NOW_S + KEEP_S + DAY_S
    history.write([onset("new", after_s=KEEP_S - DAY_S)], later_s)
    prune(history, later_s)
    assert ids(history, ALL) == ["new", "e2", "e0"]
    # the charts end where they end: a verdict withdrawn counts nothing there, and the event goes
    assert sum(labels["dog"] for labels in counted(history).values()) == 1
    store.judge([judged("e2", None)], "anna", later_s)
    assert sum(labels["dog"] for labels in counted(history).values()) == 1
    prune(history, later_s)
    assert ids(history, ALL) == ["new", "e0"]


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[str, int, str]]:
    kinds = ["onset", "offset", "right", "wrong", "cat", "none", "prune"]
    return draw(
        st.lists(st.tuples(st.sampled_from(kinds), st.integers(0, 5), st.sampled_from(["dog", "cow"])), max_size=25)
    )


@settings(max_examples=examples(40), deadline=None)  # each is a file
@given(steps=steps())
def test_counts_are_always_those_of_the_rows(
    steps: Sequence[tuple[str, int, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    now_s = NOW_S
    with history_of(tmp_path_factory.mktemp("reviews") / "history.sqlite", keep_s=DAY_S) as history:
        store = Reviews(history)
        history.database.open()
        for kind, number, label in steps:
            now_s += 0.2 * DAY_S
            event_id, after_s = f"e{number}", now_s - NOW_S - 600.0 * number
            if kind == "onset":
                history.write([onset(event_id, after_s=after_s, label=label)], now_s)
            elif kind == "offset":
                history.write([offset(event_id, after_s=after_s - 900, lasted_s=900, label=label)], now_s)
            elif kind == "prune":
                prune(history, now_s)
            else:
                verdict = {"cat": "other", "none": None}.get(kind, kind)
                store.judge([judged(event_id, verdict, "cat" if kind == "cat" else None)], "anna", now_s)  # type: ignore[arg-type]
            check_counts(history, now_s)


def check_counts(history: History, now_s: float) -> None:
    """Count the rows again. Before the time that is kept, rows have gone and counts have not."""
    first_ms = history.oldest_ms(now_s) // QUARTER_MS * QUARTER_MS + QUARTER_MS
    expected: Counter[tuple[int, str]] = Counter()
    for event in history.page(ALL, limit=500).events:
        label = event.given_label or event.label
        if event.verdict != "wrong" and event.begin_ms >= first_ms:
            expected[event.begin_ms // QUARTER_MS * QUARTER_MS, label] += 1
    for scope in (ALL, Filter(device="dock"), Filter(device="dock", source="porch")):
        found = {
            (at, label): count
            for at, labels in counted(history, scope).items()
            for label, count in labels.items()
            if at >= first_ms
        }
        assert found == dict(expected)


def test_an_event_has_the_hash_that_its_device_had_last_reported(tmp_path: Path) -> None:
    reported: dict[tuple[str, str], str] = {}
    path = tmp_path / "history.sqlite"

    def sha256_of(device: str, model: str) -> str | None:
        return reported.get((device, model))

    with history_of(path, keep_s=KEEP_S, sha256_of=sha256_of) as history:
        history.write([onset("unknown", seq=1)], NOW_S)
        reported["dock", "home"] = SHA["a"]
        history.write([onset("a", seq=2), onset("shed", device="shed"), onset("x", model="alarms", seq=3)], NOW_S)
        reported["dock", "home"] = SHA["b"]
        history.write([onset("b", seq=4)], NOW_S)
    reported.clear()  # a restart: the report has not come again yet
    with history_of(path, keep_s=KEEP_S, sha256_of=sha256_of) as history:
        history.write([onset("later", seq=5)], NOW_S)
        found = {event.id: event.model_sha256 for event in history.page(ALL).events}
        unknown = dict.fromkeys(("unknown", "shed", "x"))
        assert found == unknown | {"a": SHA["a"], "b": SHA["b"], "later": SHA["b"]}
        prune(history, NOW_S + KEEP_S + 1)
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT count(*) FROM device_models").fetchone() == (0,)


def test_hashes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files, "MAX_FILES", 1)
    hashes = iter("abc")
    with history_of(tmp_path / "history.sqlite", keep_s=KEEP_S, sha256_of=lambda *_: SHA[next(hashes)]) as history:
        for n in range(2):
            history.write([onset(f"e{n}", after_s=n, seq=n)], NOW_S)
        assert [event.model_sha256 for event in history.page(ALL).events] == [None, SHA["a"]]


# as layout 1 had it
LAYOUT_1 = """
CREATE TABLE events (
    number INTEGER PRIMARY KEY, device TEXT NOT NULL, source TEXT NOT NULL, id TEXT NOT NULL, label TEXT NOT NULL,
    model TEXT NOT NULL, score REAL NOT NULL, begin_ms INTEGER NOT NULL, begin_error_s REAL, end_ms INTEGER,
    end_error_s REAL, duration_s REAL NOT NULL, test INTEGER NOT NULL, kinds INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    UNIQUE (device, source, id));
CREATE INDEX events_by_begin ON events (begin_ms);
CREATE INDEX events_by_device ON events (device, begin_ms);
CREATE INDEX events_by_label ON events (label, begin_ms);
CREATE TABLE slots (
    device TEXT NOT NULL, source TEXT NOT NULL, slot INTEGER NOT NULL, label TEXT NOT NULL, events INTEGER NOT NULL,
    PRIMARY KEY (device, source, slot, label)) WITHOUT ROWID;
CREATE TABLE sequences (device TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
PRAGMA application_id = 1701078888;
PRAGMA user_version = 1;
"""


def test_a_file_of_layout_1_opens_and_keeps_its_events(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(LAYOUT_1)
        row = ("dock", "porch", "old", "dog", "home", 0.8, AT_MS, None, None, None, 0.5, 0, 1, int(NOW_S * 1000))
        db.execute(f"INSERT INTO events VALUES (1{', ?' * 14})", row)  # noqa: S608 - a constant
        for scope in (("dock", "porch"), ("dock", ""), ("", "")):
            db.execute("INSERT INTO slots VALUES (?, ?, ?, 'dog', 1)", (*scope, AT_MS // QUARTER_MS))
        db.commit()
    for _ in range(2):  # the second time it is of this layout
        with history_of(path, keep_s=KEEP_S) as history:
            history.database.open()
            (event,) = history.page(ALL).events
            assert (event.id, event.label, event.model_sha256) == ("old", "dog", None)
    with history_of(path, keep_s=KEEP_S) as history:
        history.write([offset("old")], NOW_S)
        Reviews(history).judge([judged("old", "wrong")], "anna", NOW_S)
        assert counted(history) == {}
        assert ids(history, Filter(verdict="wrong")) == ["old"]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (LAYOUT,)
        new = tmp_path / "new.sqlite"
        with history_of(new, keep_s=KEEP_S) as history:
            history.database.open()
        with closing(sqlite3.connect(new)) as other:
            names = "SELECT name FROM sqlite_master ORDER BY name"
            assert db.execute(names).fetchall() == other.execute(names).fetchall()
            columns = "SELECT name FROM pragma_table_info('events')"
            assert set(db.execute(columns)) == set(other.execute(columns))
