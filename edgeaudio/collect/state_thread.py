"""The thread that writes what is now, in the one process that may (keeper.py).

Owns: which process that is, and the plain subscription for as long as it is this one.
Does not know: what is written.

Messages of QoS 0 cannot be made to wait at the broker. Where the database fails, the subscription ends, and the next
one begins with everything that is retained.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from edgeaudio.collect.keeper import Keeper
from edgeaudio.collect.shared_consumer import Patience, Reader
from edgeaudio.errors import EdgeaudioError
from edgeaudio.fleet_database.database import Database, DatabaseError, SessionLock
from edgeaudio.sinks.mqtt.events import Received
from edgeaudio.wire.consumer import Consumer, Handler, PostponedError

log = logging.getLogger(__name__)

LOCK: Final = 0x65646703
_LOOK_S: Final = 2.0  # between two looks whether the lock is free, or still ours
_QUIET_S: Final = 5.0  # after which everything that is retained has come
_JOIN_S: Final = 10.0


class StateThread:
    """The thread. `make_consumer`: of the plain subscription, given the handler and when it is to stop."""

    def __init__(
        self,
        database: Database,
        keeper: Keeper,
        reader: Reader,
        make_consumer: Callable[[Handler, threading.Event], Consumer],
        *,
        stop: threading.Event,
    ) -> None:
        self.failure: BaseException | None = None
        self.is_keeping = False  # this process is the one
        self._lock = SessionLock(database, LOCK)
        self._keeper = keeper
        self._reader = reader
        self._make_consumer = make_consumer
        self._stop = stop
        self._patience = Patience("state")
        self._fault: DatabaseError | None = None  # of the subscription's thread
        self._consumer: Consumer | None = None  # while this process is the one
        self._told_s = 0.0  # monotonic: when the last message came
        self._thread = threading.Thread(target=self._run, name="state", daemon=True)

    @property
    def refusals(self) -> list[str]:
        """A line for each subscription that the broker refuses."""
        return [] if self._consumer is None else self._consumer.refusals

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                delay_s = _LOOK_S
                try:
                    self._patience.attempt(self._keep_if_held)
                except PostponedError as postponed:
                    delay_s = postponed.retry_s
                self._stop.wait(delay_s)
        except EdgeaudioError as error:  # somebody must mend something: one line says what
            log.error("state: %s", error)  # noqa: TRY400
            self.failure = error
        except Exception as error:
            log.exception("an exception ended the thread %s", self._thread.name)
            self.failure = error
        finally:
            self._lock.release()

    def _keep_if_held(self) -> None:
        if not self._lock.is_held():
            return
        end = threading.Event()
        self._fault = None
        self._keeper.begin()
        consumer = self._make_consumer(self._take, end)
        try:
            self._keeper.keep()
            consumer.start()
            self._consumer = consumer
            self.is_keeping = True
            self._tend(consumer)
        finally:
            self.is_keeping = False
            self._consumer = None
            end.set()
            with suppress(RuntimeError):  # it was not started
                consumer.join(_JOIN_S)

    def _tend(self, consumer: Consumer) -> None:
        """Hold the lock and do what is due, until the process stops. Raises DatabaseError."""
        is_whole = False
        while not self._stop.wait(_LOOK_S):
            if self._fault is not None:
                raise self._fault
            if consumer.failure is not None:
                raise consumer.failure
            self._lock.is_held()
            self._keeper.keep()
            self._keeper.count()
            if not consumer.is_up:
                is_whole = False
                self._told_s = time.monotonic()
            elif not is_whole and time.monotonic() - self._told_s > _QUIET_S:
                self._keeper.forget_others()
                is_whole = True

    def _take(self, batch: Sequence[Received]) -> None:
        if self._fault is not None or not batch:
            return
        self._told_s = time.monotonic()
        try:
            self._keeper.write(self._reader.read(batch))
        except DatabaseError as error:
            self._fault = error
