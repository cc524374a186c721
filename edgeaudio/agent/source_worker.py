"""One source of a running agent: its reader, its pipeline, its state, and whether it is on.

Owns: starting and stopping the reader's thread, and the sums over all of its readers.
Does not know: the other sources, MQTT, where Blocks and states go.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from edgeaudio.agent.snooze import Snooze
from edgeaudio.capture.admission import Admission
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.errors import SourceError
from edgeaudio.capture.internal_errors import InternalErrors
from edgeaudio.capture.reader import Reader
from edgeaudio.capture.reader_counts import Load
from edgeaudio.capture.rtsp_setup import RtspMode, RtspSetupStore
from edgeaudio.clock import Clock
from edgeaudio.health.report import RaisedThreshold, SourceNumbers
from edgeaudio.health.state import SourceHealth
from edgeaudio.health.watchdog import Part
from edgeaudio.hub import Hub, Subscription
from edgeaudio.recognise.pipeline import ModelBinding, SourcePipeline
from edgeaudio.recognise.suppression import Suppressor
from edgeaudio.settings import SourceSettings
from edgeaudio.types import Block, EpochEnd, Reason, SourceState, SourceStatus

JOIN_S = 1.0
_BEHIND_S = 0.5  # of sound; recognition that keeps up never has as much waiting
# states without a connection, which end the epoch
_DISCONNECTED = (SourceState.STALLED, SourceState.WAITING, SourceState.FAILED, SourceState.ENDED)


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """Parts of an agent that all of its workers use."""

    hub: Hub
    recognition: Subscription  # the recogniser's, of all sources
    clock: Clock
    spawn: Callable[[str, Callable[[], None]], threading.Thread]
    on_status: Callable[[SourceStatus], None]
    recall: Callable[[str], str | None]  # the value kept under a key over restarts
    remember: Callable[[str, str | None], None]  # keep a value under a key; None: forget it
    admission: Callable[[SourceConfig], Admission]
    runtime_dir: Callable[[], Path | None]  # where every HLS segment may be noted; None: nowhere
    # of the last Block of each source: another reader, or another worker of that name, counts on, for scores of the
    # one before may still come
    epochs: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _RunningReader:
    """A reader and its thread."""

    reader: Reader
    stop: threading.Event
    thread: threading.Thread


class SourceWorker:
    """One source; `switch` starts and stops it."""

    def __init__(
        self,
        name: str,
        settings: SourceSettings,
        config: SourceConfig,
        pipeline: SourcePipeline,
        cooldowns_s: Mapping[str, float],
        context: WorkerContext,
    ) -> None:
        self.name = name
        self.settings = settings
        self.config = config
        self.pipeline = pipeline
        self.suppressor = Suppressor(cooldowns_s)
        self.snoozes: dict[str, Snooze] = {}  # by label; the main thread's
        self.enabled = settings.enabled  # or the last command
        self.events = 0
        self.internal_errors = InternalErrors(config)
        self._context = context
        self._reading: _RunningReader | None = None
        self._heard_s = self._lost_s = self._quiet_s = 0.0  # of former readers
        self._connections = 0
        self._dropped_before_s = context.recognition.dropped_s(name)  # of an earlier source of this name
        self.health = SourceHealth(self._off_status(), context.clock.utc)

    def switch(self, local_time: datetime) -> None:
        """Start or stop the reader, as the switch and the schedule want it at that local time."""
        schedule = self.settings.schedule
        wanted = self.enabled and (schedule is None or any(hours.covers(local_time.time()) for hours in schedule))
        if wanted and self._reading is None:
            self._start()
        elif not wanted:
            self.stop()
            if self.health.status.state is not SourceState.OFF or self.health.status.reason is not self._off_reason:
                self._publish(self._off_status())

    def reconfigure(
        self, settings: SourceSettings, bindings: Sequence[ModelBinding], cooldowns_s: Mapping[str, float]
    ) -> None:
        """Apply settings that leave reader and pipeline as they are, except thresholds and cooldowns."""
        self.pipeline.replace_thresholds(bindings)
        self.suppressor.replace_cooldowns(cooldowns_s)
        self.settings = settings
        self.enabled = settings.enabled

    def ask_to_stop(self) -> None:
        """Let the reader end soon, without waiting for it."""
        if self._reading:
            self._reading.stop.set()

    def publish_stopped(self) -> None:
        """Publish that the agent has stopped, in place of the last state."""
        now = self._context.clock.utc()
        self._publish(SourceStatus(self.name, SourceState.OFF, now, Reason.AGENT_STOPPED))

    def stop(self) -> None:
        """Stop the reader. One that hangs in the network is abandoned: its Blocks are ignored."""
        if self._reading is None:
            return
        reading = self._reading
        reading.stop.set()
        reading.thread.join(JOIN_S)
        counts = reading.reader.counts()
        self._reading = None
        self._heard_s += counts.coverage.heard_s
        self._lost_s += counts.coverage.lost_s
        self._quiet_s += counts.quiet_s
        self._connections += counts.connections
        self._context.hub.publish(EpochEnd(self.name))

    def renew_pipeline(self) -> None:
        """Replace the pipeline by a new one with the thresholds in force."""
        self.pipeline = self.pipeline.renewed()
        self.suppressor.forget_withheld()

    def fail(self, error: Exception) -> None:
        """End the present connection: its recognition raised an unexpected exception."""
        failure = self.internal_errors.note(error, "recognising")
        if self._reading:
            self._reading.reader.end_connection(failure)

    def load(self) -> Load | None:
        """Return the present connection's load; None without a connection."""
        return None if (reading := self._reading) is None else reading.reader.load()

    def end_too_large(self, detail: str) -> None:
        """End the present connection, which fills the memory."""
        hint = "choose another stream of this camera or server, or raise memory_limit_mb"
        if (reading := self._reading) is not None:
            error = SourceError(self.name, self.config.address, Reason.TOO_LARGE, detail, hint)
            reading.reader.end_connection(error, long_wait=True)

    def pardon(self) -> None:
        """Withdraw `end_too_large`: that connection did not fill the memory."""
        if (reading := self._reading) is not None:
            reading.reader.pardon()

    def numbers(self) -> SourceNumbers:
        """Return the source's numbers since the start of the agent."""
        heard_s, lost_s, quiet_s = self._heard_s, self._lost_s, self._quiet_s
        connections, drift_ppm = self._connections, None
        if self._reading:
            counts = self._reading.reader.counts()
            heard_s += counts.coverage.heard_s
            lost_s += counts.coverage.lost_s
            connections += counts.connections
            quiet_s += counts.quiet_s
            drift_ppm = counts.drift_ppm
        dropped_s = self._context.recognition.dropped_s(self.name) - self._dropped_before_s
        return SourceNumbers(
            status=self.health.status,
            heard_s=heard_s - dropped_s,
            lost_s=lost_s + dropped_s,
            quiet_s=quiet_s,
            clock_drift_ppm=drift_ppm,
            lag_s=self._context.recognition.waiting_s(self.name),
            connections=connections,
            events=self.events,
            internal_errors=self.internal_errors.count,
            snoozed={label: snooze.until for label, snooze in self.snoozes.items()},
            withheld={reason.value: count for reason, count in self.suppressor.counts.items()},
            raised={
                label: RaisedThreshold(each.given.on, each.threshold.on, each.since)
                for label, each in self.pipeline.raised().items()
            },
        )

    def part(self) -> Part | None:
        """Return the reader, for the watchdog; None if it does not run."""
        if self._reading is None:
            return None
        reader = self._reading.reader
        return Part(
            f"the reader of source {self.name}",
            reader.counts().last_progress_s,
            reader.stall_timeout_s,
            source=self.name,
        )

    def _start(self) -> None:
        stop = threading.Event()

        def on_block(block: Block) -> None:
            if not stop.is_set():
                self._context.epochs[self.name] = block.epoch
                self._context.hub.publish(block)

        def on_status(status: SourceStatus) -> None:
            if stop.is_set():
                return
            if status.state in _DISCONNECTED:
                self._context.hub.publish(EpochEnd(self.name, complete=status.state is SourceState.ENDED))
            self._publish(status)

        reader = Reader(
            self.config,
            on_block=on_block,
            on_status=on_status,
            stop=stop,
            clock=self._context.clock,
            internal_errors=self.internal_errors,
            runtime_dir=self._context.runtime_dir(),
            rtsp_store=RtspSetupStore(self._recalled(), self._remember),
            admission=self._context.admission(self.config),
            last_epoch=self._context.epochs.get(self.name, -1),
            is_behind=lambda: self._context.recognition.waiting_s(self.name) > _BEHIND_S,
        )
        # until the reader has spoken, which publishes this: whoever looks earlier would find the source off
        self.health.connection(SourceStatus(self.name, SourceState.CONNECTING, self._context.clock.utc()))
        self._reading = _RunningReader(reader, stop, self._context.spawn(f"capture-{self.name}", reader.run))

    def _recalled(self) -> RtspMode | None:
        """Return the RTSP set-up that worked for this camera, if one was remembered."""
        line = self._context.recall(f"asking.{self.name}")
        return RtspMode.recalled(line, str(self.config.address), self._context.clock.utc()) if line else None

    def _remember(self, way: RtspMode | None) -> None:
        line = None if way is None else way.remembered(str(self.config.address), self._context.clock.utc())
        self._context.remember(f"asking.{self.name}", line)

    def _publish(self, status: SourceStatus) -> None:
        if news := self.health.connection(status):
            self._context.on_status(news)

    @property
    def _off_reason(self) -> Reason:
        return Reason.OUTSIDE_SCHEDULE if self.enabled else Reason.SWITCHED_OFF

    def _off_status(self) -> SourceStatus:
        return SourceStatus(self.name, SourceState.OFF, self._context.clock.utc(), self._off_reason)
