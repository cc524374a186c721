"""Events, verdicts and missed sounds of both stores: the dashboard's own SQLite, and the PostgreSQL of a fleet."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
from dashboard.values import AT_MS, NOW_S, history_of, offset, onset
from support.ports import free_port
from support.postgres import Postgres

from edgeaudio.collect.chart_counts import count_noted
from edgeaudio.collect.counts import Counts
from edgeaudio.collect.writer import Writer
from edgeaudio.dashboard import missed, reviews
from edgeaudio.dashboard.database import DatabaseError
from edgeaudio.dashboard.event_store import EventHistory, EventReviews, FleetEvents, MissedStore
from edgeaudio.dashboard.history import Filter
from edgeaudio.dashboard.missed import FullError, MissedSounds
from edgeaudio.dashboard.reviews import MAX_LOGGED, Judgement, Reviews
from edgeaudio.dashboard.unrecorded import Unrecorded
from edgeaudio.fleet_database.database import Database, parse_database_url
from edgeaudio.fleet_database.migrations import LAYOUT, migrate
from edgeaudio.packed_counts import QUARTER_MS
from edgeaudio.wire.payloads import Detection

ALL = Filter()
DAY_S = 86_400.0
QUARTER = AT_MS // QUARTER_MS * QUARTER_MS
_NUMBERS = itertools.count(1)


@dataclass
class Events:
    """A store with what writes its detections, and what counts them for charts if writing does not."""

    write: Callable[[Sequence[Detection]], object]
    history: EventHistory
    reviews: EventReviews
    missed: MissedStore
    count: Callable[[], object] = lambda: None


@pytest.fixture
def fleet_url(postgres: Postgres) -> str:
    """Return the URL of an empty database."""
    return postgres.new_database(f"dashboard_{next(_NUMBERS)}")


@pytest.fixture(params=["sqlite", "postgres"])
def events(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Events]:
    if request.param == "sqlite":
        with history_of(tmp_path / "history.sqlite", keep_s=30 * DAY_S) as history:
            yield Events(
                lambda batch: history.write(batch, NOW_S), history, Reviews(history), MissedSounds(history.database)
            )
        return
    url = request.getfixturevalue("fleet_url")

    parsed = parse_database_url(url)
    fleet = FleetEvents.of(parsed)
    with closing(Database(parsed, connections=1)) as database, closing(fleet.store):
        writer = Writer(database, Counts(), keep_months=None)
        writer.prepare()
        yield Events(writer.write, fleet.history, fleet.reviews, fleet.missed, lambda: count_noted(database))


def ids(events: Events, wanted: Filter = ALL) -> list[str]:
    return [event.id for event in events.history.page(wanted).events]


def counted(events: Events, wanted: Filter = ALL) -> dict[int, dict[str, int]]:
    events.count()
    first_ms = QUARTER - 60 * 96 * QUARTER_MS
    found: dict[int, dict[str, int]] = {}
    for label, counts in events.history.counts(replace(wanted, from_ms=first_ms), [1] * (90 * 96)).items():
        for place, count in enumerate(counts):
            if count:
                found.setdefault(first_ms + place * QUARTER_MS, {})[label] = count
    return found


def judged(event_id: str, verdict: str | None, label: str | None = None) -> Judgement:
    return Judgement("dock", "porch", event_id, verdict, label)  # type: ignore[arg-type]


@pytest.mark.parametrize("order", [*itertools.permutations([onset(), offset(), onset()])])
def test_an_onset_and_its_offset_are_one_event_in_any_order(events: Events, order: tuple[Detection, ...]) -> None:
    for detection in order:
        events.write([detection])
    (event,) = events.history.page(ALL).events
    assert (event.begin_ms, event.begin_error_s) == (AT_MS, 0.1)
    assert (event.end_ms, event.end_error_s, event.duration_s) == (AT_MS + 3000, 0.2, 3.0)
    assert (event.score, event.test, event.onset_lost, event.verdict) == (0.9, False, False, None)
    assert events.history.event("dock", "porch", "e1") == event
    assert events.history.event("dock", "porch", "e2") is None
    assert counted(events) == {QUARTER: {"dog": 1}}


def test_an_onset_that_comes_late_moves_the_count_to_its_own_quarter(events: Events) -> None:
    # heard in part: the offset's duration is shorter than the time since the onset
    events.write([offset(after_s=890, lasted_s=20)])
    assert counted(events) == {QUARTER + QUARTER_MS: {"dog": 1}}
    events.write([onset(after_s=-120)])
    assert counted(events) == {QUARTER - QUARTER_MS: {"dog": 1}}


def test_an_offset_with_a_higher_score_moves_the_count(events: Events) -> None:
    events.write([onset(after_s=-120, score=0.8), offset(after_s=890, lasted_s=20, score=0.9)])
    events.write([offset("e2", score=0.9)])
    assert counted(events, Filter(min_score=0.9)) == {QUARTER - QUARTER_MS: {"dog": 1}, QUARTER: {"dog": 1}}
    events.write([onset("e2", score=0.8)])
    for least in (0.9, None):
        wanted = Filter(min_score=least)
        assert counted(events, wanted) == {QUARTER - QUARTER_MS: {"dog": 1}, QUARTER: {"dog": 1}}


def test_an_event_goes_on_until_its_offset_comes(events: Events) -> None:
    events.write([onset()])
    (event,) = events.history.page(ALL).events
    assert (event.end_ms, event.score, event.duration_s) == (None, 0.8, 0.5)


def test_an_offset_without_its_onset_is_an_event(events: Events) -> None:
    events.write([offset(lasted_s=3.0), onset("e2", after_s=1), offset("e3", after_s=2)])
    assert ids(events) == ["e3", "e2", "e1"]
    lost = events.history.event("dock", "porch", "e1")
    assert lost is not None
    assert lost.onset_lost
    assert (lost.begin_ms, lost.end_ms, lost.score) == (AT_MS, AT_MS + 3000, 0.9)
    assert counted(events) == {QUARTER: {"dog": 3}}


def test_devices_do_not_share_ids(events: Events) -> None:
    events.write([onset(), onset(device="shed"), onset(source="hall"), offset(source="hall")])
    found = {(event.device, event.source, event.end_ms) for event in events.history.page(ALL).events}
    assert found == {
        ("dock", "hall", AT_MS + 3000),
        ("dock", "porch", None),
        ("shed", "porch", None),
    }


def test_pages_go_back_in_time_without_a_gap_or_a_repetition(events: Events) -> None:
    # many begin in the same millisecond, some have lost their onset, and one arrives while somebody reads
    halves = (onset, offset)
    events.write([halves[n % 3 == 0](f"e{n}", after_s=n // 4) for n in range(50)])
    seen, after = [], None
    while True:
        page = events.history.page(ALL, after, limit=7)
        seen += [event.id for event in page.events]
        events.write([onset(f"late{len(seen)}", after_s=1000)])
        if (after := page.next) is None:
            break
    assert sorted(seen) == sorted(f"e{n}" for n in range(50))
    assert [int(name[1:]) // 4 for name in seen] == sorted((n // 4 for n in range(50)), reverse=True)


def test_every_filter_filters(events: Events) -> None:
    events.write(
        [
            onset("a"),
            onset("b", after_s=1, source="hall", score=0.95),
            onset("c", after_s=2, device="shed", label="cat"),
            onset("d", after_s=60, test=True),
            offset("e", after_s=70, lasted_s=1.0),
        ]
    )
    assert ids(events) == ["e", "d", "c", "b", "a"]
    assert ids(events, Filter(device="dock")) == ["e", "d", "b", "a"]
    assert ids(events, Filter(source="hall")) == ["b"]
    assert ids(events, Filter(device="dock", source="hall")) == ["b"]
    assert ids(events, Filter(label="cat")) == ["c"]
    assert ids(events, Filter(device="dock", label="cat")) == []
    assert ids(events, Filter(min_score=0.9)) == ["e", "b"]  # 0.9 itself is among them
    assert ids(events, Filter(from_ms=AT_MS + 2000)) == ["e", "d", "c"]
    assert ids(events, Filter(until_ms=AT_MS + 2000)) == ["b", "a"]
    assert ids(events, Filter(until_ms=AT_MS + 70_001, from_ms=AT_MS + 70_000)) == ["e"]
    assert ids(events, Filter(tests=False)) == ["e", "c", "b", "a"]
    assert ids(events, Filter(from_ms=(1 << 53) - 1)) == []


def test_counts_are_by_quarter_and_label_without_tests(events: Events) -> None:
    events.write(
        [
            onset("a"),
            onset("b", after_s=10, label="cat"),
            onset("c", after_s=900),
            onset("d", test=True),
            onset("e", device="shed", after_s=-70),
        ]
    )
    assert counted(events) == {
        QUARTER - QUARTER_MS: {"dog": 1},
        QUARTER: {"cat": 1, "dog": 1},
        QUARTER + QUARTER_MS: {"dog": 1},
    }
    assert counted(events, Filter(device="dock"))[QUARTER] == {"cat": 1, "dog": 1}
    assert counted(events, Filter(label="cat")) == {QUARTER: {"cat": 1}}
    assert counted(events, Filter(device="shed", source="porch")) == {QUARTER - QUARTER_MS: {"dog": 1}}
    assert counted(events, Filter(source="porch")) == counted(events)
    assert counted(events, Filter(source="hall")) == {}


@pytest.mark.parametrize(("least", "count"), [(0.28, 6), (0.29, 5), (0.291, 3), (0.57, 3), (0.58, 2), (1.0, 1)])
def test_counts_are_of_a_score_in_hundredths(events: Events, least: float, count: int) -> None:
    scores = (0.285, 0.29, 0.295, 0.57, 0.999, 1.0)
    events.write([onset(f"e{n}", score=score) for n, score in enumerate(scores)])
    assert counted(events, Filter(min_score=least)) == {QUARTER: {"dog": count}}


def test_spans_of_counts_follow_each_other_and_the_most_frequent_label_is_first(events: Events) -> None:
    day_ms = 96 * QUARTER_MS
    first_ms = AT_MS // day_ms * day_ms + QUARTER_MS
    times_s = [(first_ms + ms - AT_MS) / 1000 for ms in (-1, 0, 92 * QUARTER_MS - 1, 92 * QUARTER_MS, 2 * day_ms)]
    events.write([onset(f"d{n}", after_s=after_s) for n, after_s in enumerate(times_s)])
    events.write([onset(f"c{n}", label="cat", after_s=times_s[1]) for n in range(5)])
    events.count()
    counts = events.history.counts(Filter(from_ms=first_ms), [92, 100, 1])
    assert list(counts.items()) == [("cat", [5, 0, 0]), ("dog", [2, 1, 1])]
    assert events.history.counts(Filter(from_ms=first_ms - 10 * day_ms), [96]) == {}


def test_verdicts_are_searched_counted_and_undone(events: Events) -> None:
    events.write([onset(f"e{n}", after_s=n, label="dog" if n % 2 else "cow") for n in range(6)])
    events.write([onset("test", after_s=9, test=True)])
    assert counted(events) == {QUARTER: {"cow": 3, "dog": 3}}
    changed = events.reviews.judge(
        [judged("e0", "wrong"), judged("e1", "other", "cat"), judged("e2", "right"), judged("test", "wrong")],
        "anna",
        NOW_S,
    )
    assert changed.before == tuple(judged(f"e{n}", None) for n in range(3))
    assert (changed.unchanged, changed.left_out) == (0, 1)
    assert ids(events, Filter(verdict="unreviewed")) == ["e5", "e4", "e3"]
    assert ids(events, Filter(verdict="wrong", label="cow")) == ["e0"]
    assert ids(events, Filter(label="cat", device="dock")) == ["e1"]
    assert ids(events, Filter(label="dog", tests=False)) == ["e5", "e3", "e1"]
    for scope in (ALL, Filter(device="dock"), Filter(source="porch"), Filter(device="dock", source="porch")):
        assert counted(events, scope) == {QUARTER: {"cow": 2, "dog": 2, "cat": 1}}
    event = events.history.event("dock", "porch", "e1")
    assert event is not None
    assert (event.verdict, event.given_label, event.reviewer) == ("other", "cat", "anna")
    assert event.reviewed_ms == int(NOW_S * 1000)
    asked = [judged("e2", "other", "cow"), judged("nothing", "wrong"), judged("e5", None)]
    again = events.reviews.judge(asked, "bob", NOW_S)
    assert (again.before, again.unchanged, again.left_out) == ((), 2, 1)
    events.reviews.judge(changed.before, "bob", NOW_S)
    assert counted(events) == {QUARTER: {"cow": 3, "dog": 3}}
    assert [(entry.reviewer, entry.verdict, entry.given_label) for entry in events.reviews.log(event)] == [
        ("bob", None, None),
        ("anna", "other", "cat"),
    ]
    assert events.history.event("dock", "porch", "e1") == replace(
        event, verdict=None, given_label=None, reviewer=None, reviewed_ms=None
    )


def test_a_label_is_searched_whoever_gave_it(events: Events) -> None:
    events.write([onset(f"e{n}", after_s=n, label="dog" if n % 2 else "cow") for n in range(6)])
    events.write([onset("real", after_s=3.5, label="cat")])
    events.reviews.judge([judged(f"e{n}", "other", "cat") for n in (1, 2, 5)], "anna", NOW_S)
    seen, after = [], None
    while True:
        page = events.history.page(Filter(label="cat"), after, limit=2)
        seen += [event.id for event in page.events]
        if (after := page.next) is None:
            break
    assert seen == ["e5", "real", "e2", "e1"]


def test_too_many_reviewed_events_are_refused(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reviews, "MAX_REVIEWED", 2)
    events.write([onset(f"e{n}") for n in range(4)])
    assert events.reviews.judge([judged(f"e{n}", "right") for n in range(4)], "a", NOW_S).left_out == 2
    assert events.reviews.judge([judged("e0", "wrong")], "a", NOW_S).left_out == 0  # it is among them
    assert events.reviews.judge([judged("e0", None), judged("e3", "right")], "a", NOW_S).left_out == 0


def test_the_log_is_bounded(events: Events) -> None:
    events.write([onset("a"), onset("b")])
    for n in range(MAX_LOGGED + 3):
        events.reviews.judge([judged("a", "wrong" if n % 2 else "right"), judged("b", "right")], f"r{n}", NOW_S + n)
    event, other = (events.history.event("dock", "porch", name) for name in "ab")
    assert event is not None
    assert other is not None
    assert [entry.reviewer for entry in events.reviews.log(event)] == [
        f"r{n}" for n in reversed(range(3, MAX_LOGGED + 3))
    ]
    assert len(events.reviews.log(other)) == 1


def test_missed_sounds_are_paged_bounded_and_removed_and_labels_known(
    events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    events.write([onset("long"), offset("long", lasted_s=60.0)])
    for n in range(5):
        span_ms = (AT_MS + 1000 * n, AT_MS + 1000 * n + 500)
        events.missed.add("dock", "hall" if n == 4 else "porch", "owl", span_ms, "anna", NOW_S)
    first = events.missed.page(ALL, limit=3)
    sounds = [*first.sounds, *events.missed.page(ALL, first.next, limit=3).sounds]
    assert [sound.begin_ms - AT_MS for sound in sounds] == [4000, 3000, 2000, 1000, 0]
    assert events.missed.page(ALL, sounds[2].cursor).next is None
    assert [sound.number for sound in events.missed.page(Filter(source="hall")).sounds] == [sounds[0].number]
    assert events.missed.page(Filter(device="shed")).sounds == ()
    assert [sound.covered_by for sound in sounds] == [None, "long", "long", "long", "long"]
    assert len(events.missed.page(Filter(label="owl", from_ms=AT_MS + 1, until_ms=AT_MS + 3001)).sounds) == 3
    assert [sound.source for sound in events.missed.remove((sounds[0].number, 99))] == ["hall"]
    assert len(events.missed.page(ALL).sounds) == 4
    events.reviews.judge([judged("long", "other", "cat")], "anna", NOW_S)
    assert events.missed.labels() == ["cat", "dog", "owl"]
    monkeypatch.setattr(missed, "MAX_LABELS", 2)
    assert len(events.missed.labels()) == 2
    monkeypatch.setattr(missed, "MAX_MISSED", 4)
    with pytest.raises(FullError, match="there are 4 missed sounds already: export them, and remove some"):
        events.missed.add("dock", "porch", "owl", (AT_MS, AT_MS + 1), "anna", NOW_S)


def test_a_database_that_is_away_is_one_line_without_its_password() -> None:

    fleet = FleetEvents.of(parse_database_url(f"postgresql://u:s3cret@127.0.0.1:{free_port()}/x"))
    with closing(fleet.store), pytest.raises(DatabaseError, match="Connection refused") as caught:
        fleet.history.page(ALL)
    assert caught.value.passing
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_database_of_another_layout_is_refused_and_left_alone(fleet_url: str) -> None:

    url = parse_database_url(fleet_url)
    fleet = FleetEvents.of(url)
    with closing(fleet.store), closing(Database(url, connections=1)) as database:
        with pytest.raises(DatabaseError, match="has no tables yet: edgeaudio collect makes them") as caught:
            fleet.store.check()
        assert caught.value.passing
        migrate(database)
        fleet.store.check()
        with psycopg.connect(fleet_url, autocommit=True) as db:
            db.execute("DELETE FROM edgeaudio.migrations WHERE number = %s", (LAYOUT,))
            with pytest.raises(DatabaseError, match="is of an older edgeaudio") as caught:
                fleet.store.check()
            assert not caught.value.passing
            db.execute("INSERT INTO edgeaudio.migrations (number) VALUES (%s)", (LAYOUT + 1,))
            with pytest.raises(DatabaseError, match="is of a newer edgeaudio") as caught:
                fleet.store.check()
            assert not caught.value.passing


def test_whoever_may_only_read_can_look_and_is_told_that_he_may_not_judge(fleet_url: str) -> None:

    role = f"reader_{next(_NUMBERS)}"
    with closing(Database(parse_database_url(fleet_url), connections=1)) as database:
        writer = Writer(database, Counts(), keep_months=None)
        writer.prepare()
        with psycopg.connect(fleet_url, autocommit=True) as db:
            db.execute(f"CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA edgeaudio TO {role}")
            db.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA edgeaudio TO {role}")
        writer.write([onset(), offset()])  # the month is made after the grant
    fleet = FleetEvents.of(parse_database_url(fleet_url.replace("edgeaudio@", f"{role}@")))
    with closing(fleet.store):
        assert len(fleet.history.page(ALL).events) == 1
        with pytest.raises(DatabaseError, match="permission denied for table reviews"):
            fleet.reviews.judge([judged("e1", "right")], "anna", NOW_S)


def test_what_somebody_else_stores_is_new_once() -> None:
    store = Unrecorded()
    assert store.write([onset(seq=1), onset(seq=1), offset(seq=4)], NOW_S).new == (onset(seq=1), offset(seq=4))
    assert store.write([onset(seq=1)], NOW_S).new == ()
    assert store.sequences()["dock"].missing == 2


def test_the_dashboard_without_such_a_database_imports_nothing_of_postgresql() -> None:
    program = (
        "import sys; import edgeaudio.dashboard.service, edgeaudio.commands.dashboard_export; "
        "print(sorted({'psycopg', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
