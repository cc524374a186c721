"""Fixtures of the tests of MQTT."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.brokers import any_broker, broker, mosquitto
from support.delivery import RunningSender

__all__ = ["any_broker", "broker", "mosquitto"]


@pytest.fixture(autouse=True)
def _short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for amqtt, which is silent upon MQTT 5, for less long than for a distant broker."""
    monkeypatch.setattr("edgeaudio.sinks.mqtt.client._MUTE_S", 0.5)


@pytest.fixture
def run_sender(tmp_path: Path) -> Iterator[Callable[..., RunningSender]]:
    with ExitStack() as stack:
        yield lambda config, **options: stack.enter_context(RunningSender(config, tmp_path, **options))
