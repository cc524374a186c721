"""Standard error is a full pipe, as with a log driver that hangs: nothing in an agent waits for it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.agents import Listener, RunningAgent
from support.brokers import BrokerProcess
from support.ports import free_port
from support.rtsp import push_rtsp
from support.waiting import wait_until

Run = Callable[..., RunningAgent]
ListenTo = Callable[[BrokerProcess], Listener]

# far more than a pipe holds, from Python's logging and from a library that prints; the agent's earlier lines are kept
_CHATTER = """
import logging, os, sys, threading, time
connected = threading.Event()
class Seen(logging.Handler):
    def emit(self, record):
        if "connected, MQTT" in record.getMessage():
            connected.set()
logging.getLogger("edgeaudio").addHandler(Seen())
def chatter():
    log = logging.getLogger("edgeaudio.chatter")
    connected.wait()
    while True:
        time.sleep(0.01)
        log.warning("x" * 10_000)
        with __import__("contextlib").suppress(BlockingIOError):
            os.write(2, b"y" * 10_000 + b"\\n")
            print("z" * 100, flush=True)
threading.Thread(target=chatter, daemon=True).start()
"""
_HANG = """
import time
from edgeaudio.agent import agent
from edgeaudio.capture import reader
def hang(*_args, **_more):
    time.sleep(3600)
"""


class FullPipe:
    """A pipe that is full until it is read."""

    def __init__(self) -> None:
        self.far, self.near = os.pipe()
        os.set_blocking(self.near, False)
        with contextlib.suppress(BlockingIOError):
            while os.write(self.near, b"-" * 4096):
                pass
        os.set_blocking(self.near, True)
        os.set_blocking(self.far, False)

    def read(self) -> str:
        """Return the content of the pipe."""
        found = b""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.far, 1 << 20):
                found += data
        return found.decode()


@pytest.fixture
def pipe() -> Iterator[FullPipe]:
    made = FullPipe()
    yield made
    os.close(made.far)
    os.close(made.near)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def agent(broker: BrokerProcess, run_agent: Run, port: int) -> RunningAgent:
    return run_agent(broker.start(), f'[sources.porch]\nurl = "rtsp+listen://127.0.0.1:{port}/x"\n')


@pytest.mark.parametrize("chatter", ["", _CHATTER], ids=["quiet", "chatter"])
def test_a_blocked_log_delays_neither_detections_nor_health_nor_the_stop(
    chatter: str, agent: RunningAgent, broker: BrokerProcess, listen_to: ListenTo, port: int, pipe: FullPipe
):
    listener = listen_to(broker)
    agent.start(patch=chatter, output=pipe.near)
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
        onset = listener.wait_detection("onset")
        if chatter:
            wait_until(
                lambda: any(h["log_dropped"] > 100 for h in listener.payloads("/health")), 20, "nothing was dropped"
            )
            reports = len(listener.payloads("/health"))
            wait_until(lambda: len(listener.payloads("/health")) > reports + 2, 10, "health has ended")
            said = ""

            def told() -> bool:
                nonlocal said
                said += pipe.read()
                return "log lines were dropped" in said

            wait_until(told, 10, "nobody says what was dropped")
            assert "connected, MQTT" in said  # lines that fitted are there for a later reader
            assert "yyy" in said
            assert "zzz" in said
        began_s = time.monotonic()
        agent.signal(signal.SIGTERM)
        assert agent.wait() == 0
    assert time.monotonic() - began_s < 2.0
    assert listener.wait_detection("offset")["id"] == onset["id"]
    wait_until(lambda: listener.of("edgeaudio/testbox/availability")[-1:] == [b"offline"], what="no offline")


_STUCK = {
    "a reader": "reader.Reader.stall_timeout_s = 1.0\nreader.open_source = hang\n",
    "the main thread": "agent.MAIN_STALL_TIMEOUT_S = 2.0\nagent.HealthReporter.report = hang\n",
}


@pytest.mark.parametrize("part", _STUCK)
def test_a_stalled_process_ends_and_the_next_one_logs_its_stacks(
    part: str, agent: RunningAgent, pipe: FullPipe, memory_dir: Path
):
    agent.environment["RUNTIME_DIRECTORY"] = str(memory_dir)
    agent.start(patch=_HANG + _STUCK[part], output=pipe.near)
    assert agent.wait(20) == 1
    agent.start()
    wait_until(lambda: "connected, MQTT" in agent.log, 10, "no second start")
    assert " in hang\n" in agent.log
    assert "the agent crashed or was ended; the stacks of its threads were" in agent.log
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    agent.start()
    wait_until(lambda: agent.log.count("connected, MQTT") == 2, 10, "no third start")
    assert agent.log.count("or was ended") == 1


def test_bad_settings_end_the_process_with_a_blocked_log_too(agent: RunningAgent, pipe: FullPipe):
    agent.write("nonsense = 1\n")
    agent.start(output=pipe.near)
    assert agent.wait() == 2


def test_the_agent_runs_without_standard_error(agent: RunningAgent, broker: BrokerProcess, listen_to: ListenTo):
    listener = listen_to(broker)
    agent.start(patch="import os\nos.close(1)\nos.close(2)\n")
    wait_until(lambda: listener.payloads("/health"), what="no health")
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0


def test_log_lines_for_the_journal_have_priorities(agent: RunningAgent):
    agent.log_file.touch()
    status = agent.log_file.stat()
    agent.environment["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
    agent.start()
    wait_until(lambda: "connected, MQTT" in agent.log, what="no log")
    assert all(line.startswith("<6>edgeaudio.") for line in agent.log.splitlines() if "connected, MQTT" in line)
