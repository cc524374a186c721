"""The outbox, by breaking what it stands on: the process, the file, the disk."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.delivery import DETECTION, detections
from support.waiting import wait_until

from edgeaudio.outbox.database import DiskError, OutboxFile, Transaction
from edgeaudio.outbox.outbox import Outbox, OutboxError, in_memory
from edgeaudio.types import Message


def payloads(outbox: Outbox, limit: int = 100_000) -> list[int]:
    return [int(stored.message.payload) for stored in outbox.pending(limit)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "outbox.db"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    with closing(Outbox(path)) as made:
        yield made


def test_keeps_order_and_whole_messages_over_a_restart(path: Path) -> None:
    message = Message("a/b", b"\x00\xff", qos=1, retain=True)
    with closing(Outbox(path)) as outbox:
        outbox.add(detections(0, 3))
        outbox.add([message])
    with closing(Outbox(path)) as outbox:
        outbox.add(detections(4, 1))
        stored = outbox.pending(10)
        assert [row.message for row in stored] == [*detections(0, 3), message, *detections(4, 1)]
        seqs = [row.seq for row in stored]
        assert seqs == sorted(set(seqs))


def test_an_event_costs_few_bytes_of_the_disk(path: Path, outbox: Outbox) -> None:
    log = path.with_name(f"{path.name}-wal")

    def sound(number: int) -> None:
        message, kept = Message("edgeaudio/box/yard/detection", b"x" * 300, qos=1), {f"id-{number}": "x" * 200}
        for change in ({"opened": kept}, {"closed": list(kept)}):
            outbox.number(1)
            outbox.add([message], **change)
            outbox.delete([stored.seq for stored in outbox.pending(1)])

    sound(0)
    before = log.stat().st_size
    for number in range(1, 21):
        sound(number)
    assert (log.stat().st_size - before) / 20 < 12_000


def test_reads_on_from_a_place_and_leaves_topics_out(outbox: Outbox) -> None:
    outbox.add([*detections(0, 2), *detections(2, 2, "other"), *detections(4, 2)])
    assert payloads(outbox, 3) == [0, 1, 2]
    third = outbox.pending(3)[-1].seq
    assert [int(row.message.payload) for row in outbox.pending(10, after=third)] == [3, 4, 5]
    assert [int(row.message.payload) for row in outbox.pending(10, without_topics=["other", "'"])] == [0, 1, 4, 5]


def test_deletes_and_counts(outbox: Outbox) -> None:
    outbox.add(detections(0, 5))
    outbox.delete([row.seq for row in outbox.pending(2)] + [12345, -1])
    assert payloads(outbox) == [2, 3, 4]
    stats = outbox.stats()
    assert (stats.depth, stats.bytes, stats.trouble) == (3, 3 * (len(DETECTION) + 1), None)
    assert stats.oldest_s is not None


def test_the_oldest_go_first_by_count_and_by_bytes(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(Outbox(path, max_messages=10)) as outbox:
        for number in range(25):
            outbox.add(detections(number, 1))
        assert payloads(outbox) == list(range(15, 25))
        assert (outbox.stats().dropped, outbox.stats().depth) == (15, 10)
    with closing(Outbox(path, max_bytes=5 * (len(DETECTION) + 2))) as outbox:
        outbox.add(detections(25, 1))
        assert payloads(outbox) == list(range(21, 26))
        assert outbox.stats().dropped == 6
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.ERROR]  # one line a minute


def test_a_batch_longer_than_the_bounds_keeps_its_end(path: Path) -> None:
    with closing(Outbox(path, max_messages=10)) as outbox:
        outbox.add(detections(0, 1000))
        assert payloads(outbox) == list(range(990, 1000))


def test_expiry_is_asked_for_and_counted(path: Path) -> None:
    clock = [1000.0]
    with closing(Outbox(path, expiry_s=60.0, now=lambda: clock[0], monotonic=lambda: clock[0])) as outbox:
        outbox.add(detections(0, 2))
        clock[0] += 50
        outbox.add(detections(2, 2))
        clock[0] += 11
        wait_until(lambda: payloads(outbox) == [2, 3], 3)
        assert outbox.stats().expired == 2


def refuse(_file: OutboxFile, _change: Transaction, *, durable: bool = True) -> None:
    raise DiskError("disk I/O error")


@pytest.mark.parametrize("disk", ["works", "fails"])
def test_a_step_of_the_clock_ages_nothing(disk: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A board without a battery begins in the past, and is told the time when the network is up."""
    wall, mono = [1000.0], [0.0]

    def opened() -> Outbox:
        return Outbox(path, expiry_s=60.0, retry_s=1e9, now=lambda: wall[0], monotonic=lambda: mono[0])

    with closing(opened()) as outbox:
        outbox.add(detections(0, 1))
    with closing(opened()) as outbox:
        if disk == "fails":
            monkeypatch.setattr(OutboxFile, "write", refuse)
        outbox.add(detections(1, 1))
        wall[0], mono[0] = 5000.0, 10.0
        # what an earlier process left is as old as it says
        assert payloads(outbox) == [1]
        assert outbox.stats().oldest_s == 10.0
        outbox.add(detections(2, 1))
        wall[0], mono[0] = 5059.0, 69.0
        assert payloads(outbox) == [2]
        assert outbox.stats().expired == 2


