"""An unexpected exception ends one source's connection, or the process if it concerns all sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.agents import Listener, RunningAgent
from support.brokers import BrokerProcess
from support.media import sine, write_media
from support.ports import free_port
from support.waiting import wait_until

Run = Callable[..., RunningAgent]
ListenTo = Callable[[BrokerProcess], Listener]

# each patch affects the source "bad" alone, after two seconds of its sound
_HEAD = """
import time
from edgeaudio.capture import reader
reader.LAST_DELAY_S = 0.5
begun = {}
def due(source):
    return source == "bad" and time.monotonic() - begun.setdefault(source, time.monotonic()) > 2
"""
_WHILE_READING = """
from edgeaudio.capture.decoding import FrameReader
decode = FrameReader._decode
def broken(self, packet):
    if due(self._config.name):
        ERROR
    return decode(self, packet)
FrameReader._decode = broken
"""
_AT_OPENING = """
opening = reader.open_source
def broken(config, *args, **more):
    if config.name == "bad":
        ERROR
    return opening(config, *args, **more)
reader.open_source = broken
"""
_AT_CLOSING = """
from edgeaudio.capture.connection import Connection
leave = Connection.__exit__
def broken(self, *how):
    leave(self, *how)
    if self._config.name == "bad":
        ERROR
Connection.__exit__ = broken
take = Connection._add
def ending(self, *arrived):
    if due(self._config.name):
        from edgeaudio.capture.errors import SourceError
        from edgeaudio.types import Reason
        raise SourceError(self._config.name, self._config.address, Reason.TIMEOUT, "")
    return take(self, *arrived)
Connection._add = ending
"""
_WHILE_BOOKING = """
from edgeaudio.capture.connection import Connection
each = Connection.__iter__
def broken(self):
    for block in each(self):
        if due(block.source):
            self.blocks.end_s = "never"
        yield block
Connection.__iter__ = broken
"""
_WHILE_RECOGNISING = """
from edgeaudio.recognise.pipeline import SourcePipeline
feed = SourcePipeline.feed
def broken(self, block):
    yield from feed(self, block)
    if due(block.source):
        ERROR
SourcePipeline.feed = broken
"""
_WHILE_RECOGNISING_AND_ENDING = (
    _WHILE_RECOGNISING
    + """
finish = SourcePipeline.end
def unending(self):
    if due(self._source):
        ERROR
    yield from finish(self)
SourcePipeline.end = unending
"""
)
_WHILE_JUDGING = """
from edgeaudio.health.state import SourceHealth
level = SourceHealth.level
def broken(self, reading):
    if due(reading.source):
        ERROR
    return level(self, reading)
SourceHealth.level = broken
"""
_IN_THE_GATE = """
from edgeaudio.capture.http_proxy import HttpProxy
def broken(self, *_arguments):
    ERROR
