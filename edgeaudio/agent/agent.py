"""The agent: its parts, its threads, and the order in which they start and stop.

Owns: every thread, the signals, the main loop (health, watchdog, schedules, commands, reload).
Does not know: how sound is read, recognised or sent; the rooms do.

Threads: one reader a source, one recogniser, the MQTT sink and its sender, one a best-effort sink (that of live views
only while somebody watches), one that asks for transcripts where a source is transcribed, one that watches the memory,
one that answers `edgeaudio health`, and the main thread, which alone changes the others' data. An unexpected exception
of a thread is raised again in the main thread and ends the process, so that the service manager starts it anew. An
exception in the reading or recognition of one source never gets here: it ends that source's connection.
"""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from edgeaudio.agent.command_handler import AgentActions, CommandHandler, labels_of
from edgeaudio.agent.health_reporter import HealthReporter, ReportedParts
from edgeaudio.agent.last_crash import CrashLog
from edgeaudio.agent.live_runner import LiveRunner
from edgeaudio.agent.mqtt_runner import MqttRunner
from edgeaudio.agent.question_handler import QuestionHandler
from edgeaudio.agent.recogniser import Recogniser
from edgeaudio.agent.reloader import Reloader
from edgeaudio.agent.settings_watch import SettingsWatch
from edgeaudio.agent.sink_runner import SinkRunner
from edgeaudio.agent.source_manager import SourceManager
from edgeaudio.agent.source_quarantine import SourceQuarantine
from edgeaudio.agent.source_worker import SourceWorker, WorkerContext
from edgeaudio.agent.supervisor import Supervisor
from edgeaudio.agent.threads import AgentThreads
from edgeaudio.clock import Clock
from edgeaudio.errors import EdgeaudioError
from edgeaudio.health.agent_socket import HealthSocket
from edgeaudio.health.broker import BrokerStatus
from edgeaudio.health.machine import Machine, limit_arenas
from edgeaudio.health.watchdog import Part, ServiceManager, Stacks
from edgeaudio.hub import Hub
from edgeaudio.outbox.journal import Journal
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.runtime_files import RuntimeDir, find_runtime_dir
from edgeaudio.settings import Settings
from edgeaudio.sinks import Sink
from edgeaudio.sinks.mqtt.broker import MqttConfig
from edgeaudio.sinks.mqtt.sender import Sender
from edgeaudio.stderr import Stderr
from edgeaudio.types import Block, EpochEnd
from edgeaudio.wiring import announced_labels, live_config, speech_recogniser, unjudged_labels

if TYPE_CHECKING:
    from edgeaudio.agent.transcripts_runner import TranscriptsRunner

log = logging.getLogger(__name__)

Result = TypeVar("Result")

TICK_S = 1.0
# SIGTERM must end the agent within 2 s, which its parts share
RECOGNISER_JOIN_S = 0.6
FINAL_DRAIN_S = 0.3  # for the last offsets to be acknowledged; unsent ones go out at the next start
SENDER_JOIN_S = 0.7
SINKS_JOIN_S = 2.0  # from their stop on: a second for what waits (sink_runner.py), and what closing takes
READERS_JOIN_S = 0.3  # readers are stopped first, and end within 0.1 s
MAIN_STALL_TIMEOUT_S = 120.0  # a turn may wait for each of many sources to stop
SHUTDOWN_STALL_TIMEOUT_S = 10.0
STARTS = "starts"
MAX_WAITING_COMMANDS = 256


