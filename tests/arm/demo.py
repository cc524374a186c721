"""The demo's sounds, heard by an agent on the Arm machine. All else runs here.

Owns: the agent's place, and the order of cameras: one after another, for the features of five at once are more than
QEMU works out in time (docs/platforms.md). Does not know: what is played, and what is right (edgeaudio/demo/).
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from support.waiting import wait_until

from arm.machines import Machine
from edgeaudio.demo import demo
from edgeaudio.demo.processes import DEVICE, free_ports, playing
from edgeaudio.demo.scenario import Detection, judge, read_cameras
from edgeaudio.sinks.mqtt.broker import parse_broker_url

START_S = 300.0  # of an agent under QEMU, where others work too
LATE_S = 20.0  # how far behind an agent under QEMU may be: more than 10 s of sound it drops


def run_demo_on(machine: Machine, root: Path, broker: str, log: Path) -> bool:
    """Play all, print what a subscriber receives; returns whether every sound was detected, and nothing else."""
    length_s, cameras = read_cameras()
    began_s: dict[str, float] = {}
    detections: list[Detection] = []
    memory_mb: float | None = None
    with ExitStack() as stack:
        inbox = stack.enter_context(demo._subscriber(parse_broker_url(broker)))
        ports = dict(zip((camera.name for camera in cameras), free_ports(len(cameras)), strict=True))
        stack.enter_context(agent(machine, root, broker, ports, log))
        for camera in cameras:
            show = demo._Show([camera], inbox, length_s + LATE_S)
            with playing(camera, ports[camera.name]) as began:
                show.watch([began])
            began_s |= show.began_s
            detections += show.detections
            memory_mb = show.memory_mb or memory_mb
    outcomes = judge(cameras, began_s, detections)
    demo._sum_up(outcomes, memory_mb)
    return all(outcome.right for outcome in outcomes)


@contextmanager
def agent(machine: Machine, root: Path, broker: str, ports: Mapping[str, int], log: Path) -> Iterator[None]:
    """Have an agent run there that waits for those cameras."""
    lines = [
        f'device = "{DEVICE}"',
        'state_dir = "/tmp"',
        "[mqtt]",
        f'url = "{broker}"',
        "[health]",
        "interval_s = 5",
    ]
    for name, port in ports.items():
        lines += [f"[sources.{name}]", f'url = "rtsp+listen://127.0.0.1:{port}/{name}"']
    (root / "tmp" / "edgeaudio.toml").write_text("\n".join(lines) + "\n")
    command = machine.command(root, ["-m", "edgeaudio", "run", "--config", "/tmp/edgeaudio.toml"])
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=file)
    try:
        # the cameras do not call for as long as this takes
        wait_until(lambda: "connected" in log.read_text(), START_S, f"the agent is not connected, see {log}")
        yield
    finally:
        process.kill()  # unshare lets no other signal through
        process.wait()
