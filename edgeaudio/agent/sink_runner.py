"""Runs a best-effort sink: its thread, its subscription, and the handling of its failures.

Owns: when a sink is disabled (it raised, or has not returned in time) and tried again, with back-off.
Does not know: what sinks do. No sink can end the process or delay a detection.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial

from edgeaudio.backoff import Backoff
from edgeaudio.errors import EdgeaudioError
from edgeaudio.health.report import SinkNumbers, SinkState
from edgeaudio.hub import MAX_ITEMS, Hub, Subscription
from edgeaudio.redact import mask
from edgeaudio.sinks import BusySink, CountingSink, PublishingSink, Sink, TickingSink, TroubledSink
from edgeaudio.terminal import one_line
from edgeaudio.throttled_log import LogThrottle
from edgeaudio.types import Block

log = logging.getLogger(__name__)

TAKE_S = 0.5
STALL_TIMEOUT_S = 30.0  # for one item, for opening and for closing
FIRST_DELAY_S = 1.0
LAST_DELAY_S = 300.0
STEADY_S = 60.0  # time without a failure that resets the back-off
LAST_ITEMS_S = 1.0  # time for what waits when the agent stops
MAX_DETAIL = 200  # characters, in health and in the log
MAX_FRAMES = 20  # of a stack in the log
MAX_ERROR = 2000  # characters that are looked at: an exception may quote megabytes


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
        self._dropped, self._dropped_s = 0, 0.0  # of closed subscriptions, and of what was taken
        self._drops_logged = 0.0
        self._throttle = LogThrottle()
        if isinstance(sink, PublishingSink):
            sink.publish = hub.publish

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, through any failure of the sink."""
        try:
            self._try_until(stop)
        finally:
            self._unsubscribe()

    def _try_until(self, stop: threading.Event) -> None:
        while not stop.is_set():
            begun_s = time.monotonic()
            try:
                self._work(stop)
            except BaseException as error:  # noqa: BLE001 (a sink's SystemExit must not end the process)
                self._fail(SinkState.FAILED, _described(error), error)
            if stop.is_set():
                return
            if time.monotonic() - begun_s >= STEADY_S:
                self._backoff.reset()
            stop.wait(self._backoff.next_s())

    def wake(self) -> None:
        """Have `run` see at once that it is to stop, and not when the next item comes."""
        with self._lock:
            if self._subscription is not None:
                self._subscription.wake()

    def look_after(self, now_s: float) -> None:
        """Disable the sink if a call of it has not returned in time. `now_s`: monotonic."""
        since_s = self._busy_since_s
        if since_s is not None and now_s - since_s > STALL_TIMEOUT_S and self._state is not SinkState.STALLED:
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
        lost = self._sink.lost if isinstance(self._sink, CountingSink) else 0
        detail = self._detail
        if not detail and isinstance(self._sink, TroubledSink):
            detail = mask(one_line(self._sink.trouble))[:MAX_DETAIL]
        return SinkNumbers(self.name, self._state, detail, self._failures, dropped, dropped_s, lag_s, lost)

    def _work(self, stop: threading.Event) -> None:
        """Open the sink and hand it items; return when stopped or disabled."""
        self._call(self._sink.open)
        self._unsubscribe()
        subscription = self._subscribe(self.name, max_s=self._sink.max_s)
        self._change(SinkState.RUNNING, "")
        try:
            while not stop.is_set() and self._state is SinkState.RUNNING:
                is_busy = isinstance(self._sink, BusySink) and self._sink.is_busy
                self._hand_over(subscription.take(0.0 if is_busy else TAKE_S))
                if isinstance(self._sink, TickingSink):
                    self._call(self._sink.tick)
            end_s = time.monotonic() + LAST_ITEMS_S
            while time.monotonic() < end_s and (items := subscription.take(0)):
                self._hand_over(items)
        finally:
            self._call(self._sink.close)

    def _hand_over(self, items: Sequence[object]) -> None:
        """Hand the sink what was taken; once it raises or is disabled, the rest counts as dropped."""
        done = 0
        try:
            for item in items:
                if self._state is not SinkState.RUNNING:
                    break
                self._call(partial(self._sink.handle, item))
                done += 1
        finally:
            with self._lock:
                for lost in items[done:]:
                    if isinstance(lost, Block):
                        self._dropped_s += lost.duration_s
                    else:
                        self._dropped += 1

    def _call(self, function: Callable[[], None]) -> None:
        self._busy_since_s = time.monotonic()
        try:
            function()
        finally:
            self._busy_since_s = None

    def _fail(self, state: SinkState, detail: str, error: BaseException | None) -> None:
        was_subscribed = self._subscription is not None
        self._unsubscribe()
        if was_subscribed:  # count what is published meanwhile
            self._subscribe(f"{self.name}, disabled", max_s=0.0, max_items=0)
        self._failures += 1
        detail = mask(one_line(detail[:MAX_ERROR]))[:MAX_DETAIL]
        is_news = (state, detail) != (self._state, self._detail)
        log.log(
            logging.ERROR if is_news else logging.DEBUG,
            "sink %s is disabled until the next try: %s%s",
            self.name,
            detail,
            "" if not is_news or error is None or isinstance(error, EdgeaudioError) else _stack(error),
        )
        self._change(state, detail)

    def _change(self, state: SinkState, detail: str) -> None:
        if (state, detail) != (self._state, self._detail):
            self._state, self._detail = state, detail
            self._on_change()

    def _subscribe(self, name: str, *, max_s: float, max_items: int = MAX_ITEMS) -> Subscription:
        subscription = self._hub.subscribe(name, self._sink.accepts, max_s=max_s, max_items=max_items)
        with self._lock:
            self._subscription = subscription
        return subscription

    def _unsubscribe(self) -> None:
        with self._lock:
            subscription, self._subscription = self._subscription, None
            if subscription is not None:
                self._hub.unsubscribe(subscription)
                subscription.drop_all()
                self._dropped += subscription.dropped
                self._dropped_s += subscription.all_dropped_s

    def _log_drops(self, now_s: float) -> None:
        numbers = self.numbers()
        drops = numbers.dropped + numbers.dropped_s
        if drops > self._drops_logged and self._throttle.is_due("drops", now_s):
            self._drops_logged = drops
            log.warning(
                "sink %s has lost %d items and %.0f s of sound so far: it was too slow, or disabled",
                self.name,
                numbers.dropped,
                numbers.dropped_s,
            )


def _described(error: BaseException) -> str:
    """Return an exception's type and message, an EdgeaudioError's message; its own methods may raise, too."""
    try:
        if isinstance(error, EdgeaudioError):
            return str(error)[:MAX_ERROR]
        return f"{type(error).__name__}: {str(error)[:MAX_ERROR]}"
    except BaseException:  # noqa: BLE001 (whatever the sink's exception does)
        return type(error).__name__


def _stack(error: BaseException) -> str:
    """Return where an exception was raised, without its message, which may be megabytes."""
    return "\n" + mask("".join(traceback.format_tb(error.__traceback__, limit=-MAX_FRAMES)).rstrip())
