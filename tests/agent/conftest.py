"""Fixtures of a running agent."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.agents import DETECTOR, DEVICE, NEVER, Listener, RunningAgent
from support.brokers import BrokerProcess, any_broker, broker, mosquitto
from support.tflite import model_directory

__all__ = ["any_broker", "broker", "mosquitto"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Directory of a model that detects a 1 kHz tone."""
    return model_directory(
        tmp_path,
        "features_time_major",
        detector=DETECTOR,
        thresholds={"first": NEVER, "third": NEVER},
    )


@pytest.fixture
def run_agent(tmp_path: Path, model: Path) -> Iterator[Callable[..., RunningAgent]]:
    """Make an agent, and stop it after the test; its log must have no traceback."""
    agents: list[RunningAgent] = []

    def make(broker: BrokerProcess, sources: str, **options: Any) -> RunningAgent:
        agents.append(RunningAgent(tmp_path, broker.port, sources, **options))
        return agents[-1]

    yield make
    for agent in agents:
        if agent.process is None:
            continue
        if agent.process.poll() is None:
            agent.signal(signal.SIGTERM)
            try:
                assert agent.wait() == 0
            finally:
                agent.kill()
        assert "Traceback" not in agent.log, agent.log


@pytest.fixture
def memory_dir() -> Iterator[Path]:
    """Directory in memory, like the service manager's runtime directory."""
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("there is no /dev/shm")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.fixture
def listen_to() -> Iterator[Callable[[BrokerProcess], Listener]]:
    with ExitStack() as stack:
        yield lambda broker: stack.enter_context(Listener(broker.port, f"edgeaudio/{DEVICE}/#"))
