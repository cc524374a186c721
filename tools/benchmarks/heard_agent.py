"""Our agent with one more sink, a program: `python -m tools.benchmarks.heard_agent [--blocks] SETTINGS`.

For each line on its standard input it prints, as JSON, for the time since the line before: how long after its end each
clip was scored, and when the clip ended that decided an event. It stops with its input. With `--blocks` it also knows
when the Block came that completed that clip: a clip ends within a packet, and a packet within a Block.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import deque
from pathlib import Path

from edgeaudio.agent.agent import Agent
from edgeaudio.logs import setup_logging
from edgeaudio.settings import load_settings
from edgeaudio.types import Block, Event, Scores

KEPT = 64  # Blocks, several seconds
SAME_S = 1e-6


class Stopwatch:
    """A sink: when clips ended, when they had been scored, and which of them decided an event."""

    name = "stopwatch"
    max_s = 10.0

    def __init__(self, *, blocks: bool = False) -> None:
        self.accepts = frozenset({Scores, Event, *([Block] if blocks else [])})
        self._lock = threading.Lock()
        self._lags_s: list[float] = []
        self._blocks: deque[tuple[float, float]] = deque(maxlen=KEPT)  # of the only source: its end, when received
        # of the latest clip of a source and a model, since 1970: its end, and when it was received
        self._clip_s: dict[tuple[str, str], tuple[float, float | None]] = {}
        self._decided_s: dict[str, tuple[float, float | None]] = {}  # by event and kind

    def open(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def handle(self, item: object) -> None:
        """Note one result. The scores that decide an event come right before it."""
        now_s = time.time()
        with self._lock:
            if isinstance(item, Block):
                self._blocks.append((item.offset / item.sample_rate + item.duration_s, now_s))
            elif isinstance(item, Scores):
                end_s = item.at.timestamp() + item.duration_s
                self._lags_s.append(now_s - end_s)
                within_s = item.offset_s + item.duration_s  # since the epoch began, as of Blocks
                received_s = next((at_s for until_s, at_s in self._blocks if until_s >= within_s - SAME_S), None)
                self._clip_s[item.source, item.model] = end_s, received_s
            elif isinstance(item, Event):
                self._decided_s[f"{item.id} {item.kind}"] = self._clip_s[item.source, item.model]

    def noted(self) -> dict[str, list[float] | dict[str, tuple[float, float | None]]]:
        """Return what was noted since the call before."""
        with self._lock:
            lags_s, decided_s = self._lags_s, self._decided_s
            self._lags_s, self._decided_s = [], {}
        return {"lags_s": lags_s, "decided_s": decided_s}


def main() -> None:
    """Run the agent until the input ends."""
    *options, path = sys.argv[1:]
    settings = load_settings(Path(path))
    setup_logging(settings.log_level)
    stopwatch = Stopwatch(blocks=bool(options))
    agent = Agent(settings, sinks=[stopwatch])

    def serve() -> None:
        for _ in sys.stdin:
            print(json.dumps(stopwatch.noted()), flush=True)
        agent.stop()

    threading.Thread(target=serve, daemon=True).start()
    agent.run()


if __name__ == "__main__":
    main()
