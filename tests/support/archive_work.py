"""What the processes of an archive's runner do in tests: found by name in a process of its own."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from edgeaudio.archive.advance import advance
from edgeaudio.archive.job import Job, Outcome


def kill_or_report(job: Job) -> Outcome:
    """Write a line for each try.

    Poison kills this process, the unlucky one once, the endless one never ends, and one waits half-way.
    """
    tries = Path(job.out) / job.key
    with tries.open("a") as file:
        file.write(f"{os.getpid()}\n")
    times = len(tries.read_text().split())
    if job.recording == "poison" or (job.recording == "unlucky" and times == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    while job.recording == "half" and not (Path(job.out) / "go").exists():
        advance(30.0, 60.0)
        time.sleep(0.01)
    while job.recording == "endless":
        signal.pause()
    return Outcome(job.key, job.recording, job.size_bytes, 1.0)
