"""The agent is killed at random moments under a stream of events, while the broker comes and goes.

Every event that was committed is received, in order, none under two ids.
"""

from __future__ import annotations

import random
import signal
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from support.rtsp import start_gst_server
from support.waiting import wait_until

from chaos.events import Books, committed, compare
from chaos.stage import BURSTS, Stage

SOURCES = 3
LONGEST_RUN_S = 6.0


def kills(folder: Path, times: int, *, seed: int = 1) -> Books:
    """Kill an agent that many times; returns what became of the events."""
    dice = random.Random(seed)
    with ExitStack() as stack:
        servers = [stack.enter_context(start_gst_server(f"( {BURSTS} )")) for _ in range(SOURCES)]
        stage = stack.enter_context(Stage(folder))
        listener = stage.listen()
        agent = stage.agent("".join(f'[sources.yard-{i}]\nurl = "{server.url}"\n' for i, server in enumerate(servers)))
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
        return compare(promised, listener)
