"""One connection to the broker: opened, used and closed by one thread. The only importer of paho.

Owns: MQTT 5 and its fallback to 3.1.1, the login, the will, and why a broker refuses or ends a connection.
Does not know: TLS and sockets' errors (connect_errors.py), what to send or when, nor when to try again (sender.py).

paho is kept on a short lead, for reasons found by running it:
- its reconnection, its queue and its thread are not used. A connection is a new client object: nothing old is sent
  again behind our back, and message ids belong to it alone;
- its callbacks only append to a list that `poll` hands out, so what they lead to never runs inside paho;
- its socket is polled here, together with a second one by which other threads can wake this one.

A connection begins with MQTT 5 (reason codes tell of refused messages, limits are announced). A broker that answers
"unsupported protocol version", hangs up on it, or (amqtt, which reads a 5 as if it were a 3.1.1) is silent for 2 s, is
at once asked again with 3.1.1. A broker that spoke 5 a while ago is taken for an older one only if it says so: when it
hangs up or is silent it is restarting, or frozen. One that offers no retained messages or no QoS 1 (0x9A, 0x9B: the
will asks for both) is at once asked again without. Over 3.1.1 a message that access rules deny is acknowledged all the
same, so there it is lost, and nobody can know.

The broker keeps the session for ten minutes after a connection is lost (MQTT 5 only: over 3.1.1 it would for ever, so
there the session is clean), and says at the next whether it still has it: if so, it has what it acknowledged.

Time limits: `timeout_s` for connecting to each address, for TLS (`keepalive_s` with paho before 2.2) and for the first
answer. Resolving a host name is the system's affair (usually up to 10 s a name server).
"""

from __future__ import annotations

import logging
import select
import ssl
import struct
import threading
import time
from dataclasses import dataclass, replace
from typing import Final, Literal

from paho.mqtt import MQTTException
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, LogLevel, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode as PahoReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edgeaudio.health.broker import BrokerReason
from edgeaudio.sinks.mqtt.broker import BrokerError, MqttConfig
from edgeaudio.sinks.mqtt.connect_errors import classify, tls_context
from edgeaudio.sinks.mqtt.reason_codes import ReasonCode, reason_code
from edgeaudio.sinks.mqtt.self_pipe import SelfPipe
from edgeaudio.tls_errors import explain_tls
from edgeaudio.types import Message

log = logging.getLogger(__name__)

MAX_PAYLOAD = 1024  # bytes of a command; more is not one
_MAX_PACKET = 16 * 1024  # told to the broker: it sends us nothing longer
_MAX_HAPPENINGS = 1024  # received and not yet handed out
_STEP_S = 0.25
_MUTE_S = 2.0
_SESSION_EXPIRY_S = 600  # for which the broker keeps the session of a lost connection
_UNSUPPORTED: Final = 0x84
_KEEP_ALIVE: Final = 0x8D
_NO_RETAIN: Final = 0x9A
_NO_QOS_1: Final = 0x9B
_FAILURE: Final = 0x80  # from here on, reason codes are refusals
_MAX_REASON = 200  # characters of what a broker says in its own words
_MALFORMED: Final = (struct.error, IndexError, KeyError, ValueError, MQTTException)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a broker offers, as far as it is known."""

    protocol: Literal["5", "3.1.1"] = "5"
    retain: bool = True
    max_qos: Literal[0, 1] = 1


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker answered a publish of QoS 1 or a subscription; `refusal` says why it would not have it.

    Where the broker offers QoS 0 only: the publish was written to the network.
    """

    packet_id: int
    refusal: ReasonCode | None


@dataclass(frozen=True, slots=True)
class Received:
    """A message for us."""

    topic: str
    payload: bytes
    retained: bool = False


MqttEvent = Acknowledged | Received


