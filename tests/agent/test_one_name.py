"""Two devices of one name disconnect each other: both report it over MQTT, with their host names."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from support.agents import DEVICE, Listener, RunningAgent
from support.brokers import MosquittoFactory, mosquitto
from support.waiting import wait_until

from edgeaudio.agent import Agent
from edgeaudio.clock import timestamp
from edgeaudio.settings import Settings
from edgeaudio.sinks.mqtt.health_payload import health_values
from edgeaudio.sinks.mqtt.sink import duplicate_of

__all__ = ["mosquitto"]

_NAMED = """
import socket
socket.gethostname = lambda: "{}"
"""


def test_both_devices_of_one_name_report_it(
    run_agent: Callable[..., RunningAgent], mosquitto: MosquittoFactory, model: Path, tmp_path: Path
):
    broker = mosquitto().start()
    (tmp_path / "twin").mkdir()
    twin = RunningAgent(tmp_path / "twin", broker.port, "")
    twin.config.write_text(twin.config.read_text().replace(str(tmp_path / "twin" / "test"), str(model)))
    with Listener(broker.port, f"edgeaudio/{DEVICE}/#") as listener:

        def rivals() -> set[Any]:
            told = [health for health in listener.payloads("/health") if health["broker"]["reason"] == "taken_over"]
            assert all("takes over" in health["broker"]["detail"] for health in told)
            return {health["host"] for health in told}

        first = run_agent(broker, "").start(patch=_NAMED.format("raspberrypi-one"))
        try:
            twin.start(patch=_NAMED.format("raspberrypi-two"))

            wait_until(lambda: rivals() == {"raspberrypi-one", "raspberrypi-two"}, 60, "not both have told")
        finally:
            twin.kill()
    assert "give each device its own name" in first.log


def test_a_report_of_another_device_is_recognised(model: Path, tmp_path: Path):
    agent = Agent(Settings(device="x", state_dir=tmp_path / "state"))
    try:
        ours = health_values(agent._reporter.report())
        later = timestamp(datetime.now(UTC) + timedelta(seconds=5))

        def rival(**changes: object) -> str | None:
            return duplicate_of(json.dumps(ours | changes).encode(), agent._started_at)

        assert rival() is None
        assert rival(started_at=later, at=later, host="attic") == "attic"
        assert rival(started_at=later, at=later, host="x" * 1000) == "x" * 64
        # a retained report of an earlier process
        assert rival(started_at="2020-01-01T00:00:00.000Z", at="2020-01-02T00:00:00.000Z") is None
        for report in (b"", b"{}", b"[]", b"1", b"\xff", b"[" * 100_000, b'{"host": 1, "started_at": 2, "at": 3}'):
            assert duplicate_of(report, agent._started_at) is None
        assert rival(started_at=later, at="2030-01-01T00:00:00") is None
    finally:
        agent._mqtt.sender.close()
        agent._outbox.close()
