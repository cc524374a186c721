"""New settings for a running agent (SIGHUP).

Owns: which settings a running agent cannot change, and what follows from the others.
Does not know: where settings come from, signals.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from edgeaudio.agent.command_handler import CommandHandler, labels_of
from edgeaudio.agent.source_manager import SourceManager
from edgeaudio.agent.source_worker import SourceWorker
from edgeaudio.errors import EdgeaudioError
from edgeaudio.health.watchdog import ServiceManager
from edgeaudio.settings import Settings
from edgeaudio.sinks.mqtt.sink import MqttSink

log = logging.getLogger(__name__)

# settings that a running agent cannot change
AT_START = ("device", "shard", "state_dir", "log_format", "mqtt", "outbox", "clips", "live", "transcripts", "dashboard")


class Reloader:
    """Applies new settings. Used by the main thread."""

    def __init__(
        self,
        sources: SourceManager,
        commands: CommandHandler,
        sink: MqttSink,
        service: ServiceManager,
        *,
        begin: Callable[[Iterable[SourceWorker]], None],
        unwatch: Callable[[str], object],
        transcribe: Callable[[Settings], None],
        limit_memory: Callable[[], None],
    ) -> None:
        """`begin` and `unwatch` are called with sources that begin and that are no more.

        `transcribe` is called with the settings in force, for the sources that they have transcribed.
        `limit_memory`: called when the memory limit may be another.
        """
        self._sources = sources
        self._commands = commands
        self._sink = sink
        self._service = service
        self._begin = begin
        self._unwatch = unwatch
        self._transcribe = transcribe
        self._limit_memory = limit_memory

    def reload(self, load: Callable[[], Settings]) -> None:
        """Apply what `load` returns; what it or the change raises is logged, and the old settings stay in force."""
        self._service.notify("RELOADING=1\nMONOTONIC_USEC=" + str(time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000))
        try:
            self._apply(load())
        except EdgeaudioError as error:
            for line in str(error).splitlines():
                log.error("not reloaded, the old settings stay in force: %s", line)  # noqa: TRY400 (one line each)
        self._service.notify("READY=1")

    def _apply(self, new: Settings) -> None:
        old = self._sources.settings
        for name in AT_START:
            if getattr(new, name) != getattr(old, name):
                log.warning("reload: [%s] changed; that takes effect at the next start", name)
        new = new.model_copy(update={name: getattr(old, name) for name in AT_START}).own()
        change = self._sources.change(new)
        for worker in change.removed:
            self._sink.remove_source(worker.name, labels_of(worker))
        for worker in change.kept:
            self._commands.restore(worker)
            self._sink.set_level_interval(worker.name, worker.settings.level_interval_s)
        self._transcribe(new)
        self._begin(change.begun)
        logging.getLogger("edgeaudio").setLevel(new.log_level.upper())
        if (new.memory_limit_mb, len(new.sources)) != (old.memory_limit_mb, len(old.sources)):
            self._limit_memory()
        begun, removed = ({worker.name for worker in workers} for workers in (change.begun, change.removed))
        for name in removed - begun:
            self._unwatch(name)
        log.info(
            "reloaded; sources: %d kept, %d restarted, %d added, %d removed",
            *(len(change.kept), len(begun & removed), len(begun - removed), len(removed - begun)),
        )
