"""What each sink costs the agent: CPU and memory of agents with one sink each, side by side in one run.

    python -m tools.maintenance.sinks_cost [--short]

Agents of one source each play the same recording at the same time, so that whatever else the machine does hits all
alike: the sounds of the demo one after the other at 48 kHz, speech among them, with low thresholds, so that an event
begins every few seconds. Each agent has a broker of its own. Differences are to the first agent, whose sinks are off
but for MQTT, which has no switch; the second is the same, and as much as those two differ is noise. The table is for
docs/performance.md.

Owns: which agents are compared, and the table.
Does not know: how an agent is started and read (benchmarks/contenders.py).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

# BLAS reads it as NumPy is imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]  # brokers, subscribers and the recogniser are those of the tests

import av
import numpy as np
from support.wyoming_double import wyoming_double

from edgeaudio.media.writer import AudioForm, AudioWriter
from tools.benchmarks.contenders import AgentProcess, agent_process
from tools.benchmarks.live_servers import can_run

SOUNDS = ROOT / "edgeaudio" / "demo" / "sounds"
RATE = 48_000
WARM_S, MEASURED_S = 20.0, 160.0
SHORT_S = 40.0
LEASE_S = 60
RENEWED_S = 20.0
LABELS = ("co_alarm", "dog_bark", "person_sneeze", "rain", "rooster", "siren", "smoke_alarm", "speech")
NOBODY = "mqtt://127.0.0.1:9"
CLIP_WRITTEN = " is written: "


@dataclass(frozen=True, slots=True)
class Way:
    """What one agent has besides recognition."""

    name: str
    settings: str = ""  # TOML tables
    source: str = ""  # TOML: lines of the source
    lease: str = ""  # end of the topic at which somebody watches or listens
    done: str = ""  # what shows that it works: the end of topics, or words of the log
    arguments: tuple[str, ...] = ()  # of `edgeaudio run`


@dataclass(frozen=True, slots=True)
class Cost:
    """What an agent took while it was measured."""

    cpu_ms: float  # a second
    memory_mb: float  # resident, median
    highest_mb: float
    done: int  # messages, or clips


def main(arguments: Sequence[str]) -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(prog="sinks_cost", description="What each sink costs the agent.")
    parser.add_argument("--short", action="store_true", help="one minute instead of three; figures are worth less")
    short = parser.parse_args(arguments).short
    if not can_run("the cost of sinks", ["mosquitto"]):
        return 2
    with tempfile.TemporaryDirectory() as name, wyoming_double() as recogniser:
        tape = Path(name) / "tape.wav"
        write_tape(tape)
        recogniser.start()
        compared = ways(recogniser.url)
        found = measure(compared, tape, SHORT_S if short else MEASURED_S)
    print(f"`python -m tools.maintenance.sinks_cost{' --short' if short else ''}`:\n")
    print("\n".join(table(found)))
    idle = [way.name for way in compared if way.done and not found[way.name].done]
    if idle:
        print(f"sinks_cost: nothing was seen of: {'; '.join(idle)}", file=sys.stderr)
    return 2 if idle else 0


def ways(recogniser: str) -> list[Way]:
    """Return the agents that are compared, the one whose sinks are off first. `recogniser`: of speech, its address."""
    pictures = _clips('picture = "jpeg"')
    return [
        Way("MQTT alone", done="/detection"),
        Way("MQTT alone, a second agent", done="/detection"),
        Way("no broker answers", arguments=("--set", f"mqtt.url={NOBODY}")),
        Way("MQTT alone, log in ECS", done="/detection", arguments=("--set", "log_format=ecs")),
        Way("clips, Opus", _clips(), done=CLIP_WRITTEN),
        Way("clips, FLAC", _clips('format = "flac"'), done=CLIP_WRITTEN),
        Way("clips, WAV", _clips('format = "wav"'), done=CLIP_WRITTEN),
        Way("clips, Opus, `never_with`", _clips("[clips.never_with]\nbaby_cry = 0.9"), done=CLIP_WRITTEN),
        Way("clips, Opus, and pictures", pictures, done=CLIP_WRITTEN),
        Way("clips, Opus, and pictures, both published", pictures + 'publish = ["clip", "image"]\n', done="/image"),
        Way("live columns, watched", lease="/live/set", done="/live"),
        Way("live sound, listened to", "[live]\naudio = true\n", lease="/live/audio/set", done="/live/audio"),
        Way("transcripts", f'[transcripts]\nrecogniser = "{recogniser}"\n', "transcribe = true\n", done="/transcript"),
    ]


def _clips(lines: str = "") -> str:
    return f"[clips]\nenabled = true\nmin_free_mb = 0\n{lines}\n"


def settings_of(way: Way, tape: Path) -> str:
    """Return an agent's settings but for its device, its state and its broker, as TOML that may follow a table."""
    thresholds = "".join(f"[models.home.thresholds.{label}]\non = 0.1\n" for label in LABELS)
    return f'[models.home]\n{thresholds}[sources.tape]\nurl = "{tape}"\nloop = true\n{way.source}{way.settings}'


