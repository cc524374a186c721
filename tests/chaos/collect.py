"""Consumers, database and broker are killed in turn while detections arrive: each that was published is stored once.

Two collectors receive from a Mosquitto, which keeps its sessions on the disk where it is killed, and write into a
PostgreSQL that syncs. What counts as published is what the broker has acknowledged. A last row measures one collector
by a backlog.

Mosquitto forgets shared subscriptions when it starts, whatever it has saved: what is published until they are made
again has no subscriber. So under kills of the broker collectors do not share; what they lose if they do is measured,
and is no fault of theirs.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import paho.mqtt.client as paho
import psycopg
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from support.brokers import BrokerProcess, MosquittoFactory
from support.collectors import RunningCollector
from support.postgres import Postgres, running_postgres
from support.waiting import wait_until

COLLECTORS = 2
RATE_PER_S = 1000.0
DURATION_S = 40.0
KILL_EVERY_S = 5.0
BROKER_RATE_PER_S = 250.0  # a Mosquitto that saves each change takes no thousand
BROKER_KILL_EVERY_S = 15.0  # after connections that were lost at once a collector waits longer, up to 30 s
AWAY_S = 2.0  # of the database
BACKLOG = 50_000
_QUIET_S = 45.0  # after which nothing more is to be expected

Fault = Literal["none", "collectors", "database", "broker", "broker, shared subscription"]


@dataclass(frozen=True, slots=True)
class Collected:
    """What became of detections under one fault."""

    killed: str
    times: int
    published: int  # acknowledged by the broker
    stored: int  # different (id, kind)
    rows: int
    repeated: int  # came again, and changed nothing
    rate_per_s: float  # published, or of a backlog: stored
    cpu_percent: float | None  # of a core, each collector
    memory_mb: float  # of a collector, at most
    faults: tuple[str, ...]


class Publisher:
    """Publishes onsets of 40 sources at a steady rate; paho sends again what the broker has not acknowledged."""

    def __init__(self, port: int, count: int, rate_per_s: float) -> None:
        self.acknowledged = 0
        self._count = count
        self._rate_per_s = rate_per_s
        self._client = client = paho.Client(
            CallbackAPIVersion.VERSION2, "publisher", protocol=MQTTProtocolVersion.MQTTv5
        )
        client.max_inflight_messages_set(200)
        client.reconnect_delay_set(1, 1)
        client.on_publish = self._note
        client.connect("127.0.0.1", port)
        client.loop_start()
        self._begin = datetime.now(UTC)
        self._thread = threading.Thread(target=self._publish, daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        return self.acknowledged >= self._count

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _note(self, *_: object) -> None:
        self.acknowledged += 1

    def _publish(self) -> None:
        begin_s = time.monotonic()
        for number in range(self._count):
            ahead_s = begin_s + number / self._rate_per_s - time.monotonic()
            if ahead_s > 0.002:
                time.sleep(ahead_s)
            at = self._begin + timedelta(seconds=number / self._rate_per_s)
            payload = {
                "schema_version": 1,
                "id": f"{number:08x}-0000-5000-8000-{os.getpid():012x}",
                "kind": "onset",
                "label": "dog",
                "score": 0.9,
                "at": at.isoformat(timespec="milliseconds"),
                "at_error_s": 0.1,
                "duration_s": 0.5,
                "model": "home",
                "seq": number,
                "seq_epoch": "proof",
            }
            self._client.publish(f"edgeaudio/hall/camera-{number % 40}/detection", json.dumps(payload), qos=1)


def collect(folder: Path, *, short: bool = False) -> Sequence[Collected]:
    """Publish under each fault, and measure a backlog."""
    faults: tuple[Fault, ...] = ("none", "collectors", "database", "broker", "broker, shared subscription")
    if short:
        return [under(folder / fault, fault, rate_per_s=200.0, duration_s=8.0, every_s=3.0) for fault in faults[1:3]]
    rows = [
        under(
            folder / str(number),
            fault,
            rate_per_s=BROKER_RATE_PER_S if fault.startswith("broker") else RATE_PER_S,
            every_s=BROKER_KILL_EVERY_S if fault.startswith("broker") else KILL_EVERY_S,
        )
        for number, fault in enumerate(faults)
    ]
    return [*rows, backlog(folder / "backlog", BACKLOG)]


def under(
    folder: Path,
    fault: Fault,
    *,
    rate_per_s: float = RATE_PER_S,
    duration_s: float = DURATION_S,
    every_s: float = KILL_EVERY_S,
) -> Collected:
    """Publish for so long while something is killed every so often."""
    with ExitStack() as stack:
        options = ("--no-sharing",) if fault == "broker" else ()
        keeps = fault.startswith("broker")
        broker, server, collectors = _stage(stack, folder, COLLECTORS, *options, keeps=keeps)
        for collector in collectors:
            collector.start().wait_subscribed()
        count = round(rate_per_s * duration_s)
        begin_s, begin_cpu_s = time.monotonic(), sum(map(_cpu_s, collectors))
        publisher = stack.enter_context(closing(Publisher(broker.port, count, rate_per_s)))
        kills = _kill(fault, broker, server, collectors, every_s, until=lambda: publisher.is_done)
        took_s, used_s = time.monotonic() - begin_s, sum(map(_cpu_s, collectors)) - begin_cpu_s
        stored, rows = _settled(server, count)
        return Collected(
            killed=fault,
            times=kills,
            published=publisher.acknowledged,
            stored=stored,
            rows=rows,
            repeated=sum(collector.messages("repeated") for collector in collectors),
            rate_per_s=round(publisher.acknowledged / took_s, 1),
            cpu_percent=round(100 * used_s / took_s / COLLECTORS, 1) if fault == "none" else None,
            memory_mb=max(map(_memory_mb, collectors)),
            faults=judged(fault, publisher.acknowledged, stored, rows),
        )


def judged(fault: str, published: int, stored: int, rows: int) -> tuple[str, ...]:
    """Return what must not be."""
    faults = []
    if stored != published and fault != "broker, shared subscription":
        faults.append(f"killed {fault}: {published - stored} of {published} detections are not stored")
    if rows != stored:
        faults.append(f"killed {fault}: {rows - stored} detections are stored twice")
    return tuple(faults)


def backlog(folder: Path, count: int) -> Collected:
    """Let detections wait at the broker for one collector that is away, and measure its return."""
    with ExitStack() as stack:
        broker, server, (collector,) = _stage(stack, folder, 1, keeps=False)
        collector.start().wait_subscribed()
        collector.kill()
        publisher = stack.enter_context(closing(Publisher(broker.port, count, 1e6)))
        wait_until(lambda: publisher.is_done, 120, "the broker does not take them")
        collector.start().wait_subscribed()
        first, begin_s, begin_cpu_s = collector.messages("stored"), time.monotonic(), _cpu_s(collector)
        wait_until(lambda: collector.messages("stored") + collector.messages("repeated") >= count, 300, collector.log)
        took_s, used_s = time.monotonic() - begin_s, _cpu_s(collector) - begin_cpu_s
        stored, rows = _settled(server, count)
        return Collected(
            killed="none, backlog of one collector",
            times=0,
            published=publisher.acknowledged,
            stored=stored,
            rows=rows,
            repeated=collector.messages("repeated"),
            rate_per_s=round((count - first) / took_s, 1),
            cpu_percent=round(100 * used_s / took_s, 1),
            memory_mb=_memory_mb(collector),
            faults=judged("none", publisher.acknowledged, stored, rows),
        )


def _stage(
    stack: ExitStack, folder: Path, collectors: int, *options: str, keeps: bool
) -> tuple[BrokerProcess, Postgres, Sequence[RunningCollector]]:
    folder.mkdir()
    server = stack.enter_context(running_postgres())
    # saved after each change, which takes most of a core: a Mosquitto that is killed has lost what it had not saved
    kept = ("persistence true", f"persistence_location {folder}/", "autosave_interval 1", "autosave_on_changes true")
    broker = MosquittoFactory(folder)("max_queued_messages 0", *(kept if keeps else ())).start()
    stack.callback(broker.stop)
    made = [
        RunningCollector(folder, broker.port, server.url(), *options, device=f"collect-{number}")
        for number in range(collectors)
    ]
    for collector in made:
        stack.callback(collector.kill)
    return broker, server, made


def _kill(
    fault: Fault,
    broker: BrokerProcess,
    server: Postgres,
    collectors: Sequence[RunningCollector],
    every_s: float,
    *,
    until: Callable[[], bool],
) -> int:
    kills = 0
    next_s = time.monotonic() + every_s
    while not until():
        time.sleep(0.05)
        if fault == "none" or time.monotonic() < next_s:
            continue
        if fault == "collectors":
            collector = collectors[kills % len(collectors)]
            collector.kill()
            collector.start()
        elif fault == "database":
            server.kill()
            time.sleep(AWAY_S)  # the pause is the fault
            server.start()
        else:
            broker.kill()
            broker.start()
        kills += 1
        next_s = time.monotonic() + every_s
    for collector in collectors:
        collector.wait_subscribed()
    return kills


def _settled(server: Postgres, count: int) -> tuple[int, int]:
    """Wait until that many are stored, or nothing more comes; return the different (id, kind), and the rows."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        found, changed_s = (0, 0), time.monotonic()
        while found[0] < count and time.monotonic() - changed_s < _QUIET_S:
            row = connection.execute("SELECT count(DISTINCT (id, kind)), count(*) FROM edgeaudio.detections").fetchone()
            assert row is not None
            if row != found:
                found, changed_s = row, time.monotonic()
            time.sleep(0.2)
        return found


def _cpu_s(collector: RunningCollector) -> float:
    assert collector.process is not None
    fields = Path(f"/proc/{collector.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(collector: RunningCollector) -> float:
    assert collector.process is not None
    status = Path(f"/proc/{collector.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return round(int(line.split()[1]) / 1024, 1)
