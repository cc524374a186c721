"""The parts of the dashboard, joined: subscriptions, the fleet, the history, clips, and what is watched live.

Owns: the threads, what each message leads to, and the count of refused ones.
Does not know: HTTP (web/), metrics' names (metrics.py).

Two connections, because their sessions differ. Detections come over a session that the broker keeps while this process
is away; where collect stores them, they come to be shown alone, and nothing of them is kept. State comes over a clean
one without acknowledgements: a queue of a thousand messages, as brokers keep it for one client, is less than the
retained messages of a fleet, and each report replaces the one before. What is watched live comes over a third one, and
commands and what they change over a fourth, which are there only while somebody watches or looks. Clips and pictures
come over one more: one at a time is in memory, and nothing else waits behind them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from edgeaudio.dashboard import history, missed, reviews, sessions
from edgeaudio.dashboard.columns import MAX_PACKET as MAX_LIVE_PACKET
from edgeaudio.dashboard.config import DashboardConfig
from edgeaudio.dashboard.control_feed import ControlFeed
from edgeaudio.dashboard.controls import Controls
from edgeaudio.dashboard.database import Database, DatabaseError
from edgeaudio.dashboard.event_store import EventHistory, EventReviews, FleetEvents, MissedStore
from edgeaudio.dashboard.fleet import Fleet
from edgeaudio.dashboard.history import History
from edgeaudio.dashboard.live_feed import LiveFeed
from edgeaudio.dashboard.media.archive import MediaArchive
from edgeaudio.dashboard.media.inbox import MediaInbox
from edgeaudio.dashboard.media.store import SCHEMA as MEDIA_SCHEMA
from edgeaudio.dashboard.media.wire import MAX_BYTES as MAX_MEDIA_BYTES
from edgeaudio.dashboard.media.wire import MediaInfo, Medium, media_filters, parse_media
from edgeaudio.dashboard.missed import MissedSounds
from edgeaudio.dashboard.recorder import Recorder
from edgeaudio.dashboard.reviews import Reviews
from edgeaudio.dashboard.sessions import Sessions
from edgeaudio.dashboard.unrecorded import Unrecorded
from edgeaudio.dashboard.viewers import Viewers
from edgeaudio.sinks.mqtt.events import MAX_PROPERTY_BYTES, Received
from edgeaudio.steady_clock import SteadyClock
from edgeaudio.throttled_log import LogThrottle
from edgeaudio.wire.consumer import Consumer, Subscription
from edgeaudio.wire.payload_fields import WireError
from edgeaudio.wire.payloads import (
    MAX_PAYLOAD,
    Availability,
    Detection,
    Health,
    Removed,
    Status,
    Value,
    detection_filter,
    kind_of,
    parse,
    state_filters,
)

log = logging.getLogger(__name__)

SESSION_EXPIRY_S: Final = 7 * 24 * 3600  # for which the broker keeps detections while no dashboard runs
_MAX_PACKET: Final = MAX_PAYLOAD + 1024  # with topic and properties
_PRUNE_EVERY_S: Final = 3600.0
_PRUNE_PAUSE_S: Final = 0.05  # for the writer
_STOP_LIMIT_S: Final = 5.0
_TRIED_AGAIN: Final = "; it is tried again"  # which an error of PostgreSQL says by itself
_MAX_SHOWN: Final = 200  # characters of a topic in the log
SCHEMA: Final = (
    *history.SCHEMA,
    *reviews.SCHEMA,
    *missed.SCHEMA,
    *sessions.SCHEMA,
    *MEDIA_SCHEMA,
)  # of all stores


@dataclass(frozen=True, slots=True)
class Connections:
    """Whether each subscription is granted."""

    detections: bool
    state: bool
    media: bool | None  # clips and pictures; None: they are not received


class Dashboard:
    """All that runs beside the web server."""

    def __init__(self, config: DashboardConfig) -> None:
        self.fleet = Fleet()
        self.database = Database(config.database, SCHEMA, history.upgrade, history.COLUMNS)
        self.access = config.access
        passwords = {name: str(user.password) for name, user in config.access.users.items() if user.password}
        self.sessions = Sessions(self.database, passwords)
        own = History(self.database, keep_s=config.keep_s, sha256_of=self.fleet.model_sha256)
        self._fleet_events = events = None if config.fleet_database is None else FleetEvents.of(config.fleet_database)
        self.history: EventHistory = own if events is None else events.history
        self.reviews: EventReviews = Reviews(own) if events is None else events.reviews
        self.missed: MissedStore = MissedSounds(self.database) if events is None else events.missed
        self._keep_s = config.keep_s
        self.media = MediaArchive(
            self.database, config.media_folder, max_bytes=config.media_max_bytes, keep_s=config.keep_s
        )
        self._inbox = MediaInbox()
        self._prunes = (self.media.prune,) if events else (own.prune, self.media.prune)
        self.recorder = Recorder(Unrecorded() if events else own, last_number=int(time.time() * 1000))
        self._base = config.base_topic
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._refused: Counter[str] = Counter()
        self._throttle = LogThrottle()
        mqtt = replace(config.mqtt, max_payload=MAX_PAYLOAD, max_packet=_MAX_PACKET)
        lasting = replace(
            mqtt,
            client_id=f"{mqtt.client_id}_dashboard",  # a device's name has no underscore: no agent has this id
            session_expiry_s=SESSION_EXPIRY_S,
            keeps_session=True,
            manual_ack=True,
        )
        passing = replace(mqtt, client_id=f"{mqtt.client_id}_dashboard-state", session_expiry_s=0)
        self._detections = Consumer(
            "detections",
            lasting if events is None else replace(passing, client_id=lasting.client_id),
            Subscription((detection_filter(self._base),), qos=1, retained=False),
            self._take_detections,
            stop=self._stop,
        )
        self._state = Consumer(
            "state",
            passing,
            Subscription(state_filters(self._base), qos=0, retained=True),
            self._take_state,
            stop=self._stop,
        )
        self.viewers = Viewers()
        live = replace(
            passing,
            client_id=f"{mqtt.client_id}_dashboard-live",
            max_payload=MAX_LIVE_PACKET,
            max_packet=MAX_LIVE_PACKET + 1024,
        )
        self._media = Consumer(
            "clips",
            replace(
                passing,
                client_id=f"{mqtt.client_id}_dashboard-media",
                max_payload=MAX_MEDIA_BYTES,
                max_packet=MAX_MEDIA_BYTES + MAX_PROPERTY_BYTES + 1024,
            ),
            Subscription(media_filters(self._base), qos=0, retained=False, batch=1),
            self._take_media,
            stop=self._stop,
        )
        self._live = LiveFeed(live, self._base, self.viewers, self._refuse, stop=self._stop)
        self.controls = Controls()
        commanding = replace(passing, client_id=f"{mqtt.client_id}_dashboard-controls")
        self.control_feed = ControlFeed(
            commanding, self._base, self.controls, self._refuse, self.fleet.is_offline, stop=self._stop
        )
        self._clock = SteadyClock()
        self._keeper = threading.Thread(target=self._keep, name="history", daemon=True)

    @property
    def connections(self) -> Connections:
        return Connections(self._detections.is_up, self._state.is_up, self._media.is_up if self.media.is_on else None)

    @property
    def failure(self) -> BaseException | None:
        """What ended a thread; None: all run."""
        threads = (self._detections, self._state, self._media, self._live, self.control_feed)
        return next((thread.failure for thread in threads if thread.failure is not None), None)

    @property
    def refused(self) -> dict[str, int]:
        """Messages that broke the contract, by the kind of their topic."""
        with self._lock:
            return dict(self._refused)

    def start(self) -> None:
        """Open the database and start the threads. Raises DatabaseError where it can never be opened as it is."""
        for open_database in (self.database.open, *((self._fleet_events.store.check,) if self._fleet_events else ())):
            try:
                open_database()
            except DatabaseError as error:
                if not error.passing:
                    raise
                log.error("%s; it is tried again", str(error).removesuffix(_TRIED_AGAIN))  # noqa: TRY400 (one line)
        self._detections.start()
        self._state.start()
        if self.media.is_on:
            self._media.start()
        self._live.start()
        self.control_feed.start()
        self._keeper.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in (self._detections, self._state, self._live, self.control_feed):
            thread.join(_STOP_LIMIT_S)
        if self.media.is_on:
            self._media.join(_STOP_LIMIT_S)
        self._keeper.join(_STOP_LIMIT_S)
        self._flush_sessions()
        self.media.close()
        self.database.close()
        if self._fleet_events is not None:
            self._fleet_events.store.close()

    def _take_state(self, batch: Sequence[Received]) -> None:
        now_s = time.time()
        for message in batch:
            value = self._parse(message)
            if isinstance(value, Availability | Health | Removed | Status):
                self.fleet.update(value, now_s, retained=message.retained)

    def _take_detections(self, batch: Sequence[Received]) -> None:
        now_s = time.time()
        detections = [value for message in batch if isinstance(value := self._parse(message), Detection)]
        for detection in detections:
            self.fleet.saw(detection.device, now_s)
        self.recorder.record(detections, now_s, time.monotonic())

    def _take_media(self, batch: Sequence[Received]) -> None:
        for message in batch:
            try:
                value = parse_media(self._base, message)
                if isinstance(value, MediaInfo):
                    self._inbox.take_info(value, time.monotonic())
                elif isinstance(value, Medium):
                    self.media.put(*self._inbox.assign(value, time.monotonic()), time.time())
            except WireError as error:
                self._refuse(message, error)

    def _parse(self, message: Received) -> Value | None:
        try:
            return parse(self._base, message.topic, message.payload)
        except WireError as error:
            self._refuse(message, error)
            return None

    def _refuse(self, message: Received, error: WireError) -> None:
        with self._lock:
            self._refused[kind_of(message.topic)] += 1
        if self._throttle.is_due(f"{kind_of(message.topic)} {error}", time.monotonic()):
            log.warning("%s: %s; the message is ignored", message.topic[:_MAX_SHOWN], error)

    def _keep(self) -> None:
        """Delete what is old, hour by hour."""
        self.media.open()  # takes seconds for 100,000 files: detections do not wait for it
        while not self._stop.is_set():
            self._prune()
            self._flush_sessions()
            self._stop.wait(_PRUNE_EVERY_S)

    def _prune(self) -> None:
        """Delete what is old; while the clock may be wrong, only what is too much."""
        now_s = self._clock.now_s() if self._clock.is_believed(self._keep_s) else None
        for prune in self._prunes:
            with suppress(DatabaseError):  # the writer has logged it
                while prune(now_s) and not self._stop.wait(_PRUNE_PAUSE_S):
                    pass

    def _flush_sessions(self) -> None:
        try:
            self.sessions.flush(time.time())
        except DatabaseError as error:
            log.warning("sessions: %s; it is tried again", error)
