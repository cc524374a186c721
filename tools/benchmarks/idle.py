"""What the agent takes while nothing is to be recognised: CPU beside decoding alone, and writes to the disk.

Owns: the two kinds of quiet, and the same manner of reading for both sides. Does not know: how sound is gated.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from edgeaudio.capture.drain import MIN_PERIOD_S
from edgeaudio.settings import SourceSettings
from tools.benchmarks.contenders import CLIP_S, PERIOD_S, Contender, Running, agent, costs, program
from tools.benchmarks.cores import SERVERS, pinned
from tools.benchmarks.figures import Figure, Measured, Target
from tools.benchmarks.live_servers import AAC, G711, QUIET, SILENCE, camera, can_run
from tools.benchmarks.recognition import idle_ms
from tools.benchmarks.streams import MANY, OURS, QUIET_NOISE, ROUNDS, UNIT, WINDOW_S

DECODING = "decoding alone"
WRITES_S = 32.0  # more than a health report's interval


def measure(*, short: bool) -> Iterator[Measured]:
    """Measure silence, quiet sound, and writes; nothing in the short form."""
    if short or not can_run("idle sources"):
        return
    at_once = SourceSettings.model_fields["latency_ms"].default < 1000 * MIN_PERIOD_S
    reading = ["--at-once"] if at_once else []
    contenders = [
        Contender(OURS, agent(), scores=False),
        Contender(DECODING, program("floor", "--decode-only", *reading, scores=False), scores=False),
    ]
    manner = "each packet is read as it comes" if at_once else f"read every {PERIOD_S:g} s"
    for quiet, sound, amplitude in (("digital silence", SILENCE, 0.0), ("below the gate", QUIET, QUIET_NOISE)):
        with pinned(SERVERS):
            found = costs(contenders, partial(camera, AAC, sound), MANY, rounds=ROUNDS, seconds=WINDOW_S)
        others = {DECODING: found[DECODING].cpu_ms}
        name = f"CPU of an idle stream, {quiet}, {AAC}, {MANY} at once, {manner}"
        levels_ms = idle_ms(amplitude, n_channels=2)
        note = f"levels, hum and resampling take {levels_ms:.1f} ms/s; reading and times the rest"
        yield Figure(name, UNIT, found[OURS].cpu_ms, others, Target(1.1, DECODING), note)
    with pinned(SERVERS), camera(G711, SILENCE) as server, agent()(server.url, 1) as running:
        running.wait_working(server)
        time.sleep(CLIP_S)
        written = _written(running)
        time.sleep(WRITES_S)
        a_minute = (_written(running) - written) * 60 / WRITES_S
    yield Figure("disk writes without events", "bytes/min", a_minute, {}, Target(0.0))


def _written(running: Running) -> int:
    """Return the bytes that a process has made the kernel write to disks."""
    counts = Path(f"/proc/{running.process.pid}/io").read_text()
    found = re.search(r"^write_bytes: (\d+)$", counts, re.MULTILINE)
    assert found
    return int(found[1])
