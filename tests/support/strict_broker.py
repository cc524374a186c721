"""A broker with rules, MQTT 5 and 3.1.1: it denies, throttles, limits, and forgets or keeps sessions.

Mosquitto answers a denied topic, accepts any number of messages a second, and never ends a connection for its content.
Other brokers do not; this one behaves as they do. It routes nothing: it records what it accepted.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, Self

from support.scripted_broker import read_packet

Manner = Literal["close", "disconnect", "refuse", "ignore"]


@dataclass
class Rules:
    """The rules of the broker; they may be changed while it runs."""

    versions: tuple[int, ...] = (4, 5)
    denied: Callable[[str], bool] = lambda topic: False
    denied_filters: Callable[[str], bool] = lambda topic_filter: False
    manner: Manner = "close"  # what becomes of a denied publish or subscription, and of too long a packet
    packet_max: int | None = None  # bytes after the fixed header
    announces_packet_max: bool = False
    publishes_per_s: int | None = None  # more are discarded without a word
    refused_ids: Callable[[str], bool] = lambda client_id: False
    connack: int | None = None  # the reason code with which every connection is refused
    words: str = ""  # that go with it
    refused: Callable[[str, bytes], bool] = lambda topic, payload: False  # by PUBACK
    refusal: int = 0x99
    retain_available: bool = True
    max_qos: int = 1
    keeps_sessions: bool = True
    delay_s: float = 0.0  # before each answer to a publish


@dataclass
class Taken:
    """A publish that the broker accepted."""

    connection: int
    topic: str
    payload: bytes
    qos: int
    retain: bool
    at: float


@dataclass
class StrictBroker:
    """Serves any number of connections on a free loopback port."""

    rules: Rules = field(default_factory=Rules)
    taken: list[Taken] = field(default_factory=list)
    seen: list[tuple[int, str]] = field(default_factory=list)  # every publish: connection, topic
    connected: list[tuple[str, bool, int]] = field(default_factory=list)  # client id, session present, version
    wills: list[tuple[str, int, bool]] = field(default_factory=list)  # topic, QoS, retain
    filters: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._sessions: set[str] = set()
        self._closed = threading.Event()
        self._connections: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.drop_all()

    def drop_all(self) -> None:
        """Close every connection, as a restart does."""
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def forget_sessions(self) -> None:
        self._sessions.clear()

    def of(self, topic: str) -> list[bytes]:
        return [taken.payload for taken in list(self.taken) if taken.topic == topic]

    def topics(self) -> list[str]:
        return [taken.topic for taken in list(self.taken)]

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, suppress(OSError):
            _Connection(self, sock).run()


class _RefusedError(OSError):
    """Ends a connection."""


class _Connection:
    def __init__(self, broker: StrictBroker, sock: socket.socket) -> None:
        self._broker = broker
        self._sock = sock
        self._is_5 = True
        self._client = ""
        self._times: deque[float] = deque()
        self._number = -1

    def run(self) -> None:
        self._sock.settimeout(60)
        first, packet = read_packet(self._sock)
        if first != 0x10 or not self._connect(packet):
            return
        while True:
            first, packet = read_packet(self._sock)
            limit = self._broker.rules.packet_max
            if limit is not None and len(packet) > limit:
                self._end(0x95)
            match first & 0xF0:
                case 0x30:
                    self._publish(first, packet)
                case 0x80:
                    self._subscribe(packet)
                case 0xC0:
                    self._sock.sendall(b"\xd0\x00")
                case 0xE0:
                    if self._is_5 and len(packet) > 1:  # session expiry 0
                        self._broker._sessions.discard(self._client)
                    return

    def _connect(self, packet: bytes) -> bool:
        rules = self._broker.rules
        version, flags = packet[6], packet[7]
        self._is_5 = version == 5
        if version not in rules.versions:
            self._sock.sendall(b"\x20\x03\x00\x84\x00" if self._is_5 else b"\x20\x02\x00\x01")
            return False
        at = 10
        if self._is_5:
            at = _after_properties(packet, at)
        self._client, at = _text(packet, at)
        if flags & 0x04:
            topic, _ = _text(packet, _after_properties(packet, at) if self._is_5 else at)
            self._broker.wills.append((topic, (flags >> 3) & 3, bool(flags & 0x20)))
        if (code := self._refusal(flags)) is not None:
            if self._is_5:
                words = self._broker.rules.words.encode()
                said = b"\x1f" + len(words).to_bytes(2, "big") + words if words else b""
                self._sock.sendall(bytes([0x20, 3 + len(said), 0x00, code, len(said)]) + said)
            return False
        self._welcome(flags)
        return True

    def _refusal(self, flags: int) -> int | None:
        rules = self._broker.rules
        if flags & 0x20 and not rules.retain_available:
            return 0x9A
        if (flags >> 3) & 3 > rules.max_qos:
            return 0x9B
        if rules.refused_ids(self._client):
            return 0x85
        return rules.connack

    def _welcome(self, flags: int) -> None:
        rules = self._broker.rules
        wanted = self._is_5 and not flags & 0x02
        present = wanted and rules.keeps_sessions and self._client in self._broker._sessions
        if rules.keeps_sessions and self._is_5:
            self._broker._sessions.add(self._client)
        self._number = len(self._broker.connected)
        self._broker.connected.append((self._client, present, 5 if self._is_5 else 4))
        limits = b""
        if not rules.retain_available:
            limits += b"\x25\x00"
        if rules.max_qos == 0:
            limits += b"\x24\x00"
        if rules.announces_packet_max and rules.packet_max is not None:
            limits += b"\x27" + struct.pack(">I", rules.packet_max)
        body = bytes([present, 0]) + (bytes([len(limits)]) + limits if self._is_5 else b"")
        self._sock.sendall(bytes([0x20, len(body)]) + body)

    def _publish(self, first: int, packet: bytes) -> None:
        rules = self._broker.rules
        qos, retain = (first >> 1) & 3, bool(first & 1)
        topic, at = _text(packet, 0)
        packet_id = packet[at : at + 2] if qos else b""
        at += len(packet_id)
        if self._is_5:
            at = _after_properties(packet, at)
        self._broker.seen.append((self._number, topic))
        if (retain and not rules.retain_available) or qos > rules.max_qos:
            self._end(0x9A if retain and not rules.retain_available else 0x9B)
        if rules.denied(topic):
            self._deny(b"\x40", packet_id, 0x87)
            return
        now = time.monotonic()
        while self._times and now - self._times[0] > 1.0:
            self._times.popleft()
        self._times.append(now)
        if rules.publishes_per_s is not None and len(self._times) > rules.publishes_per_s:
            return
        if rules.refused(topic, packet[at:]):
            self._sock.sendall(b"\x40\x04" + packet_id + bytes([rules.refusal, 0]))
            return
        if rules.delay_s:
            time.sleep(rules.delay_s)
        self._broker.taken.append(Taken(self._number, topic, packet[at:], qos, retain, now))
        if qos:
            self._sock.sendall(b"\x40\x02" + packet_id)

    def _subscribe(self, packet: bytes) -> None:
        packet_id = packet[:2]
        at = _after_properties(packet, 2) if self._is_5 else 2
        topic_filter, _ = _text(packet, at)
        properties = b"\x00" if self._is_5 else b""
        if self._broker.rules.denied_filters(topic_filter):
            if self._broker.rules.manner != "refuse":
                self._deny(b"\x90", packet_id, 0x87)
                return
            code = b"\x87" if self._is_5 else b"\x80"
        else:
            self._broker.filters.append((self._number, topic_filter))
            code = b"\x01"
        self._sock.sendall(b"\x90" + bytes([3 + len(properties)]) + packet_id + properties + code)

    def _deny(self, answer: bytes, packet_id: bytes, code: int) -> None:
        match self._broker.rules.manner:
            case "refuse" if packet_id and self._is_5:
                self._sock.sendall(answer + b"\x04" + packet_id + bytes([code, 0]))
            case "refuse" if packet_id:
                self._sock.sendall(answer + b"\x02" + packet_id)
            case "close" | "disconnect":
                self._end(code)
            case _:
                return

    def _end(self, code: int) -> None:
        if self._broker.rules.manner == "disconnect" and self._is_5:
            self._sock.sendall(bytes([0xE0, 0x06, code, 0x04, 0x1F, 0x00, 0x01]) + b"x")
        raise _RefusedError


def _text(packet: bytes, at: int) -> tuple[str, int]:
    length = int.from_bytes(packet[at : at + 2], "big")
    return packet[at + 2 : at + 2 + length].decode(), at + 2 + length


def _after_properties(packet: bytes, at: int) -> int:
    length, shift = 0, 0
    while True:
        digit = packet[at]
        at += 1
        length |= (digit & 0x7F) << shift
        shift += 7
        if digit < 0x80:
            return at + length
