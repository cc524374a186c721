"""Faults of a running agent: disk full or read-only, database damaged, a part stalled, the clock stepped."""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.agents import Listener, RunningAgent
from support.brokers import BrokerProcess
from support.ports import free_port
from support.programs import with_mounts
from support.rtsp import push_rtsp
from support.waiting import wait_until

Run = Callable[..., RunningAgent]
ListenTo = Callable[[BrokerProcess], Listener]
SOON = "from edgeaudio.outbox import outbox\noutbox.Outbox.__init__.__kwdefaults__['retry_s'] = 1.0\n"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def agent(broker: BrokerProcess, run_agent: Run, port: int) -> RunningAgent:
    """An agent with one source, not started."""
    source = f'[sources.porch]\nurl = "rtsp+listen://127.0.0.1:{port}/x"\nlevel_interval_s = 1\n'
    return run_agent(broker.start(), source)


@pytest.fixture
def listener(agent: RunningAgent, broker: BrokerProcess, listen_to: ListenTo) -> Listener:
    return listen_to(broker)


def outbox(listener: Listener) -> dict[str, Any]:
    reports = listener.payloads("/health")
    return reports[-1]["outbox"] if reports else {}


def in_small_world(state: Path, options: str) -> list[str]:
    """Return a command that runs another with the state directory on a file system of half a megabyte."""
    state.mkdir()
    return with_mounts(f"mount -t tmpfs -o size=512k,{options} tmpfs {state}")


def test_a_full_disk_is_reported_and_loses_nothing(agent: RunningAgent, listener: Listener, port: int, tmp_path: Path):
    agent.start(in_small_world(tmp_path / "state", "rw"), SOON)
    wait_until(lambda: outbox(listener), what="no health")
    assert outbox(listener)["trouble"] is None
    assert agent.process is not None
    filler = Path(f"/proc/{agent.process.pid}/root{tmp_path}/state/filler")
    with filler.open("wb", buffering=0) as file:
        # a write without enough space is truncated
        while file.write(bytes(1 << 20)) == 1 << 20:
            pass
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
        onset = listener.wait_detection("onset")
        wait_until(lambda: outbox(listener)["trouble"], what="no trouble was told")
    assert "full" in outbox(listener)["trouble"]
    assert "the disk fails, messages are kept in memory" in agent.log
    assert listener.wait_detection("offset")["id"] == onset["id"]
    filler.unlink()
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
        listener.wait_detection("onset", count=2)
    wait_until(lambda: outbox(listener)["trouble"] is None, 20, "the disk was not taken into use again")
    assert "the disk is in use again" in agent.log


def test_a_read_only_disk_is_reported_at_the_start(agent: RunningAgent, listener: Listener, port: int, tmp_path: Path):
    agent.start(in_small_world(tmp_path / "state", "ro"))
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
        onset = listener.wait_detection("onset")
    assert listener.wait_detection("offset")["id"] == onset["id"]
    wait_until(lambda: outbox(listener).get("trouble"), what="no trouble was told")
    assert "the disk fails, messages are kept in memory" in agent.log


def test_a_damaged_database_is_moved_and_reported(agent: RunningAgent, listener: Listener, port: int, tmp_path: Path):
    state = tmp_path / "state"
    state.mkdir()
    (state / "outbox.sqlite").write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 64)
    agent.start()
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
        listener.wait_detection("onset")
    wait_until(lambda: outbox(listener), what="no health")
    told = outbox(listener)
    assert told["trouble"] is None
    assert Path(told["damaged_file"]).name.startswith("outbox.sqlite.damaged-")
    assert Path(told["damaged_file"]).exists()
    assert "was damaged" in agent.log


