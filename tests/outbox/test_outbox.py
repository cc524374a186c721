"""The outbox: order, bounds, expiry, numbers, and a process that is killed."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from support.delivery import DETECTION, detections, payloads
from support.waiting import wait_until

from edgeaudio.outbox.database import DiskError, OutboxFile, Transaction
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.types import Message


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
    """A board without a battery starts in the past, and gets the time when the network is up."""
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
        # what an earlier process left has the age that was stored
        assert payloads(outbox) == [1]
        assert outbox.stats().oldest_s == 10.0
        outbox.add(detections(2, 1))
        wall[0], mono[0] = 5059.0, 69.0
        assert payloads(outbox) == [2]
        assert outbox.stats().expired == 2


def test_the_listener_is_called_after_each_addition(outbox: Outbox) -> None:
    depths: list[int] = []
    outbox.listen(lambda: depths.append(outbox.stats().depth))
    outbox.add(detections(0, 2))
    outbox.add(detections(2, 1))
    assert depths == [2, 3]


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


def test_open_events_and_settings_survive_a_restart(path: Path) -> None:
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


def test_what_was_committed_survives_a_kill(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        committed = 20 + len(process.stdout.read().splitlines())
    with closing(Outbox(path)) as outbox:
        kept = payloads(outbox)
        assert len(kept) in {2 * committed, 2 * committed + 2}  # killed after a commit and before it was printed
        assert kept == list(range(len(kept)))  # whole commits, in order
        assert len(outbox.open_events()) == len(kept) // 2


def test_numbers_are_given_once_and_survive_restarts(path: Path) -> None:
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
