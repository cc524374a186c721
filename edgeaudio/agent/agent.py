"""The agent: builds everything from the settings, owns every thread, and ends in good order.

Owns: the threads, the signals, the main loop (health, watchdog, schedules, commands, reload).
Does not know: how sound is read, recognised or sent; the rooms do.

Threads: one reader a source, one recogniser, one sender, and the main thread, which alone changes
what the others work on. A thread that raises what nobody expected ends the process: the exception
is raised again in the main thread, and the service manager starts the agent anew. (What is raised in
the reading or recognition of one source never gets here: it ends that source's connection.)
"""

from __future__ import annotations

import logging
import math
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue

from edgeaudio.agent.command_handler import CommandHandler, labels_of
from edgeaudio.agent.last_crash import CrashLog
from edgeaudio.agent.lost_cards import LostCards
from edgeaudio.agent.memory_watch import END_S, MemoryWatch, Suspect, limit_of
from edgeaudio.agent.quarantine import SourceQuarantine
from edgeaudio.agent.recogniser import Recogniser
from edgeaudio.agent.sink_runner import SinkRunner
from edgeaudio.agent.source_manager import SourceManager
from edgeaudio.agent.source_worker import SourceWorker, WorkerContext
from edgeaudio.clock import Clock
from edgeaudio.errors import EdgeaudioError
from edgeaudio.health.agent_socket import HealthSocket
from edgeaudio.health.broker import BrokerState, BrokerStatus
from edgeaudio.health.machine import Machine, give_back_memory, limit_arenas
from edgeaudio.health.report import AgentNumbers, HealthReport, MachineNumbers
from edgeaudio.health.watchdog import Part, ServiceManager, Stacks, stuck_part
from edgeaudio.hub import Hub
from edgeaudio.outbox.journal import Journal
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.recognise.model import RUNTIME
from edgeaudio.runtime_files import RuntimeDir, find_runtime_dir
from edgeaudio.settings import MqttSettings, Settings
from edgeaudio.sinks import Sink
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.broker import MqttConfig
from edgeaudio.sinks.mqtt.commands import CommandError
from edgeaudio.sinks.mqtt.health_payload import health_values
from edgeaudio.sinks.mqtt.homeassistant import ONLINE, birth_topic
from edgeaudio.sinks.mqtt.sender import Sender
from edgeaudio.sinks.mqtt.sink import MqttSink, duplicate_of
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.stderr import Stderr
from edgeaudio.types import Block, EpochEnd, Event, Message, Reason, SourceState, SourceStatus
from edgeaudio.version import __version__
from edgeaudio.wiring import announced_labels, mqtt_config

log = logging.getLogger(__name__)

