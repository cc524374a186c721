"""Answers to `edgeaudio health` and `edgeaudio test`, which ask a running agent.

Owns: the questions that are understood, and what is in the answers.
Does not know: the socket (health/agent_socket.py), how a test detection is sent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from queue import Empty, SimpleQueue

from edgeaudio.agent.command_handler import CommandHandler
from edgeaudio.agent.health_reporter import HealthReporter
from edgeaudio.health.broker import BrokerState
from edgeaudio.health.watchdog import Part, stuck_part
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.sinks.mqtt.commands import CommandError
from edgeaudio.sinks.mqtt.health_payload import health_values
from edgeaudio.sinks.mqtt.messages import Json
from edgeaudio.sinks.mqtt.sender import Sender

MAIN_TIMEOUT_S = 5.0  # for the main thread to answer
ACKNOWLEDGE_TIMEOUT_S = 3.0  # for the broker to acknowledge a test detection
_STEP_S = 0.02


class QuestionHandler:
    """Answers for one agent. `answer` runs in the socket's thread; the main thread knows the answers."""

    def __init__(
        self,
        device: str,
        commands: CommandHandler,
        reporter: HealthReporter,
        outbox: Outbox,
        sender: Sender,
        *,
        parts: Callable[[], Iterable[Part]],
        call_in_main: Callable[[Callable[[], None]], None],
        stop: threading.Event,
    ) -> None:
        """`parts`: what the watchdog watches; `stop`: the agent's."""
        self._device = device
        self._commands = commands
        self._reporter = reporter
        self._outbox = outbox
        self._sender = sender
        self._parts = parts
        self._call_in_main = call_in_main
        self._stop = stop

    def answer(self, question: object) -> dict[str, Json]:
        """Return the answer to a question, as JSON can hold it; any other than a test asks how the agent is."""
        match question:
            case {"test": {"source": str(source), "label": str(label)}}:
                ask: Callable[[], tuple[dict[str, Json], int]] = partial(self._send_test, source, label)
            case _:
                ask = self._state
        answers: SimpleQueue[tuple[dict[str, Json], int]] = SimpleQueue()
        timed_out = threading.Event()
        self._call_in_main(lambda: None if timed_out.is_set() else answers.put(ask()))
        try:
            answer, number = answers.get(timeout=MAIN_TIMEOUT_S)
        except Empty:
            timed_out.set()  # a test that is reported as failed must not be sent later
            return {"device": self._device, "stuck": "the main thread", "health": None}
        return {**answer, **self._acknowledgement(number)} if number else answer

    def _send_test(self, source: str, label: str) -> tuple[dict[str, Json], int]:
        """Send a test detection. Return its number in the outbox too, 0 where it was refused."""
        try:
            number = self._commands.send_test(source, label)
        except CommandError as refusal:
            return {"device": self._device, "error": str(refusal)}, 0
        return {"device": self._device, "error": None}, number

    def _acknowledgement(self, number: int) -> dict[str, Json]:
        """Return whether the broker acknowledges that message of the outbox in time, and the broker's state."""
        deadline_s = time.monotonic() + ACKNOWLEDGE_TIMEOUT_S
        while waits := self._outbox.holds(number):
            connected = self._sender.status.state is BrokerState.CONNECTED
            if not connected or self._stop.is_set() or time.monotonic() > deadline_s:
                break
            time.sleep(_STEP_S)
        broker = self._sender.status
        return {"taken": not waits, "broker": broker.state.value, "detail": broker.detail}

    def _state(self) -> tuple[dict[str, Json], int]:
        part = stuck_part(self._parts(), time.monotonic())
        last = self._reporter.last
        return {
            "device": self._device,
            "stuck": part.name if part else None,
            "health": health_values(last) if last else None,
        }, 0
