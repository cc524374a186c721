"""An hour of everything at once: eight sources, and faults at random.

Memory, descriptors and threads stay where they were after the warm-up; seconds heard and lost add up
to the wall clock; nothing that was committed is missing at the subscriber.
"""

from __future__ import annotations

import random
import signal
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from support.agents import LABEL, Listener, RunningAgent
from support.ports import free_port
from support.rtsp import GstServer, start_gst_server
from support.waiting import wait_until

from chaos.events import Books, committed, compare
from chaos.stage import BURSTS, Stage

CAMERAS = 6
# heaps grow when something happens for the first time, such as the longest outage so far: a leak is what goes on
WARM_UP_S = 1800.0
SAMPLE_S = 5.0
SETTLE_S = 60.0
GROWTH_LIMIT_MB = 1.0
SPREAD = 8  # descriptors and threads that come and go with the connections of six cameras and their readers
ACCOUNT_LIMIT_S = 2.0  # the report's numbers are not all of the same moment


@dataclass(frozen=True, slots=True)
class Sample:
    """The process at one moment."""

    at_s: float
    memory_mb: float
    descriptors: int
    threads: int


@dataclass(frozen=True, slots=True)
class Soaked:
    """What an hour of faults did."""

    minutes: float
    done: dict[str, int]  # how often each fault
    begin: Sample  # medians of the minute after the warm-up
    end: Sample  # medians of the last minute
    account_error_s: float  # the largest difference of heard + lost and the time that the source was on
    books: Books

    @property
    def growth_mb(self) -> float:
        return self.end.memory_mb - self.begin.memory_mb

    @property
    def faults(self) -> tuple[str, ...]:
        """What must not be."""
        limits = {
            "memory grew by (MB)": (self.growth_mb, GROWTH_LIMIT_MB),
            "descriptors more": (self.end.descriptors - self.begin.descriptors, SPREAD),
            "threads more": (self.end.threads - self.begin.threads, SPREAD),
            "seconds heard and lost are wrong by": (self.account_error_s, ACCOUNT_LIMIT_S),
        }
        found = [f"{what} {value:.1f}, over {limit:g}" for what, (value, limit) in limits.items() if value > limit]
        return (*found, *self.books.faults)


class _Camera:
    """A GStreamer server that can be killed, frozen and replaced on its port."""

    def __init__(self) -> None:
        self.port = free_port()
        self._stack = ExitStack()
        self._server: GstServer | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/camera"

    def start(self) -> None:
        self.stop()
        self._server = self._stack.enter_context(start_gst_server(f"( {BURSTS} )", port=self.port))

    def stop(self) -> None:
        self.thaw()
        self._stack.close()
        self._server = None

    def freeze(self) -> None:
        if self._server:
            self._server.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        if self._server and self._server.process.poll() is None:
            self._server.process.send_signal(signal.SIGCONT)


def soak(folder: Path, minutes: float, *, seed: int = 1) -> Soaked:
    """Run an agent for that long; returns what became of it."""
    dice = random.Random(seed)
    with ExitStack() as stack:
        cameras = [_Camera() for _ in range(CAMERAS)]
        for camera in cameras:
            stack.callback(camera.stop)
        stage = stack.enter_context(Stage(folder))
        listener = stage.listen()
        sources = "".join(f'[sources.yard-{i}]\nurl = "{camera.url}"\n' for i, camera in enumerate(cameras))
        sources += f'[sources.nobody]\nurl = "rtsp://127.0.0.1:{free_port()}/x"\n'
        sources += f'[sources.pushed]\nurl = "rtsp+listen://127.0.0.1:{free_port()}/x"\n'
        agent = stage.agent(sources)
        agent.start()
        done, samples = _break_things(dice, minutes * 60, cameras, stage, listener, agent)
        stage.line.mend()
        for camera in cameras:
            camera.start()
        mended = datetime.now(UTC)
        wait_until(lambda: stage.drained(listener, mended), SETTLE_S, "the outbox is not drained")
        error_s = _account_error_s(listener)
        agent.signal(signal.SIGTERM)
        assert agent.wait() == 0
        promised = committed(agent.log_file)
        wait_until(lambda: not compare(promised, listener).faults, SETTLE_S, str(compare(promised, listener)))
        warm = [sample for sample in samples if sample.at_s >= min(WARM_UP_S, minutes * 60 / 2)]
        return Soaked(minutes, done, _median(warm[:12]), _median(warm[-12:]), error_s, compare(promised, listener))