def write_tape(path: Path) -> None:
    """Write the sounds of the demo into one file."""
    writer = AudioWriter(path, AudioForm.of("wav", RATE, 1))
    for name in ("kitchen", "street", "gate", "garden", "hall"):
        with av.open(str(SOUNDS / f"{name}.opus")) as container:
            for frame in container.decode(audio=0):
                writer.write(frame.to_ndarray().T[:, :1].astype(np.float32))
    writer.close()


def measure(compared: Sequence[Way], tape: Path, seconds: float) -> dict[str, Cost]:
    """Run an agent for each way, all at the same time; return what they took in `seconds` once they are warm."""
    with ExitStack() as stack:
        agents: dict[str, AgentProcess] = {}
        for way in compared:
            program = ["-m", "edgeaudio", "run", *way.arguments, "--config"]
            running = agent_process(settings_of(way, tape), program, 1, topics=("edgeaudio/#",))
            agents[way.name] = stack.enter_context(running)
        _watch(compared, agents, WARM_S)
        done = {way.name: _done(way, agents[way.name]) for way in compared}
        cpu_s, began_s = {name: agent.cpu_s() for name, agent in agents.items()}, time.monotonic()
        memory_mb = _watch(compared, agents, seconds)
        took_s = time.monotonic() - began_s
        return {
            way.name: Cost(
                1000 * (agents[way.name].cpu_s() - cpu_s[way.name]) / took_s,
                median(memory_mb[way.name]),
                max(memory_mb[way.name]),
                _done(way, agents[way.name]) - done[way.name],
            )
            for way in compared
        }


def _watch(compared: Sequence[Way], agents: Mapping[str, AgentProcess], seconds: float) -> dict[str, list[float]]:
    """Renew the leases for so long; return the memory of each agent, once a second, in MB."""
    memory_mb: dict[str, list[float]] = {name: [] for name in agents}
    end_s, renew_s = time.monotonic() + seconds, 0.0
    while (now_s := time.monotonic()) < end_s:
        if now_s >= renew_s:
            renew_s = now_s + RENEWED_S
            for way in compared:
                if way.lease:
                    agents[way.name].listener.publish(f"edgeaudio/bench/tape{way.lease}", str(LEASE_S))
        time.sleep(1.0)
        for name, agent in agents.items():
            if agent.process.poll() is not None:
                raise SystemExit(f"sinks_cost: the agent of {name!r} has ended:\n{_log(agent)}")
            memory_mb[name].append(agent.memory_mb())
    return memory_mb


def _done(way: Way, agent: AgentProcess) -> int:
    """Return how often a sink has done its work so far."""
    if way.done.startswith("/"):
        return sum(heard.topic.endswith(way.done) for heard in list(agent.listener.heard))
    return _log(agent).count(way.done) if way.done else 0


def _log(agent: AgentProcess) -> str:
    return (agent.folder / "log").read_text(errors="replace")


def table(found: Mapping[str, Cost]) -> list[str]:
    """Return the lines of the table, in Markdown; the first way is what the others are compared to."""
    lines = [
        "| sinks | CPU, ms a second | more | memory, MB | more | at most, MB | clips or messages |",
        "|---|---|---|---|---|---|---|",
    ]
    first = next(iter(found.values()))
    for name, cost in found.items():
        cpu, memory = cost.cpu_ms - first.cpu_ms, cost.memory_mb - first.memory_mb
        more = ("", "") if cost is first else (f"{cpu:+.1f}", f"{memory:+.1f}")
        lines.append(
            f"| {name} | {cost.cpu_ms:.1f} | {more[0]} | {cost.memory_mb:.1f} | {more[1]} | {cost.highest_mb:.1f} "
            f"| {cost.done or ''} |"
        )
    return lines


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