HANG = """
import time
from edgeaudio.agent import agent, mqtt_runner, supervisor
from edgeaudio.capture import reader
from edgeaudio.agent.timed_model import TimedModel
from edgeaudio.sinks.mqtt import client
from edgeaudio.sinks.mqtt.client import MqttConnection
from edgeaudio.outbox.database import OutboxFile

def hang(*_args, **_more):
    time.sleep(3600)
"""
STUCK = {
    "the recogniser": "supervisor.RECOGNISER_STALL_TIMEOUT_S = 1.5\nTimedModel.scores = hang\n",
    # the embedded broker does not answer MQTT 5; this wait is shorter than the stall timeout
    "the sender": "mqtt_runner.SENDER_STALL_TIMEOUT_S = 1.5\nclient._MUTE_S = 0.5\nMqttConnection.poll = hang\n",
    "the reader of source porch": "reader.Reader.stall_timeout_s = 1.5\nreader.open_source = hang\n",
}


@pytest.mark.parametrize("part", STUCK)
def test_a_stalled_part_ends_the_process_with_its_stacks(part: str, agent: RunningAgent, port: int):
    agent.start(patch=HANG + STUCK[part])
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
        assert agent.wait(20) == 1
    assert (
        f"{part} has made no progress for 2 s; the agent ends so that it is started again; its threads stand here"
        in agent.log
    )
    assert "most recent call first" in agent.log
    assert " in hang\n" in agent.log  # the stalled call


def test_a_hanging_disk_ends_the_process_though_all_threads_wait_for_it(agent: RunningAgent, port: int):
    """The main thread, which watches the others, waits too: it asks the outbox for its state."""
    hang = (
        "agent.MAIN_STALL_TIMEOUT_S = 2.0\nwrite = OutboxFile.write\n"
        "OutboxFile.write = lambda file, change, **more: hang() if change.inserted else write(file, change, **more)\n"
    )
    agent.start(patch=HANG + hang)
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
        assert agent.wait(20) == 1
    assert "Timeout (0:00:02)!" in agent.stacks
    assert " in hang\n" in agent.stacks


def test_a_stalled_stop_is_aborted(agent: RunningAgent, listener: Listener):
    agent.start(patch=HANG + "agent.SHUTDOWN_STALL_TIMEOUT_S = 1.0\nagent.Recogniser.end_all = hang\n")
    wait_until(lambda: listener.payloads("/health"), what="no health")
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 1
    assert "Timeout (0:00:01)!" in agent.stacks


def ago(at: str) -> timedelta:
    return datetime.now(UTC) - datetime.fromisoformat(at)


# like libfaketime, which sometimes misses a step for a moment; an empty file is just being written
FAKE_CLOCK = """
import time
from pathlib import Path
real = time.time
time.time = lambda: real() + float(Path("{offset}").read_text() or 0)
"""


def test_a_step_of_the_clock_moves_later_times_alone(
    agent: RunningAgent, listener: Listener, port: int, tmp_path: Path
):
    offset = tmp_path / "offset"
    offset.write_text("+0")
    agent.start(patch=FAKE_CLOCK.format(offset=offset))
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
        before = listener.wait_detection("onset")
        stepped = tmp_path / "stepped"
        stepped.write_text("+3600")
        stepped.replace(offset)  # as NTP does when the network comes up after a boot without a clock
        wait_until(lambda: [h for h in listener.payloads("/health") if h["clock_steps"] == 1], what="no step was seen")
        levels = len(listener.payloads("/level"))
        wait_until(lambda: len(listener.payloads("/level")) > levels + 1, what="no levels")
        moved = ago(listener.payloads("/level")[-1]["at"])
    end = listener.wait_detection("offset")
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
        after = listener.wait_detection("onset", count=2)
    assert ago(before["at"]) < timedelta(seconds=30)
    # a sound that began before the step keeps its length
    assert end["id"] == before["id"]
    lasted = datetime.fromisoformat(end["at"]) - datetime.fromisoformat(before["at"])
    assert abs(lasted.total_seconds() - end["duration_s"]) < 0.01
    assert 0 < end["duration_s"] < 30
    # later sounds, over the same connection too, have the new time
    for age in (moved, ago(after["at"])):
        assert timedelta(minutes=-60) <= age < timedelta(minutes=-59)
    health = listener.payloads("/health")[-1]
    assert health["clock_steps"] == 1
    assert health["uptime_s"] < 60
    source = health["sources"]["porch"]
    assert abs(source["heard_s"] + source["lost_s"] - health["uptime_s"]) < 2
    assert "the system clock was stepped by +3600" in agent.log
