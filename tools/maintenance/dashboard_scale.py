"""How fast the dashboard answers with a history of millions of events, and what a large fleet costs it.

    python -m tools.maintenance.dashboard_scale [--events 10000000] [--seconds 120] FILE

FILE is the database: it is filled if it is not there (10 million events take ten minutes and 3 GB), and used again. It
holds a year of 1,000 devices with five sources each. Then a dashboard serves it, Mosquitto brings 100 detections and
33 health reports a second of that fleet, and a client asks for pages and charts. Each median and slowest of 15 answers
is for docs/dashboard.md; the CPU time of the process holds all that it does meanwhile. Needs the program mosquitto.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from edgeaudio.dashboard.database import Database
from edgeaudio.dashboard.history import upgrade
from edgeaudio.dashboard.service import SCHEMA

DEVICES, SOURCES = 1000, ("porch", "hall", "yard", "barn", "gate")
LABELS = ("speech", "dog", "bird", "engine", "rain", "wind", "music", "cat", "siren", "horn", "baby_cry", "cough")
RARE = "glass_break"  # a hundred times
DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS
TRIES = 15
DETECTIONS_PER_S, HEALTH_PER_S = 100, 33
COLUMNS = (
    "number, device, source, id, label, model, score, begin_ms, begin_error_s, end_ms, end_error_s, duration_s, test, "
    "kinds, received_ms"
)


def main() -> None:
    """Fill the file, serve it, ask, and print two tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long the fleet reports")
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    if not arguments.file.exists():
        fill(arguments.file, arguments.events)
    print(f"{arguments.events} events, {arguments.file.stat().st_size / 1e9:.2f} GB; load {os.getloadavg()[0]:.1f}")
    with ExitStack() as stack:
        broker = stack.enter_context(mosquitto())
        process, port = stack.enter_context(dashboard(arguments.file, broker))
        show("nothing else comes", ask_all(port, process.pid), process)
        fleet = threading.Thread(target=report, args=(broker, arguments.seconds))
        fleet.start()
        time.sleep(min(10.0, arguments.seconds / 4))  # for the retained messages of the fleet
        before_s, began_s = cpu_s(process.pid), time.monotonic()
        show(f"{DETECTIONS_PER_S} detections and {HEALTH_PER_S} reports a second", ask_all(port, process.pid), process)
        fleet.join()
        print(f"CPU: {100 * (cpu_s(process.pid) - before_s) / (time.monotonic() - began_s):.0f} % of a core")