def test_the_listener_hears_of_each_addition(outbox: Outbox) -> None:
    heard: list[int] = []
    outbox.listen(lambda: heard.append(outbox.stats().depth))
    outbox.add(detections(0, 2))
    outbox.add(detections(2, 1))
    assert heard == [2, 3]


def test_an_outage_leaves_no_memory_behind(path: Path) -> None:
    program = (
        "import ctypes, sys\n"
        "from pathlib import Path\n"
        "from edgeaudio.outbox.outbox import Outbox\n"
        "from edgeaudio.types import Message\n"
        "class Heap(ctypes.Structure):\n"
        "    _fields_ = [(f'f{i}', ctypes.c_size_t) for i in range(10)]\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.mallinfo2.restype = Heap\n"
        "outbox = Outbox(Path(sys.argv[1]))\n"
        "message = Message('detection', b'x' * 1000, 1)\n"
        "for batch in range(20):\n"
        "    outbox.add([message] * 100)\n"
        "    if batch == 0:\n"
        "        begin = libc.mallinfo2().f7\n"  # bytes in use
        "while waiting := outbox.pending(100):\n"
        "    outbox.delete([stored.seq for stored in waiting])\n"
        "del waiting\n"
        "print(libc.mallinfo2().f7 - begin)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=20, check=True
    )
    assert int(done.stdout) < 400_000, "2,000 messages passed, and SQLite keeps a part of its cache"


def test_open_events_and_settings_outlive_the_process(path: Path) -> None:
    with closing(Outbox(path)) as outbox:
        outbox.add(detections(0, 1), opened={"a": "A", "b": "B"})
        outbox.add(detections(1, 1), opened={"c": "C"}, closed=["a"])
        outbox.set_setting("threshold/porch/dog", "0.7")
        outbox.set_setting("enabled/porch", "OFF")
        outbox.set_setting("enabled/porch", None)
    with closing(Outbox(path)) as outbox:
        assert outbox.open_events() == {"b": "B", "c": "C"}
        assert outbox.settings() == {"threshold/porch/dog": "0.7"}


def test_adding_and_sending_at_the_same_time(outbox: Outbox) -> None:
    taken: list[int] = []
    done = threading.Event()

    def send() -> None:
        while not (done.is_set() and outbox.stats().depth == 0):
            rows = outbox.pending(7)
            taken.extend(int(row.message.payload) for row in rows)
            outbox.delete(row.seq for row in rows)

    sender = threading.Thread(target=send)
    sender.start()
    for number in range(0, 200, 2):
        outbox.add(detections(number, 2))
    done.set()
    sender.join(30)
    assert taken == list(range(200))


WRITER = """
import sys
from pathlib import Path
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.types import Message
outbox = Outbox(Path(sys.argv[1]))
for number in range(10**9):
    messages = [Message("t", b"%d" % value, 1) for value in (2 * number, 2 * number + 1)]
    outbox.add(messages, opened={str(number): "x"})
    print(number, flush=True)
"""


