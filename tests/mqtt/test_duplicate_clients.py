"""What makes another client of the same id likely, and for how long it is reported."""

from edgeaudio.health.broker import BrokerReason
from edgeaudio.sinks.mqtt.duplicate_clients import DuplicateClients


def named(report: bytes) -> str | None:
    return report.decode() or None


def test_a_takeover_that_the_broker_reports_is_certain_at_once() -> None:
    duplicates = DuplicateClients(named)
    assert duplicates.describe(0.0) is None
    assert not duplicates.suspected_after(BrokerReason.TAKEN_OVER, 10.0)
    assert duplicates.describe(11.0) == "another agent of this name takes over the connection, once of late"
    duplicates.read(b"attic", 12.0)
    assert duplicates.describe(13.0) == "another agent of this name on attic takes over the connection, once of late"
    assert duplicates.describe(1000.0) is None


def test_where_the_broker_does_not_report_it_the_health_topic_is_read() -> None:
    duplicates = DuplicateClients(named)
    assert [duplicates.suspected_after(BrokerReason.CLOSED, now) for now in (0.0, 1.0, 2.0)] == [False, False, True]
    assert duplicates.describe(3.0) is None  # no other client was seen
    duplicates.read(b"", 4.0)
    assert duplicates.describe(5.0) is None
    duplicates.read(b"attic", 6.0)
    assert "on attic" in str(duplicates.describe(7.0))


def test_rare_closings_and_other_ends_are_no_suspicion() -> None:
    duplicates = DuplicateClients(named)
    assert not any(duplicates.suspected_after(BrokerReason.CLOSED, 400.0 * n) for n in range(20))
    assert not any(duplicates.suspected_after(BrokerReason.TIMEOUT, 8000.0) for _ in range(20))
    assert not any(DuplicateClients(None).suspected_after(BrokerReason.CLOSED, 0.0) for _ in range(20))
