"""What is logged and published about the connection to the broker.

Owns: the status, the count of failures, and which log lines are due.
Does not know: how a connection is made or used (sender.py), who receives the status.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from edgeaudio.health.broker import BrokerReason, BrokerState, BrokerStatus
from edgeaudio.sinks.mqtt.broker import BrokerError, Complaint
from edgeaudio.sinks.mqtt.dispatcher import Dispatcher
from edgeaudio.sinks.mqtt.duplicate_clients import DuplicateClients
from edgeaudio.sinks.mqtt.known_capabilities import KnownCapabilities
from edgeaudio.throttled_log import LogThrottle

log = logging.getLogger(__name__)


class ConnectionReport:
    """The state of the connection. Times are monotonic seconds."""

    def __init__(
        self,
        where: str,
        dispatcher: Dispatcher,
        duplicates: DuplicateClients,
        known: KnownCapabilities,
        on_status: Callable[[BrokerStatus], None],
    ) -> None:
        """`where`: the broker for people; `on_status` is called for each change of the status."""
        self.status = BrokerStatus(BrokerState.CONNECTING, datetime.now(UTC))
        self.last_error: BrokerError | None = None
        self._where = where
        self._dispatcher = dispatcher
        self._duplicates = duplicates
        self._known = known
        self._on_status = on_status
        self._throttle = LogThrottle()
        self.failures = 0  # attempts since the last lasting connection

    @property
    def complaints(self) -> tuple[Complaint, ...]:
        """What is wrong with the broker though it is connected, or was on the last connection."""
        return tuple(self._dispatcher.faults.complaints(self._known.latest))

    def connecting(self) -> None:
        """Report an attempt to connect."""
        self._set_status(BrokerState.CONNECTING)

    def connected(self, now: float) -> None:
        """Report a connection that was made; it is logged at once only if no failure was logged before."""
        if not self._throttle.has_logged:
            self._log_connected()
        self._set_connected(self.complaints, now)

    def steady(self) -> None:
        """Take the connection for a lasting one: from here on, every failure is new again.

        One that was merely made is not: a connection that flaps would fill the log.
        """
        if self.failures:
            self._log_connected()
        self.failures = 0
        if self._throttle.has_logged:
            self._throttle.keep_only(complaint.key for complaint in self.complaints)

    def look_after(self, now: float) -> None:
        """Log what is wrong while connected, and bring the status up to date."""
        complaints = self.complaints
        for complaint in complaints:
            self._log_fault(complaint.key, complaint.text(self._where), now)
        if (duplicate := self._duplicates.describe(now)) is not None:
            reason = BrokerReason.TAKEN_OVER
            self._log_fault(reason, str(BrokerError(self._where, reason, duplicate)), now)
        self._set_connected(complaints, now)

    def failed(self, error: BrokerError, wait_s: float, now: float) -> None:
        """Report why there is no connection, and that the next attempt is in `wait_s`."""
        self.failures += 1
        self.last_error = error
        attempts = f" ({self.failures} attempts)" if self.failures > 1 else ""
        self._log_fault(error.reason, f"{error}{attempts}", now)
        next_try = datetime.now(UTC) + timedelta(seconds=wait_s)
        self._set_status(BrokerState.WAITING, error.reason, error.detail, next_try=next_try)

    def stopped(self) -> None:
        """Report that there will be no further attempt."""
        self._set_status(BrokerState.STOPPED)

    def _log_fault(self, fault: str, text: str, now: float) -> None:
        if self._throttle.is_due(fault, now):
            log.error(text)

    def _log_connected(self) -> None:
        failures = f", after {self.failures} failed attempts" if self.failures else ""
        protocol = "5" if self._known.latest is None else self._known.latest.protocol
        older = " (it does not report messages that its access rules deny)" if protocol != "5" else ""
        log.info("broker %s: connected, MQTT %s%s%s", self._where, protocol, older, failures)

    def _set_connected(self, complaints: Sequence[Complaint], now: float) -> None:
        if complaints:
            first = complaints[0]
            self._set_status(BrokerState.CONNECTED, first.reason, f"{first.about} {first.detail}")
        elif (duplicate := self._duplicates.describe(now)) is not None:
            self._set_status(BrokerState.CONNECTED, BrokerReason.TAKEN_OVER, duplicate)
        else:
            self._set_status(BrokerState.CONNECTED)

    def _set_status(
        self,
        state: BrokerState,
        reason: BrokerReason | None = None,
        detail: str = "",
        *,
        next_try: datetime | None = None,
    ) -> None:
        """Replace the status where it has changed; `since` stays while state and reason do."""
        old = self.status
        is_connected = state is BrokerState.CONNECTED
        known = self._known.latest if is_connected else None
        new = BrokerStatus(
            state=state,
            since=old.since if (old.state, old.reason) == (state, reason) else datetime.now(UTC),
            reason=reason,
            detail=detail,
            next_try=next_try,
            protocol=known.protocol if known else None,
            delivery=None if known is None else "confirmed" if known.max_qos else "unconfirmed",
            refused_topics=self._dispatcher.faults.refused_topics if is_connected else (),
            quarantined=tuple(self._dispatcher.quarantined.items()),
        )
        if new != old:
            self.status = new
            self._on_status(new)
