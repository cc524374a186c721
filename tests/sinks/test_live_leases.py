"""Leases of live views: shared by all viewers, bounded in number."""

from __future__ import annotations

from edgeaudio.sinks.live.leases import MAX_SOURCES, Leases


def test_a_lease_ends_by_itself() -> None:
    leases = Leases()
    assert leases.renew("porch", 10.0, 100.0)
    assert leases.is_leased("porch", 109.9)
    assert leases.is_any_leased(109.9)
    assert not leases.is_leased("garden", 100.0)
    assert not leases.is_leased("porch", 110.0)
    assert not leases.is_any_leased(110.0)


def test_viewers_share_one_lease_and_the_latest_end_counts() -> None:
    leases = Leases()
    leases.renew("porch", 60.0, 0.0)
    leases.renew("porch", 5.0, 1.0)
    assert leases.is_leased("porch", 59.0)
    leases.renew("porch", 60.0, 30.0)
    assert leases.is_leased("porch", 89.0)


def test_zero_ends_a_lease_at_once() -> None:
    leases = Leases()
    leases.renew("porch", 60.0, 0.0)
    assert leases.renew("porch", 0.0, 1.0)
    assert not leases.is_any_leased(1.0)
    assert leases.renew("garden", 0.0, 1.0)  # which had none


def test_no_more_sources_are_leased_than_may_be() -> None:
    leases = Leases()
    for number in range(MAX_SOURCES):
        assert leases.renew(f"source-{number}", 10.0 + number, 0.0)
    assert not leases.renew("one-more", 10.0, 1.0)
    assert not leases.is_leased("one-more", 1.0)
    assert leases.renew("source-0", 10.0, 1.0)
    assert leases.renew("source-1", 0.0, 2.0)
    assert leases.renew("one-more", 10.0, 2.0)
    assert leases.renew("another", 10.0, 12.5)  # source-0 and source-2 have ended
