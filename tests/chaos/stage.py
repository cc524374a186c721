"""The test bed of the proofs: a broker, a subscriber with a session, an agent with a test model."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from support.agents import DETECTOR, DEVICE, NEVER, Listener, RunningAgent
from support.brokers import BrokerProcess, MosquittoFactory
from support.cut_line import CutLine
from support.tflite import model_directory

# a tenth of a second of 1 kHz every 0.3 s: six or seven events a second
BURSTS = (
    "audiotestsrc is-live=true wave=ticks freq=1000 volume=0.5 tick-interval=300000000 sine-periods-per-tick=100 "
    "! audio/x-raw,rate=8000,channels=1 ! audioconvert ! alawenc ! rtppcmapay pt=8 name=pay0"
)


class Stage:
    """Broker, agent and subscribers in one folder; use it in a `with` block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()
        self._line: CutLine | None = None
        self._agents: list[RunningAgent] = []
        # a subscriber that is away gets what it missed: the agent is tested, not the subscriber
        options = (
            "max_queued_messages 0",
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_interval 1",
        )
        self._brokers = MosquittoFactory(folder)
        self.broker: BrokerProcess = self._brokers(*options)
        model_directory(folder, "features_time_major", detector=DETECTOR, thresholds={"first": NEVER, "third": NEVER})

    def __enter__(self) -> Self:
        self.broker.start()
        self._line = self._stack.enter_context(CutLine(self.broker.port))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for agent in self._agents:
            agent.kill()
        self._stack.close()
        self.broker.stop()

    @property
    def line(self) -> CutLine:
        """The agents' line to the broker."""
        assert self._line is not None
        return self._line

    def listen(self) -> Listener:
        """Return a subscriber for which the broker queues missed messages."""
        return self._stack.enter_context(Listener(self.broker.port, f"edgeaudio/{DEVICE}/#", session="books"))

    def agent(self, sources: str, **options: Any) -> RunningAgent:
        """Return an agent, not started yet, whose debug log has what it commits."""
        agent = RunningAgent(self.folder, self.line.port, sources, settings='log_level = "debug"', **options)
        self._agents.append(agent)
        return agent

    @staticmethod
    def drained(listener: Listener, since: datetime) -> bool:
        """True if the agent has reported an empty outbox since then."""
        reports = [r for r in listener.payloads("/health") if datetime.fromisoformat(r["at"]) >= since]
        return bool(reports) and reports[-1]["outbox"]["depth"] == 0
