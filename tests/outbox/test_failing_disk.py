"""An outbox on a disk that is full, read-only or broken."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support.delivery import DETECTION, detections, payloads

from edgeaudio.outbox.database import OutboxFile
from edgeaudio.outbox.outbox import Outbox, in_memory
from edgeaudio.types import Message


def refuse_writes(outbox: Outbox) -> None:
    """Make SQLite refuse writes, as on a disk that has become read-only."""
    assert outbox._store._file is not None
    outbox._store._file._db.execute("PRAGMA query_only = ON")


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
        outbox.delete([row.seq for row in outbox.pending(1)])  # acknowledged: not to be returned again
        outbox.delete([row.seq for row in outbox.pending(10)][-1:])
        assert payloads(outbox) == [1, 2, 3, 4]
        assert outbox.stats().depth == 4
        before = [row.seq for row in outbox.pending(10)]
        outbox._store._retry_at = 0.0  # the disk works again, and the retry is due
        outbox.add(detections(6, 1))
        assert outbox.stats().trouble is None
        assert payloads(outbox) == [1, 2, 3, 4, 6]
        assert [row.seq for row in outbox.pending(10)][:4] == before  # what is in flight keeps its number
    with closing(Outbox(path)) as outbox:
        assert payloads(outbox) == [1, 2, 3, 4, 6]
        assert outbox.open_events() == {"b": "B"}
        assert outbox.settings() == {"key": "value"}
    logged = caplog.messages
    assert len(logged) == 2
    assert logged[0].startswith(
        "outbox: the disk fails, messages are kept in memory: attempt to write a readonly database"
    )
    assert logged[1] == "outbox: the disk is in use again, 1 messages were moved to it"


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
        outbox._store._retry_at = 0.0
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


def test_on_a_full_disk_messages_stay_in_memory_and_can_still_be_sent(path: Path) -> None:
    with closing(Outbox(path, retry_s=60.0)) as outbox:
        outbox.add(detections(0, 3))
        assert outbox._store._file is not None
        outbox._store._file._db.execute("PRAGMA max_page_count = 1")
        big = [Message(DETECTION, b"%d" % number + b" " * 3000, 1) for number in range(3, 20)]
        outbox.add(big)
        trouble = outbox.stats().trouble
        assert trouble is not None
        assert "full" in trouble
        assert [int(row.message.payload) for row in outbox.pending(100)] == list(range(20))
        outbox._store._retry_at = 0.0
        assert outbox.stats().trouble is None
        assert [int(row.message.payload) for row in outbox.pending(100)] == list(range(20))


def read_only(file: OutboxFile) -> None:
    """Stand in for the opening of a file on a disk that SQLite cannot write to."""
    file._db.execute("PRAGMA query_only = ON")
    file._db.execute("CREATE TABLE x (y)")


def test_a_disk_that_cannot_even_be_read_holds_up_nothing(path: Path) -> None:
    with closing(Outbox(path, retry_s=60.0)) as outbox:
        outbox.add(detections(0, 3))
        returned = outbox.pending(1)[0].seq
        assert outbox._store._file is not None
        outbox._store._file._db.close()
        assert payloads(outbox) == []
        outbox.add(detections(3, 2))
        assert payloads(outbox) == [3, 4]
        outbox.delete([returned])
        assert outbox.stats().trouble is not None
        outbox._store._retry_at = 0.0
        assert payloads(outbox) == [1, 2, 3, 4]
        assert outbox.stats().depth == 4


def test_a_failing_disk_is_logged_in_one_line_with_what_to_do(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(OutboxFile, "_prepare", read_only)
    with closing(Outbox(path)) as outbox:
        trouble = outbox.stats().trouble
    assert trouble is not None
    assert in_memory(trouble) in caplog.text
    assert "free some space or mount it writable" in caplog.text


def test_what_was_only_in_memory_at_the_end_is_logged_as_lost(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OutboxFile, "_prepare", read_only)
    outbox = Outbox(path)
    outbox.add(detections(0, 2))
    outbox.close()
    assert caplog.records[-1].getMessage().startswith("outbox: 2 messages were only in memory and are lost: attempt to")


def test_a_disk_that_is_read_only_at_start_is_used_once_it_is_writable(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
        outbox._store._retry_at = 0.0
        assert payloads(outbox) == [0, 1, 2, 3, 4]  # what was on the disk comes first, being older
        assert outbox.stats().depth == 5
        outbox.delete([in_flight])
        assert payloads(outbox) == [0, 1, 2, 4]
        assert outbox.open_events() == {"a": "A", "b": "B"}
    with closing(Outbox(path)) as outbox:
        outbox.add(detections(5, 1))
        assert payloads(outbox) == [0, 1, 2, 4, 5]
        assert outbox.pending(10)[-1].seq < 100  # numbered afresh
