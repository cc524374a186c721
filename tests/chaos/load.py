"""Load of a running agent: one live camera and ten, with the two commonest codecs and the bundled model.

Nothing breaks here. The proof is that the agent loses no sound, and that no thread of a library takes time beside its
own (OpenBLAS's workers did).
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from support.agents import RunningAgent
from support.rtsp import CODECS, start_gst_server
from support.waiting import wait_until

from chaos.stage import Stage

WARM_UP_S = 20.0
MEASURED_S = 60.0
LOST_LIMIT_S = 1.0
# threads beside the readers: main, recogniser, MQTT sink, sender, memory, health, stderr, the watch over main
AGENTS = 8
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Load:
    """Load of one agent."""

    codec: str
    cameras: int
    cpu_percent: float  # of one core
    memory_mb: float  # resident
    own_memory_mb: float  # the part of it that it shares with no other process, and its share of the rest
    threads: int
    lost_s: float

    @property
    def faults(self) -> tuple[str, ...]:
        """The limits that were exceeded, a line each."""
        faults = []
        if self.lost_s > LOST_LIMIT_S:
            faults.append(f"{self.cameras} x {self.codec}: {self.lost_s:.1f} s were lost")
        if self.threads > self.cameras + AGENTS:
            faults.append(f"{self.cameras} x {self.codec}: {self.threads} threads")
        return tuple(faults)


def load(folder: Path, *, short: bool = False) -> list[Load]:
    """Measure each codec with one and with ten cameras."""
    cases = [(codec, cameras) for codec in ("pcm_alaw", "aac") for cameras in (1, 10)]
    found = []
    for number, (codec, cameras) in enumerate(cases[:1] if short else cases):
        place = folder / str(number)
        place.mkdir()
        found.append(
            _measured(place, codec, cameras, WARM_UP_S / 10 if short else WARM_UP_S, 5 if short else MEASURED_S)
        )
    return found


def _measured(folder: Path, codec: str, cameras: int, warm_up_s: float, seconds: float) -> Load:
    with Stage(folder) as stage, start_gst_server(CODECS[codec][1]) as server:
        listener = stage.listen()
        names = [f"camera-{number}" for number in range(cameras)]
        tables = [f'[sources.{name}]\nurl = "{server.url}"\nmodels = ["home"]\n' for name in names]
        agent = stage.agent("[models.home]\n" + "".join(tables)).start()
        for name in names:
            listener.wait_state(name, "listening", timeout_s=60)
        time.sleep(warm_up_s)
        lost_s, cpu_s, began_s = _lost_s(listener.payloads("/health")[-1]), _cpu_s(agent), time.monotonic()
        time.sleep(seconds)
        cpu_s, took_s = _cpu_s(agent) - cpu_s, time.monotonic() - began_s
        reports = len(listener.payloads("/health"))
        wait_until(lambda: len(listener.payloads("/health")) > reports, what="no health report")
        return Load(
            codec=codec,
            cameras=cameras,
            cpu_percent=100 * cpu_s / took_s,
            memory_mb=_kib(agent, "status", "VmRSS") / 1024,
            own_memory_mb=_kib(agent, "smaps_rollup", "Pss") / 1024,
            threads=len(list(_proc(agent, "task").iterdir())),
            lost_s=_lost_s(listener.payloads("/health")[-1]) - lost_s,
        )


def _proc(agent: RunningAgent, name: str) -> Path:
    assert agent.process is not None
    return Path(f"/proc/{agent.process.pid}/{name}")


def _cpu_s(agent: RunningAgent) -> float:
    user, system = _proc(agent, "stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / TICKS_PER_S


def _kib(agent: RunningAgent, file: str, key: str) -> int:
    found = re.search(rf"^{key}:\s+(\d+) kB", _proc(agent, file).read_text(), re.MULTILINE)
    assert found
    return int(found[1])


def _lost_s(health: dict[str, dict[str, dict[str, float]]]) -> float:
    return sum(source["lost_s"] for source in health["sources"].values())
