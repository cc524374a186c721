"""The proofs with outages in their short form: every way in which a broker can go away."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.outages import BREAKS, RATE_PER_S, outage

# what a broker is most likely to do
OFTEN = {"stopped", "frozen", "killed in the drain"}


@pytest.mark.parametrize(
    "how", [each if each in OFTEN else pytest.param(each, marks=pytest.mark.slow) for each in BREAKS]
)
def test_everything_is_delivered_in_order_and_without_a_burst(how: str, tmp_path: Path) -> None:
    row = outage(tmp_path, how, 1.5, retry_max_s=0.5, timeout_s=2.0)
    assert row.faults == ()
    assert row.delivered == row.events > RATE_PER_S
    assert row.peak_per_s < 600
