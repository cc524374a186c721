"""What an agent writes to its disk: nothing while nothing happens, and so much an event. Memory cards wear out.

Counted by the kernel, as pages that the process has made dirty, and that are written for it. What the file system adds
of its own (its journal) is not in it; the runtime directory and the log are in memory, as systemd has them.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from support.agents import RunningAgent
from support.camera import RATE, Script, camera, packets_of
from support.waiting import wait_until

from chaos.stage import Stage

DAY_S = 86_400
EVENTS_A_DAY = 2_400
PERIOD_S, TONE_S = 36.0, 0.5  # of the sound with events: a hundred an hour


@dataclass(frozen=True, slots=True)
class Writes:
    """What was written while an agent heard one camera."""

    heard: str
    measured_s: float
    events: int  # sounds, each an onset and an offset
    written_kb: float
    an_event_kb: float | None
    a_day_kb: float
    faults: tuple[str, ...]  # what must not be


def writes(folder: Path, *, short: bool = False) -> Sequence[Writes]:
    """Measure an agent without events, then one with a hundred an hour; in the short form with more."""
    time_s = np.arange(round(RATE * (2.0 if short else PERIOD_S))) / RATE
    other = 0.5 * np.sin(2 * np.pi * 300 * time_s)  # nobody asked for it
    bursts = np.where(time_s < TONE_S, 0.5 * np.sin(2 * np.pi * 1000 * time_s), 0.0)
    return [
        _measured(folder / "quiet", "no events", other, 2.0 if short else 300.0),
        _measured(folder / "events", "100 events an hour", bursts, 6.0 if short else 10 * PERIOD_S),
    ]


def _measured(folder: Path, heard: str, sound: np.ndarray[tuple[int], np.dtype[np.float64]], seconds: float) -> Writes:
    folder.mkdir()
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as memory,
        (Path(memory) / "log").open("wb") as log,
        camera(Script(packets=lambda: packets_of(sound))) as url,
        Stage(folder) as stage,
    ):
        listener = stage.listen()
        agent = stage.agent(f'[sources.camera]\nurl = "{url}"\n')
        agent.environment["RUNTIME_DIRECTORY"] = memory
        agent.start(output=log.fileno())
        listener.wait_state("camera", "listening", timeout_s=60)
        reports = len(listener.payloads("/health"))
        wait_until(lambda: len(listener.payloads("/health")) > reports + 1, what="no health report")
        events, before, began_s = len(listener.detections("offset")), _written(agent), time.monotonic()
        time.sleep(seconds)
        written, took_s = _written(agent) - before, time.monotonic() - began_s
        events = len(listener.detections("offset")) - events
    an_event = written / events if events else None
    a_day = an_event * EVENTS_A_DAY if an_event else written / took_s * DAY_S
    return Writes(
        heard=heard,
        measured_s=took_s,
        events=events,
        written_kb=written / 1000,
        an_event_kb=None if an_event is None else an_event / 1000,
        a_day_kb=a_day / 1000,
        faults=() if events or not written else (f"{written} bytes were written, and nothing had happened",),
    )


def _written(agent: RunningAgent) -> int:
    assert agent.process is not None
    counts = dict(re.findall(r"^(\w+): (\d+)$", Path(f"/proc/{agent.process.pid}/io").read_text(), re.MULTILINE))
    return int(counts["write_bytes"])
