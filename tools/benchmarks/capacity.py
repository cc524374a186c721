"""How many live streams one core carries: no second is lost, and clips are scored soon after they end.

Owns: the search, and what counts as carried. Does not know: how an agent works.

The floor's number is what its CPU a stream leaves room for, at ten streams: it has no clock by which it could be late.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from subprocess import Popen
from typing import Any

import numpy as np
from support.rtsp import GstServer

from tools.benchmarks.contenders import (
    ATTEMPTS,
    PERIOD_S,
    AgentProcess,
    Contender,
    ContenderError,
    agent,
    agent_process,
    costs,
    program,
)
from tools.benchmarks.cores import MEASURED, SERVERS, pinned
from tools.benchmarks.figures import FLOOR, Figure, Measured, Target
from tools.benchmarks.live_servers import AAC, G711, camera, can_run

LATE_S = PERIOD_S + 0.25  # p95 of the time from a clip's end to its scores must be under it
LOST_S = 1.0  # of all streams together
LEAST = 0.98  # share of the clips that must be scored
MEASURED_S = 15.0
STEADY_S = 60.0  # limit until clips are scored in time, after all streams began at once
REPORTS_S = 1
ROUNDED_S = 0.1  # reports round to it
OURS = "edgeaudio"
TRIES = 3
STEP = 8  # streams: numbers that are tried are multiples of it
FIRST = 0.85  # share of the number that our CPU a stream leaves room for, which is tried first
FLOORS_STREAMS = 10


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a number of streams."""

    n_streams: int
    p95_s: float
    scored: float  # share of the clips
    lost_s: float
    cpu_share: float  # of the core
    steady_s: float = 0.0  # until clips were scored in time, after the agent's start

    @property
    def carried(self) -> bool:
        """True if the core carries that many."""
        return self.p95_s < LATE_S and self.scored > LEAST and self.lost_s < LOST_S


def measure(*, short: bool) -> Iterator[Measured]:
    """Search the number for AAC and for G.711; nothing in the short form."""
    if short or not can_run("the number of streams on one core"):
        return
    with pinned(SERVERS):
        for codec in (AAC, G711):
            yield _figure(codec)


def _figure(codec: str) -> Figure:
    contenders = [Contender(FLOOR, program("floor")), Contender(OURS, agent())]
    found = costs(contenders, partial(camera, codec), FLOORS_STREAMS, rounds=1, seconds=PERIOD_S * 8)
    floor = 1000 / found[FLOOR].cpu_ms
    trials: list[Trial] = []

    def trial(n_streams: int) -> Trial:
        trials.append(_trial(codec, n_streams))
        return trials[-1]

    best = most(trial, FIRST * 1000 / found[OURS].cpu_ms)
    note = f"the floor's is computed: {found[FLOOR].cpu_ms:.1f} ms of CPU a stream; ours, of {TRIES} tries: "
    note += ", ".join(
        f"{each.n_streams} streams p95 {1000 * each.p95_s:.0f} ms at {100 * each.cpu_share:.0f} % of the core, "
        f"{each.steady_s:.0f} s after all began at once"
        for each in trials
    )
    return Figure(
        f"streams on one core, {codec}",
        "streams",
        best.n_streams if best else 0,
        {FLOOR: floor},
        Target(0.7, FLOOR, at_least=True),
        note,
    )


def most(trial: Callable[[int], Trial], first: float) -> Trial | None:
    """Return the trial of the greatest number that is carried, of at most TRIES; None if none is.

    `first`: the number that is tried first. The CPU that a trial took says what to try next.
    """
    best: Trial | None = None
    high: int | None = None
    n_streams = _step(first)
    for _ in range(TRIES):
        found = trial(n_streams)
        print(f"    {found}", flush=True)
        if found.carried:
            best = found
        else:
            high = n_streams
        guess = 0.95 * n_streams / found.cpu_share if found.carried else 0.8 * n_streams
        n_streams = _step(guess if high is None else min(guess, high - STEP))
        if n_streams == high or (best and n_streams <= best.n_streams):
            break
    return best


def _step(n_streams: float) -> int:
    return max(STEP, round(n_streams / STEP) * STEP)


def _trial(codec: str, n_streams: int) -> Trial:
    for _ in range(ATTEMPTS):
        with camera(codec) as server:
            tables = [f'[sources.s{number}]\nurl = "{server.url}"\n' for number in range(n_streams)]
            # reports come often, so that what was lost while all connected is known
            settings = f"[health]\ninterval_s = {REPORTS_S}\n" + "".join(tables)
            try:
                return _tried(settings, server, n_streams)
            except ContenderError as error:
                print(f"    {n_streams} streams: {str(error).splitlines()[0]}", flush=True)
                if _sends(server):
                    break
                print("    (once more: the camera had given up)", flush=True)
    return Trial(n_streams, LATE_S, 0.0, 0.0, 1.0)


def _tried(settings: str, server: GstServer, n_streams: int) -> Trial:
    """Return what becomes of the streams. Raises ContenderError if not all are even heard."""
    command = ["-m", "tools.benchmarks.heard_agent"]
    with agent_process(settings, command, n_streams, piped=True) as running:
        running.move(MEASURED)
        started_s = time.monotonic()
        running.wait_working(server)
        _wait_in_time(running)
        steady_s = time.monotonic() - started_s
        before_s = _lost_s(running)
        cpu_s, began_s = running.cpu_s(), time.monotonic()
        time.sleep(MEASURED_S)
        lags_s = ask(running.process)["lags_s"]
        took_s = time.monotonic() - began_s
        cpu_s = running.cpu_s() - cpu_s
        time.sleep(2 * REPORTS_S)
        after_s = _lost_s(running)
    return Trial(
        n_streams=n_streams,
        p95_s=float(np.percentile(lags_s, 95)) if lags_s else LATE_S,
        scored=len(lags_s) / (n_streams * took_s / PERIOD_S),
        lost_s=sum(max(0.0, after_s[name] - before_s[name] - ROUNDED_S) for name in after_s),
        cpu_share=cpu_s / took_s,
        steady_s=steady_s,
    )


def _wait_in_time(running: AgentProcess) -> None:
    """Wait until clips are scored in time, and no longer than STEADY_S.

    All streams begin at once, and each is read packet by packet until it is known how it comes: what follows is late.
    """
    deadline_s = time.monotonic() + STEADY_S
    ask(running.process)
    while time.monotonic() < deadline_s:
        time.sleep(2 * REPORTS_S)
        lags_s = ask(running.process)["lags_s"]
        if lags_s and np.percentile(lags_s, 95) < LATE_S:
            return


def _sends(server: GstServer) -> bool:
    """True if the camera still sends: GStreamer's may end, or send nothing more, when many come at once."""
    try:
        with program("floor", "--decode-only", scores=False)(server.url, 1) as running:
            running.wait_working(server)
    except ContenderError:
        return False
    return True


def _lost_s(running: AgentProcess) -> dict[str, float]:
    """Return what each source has lost, as of the last report."""
    sources = running.listener.payloads("/health")[-1]["sources"]
    return {name: source["lost_s"] for name, source in sources.items()}


def ask(process: Popen[str]) -> dict[str, Any]:
    """Return what heard_agent.py has noted since it was asked before."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    answer: dict[str, Any] = json.loads(process.stdout.readline())
    return answer
