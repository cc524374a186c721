"""Fixtures of the dashboard: its parts without a connection, and the whole in a process."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.brokers import BrokerProcess, any_broker, broker, mosquitto
from support.dashboards import RunningDashboard
from support.postgres import postgres

from edgeaudio.dashboard.config import DashboardConfig
from edgeaudio.dashboard.service import Dashboard
from edgeaudio.sinks.mqtt.broker import MqttConfig

__all__ = ["any_broker", "broker", "mosquitto", "postgres"]


@pytest.fixture
def dashboard(tmp_path: Path) -> Iterator[Dashboard]:
    """Yield a dashboard that is not connected: the tests hand it what a connection would."""
    mqtt = MqttConfig("127.0.0.1", 1, "edgeaudio-x")
    dashboard = Dashboard(DashboardConfig(mqtt, "edgeaudio", tmp_path / "d.sqlite", 1e9, tmp_path / "clips", 10**8))
    with closing(dashboard.database):
        yield dashboard


@pytest.fixture
def run_dashboard(tmp_path: Path) -> Iterator[Callable[..., RunningDashboard]]:
    """Make a dashboard, and stop it after the test; its log must have no traceback."""
    if importlib.util.find_spec("starlette") is None:
        pytest.skip("starlette is not installed: the extra `dashboard` brings it")
    dashboards: list[RunningDashboard] = []

    def make(broker: BrokerProcess, **options: Any) -> RunningDashboard:
        dashboards.append(RunningDashboard(tmp_path, broker.port, **options))
        return dashboards[-1]

    yield make
    for dashboard in dashboards:
        if dashboard.process is None:
            continue
        if dashboard.process.poll() is None:
            try:
                assert dashboard.stop() == 0, dashboard.log
            finally:
                dashboard.kill()
        assert "Traceback" not in dashboard.log, dashboard.log
