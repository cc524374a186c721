"""The broker goes away, in every way there is, under 100 events a second.

All of them are delivered in the end, in order, none under two ids; what waited is drained without a burst.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from support.agents import DEVICE, Listener
from support.brokers import ROOT, BrokerProcess, MosquittoFactory
from support.cut_line import CutLine
from support.programs import require_program
from support.waiting import wait_until

from chaos.events import committed, compare

RATE_PER_S = 100.0
LONG_S, SHORTER_S = 120.0, 30.0
STEADY = 10  # messages that may be under way when nothing is wrong
AGENT, BOOKS = "agent", "books"  # users, each its own password
RULES = f"user {AGENT}\ntopic readwrite edgeaudio/#\nuser {BOOKS}\ntopic read edgeaudio/#\n"
RULES_WITHOUT_DETECTIONS = (
    f"user {AGENT}\ntopic deny edgeaudio/{DEVICE}/yard/detection\ntopic readwrite edgeaudio/#\n"
    f"user {BOOKS}\ntopic read edgeaudio/#\n"
)


@dataclass(frozen=True, slots=True)
class Outage:
    """What one outage did."""

    broker: str  # what was done to it
    away_s: float
    events: int
    delivered: int
    repeated: int
    deepest: int  # messages waiting, at most
    drained_s: float  # from the repair until nothing waited any longer
    worst_lag_s: float  # from the commit to the subscriber
    peak_per_s: int  # messages that the subscriber received within a second, at most
    faults: tuple[str, ...]  # what must not be


class _Scene:
    """A broker with users and rules, a subscriber for whom it keeps what was missed, and a stream of events."""

    def __init__(self, folder: Path, stack: ExitStack, *, retry_max_s: float, timeout_s: float) -> None:
        self.home = folder / "mosquitto-0"
        self.database = folder / "mosquitto.db"
        self.broker: BrokerProcess = MosquittoFactory(folder)(
            "max_queued_messages 0",
            # a message that the broker has is written to the subscriber before it is acknowledged, so that what a
            # killed broker takes with it is not held against the agent
            "max_inflight_messages 0",
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_interval 1",
            users={AGENT: AGENT, BOOKS: BOOKS},
            acl=RULES,
        ).start()
        stack.callback(self.broker.stop)
        self.line = stack.enter_context(CutLine(self.broker.port))
        self.listener = stack.enter_context(
            Listener(self.broker.port, f"edgeaudio/{DEVICE}/#", username=BOOKS, password=BOOKS, session=BOOKS)
        )
        self.log = folder / "stream.log"
        command = [sys.executable, "-m", "chaos.stream", "--port", str(self.line.port), "--rate", str(RATE_PER_S)]
        command += ["--folder", str(folder), "--user", AGENT]
        command += ["--retry-max", str(retry_max_s), "--timeout", str(timeout_s)]
        paths = {"PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"}
        with self.log.open("wb") as log:
            self.stream = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=paths)
        stack.callback(self.end)

    def end(self) -> None:
        if self.stream.poll() is None:
            self.stream.kill()
        self.stream.communicate()

    @property
    def depth(self) -> int:
        """How many messages wait, as of a tenth of a second ago."""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 4096))
            depths = [line.split()[1] for line in log.read().splitlines()[1:] if line.startswith(b"depth ")]
        return int(depths[-1]) if depths else 0

    def start_broker(self) -> None:
        """Start it, and let the subscriber in before the agent: the measure is of the agent's pace."""
        wait_until(lambda: not self.listener.connected, 10, "the subscriber did not notice")
        self.line.cut()
        self.broker.start()
        wait_until(lambda: self.listener.connected, 20, "the subscriber did not come back")
        self.line.mend()

    def set_password(self, password: str) -> None:
        command = [require_program("mosquitto_passwd"), "-b", str(self.home / "passwords"), AGENT, password]
        subprocess.run(command, check=True, timeout=30)
        self.broker.reload()

    def set_rules(self, rules: str) -> None:
        (self.home / "acl").write_text(rules)
        self.broker.reload()


def _stopped(scene: _Scene, away_s: float) -> None:
    scene.broker.stop()
    time.sleep(away_s)
    scene.start_broker()


def _killed_in_the_drain(scene: _Scene, away_s: float) -> None:
    _stopped(scene, away_s)
    deepest = scene.depth
    wait_until(lambda: scene.depth < deepest / 2, 60, "nothing is drained")
    scene.broker.kill()
    scene.start_broker()