def fill(path: Path, events: int) -> None:
    """Make the file, as the dashboard would have."""
    began_s = time.monotonic()
    now_ms = round(time.time() * 1000)
    with closing(Database(path, SCHEMA, upgrade)) as database, database.writing() as db:
        db.execute("PRAGMA cache_size = -2000000")
        indexes = list(db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql NOTNULL"))
        for name, _ in indexes:
            db.execute(f"DROP INDEX {name}")
        rows = made_events(events, now_ms)
        db.executemany(f"INSERT INTO events ({COLUMNS}) VALUES (NULL{', ?' * 14})", rows)  # noqa: S608 (a constant)
        for _, statement in indexes:
            db.execute(statement)
        print(f"rows after {time.monotonic() - began_s:.0f} s", flush=True)
        upgrade(db, 1)
    print(f"filled in {time.monotonic() - began_s:.0f} s", flush=True)


def made_events(events: int, now_ms: int) -> Iterator[tuple[Any, ...]]:
    """Return events of the last year, the oldest first."""
    chance = random.Random(1)
    weights = [1 / rank for rank in range(1, len(LABELS) + 1)]
    labels = chance.choices(LABELS, weights, k=100_003)
    rare = set(range(events // 200, events, max(1, events // 100)))
    for number in range(events):
        begin_ms = now_ms - YEAR_MS + number * YEAR_MS // events
        label = RARE if number in rare else labels[number % len(labels)]
        score = 0.5 + 0.495 * chance.random() ** 0.7
        duration_s = 1.0 + 9 * chance.random()
        device, source = f"device-{chance.randrange(DEVICES):04}", SOURCES[chance.randrange(len(SOURCES))]
        yield (
            *(device, source, f"{number:032x}", label, "home", round(score, 4), begin_ms, 0.5),
            *(begin_ms + round(1000 * duration_s), 0.5, duration_s, 0, 3, begin_ms + 2000),
        )


def questions(now_ms: int) -> dict[str, str]:
    """Return the paths that are asked for, by what they are."""
    quarter_ms = 900_000
    filters: dict[str, dict[str, Any]] = {
        "all": {},
        "a device": {"device": "device-0007"},
        "a source": {"device": "device-0007", "source": "porch"},
        "sources of a name": {"source": "barn"},
        "a label": {"label": "dog"},
        "a rare label": {"label": RARE},
        "a device's rare label": {"device": "device-0007", "label": "cough"},
        "score from 0.9": {"min_score": 0.9},
        "score from 0.994": {"min_score": 0.994},
        "a label, score from 0.99": {"label": "cat", "min_score": 0.99},
        "a device, score from 0.99": {"device": "device-0007", "min_score": 0.99},
    }
    spans = {"day": (1, "4*24"), "week": (7, "4*168"), "year": (365, "96*365")}
    found = {"page of the devices": "/", "state of the fleet": "/api/fleet", "metrics": "/metrics"}
    for name, chosen in filters.items():
        found[f"history, {name}"] = f"/api/events?{urlencode(chosen)}"
    month_ago = now_ms - 30 * DAY_MS
    found["history, all, a month ago"] = f"/api/events?until={month_ago}"
    found["history, a rare label, a month ago"] = f"/api/events?label={RARE}&until={month_ago}"
    for span, (days, steps) in spans.items():
        for name, chosen in filters.items():
            begin = now_ms // quarter_ms * quarter_ms - days * DAY_MS
            found[f"chart of a {span}, {name}"] = f"/api/counts?{urlencode({**chosen, 'from': begin, 'steps': steps})}"
    return found


def ask_all(port: int, pid: int) -> dict[str, tuple[list[float], float]]:
    """Return how long each answer took, and the CPU time of one, in ms."""
    found = {}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        for name, path in questions(round(time.time() * 1000)).items():
            times_ms: list[float] = []
            before_s = cpu_s(pid)
            for _ in range(TRIES):
                began_s = time.perf_counter()
                connection.request("GET", path)
                answer = connection.getresponse()
                body = answer.read()
                times_ms.append(1000 * (time.perf_counter() - began_s))
                if answer.status != http.client.OK:
                    print(f"{name}: {answer.status} {body[:100]!r}")
                    break
            found[name] = (times_ms, 1000 * (cpu_s(pid) - before_s) / len(times_ms))
    return found


def show(title: str, answers: dict[str, tuple[list[float], float]], process: subprocess.Popen[bytes]) -> None:
    """Print a table."""
    print(f"\n{title} (load {os.getloadavg()[0]:.1f})\n\n| answer | median | slowest | CPU |\n|---|---|---|---|")
    for name, (times_ms, cpu_ms) in answers.items():
        print(f"| {name} | {median(times_ms):.1f} ms | {max(times_ms):.1f} ms | {cpu_ms:.0f} ms |")
    print(f"\nmemory: {memory_mb(process.pid):.0f} MB", flush=True)


def report(broker: int, seconds: float) -> None:
    """Publish what a fleet does: its retained state, then health and detections."""
    client = Client(CallbackAPIVersion.VERSION2, client_id="fleet")
    client.max_queued_messages_set(0)
    client.connect("127.0.0.1", broker)
    client.loop_start()
    since = datetime.now(UTC).isoformat()
    for device in range(DEVICES):
        base = f"edgeaudio/device-{device:04}"
        client.publish(f"{base}/availability", "online", retain=True)
        for source in SOURCES:
            status = {"schema_version": 1, "state": "listening", "reason": None, "since": since}
            client.publish(f"{base}/{source}/status", json.dumps(status), retain=True)
    chance = random.Random(2)
    end_s = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end_s:
        for _ in range(DETECTIONS_PER_S // 10):
            number += 1
            device, source = chance.randrange(DEVICES), chance.choice(SOURCES)
            detection = {
                "schema_version": 1,
                "id": f"live-{time.time_ns():x}",
                "kind": "onset",
                "label": chance.choice(LABELS),
                "score": round(chance.uniform(0.5, 1), 4),
                "at": datetime.now(UTC).isoformat(),
                "at_error_s": 0.1,
                "duration_s": 0.5,
                "model": "home",
                "seq": number,
                "seq_epoch": "5f0c2a91",
            }
            client.publish(f"edgeaudio/device-{device:04}/{source}/detection", json.dumps(detection), qos=1)
        for _ in range(HEALTH_PER_S // 10):
            client.publish(f"edgeaudio/device-{chance.randrange(DEVICES):04}/health", json.dumps(health(since)))
        time.sleep(0.1)
    client.disconnect()
    client.loop_stop()


def health(since: str) -> dict[str, Any]:
    """Return a report as an agent sends it, of what the dashboard reads."""
    source = {"state": "listening", "reason": None, "since": since, "heard_s": 3600.5, "lost_s": 0.5, "lag_s": 0.2}
    return {
        "schema_version": 1,
        "at": datetime.now(UTC).isoformat(),
        "version": "0.1.0",
        "started_at": since,
        "restarts": 0,
        "cpu_percent": 12.5,
        "memory_mb": 95.0,
        "temperature_c": 51.5,
        "disk_free_mb": 9000.0,
        "outbox": {"depth": 0, "bytes": 0, "oldest_s": 0.0, "dropped": 0},
        "sources": dict.fromkeys(SOURCES, source),
    }


@contextmanager
def mosquitto() -> Iterator[int]:
    """Yield the port of a broker on loopback."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 100000\n")
        process = subprocess.Popen(["mosquitto", "-c", config], stderr=subprocess.DEVNULL)  # noqa: S603, S607 (ours)
        try:
            time.sleep(1)
            yield port
        finally:
            end(process)


@contextmanager
def dashboard(path: Path, broker: int, **changes: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Yield the process and its port, once it answers; `changes`: of settings of the dashboard."""
    port = free_port()
    settings = {
        "device": "desk",
        "state_dir": str(path.parent),
        "mqtt.url": f"mqtt://127.0.0.1:{broker}",
        "dashboard.listen": f"127.0.0.1:{port}",
        "dashboard.database": str(path),
        "dashboard.keep_days": "400",
        **{f"dashboard.{name}": value for name, value in changes.items()},
    }
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    process = subprocess.Popen([sys.executable, "-m", "edgeaudio", "dashboard", *words])  # noqa: S603 (our own)
    try:
        deadline_s = time.monotonic() + 60
        while time.monotonic() < deadline_s and process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        yield process, port
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop a process that this one started."""
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
    process.kill()
    process.wait()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Return the memory of a process that no other shares, and its part of what is shared."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000


if __name__ == "__main__":
    main()