TICK_S = 1.0
# SIGTERM must end the agent within 2 s: its parts share them
RECOGNISER_JOIN_S = 0.6
FINAL_DRAIN_S = 0.3  # for what ended with the agent to reach the broker; else it does at the next start
SENDER_JOIN_S = 0.7
READERS_JOIN_S = 0.3  # they were asked first, and end within a tenth of a second
RECOGNISER_STALL_TIMEOUT_S = 60.0
SINK_STALL_TIMEOUT_S = 60.0
SENDER_STALL_TIMEOUT_S = 90.0  # connecting may wait for a name server and for two answers
MAIN_STALL_TIMEOUT_S = 120.0  # a turn may wait for each of many sources to stop
SHUTDOWN_STALL_TIMEOUT_S = 10.0
HEALTH_PAUSE_S = 1.0  # changes of state are told at once, but not more often than this
STARTS = "starts"
AT_START = ("device", "state_dir", "mqtt", "outbox")  # settings that a running agent cannot change
MAX_WAITING_COMMANDS = 256
TRIM_S = 60.0
ANSWER_S = 5.0  # for the main thread to say how all is
TAKEN_S = 3.0  # for the broker to acknowledge a test detection


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How one thing is that was tried."""

    what: str
    works: bool
    told: str


class Agent:
    """An agent with those settings. Raises EdgeaudioError, in one line, where it cannot be set up."""

    def __init__(
        self,
        settings: Settings,
        config: MqttConfig | None = None,
        reload: Callable[[], Settings] | None = None,
        stderr: Stderr | None = None,
        sinks: Iterable[Sink] = (),
    ) -> None:
        """`config`: how to reach the broker, where not by the settings; `reload` reads the settings again.

        `stderr`: where the log goes to, if it goes where nobody may wait for it. `sinks`: who is handed the results
        besides the broker, as well as that can be done.
        """
        self._settings = settings
        self._reload_settings = reload
        self._stderr = stderr
        self._clock = Clock()
        self._machine = Machine()
        self._service = ServiceManager()
        self._inbox: SimpleQueue[Callable[[], None] | BaseException] = SimpleQueue()
        self._stop = threading.Event()
        self._halt_sinks = threading.Event()
        self._halt_sender = threading.Event()
        self._topics = Topics(settings.mqtt.base_topic, settings.device)
        discovery_prefix = settings.mqtt.discovery_prefix if settings.mqtt.discovery else None
        self._outbox = Outbox(
            settings.outbox_path,
            max_messages=settings.outbox.max_messages,
            max_bytes=settings.outbox.max_bytes,
            expiry_s=settings.outbox.expiry_s,
        )
        self._sender = Sender(
            config or mqtt_config(settings),
            self._outbox,
            self._topics,
            stop=self._halt_sender,
            listen_to=birth_filters(settings.mqtt),
            on_message=self._on_message,
            on_status=self._on_broker,
            expiry_s=settings.outbox.expiry_s,
            duplicate_of=lambda report: duplicate_of(report, self._started_at),
        )
        self._sink = MqttSink(self._topics, self._sender, discovery_prefix=discovery_prefix)
        self._hub = hub = Hub()
        self._recognition = hub.subscribe("recogniser", {Block, EpochEnd}, is_paced=True)
        self._published = hub.subscribe(self._sink.name, self._sink.accepts)
        journal = Journal(self._outbox, self._encode)
        self._recogniser = Recogniser(self._recognition, journal, hub, self._on_status)
        self._sinks = [SinkRunner(sink, hub, self._on_sink) for sink in sinks]
        self._command_handler = CommandHandler(
            self._topics,
            self._recogniser,
            self._outbox,
            self._sink,
            self._clock,
            announced=lambda name: announced_labels(self._settings, self._source_manager.models, name),
            restart=self._stop.set,
        )
        self._quarantine = SourceQuarantine(self._outbox, self._clock)
        self._crashes = CrashLog(self._outbox, self._clock.utc)
        self._lost_cards = LostCards()
        context = WorkerContext(
            hub,
            self._recognition,
            self._clock,
            self._spawn,
            self._on_status,
            recall=lambda key: self._outbox.settings().get(key),
            remember=self._outbox.set_setting,
            admission=self._quarantine.admission,
            runtime_dir=self._frequent_notes,
        )
        try:
            self._source_manager = SourceManager(settings, self._recogniser, context)
        except EdgeaudioError:
            self._sender.close()
            self._outbox.close()
            raise
        workers = self._recogniser.workers
        self._memory_watch = MemoryWatch(lambda: list(workers.values()), give_up=self._on_endless)
        self._started_at = self._clock.utc()
        self._started_s = self._clock.monotonic()
        self._restarts = int(self._outbox.settings().get(STARTS, "0"))
        self._health_at_s = 0.0
        self._health_due = True
        self._sink_moved_s = time.monotonic()
        self._reported: HealthReport | None = None  # the last one
        self._told_states: dict[str, tuple[SourceState, Reason | None]] = {}  # by source
        self._health_socket: HealthSocket | None = None
        self._threads: list[threading.Thread] = []
        self._trimmed_s = self._started_s
        self._stacks: Stacks
        self._runtime_dir: RuntimeDir | None = None
        self._resting_mb = self._machine.memory_mb() or 0.0  # with the models, before any source is open

    def run(self) -> None:
        """Work until `stop`, SIGTERM or SIGINT. Call it in the main thread."""
        self._runtime_dir = runtime_dir = find_runtime_dir(self._settings.device, self._settings.state_dir)
        self._stacks = Stacks(
            runtime_dir.file("stacks") if runtime_dir else None,
            in_memory=runtime_dir is not None and runtime_dir.in_memory,
            stderr=self._stderr,
        )
        self._stacks.watch_main_thread(MAIN_STALL_TIMEOUT_S)
        self._crashes.begin(runtime_dir, self._stacks.earlier, self._stacks.earlier_at)
        configs = {worker.name: worker.config for worker in self._source_manager}
        self._quarantine.begin(runtime_dir, self._stacks.earlier, configs)
        limit_arenas()
        self._limit_memory()
        self._outbox.set_setting(STARTS, str(self._restarts + 1))
        self._catch_signals()
        sender = self._spawn("sender", self._sender.run)
        self._spawn("mqtt", self._run_sink)
        recogniser = self._spawn("recogniser", lambda: self._recogniser.run(self._stop))
        for runner in self._sinks:
            self._spawn(f"sink-{runner.name}", partial(runner.run, self._halt_sinks))
        self._spawn("memory", lambda: self._memory_watch.run(self._stop))
        try:
            self._recogniser.close_stale_events()
            self._present(self._source_manager)
            if not self._settings.sources:
                log.warning("no source is set: there is nothing to listen to; add [sources.NAME] to the settings")
            self._publish_health()
            self._listen_for_questions()
            self._service.say("READY=1")
            while not self._stop.is_set():
                self._turn()
        except EdgeaudioError:
            raise
        except Exception as error:
            self._crashes.raised(error)
            raise
        finally:
            self._shut_down(recogniser, sender)
            self._quarantine.end()
            self._stacks.close()
            if self._runtime_dir is not None:
                self._runtime_dir.leave()

    def dry_run(self, outcome: Callable[[Sender], list[CheckResult]]) -> list[CheckResult]:
        """Tell the broker all that `run` tells at its start, and listen to nothing; `outcome` waits and judges."""
        try:
            self._outbox.set_setting(STARTS, str(self._restarts))
            for worker in self._source_manager:
                self._command_handler.restore(worker)
            self._command_handler.announce()
            for worker in self._source_manager:
                self._add_to_sink(worker)
                self._sink.handle(replace(worker.health.status, reason=Reason.AGENT_STOPPED))
                self._sink.publish_check(worker.name)
            self._publish_health()
            sender = self._spawn("sender", self._sender.run)
            found = outcome(self._sender)
            self._halt_sender.set()
            self._sender.wake()
            sender.join(SENDER_JOIN_S)
        finally:
            self._outbox.close()
        return found

    def stop(self) -> None:
        """End `run` soon. May be called from any thread, and from a signal's handler."""
        self._stop.set()
        self._inbox.put(lambda: None)

    # the main loop

    def _turn(self) -> None:
        self._stacks.watch_main_thread(MAIN_STALL_TIMEOUT_S)
        try:
            item = self._inbox.get(timeout=TICK_S)
        except Empty:
            item = None
        if isinstance(item, BaseException):
            raise item
        if item is not None:
            item()
        time.tzset()  # the time zone may have been changed since
        self._source_manager.switch(datetime.now().astimezone())
        self._command_handler.end_tests(self._clock.monotonic())
        self._publish_health()
        for runner in self._sinks:
            runner.look_after(time.monotonic())
        self._look_for_lost_cards()
        self._trim()
        parts = self._parts()
        if part := stuck_part(parts, time.monotonic()):
            self._abort(part)
        self._service.alive()

    def _limit_memory(self) -> None:
        """Put the memory limit of the settings in force. Call it while no source is open, or once again."""
        resident_mb = self._resting_mb
        bound_mb = self._machine.memory_bound_mb()
        limit = limit_of(self._settings.memory_limit_mb, bound_mb, resident_mb, len(self._settings.sources))
        if limit is not None and limit.raised:
            log.warning(
                "the memory limit is raised to %.0f MB, for the agent needs that at rest; give it more memory, or set "
                "memory_limit_mb",
                limit.mb,
            )
        self._memory_watch.limit_mb = None if limit is None else limit.mb

    def _abort(self, part: Part) -> None:
        self._quarantine.gave_up(str(part), part.source)
        self._stacks.abort(part)

    def _present(self, workers: Iterable[SourceWorker]) -> None:
        """Begin with sources that are new, and tell everybody of them."""
        for worker in workers:
            self._command_handler.restore(worker)
        self._command_handler.announce()
        self._source_manager.switch(datetime.now().astimezone())
        for worker in workers:
            self._add_to_sink(worker)
            self._on_status(worker.health.status)

    def _add_to_sink(self, worker: SourceWorker) -> None:
        self._sink.add_source(worker.name, labels_of(worker), level_interval_s=worker.settings.level_interval_s)

    def _publish_health(self) -> None:
        now_s = time.monotonic()
        since_s = now_s - self._health_at_s
        if since_s >= self._settings.health.interval_s or (self._health_due and since_s >= HEALTH_PAUSE_S):
            self._health_at_s, self._health_due = now_s, False
            self._reported = self._report()
            self._sink.publish_health(self._reported)

    def _listen_for_questions(self) -> None:
        """Let `edgeaudio health` ask how this agent is."""
        if self._runtime_dir is None:
            return
        try:
            asked = self._health_socket = HealthSocket(self._runtime_dir.folder, self._answer)
        except OSError as error:
            log.warning("`edgeaudio health` cannot ask this agent: %s", error.strerror)
        else:
            self._spawn("health", asked.run)

    def _answer(self, question: object) -> dict[str, messages.Json]:
        """Answer a question, in the thread that is asked; it is the main thread that knows, if it moves."""
        match question:
            case {"test": {"source": str(source), "label": str(label)}}:
                answer: Callable[[], tuple[dict[str, messages.Json], int]] = partial(self._test, source, label)
            case _:
                answer = self._verdict
        answers: SimpleQueue[tuple[dict[str, messages.Json], int]] = SimpleQueue()
        given_up = threading.Event()
        self._inbox.put(lambda: None if given_up.is_set() else answers.put(answer()))
        try:
            told, number = answers.get(timeout=ANSWER_S)
        except Empty:
            given_up.set()  # what was said to have failed is not done later
            return {"device": self._settings.device, "stuck": "the main thread", "health": None}
        return {**told, **self._fate(number)} if number else told

    def _test(self, source: str, label: str) -> tuple[dict[str, messages.Json], int]:
        """Send a test detection. Return its number in the outbox too, 0 where it was refused."""
        try:
            number = self._command_handler.send_test(source, label)
        except CommandError as refusal:
            return {"device": self._settings.device, "error": str(refusal)}, 0
        return {"device": self._settings.device, "error": None}, number

    def _fate(self, number: int) -> dict[str, messages.Json]:
        """Wait a little for the broker to acknowledge a message of the outbox. Tells whether it did, and how it is."""
        deadline_s = time.monotonic() + TAKEN_S
        while waits := self._outbox.holds(number):
            connected = self._sender.status.state is BrokerState.CONNECTED
            if not connected or self._stop.is_set() or time.monotonic() > deadline_s:
                break
            time.sleep(0.02)
        broker = self._sender.status
        return {"taken": not waits, "broker": broker.state.value, "detail": broker.detail}

    def _verdict(self) -> tuple[dict[str, messages.Json], int]:
        part = stuck_part(self._parts(), time.monotonic())
        return {
            "device": self._settings.device,
            "stuck": part.name if part else None,
            "health": health_values(self._reported) if self._reported else None,
        }, 0

    def _look_for_lost_cards(self) -> None:
        if name := self._lost_cards.found(self._source_manager, time.monotonic()):
            log.error(
                "source %s: its sound card is back, and this container has no device file for it: the agent ends, so "
                "that it is started again with one",
                name,
            )
            self._stop.set()

    def _trim(self) -> None:
        if time.monotonic() - self._trimmed_s >= TRIM_S:
            self._trimmed_s = time.monotonic()
            give_back_memory()

    def _report(self) -> HealthReport:
        return HealthReport(
            at=self._clock.utc(),
            agent=AgentNumbers(
                version=__version__,
                host=socket.gethostname(),
                started_at=self._started_at,
                uptime_s=self._clock.monotonic() - self._started_s,
                restarts=self._restarts,
                clock_steps=self._clock.steps,
                log_dropped=0 if self._stderr is None else self._stderr.dropped,
                last_crash=self._crashes.last,
            ),
            sources=[worker.numbers() for worker in self._source_manager],
            models=[model.numbers(RUNTIME) for model in self._source_manager.models.values()],
            outbox=self._outbox.stats(),
            broker=self._sender.status,
            machine=MachineNumbers(
                cpu_percent=self._machine.cpu_percent(),
                memory_mb=self._machine.memory_mb(),
                memory_limit_mb=self._memory_watch.limit_mb,
                temperature_c=self._machine.temperature_c(),
                throttled=self._machine.throttled(),
                disk_free_mb=self._machine.disk_free_mb(self._settings.state_dir),
            ),
            sinks=[runner.numbers() for runner in self._sinks],
        )

    def _parts(self) -> list[Part]:
        parts = [
            Part("the recogniser", self._recogniser.last_moved_s, RECOGNISER_STALL_TIMEOUT_S),
            Part("the sender", self._sender.last_progress, SENDER_STALL_TIMEOUT_S),
            Part("the MQTT sink", self._sink_moved_s, SINK_STALL_TIMEOUT_S),
        ]
        return parts + [part for worker in self._source_manager if (part := worker.part())]

    def _frequent_notes(self) -> Path | None:
        """Where something may be noted every few seconds."""
        return None if self._runtime_dir is None or self._runtime_dir.last_resort else self._runtime_dir.folder

    # what other threads and signals bring

    def _on_status(self, status: SourceStatus) -> None:
        told = (status.state, status.reason)
        if self._told_states.get(status.source) != told:  # another time of the next try alone is told by the status
            self._told_states[status.source] = told
            self._health_due = True
        self._hub.publish(status)

    def _on_sink(self) -> None:
        self._health_due = True

    def _on_endless(self, suspect: Suspect) -> None:
        part = Part(f"the reader of source {suspect.name}, which fills the memory,", 0.0, END_S, source=suspect.name)
        self._inbox.put(lambda: self._abort(part))

    def _on_broker(self, _status: BrokerStatus) -> None:
        self._health_due = True

    def _on_message(self, topic: str, payload: bytes) -> None:
        if self._settings.mqtt.discovery and topic == birth_topic(self._settings.mqtt.discovery_prefix):
            if payload == ONLINE:
                self._sender.resend()
        elif self._inbox.qsize() < MAX_WAITING_COMMANDS:
            self._inbox.put(lambda: self._command_handler.handle(topic, payload))
        else:
            log.error("too many commands at once: one is dropped")

    def _catch_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # embedded in somebody's program, whose signals are its own
        # a queue is safe to use in a handler, an Event that the main thread waits for is not
        signal.signal(signal.SIGTERM, lambda _number, _frame: self._inbox.put(self._stop.set))
        if self._reload_settings is not None:
            signal.signal(signal.SIGHUP, lambda _number, _frame: self._inbox.put(self._reload))
        signal.signal(signal.SIGINT, lambda _number, _frame: self._inbox.put(self._stop.set))

    # new settings

    def _reload(self) -> None:
        """Take over what can be changed while running; sources that did not change hear on."""
        self._service.say("RELOADING=1\nMONOTONIC_USEC=" + str(time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000))
        try:
            self._apply(self._reload_settings() if self._reload_settings else self._settings)
        except EdgeaudioError as error:
            for line in str(error).splitlines():
                log.error("not reloaded, the old settings stay in force: %s", line)  # noqa: TRY400 (one line each)
        self._service.say("READY=1")

    def _apply(self, new: Settings) -> None:
        old = self._settings
        for name in AT_START:
            if getattr(new, name) != getattr(old, name):
                log.warning("reload: [%s] changed; that takes effect at the next start", name)
        new = new.model_copy(update={name: getattr(old, name) for name in AT_START})
        change = self._source_manager.change(new)
        self._settings = new
        for worker in change.removed:
            self._sink.remove_source(worker.name, labels_of(worker))
        for worker in change.kept:
            self._command_handler.restore(worker)
            self._sink.set_level_interval(worker.name, worker.settings.level_interval_s)
        self._present(change.begun)
        logging.getLogger("edgeaudio").setLevel(new.log_level.upper())
        if (new.memory_limit_mb, len(new.sources)) != (old.memory_limit_mb, len(old.sources)):
            self._limit_memory()
        log.info(
            "reloaded: %d sources kept, %d begun, %d removed", *map(len, (change.kept, change.begun, change.removed))
        )

    # threads

    def _encode(self, event: Event, seq_epoch: str, seq: int) -> Message:
        return messages.detection(self._topics, event, seq_epoch=seq_epoch, seq=seq)

    def _run_sink(self) -> None:
        """Hand the MQTT sink what the hub publishes. What it raises ends the process: nothing is told without it."""
        while not self._halt_sender.is_set():
            self._sink_moved_s = time.monotonic()
            for item in self._published.take(TICK_S):
                self._sink.handle(item)

    def _spawn(self, name: str, work: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 (the main thread raises it again)
                self._inbox.put(error)

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        self._threads = [each for each in self._threads if each.is_alive()] + [thread]
        return thread

    def _shut_down(self, recogniser: threading.Thread, sender: threading.Thread) -> None:
        """End the threads in the order of the flow, so that what was heard is committed, and sent if it can be."""
        self._stacks.watch_main_thread(SHUTDOWN_STALL_TIMEOUT_S)
        self._service.say("STOPPING=1")
        self._stop.set()
        if self._health_socket is not None:
            self._health_socket.close()
        for worker in self._source_manager:
            worker.ask_to_stop()
        self._recognition.wake()
        recogniser.join(RECOGNISER_JOIN_S)
        self._recogniser.end_all()
        self._command_handler.end_tests(math.inf)
        for worker in self._source_manager:
            worker.tell_stopped()
        self._halt_sinks.set()
        self._published.wait_idle(FINAL_DRAIN_S)
        self._sink.publish_health(self._report())
        deadline_s = time.monotonic() + FINAL_DRAIN_S
        while (
            self._sender.status.state is BrokerState.CONNECTED
            and (self._outbox.stats().depth or self._sender.has_unsent_state)
            and time.monotonic() < deadline_s
        ):
            time.sleep(0.02)
        self._halt_sender.set()
        self._sender.wake()
        self._published.wake()
        sender.join(SENDER_JOIN_S)
        deadline_s = time.monotonic() + READERS_JOIN_S
        for thread in self._threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))
        self._crashes.end()
        self._outbox.close()
        log.info("stopped")


def birth_filters(mqtt: MqttSettings) -> list[str]:
    """The topic on which Home Assistant says that it has begun, where it is to be told of this device."""
    return [birth_topic(mqtt.discovery_prefix)] if mqtt.discovery else []
