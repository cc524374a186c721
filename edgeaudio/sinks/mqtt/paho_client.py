"""One paho client, from its socket to what the broker answered. The only importer of paho.

Owns: paho's calls and callbacks, and the packets' properties.
Does not know: which version of MQTT to try, or what the end of a connection means (both client.py).

paho is used as little as possible, for reasons found by running it:
- its reconnection, its queue and its thread are not used. A connection is a new client object: paho resends nothing,
  and packet identifiers belong to one connection alone;
- its callbacks only store what happened, so that nothing that follows from it runs inside paho;
- its socket is polled here, together with a second one by which other threads can wake this one;
- its private `_sock_send` is overridden where little may be under way: a message is one packet, which it would hand to
  the kernel as fast as that takes it.
"""

from __future__ import annotations

import fcntl
import math
import select
import socket
import ssl
import struct
import termios
from dataclasses import dataclass, replace
from typing import Final

from paho.mqtt import MQTTException
from paho.mqtt.client import PUBLISH, Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, LogLevel, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode as PahoReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edgeaudio.sinks.mqtt.broker import MqttConfig
from edgeaudio.sinks.mqtt.events import (
    MAX_PROPERTY_BYTES,
    MAX_USER_PROPERTIES,
    Acknowledged,
    Capabilities,
    MqttEvent,
    Received,
)
from edgeaudio.sinks.mqtt.reason_codes import FIRST_REFUSAL, reason_code
from edgeaudio.sinks.mqtt.self_pipe import SelfPipe
from edgeaudio.sinks.mqtt.tls import tls_context
from edgeaudio.types import Message

_UNACKNOWLEDGED_S = 60.0  # after which a connection with little under way ends
_ROOM_STEP_S = 0.01  # between two looks whether more may be under way
_MAX_EVENTS = 1024  # received and not yet returned
_KEEP_ALIVE: Final = 0x8D
_MALFORMED: Final = (struct.error, IndexError, KeyError, ValueError, MQTTException)


@dataclass(frozen=True, slots=True)
class Connack:
    """The broker's answer to CONNECT."""

    code: int
    session_present: bool
    receive_max: int  # messages of QoS 1 in flight
    packet_max: int | None  # bytes; None: no limit
    session_expiry_s: int | None = None  # for which the broker keeps the session; None: as long as it was asked


class _SparingClient(Client):
    """A client that bounds what is under way, so that others on the same slow link do not wait for it.

    SO_SNDBUF does not: with it Linux holds 300 KB of a long message. Properties of what it receives are bounded too:
    paho copies the rest of the packet for each of them.
    """

    under_way_max: float = math.inf  # bytes

    @property
    def under_way(self) -> int:
        """Bytes that were written and are not acknowledged by the peer's TCP; 0 without a connection."""
        sock = self.socket()
        if sock is None:
            return 0
        held: int = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
        return held

    @property
    def has_room(self) -> bool:
        """True if more may be under way."""
        return self.under_way_max == math.inf or self.under_way < self.under_way_max

    def _sock_send(self, buf: bytes | bytearray) -> int:
        if self.under_way_max == math.inf:
            return super()._sock_send(buf)
        room = int(self.under_way_max) - self.under_way
        if room <= 0:
            raise BlockingIOError
        return super()._sock_send(buf[:room])

    def _packet_handle(self) -> MQTTErrorCode:
        command = self._in_packet["command"]
        if self._protocol == MQTTProtocolVersion.MQTTv5 and command & 0xF0 == PUBLISH:
            self._in_packet["packet"] = _without_long_properties(self._in_packet["packet"], has_id=bool(command & 0x06))
        return super()._packet_handle()


