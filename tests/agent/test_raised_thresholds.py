"""Thresholds that have risen, in an agent: what health, topics, a command and a reload make of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tflite import model_directory

from edgeaudio.agent import Agent
from edgeaudio.recognise.manifest import DetectorSection
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
def model(tmp_path: Path) -> Path:
    return model_directory(tmp_path, detector=DetectorSection(on=0.65, off=0.6))


@pytest.fixture
def agent(model: Path, tmp_path: Path) -> Iterator[Agent]:
    """An agent whose source has heard a fan for an hour and a half, at scores of 0.7 where 0.65 begins an event."""
    agent = Agent(settings(model, tmp_path, adapt=True))
    (worker,) = agent._sources
    hum = np.full(60 * RATE, 0.7, np.float32)
    for minute in range(MINUTES):
        at = START + timedelta(minutes=minute)
        list(worker.pipeline.feed(Block("porch", 0, minute * len(hum), at, RATE, hum)))
    yield agent
    agent._mqtt.sender.close()
    agent._outbox.close()


def raised(agent: Agent) -> Any:
    return json.loads(json.dumps(health_values(agent._reporter.report())))["sources"]["porch"]["raised"]


def test_what_has_risen_is_reported_until_the_settings_or_a_command_end_it(
    agent: Agent, model: Path, tmp_path: Path
) -> None:
    (worker,) = agent._sources
    before = raised(agent)
    assert set(before) == {"first", "second", "third"}
    assert before["first"] == {"from": 0.65, "to": 0.794, "since": "2026-01-01T01:00:00.000Z"}
    assert worker.pipeline.active() == []
    # the topic keeps what was chosen
    assert json.loads(agent._commands._threshold_state(worker, "first").payload) == 0.65
    agent._reloader.reload(lambda: settings(model, tmp_path, adapt=True))
    assert raised(agent) == before
    agent._commands.handle("edgeaudio/testbox/porch/threshold/first/set", b"0.68")
    assert set(raised(agent)) == {"second", "third"}
    agent._reloader.reload(lambda: settings(model, tmp_path))
    assert raised(agent) == {}
