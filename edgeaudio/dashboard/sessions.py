"""Who is logged in, in memory and in the dashboard's database.

Owns: the table of sessions, their lifetimes, and how many there may be. Does not know: cookies, passwords, roles.

Of an id only its SHA-256 is kept: who reads the database cannot log in with it. Sessions are looked up in memory, so
that no search of the history holds them up and a locked database logs nobody out. What is not yet written is written at
the next change, hourly, and at the end. A session whose user is gone or has another password ends at the next start.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from edgeaudio.dashboard.database import Database, DatabaseError
from edgeaudio.dashboard.rates import bucket_of

IDLE_S: Final = 14 * 86400.0  # without a request and without an open page
LIFETIME_S: Final = 90 * 86400.0
MAX_SESSIONS: Final = 1000
MAX_OF_USER: Final = 50
_MAX_ID: Final = 100  # characters of an id that is looked up
_MAX_TEXT: Final = 200  # of a browser's name
_RETRY_S: Final = 5.0  # between two attempts to read the database
SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS sessions (
        digest BLOB PRIMARY KEY, number INTEGER NOT NULL, user TEXT NOT NULL, credential BLOB NOT NULL,
        begun_s REAL NOT NULL, seen_s REAL NOT NULL, address TEXT NOT NULL, browser TEXT NOT NULL) WITHOUT ROWID""",
)


@dataclass(frozen=True, slots=True)
class Session:
    """One browser of a user."""

    number: int  # by which it is named on the page; no secret
    user: str
    begun_s: float  # Unix time
    seen_s: float
    address: str  # at the login
    browser: str

    def is_over(self, now_s: float) -> bool:
        """True if it is too old, or unused for too long."""
        return now_s - self.seen_s > IDLE_S or now_s - self.begun_s > LIFETIME_S


class Sessions:
    """All of them. Only `load`, `begin`, `end` and `flush` touch the database, and raise DatabaseError."""

    def __init__(self, database: Database, credentials: Mapping[str, str]) -> None:
        """`credentials`: by user, what his sessions end with when it changes: the hash of his password."""
        self._database = database
        self._credentials = {user: hashlib.sha256(text.encode()).digest() for user, text in credentials.items()}
        self._lock = threading.Lock()  # of the memory
        self._disk_lock = threading.Lock()  # what is written is in the order of what happened
        self._sessions: dict[bytes, Session] = {}
        self._numbers: dict[int, bytes] = {}
        self._unwritten: set[bytes] = set()  # changed or ended since they were written
        self._is_loaded = False
        self._trouble: DatabaseError | None = None
        self._tried_s = 0.0

    @property
    def is_loaded(self) -> bool:
        """False until the database could be read: nobody is logged in."""
        return self._is_loaded

    def load(self, now_s: float) -> None:
        """Read the sessions once; within seconds of a failure, raise that one again."""
        with self._disk_lock:
            if self._is_loaded:
                return
            if self._trouble is not None and 0 <= now_s - self._tried_s < _RETRY_S:
                raise DatabaseError(str(self._trouble), passing=True, public=self._trouble.public)
            self._tried_s = now_s
            try:
                self._database.open()
                with self._database.reading() as db:
                    rows = db.execute("SELECT * FROM sessions LIMIT ?", (2 * MAX_SESSIONS,)).fetchall()
            except DatabaseError as error:
                self._trouble = error
                raise
            with self._lock:
                for digest, number, user, credential, *rest in rows:
                    session = Session(number, user, *rest)
                    if self._credentials.get(user) == credential and not session.is_over(now_s):
                        self._sessions[digest] = session
                        self._numbers[number] = digest
                    else:
                        self._unwritten.add(digest)
                self._is_loaded = True

    def find(self, token: str, now_s: float) -> Session | None:
        """Return the session with an id, which counts as used now; None: there is none."""
        if not 0 < len(token) <= _MAX_ID:
            return None
        with self._lock:
            return self._use(_digest(token), now_s)

    def use(self, number: int, now_s: float) -> bool:
        """True if a session goes on; it counts as used now."""
        with self._lock:
            digest = self._numbers.get(number)
            return digest is not None and self._use(digest, now_s) is not None

    def begin(self, user: str, address: str, browser: str, now_s: float) -> str:
        """Return the id of a new session, which is on disk."""
        self.load(now_s)
        token = secrets.token_urlsafe(32)
        session = Session(secrets.randbits(52), user, now_s, now_s, address, browser[:_MAX_TEXT])
        with self._lock:
            self._make_room(lambda each: each.user == user, MAX_OF_USER)
            self._make_room(lambda _: True, MAX_SESSIONS)
            self._put(_digest(token), session)
        try:
            self._write()
        except DatabaseError:
            with self._lock:
                self._drop(_digest(token))
            raise
        return token

    def end(self, chosen: Callable[[Session], bool]) -> int:
        """End some sessions at once; return how many. Raises DatabaseError where it cannot be written yet."""
        with self._lock:
            ended = [digest for digest, session in self._sessions.items() if chosen(session)]
            for digest in ended:
                self._drop(digest)
        if ended:
            self._write()
        return len(ended)

    def all(self, now_s: float) -> list[Session]:
        """Return all that go on, the one used last first."""
        with self._lock:
            found = [session for session in self._sessions.values() if not session.is_over(now_s)]
        return sorted(found, key=lambda session: -session.seen_s)

    def knows(self, bucket: str, now_s: float) -> bool:
        """True if somebody is logged in who came from an address of that bucket (rates.py)."""
        return any(bucket_of(session.address) == bucket for session in self.all(now_s))

    def flush(self, now_s: float) -> None:
        """Write when each was used last, and forget those that are over."""
        if not self._is_loaded:
            return
        with self._lock:
            for digest in [digest for digest, session in self._sessions.items() if session.is_over(now_s)]:
                self._drop(digest)
            self._unwritten.update(self._sessions)
        self._write()

    def _use(self, digest: bytes, now_s: float) -> Session | None:
        session = self._sessions.get(digest)
        if session is None or session.is_over(now_s):
            return None
        self._sessions[digest] = session = replace(session, seen_s=max(session.seen_s, now_s))
        return session

    def _put(self, digest: bytes, session: Session) -> None:
        self._sessions[digest] = session
        self._numbers[session.number] = digest
        self._unwritten.add(digest)

    def _drop(self, digest: bytes) -> None:
        self._numbers.pop(self._sessions.pop(digest).number, None)
        self._unwritten.add(digest)

    def _make_room(self, counts: Callable[[Session], bool], limit: int) -> None:
        """End the sessions of some that were used least recently, so that one more fits."""
        counted = [(session.seen_s, digest) for digest, session in self._sessions.items() if counts(session)]
        for _, digest in sorted(counted)[: max(0, len(counted) - limit + 1)]:
            self._drop(digest)

    def _write(self) -> None:
        with self._disk_lock:
            with self._lock:
                digests = list(self._unwritten)
                rows = [
                    (digest, each.number, each.user, self._credentials.get(each.user, b""), *_texts_and_times(each))
                    for digest in digests
                    if (each := self._sessions.get(digest)) is not None
                ]
                self._unwritten.clear()
            try:
                with self._database.writing() as db:
                    db.executemany("DELETE FROM sessions WHERE digest = ?", [(digest,) for digest in digests])
                    db.executemany("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            except BaseException:
                with self._lock:
                    self._unwritten.update(digests)
                raise


def _texts_and_times(session: Session) -> tuple[float, float, str, str]:
    return session.begun_s, session.seen_s, session.address, session.browser


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
