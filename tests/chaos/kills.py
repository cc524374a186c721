"""The agent is killed at random moments under a stream of events, while the broker comes and goes.

Every event that was committed is received, in order, none under two ids. Meanwhile clips are written and published,
without pictures: of twenty a second, these would take all of the processor. In the end each clip in the folder is
whole, and nothing else is there.
"""

from __future__ import annotations

import random
import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from support.rtsp import start_gst_server
from support.waiting import wait_until

from chaos.events import Books, committed, compare
from chaos.stage import BURSTS, Stage
from edgeaudio.clips.library import BrokenRecord, ClipLibrary
from edgeaudio.sinks.clips.folder import ClipFolder

SOURCES = 3
LONGEST_RUN_S = 6.0
CLIPS = """\
[clips]
enabled = true
before_s = 0.5
after_s = 0.5
min_free_mb = 0
publish = ["clip"]
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of events, and of their clips."""

    committed: int
    received: int
    repeated: int
    clips: int  # whole ones, in the folder
    faults: tuple[str, ...]  # what must not be

    @property
    def line(self) -> str:
        return f"{self.committed} committed, {self.received} received, {self.repeated} repeated, {self.clips} clips"


def kills(folder: Path, times: int, *, seed: int = 1) -> Kept:
    """Kill an agent that many times; returns what became of the events."""
    dice = random.Random(seed)
    with ExitStack() as stack:
        servers = [stack.enter_context(start_gst_server(f"( {BURSTS} )")) for _ in range(SOURCES)]
        stage = stack.enter_context(Stage(folder))
        listener = stage.listen()
        sources = "".join(f'[sources.yard-{i}]\nurl = "{server.url}"\n' for i, server in enumerate(servers))
        agent = stage.agent(CLIPS + sources)
        for number in range(times):
            if number % 10 == 0:
                print(f"killed {number} times of {times}", flush=True)
            agent.start()
            if number == 0:  # until there is something to lose, however slow the machine
                wait_until(lambda: committed(agent.log_file), 60, "nothing was heard")
            end_s = time.monotonic() + dice.uniform(0.0, LONGEST_RUN_S)  # the moment is the point, whichever it is
            while time.monotonic() < end_s:
                (stage.line.cut if dice.random() < 0.5 else stage.line.mend)()
                time.sleep(dice.uniform(0.0, 0.3))
            if dice.random() < 0.1:
                stage.broker.stop()
            agent.kill()
            if not stage.broker.running:
                stage.broker.start()
        stage.line.mend()
        since = datetime.now(UTC)
        agent.start()
        wait_until(lambda: stage.drained(listener, since), 60, "the outbox is not drained")
        agent.signal(signal.SIGTERM)
        agent.wait()
        promised = committed(agent.log_file)
        wait_until(lambda: not compare(promised, listener).faults, 30, str(compare(promised, listener)))
        return with_clips(compare(promised, listener), folder / "state" / "clips")


def with_clips(books: Books, folder: Path) -> Kept:
    """Add what is in the folder of clips of an agent that was stopped, once the next one has begun with it."""
    faults = [*books.faults]
    begun = ClipFolder(folder)
    begun.open()
    begun.close()
    names: set[str] = set()
    count = 0
    for found in ClipLibrary(folder).scan():
        if isinstance(found, BrokenRecord):
            faults.append(f"{found.file.name}: {found.why}")
            continue
        count += 1
        names |= {file.name for file in found.files}
        if not found.sound.is_file() or found.sound.stat().st_size != found.record.sound.bytes:
            faults.append(f"{found.sound.name} is not whole")
        if found.picture is not None and not found.picture.is_file():
            faults.append(f"{found.picture.name} is missing")
    if not count:
        faults.append("no clip was kept")
    if strangers := {file.name for file in folder.iterdir()} - names - {".incomplete"}:
        faults.append(f"files without a record: {', '.join(sorted(strangers)[:5])}")
    if left := list((folder / ".incomplete").iterdir()):
        faults.append(f"{len(left)} files are left in .incomplete")
    return Kept(books.committed, books.received, books.repeated, count, tuple(faults))
