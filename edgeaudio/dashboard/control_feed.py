"""Commands to devices with their answers, and the controls of the sources that somebody looks at.

Owns: that there is a connection while somebody looks or commands, which answer belongs to which command, and the words
where none comes.
Does not know: what commands there are (commands.py), what is kept (controls.py), HTTP.

A command is sent once the answers of its device are subscribed to. Answers name the topic alone: of several commands of
one topic the first answer is that of the first. A command expires in the broker (MQTT 5) when its answer is no longer
awaited, so that no device obeys one that was reported as unanswered.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from edgeaudio.dashboard.commands import Command
from edgeaudio.dashboard.control_wire import answer_topic, parse_setting, setting_filters
from edgeaudio.dashboard.controls import Controls, SourceKey
from edgeaudio.sinks.mqtt.broker import BrokerError, MqttConfig
from edgeaudio.sinks.mqtt.client import MqttConnection
from edgeaudio.sinks.mqtt.events import Acknowledged, Received
from edgeaudio.types import Message
from edgeaudio.wire.connection_thread import IDLE_S, ConnectionThread
from edgeaudio.wire.payload_fields import WireError
from edgeaudio.wire.payloads import CommandAnswer, parse

ANSWER_S: Final = 10.0
MAX_COMMANDS: Final = 50  # that await their answers
_MAX_STALE: Final = 20  # subscriptions to sources that nobody looks at any more: then the connection is renewed
_STEP_S: Final = 0.1

Refuse: TypeAlias = Callable[[Received, WireError], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a command."""

    answered: bool  # by the device
    error: str  # empty: it obeyed


@dataclass(slots=True)
class _Awaited:
    command: Command
    until_s: float
    answer: Future[Answer] = field(default_factory=Future)
    sent: bool = False

    def resolve(self, answer: Answer) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)


class ControlFeed(ConnectionThread):
    """The thread. `refuse` is called with each message that breaks the contract."""

    def __init__(
        self,
        config: MqttConfig,
        base: str,
        controls: Controls,
        refuse: Refuse,
        is_offline: Callable[[str], bool],
        *,
        stop: threading.Event,
    ) -> None:
        """`is_offline`: whether a device is known to be offline."""
        super().__init__("controls", config, stop=stop)
        self._base = base
        self._controls = controls
        self._refuse = refuse
        self._is_offline = is_offline
        self._lock = threading.Lock()
        self._awaited: deque[_Awaited] = deque()  # oldest first
        self._wanted = threading.Event()  # somebody looks or commands

    def wake(self) -> None:
        """Notice soon that somebody looks at a source."""
        self._wanted.set()

    def send(self, command: Command) -> Future[Answer] | None:
        """Send a command; the answer, or that there is none, comes within ANSWER_S. None: too many are awaited."""
        awaited = _Awaited(command, time.monotonic() + ANSWER_S)
        awaited.answer.set_running_or_notify_cancel()  # from now on only the thread ends it
        with self._lock:
            if len(self._awaited) >= MAX_COMMANDS:
                return None
            self._awaited.append(awaited)
        self._wanted.set()
        return awaited.answer

    def _wait_for_use(self) -> bool:
        if not self._wanted.wait(IDLE_S):
            return False
        self._wanted.clear()
        return self._is_wanted()

    def _serve(self, connection: MqttConnection) -> None:
        """Serve whoever looks and commands until nobody does."""
        desk = _Desk(self._base, self._controls, connection)
        while not self._stop.is_set() and self._is_wanted() and not self._is_stale(desk):
            with self._lock:
                awaited = list(self._awaited)
            desk.look_after(awaited)
            for event in connection.poll(_STEP_S):
                if isinstance(event, Acknowledged):
                    desk.acknowledged(event)
                else:
                    self._take(event)
        self._wanted.set()  # whoever came meanwhile is not forgotten

    def _disconnected(self, error: BrokerError) -> None:
        for key in self._controls.visited(time.monotonic()):
            self._controls.report(key, str(error))
        self._give_up(lambda _: True, lambda _: f"nothing was changed: {error}")
        self._wanted.set()

    def _ended(self) -> None:
        self._give_up(lambda _: True, lambda _: "the dashboard stops")

    def _is_stale(self, desk: _Desk) -> bool:
        return desk.stale > _MAX_STALE and not self._awaited

    def _is_wanted(self) -> bool:
        now_s = time.monotonic()
        self._give_up(lambda awaited: awaited.until_s <= now_s, self._words)
        with self._lock:
            self._awaited = deque(awaited for awaited in self._awaited if not awaited.answer.done())
            return bool(self._awaited or self._controls.visited(now_s))

    def _words(self, awaited: _Awaited) -> str:
        """Return why no answer has come, as far as that is known."""
        device = awaited.command.device
        if not awaited.sent:
            return f"the broker did not let the command to {device} be sent within {ANSWER_S:g} s"
        if self._is_offline(device):
            return f"no answer within {ANSWER_S:g} s: {device} is offline"
        return (
            f"no answer from {device} within {ANSWER_S:g} s: it is busy, its connection is broken, or the broker's "
            "access rules deny this command or its answer (docs/dashboard.md)"
        )

    def _give_up(self, on: Callable[[_Awaited], bool], words: Callable[[_Awaited], str]) -> None:
        with self._lock:
            ended = [awaited for awaited in self._awaited if on(awaited)]
        for awaited in ended:
            awaited.resolve(Answer(answered=False, error=words(awaited)))

    def _take(self, message: Received) -> None:
        try:
            setting = parse_setting(self._base, message.topic, message.payload)
            value = None if setting else parse(self._base, message.topic, message.payload)
        except WireError as error:
            self._refuse(message, error)
            return
        if setting:
            self._controls.update(setting)
        elif isinstance(value, CommandAnswer) and not message.retained:
            with self._lock:
                asked = (each for each in self._awaited if each.sent and not each.answer.done())
                found = next((each for each in asked if each.command.answers(value)), None)
            if found is not None:
                found.resolve(Answer(answered=True, error=value.error))


