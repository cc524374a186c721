"""What makes another client of our id likely, and for how long it is told."""

from edgeaudio.health.broker import BrokerReason
from edgeaudio.sinks.mqtt.duplicate_clients import DuplicateClients


def named(report: bytes) -> str | None:
    return report.decode() or None


def test_a_broker_that_says_it_is_believed_at_once() -> None:
    rivals = DuplicateClients(named)
    assert rivals.describe(0.0) is None
    assert not rivals.suspected_after(BrokerReason.TAKEN_OVER, 10.0)
    assert rivals.describe(11.0) == "another agent of this name takes over the connection, once of late"
    rivals.read(b"attic", 12.0)
    assert rivals.describe(13.0) == "another agent of this name on attic takes over the connection, once of late"
    assert rivals.describe(1000.0) is None


def test_where_nobody_says_it_the_health_topic_is_listened_to_and_only_then() -> None:
    rivals = DuplicateClients(named)
    assert [rivals.suspected_after(BrokerReason.CLOSED, now) for now in (0.0, 1.0, 2.0)] == [False, False, True]
    assert rivals.describe(3.0) is None  # nobody was seen
    rivals.read(b"", 4.0)
    assert rivals.describe(5.0) is None
    rivals.read(b"attic", 6.0)
    assert "on attic" in str(rivals.describe(7.0))


def test_closings_that_are_far_apart_and_other_ends_are_no_reason() -> None:
    rivals = DuplicateClients(named)
    assert not any(rivals.suspected_after(BrokerReason.CLOSED, 400.0 * n) for n in range(20))
    assert not any(rivals.suspected_after(BrokerReason.TIMEOUT, 8000.0) for _ in range(20))
    assert not any(DuplicateClients(None).suspected_after(BrokerReason.CLOSED, 0.0) for _ in range(20))