def _wiped(scene: _Scene, away_s: float) -> None:
    # what the broker has acknowledged is the broker's: the subscriber gets it before the broker forgets it
    scene.line.cut()
    wait_until(lambda: time.time() > scene.listener.heard[-1].at_s + 0.5, 10, "the subscriber does not come to rest")
    scene.broker.stop()
    scene.database.unlink()
    time.sleep(away_s)
    scene.start_broker()


def _login_refused(scene: _Scene, away_s: float) -> None:
    scene.set_password("another")
    time.sleep(away_s)
    scene.set_password(AGENT)


def _topic_refused(scene: _Scene, away_s: float) -> None:
    scene.set_rules(RULES_WITHOUT_DETECTIONS)
    time.sleep(away_s)
    scene.set_rules(RULES)


def _frozen(scene: _Scene, away_s: float) -> None:
    scene.broker.freeze()
    time.sleep(away_s)
    scene.broker.thaw()


BREAKS: dict[str, Callable[[_Scene, float], None]] = {
    "stopped": _stopped,
    "killed in the drain": _killed_in_the_drain,
    "back with nothing in memory": _wiped,
    "refuses the login": _login_refused,
    "refuses the topic": _topic_refused,
    "frozen": _frozen,
}


def outage(folder: Path, how: str, away_s: float, *, retry_max_s: float = 30.0, timeout_s: float = 10.0) -> Outage:
    """Take the broker away for that long, in one of the ways of `BREAKS`, and hold the books."""
    with ExitStack() as stack:
        scene = _Scene(folder, stack, retry_max_s=retry_max_s, timeout_s=timeout_s)
        wait_until(lambda: len(scene.listener.detections()) > RATE_PER_S / 2, 20, "nothing comes")
        begin_s = time.monotonic()
        BREAKS[how](scene, away_s)
        end_s = time.monotonic()
        wait_until(lambda: scene.depth <= STEADY, 120 + away_s, "the outbox is not drained")
        drained_s = time.monotonic() - end_s
        _end_stream(scene)
        promised = committed(scene.log)
        wait_until(lambda: not compare(promised, scene.listener).faults, 20, str(compare(promised, scene.listener)))
        books = compare(promised, scene.listener)
        arrivals, lags = _arrivals(scene.listener)
        depths = [int(line.split()[1]) for line in scene.log.read_text().splitlines() if line.startswith("depth ")]
        assert max(depths) > STEADY, "the outage was not one"
        return Outage(
            broker=how,
            away_s=round(end_s - begin_s, 1),
            events=books.committed,
            delivered=books.received,
            repeated=books.repeated,
            deepest=max(depths),
            drained_s=round(drained_s, 1),
            worst_lag_s=round(max(lags), 1),
            peak_per_s=_peak(arrivals),
            faults=books.faults,
        )


def _end_stream(scene: _Scene) -> None:
    """End the stream in good order: what it committed is acknowledged."""
    assert scene.stream.stdin is not None
    scene.stream.stdin.close()
    wait_until(lambda: scene.stream.poll() is not None, 60, f"the stream does not end, {scene.depth} messages wait")
    assert scene.stream.returncode == 0, scene.log.read_text()[-2000:]


def _arrivals(listener: Listener) -> tuple[list[float], list[float]]:
    """When each detection came, and how long after its commit the first copy of it did."""
    heard = [message for message in list(listener.heard) if message.topic.endswith("/detection")]
    lags: dict[bytes, float] = {}
    for message, event in zip(heard, listener.detections(), strict=True):
        lags.setdefault(message.payload, message.at_s - datetime.fromisoformat(event["at"]).timestamp())
    return [message.at_s for message in heard], list(lags.values())


def _peak(times: Sequence[float]) -> int:
    """The most within any second."""
    most = first = 0
    for last, at_s in enumerate(times):
        while at_s - times[first] > 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def outages(folder: Path, *, short: bool = False) -> list[Outage]:
    """Take the broker away in every way; in the full form with the delays that the agent has by default."""
    rows = []
    for number, how in enumerate(BREAKS):
        scene = folder / str(number)
        scene.mkdir()
        if short:
            rows.append(outage(scene, how, 1.0, retry_max_s=0.5, timeout_s=2.0))
        else:
            rows.append(outage(scene, how, LONG_S if how == "stopped" else SHORTER_S))
        print(rows[-1], flush=True)
    return rows
