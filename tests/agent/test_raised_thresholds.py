"""Thresholds that have risen, in an agent: what health, topics, a command and a reload make of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeaudio.agent import Agent
from edgeaudio.settings import Settings
from edgeaudio.sinks.mqtt.health_payload import health_values
from edgeaudio.types import Block

RATE = 1200  # of the test model, whose three scores are means of the thirds of a clip
START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTES = 90


def settings(model: Path, tmp_path: Path, **detector: bool) -> Settings:
    return Settings.model_validate(
        {
            "device": "testbox",
            "state_dir": str(tmp_path / "state"),
            "detector": detector,
            "models": {"mine": {"path": str(model), "period_ms": 60_000}},  # a clip a minute
            "sources": {"porch": {"url": str(tmp_path / "absent.wav")}},
        }
    )


@pytest.fixture
def agent(model: Path, tmp_path: Path) -> Iterator[Agent]:
    """An agent whose source has heard a fan for an hour and a half, at scores of 0.7 where 0.65 begins an event."""
    agent = Agent(settings(model, tmp_path, adapt=True))
    (worker,) = agent._sources
    hum = np.full(60 * RATE, 0.7, np.float32)
    for minute in range(MINUTES):
        at = START + timedelta(minutes=minute)
        list(worker.pipeline.feed(Block("porch", minute * len(hum), at, RATE, hum)))
    yield agent
    agent._mqtt.sender.close()
    agent._outbox.close()


def raised(agent: Agent) -> Any:
    return json.loads(json.dumps(health_values(agent._reporter.report())))["sources"]["porch"]["raised"]


def test_health_says_what_has_risen_and_the_topic_keeps_what_was_chosen(agent: Agent) -> None:
    assert raised(agent)["first"] == {"from": 0.65, "to": 0.794, "since": "2026-01-01T01:00:00.000Z"}
    (worker,) = agent._sources
    assert worker.pipeline.active() == []
    assert json.loads(agent._commands._threshold_state(worker, "first").payload) == 0.65


def test_a_reload_keeps_it_and_one_that_switches_it_off_does_not(agent: Agent, model: Path, tmp_path: Path) -> None:
    before = raised(agent)
    agent._reloader.reload(lambda: settings(model, tmp_path, adapt=True))
    assert raised(agent) == before
    agent._reloader.reload(lambda: settings(model, tmp_path))
    assert raised(agent) == {}


def test_a_command_that_sets_the_threshold_ends_it_for_that_label_alone(agent: Agent) -> None:
    agent._commands.handle("edgeaudio/testbox/porch/threshold/first/set", b"0.68")
    assert set(raised(agent)) == {"second", "third"}
