"""A centre's agents go from three shards to four and to two, as a StatefulSet rolls them, under a stream of events.

Every source is deaf only while its sources' agents restart, is heard by one agent in the end, and by two at once only
during the rollout; nothing that was heard is lost, though the broker is away while outboxes change hands; and what is
retained is that of a centre which always had so many shards.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from support.agents import Listener, RunningAgent
from support.brokers import Subscriber
from support.cut_line import CutLine
from support.rtsp import start_gst_server
from support.waiting import wait_until

from chaos.events import committed, compare
from chaos.stage import BURSTS, Stage
from edgeaudio.shards import owner_of

DEVICE = "hall"
ROOT = f"edgeaudio/{DEVICE}"
DISCOVERY = f"homeassistant/device/edgeaudio-{DEVICE}"
TICK_S = 0.3  # from one sound to the next
DEAF_FROM_S = 1.0  # a longer time without a sound is deafness
STEADY_S = 3.0  # of sound that is heard before and after a rollout
AWAY_S = 2.0  # the broker, before an agent is stopped

Hearing = Mapping[int, Sequence[float]]  # when each shard heard a sound, Unix time, in order


@dataclass(frozen=True, slots=True)
class Rollout:
    """What a change of the number of shards did."""

    shards: str
    rollout_s: float
    deaf_of_moved_s: Mapping[str, float]  # by source
    deaf_of_others_s: Mapping[str, float]
    heard_twice_s: Mapping[str, float]  # of the sources that were
    retained_topics: int
    committed: int
    received: int
    faults: tuple[str, ...]  # what must not be


class Centre:
    """The agents of a centre, each with a line to the broker and a folder of its own."""

    def __init__(self, stage: Stage, stack: ExitStack, sources: str, listener: Listener) -> None:
        self.count = 0
        self.agents: dict[int, RunningAgent] = {}
        self._lines: dict[int, CutLine] = {}
        self._stage = stage
        self._stack = stack
        self._sources = sources
        self._listener = listener

    def scale(self, count: int, *, away: bool = False) -> None:
        """Roll the agents to another count; `away`: the broker is, for those that stay, when they are stopped."""
        before, self.count = self.count, count
        for index in range(before, count):
            self._start(index)
        for index in range(before - 1, count - 1, -1):
            self._stop(index)
        for index in range(min(before, count) - 1, -1, -1):
            if away:
                self._lines[index].cut()
                time.sleep(AWAY_S)  # for sounds to be heard meanwhile
            self._stop(index)
            self._lines[index].mend()
            self._start(index)

    def kill(self) -> None:
        for agent in self.agents.values():
            agent.kill()

    def _start(self, index: int) -> None:
        if index not in self.agents:
            folder = self._stage.folder / f"shard-{index}"
            folder.mkdir()
            (folder / "test").symlink_to(self._stage.folder / "test")
            line = self._lines[index] = self._stack.enter_context(CutLine(self._stage.broker.port))
            agent = RunningAgent(folder, line.port, self._sources, settings='log_level = "debug"', device=DEVICE)
            self.agents[index] = agent
        agent, since_s = self.agents[index], time.time()
        agent.environment |= {"EDGEAUDIO_SHARD__INDEX": str(index), "EDGEAUDIO_SHARD__COUNT": str(self.count)}
        agent.start()
        wait_until(lambda: self._is_ready(index, since_s), 60, lambda: f"shard {index} does not begin: {agent.log}")

    def _stop(self, index: int) -> None:
        self.agents[index].signal(signal.SIGTERM)
        assert self.agents[index].wait(20) == 0, self.agents[index].log

    def _is_ready(self, index: int, since_s: float) -> bool:
        reports = self._listener.of(f"{ROOT}/_shard/{index}/health")
        report = json.loads(reports[-1]) if reports else {"started_at": "1970-01-01T00:00:00Z"}
        return datetime.fromisoformat(report["started_at"]).timestamp() > since_s


def shards(folder: Path, *, short: bool = False) -> Sequence[Rollout]:
    """Scale a centre from 3 to 4 to 2 shards; in short, with fewer sources, from 2 to 3."""
    names = [f"camera-{number}" for number in range(4 if short else 12)]
    counts = (2, 3) if short else (3, 4, 2)
    with ExitStack() as stack:
        server = stack.enter_context(start_gst_server(f"( {BURSTS} )"))
        stage = stack.enter_context(Stage(folder))
        listener = stack.enter_context(Listener(stage.broker.port, f"{ROOT}/#", session="books"))
        sources = "".join(f'[sources.{name}]\nurl = "{server.url}"\n' for name in names)
        centre = Centre(stage, stack, sources, listener)
        stack.callback(centre.kill)
        centre.scale(counts[0])
        _wait_heard(listener, names, counts[0], time.time())
        usual = _usual(_retained(stage))
        found = []
        for before, after in pairwise(counts):
            begin_s = time.time()
            centre.scale(after, away=after < before)
            rollout_s = time.time() - begin_s
            _wait_heard(listener, names, after, time.time())
            end_s = time.time()
            _wait_tidy(stage, usual, names, after)
            found.append(_rollout(listener, centre, names, (before, after), (begin_s, rollout_s, end_s), usual, stage))
        return found


def _rollout(
    listener: Listener,
    centre: Centre,
    names: Sequence[str],
    counts: tuple[int, int],
    times: tuple[float, float, float],
    usual: frozenset[str],
    stage: Stage,
) -> Rollout:
    begin_s, rollout_s, end_s = times
    before, after = counts
    faults = []
    deaf: dict[str, float] = {}
    twice: dict[str, float] = {}
    for name in names:
        hearing = _hearing(listener.detections("onset"), name, begin_s - STEADY_S, end_s)
        deaf[name] = deaf_s(hearing)
        twice[name] = twice_s(hearing)
    if longest := [name for name in names if max(deaf[name], twice[name]) > rollout_s + 2 * DEAF_FROM_S]:
        faults.append(f"deaf, or heard by two, for longer than the rollout: {', '.join(longest)}")
    total = received = 0
    for index, agent in centre.agents.items():
        promised = committed(agent.log_file)
        of_shard = OfShard(listener, index)
        _wait_received(promised, of_shard)
        books = compare(promised, of_shard)
        total, received = total + books.committed, received + books.received
    moved = {name for name in names if owner_of(name, before) != owner_of(name, after)}
    if not moved:
        faults.append("no source moved: nothing is proven")
    return Rollout(
        f"{before} to {after}",
        rollout_s,
        {name: deaf[name] for name in names if name in moved},
        {name: deaf[name] for name in names if name not in moved},
        {name: value for name, value in twice.items() if value > 0},
        len(_retained(stage)),
        total,
        received,
        tuple(faults),
    )


@dataclass(frozen=True, slots=True)
class OfShard:
    """What was received from the outbox of one shard."""

    listener: Listener
    index: int

    def detections(self) -> list[dict[str, Any]]:
        return [event for event in self.listener.detections() if event["shard"] == self.index]


def deaf_s(hearing: Hearing) -> float:
    """Return for how long a source was heard by nobody."""
    moments = sorted(at for own in hearing.values() for at in own)
    return sum(late - early - TICK_S for early, late in pairwise(moments) if late - early > DEAF_FROM_S)


def twice_s(hearing: Hearing) -> float:
    """Return for how long a source was heard by more than one shard."""
    ends = sorted(end for own in hearing.values() for span in _spans(own) for end in ((span[0], 1), (span[1], -1)))
    total, level = 0.0, 0
    for (at, step), (later, _) in pairwise(ends):
        level += step
        total += later - at if level > 1 else 0.0
    return total


def _spans(moments: Sequence[float]) -> Iterable[tuple[float, float]]:
    begin = last = moments[0]
    for at in moments[1:]:
        if at - last > DEAF_FROM_S:
            yield begin, last
            begin = at
        last = at
    yield begin, last


def _hearing(onsets: Sequence[Mapping[str, Any]], source: str, from_s: float, until_s: float) -> Hearing:
    found: dict[int, list[float]] = {}
    for onset in onsets:
        at = datetime.fromisoformat(onset["at"]).timestamp()
        if onset["source"] == source and from_s <= at <= until_s:
            found.setdefault(onset["shard"], []).append(at)
    return {shard: sorted(moments) for shard, moments in found.items()}


def _wait_heard(listener: Listener, names: Sequence[str], count: int, since_s: float) -> None:
    """Wait until each source is heard steadily by the shard that it belongs to, and by no other."""

    def is_heard(name: str) -> bool:
        hearing = _hearing(listener.detections("onset"), name, time.time() - STEADY_S, time.time())
        return set(hearing) == {owner_of(name, count)} and len(hearing[owner_of(name, count)]) > STEADY_S / TICK_S / 2

    def all_heard() -> bool:
        return time.time() - since_s > STEADY_S and all(map(is_heard, names))

    wait_until(all_heard, 60, lambda: f"not heard by its shard alone: {[n for n in names if not is_heard(n)]}")


def _wait_received(promised: Sequence[tuple[str, str]], receiver: OfShard) -> None:
    wait_until(lambda: not compare(promised, receiver).faults, 30, lambda: str(compare(promised, receiver)))


def _wait_tidy(stage: Stage, usual: frozenset[str], names: Sequence[str], count: int) -> None:
    """Wait until nothing stale is retained."""

    def stale() -> list[str]:
        return _stale(_retained(stage), usual, names, count)

    wait_until(lambda: not stale(), 30, lambda: f"retained: {stale()}")


def _retained(stage: Stage) -> dict[str, bytes]:
    """Return what the broker has retained, by topic."""
    with Subscriber(stage.broker.port, "edgeaudio/#", "homeassistant/#", "end") as fresh:
        fresh.publish("end", b"end")  # comes behind what is retained
        fresh.wait_for(lambda heard: any(message.topic == "end" for message in heard))
        return {message.topic: message.payload for message in fresh.heard if message.retain}


def _usual(retained: Mapping[str, bytes]) -> frozenset[str]:
    """Return the topics of sources."""
    return frozenset(topic for topic in retained if "/_shard/" not in topic and f"{DISCOVERY}/shard_" not in topic)


def _stale(retained: Mapping[str, bytes], usual: frozenset[str], names: Sequence[str], count: int) -> list[str]:
    """Return what is retained and should not be, or lacks, or is another shard's, in a centre of so many shards."""
    kinds = ("availability", "count", "health")
    own = {f"{ROOT}/_shard/{index}/{kind}" for index in range(count) for kind in kinds}
    own |= {f"{DISCOVERY}/shard_{index}/config" for index in range(count)}
    found = sorted((own | usual) ^ retained.keys())
    for name in names:
        state = json.loads(retained.get(f"{ROOT}/{name}/status", b'{"state": null}'))["state"]
        if state != "listening":
            found.append(f"{name} is {state}")
        available = f"{ROOT}/_shard/{owner_of(name, count)}/availability".encode()
        config = retained.get(f"{DISCOVERY}/source_{name}/config", b"")
        if available not in config or config.count(b"/_shard/") != config.count(
            f"/_shard/{owner_of(name, count)}/".encode()
        ):
            found.append(f"the discovery of {name} is another shard's")
    for index in range(count):
        if retained.get(f"{ROOT}/_shard/{index}/availability") != b"online":
            found.append(f"shard {index} is not online")
    return found