class Agent:
    """One agent. Raises EdgeaudioError, in one line, if it cannot be set up."""

    def __init__(
        self,
        settings: Settings,
        config: MqttConfig | None = None,
        reload: Callable[[], Settings] | None = None,
        stderr: Stderr | None = None,
        sinks: Iterable[Sink] = (),
        fingerprint: Callable[[Settings], str] | None = None,
    ) -> None:
        """`config`: how to reach the broker, if not by the settings; `reload` reads the settings again.

        `stderr`: where the log goes, if a write there must not block. `sinks`: best-effort sinks beside MQTT.
        `fingerprint`: the digest of all that `reload` reads, from the settings in force.
        """
        settings = settings.own()
        self._watch = None if fingerprint is None else SettingsWatch(lambda: fingerprint(self._sources.settings))
        self._load_settings = reload
        self._stderr = stderr
        self._clock = clock = Clock()
        self._machine = Machine()
        self._service = ServiceManager()
        self._threads = AgentThreads()
        self._stop = threading.Event()
        self._stop_sinks = threading.Event()
        self._runtime_dir: RuntimeDir | None = None
        self._stacks: Stacks
        self._outbox = Outbox(
            settings.outbox_path,
            max_messages=settings.outbox.max_messages,
            max_bytes=settings.outbox.max_bytes,
            expiry_s=settings.outbox.expiry_s,
        )
        shard = settings.shard.shard()
        try:
            self._outbox.claim(None if shard is None else shard.index)
        except EdgeaudioError:
            self._outbox.close()
            raise
        self._hub = hub = Hub()
        self._blocks = hub.subscribe("recogniser", {Block, EpochEnd}, is_paced=True)
        self._started_at, started_s = clock.utc(), clock.monotonic()
        self._mqtt = MqttRunner(
            settings,
            config,
            self._outbox,
            hub,
            self._started_at,
            on_command=self._on_command,
            on_status=self._on_broker,
        )
        self._recogniser = Recogniser(self._blocks, Journal(self._outbox, self._mqtt.encode), hub, hub.publish)
        self._live = LiveRunner(
            hub,
            self._threads.spawn,
            self._request_health,
            live_config(settings),
            unjudged=lambda name: unjudged_labels(self._sources.settings, self._sources.models, name),
        )
        self._sink_runners = _runners(sinks, hub, self._request_health)
        all_runners = [*self._sink_runners, self._live.runner]
        self._transcripts: TranscriptsRunner | None
        self._quarantine = SourceQuarantine(self._outbox, clock)
        self._crashes = CrashLog(self._outbox, clock.utc)
        try:
            self._sources = SourceManager(settings, self._recogniser, self._worker_context())
            self._transcripts = self._transcripts_runner(settings)
        except EdgeaudioError:
            self._mqtt.sender.close()
            self._outbox.close()
            raise
        if self._transcripts is not None:
            all_runners.append(self._transcripts.runner)
        self._commands = CommandHandler(
            self._mqtt.topics,
            self._recogniser,
            self._outbox,
            self._mqtt.sink,
            clock,
            AgentActions(
                announced=lambda name: announced_labels(self._sources.settings, self._sources.models, name),
                transcribes=lambda name: name in self._sources.settings.transcribed,
                watch=self._live.watch,
                listen=self._live.listen,
                elsewhere=lambda: self._sources.settings.elsewhere,
                report=self._request_health,
                restart=self._stop.set,
            ),
        )
        self._supervisor = Supervisor(
            self._machine,
            self._sources,
            self._recogniser,
            self._mqtt,
            all_runners,
            abort=self._abort,
            call_in_main=self._threads.call_in_main,
            stop=self._stop,
        )
        self._reloader = Reloader(
            self._sources,
            self._commands,
            self._mqtt.sink,
            self._service,
            begin=self._begin,
            unwatch=self._live.unwatch,
            transcribe=self._transcribe,
            limit_memory=self._supervisor.limit_memory,
        )
        self._restarts = int(self._outbox.settings().get(STARTS, "0"))
        self._reporter = HealthReporter(
            ReportedParts(
                clock,
                self._started_at,
                started_s,
                self._restarts,
                self._outbox,
                self._mqtt.sender,
                self._sources,
                all_runners,
                self._crashes,
                self._machine,
                self._supervisor.memory_watch,
                stderr,
                lambda: None if self._transcripts is None else self._transcripts.numbers(),
            )
        )
        self._health_socket: HealthSocket | None = None

    def _transcripts_runner(self, settings: Settings) -> TranscriptsRunner | None:
        """Return what transcribes; None without a recogniser. Raises RecogniserError."""
        if settings.transcripts.recogniser is None:
            return None
        # nothing of it is loaded by agents that do not transcribe
        from edgeaudio.agent.transcripts_runner import TranscriptsRunner  # noqa: PLC0415

        return TranscriptsRunner(
            settings,
            speech_recogniser(settings),
            self._hub,
            self._outbox,
            self._threads.spawn,
            self._request_health,
        )

    def _worker_context(self) -> WorkerContext:
        return WorkerContext(
            self._hub,
            self._blocks,
            self._clock,
            self._threads.spawn,
            self._hub.publish,
            recall=lambda key: self._outbox.settings().get(key),
            remember=self._outbox.set_setting,
            admission=self._quarantine.admission,
            runtime_dir=self._segments_dir,
        )

    def run(self) -> None:
        """Work until `stop`, SIGTERM or SIGINT. Call it in the main thread."""
        settings = self._sources.settings
        self._runtime_dir = runtime_dir = find_runtime_dir(settings.device, settings.state_dir)
        self._stacks = Stacks(
            runtime_dir.file("stacks") if runtime_dir else None,
            in_memory=runtime_dir is not None and runtime_dir.in_memory,
            stderr=self._stderr,
        )
        self._stacks.watch_main_thread(MAIN_STALL_TIMEOUT_S)
        self._crashes.begin(runtime_dir, self._stacks.earlier, self._stacks.earlier_at)
        configs = {worker.name: worker.config for worker in self._sources}
        self._quarantine.begin(runtime_dir, self._stacks.earlier, configs)
        limit_arenas()
        self._supervisor.limit_memory()
        self._outbox.set_setting(STARTS, str(self._restarts + 1))
        self._catch_signals()
        sender = self._threads.spawn("sender", self._mqtt.sender.run)
        self._threads.spawn("mqtt", self._mqtt.run)
        recogniser = self._threads.spawn("recogniser", lambda: self._recogniser.run(self._stop))
        sinks = [
            self._threads.spawn(f"sink-{runner.name}", partial(runner.run, self._stop_sinks))
            for runner in self._sink_runners
        ]
        self._transcribe(settings)
        self._threads.spawn("memory", lambda: self._supervisor.memory_watch.run(self._stop))
        try:
            self._recogniser.close_stale_events()
            self._begin(self._sources)
            if (shard := settings.shard.shard()) is not None:
                count = len(settings.sources)
                log.info("%s: hears %d of %d sources", shard, count, count + len(settings.elsewhere))
            if not settings.sources and not settings.elsewhere:
                log.warning("no source is set: there is nothing to listen to; add [sources.NAME] to the settings")
            self._publish_health()
            self._open_health_socket()
            self._service.notify("READY=1")
            while not self._stop.is_set():
                self._turn()
        except EdgeaudioError:
            raise
        except Exception as error:
            self._crashes.raised(error)
            raise
        finally:
            self._shut_down(recogniser, sender, sinks)
            self._quarantine.end()
            self._stacks.close()
            if self._runtime_dir is not None:
                self._runtime_dir.leave()

    def dry_run(self, outcome: Callable[[Sender], Result]) -> Result:
        """Publish all that `run` publishes at its start, without sources; return what `outcome` makes of it."""
        try:
            self._outbox.set_setting(STARTS, str(self._restarts))
            for worker in self._sources:
                self._commands.restore(worker)
            self._commands.announce()
            for worker in self._sources:
                self._add_to_mqtt(worker)
                worker.publish_stopped()
                self._mqtt.sink.handle(worker.health.status)  # the hub has no subscribers here
                self._mqtt.sink.publish_check(worker.name)
            self._publish_health()
            sender = self._threads.spawn("sender", self._mqtt.sender.run)
            result = outcome(self._mqtt.sender)
            self._mqtt.stop()
            sender.join(SENDER_JOIN_S)
        finally:
            self._outbox.close()
        return result

    def stop(self) -> None:
        """End `run` soon. May be called from any thread, and from a signal's handler."""
        self._stop.set()
        self._threads.call_in_main(lambda: None)

    def _open_health_socket(self) -> None:
        """Let `edgeaudio health` and `edgeaudio test` ask this agent."""
        if self._runtime_dir is None:
            return
        handler = QuestionHandler(
            self._sources.settings.device,
            self._commands,
            self._reporter,
            self._outbox,
            self._mqtt.sender,
            parts=self._supervisor.parts,
            call_in_main=self._threads.call_in_main,
            stop=self._stop,
        )
        try:
            opened = self._health_socket = HealthSocket(self._runtime_dir.folder, handler.answer)
        except OSError as error:
            log.warning("`edgeaudio health` cannot ask this agent: %s", error.strerror)
        else:
            self._threads.spawn("health", opened.run)

    def _shut_down(
        self, recogniser: threading.Thread, sender: threading.Thread, sinks: Iterable[threading.Thread]
    ) -> None:
        """End the threads in the order of the flow, so that what was recognised is committed, and sent if possible."""
        self._stacks.watch_main_thread(SHUTDOWN_STALL_TIMEOUT_S)
        self._service.notify("STOPPING=1")
        self._stop.set()
        if self._health_socket is not None:
            self._health_socket.close()
        for worker in self._sources:
            worker.ask_to_stop()
        self._blocks.wake()
        if self._transcripts is not None:
            self._transcripts.stop_asking()
        recogniser.join(RECOGNISER_JOIN_S)
        self._recogniser.end_all()
        self._commands.end_tests(math.inf)
        for worker in self._sources:
            worker.publish_stopped()
        self._stop_sinks.set()
        sinks_end_s = time.monotonic() + SINKS_JOIN_S
        for runner in self._sink_runners:
            runner.wake()
        if self._transcripts is not None:
            self._transcripts.stop_listening()
        self._live.stop()
        self._mqtt.wait_handled(FINAL_DRAIN_S)
        self._mqtt.sink.publish_health(self._reporter.report())
        self._mqtt.drain(FINAL_DRAIN_S)
        self._mqtt.stop()
        sender.join(SENDER_JOIN_S)
        for sink in sinks:
            sink.join(max(0.0, sinks_end_s - time.monotonic()))
        if self._transcripts is not None:
            self._transcripts.join(sinks_end_s)
        self._threads.join(READERS_JOIN_S)
        self._crashes.end()
        self._outbox.close()
        log.info("stopped")

    # the main loop

    def _turn(self) -> None:
        self._stacks.watch_main_thread(MAIN_STALL_TIMEOUT_S)
        self._threads.run_next_call(TICK_S)
        time.tzset()  # the machine's time zone may have changed
        self._sources.switch(datetime.now().astimezone())
        self._commands.end_tests(self._clock.monotonic())
        self._commands.end_snoozes()
        self._live.look_after(time.monotonic())
        self._reload_if_changed()
        self._publish_health()
        self._supervisor.check()
        self._service.alive()

    def _reload_if_changed(self) -> None:
        if self._watch is None or self._load_settings is None:
            return
        if self._watch.is_due(self._sources.settings.reload_interval_s, time.monotonic()):
            log.info("settings are read again: they changed, or may have since the start")
            self._reloader.reload(self._load_settings)

    def _abort(self, part: Part) -> None:
        self._quarantine.abort(str(part), part.source)
        self._stacks.abort(part)

    def _begin(self, workers: Iterable[SourceWorker]) -> None:
        """Begin with new sources: restore, announce, switch and publish them."""
        if elsewhere := self._sources.settings.elsewhere:
            self._commands.forget(elsewhere)
        for worker in workers:
            self._commands.restore(worker)
        self._commands.announce()
        self._sources.switch(datetime.now().astimezone())
        for worker in workers:
            self._add_to_mqtt(worker)
            self._hub.publish(worker.health.status)

    def _add_to_mqtt(self, worker: SourceWorker) -> None:
        self._mqtt.sink.add_source(
            worker.name,
            labels_of(worker),
            level_interval_s=worker.settings.level_interval_s,
            transcribes=worker.name in self._sources.settings.transcribed,
        )

    def _transcribe(self, settings: Settings) -> None:
        """Transcribe the sources that the settings name; what an earlier run has left for a recogniser is removed."""
        if self._transcripts is not None:
            self._transcripts.follow(settings)
        elif settings.utterances_folder.exists():
            from edgeaudio.sinks.transcripts.utterance_folder import remove_utterances  # noqa: PLC0415 (as above)

            remove_utterances(settings.utterances_folder)

    def _publish_health(self) -> None:
        if report := self._reporter.next_report():
            self._mqtt.sink.publish_health(report)

    def _segments_dir(self) -> Path | None:
        """Return the directory that may be written to every few seconds; None: there is none."""
        return None if self._runtime_dir is None or self._runtime_dir.last_resort else self._runtime_dir.folder

    # calls from other threads, and signals

    def _request_health(self) -> None:
        self._reporter.request()

    def _on_broker(self, _status: BrokerStatus) -> None:
        self._request_health()

    def _on_command(self, topic: str, payload: bytes) -> None:
        if self._threads.waiting_calls < MAX_WAITING_COMMANDS:
            self._threads.call_in_main(lambda: self._commands.handle(topic, payload))
        else:
            log.error("too many commands at once: one is dropped")

    def _catch_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # embedded in a program that has signal handlers of its own

        def catch(number: int, call: Callable[[], None]) -> None:
            # a handler may put into a queue; it must not set an Event that the main thread waits for
            signal.signal(number, lambda _number, _frame: self._threads.call_in_main(call))

        catch(signal.SIGTERM, self._stop.set)
        catch(signal.SIGINT, self._stop.set)
        if self._load_settings is not None:
            catch(signal.SIGHUP, partial(self._reloader.reload, self._load_settings))


def _runners(sinks: Iterable[Sink], hub: Hub, on_change: Callable[[], None]) -> list[SinkRunner]:
    """Return a runner for each sink. Raises ValueError for two of one name, by which health reports them."""
    runners = [SinkRunner(sink, hub, on_change) for sink in sinks]
    names = [runner.name for runner in runners]
    if len(set(names)) < len(names):
        raise ValueError(f"two sinks have one name: {', '.join(sorted(names))}")
    return runners
