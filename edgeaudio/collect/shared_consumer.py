"""One member of the shared subscription: values of its messages into the database, acknowledged when committed.

Owns: reading messages, what is refused, and the back-off while the database is away.
Does not know: SQL (writer.py), when to connect again (wire/).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from edgeaudio.backoff import Backoff
from edgeaudio.collect import counts
from edgeaudio.collect.counts import Counts
from edgeaudio.fleet_database.database import DatabaseError
from edgeaudio.health.broker import BrokerReason
from edgeaudio.sinks.mqtt.broker import BrokerError
from edgeaudio.sinks.mqtt.client import MqttConnection
from edgeaudio.sinks.mqtt.events import Received
from edgeaudio.throttled_log import LogThrottle
from edgeaudio.wire.consumer import Consumer, PostponedError
from edgeaudio.wire.payload_fields import WireError
from edgeaudio.wire.payloads import Value, kind_of, parse

log = logging.getLogger(__name__)

RETRY_MIN_S, RETRY_MAX_S = 0.5, 30.0
_MAX_SHOWN: Final = 200  # characters of a topic in the log


class Mqtt5Consumer(Consumer):
    """A consumer for MQTT 5 only: 3.1.1 has neither shared subscriptions nor sessions that end."""

    def _connect(self) -> MqttConnection:
        connection = super()._connect()
        if connection.protocol == "5":
            if self._known is not None and self._config.keeps_session and not connection.session_present:
                log.warning("%s: the broker has no session any more: what it held for this consumer is lost", self.name)
            if self._config.keeps_session:
                self._warn_of_limits(connection)
            return connection
        connection.close()
        raise BrokerError(
            self._config.where,
            BrokerReason.NOT_SUPPORTED,
            "the broker speaks MQTT 3.1.1 only",
            "collect needs shared subscriptions: name a broker of MQTT 5",
        )

    def _warn_of_limits(self, connection: MqttConnection) -> None:
        """Say what the broker does not do that nothing is lost by."""
        limits = []
        if connection.session_expiry_s < (wanted_s := self._config.session_expiry_s):
            limits.append(
                f"the broker keeps a session for {connection.session_expiry_s} s, not for {wanted_s} "
                "(--session-expiry): what waits longer is lost; raise the broker's limit"
            )
        if not connection.capabilities.max_qos:
            limits.append(
                "the broker offers QoS 0 only: what comes while this process or the database is away is lost; "
                "allow QoS 1 in the broker"
            )
        for limit in limits:
            if self._throttle.is_due(limit, time.monotonic()):
                log.warning("%s: %s", self.name, limit)


class Reader:
    """Messages as values; those that break the contract are counted and logged now and then."""

    def __init__(self, base: str, numbers: Counts) -> None:
        self._base = base
        self._counts = numbers
        self._throttle = LogThrottle()

    def read(self, batch: Sequence[Received]) -> list[Value]:
        """Return what the messages say."""
        values = []
        for message in batch:
            try:
                value = parse(self._base, message.topic, message.payload)
            except WireError as error:
                self._counts.add(counts.REFUSED)
                if self._throttle.is_due(f"{kind_of(message.topic)} {error}", time.monotonic()):
                    log.warning("%s: %s; the message is ignored", message.topic[:_MAX_SHOWN], error)
                continue
            if value is not None:
                values.append(value)
        return values


class Patience:
    """Calls that fail while the database is away: postponed with a back-off, and logged once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._backoff = Backoff(RETRY_MIN_S, RETRY_MAX_S)
        self._throttle = LogThrottle()
        self.failing_since_s: float | None = None  # monotonic; None: it works
        self._trying_since_s: float | None = None  # monotonic: when a call began that has not returned

    @property
    def waiting_since_s(self) -> float | None:
        """Since when the database has failed, or not answered (a frozen server is no error); None: it works."""
        return self._trying_since_s if self.failing_since_s is None else self.failing_since_s

    def attempt(self, call: Callable[[], None]) -> None:
        """Raise PostponedError where the call raises a DatabaseError that passes, and any other as it is."""
        self._trying_since_s = time.monotonic()
        try:
            call()
        except DatabaseError as error:
            if not error.passing:
                raise
            now_s = time.monotonic()
            self.failing_since_s = self.failing_since_s or now_s
            if self._throttle.is_due("database", now_s):
                log.error("%s: %s; it is tried again, and messages wait at the broker", self._name, error)  # noqa: TRY400 (one line)
            raise PostponedError(self._backoff.next_s()) from None
        finally:
            self._trying_since_s = None
        if self.failing_since_s is not None:
            log.info("%s: the database works again", self._name)
            self.failing_since_s = None
            self._backoff.reset()
            self._throttle.keep_only(())
