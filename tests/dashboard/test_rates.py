"""Token buckets."""

from __future__ import annotations

import pytest

from edgeaudio.dashboard.rates import Buckets, bucket_of


def test_a_bucket_gives_its_burst_and_then_one_at_a_time() -> None:
    buckets = Buckets(3, 10.0)
    assert [buckets.take("a", 0) for _ in range(4)] == [0, 0, 0, 10]
    assert buckets.take("a", 9) == pytest.approx(1)
    assert buckets.take("a", 10) == 0
    assert buckets.take("a", 10) == 10
    assert [buckets.take("a", 1e6) for _ in range(4)] == [0, 0, 0, 10]  # it holds no more than a burst
    assert buckets.take("b", 0) == 0  # another one's is full


def test_what_is_given_back_can_be_taken_again() -> None:
    buckets = Buckets(1, 10.0)
    assert buckets.take("a", 0) == 0
    buckets.give_back("a", 0)
    buckets.give_back("a", 0)
    assert [buckets.take("a", 0) for _ in range(2)] == [0, 10]


def test_beyond_the_most_keys_the_one_that_asked_least_recently_is_forgotten() -> None:
    buckets = Buckets(1, 10.0, max_keys=2)
    assert [buckets.take(key, 0) for key in "abac"] == [0, 0, 10, 0]
    assert buckets.take("a", 0) == 10
    assert buckets.take("b", 0) == 0


@pytest.mark.parametrize(
    ("address", "bucket"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", ""),
        ("testclient", "testclient"),
    ],
)
def test_an_address_has_one_bucket_and_a_network_of_ipv6_too(address: str, bucket: str) -> None:
    assert bucket_of(address) == bucket
