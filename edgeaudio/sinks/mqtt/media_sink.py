"""The sink that sends clips and their pictures, over a connection of its own.

Owns: the connection (made when there is something to send, closed when there is nothing for a while), its back-off,
what is given up, and what is logged and counted.
Does not know: MQTT's details (client.py), messages (media_messages.py), the connection for everything else.

A clip of 1 MB takes 16 s at 512 kbit/s. On the connection for detections they would wait behind it; here they share the
link with it. The network holds little of a clip at any moment, so that a detection waits for little even in the queue
of a modem. Nothing else paces this connection: it uses what the link has left.

A file is sent with QoS 0, and done when the broker's machine has all of it. If the connection ends before, it is sent
again.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Collection
from dataclasses import replace

from edgeaudio.backoff import Backoff
from edgeaudio.files import read_regular
from edgeaudio.health.broker import BrokerReason
from edgeaudio.sinks.mqtt.broker import BrokerError, MqttConfig
from edgeaudio.sinks.mqtt.client import MqttConnection
from edgeaudio.sinks.mqtt.known_capabilities import KnownCapabilities
from edgeaudio.sinks.mqtt.media_messages import MediaKind, media, media_info
from edgeaudio.sinks.mqtt.media_spool import MAX_AGE_S, MAX_TRIES, MediaSpool, WaitingFile
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.throttled_log import LogThrottle
from edgeaudio.types import ClipReady, Message

log = logging.getLogger(__name__)

UNDER_WAY_MAX = 16_384  # bytes; 0.25 s at 512 kbit/s
PACKET_MAX = 900_000  # bytes, where the broker does not say: EMQX takes 1 MB
PAYLOAD_MAX = 8_000_000  # bytes, whatever the broker takes: it is in memory twice while it is sent
EXPIRY_S = 60.0  # after which the broker need not pass one on
IDLE_S = 30.0  # without anything to send, after which the connection is closed
KEEPALIVE_S = 600  # a long message goes out in one piece, without a PINGREQ in between
TIMEOUT_S = 5.0  # of connecting
RETRY_MAX_S = 60.0
TURN_S = 0.5  # of work before `tick` returns
STEP_S = 0.05


def media_config(config: MqttConfig) -> MqttConfig:
    """Return how to connect for clips. `config`: of the connection for everything else."""
    return replace(
        config,
        client_id=f"{config.client_id}-media",
        keepalive_s=KEEPALIVE_S,
        timeout_s=min(config.timeout_s, TIMEOUT_S),
        session_expiry_s=0,
        under_way_max=UNDER_WAY_MAX,
    )


class MediaSink:
    """Sends the files of clips that were written."""

    name = "media"
    accepts = frozenset({ClipReady})
    max_s = 0.0

    def __init__(self, topics: Topics, config: MqttConfig, kinds: Collection[MediaKind]) -> None:
        """`config`: of the connection for everything else; `kinds`: what is sent of a clip."""
        self._topics = topics
        self._config = media_config(config)
        self._kinds = frozenset(kinds)
        self._spool = MediaSpool()
        self._connection: MqttConnection | None = None
        self._known = KnownCapabilities()
        self._is_sending = False  # the first of the spool
        self._used_s = 0.0  # when the connection last had something to send
        self._backoff = Backoff(config.retry_min_s, RETRY_MAX_S)
        self._retry_s = 0.0
        self._error: BrokerError | None = None  # since the last file that was sent
        self._failures = LogThrottle()
        self._losses = LogThrottle()
        self.sent = 0  # files
        self.lost = 0  # files that were not sent

    @property
    def trouble(self) -> str:
        """Why files wait; empty: they do not."""
        return f"{len(self._spool)} files wait: {self._error}" if self._error is not None and self._spool else ""

    def open(self) -> None:
        """Do nothing: it connects when there is something to send."""

    def handle(self, item: object) -> None:
        """Take the files of a clip."""
        if not isinstance(item, ClipReady):
            return
        # the picture first: it is small
        for kind, file in (("image", item.picture), ("clip", item.sound)):
            if kind not in self._kinds or file is None:
                continue
            try:
                n_bytes = file.stat().st_size
            except OSError:  # removed
                self._lose(1, "gone", "its file is gone")
                continue
            waiting = WaitingFile(item, "image" if kind == "image" else "clip", file, n_bytes, time.monotonic())
            self._put(waiting)

    @property
    def is_busy(self) -> bool:
        """True if something is to be sent now."""
        return bool(self._spool) and (self._connection is not None or time.monotonic() >= self._retry_s)

    def tick(self) -> None:
        """Connect and send, as long as a turn lasts."""
        now_s = time.monotonic()
        if not self._is_sending:
            self._lose(self._spool.expire(now_s), "old", f"it has waited for {MAX_AGE_S / 60:g} min")
        if not self.is_busy and self._connection is None:
            return
        try:
            self._work(now_s + TURN_S)
        except BrokerError as error:
            self._fail(error)

    def close(self) -> None:
        """End the connection; what waits is not sent any more, and stays on the disk."""
        connection, self._connection = self._connection, None
        if connection is not None:
            if self._is_sending:
                connection.abort()
            else:
                connection.close()
        self._is_sending = False

    def _put(self, waiting: WaitingFile) -> None:
        was_sending = self._spool.first if self._is_sending else None
        self._lose(self._spool.put(waiting), "full", "too much waits")
        if was_sending is not None and self._spool.first is not was_sending:
            self._end_connection()  # it would go on with a file that has given way

    def _work(self, until_s: float) -> None:
        """Send what waits until then. Raises BrokerError."""
        if self._connection is None:
            self._connection = self._connected()
            self._used_s = time.monotonic()
        connection = self._connection
        while True:
            if not self._is_sending:
                self._send_next(connection)
            now_s = time.monotonic()
            if self._spool:
                self._used_s = now_s
            elif now_s - self._used_s > IDLE_S:
                self.close()
                return
            connection.poll(STEP_S if self._spool else 0.0)
            if self._is_sending and not connection.congested and not connection.backlog:
                self._finish_first()
            if not self._spool or time.monotonic() > until_s:
                return

    def _connected(self) -> MqttConnection:
        now_s = time.monotonic()
        connection = MqttConnection(self._config, will=None, stop=threading.Event(), known=self._known.current(now_s))
        self._known.learn(connection.capabilities, now_s)
        return connection

    def _send_next(self, connection: MqttConnection) -> None:
        """Begin to send the first that can be sent."""
        while (waiting := self._spool.first) is not None:
            if waiting.bytes > PAYLOAD_MAX:
                self._give_up("long", f"its {waiting.bytes} bytes are over {PAYLOAD_MAX}")
                continue
            try:
                content = read_regular(waiting.file, PAYLOAD_MAX)
            except OSError as error:  # removed, or the disk fails
                self._give_up("gone", f"its file cannot be read: {error.strerror or error}")
                continue
            message = media(self._topics, waiting.clip, waiting.kind, waiting.file, content)
            if not _fits(connection, message):
                most = PACKET_MAX if connection.packet_max is None else connection.packet_max
                why = f"its {waiting.bytes} bytes are more than a packet of {most}, the most that may be sent"
                self._give_up("long", why)
                continue
            connection.publish(media_info(self._topics, waiting.clip, waiting.kind, len(content)), expiry_s=EXPIRY_S)
            connection.publish(message, expiry_s=EXPIRY_S)
            self._is_sending = True
            return

    def _finish_first(self) -> None:
        self._is_sending = False
        self._spool.remove_first()
        self.sent += 1
        self._error = None
        self._backoff.reset()
        self._failures.keep_only(())

    def _fail(self, error: BrokerError) -> None:
        """End the connection, and try again later; give up a file over which connections end."""
        if self._is_sending and (first := self._spool.first) is not None:
            first.tries += 1
            if first.tries >= MAX_TRIES or error.reason is BrokerReason.TOO_LARGE:
                self._give_up("refused", f"connections end over it: {error.detail}")
        self._end_connection()
        if not self._spool:  # a broker may end what is idle
            return
        self._error = error
        self._retry_s = time.monotonic() + self._backoff.next_s() * random.uniform(0.5, 1.0)
        if self._failures.is_due(error.reason, time.monotonic()):
            log.warning("clips and pictures wait to be sent: %s", error)

    def _end_connection(self) -> None:
        self._is_sending = False
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    def _give_up(self, fault: str, why: str) -> None:
        """Do not send the first file."""
        self._spool.remove_first()
        self._lose(1, fault, why)

    def _lose(self, count: int, fault: str, why: str) -> None:
        """Count files, and log that, each kind of fault now and then."""
        self.lost += count
        if count and self._losses.is_due(fault, time.monotonic()):
            log.warning("%d clips or pictures were not sent so far; the last: %s", self.lost, why)


def _fits(connection: MqttConnection, message: Message) -> bool:
    return connection.fits(message) and (connection.packet_max is not None or message.size <= PACKET_MAX)
