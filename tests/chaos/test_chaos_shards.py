"""The proof with shards in its short form, and that what it measures is what was heard."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.shards import deaf_s, shards, twice_s


@pytest.mark.slow
def test_a_centre_grows_and_nothing_is_lost_or_left(tmp_path: Path) -> None:
    (rollout,) = shards(tmp_path, short=True)
    assert rollout.faults == ()
    assert rollout.received >= rollout.committed > 0


def test_deafness_is_what_no_shard_heard() -> None:
    assert deaf_s({0: [0.0, 0.3, 0.6], 1: [3.6, 3.9]}) == pytest.approx(2.7)
    assert deaf_s({0: [0.0, 0.3, 0.6, 0.9], 1: [0.5, 0.8, 1.1]}) == 0


def test_a_source_is_heard_twice_while_two_shards_hear_it() -> None:
    assert twice_s({0: [0.0, 0.3, 0.6, 0.9], 1: [0.5, 0.8, 1.1]}) == pytest.approx(0.4)
    assert twice_s({0: [0.0, 0.3, 0.6, 5.0, 5.3], 1: [2.0, 2.3]}) == 0
