"""The outbox: events committed a second, and a backlog that is sent after an outage.

Owns: the events, and the agent that sends them to a real broker. Does not know: sounds.

A commit is synced to the disk, so its time is the disk's as much as the program's. The floor is sqlite3 alone: the same
number of rows in the same number of transactions, each a payload of that size.
"""

from __future__ import annotations

import re
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from support.agents import DEVICE, Listener, RunningAgent
from support.brokers import MosquittoFactory
from support.programs import has_program
from support.tflite import model_directory
from support.waiting import wait_until

from edgeaudio.outbox.journal import Journal
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Event, Message
from tools.benchmarks.cores import SERVERS, pinned
from tools.benchmarks.figures import FLOOR, Figure, Target

BUILD = Path(__file__).parents[2] / "build"  # on the disk, which /tmp may not be
# the agent commits what one look into its queue brought: one event when little happens, many when much does
BATCHES = (1, 10, 100)
LEAST_PER_S = 2000
BACKLOG = 100_000
LIMIT_S = 60.0  # to send it
# the most that mqtt.rate_per_s takes, and room for the backlog
UNLIMITED = {"EDGEAUDIO_MQTT__RATE_PER_S": "10000", "EDGEAUDIO_OUTBOX__MAX_BYTES": "100000000"}
MANY = 10**7  # more than ever wait
PAYLOAD_BYTES = 270  # of a detection
EVENTS = 5000  # committed again and again
_TOPICS = Topics("edgeaudio", DEVICE)


def measure(*, short: bool) -> Iterator[Figure]:
    """Measure commits in batches; with Mosquitto, the sending of a backlog."""
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as place:
        folder = Path(place)
        with pinned():
            for batch in BATCHES:
                yield _commits(folder, batch, seconds=0.2 if short else 1.0, rounds=1 if short else 7)
        if has_program("mosquitto"):
            yield from _sent_backlog(folder, BACKLOG // 100 if short else BACKLOG)
        else:
            print("(without a backlog: Mosquitto is not installed)", file=sys.stderr)


def events(first: int, count: int) -> list[Event]:
    """Return onsets and offsets in turn, of several labels."""
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        Event(
            id=f"{number // 2:032x}",
            kind="offset" if number % 2 else "onset",
            source="camera",
            model="home",
            label=("dog_bark", "siren", "speech")[number // 2 % 3],
            score=0.9,
            at=begin + timedelta(seconds=number),
            duration_s=1.0,
            at_error_s=0.5,
        )
        for number in range(first, first + count)
    ]


def encode(event: Event, epoch: str, number: int) -> Message:
    """Return an event's message."""
    return messages.detection(_TOPICS, event, seq_epoch=epoch, seq=number)


def filled(path: Path, count: int) -> Outbox:
    """Return an outbox in which so many events wait."""
    outbox = Outbox(path, max_messages=MANY, max_bytes=1000 * MANY)
    journal = Journal(outbox, encode)
    for first in range(0, count, EVENTS):
        journal.commit(events(first, min(EVENTS, count - first)))
    return outbox


def _commits(folder: Path, batch: int, *, seconds: float, rounds: int) -> Figure:
    made, row = events(0, EVENTS), (bytes(PAYLOAD_BYTES),)
    outbox = Outbox(folder / f"outbox-{batch}.sqlite", max_messages=MANY, max_bytes=1000 * MANY)
    with closing(outbox), closing(sqlite3.connect(folder / f"floor-{batch}.sqlite", isolation_level=None)) as bare:
        journal = Journal(outbox, encode)
        for pragma in ("page_size = 1024", "journal_mode = WAL", "synchronous = FULL", "locking_mode = EXCLUSIVE"):
            bare.execute(f"PRAGMA {pragma}")
        bare.execute("CREATE TABLE messages (seq INTEGER PRIMARY KEY, payload BLOB NOT NULL)")

        def insert(_: int) -> None:
            bare.execute("BEGIN IMMEDIATE")
            bare.executemany("INSERT INTO messages (payload) VALUES (?)", [row] * batch)
            bare.execute("COMMIT")

        works: dict[str, Callable[[int], object]] = {
            "edgeaudio": lambda number: journal.commit(made[number * batch % EVENTS :][:batch]),
            FLOOR: insert,
        }
        rates: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(rounds):
            for name, work in works.items():
                rates[name].append(_rate(work, seconds) * batch)
    ours, floor = (statistics.median(rates[name]) for name in ("edgeaudio", FLOOR))
    target = Target(LEAST_PER_S, at_least=True)
    return Figure(f"Committed to the disk, {batch} in a batch", "events a second", ours, {FLOOR: floor}, target)


def _rate(work: Callable[[int], object], seconds: float) -> float:
    """Return the calls a second, by the clock: waiting for the disk counts."""
    begin_s, number = time.perf_counter(), 0
    while (passed_s := time.perf_counter() - begin_s) < seconds:
        work(number)
        number += 1
    return number / passed_s


def _sent_backlog(folder: Path, backlog: int) -> Iterator[Figure]:
    """Measure an agent whose outbox is full, beside one whose outbox is empty."""
    with ExitStack() as closes:
        with pinned(SERVERS):
            broker = MosquittoFactory(folder)().start()
            closes.callback(broker.stop)
            listener = closes.enter_context(Listener(broker.port, _TOPICS.health))
        empty_mb, _ = _run(folder / "empty", broker.port, listener, 0)
        full_mb, took_s = _run(folder / "full", broker.port, listener, backlog)
    yield Figure(f"Backlog of {backlog:,} sent, mqtt.rate_per_s = 10000", "s", took_s, target=Target(LIMIT_S))
    others = {"nothing waits": empty_mb}
    yield Figure(f"Most memory, {backlog:,} are sent", "MB", full_mb, others, Target(1.05, "nothing waits"))


def _run(folder: Path, port: int, listener: Listener, backlog: int) -> tuple[float, float]:
    """Return an agent's most memory in MB, and the seconds from its start to the report of an empty outbox."""
    folder.mkdir()
    model_directory(folder)
    state = folder / "state"
    state.mkdir()
    filled(state / "outbox.sqlite", backlog).close()
    listener.forget()
    agent = RunningAgent(folder, port, "")
    agent.environment |= UNLIMITED

    def reports() -> list[dict[str, Any]]:
        return listener.payloads("/health")

    try:
        with pinned():
            began_s = time.time()
            agent.start()
        wait_until(lambda: reports() and reports()[-1]["outbox"]["depth"] == 0, 600, "the outbox is not sent")
        ended_s = listener.heard[-1].at_s
        dropped = reports()[-1]["outbox"]["dropped"]
        assert dropped == 0, f"{dropped} messages were dropped"
        assert agent.process is not None
        status = Path(f"/proc/{agent.process.pid}/status").read_text()
    finally:
        agent.kill()
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    assert found
    return int(found[1]) * 1024 / 1e6, ended_s - began_s
