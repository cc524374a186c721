"""Our agent with one more sink, a program: `python -m tools.benchmarks.heard_agent SETTINGS`.

For each line on its standard input it prints, as JSON: how many clips were scored and how long after their ends, since
the line before; and which clip decided each event. It stops with its input.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

from edgeaudio.agent.agent import Agent
from edgeaudio.logs import setup_logging
from edgeaudio.settings import load_settings
from edgeaudio.types import Event, Scores


class Stopwatch:
    """A sink: when clips ended, when they had been scored, and which of them decided an event."""

    name = "stopwatch"
    accepts = frozenset({Scores, Event})
    max_s = 0.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lags_s: list[float] = []
        self._clip_end_s: dict[tuple[str, str], float] = {}  # of the latest clip of a source and a model, since 1970
        self._decided_s: dict[str, float] = {}  # event and kind -> end of the clip that decided it

    def open(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def handle(self, item: object) -> None:
        """Note one result. The scores that decide an event come right before it."""
        now_s = time.time()
        with self._lock:
            if isinstance(item, Scores):
                end_s = item.at.timestamp() + item.duration_s
                self._lags_s.append(now_s - end_s)
                self._clip_end_s[item.source, item.model] = end_s
            elif isinstance(item, Event):
                self._decided_s[f"{item.id} {item.kind}"] = self._clip_end_s[item.source, item.model]

    def noted(self) -> dict[str, list[float] | dict[str, float]]:
        """Return what was noted since the call before."""
        with self._lock:
            lags_s, decided_s = self._lags_s, self._decided_s
            self._lags_s, self._decided_s = [], {}
        return {"lags_s": lags_s, "decided_s": decided_s}


def main() -> None:
    """Run the agent until the input ends."""
    settings = load_settings(Path(sys.argv[1]))
    setup_logging(settings.log_level)
    stopwatch = Stopwatch()
    agent = Agent(settings, sinks=[stopwatch])

    def serve() -> None:
        for _ in sys.stdin:
            print(json.dumps(stopwatch.noted()), flush=True)
        agent.stop()

    threading.Thread(target=serve, daemon=True).start()
    agent.run()


if __name__ == "__main__":
    main()
