"""Supervision of a running agent: stalled parts, memory, and sound cards that only a restart brings back.

Owns: what is checked in each turn of the main loop, and the memory limit in force.
Does not know: how the process ends (`abort` and `stop` are handed in), what the parts do.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from edgeaudio.agent.lost_cards import LostCards
from edgeaudio.agent.memory_watch import END_ALL_TIMEOUT_S, MemoryWatch, Suspect
from edgeaudio.agent.mqtt_runner import MqttRunner
from edgeaudio.agent.recogniser import Recogniser
from edgeaudio.agent.sink_runner import SinkRunner
from edgeaudio.agent.source_manager import SourceManager
from edgeaudio.health.machine import Machine, give_back_memory
from edgeaudio.health.watchdog import Part, stuck_part

log = logging.getLogger(__name__)

RECOGNISER_STALL_TIMEOUT_S = 60.0
TRIM_S = 60.0


class Supervisor:
    """Supervisor of one agent. Used by the main thread; `memory_watch.run` has a thread of its own."""

    def __init__(
        self,
        machine: Machine,
        sources: SourceManager,
        recogniser: Recogniser,
        mqtt: MqttRunner,
        sinks: Sequence[SinkRunner],
        *,
        abort: Callable[[Part], None],
        call_in_main: Callable[[Callable[[], None]], None],
        stop: threading.Event,
    ) -> None:
        """Make a supervisor; call this with the models loaded, before any source is open.

        `abort` ends the process because of a part; `stop`, once set, ends the agent.
        """
        self._machine = machine
        self._sources = sources
        self._recogniser = recogniser
        self._mqtt = mqtt
        self._sinks = sinks
        self._abort = abort
        self._call_in_main = call_in_main
        self._stop = stop
        self._lost_cards = LostCards()
        self._trimmed_s = time.monotonic()
        self._resting_mb = machine.memory_mb() or 0.0
        self.memory_watch = MemoryWatch(lambda: list(recogniser.workers.values()), abort=self._abort_for_memory)

    def limit_memory(self) -> None:
        """Apply the memory limit of the settings in force."""
        settings = self._sources.settings
        self.memory_watch.set_limit(
            settings.memory_limit_mb, self._machine.memory_bound_mb(), self._resting_mb, len(settings.sources)
        )

    def parts(self) -> list[Part]:
        """Return the parts that the watchdog watches."""
        parts = [Part("the recogniser", self._recogniser.last_moved_s, RECOGNISER_STALL_TIMEOUT_S), *self._mqtt.parts()]
        return parts + [part for worker in self._sources if (part := worker.part())]

    def check(self) -> None:
        """Check everything once; call it about once a second. It does not return if a part has stalled."""
        for runner in self._sinks:
            runner.look_after(time.monotonic())
        self._look_for_lost_cards()
        self._trim()
        if part := stuck_part(self.parts(), time.monotonic()):
            self._abort(part)

    def _look_for_lost_cards(self) -> None:
        if name := self._lost_cards.found(self._sources, time.monotonic()):
            log.error(
                "source %s: its sound card is back, and this container has no device file for it: the agent ends, so "
                "that it is started again with one",
                name,
                extra={"source": name},
            )
            self._stop.set()

    def _trim(self) -> None:
        if time.monotonic() - self._trimmed_s >= TRIM_S:
            self._trimmed_s = time.monotonic()
            give_back_memory()

    def _abort_for_memory(self, suspect: Suspect) -> None:
        name = f"the reader of source {suspect.name}, which fills the memory,"
        part = Part(name, 0.0, END_ALL_TIMEOUT_S, source=suspect.name)
        self._call_in_main(lambda: self._abort(part))