class PahoClient:
    """A client of one connection. Its attributes are what is known of the connection so far."""

    def __init__(self, config: MqttConfig, offered: Capabilities, *, will: Message | None, report_topic: str) -> None:
        """Make a client that asks for what is offered; nothing is connected before `connect`.

        `report_topic`: messages on it may be as long as a packet. Raises BrokerError on an unusable certificate.
        """
        self.offered = offered  # less after CONNACK, where the broker offers less
        self.connack: Connack | None = None
        self.goodbye: int | None = None  # reason code of the broker's DISCONNECT
        self.reason_string = ""  # of CONNACK or DISCONNECT, in the broker's own words
        self.is_silent = False  # the keep-alive went unanswered
        self.is_malformed = False  # what came is not MQTT
        self.last_error = ""  # that paho logged and swallowed
        self.dropped = 0  # messages received and left out of the events
        self._config = config
        self._is_5 = offered.protocol == "5"
        self._report_topic = report_topic
        self._events: list[MqttEvent] = []
        self._unwanted: list[int] = []  # packet identifiers of dropped messages that are still to be acknowledged
        self._client = client = _SparingClient(
            CallbackAPIVersion.VERSION2,
            config.client_id,
            clean_session=None if self._is_5 else not config.keeps_session,
            protocol=MQTTProtocolVersion.MQTTv5 if self._is_5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=config.manual_ack,
        )
        client.connect_timeout = config.timeout_s
        client.max_inflight_messages_set(0)  # no limit: the in-flight table has its own
        if config.username is not None:
            client.username_pw_set(config.username, config.password)
        if will is not None:
            client.will_set(will.topic, will.payload, min(will.qos, offered.max_qos), self._retains(will))
        if config.tls:
            client.tls_set_context(tls_context(config))
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_log = self._on_log
        if config.under_way_max is not None:
            client.under_way_max = config.under_way_max
            client.on_socket_open = self._on_socket_open

    @property
    def is_open(self) -> bool:
        return self._client.socket() is not None and not self.is_malformed

    @property
    def is_congested(self) -> bool:
        """True if something still waits to be written to the network."""
        return self._client.want_write()

    @property
    def backlog(self) -> int:
        """Bytes that the kernel holds until the broker's has acknowledged them; 0 without a connection."""
        return self._client.under_way

    def connect(self, *, resume: bool) -> None:
        """Connect the socket, do the TLS handshake, and send CONNECT. Raises OSError or ValueError.

        `resume`: ask for the session of the last connection (MQTT 5 only).
        """
        config = self._config
        if self._is_5:
            properties = _properties(PacketTypes.CONNECT)
            properties.MaximumPacketSize = config.max_packet
            properties.SessionExpiryInterval = config.session_expiry_s
            if config.receive_max is not None:
                properties.ReceiveMaximum = config.receive_max
            self._client.connect(
                config.host, config.port, config.keepalive_s, clean_start=not resume, properties=properties
            )
        else:
            self._client.connect(config.host, config.port, config.keepalive_s)

    def _retains(self, message: Message) -> bool:
        return message.retain and self.offered.retain and self._config.retains

    def publish(self, message: Message, expiry_s: float | None) -> int | None:
        """Send a message and return its packet identifier; None: the connection is lost."""
        properties = None
        if self._is_5 and (expiry_s is not None or message.content_type or message.user_properties):
            properties = _properties(PacketTypes.PUBLISH)
            if expiry_s is not None:
                properties.MessageExpiryInterval = max(1, round(expiry_s))
            if message.content_type:
                properties.PayloadFormatIndicator = 0
                properties.ContentType = message.content_type
            if message.user_properties:
                properties.UserProperty = list(message.user_properties)
        info = self._client.publish(
            message.topic,
            message.payload,
            min(message.qos, self.offered.max_qos),
            self._retains(message),
            properties,
        )
        return info.mid if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def subscribe(self, topic_filter: str, *, retained: bool, qos: int) -> int | None:
        """Send a subscription and return its packet identifier; None: the connection is lost."""
        if self._is_5:
            handling = SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE if retained else SubscribeOptions.RETAIN_DO_NOT_SEND
            options = SubscribeOptions(qos=min(qos, self.offered.max_qos), retainHandling=handling)
            result, packet_id = self._client.subscribe(topic_filter, options=options)
        else:
            result, packet_id = self._client.subscribe(topic_filter, qos)
        return packet_id if result == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def acknowledge(self, packet_id: int) -> None:
        """Acknowledge a message that was received with `manual_ack`."""
        self._client.ack(packet_id, 1)

    def pop_events(self) -> list[MqttEvent]:
        """Return what happened since the last call."""
        events, self._events = self._events, []
        return events

    def wait(self, timeout_s: float, self_pipe: SelfPipe | None = None) -> None:
        """Wait for the network or the self_pipe, read and write; paho closes the socket on errors."""
        client = self._client
        sock = client.socket()
        if sock is None:
            return
        buffered = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        poller = select.poll()
        can_write = client.want_write() and client.has_room
        poller.register(sock.fileno(), select.POLLIN | (select.POLLOUT if can_write else 0))
        if client.want_write() and not can_write:
            timeout_s = min(timeout_s, _ROOM_STEP_S)
        if self_pipe is not None:
            poller.register(self_pipe.fileno(), select.POLLIN)
        ready = dict(poller.poll(0.0 if buffered else max(0.0, timeout_s) * 1000))
        if self_pipe is not None and self_pipe.fileno() in ready:
            self_pipe.drain()
        codes = []
        if buffered or ready.get(sock.fileno(), 0) & ~select.POLLOUT:
            try:
                codes.append(client.loop_read())
            except _MALFORMED:  # before 2.2 paho raises these
                self.is_malformed = True
                return
        for packet_id in self._unwanted:
            self.acknowledge(packet_id)
        self._unwanted.clear()
        if client.want_write():
            codes.append(client.loop_write())
        codes.append(client.loop_misc())
        self.is_malformed = MQTTErrorCode.MQTT_ERR_PROTOCOL in codes

    def disconnect(self) -> None:
        """Send DISCONNECT, by which the session ends, unless it is kept, and the will is not sent. Never raises."""
        properties = None
        if self._is_5 and not self._config.keeps_session:
            properties = _properties(PacketTypes.DISCONNECT)
            properties.SessionExpiryInterval = 0
        self._client.disconnect(properties=properties)

    def close(self) -> None:
        """Close the socket. Never raises.

        paho has no call for that but DISCONNECT. Its callbacks refer to this object: without them both are freed, with
        paho's other sockets, at once.
        """
        client = self._client
        if (sock := client.socket()) is not None:
            sock.close()
        client.on_connect = client.on_disconnect = client.on_publish = None
        client.on_message = client.on_subscribe = client.on_log = client.on_socket_open = None

    def _on_socket_open(self, _client: Client, _userdata: object, sock: object) -> None:
        """Bound the time in which the network must take some of a long message, behind which a PINGREQ waits."""
        assert isinstance(sock, socket.socket)  # noqa: S101 (for mypy)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1000 * _UNACKNOWLEDGED_S))

    # --- paho's callbacks: they store what happened, and nothing else ---

    def _on_connect(
        self,
        _client: Client,
        _userdata: object,
        flags: ConnectFlags,
        code: PahoReasonCode,
        properties: Properties | None,
    ) -> None:
        self.reason_string = _reason_string(properties)
        self.connack = Connack(
            code.value,
            flags.session_present,
            getattr(properties, "ReceiveMaximum", 65535),
            getattr(properties, "MaximumPacketSize", None),
            getattr(properties, "SessionExpiryInterval", None),
        )
        if not code.is_failure:
            self.offered = replace(
                self.offered,
                retain=self.offered.retain and bool(getattr(properties, "RetainAvailable", 1)),
                max_qos=1 if self.offered.max_qos and getattr(properties, "MaximumQoS", 1) else 0,
            )

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        flags: DisconnectFlags,
        code: PahoReasonCode,
        properties: Properties | None,
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self.goodbye = code.value
            self.reason_string = _reason_string(properties)
        elif code.value == _KEEP_ALIVE:
            self.is_silent = True

    def _on_publish(
        self, _client: Client, _userdata: object, mid: int, code: PahoReasonCode, _properties: object
    ) -> None:
        # comes for QoS 0 too, when it is written. Its id cannot be that of a QoS 1 message in flight: those are
        # acknowledged or given up within the time limit, and the pace keeps 65,535 messages from passing in it
        refusal = reason_code(code.value, "PUBACK") if code.value >= FIRST_REFUSAL else None
        self._events.append(Acknowledged(mid, refusal))

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        try:
            packet_id = message.mid if self._config.manual_ack and message.qos else None
            properties = getattr(message, "properties", None)
            received = Received(
                message.topic,
                bytes(message.payload),
                message.retain,
                packet_id,
                content_type=getattr(properties, "ContentType", ""),
                user_properties=tuple(getattr(properties, "UserProperty", ())[:MAX_USER_PROPERTIES]),
            )
        except UnicodeDecodeError:
            self._drop(message)
            return
        config = self._config
        most = config.max_packet if received.topic == self._report_topic else config.max_payload
        if len(received.payload) > most or len(self._events) >= _MAX_EVENTS:
            self._drop(message)
        else:
            self._events.append(received)

    def _drop(self, message: MQTTMessage) -> None:
        self.dropped += 1
        if self._config.manual_ack and message.qos:
            self._unwanted.append(message.mid)

    def _on_subscribe(
        self, _client: Client, _userdata: object, mid: int, codes: list[PahoReasonCode], _properties: object
    ) -> None:
        refused = next((code.value for code in codes if code.value >= FIRST_REFUSAL), None)
        self._events.append(Acknowledged(mid, None if refused is None else reason_code(refused, "SUBACK")))

    def _on_log(self, _client: Client, _userdata: object, level: int, text: str) -> None:
        if level == LogLevel.MQTT_LOG_ERR:
            self.last_error = text.partition(": ")[2] or text


def _without_long_properties(packet: bytearray, *, has_id: bool) -> bytearray:
    """Return the body of a PUBLISH, without its properties if they are longer than MAX_PROPERTY_BYTES."""
    begin = 2 + int.from_bytes(packet[:2], "big") + (2 if has_id else 0)
    length = shift = 0
    for at in range(begin, min(begin + 4, len(packet))):  # a length of 7 bits a byte, the lowest first
        length |= (packet[at] & 0x7F) << shift
        shift += 7
        if not packet[at] & 0x80:
            end = at + 1 + length
            return packet if length <= MAX_PROPERTY_BYTES else packet[:begin] + b"\0" + packet[end:]
    return packet  # malformed: paho says so


def _reason_string(properties: Properties | None) -> str:
    return str(getattr(properties, "ReasonString", ""))


def _properties(packet_type: int) -> Properties:
    return Properties(packet_type)  # type: ignore[no-untyped-call]  # paho left this one without types
