"""A thread with one connection to the broker after the other: the one place of dashboard/ and collect/ that retries.

Owns: the thread, the back-off, and what ended it. Does not know: what goes over a connection, when one is of use.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from abc import ABC, abstractmethod
from typing import Final

from edgeaudio.backoff import Backoff
from edgeaudio.errors import EdgeaudioError
from edgeaudio.sinks.mqtt.broker import BrokerError, MqttConfig
from edgeaudio.sinks.mqtt.client import MqttConnection
from edgeaudio.throttled_log import LogThrottle

log = logging.getLogger(__name__)

IDLE_S: Final = 0.5  # between two looks whether there is something to do
_STEADY_S: Final = 60.0  # a connection that lasted so long begins the back-off anew


class ConnectionThread(ABC):
    """The thread. `start` it once; it ends with `stop`."""

    def __init__(self, name: str, config: MqttConfig, *, stop: threading.Event) -> None:
        self.name = name  # in the log
        self.failure: BaseException | None = None  # what ended the thread
        self._config = config
        self._stop = stop
        self._throttle = LogThrottle()
        self._thread = threading.Thread(target=self._run, name=f"mqtt-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    @abstractmethod
    def _serve(self, connection: MqttConnection) -> None:
        """Use a connection as long as there is use for one, or until the process stops. Raises BrokerError."""

    def _connect(self) -> MqttConnection:
        """Return a connection. Raises BrokerError."""
        return MqttConnection(self._config, will=None, stop=self._stop)

    def _wait_for_use(self) -> bool:
        """Wait up to IDLE_S; True if there is use for a connection."""
        return True

    @abstractmethod
    def _disconnected(self, error: BrokerError) -> None:
        """Note that a connection was lost, or not to be had."""

    def _wait(self, duration_s: float) -> None:
        """Wait until the next try, or until the process stops."""
        self._stop.wait(duration_s)

    @abstractmethod
    def _ended(self) -> None:
        """Note that there will be no other connection."""

    def _run(self) -> None:
        backoff = Backoff(self._config.retry_min_s, self._config.retry_max_s)
        try:
            while not self._stop.is_set():
                if not self._wait_for_use():
                    continue
                began_s = time.monotonic()
                try:
                    self._one_connection()
                    backoff.reset()
                except BrokerError as error:
                    if time.monotonic() - began_s > _STEADY_S:
                        backoff.reset()
                    self._report(error)
                    self._disconnected(error)
                    self._wait(backoff.next_s() * random.uniform(0.75, 1.25))
        except EdgeaudioError as error:  # somebody must mend something: one line says what
            log.error("%s: %s", self.name, error)  # noqa: TRY400
            self.failure = error
        except Exception as error:
            log.exception("an exception ended the thread %s", self._thread.name)
            self.failure = error
        finally:
            self._ended()

    def _one_connection(self) -> None:
        connection = self._connect()
        try:
            self._serve(connection)
            connection.close()
        except BaseException:
            connection.abort()
            raise

    def _report(self, error: BrokerError) -> None:
        if not self._stop.is_set() and self._throttle.is_due(f"{error.reason}", time.monotonic()):
            log.warning("%s: %s; it is tried again", self.name, error)