HttpProxy._exchange = broken
"""
_DIVIDE = "1 / 0"
_FAULTS = {
    "at opening": (_AT_OPENING, "raise MemoryError", "MemoryError"),
    "at opening, with the password": (
        _AT_OPENING,
        "raise KeyError(config.address.password, str(config.url))",
        "KeyError",
    ),
    "while reading": (_WHILE_READING, _DIVIDE, "ZeroDivisionError"),
    "while reading, without memory": (_WHILE_READING, "[0] * (1 << 62)", "MemoryError"),
    "while reading, an error of ours": (
        _WHILE_READING,
        "from edgeaudio.capture.source_urls import UrlError\n        raise UrlError('x')",
        "UrlError",
    ),
    "while booking": (_WHILE_BOOKING, "", "TypeError"),
    "at closing": (_AT_CLOSING, _DIVIDE, "ZeroDivisionError"),
    "at opening, in the gate": (_IN_THE_GATE, _DIVIDE, "ZeroDivisionError"),
    "while recognising": (_WHILE_RECOGNISING, _DIVIDE, "ZeroDivisionError"),
    "while recognising and ending": (_WHILE_RECOGNISING_AND_ENDING, "raise MemoryError", "MemoryError"),
    "while judging the level": (_WHILE_JUDGING, _DIVIDE, "ZeroDivisionError"),
}


@pytest.fixture
def run_agent(run_agent: Run) -> Iterator[Run]:
    """Make an agent whose log may have the tracebacks that are provoked here."""
    agents: list[RunningAgent] = []

    def make(*arguments: Any) -> RunningAgent:
        agents.append(run_agent(*arguments))
        return agents[-1]

    yield make
    for agent in agents:
        agent.log_file.write_text(agent.log.replace("Traceback", "traceback"))


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    """A minute of the tone that the model detects."""
    path = tmp_path / "tape.wav"
    write_media(path, "pcm_s16le", sine(1000.0, 8000, 60.0), 8000)
    return path


def source(listener: Listener, name: str) -> dict[str, Any]:
    reports = listener.payloads("/health")
    return reports[-1]["sources"][name] if reports else {}


# one in each place that catches; the others raise another exception there, or a little earlier
_QUICK = {
    "at opening, with the password",
    "while reading",
    "while booking",
    "at closing",
    "at opening, in the gate",
    "while recognising and ending",
}


@pytest.mark.parametrize(
    "fault", [each if each in _QUICK else pytest.param(each, marks=pytest.mark.slow) for each in _FAULTS]
)
def test_an_exception_in_one_source_ends_its_connection_alone(
    fault: str, broker: BrokerProcess, run_agent: Run, listen_to: ListenTo, tape: Path
):
    """The source is `failed` and tried again; the other keeps its connection, and both have their offsets."""
    patch, error, kind = _FAULTS[fault]
    broker.start()
    listener = listen_to(broker)
    other = tape.with_name("other.wav")
    other.symlink_to(tape)
    bad = f"rtsp://user:hunter2@127.0.0.1:{free_port()}/x" if "password" in fault else str(other)
    if "gate" in fault:
        bad = f"http://127.0.0.1:{free_port()}/x"
    agent = run_agent(broker, f'[sources.good]\nurl = "{tape}"\n[sources.bad]\nurl = "{bad}"\n')
    agent.start(patch=_HEAD + patch.replace("ERROR", error))
    status = listener.wait_state("bad", "failed", "internal_error", timeout_s=30)
    assert kind in status["detail"]
    assert status["next_try"] is not None
    wait_until(lambda: source(listener, "bad").get("internal_errors", 0) >= 2, 30, "it was not tried again")
    wait_until(lambda: source(listener, "good").get("heard_s", 0) > 3, 20, "the other is not heard")
    good = source(listener, "good")
    assert (good["connections"], good["internal_errors"], good["state"]) == (1, 0, "listening")
    onsets = {event["id"] for event in listener.detections("onset") if event["source"] == "bad"}
    if "opening" not in fault:
        assert onsets
    assert agent.process is not None
    assert agent.process.poll() is None
    wait_until(
        lambda: {event["id"] for event in listener.detections("offset") if event["source"] == "bad"} >= onsets,
        10,
        "a sound of the failed source was not ended",
    )
    assert [e["kind"] for e in listener.detections() if e["source"] == "good"] == ["onset"]
    # one traceback, and at most a line for each later exception
    lines = 2 if fault in {"while booking", "while recognising and ending"} else 1  # at which it is raised
    assert agent.log.count("an exception that nobody expected") == lines
    wait_until(lambda: source(listener, "bad")["internal_errors"] > 3, 20, "it was not tried again and again")
    assert agent.log.count("an exception that nobody expected") == lines
    assert "hunter2" not in agent.log


_FATAL = {
    "a model": "from edgeaudio.recognise.model import Model\ndef broken(self, values):\n    1 / 0\n"
    "Model.scores = broken\n",
    "the outbox": "from edgeaudio.outbox.outbox import Outbox\ndef broken(self, *rows, **more):\n    1 / 0\n"
    "Outbox.add = broken\n",
    "the hub": "from edgeaudio.hub import Hub\ndef broken(self, item):\n    1 / 0\nHub.publish = broken\n",
    "the telling of states": "from edgeaudio.sinks.mqtt import messages\ntold = messages.status\n"
    "def broken(topics, status, **more):\n    if status.state == 'listening':\n        1 / 0\n"
    "    return told(topics, status, **more)\n"
    "messages.status = broken\n",
}


@pytest.mark.parametrize("part", _FATAL)
def test_an_exception_in_a_shared_part_ends_the_process(part: str, broker: BrokerProcess, run_agent: Run, tape: Path):
    agent = run_agent(broker.start(), f'[sources.porch]\nurl = "{tape}"\n').start(patch=_FATAL[part])
    assert agent.wait(20) == 1
    assert "ZeroDivisionError" in agent.log
