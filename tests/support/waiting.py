"""Waiting for a condition, with a deadline."""

import time
from collections.abc import Callable


def wait_until(
    condition: Callable[[], object],
    timeout_s: float = 30.0,
    what: str | Callable[[], str] = "the condition is still false",
) -> None:
    """Return as soon as `condition()` is true. Raises AssertionError after `timeout_s`, with `what` it says then."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"after {timeout_s:g} s: {what if isinstance(what, str) else what()}"
        time.sleep(0.01)