class MqttConnection:
    """A connection that is open from construction to `close` or `abort`; any method may raise BrokerError."""

    def __init__(
        self,
        config: MqttConfig,
        *,
        will: Message | None,
        stop: threading.Event,
        known: Capabilities | None = None,
        resume: bool = False,
        report_topic: str = "",
    ) -> None:
        """Connect, log in and wait for the broker's answer; BrokerError says what went wrong.

        `stop` ends the waiting early, as a BrokerError of reason TIMEOUT. `known`: what the broker offered not long
        ago, so that a silent or closing one that spoke 5 is no sign of 3.1.1. `resume`: ask for the session of the
        last connection; the first one of a process must not, or commands meant for an earlier one would be carried out.
        `report_topic`: what comes on it may be longer than a command.
        """
        self._config = config
        self._knows_5 = known is not None and known.protocol == "5"
        self._will = will
        self._stop = stop
        self._resume = resume
        self._report_topic = report_topic
        self._happenings: list[MqttEvent] = []
        self._dropped = 0
        self._answer: PahoReasonCode | None = None
        self._goodbye: PahoReasonCode | None = None
        self._own_words = ""  # the broker's reason string
        self._silent = False  # the keep-alive went unanswered
        self._trouble = ""  # the last error that paho logged and swallowed
        self.in_flight_max = config.window
        self.packet_max: int | None = None
        self.session_present = False
        self.capabilities = known or Capabilities()
        while True:
            try:
                self._client = self._connect()
            except _NotOfferedError as lacks:
                self._answer = self._goodbye = None
                self._own_words = self._trouble = ""
                self.capabilities = lacks.offered
            else:
                return

    @property
    def protocol(self) -> str:
        return self.capabilities.protocol

    @property
    def goodbye(self) -> int | None:
        """The reason code with which the broker ended the connection; None: it said none."""
        return None if self._goodbye is None else self._goodbye.value

    @property
    def congested(self) -> bool:
        """Tell whether something is still waiting to be written to the network: better send no more."""
        return self._client.want_write()

    def publish(self, message: Message, *, expiry_s: float | None = None) -> int:
        """Send a message; gives the id by which `poll` will tell that it is acknowledged (QoS 1 only).

        `expiry_s`: the broker need not pass it on later than this (MQTT 5 only).
        """
        properties = None
        if expiry_s is not None and self._is_5:
            properties = _properties(PacketTypes.PUBLISH)
            properties.MessageExpiryInterval = max(1, round(expiry_s))
        offered = self.capabilities
        info = self._client.publish(
            message.topic,
            message.payload,
            min(message.qos, offered.max_qos),
            message.retain and offered.retain,
            properties,
        )
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise self._lost()
        return info.mid

    def fits(self, message: Message) -> bool:
        """Tell whether a message is within the longest packet that the broker takes."""
        # 32: fixed header, lengths, message id and the one property that we may add
        return self.packet_max is None or len(message.topic.encode()) + len(message.payload) + 32 <= self.packet_max

    def subscribe(self, topic_filter: str, *, retained: bool = False) -> int:
        """Ask for messages, for retained ones too where wanted; gives the id by which `poll` will tell the answer."""
        if self._is_5:
            handling = SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE if retained else SubscribeOptions.RETAIN_DO_NOT_SEND
            result, packet_id = self._client.subscribe(
                topic_filter, options=SubscribeOptions(qos=self.capabilities.max_qos, retainHandling=handling)
            )
        else:
            result, packet_id = self._client.subscribe(topic_filter, 1)
        if result != MQTTErrorCode.MQTT_ERR_SUCCESS or packet_id is None:
            raise self._lost()
        return packet_id

    def poll(self, timeout_s: float, waker: SelfPipe | None = None) -> list[MqttEvent]:
        """Read and write for up to `timeout_s`, or until there is news; hand out what happened."""
        codes = self._step(self._client, timeout_s, waker)
        if self._client.socket() is None:
            raise self._lost(*codes)
        if self._dropped:
            log.warning("broker sent %d messages that are no commands; they were dropped", self._dropped)
            self._dropped = 0
        happened, self._happenings = self._happenings, []
        return happened

    def close(self) -> None:
        """Say goodbye: the will is not sent, and the session ends. Never raises."""
        properties = None
        if self._is_5:
            properties = _properties(PacketTypes.DISCONNECT)
            properties.SessionExpiryInterval = 0
        self._client.disconnect(properties=properties)
        self.abort()

    def abort(self) -> None:
        """Drop the connection without a word: the broker sends the will. Never raises."""
        _drop(self._client)

    @property
    def _is_5(self) -> bool:
        return self.capabilities.protocol == "5"

    def _connect(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            self._config.client_id,
            clean_session=None if self._is_5 else True,
            protocol=MQTTProtocolVersion.MQTTv5 if self._is_5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        try:
            self._set_up(client)
            self._call(client)
            self._await_answer(client)
        except BaseException:
            _drop(client)
            raise
        return client

    def _await_answer(self, client: Client) -> None:
        """Wait for CONNACK; raise BrokerError unless it is a welcome, _NotOfferedError where less may be one."""
        in_doubt = self._is_5 and not self._knows_5
        older = Capabilities(protocol="3.1.1")
        limit_s = min(_MUTE_S, self._config.timeout_s) if in_doubt else self._config.timeout_s
        deadline = time.monotonic() + limit_s
        codes: list[MQTTErrorCode] = []
        while self._answer is None and client.socket() is not None:
            if in_doubt and time.monotonic() > deadline and not self._stop.is_set():
                raise _NotOfferedError(older)
            if time.monotonic() > deadline or self._stop.is_set():
                raise self._error(BrokerReason.TIMEOUT, f"no answer within {self._config.timeout_s:g} s")
            codes = self._step(client, min(_STEP_S, limit_s / 4), None)
        if self._answer is None:
            error = self._lost(*codes)
            if in_doubt and error.reason is BrokerReason.CLOSED and self._goodbye is None:
                raise _NotOfferedError(older)  # hung up on, without a word
            if self._config.tls and error.reason is BrokerReason.CLOSED:
                # in TLS 1.3 the client is done with the handshake before the broker has looked at its certificate
                raise self._error(BrokerReason.TLS_FAILED, "the broker hung up right after the TLS handshake")
            raise error
        self._require_welcome(self._answer.value)

    def _require_welcome(self, code: int) -> None:
        offered = self.capabilities
        if code == _UNSUPPORTED and self._is_5:
            raise _NotOfferedError(Capabilities(protocol="3.1.1"))
        if code == _NO_RETAIN and offered.retain:
            raise _NotOfferedError(replace(offered, retain=False))
        if code == _NO_QOS_1 and offered.max_qos:
            raise _NotOfferedError(replace(offered, max_qos=0))
        if code >= _FAILURE:
            told = reason_code(code, "CONNACK")
            detail = f"the broker refused the connection: {told.name}{self._own_words}"
            raise self._error(told.reason, detail, told.hint)

    def _set_up(self, client: Client) -> None:
        config = self._config
        client.connect_timeout = config.timeout_s
        client.max_inflight_messages_set(0)  # the window is ours: paho is to hold nothing back
        if config.username is not None:
            client.username_pw_set(config.username, config.password)
        if self._will is not None:
            offered = self.capabilities
            qos = min(self._will.qos, offered.max_qos)
            client.will_set(self._will.topic, self._will.payload, qos, self._will.retain and offered.retain)
        if config.tls:
            client.tls_set_context(tls_context(config))
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_log = self._on_log

    def _call(self, client: Client) -> None:
        """Connect the socket, do the TLS handshake, and send CONNECT."""
        config = self._config
        try:
            if self._is_5:
                properties = _properties(PacketTypes.CONNECT)
                properties.MaximumPacketSize = _MAX_PACKET
                properties.SessionExpiryInterval = _SESSION_EXPIRY_S
                clean_start = not self._resume
                client.connect(
                    config.host, config.port, config.keepalive_s, clean_start=clean_start, properties=properties
                )
            else:
                client.connect(config.host, config.port, config.keepalive_s)
        except (OSError, ValueError) as error:
            raise self._error(*classify(error)) from None

    def _step(self, client: Client, timeout_s: float, waker: SelfPipe | None) -> list[MQTTErrorCode]:
        """Wait for the network or the waker, and let paho do what there is to do; it closes the socket on errors."""
        sock = client.socket()
        if sock is None:
            return []
        buffered = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        poller = select.poll()
        poller.register(sock.fileno(), select.POLLIN | (select.POLLOUT if client.want_write() else 0))
        if waker is not None:
            poller.register(waker.fileno(), select.POLLIN)
        ready = dict(poller.poll(0.0 if buffered else max(0.0, timeout_s) * 1000))
        if waker is not None and waker.fileno() in ready:
            waker.drain()
        codes = []
        if buffered or ready.get(sock.fileno(), 0) & ~select.POLLOUT:
            try:
                codes.append(client.loop_read())
            except _MALFORMED:  # before 2.2 paho lets these out
                _drop(client)
                raise self._error(BrokerReason.NOT_MQTT, "the answer is not MQTT") from None
        if client.want_write():
            codes.append(client.loop_write())
        codes.append(client.loop_misc())
        return codes

    def _lost(self, *codes: MQTTErrorCode) -> BrokerError:
        """Say, from all that is known, why the connection is gone."""
        if self._goodbye is not None:
            told = reason_code(self._goodbye.value, "DISCONNECT")
            return self._error(told.reason, f"the broker ended the connection: {told.name}{self._own_words}", told.hint)
        if self._silent:
            return self._error(BrokerReason.TIMEOUT, "the broker no longer answers")
        if MQTTErrorCode.MQTT_ERR_PROTOCOL in codes:
            return self._error(BrokerReason.NOT_MQTT, "the answer is not MQTT")
        welcome = self._answer is not None and not self._answer.is_failure
        if not welcome and ("SSL" in self._trouble or "alert" in self._trouble.lower()):
            return self._error(BrokerReason.TLS_FAILED, *explain_tls(self._trouble))
        if welcome:
            return self._error(BrokerReason.CLOSED, "the connection was closed")
        hint = "check the port: a broker that wants TLS (mqtts://), or no MQTT at all, closes so; see its log"
        return self._error(BrokerReason.CLOSED, "the connection was closed before an answer", hint)

    def _error(self, reason: BrokerReason, detail: str, hint: str | None = None) -> BrokerError:
        return BrokerError(self._config.where, reason, detail, hint)

    # --- paho's callbacks: they take note, and nothing else ---

    def _on_connect(
        self,
        _client: Client,
        _userdata: object,
        flags: ConnectFlags,
        code: PahoReasonCode,
        properties: Properties | None,
    ) -> None:
        self._answer = code
        self._own_words = _in_own_words(properties, self._config)
        self.session_present = flags.session_present
        self.in_flight_max = min(self._config.window, getattr(properties, "ReceiveMaximum", 65535))
        self.packet_max = getattr(properties, "MaximumPacketSize", None)
        offered = self.capabilities
        if not code.is_failure:
            self.capabilities = replace(
                offered,
                retain=offered.retain and bool(getattr(properties, "RetainAvailable", 1)),
                max_qos=1 if offered.max_qos and getattr(properties, "MaximumQoS", 1) else 0,
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
            self._goodbye = code
            self._own_words = _in_own_words(properties, self._config)
        elif code.value == _KEEP_ALIVE:
            self._silent = True

    def _on_publish(
        self, _client: Client, _userdata: object, mid: int, code: PahoReasonCode, _properties: object
    ) -> None:
        # comes for QoS 0 too, when it is written. Its id cannot be that of a QoS 1 message in flight: those are
        # acknowledged or given up within the time limit, and the pace keeps 65,535 messages from passing in it
        refusal = reason_code(code.value, "PUBACK") if code.value >= _FAILURE else None
        self._happenings.append(Acknowledged(mid, refusal))

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        try:
            received = Received(message.topic, bytes(message.payload), message.retain)
        except UnicodeDecodeError:
            self._dropped += 1
            return
        most = _MAX_PACKET if received.topic == self._report_topic else MAX_PAYLOAD
        if len(received.payload) > most or len(self._happenings) >= _MAX_HAPPENINGS:
            self._dropped += 1
        else:
            self._happenings.append(received)

    def _on_subscribe(
        self, _client: Client, _userdata: object, mid: int, codes: list[PahoReasonCode], _properties: object
    ) -> None:
        refused = next((code.value for code in codes if code.value >= _FAILURE), None)
        self._happenings.append(Acknowledged(mid, None if refused is None else reason_code(refused, "SUBACK")))

    def _on_log(self, _client: Client, _userdata: object, level: int, text: str) -> None:
        if level == LogLevel.MQTT_LOG_ERR:
            self._trouble = text.partition(": ")[2] or text


class _NotOfferedError(Exception):
    """The broker does not know MQTT 5, or does without something that was asked for."""

    def __init__(self, offered: Capabilities) -> None:
        super().__init__(offered)
        self.offered = offered


def _in_own_words(properties: Properties | None, config: MqttConfig) -> str:
    """Return the broker's reason string, bounded and printable, to be put behind the reason code's name.

    One that repeats a part of the login is left out.
    """
    text = str(getattr(properties, "ReasonString", ""))
    if any(secret and secret.casefold() in text.casefold() for secret in (config.username, config.password)):
        return ""
    text = text[:_MAX_REASON]
    printable = "".join(character if character.isprintable() else " " for character in text).strip()
    return f" ({printable})" if printable else ""


def _properties(packet_type: int) -> Properties:
    return Properties(packet_type)  # type: ignore[no-untyped-call]  # paho left this one without types


def _drop(client: Client) -> None:
    """Close paho's socket: it has no call for that other than the farewell.

    Its callbacks lead back to the connection: without them both are gone, with paho's other sockets, at once.
    """
    if (sock := client.socket()) is not None:
        sock.close()
    client.on_connect = client.on_disconnect = client.on_publish = None
    client.on_message = client.on_subscribe = client.on_log = None
