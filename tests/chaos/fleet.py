"""The broker of a fleet is restarted: all devices reconnect, and their outboxes do not overload it.

Each device is the real sender with the real outbox (clients.py) and as much state as an agent has; a subscriber with a
session counts the detections.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from support.brokers import ROOT, MosquittoFactory, Subscriber
from support.waiting import wait_until

DEVICES, PROCESSES = 200, 2
DETECTIONS = 50  # that wait in each outbox
BACK_S = 120.0  # within which all must be there


@dataclass(frozen=True, slots=True)
class Fleet:
    """Results of one restart."""

    devices: int
    away_s: float
    rate_per_s: float  # at most, of each device
    detections: int  # that waited, of all
    back_s: float  # from the broker's start until the last device was connected
    connected_per_s: int  # connections that the broker took within a second, at most
    dropped: int  # connections that ended again
    drained_s: float  # until the last outbox was empty
    peak_per_s: int  # detections that the subscriber received within a second, at most
    repeated: int
    faults: tuple[str, ...]


class _Devices:
    """The child processes."""

    def __init__(self, folder: Path, port: int, devices: int, detections: int, rate_per_s: float | None) -> None:
        self.count = devices
        self._logs = [folder / f"devices-{number}.log" for number in range(PROCESSES)]
        self._children: list[subprocess.Popen[bytes]] = []
        for number, log in enumerate(self._logs):
            share = len(range(number, devices, PROCESSES))
            command = [sys.executable, "-m", "chaos.clients", "--port", str(port), "--folder", str(folder)]
            command += ["--first", str(1000 * number), "--devices", str(share), "--detections", str(detections)]
            command += [] if rate_per_s is None else ["--rate", str(rate_per_s)]
            with log.open("wb") as out:
                child = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=out,
                    stderr=out,
                    env={"PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"},
                )
            self._children.append(child)

    def told(self, what: str, since_s: float = 0.0) -> list[float]:
        """Return the times of those lines, in order."""
        lines = (line.split() for log in self._logs for line in log.read_text().splitlines())
        return sorted(float(line[0]) for line in lines if line[2] == what and float(line[0]) >= since_s)

    def commit(self) -> None:
        for child in self._children:
            assert child.stdin is not None
            child.stdin.write(b"now\n")
            child.stdin.flush()
        wait_until(lambda: len(self.told("committed")) == PROCESSES, 120, "nothing is committed")

    def finish(self, stall_timeout_s: float) -> None:
        """Wait until all outboxes are empty, and all have said goodbye."""
        for child in self._children:
            assert child.stdin is not None
            child.stdin.close()
        wait_until(
            lambda: all(child.poll() is not None for child in self._children), stall_timeout_s, "they do not end"
        )
        assert not any(child.returncode for child in self._children), [log.read_text()[-500:] for log in self._logs]

    def kill(self) -> None:
        for child in self._children:
            child.kill()
            child.wait()


def restart(folder: Path, devices: int, detections: int, away_s: float, rate_per_s: float | None = None) -> Fleet:
    """Stop the broker of that many devices for that long, and measure its return."""
    folder.mkdir()
    with ExitStack() as stack:
        broker = MosquittoFactory(folder)(
            "max_queued_messages 0", "persistence true", f"persistence_location {folder}/"
        )
        broker.start()
        stack.callback(broker.stop)
        subscriber = stack.enter_context(Subscriber(broker.port, "edgeaudio/+/+/detection", session="books"))
        fleet = _Devices(folder, broker.port, devices, detections, rate_per_s)
        stack.callback(fleet.kill)
        wait_until(lambda: len(fleet.told("connected")) >= devices, 120, "not all are connected")
        time.sleep(min(10.0, away_s))  # for the state to be told
        broker.stop()
        begin_s = time.monotonic()
        fleet.commit()
        time.sleep(max(0.0, begin_s + away_s - time.monotonic()))
        back_s = time.time()
        broker.start()
        wait_until(lambda: len(fleet.told("connected", back_s)) >= devices, BACK_S, "not all are back")
        fleet.finish(BACK_S)
        wait_until(lambda: len(set(_ids(subscriber))) >= devices * detections, 20, "not all is received")
        ids = _ids(subscriber)
        connected = fleet.told("connected", back_s)
        arrivals = [message.at_s for message in subscriber.heard]
        missing = devices * detections - len(set(ids))
        return Fleet(
            devices=devices,
            away_s=away_s,
            rate_per_s=rate_per_s or 500.0,
            detections=devices * detections,
            back_s=round(connected[-1] - back_s, 1),
            connected_per_s=_peak(connected),
            dropped=len(connected) - devices,
            drained_s=round(fleet.told("drained")[-1] - back_s, 1),
            peak_per_s=_peak(arrivals),
            repeated=len(ids) - len(set(ids)),
            faults=(f"{missing} detections were not received",) if missing else (),
        )


def _ids(subscriber: Subscriber) -> list[str]:
    return [json.loads(message.payload)["id"] for message in list(subscriber.heard)]


def _peak(times: Iterable[float]) -> int:
    return max(Counter(int(at_s) for at_s in times).values())


def fleet(folder: Path, *, short: bool = False) -> Sequence[Fleet]:
    """Restart the broker at once, with the rate of a house and one for a fleet, and after a minute."""
    if short:
        return [restart(folder / "short", 20, 10, 1.0)]
    return [
        restart(folder / "at-once", DEVICES, DETECTIONS, 2.0),
        restart(folder / "rate", DEVICES, DETECTIONS, 2.0, 5.0),
        restart(folder / "minute", DEVICES, DETECTIONS, 60.0),
    ]
