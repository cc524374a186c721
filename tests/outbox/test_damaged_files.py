"""An outbox whose file is damaged, or was written by another edgeaudio."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.delivery import DETECTION, detections, payloads
from support.examples import examples

from edgeaudio.outbox.outbox import Outbox
from edgeaudio.types import Message


@pytest.mark.parametrize("what", ["header", "page", "garbage", "version"])
def test_a_damaged_file_is_renamed_and_a_new_one_begun(path: Path, what: str, caplog: pytest.LogCaptureFixture) -> None:
    with closing(Outbox(path)) as outbox:
        outbox.add([Message(DETECTION, b"%d" % number + b" " * 200, 1) for number in range(500)])
        outbox.set_setting("key", "value")
    content = bytearray(path.read_bytes())
    match what:
        case "header":
            content[:100] = b"\x00" * 100
        case "page":
            middle = len(content) // 2 // 4096 * 4096
            content[middle : middle + 4096] = b"\xa5" * 4096
        case "garbage":
            content = bytearray(os.urandom(len(content)))
        case "version":
            content[60:64] = (99).to_bytes(4, "big")
    path.write_bytes(content)
    with closing(Outbox(path)) as outbox:
        stats = outbox.stats()
        assert stats.trouble is None
        assert stats.damaged_file is not None
        aside = Path(stats.damaged_file)
        assert aside.name.startswith("outbox.db.damaged-")
        assert aside.read_bytes() == content
        kept = [int(row.message.payload) for row in outbox.pending(1000)]
        if what == "version":
            assert len(kept) == 500
            assert outbox.settings() == {"key": "value"}
        if what == "page":
            assert len(kept) > 100  # those before the damage
        outbox.add(detections(7777, 1))
        assert [int(row.message.payload) for row in outbox.pending(1000)] == [*kept, 7777]
    (line,) = [record.getMessage() for record in caplog.records if "damaged" in record.getMessage()]
    assert aside.name in line
    assert f"{len(kept)} messages" in line


def test_a_file_that_a_newer_edgeaudio_has_extended_can_be_used(path: Path) -> None:
    with closing(Outbox(path)) as outbox:
        outbox.add(detections(0, 3), opened={"a": "event"})
        outbox.set_setting("key", "value")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("ALTER TABLE messages ADD COLUMN expires_at REAL")
        db.execute("ALTER TABLE open_events ADD COLUMN clip TEXT NOT NULL DEFAULT ''")
        db.execute("ALTER TABLE settings ADD COLUMN since REAL NOT NULL DEFAULT 0")
        db.execute("CREATE TABLE clips (id TEXT PRIMARY KEY)")
        db.execute("UPDATE messages SET expires_at = 1.5")
    with closing(Outbox(path)) as outbox:
        assert payloads(outbox) == [0, 1, 2]
        outbox.add(detections(3, 2), opened={"b": "event"}, closed=["a"])
        outbox.set_setting("other", "value")
        assert outbox.open_events() == {"b": "event"}
        assert outbox.settings() == {"key": "value", "other": "value"}
        assert payloads(outbox) == [0, 1, 2, 3, 4]
    assert not list(path.parent.glob("*damaged*"))
    with closing(sqlite3.connect(path)) as db:  # the newer edgeaudio's values are there when it comes back
        assert db.execute("SELECT count(expires_at) FROM messages").fetchone() == (3,)


def test_only_the_newest_damaged_files_are_kept(path: Path) -> None:
    for _ in range(5):
        Outbox(path).close()
        path.write_bytes(b"not a database" * 1000)
    Outbox(path).close()
    assert len(list(path.parent.glob("outbox.db.damaged-*"))) == 3


def test_damage_found_while_running_loses_nothing_that_comes_after_it(path: Path) -> None:
    with closing(Outbox(path)) as outbox:
        outbox.add(detections(0, 3))
        # overwrite the file under the connection, as a failing card does
        assert outbox._store._file is not None
        outbox._store._file._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        outbox._store._file._db.execute("PRAGMA cache_size = 0")
        with path.open("r+b") as file:
            file.write(b"\xa5" * path.stat().st_size)
        outbox.add(detections(3, 1))
        outbox.add(detections(4, 1))
        stats = outbox.stats()
        assert stats.trouble is None
        assert stats.damaged_file is not None
        assert payloads(outbox)[-2:] == [3, 4]
    with closing(Outbox(path)) as outbox:
        assert payloads(outbox)[-2:] == [3, 4]


@given(data=st.binary(max_size=300))
@settings(max_examples=examples(50))  # it waits for the disk
def test_any_file_is_used_or_replaced(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "outbox.db"
    path.write_bytes(data)
    with closing(Outbox(path)) as outbox:
        outbox.add(detections(0, 1))
        assert payloads(outbox) == [0]
