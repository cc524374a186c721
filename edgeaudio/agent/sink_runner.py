"""Runs a best-effort sink: its thread, its subscription, and the handling of its failures.

Owns: when a sink is disabled (it raised, or has not returned in time) and tried again, with back-off.
Does not know: what sinks do. No sink can end the process or delay a detection.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial

from edgeaudio.backoff import Backoff
from edgeaudio.health.report import SinkNumbers, SinkState
from edgeaudio.hub import Hub, Subscription
from edgeaudio.redact import mask
from edgeaudio.sinks import Sink
from edgeaudio.terminal import one_line
from edgeaudio.throttled_log import LogThrottle

log = logging.getLogger(__name__)

TAKE_S = 0.5
STALL_TIMEOUT_S = 30.0  # for one item, for opening and for closing
FIRST_DELAY_S = 1.0
LAST_DELAY_S = 300.0
STEADY_S = 60.0  # time without a failure that resets the back-off
MAX_DETAIL = 200


class SinkRunner:
    """Runs one sink. `run` is its thread; the main thread calls `look_after`."""

    def __init__(self, sink: Sink, hub: Hub, on_change: Callable[[], None]) -> None:
        """`on_change` is called when the sink's state changes; it must be quick and not raise."""
        self.name = sink.name
        self._sink = sink
        self._hub = hub
        self._on_change = on_change
        self._lock = threading.Lock()
        self._subscription: Subscription | None = None
        self._busy_since_s: float | None = None  # monotonic start of the present call of the sink
        self._state = SinkState.RUNNING
        self._detail = ""
        self._failures = 0
        self._backoff = Backoff(FIRST_DELAY_S, LAST_DELAY_S)
        self._dropped, self._dropped_s = 0, 0.0  # of closed subscriptions
        self._drops_logged = 0.0
        self._throttle = LogThrottle()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, through any failure of the sink."""
        while not stop.is_set():
            begun_s = time.monotonic()
            try:
                self._work(stop)
            except BaseException as error:  # noqa: BLE001 (a sink's SystemExit must not end the process)
                self._fail(SinkState.FAILED, f"{type(error).__name__}: {error}", error)
            if stop.is_set():
                return
            if time.monotonic() - begun_s >= STEADY_S:
                self._backoff.reset()
            stop.wait(self._backoff.next_s())

    def look_after(self, now_s: float) -> None:
        """Disable the sink if a call of it has not returned in time. `now_s`: monotonic."""
        since_s = self._busy_since_s
        if since_s is not None and now_s - since_s > STALL_TIMEOUT_S and self._state is SinkState.RUNNING:
            self._fail(SinkState.STALLED, f"it has not returned for {STALL_TIMEOUT_S:g} s", None)
        self._log_drops(now_s)

    def numbers(self) -> SinkNumbers:
        """Return the sink's numbers since the start of the agent, for health."""
        with self._lock:
            subscription = self._subscription
            dropped, dropped_s = self._dropped, self._dropped_s
        if subscription is not None:
            dropped, dropped_s = dropped + subscription.dropped, dropped_s + subscription.all_dropped_s
        lag_s = subscription.lag_s if subscription is not None else 0.0
        return SinkNumbers(self.name, self._state, self._detail, self._failures, dropped, dropped_s, lag_s)

    def _work(self, stop: threading.Event) -> None:
        """Open the sink and hand it items; return when stopped or disabled."""
        self._call(self._sink.open)
        subscription = self._hub.subscribe(self.name, self._sink.accepts, max_s=self._sink.max_s)
        with self._lock:
            self._subscription = subscription
        self._change(SinkState.RUNNING, "")
        try:
            while not stop.is_set() and self._state is SinkState.RUNNING:
                self._hand_over(subscription.take(TAKE_S))
            if stop.is_set():  # the last items
                self._hand_over(subscription.take(0))
        finally:
            self._unsubscribe()
            self._call(self._sink.close)

    def _hand_over(self, items: Iterable[object]) -> None:
        for item in items:
            self._call(partial(self._sink.handle, item))

    def _call(self, function: Callable[[], None]) -> None:
        self._busy_since_s = time.monotonic()
        try:
            function()
        finally:
            self._busy_since_s = None

    def _fail(self, state: SinkState, detail: str, error: BaseException | None) -> None:
        self._unsubscribe()
        self._failures += 1
        detail = mask(one_line(detail))[:MAX_DETAIL]
        is_news = (state, detail) != (self._state, self._detail)
        log.log(
            logging.ERROR if is_news else logging.DEBUG,
            "sink %s is disabled, and tried again later: %s",
            self.name,
            detail,
            exc_info=error if is_news else None,
        )
        self._change(state, detail)

    def _change(self, state: SinkState, detail: str) -> None:
        if (state, detail) != (self._state, self._detail):
            self._state, self._detail = state, detail
            self._on_change()

    def _unsubscribe(self) -> None:
        with self._lock:
            subscription, self._subscription = self._subscription, None
            if subscription is not None:
                self._hub.unsubscribe(subscription)
                self._dropped += subscription.dropped
                self._dropped_s += subscription.all_dropped_s

    def _log_drops(self, now_s: float) -> None:
        numbers = self.numbers()
        drops = numbers.dropped + numbers.dropped_s
        if drops > self._drops_logged and self._throttle.is_due("drops", now_s):
            self._drops_logged = drops
            log.warning(
                "sink %s is too slow: %d items and %.0f s of sound were dropped so far",
                self.name,
                numbers.dropped,
                numbers.dropped_s,
            )