class _Desk:
    """Subscriptions and commands on one connection."""

    def __init__(self, base: str, controls: Controls, connection: MqttConnection) -> None:
        self.stale = 0  # subscribed sources that nobody looks at any more
        self._base = base
        self._controls = controls
        self._connection = connection
        self._looked_at: set[SourceKey] = set()
        self._pending: dict[int, tuple[str, SourceKey | str | _Awaited]] = {}  # topic and whose, by packet identifier
        self._missing: dict[SourceKey, int] = {}  # filters that are not granted yet
        self._answering: dict[str, bool] = {}  # devices: whether the subscription to their answers is granted
        self._denied: dict[str, str] = {}  # devices, and why it is not

    def look_after(self, awaited: list[_Awaited]) -> None:
        """Subscribe to what is newly looked at, and send the commands that may be sent."""
        visited = set(self._controls.visited(time.monotonic()))
        self.stale += len(self._looked_at - visited)
        for key in visited - self._looked_at:
            self._controls.begin(key)
            filters = setting_filters(self._base, *key)
            self._missing[key] = len(filters)
            for topic in filters:
                self._pending[self._connection.subscribe(topic, retained=True, qos=0)] = topic, key
        self._looked_at = visited
        for each in awaited:
            device = each.command.device
            if device in self._denied:
                each.resolve(Answer(answered=False, error=self._denied[device]))
            elif device not in self._answering:
                self._answering[device] = False
                topic = answer_topic(self._base, device)
                self._pending[self._connection.subscribe(topic, qos=0)] = topic, device
            elif self._answering[device] and not each.sent and not each.answer.done():
                each.sent = True
                topic = f"{self._base}/{device}/{each.command.topic}"
                message = Message(topic, each.command.payload, qos=1)
                self._pending[self._connection.publish(message, expiry_s=ANSWER_S)] = topic, each

    def acknowledged(self, answer: Acknowledged) -> None:
        topic, whose = self._pending.pop(answer.packet_id, ("", ""))
        denied = ""
        if answer.refusal is not None:
            denied = (
                f"the broker denies {topic}: {answer.refusal.name}; allow it in its access rules (docs/dashboard.md)"
            )
        if isinstance(whose, _Awaited):
            if denied:
                whose.resolve(Answer(answered=False, error=denied))
        elif isinstance(whose, str):
            self._answering[whose] = not denied
            if denied:
                self._denied[whose] = denied
        elif denied:
            self._controls.report(whose, denied)
        else:
            self._missing[whose] -= 1
            if not self._missing[whose]:
                self._controls.subscribed(whose)
