"""What a film costs: CPU and memory of `edgeaudio film`, beside FFmpeg's `showspectrum`, in one run.

    python -m tools.maintenance.film_cost [SECONDS [RUNS]]

The same sound, noise with a sweep at 48 kHz, becomes a film of 5 s and one of SECONDS more, one way after the other;
the CPU time of the second less that of the first, for each second of film, is what a film costs without its beginning.
`showspectrum` draws a spectrogram that scrolls at the same size; x264 encodes both with the preset ultrafast. With 720
rows its transform has 1,440 points, for which FFmpeg has no fast one: it is measured with 768 rows, too. The table is
for docs/film.md.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

RATE = 48_000
SHORT_S = 5
RUNS = 3
LONG_S = 60


@dataclass(frozen=True, slots=True)
class Form:
    """Size and pictures a second."""

    width: int
    height: int
    fps: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}, {self.fps} pictures a second"


FORMS = (Form(854, 480, 15), Form(1280, 720, 30))
FAST_ROWS = 768


def main(more_s: int, runs: int) -> None:
    """Measure, and print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tapes = {length_s: tape(folder / f"{length_s}.wav", length_s) for length_s in (SHORT_S, SHORT_S + more_s)}
        print("| what | CPU, ms a second of film | beside edgeaudio | memory, MB |")
        print("|---|---|---|---|")
        for form in FORMS:
            found: dict[str, list[tuple[float, float]]] = {}
            for _ in range(runs):
                for way, command in ways(form, folder / "film.mkv").items():
                    used = [run([part.replace("TAPE", str(each)) for part in command]) for each in tapes.values()]
                    cost_ms = 1000 * (used[1][0] - used[0][0]) / more_s
                    found.setdefault(way, []).append((cost_ms, used[1][1]))
            own_ms = next(iter(median(cost for cost, _ in each) for each in found.values()))
            for way, each in found.items():
                cost_ms, memory_mb = (median(value) for value in zip(*each, strict=True))
                print(f"| {form}: {way} | {cost_ms:.0f} | {cost_ms / own_ms:.2f} | {memory_mb:.0f} |", flush=True)


def ways(form: Form, film: Path) -> dict[str, list[str]]:
    """Return the commands, by what they do."""
    own = [sys.executable, "-m", "edgeaudio", "film", "TAPE", "-o", str(film), "--overwrite"]
    own += ["--size", f"{form.width}x{form.height}", "--fps", str(form.fps)]
    found = {
        "`edgeaudio film --no-detections`": [*own, "--no-detections"],
        "`edgeaudio film`, with the model `home`": own,
    }
    for rows in (form.height,) if form.height != 720 else (form.height, FAST_ROWS):
        size = f"{form.width}x{rows}"
        ffmpeg = [shutil.which("ffmpeg") or "ffmpeg", "-v", "error", "-y", "-i", "TAPE", "-filter_complex"]
        ffmpeg += [f"[0:a]showspectrum=s={size}:slide=scroll:fps={form.fps}:color=magma:scale=log[v]", "-map", "[v]"]
        found[f"`ffmpeg`, showspectrum of {size} alone"] = [*ffmpeg, "-f", "null", "-"]
        if rows != 720:
            encoded = ["-map", "0:a", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency"]
            encoded += ["-pix_fmt", "yuv420p", "-threads", "1", "-c:a", "flac", str(film)]
            found[f"`ffmpeg`, showspectrum of {size}, x264 ultrafast, FLAC"] = [*ffmpeg, *encoded]
    return found


def tape(file: Path, length_s: int) -> Path:
    """Write a sound: noise, and a tone that sweeps through 20 kHz each 5 s."""
    rng = np.random.default_rng(1)
    with wave.open(str(file), "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE)
        for _ in range(0, length_s, 5):
            time_s = np.arange(5 * RATE) / RATE
            sound = 0.2 * np.sin(2 * np.pi * 2000 * time_s**2) + 0.005 * rng.standard_normal(len(time_s))
            writer.writeframes((32767 * sound).astype("<i2").tobytes())
    return file


def run(command: list[str]) -> tuple[float, float]:
    """Run a program; return the CPU seconds of it and of its children, and its peak memory in MB."""
    process = subprocess.Popen(  # noqa: S603 (commands of this module)
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        said = process.stderr.read().decode() if process.stderr else ""
        raise SystemExit(f"{command[0]} failed: {said}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    main(*given, *(LONG_S, RUNS)[len(given) :])
