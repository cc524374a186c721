"""What clips cost the agent: CPU and memory with the sink off and on, side by side in one run.

    python -m tools.maintenance.clips_cost [SECONDS]

Agents of one source each play the same recording, the sounds of the demo one after the other at 48 kHz, with low
thresholds, so that an event begins every few seconds. Mosquitto is the broker of all of them. The table is for
docs/clips.md.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import av
import numpy as np

from edgeaudio.clips.library import Clip, ClipLibrary
from edgeaudio.media.writer import AudioForm, AudioWriter

ROOT = Path(__file__).parents[2]
SOUNDS = ROOT / "edgeaudio" / "demo" / "sounds"
RATE = 48_000
WARM_S = 30.0
LABELS = ("co_alarm", "dog_bark", "person_sneeze", "rain", "rooster", "siren", "smoke_alarm", "speech")
WAYS = {
    "off": "",
    "Opus": 'format = "opus"',
    "FLAC": 'format = "flac"',
    "WAV": 'format = "wav"',
    "Opus, `never_with`": 'format = "opus"\n[clips.never_with]\nbaby_cry = 0.9',
    "Opus, pictures": 'format = "opus"\npicture = "jpeg"',
    "Opus, pictures, both published": 'format = "opus"\npicture = "jpeg"\npublish = ["clip", "image"]',
}


@dataclass(frozen=True, slots=True)
class Reading:
    """Use of the machine by a process so far."""

    cpu_s: float
    memory_mb: float

    @classmethod
    def of(cls, pid: int) -> Reading:
        """Read it of a process: its CPU time, and its share of the memory."""
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        pss_kb = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return cls((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), pss_kb / 1000)


def main(measured_s: float) -> None:
    """Measure, and print the table."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        tape = folder / "tape.wav"
        write_tape(tape)
        port = stack.enter_context(broker(folder))
        agents = {
            way: stack.enter_context(agent(folder / str(number), tape, port, WAYS[way]))
            for number, way in enumerate(WAYS)
        }
        time.sleep(WARM_S)
        before = {way: Reading.of(process.pid) for way, process in agents.items()}
        memory_mb: dict[str, list[float]] = {way: [] for way in agents}
        end_s = time.monotonic() + measured_s
        while time.monotonic() < end_s:
            time.sleep(1.0)
            for way, process in agents.items():
                memory_mb[way].append(Reading.of(process.pid).memory_mb)
        after = {way: Reading.of(process.pid) for way, process in agents.items()}
        print("| clips | CPU, of a core | memory, median | highest | clips written |\n|---|---|---|---|---|")
        for number, way in enumerate(WAYS):
            percent = 100 * (after[way].cpu_s - before[way].cpu_s) / measured_s
            clips = folder / str(number) / "clips"
            count = sum(isinstance(each, Clip) for each in ClipLibrary(clips).scan()) if clips.exists() else 0
            middle, highest = median(memory_mb[way]), max(memory_mb[way])
            print(f"| {way} | {percent:.2f} % | {middle:.1f} MB | {highest:.1f} MB | {count} |")


def write_tape(path: Path) -> None:
    """Write the sounds of the demo into one file."""
    writer = AudioWriter(path, AudioForm.of("wav", RATE, 1))
    for name in ("kitchen", "street", "gate", "garden", "hall"):
        with av.open(str(SOUNDS / f"{name}.opus")) as container:
            for frame in container.decode(audio=0):
                writer.write(frame.to_ndarray().T[:, :1].astype(np.float32))
    writer.close()


@contextmanager
def broker(folder: Path) -> Iterator[int]:
    """Run Mosquitto on a free port of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest none\n")
    process = subprocess.Popen(["mosquitto", "-c", str(config)], stderr=subprocess.DEVNULL)  # noqa: S603, S607 (ours)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def agent(folder: Path, tape: Path, port: int, clips: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run an agent, its log in the folder."""
    folder.mkdir()
    thresholds = "\n".join(f"[models.home.thresholds.{label}]\non = 0.1\n" for label in LABELS)
    enabled = f"[clips]\nenabled = true\nmin_free_mb = 0\n{clips}" if clips else ""
    config = folder / "edgeaudio.toml"
    config.write_text(
        f'device = "measured-{folder.name}"\nstate_dir = "{folder}"\n[mqtt]\nurl = "mqtt://127.0.0.1:{port}"\n'
        f'[models.home]\n{thresholds}[sources.tape]\nurl = "{tape}"\nloop = true\n{enabled}\n'
    )
    environment = {**os.environ, "RUNTIME_DIRECTORY": str(folder / "run")}
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "edgeaudio", "run", "--config", str(config)]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=ROOT)  # noqa: S603 (our own)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(10)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 180.0)
