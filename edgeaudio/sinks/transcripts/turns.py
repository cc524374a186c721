"""Whose turn it is: which utterance the recogniser is asked next, and when. Pure: times are monotonic, handed in.

Owns: the back-off after failures, and who is to blame for one: the recogniser, or the utterance.
Does not know: utterances beyond their ids, recognisers, threads.

A recogniser that is away fails for every utterance; one utterance that it cannot take (it crashes over it, or exceeds
the time limit) fails while others succeed. The first to fail is tried again after a back-off, and meanwhile one other
is tried once, so that an utterance does not make those behind it wait. If another succeeds right after it failed, it
gets a strike, and then the others go first; with MAX_STRIKES it is given up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from edgeaudio.backoff import Backoff

FIRST_DELAY_S: Final = 1.0
LAST_DELAY_S: Final = 60.0
MAX_STRIKES: Final = 3
OTHER_EVERY: Final = 4  # while all fail, every so manieth try is another's, in case the first is to blame


class Turns:
    """Turns of the utterances of one queue."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        """`jitter` returns the factor of a delay: agents that share a recogniser do not all come at once."""
        self._jitter = jitter
        self._backoff = Backoff(FIRST_DELAY_S, LAST_DELAY_S)
        self._strikes: dict[str, int] = {}  # by id
        self._failed: set[str] = set()  # ids that failed since the last success
        self._latest: str | None = None  # id that failed in the latest try, and may be to blame; None: none
        self._retry_s = 0.0

    @property
    def failures(self) -> int:
        """Failures in a row."""
        return self._backoff.failures

    def next(self, ids: Sequence[str], now_s: float) -> tuple[str | None, float]:
        """Return the id that is to be tried now; or None, and the seconds until one is, if nothing is queued before.

        `ids`: of what waits, the oldest first.
        """
        self._keep(ids)
        if not ids:
            return None, float("inf")
        order = sorted(ids, key=lambda each: self._strikes.get(each, 0)) if self._strikes else ids
        if not self.failures:
            return order[0], 0.0
        untried = next((each for each in order if each not in self._failed), None)
        if now_s < self._retry_s:
            # one failure alone does not show whether the recogniser or the utterance is to blame
            if len(self._failed) == 1 and untried is not None:
                return untried, 0.0
            return None, self._retry_s - now_s
        is_others_turn = untried is not None and self.failures % OTHER_EVERY == OTHER_EVERY - 1
        return (untried if is_others_turn else order[0]), 0.0

    def succeed(self, utterance_id: str) -> str | None:
        """Note that the recogniser answered an utterance. Return the id of one that is to be given up, if one is."""
        given_up = None
        if self._latest not in {None, utterance_id}:
            blamed = str(self._latest)
            self._strikes[blamed] = self._strikes.get(blamed, 0) + 1
            if self._strikes[blamed] >= MAX_STRIKES:
                given_up = blamed
        self._backoff.reset()
        self._failed.clear()
        self._latest = None
        for each in (utterance_id, given_up):
            if each is not None:
                self._strikes.pop(each, None)
        return given_up

    def fail(self, utterance_id: str, now_s: float, *, is_for_all: bool = False) -> None:
        """Note that an utterance failed, and may not do so again.

        `is_for_all`: any other would have failed, too, so that it is not to blame though another is recognised next.
        """
        self._failed.add(utterance_id)
        self._latest = None if is_for_all else utterance_id
        self._retry_s = now_s + self._backoff.next_s() * self._jitter()

    def _keep(self, ids: Sequence[str]) -> None:
        """Forget what does not wait any more."""
        if not (self._strikes or self._failed):
            return
        waiting = set(ids)
        self._strikes = {each: count for each, count in self._strikes.items() if each in waiting}
        self._failed &= waiting
        if self._latest not in waiting:
            self._latest = None
