"""Sessions: their ends, their number, and what is on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edgeaudio.dashboard import history
from edgeaudio.dashboard.database import Database, DatabaseError
from edgeaudio.dashboard.service import SCHEMA
from edgeaudio.dashboard.sessions import IDLE_S, LIFETIME_S, MAX_OF_USER, MAX_SESSIONS, Sessions

NOW_S = 1_780_000_000.0
CREDENTIALS = {"anna": "hash of anna", "rita": "hash of rita"}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path / "d.sqlite", SCHEMA, history.upgrade, history.COLUMNS)) as database:
        yield database


@pytest.fixture
def sessions(database: Database) -> Sessions:
    sessions = Sessions(database, CREDENTIALS)
    sessions.load(NOW_S)
    return sessions


def again(database: Database, now_s: float, **credentials: str) -> Sessions:
    """Return the sessions after a restart."""
    sessions = Sessions(database, CREDENTIALS | credentials)
    sessions.load(now_s)
    return sessions


def stored(database: Database) -> int:
    with database.reading() as db:
        (count,) = db.execute("SELECT count(*) FROM sessions").fetchone()
    return int(count)


def test_a_session_ends_when_it_is_unused_and_when_it_is_old(database: Database, sessions: Sessions) -> None:
    token = sessions.begin("anna", "192.0.2.1", "a browser", NOW_S)
    assert sessions.find(token, NOW_S + IDLE_S) is not None  # which counts as used
    assert sessions.find(token, NOW_S + 2 * IDLE_S) is not None
    assert sessions.find(token, NOW_S + 3 * IDLE_S + 1) is None
    used = sessions.begin("anna", "192.0.2.1", "a browser", NOW_S)
    times = [NOW_S + day * 86400 for day in range(0, 90, 7)]
    assert all(sessions.find(used, now_s) for now_s in times)
    assert sessions.find(used, NOW_S + LIFETIME_S + 1) is None
    sessions.flush(NOW_S + LIFETIME_S + 1)
    assert stored(database) == 0


def test_a_clock_that_is_wrong_at_the_start_ends_no_session(sessions: Sessions) -> None:
    token = sessions.begin("anna", "192.0.2.1", "a browser", NOW_S)
    assert sessions.find(token, 0) is not None  # a board without a clock, until it knows the time
    assert sessions.find(token, NOW_S + 60) is not None
    assert sessions.find(token, NOW_S + 60 + IDLE_S + 1) is None


def test_the_last_use_is_on_disk_after_a_flush(database: Database, sessions: Sessions) -> None:
    token = sessions.begin("anna", "192.0.2.1", "a browser", NOW_S)
    sessions.find(token, NOW_S + IDLE_S)
    sessions.flush(NOW_S + IDLE_S)
    assert again(database, NOW_S + 1.5 * IDLE_S).find(token, NOW_S + 1.5 * IDLE_S) is not None


def test_an_ended_session_does_not_come_back_and_a_changed_password_ends_it(
    database: Database, sessions: Sessions
) -> None:
    kept, ended, other = (sessions.begin(user, "", "", NOW_S) for user in ("anna", "anna", "rita"))
    found = sessions.find(ended, NOW_S)
    assert found is not None
    assert sessions.end(lambda each: each.number == found.number) == 1
    assert sessions.end(lambda each: each.number == found.number) == 0
    restarted = again(database, NOW_S, rita="another hash")
    assert [restarted.find(token, NOW_S) is not None for token in (kept, ended, other)] == [True, False, False]
    restarted.flush(NOW_S)
    assert stored(database) == 1


def test_a_user_who_is_gone_has_no_session(database: Database, sessions: Sessions) -> None:
    token = sessions.begin("anna", "", "", NOW_S)
    without = Sessions(database, {"rita": "hash of rita"})
    without.load(NOW_S)
    assert without.find(token, NOW_S) is None


def test_beyond_the_most_sessions_those_used_least_recently_end(database: Database, sessions: Sessions) -> None:
    tokens = [sessions.begin("anna", "", "", NOW_S + number) for number in range(MAX_OF_USER)]
    sessions.find(tokens[0], NOW_S + 999)
    tokens.append(sessions.begin("anna", "", "", NOW_S + 1000))
    alive = [sessions.find(token, NOW_S + 1000) is not None for token in tokens]
    assert alive == [True, False] + [True] * (MAX_OF_USER - 1)
    assert stored(database) == MAX_OF_USER


def test_there_are_at_most_a_thousand_of_all_users(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeaudio.dashboard.sessions.MAX_SESSIONS", 3)
    sessions = Sessions(database, {f"user{n}": "x" for n in range(5)})
    tokens = [sessions.begin(f"user{n}", "", "", NOW_S + n) for n in range(5)]
    assert [sessions.find(token, NOW_S + 5) is not None for token in tokens] == [False, False, True, True, True]
    assert MAX_SESSIONS == 1000


def test_ids_are_random_and_only_their_hash_is_kept(database: Database, sessions: Sessions) -> None:
    tokens = {sessions.begin("anna", "", "", NOW_S) for _ in range(20)}
    assert len(tokens) == 20
    assert all(len(token) >= 43 for token in tokens)
    with database.reading() as db:
        texts = [str(row) for row in db.execute("SELECT * FROM sessions")]
    assert not any(token in text for token in tokens for text in texts)


def test_what_could_not_be_written_is_written_later(
    database: Database, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = sessions.begin("anna", "", "", NOW_S)

    def locked() -> None:
        raise DatabaseError("history d.sqlite: another process has it locked", passing=True)

    with monkeypatch.context() as patched:
        patched.setattr(database, "writing", locked)
        with pytest.raises(DatabaseError):
            sessions.end(lambda _: True)
        with pytest.raises(DatabaseError):
            sessions.begin("anna", "", "", NOW_S)
        assert sessions.all(NOW_S) == []
        assert sessions.find(token, NOW_S) is None
    assert stored(database) == 1
    sessions.flush(NOW_S)
    assert stored(database) == 0


def test_a_database_that_cannot_be_read_is_not_asked_again_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fail() -> None:
        asked.append(1)
        raise DatabaseError("history d.sqlite: is locked", passing=True)

    sessions = Sessions(database, CREDENTIALS)
    monkeypatch.setattr(database, "open", fail)
    for now_s in (NOW_S, NOW_S + 1, NOW_S + 4.9):
        with pytest.raises(DatabaseError, match=r"history d\.sqlite: is locked"):
            sessions.load(now_s)
    assert len(asked) == 1
    assert not sessions.is_loaded
    assert sessions.find("x", NOW_S) is None
    monkeypatch.undo()
    sessions.load(NOW_S + 5)
    assert sessions.is_loaded


def test_an_address_is_known_while_somebody_is_logged_in_there(sessions: Sessions) -> None:
    sessions.begin("anna", "192.0.2.1", "", NOW_S)
    assert sessions.knows("192.0.2.1", NOW_S)
    sessions.begin("anna", "2001:db8::1", "a browser", NOW_S)
    assert sessions.knows("2001:db8::/64", NOW_S)
    assert not sessions.knows("192.0.2.2", NOW_S)
    assert not sessions.knows("192.0.2.1", NOW_S + IDLE_S + 1)