def test_a_process_killed_between_commits_has_lost_nothing_that_it_had_committed(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        committed = 20 + len(process.stdout.read().splitlines())
    with closing(Outbox(path)) as outbox:
        kept = payloads(outbox)
        assert len(kept) in {2 * committed, 2 * committed + 2}  # killed after a commit and before saying so
        assert kept == list(range(len(kept)))  # whole commits, in order
        assert len(outbox.open_events()) == len(kept) // 2


# --- damage ---


@pytest.mark.parametrize("what", ["header", "page", "garbage", "version"])
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(
    path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
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
    (told,) = [record.getMessage() for record in caplog.records if "damaged" in record.getMessage()]
    assert aside.name in told
    assert f"{len(kept)} messages" in told


def test_a_file_that_a_newer_edgeaudio_has_extended_is_gone_on_with(path: Path) -> None:
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
    with closing(sqlite3.connect(path)) as db:  # what is the newer one's is there when it comes back
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
        # pull the file away from under the connection, as a failing card does
        assert outbox._file is not None
        outbox._file._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        outbox._file._db.execute("PRAGMA cache_size = 0")
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
@settings(max_examples=50)  # it waits for the disk
def test_any_file_can_be_dealt_with(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "outbox.db"
    path.write_bytes(data)
    with closing(Outbox(path)) as outbox:
        outbox.add(detections(0, 1))
        assert payloads(outbox) == [0]


# --- a disk that refuses ---


def refuse_writes(outbox: Outbox) -> None:
    """Have SQLite itself refuse, as on a disk that has become read-only."""
    assert outbox._file is not None
    outbox._file._db.execute("PRAGMA query_only = ON")


def test_a_read_only_disk_degrades_to_memory_in_order_and_recovers(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(Outbox(path, retry_s=60.0)) as outbox:
        outbox.add(detections(0, 4), opened={"a": "A"})
        refuse_writes(outbox)
        outbox.add(detections(4, 2), opened={"b": "B"}, closed=["a"])
        outbox.set_setting("key", "value")
        assert payloads(outbox) == [0, 1, 2, 3, 4, 5]
        trouble = outbox.stats().trouble
        assert trouble is not None
        assert "readonly" in trouble
        outbox.delete([row.seq for row in outbox.pending(1)])  # acknowledged: not to be handed out again
        outbox.delete([row.seq for row in outbox.pending(10)][-1:])
        assert payloads(outbox) == [1, 2, 3, 4]
        assert outbox.stats().depth == 4
        before = [row.seq for row in outbox.pending(10)]
        outbox._retry_at = 0.0  # the disk is well again, and it is time to try
        outbox.add(detections(6, 1))
        assert outbox.stats().trouble is None
        assert payloads(outbox) == [1, 2, 3, 4, 6]
        assert [row.seq for row in outbox.pending(10)][:4] == before  # what is in flight keeps its number
    with closing(Outbox(path)) as outbox:
        assert payloads(outbox) == [1, 2, 3, 4, 6]
        assert outbox.open_events() == {"b": "B"}
        assert outbox.settings() == {"key": "value"}
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert told[0].startswith(
        "outbox: the disk fails, messages are kept in memory: attempt to write a readonly database"
    )
    assert told[1] == "outbox: the disk is in use again, 1 messages were moved to it"


def test_the_disk_is_tried_again_and_lost_messages_are_logged_by_the_clock_that_was_given(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = [-5000.0]
    with closing(
        Outbox(path, max_messages=10, retry_s=60.0, now=lambda: clock[0], monotonic=lambda: clock[0])
    ) as outbox:
        refuse_writes(outbox)
        for number, now_s in enumerate([-5000.0, -4941.0, -4940.0]):
            clock[0] = now_s
            outbox.add(detections(number, 1))
            assert (outbox.stats().trouble is None) == (now_s >= -4940.0)
        caplog.clear()
        for second in range(120):
            clock[0] = float(second)
            outbox.add(detections(second, 10))
        assert len(caplog.records) == 2


def test_memory_is_bounded_too(path: Path) -> None:
    with closing(Outbox(path, max_messages=10, retry_s=60.0)) as outbox:
        outbox.add(detections(0, 5))
        refuse_writes(outbox)
        for number in range(5, 30):
            outbox.add(detections(number, 1))
        assert payloads(outbox) == list(range(20, 30))
        assert (outbox.stats().depth, outbox.stats().dropped) == (10, 20)
        outbox._retry_at = 0.0
        assert payloads(outbox) == list(range(20, 30))
        assert outbox.stats().depth == 10


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.types import Message
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
outbox = Outbox(Path(sys.argv[1]), retry_s=0.0)
outbox.add([Message("t", b"0", 1)])
resource.setrlimit(resource.RLIMIT_FSIZE, (128 * 1024, resource.RLIM_INFINITY))
number = 1
while outbox.stats().trouble is None:
    outbox.add([Message("t", b"%d" % number + b" " * 2000, 1)])
    number += 1
for _ in range(5):
    outbox.add([Message("t", b"%d" % number, 1)])
    number += 1
assert outbox.stats().trouble is not None
assert [int(row.message.payload) for row in outbox.pending(10**6)] == list(range(number))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert outbox.stats().trouble is None, outbox.stats()
outbox.close()
print(number)
"""


def test_files_that_cannot_grow_degrade_to_memory_and_recover(path: Path) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    with closing(Outbox(path)) as outbox:
        assert payloads(outbox) == list(range(int(done.stdout)))


def test_a_full_disk_is_told_by_sqlite_and_what_waits_can_still_be_sent(path: Path) -> None:
    with closing(Outbox(path, retry_s=60.0)) as outbox:
        outbox.add(detections(0, 3))
        assert outbox._file is not None
        outbox._file._db.execute("PRAGMA max_page_count = 1")
        big = [Message(DETECTION, b"%d" % number + b" " * 3000, 1) for number in range(3, 20)]
        outbox.add(big)
        trouble = outbox.stats().trouble
        assert trouble is not None
        assert "full" in trouble
        assert [int(row.message.payload) for row in outbox.pending(100)] == list(range(20))
        outbox._retry_at = 0.0
        assert outbox.stats().trouble is None
        assert [int(row.message.payload) for row in outbox.pending(100)] == list(range(20))


def read_only(file: OutboxFile) -> None:
    """Stand in for the opening of a file on a disk that SQLite cannot write to."""
    file._db.execute("PRAGMA query_only = ON")
    file._db.execute("CREATE TABLE x (y)")


def test_a_disk_that_cannot_even_be_read_holds_up_nothing(path: Path) -> None:
    with closing(Outbox(path, retry_s=60.0)) as outbox:
        outbox.add(detections(0, 3))
        handed_out = outbox.pending(1)[0].seq
        assert outbox._file is not None
        outbox._file._db.close()
        assert payloads(outbox) == []
        outbox.add(detections(3, 2))
        assert payloads(outbox) == [3, 4]
        outbox.delete([handed_out])
        assert outbox.stats().trouble is not None
        outbox._retry_at = 0.0
        assert payloads(outbox) == [1, 2, 3, 4]
        assert outbox.stats().depth == 4


def test_a_disk_that_fails_is_told_in_one_line_with_what_to_do(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(OutboxFile, "_prepare", read_only)
    with closing(Outbox(path)) as outbox:
        trouble = outbox.stats().trouble
    assert trouble is not None
    assert in_memory(trouble) in caplog.text
    assert "free some space or mount it writable" in caplog.text


def test_what_was_only_in_memory_at_the_end_is_reported(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OutboxFile, "_prepare", read_only)
    outbox = Outbox(path)
    outbox.add(detections(0, 2))
    outbox.close()
    assert caplog.records[-1].getMessage().startswith("outbox: 2 messages were only in memory and are lost: attempt to")


def test_a_disk_that_is_read_only_at_start_is_lived_with(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Outbox(path)) as outbox:
        outbox.add(detections(0, 3), opened={"a": "A"})
    original = OutboxFile._prepare
    monkeypatch.setattr(OutboxFile, "_prepare", read_only)
    with closing(Outbox(path, retry_s=60.0)) as outbox:
        outbox.add(detections(3, 2), opened={"b": "B"})
        assert payloads(outbox) == [3, 4]
        assert "readonly" in str(outbox.stats().trouble)
        in_flight = outbox.pending(1)[0].seq
        monkeypatch.setattr(OutboxFile, "_prepare", original)
        outbox._retry_at = 0.0
        assert payloads(outbox) == [0, 1, 2, 3, 4]  # what was on the disk comes first, being older
        assert outbox.stats().depth == 5
        outbox.delete([in_flight])
        assert payloads(outbox) == [0, 1, 2, 4]
        assert outbox.open_events() == {"a": "A", "b": "B"}
    with closing(Outbox(path)) as outbox:
        outbox.add(detections(5, 1))
        assert payloads(outbox) == [0, 1, 2, 4, 5]
        assert outbox.pending(10)[-1].seq < 100  # numbered afresh


# --- the set-up ---


def test_a_second_agent_on_the_same_state_directory_is_an_error(outbox: Outbox, path: Path) -> None:
    with pytest.raises(OutboxError, match=r"outbox\.db is in use: another edgeaudio runs on this state directory$"):
        Outbox(path)


def test_a_state_directory_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        OutboxError, match=r"^state directory .*/file cannot be used: .*; make it writable for user \d+"
    ):
        Outbox(tmp_path / "file" / "outbox.db")


AS_NOBODY = """
import os
import sys
from pathlib import Path
from edgeaudio.outbox.outbox import Outbox, OutboxError
if os.geteuid() == 0:
    os.setuid(65534)
try:
    Outbox(Path(sys.argv[1]) / "outbox.db")
except OutboxError as error:
    print(error)
"""


@pytest.mark.parametrize("closed", [False, True])
def test_a_state_directory_that_is_not_ours_is_one_clear_line(closed: bool, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o000)
    directory = f"{tmp_path}/closed/state" if closed else "/edgeaudio-test"
    command = [sys.executable, "-c", AS_NOBODY, directory]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    expected = f"state directory {directory} cannot be used: Permission denied; make it writable for user "
    assert told.stdout.startswith(expected)


def test_numbers_are_given_once_and_outlive_restarts(path: Path) -> None:
    with closing(Outbox(path)) as outbox:
        epoch, first = outbox.number(3)
        assert first == 1
        outbox.add(detections(0, 3))
        outbox.delete([stored.seq for stored in outbox.pending(3)])
    with closing(Outbox(path)) as outbox:
        assert outbox.number(2) == (epoch, 4)
        outbox.add(detections(0, 2))
        assert outbox.number(1) == (epoch, 6)  # and the process dies before it is kept: no gap
    with closing(Outbox(path)) as outbox:
        assert outbox.number(1) == (epoch, 6)


def test_numbers_begin_anew_where_the_last_one_is_not_certain(path: Path) -> None:
    epochs = []
    for damage in (lambda: None, lambda: path.write_bytes(b"damaged" * 1000), path.unlink):
        damage()
        with closing(Outbox(path)) as outbox:
            epoch, first = outbox.number(1)
            outbox.add(detections(0, 1))
            epochs.append(epoch)
            assert first == 1
    assert len(set(epochs)) == 3


def no_room(*_: object, **__: object) -> None:
    raise DiskError("no room")


def test_numbers_go_on_while_the_disk_fails_and_after(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Outbox(path, retry_s=0.0)) as outbox:
        epoch, _ = outbox.number(1)
        outbox.add(detections(0, 1))
        with monkeypatch.context() as patched:
            patched.setattr(OutboxFile, "write", no_room)
            assert outbox.number(1) == (epoch, 2)
            outbox.add(detections(1, 1))
        outbox.add(detections(2, 1))
        assert outbox.stats().trouble is None
    with closing(Outbox(path)) as outbox:
        assert outbox.number(1) == (epoch, 3)


def test_others_cannot_read_what_was_heard(outbox: Outbox, path: Path) -> None:
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
