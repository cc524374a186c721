"""What is logged and published about a connection, by made-up failures and times."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import pytest

from edgeaudio.health.broker import BrokerReason, BrokerState, BrokerStatus
from edgeaudio.sinks.mqtt.broker import BrokerError
from edgeaudio.sinks.mqtt.connection_report import ConnectionReport
from edgeaudio.sinks.mqtt.dispatcher import Dispatcher
from edgeaudio.sinks.mqtt.duplicate_clients import DuplicateClients
from edgeaudio.sinks.mqtt.events import Capabilities
from edgeaudio.sinks.mqtt.known_capabilities import KnownCapabilities
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import StoredMessage

REFUSED = BrokerError("mqtt://x:1883", BrokerReason.REFUSED, "connection refused")


class EmptyOutbox:
    def pending(self, limit: int, *, after: int = 0, without_topics: Sequence[str] = ()) -> list[StoredMessage]:
        return []

    def delete(self, seqs: Iterable[int]) -> None: ...


class Setup:
    def __init__(self) -> None:
        self.known = KnownCapabilities()
        self.statuses: list[BrokerStatus] = []
        dispatcher = Dispatcher(EmptyOutbox(), Topics("edgeaudio", "dock"), [], rate_max_per_s=1.0, window=1)
        self.report = ConnectionReport(
            "mqtt://x:1883", dispatcher, DuplicateClients(None), self.known, self.statuses.append
        )

    def connect(self, now: float, offered: Capabilities | None = None) -> None:
        self.known.learn(offered or Capabilities(), now)
        self.report.connected(now)


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_a_connection_that_flaps_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    setup = Setup()
    for now in range(0, 1200, 5):
        setup.connect(now)
        setup.report.look_after(now)
        setup.report.failed(REFUSED, 1.0, now + 1.0)
    first = "broker mqtt://x:1883: connected, MQTT 5"
    assert caplog.messages == [first, str(REFUSED), f"{REFUSED} (121 attempts)"]


def test_after_a_lasting_connection_a_failure_is_new(caplog: pytest.LogCaptureFixture) -> None:
    setup = Setup()
    setup.report.failed(REFUSED, 1.0, 0.0)
    setup.report.failed(REFUSED, 1.0, 1.0)
    setup.connect(2.0)
    setup.report.steady()
    setup.report.failed(REFUSED, 1.0, 20.0)
    connected = "broker mqtt://x:1883: connected, MQTT 5, after 2 failed attempts"
    assert caplog.messages == [str(REFUSED), connected, str(REFUSED)]


def test_a_status_is_published_where_it_has_changed_and_dates_from_its_state_and_reason() -> None:
    setup = Setup()
    setup.report.connecting()
    assert setup.statuses == []  # that it began with
    setup.report.failed(REFUSED, 1.0, 0.0)
    setup.report.failed(REFUSED, 1.0, 1.0)
    earlier, later = setup.statuses
    assert (later.state, later.reason, later.detail) == (BrokerState.WAITING, REFUSED.reason, REFUSED.detail)
    assert earlier.next_try != later.next_try
    assert earlier.since == later.since
    assert setup.report.last_error is REFUSED


def test_faults_of_a_broker_that_is_connected_are_logged_once_and_published(caplog: pytest.LogCaptureFixture) -> None:
    setup = Setup()
    setup.connect(0.0, Capabilities(retain=False))
    for now in (0.0, 300.0, 599.0):
        setup.report.look_after(now)
    status = setup.report.status
    assert (status.state, status.reason) == (BrokerState.CONNECTED, BrokerReason.NOT_SUPPORTED)
    assert status.detail == "retained messages are not offered"
    assert (status.protocol, status.delivery) == ("5", "confirmed")
    assert sum("retained messages are not offered" in line for line in caplog.messages) == 1
    setup.report.stopped()
    assert setup.report.status.reason is None