def _break_things(
    dice: random.Random, length_s: float, cameras: list[_Camera], stage: Stage, listener: Listener, agent: RunningAgent
) -> tuple[dict[str, int], list[Sample]]:
    on = {"ON": "OFF", "OFF": "ON"}
    switch = ["ON"]

    def command(topic: str, payload: str) -> None:
        with suppress(RuntimeError):  # the broker is away: nobody can command
            listener.publish(f"edgeaudio/testbox/{topic}/set", payload)

    def switch_a_source() -> None:
        switch.append(on[switch[-1]])
        command("yard-0/enabled", switch[-1])

    def restart_the_broker() -> None:
        stage.broker.stop()
        time.sleep(dice.uniform(0, 3))
        stage.broker.start()

    faults: dict[str, Callable[[], None]] = {
        "camera stopped": lambda: dice.choice(cameras).stop(),
        "camera started": lambda: dice.choice(cameras).start(),
        "camera frozen": lambda: dice.choice(cameras).freeze(),
        "camera thawed": lambda: dice.choice(cameras).thaw(),
        "line cut": stage.line.cut,
        "line mended": stage.line.mend,
        "broker restarted": restart_the_broker,
        "settings reloaded": lambda: agent.signal(signal.SIGHUP),
        "threshold set": lambda: command(f"yard-1/threshold/{LABEL}", "0.66"),
        "source switched": switch_a_source,
    }
    done = dict.fromkeys(faults, 0)
    samples: list[Sample] = []
    begin_s = time.monotonic()
    next_fault_s = begin_s + 5
    while (now_s := time.monotonic()) < begin_s + length_s:
        if now_s >= next_fault_s:
            name = dice.choice(list(faults))
            faults[name]()
            done[name] += 1
            next_fault_s = now_s + dice.uniform(1, 8)
        if not samples or now_s - begin_s - samples[-1].at_s >= SAMPLE_S:
            samples.append(_sample(agent, now_s - begin_s))
            if len(samples) % 12 == 1:
                print(f"{samples[-1].at_s / 60:.0f} min of {length_s / 60:g}: {samples[-1]}", flush=True)
        time.sleep(0.2)
    return done, samples


def _sample(agent: RunningAgent, at_s: float) -> Sample:
    assert agent.process is not None
    assert agent.process.poll() is None, f"the agent ended: {agent.log[-3000:]}"
    proc = Path(f"/proc/{agent.process.pid}")
    pages = int((proc / "statm").read_text().split()[1])
    return Sample(at_s, pages * 4096 / 1e6, len(list((proc / "fd").iterdir())), len(list((proc / "task").iterdir())))


def _median(samples: list[Sample]) -> Sample:
    return Sample(
        samples[0].at_s,
        statistics.median(sample.memory_mb for sample in samples),
        round(statistics.median(sample.descriptors for sample in samples)),
        round(statistics.median(sample.threads for sample in samples)),
    )


def _account_error_s(listener: Listener) -> float:
    """Of the sources that were never switched off: heard and lost against the agent's own age."""
    report = listener.payloads("/health")[-1]
    numbers = [source for name, source in report["sources"].items() if name != "yard-0"]
    errors: list[float] = [abs(source["heard_s"] + source["lost_s"] - report["uptime_s"]) for source in numbers]
    return max(errors)
