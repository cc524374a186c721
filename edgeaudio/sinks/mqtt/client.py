"""One connection to the broker: opened, used and closed by one thread.

Owns: MQTT 5 and its fallback to 3.1.1, and why a broker refuses or ends a connection.
Does not know: paho (paho_client.py), TLS and sockets' errors (connect_errors.py), what to send or when, nor when to
retry (sender.py).

A connection begins with MQTT 5, whose reason codes tell of refused messages, and which announces limits. A broker that
answers "unsupported protocol version", hangs up on it, or is silent for 2 s (amqtt, which reads a 5 as if it were a
3.1.1) is asked again with 3.1.1 at once. A broker that spoke 5 before is taken for an older one only if it says so:
when it hangs up or is silent it is restarting, or frozen. One that offers no retained messages or no QoS 1 (0x9A, 0x9B:
the will asks for both) is asked again without at once. Over 3.1.1 a message that access rules deny is acknowledged all
the same: it is lost unnoticed.

The broker keeps the session for ten minutes after a connection is lost (MQTT 5 only: over 3.1.1 it would be for ever,
so there the session is clean). At the next connection the broker reports whether the session is still there: if so, it
has what it acknowledged.

Time limits: `timeout_s` for connecting to each address, for TLS (`keepalive_s` with paho before 2.2) and for the first
answer. Resolving a host name takes as long as the system allows (usually up to 10 s a name server).
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from typing import Final, Literal

from edgeaudio.health.broker import BrokerReason
from edgeaudio.sinks.mqtt.broker import ANY_CLIENT_ID, HINTS, BrokerError, MqttConfig
from edgeaudio.sinks.mqtt.connect_errors import classify, classify_tls
from edgeaudio.sinks.mqtt.events import Capabilities, MqttEvent
from edgeaudio.sinks.mqtt.paho_client import Connack, PahoClient
from edgeaudio.sinks.mqtt.reason_codes import FIRST_REFUSAL, reason_code
from edgeaudio.sinks.mqtt.self_pipe import SelfPipe
from edgeaudio.types import Message

log = logging.getLogger(__name__)

_STEP_S = 0.25
_MUTE_S = 2.0
_UNSUPPORTED: Final = 0x84
_NO_RETAIN: Final = 0x9A
_NO_QOS_1: Final = 0x9B
_MAX_REASON = 200  # characters of the broker's reason string


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
        """Connect, log in and wait for the broker's answer; raise BrokerError where that fails.

        `stop` ends the waiting early, as a BrokerError of reason TIMEOUT. `known`: what the broker offered not long
        ago, so that a silent or closing one that spoke 5 is no sign of 3.1.1. `resume`: ask for the session of the
        last connection; the first connection of a process must not, or commands meant for an earlier process would be
        carried out. `report_topic`: what comes on it may be longer than a command.
        """
        self._config = config
        self._knows_5 = known is not None and known.protocol == "5"
        self._stop = stop
        self._resume = resume
        connack = self._negotiate(known or Capabilities(), will, report_topic)
        self.session_present = connack.session_present
        self.in_flight_max = min(config.window, connack.receive_max)
        self.packet_max = connack.packet_max
        self.session_expiry_s = (
            config.session_expiry_s if connack.session_expiry_s is None else connack.session_expiry_s
        )

    @property
    def capabilities(self) -> Capabilities:
        """What the broker offers."""
        return self._client.offered

    @property
    def protocol(self) -> str:
        return self.capabilities.protocol

    @property
    def goodbye(self) -> int | None:
        """The reason code with which the broker ended the connection; None: without one."""
        return self._client.goodbye

    @property
    def congested(self) -> bool:
        """True if something still waits to be written to the network: better send no more."""
        return self._client.is_congested

    @property
    def backlog(self) -> int:
        """Bytes that were written to the network and have not reached the broker yet."""
        return self._client.backlog

    def publish(self, message: Message, *, expiry_s: float | None = None) -> int:
        """Send a message; return its packet identifier, by which `poll` reports the acknowledgement (QoS 1 only).

        `expiry_s`: the broker need not pass the message on later than this (MQTT 5 only).
        """
        packet_id = self._client.publish(message, expiry_s)
        if packet_id is None:
            raise self._lost()
        return packet_id

    def fits(self, message: Message) -> bool:
        """True if a message is within the longest packet that the broker takes."""
        return self.packet_max is None or message.size <= self.packet_max

    def subscribe(self, topic_filter: str, *, retained: bool = False, qos: Literal[0, 1] = 1) -> int:
        """Subscribe, to retained messages too if wanted; return the packet identifier by which `poll` reports it."""
        packet_id = self._client.subscribe(topic_filter, retained=retained, qos=qos)
        if packet_id is None:
            raise self._lost()
        return packet_id

    def acknowledge(self, packet_id: int) -> None:
        """Acknowledge a received message (`manual_ack` only); until then the broker keeps it."""
        self._client.acknowledge(packet_id)

    def poll(self, timeout_s: float, self_pipe: SelfPipe | None = None) -> list[MqttEvent]:
        """Read and write for up to `timeout_s`, or until something happens; return what happened."""
        self._client.wait(timeout_s, self_pipe)
        if not self._client.is_open:
            raise self._lost()
        if dropped := self._client.dropped:
            self._client.dropped = 0
            log.warning("broker sent %d messages that are too long or cannot be read; they were dropped", dropped)
        return self._client.pop_events()

    def close(self) -> None:
        """Disconnect in good order: the will is not sent, and the session ends. Never raises."""
        self._client.disconnect()
        self._client.close()

    def abort(self) -> None:
        """Drop the connection without a DISCONNECT: the broker sends the will. Never raises."""
        self._client.close()

    def _negotiate(self, offered: Capabilities, will: Message | None, report_topic: str) -> Connack:
        """Connect, and again with less where the broker does not offer all of it."""
        while True:
            self._client = PahoClient(self._config, offered, will=will, report_topic=report_topic)
            try:
                return self._connect()
            except _NotOfferedError as lacking:
                self._client.close()
                offered = lacking.offered
            except BaseException:
                self._client.close()
                raise

    def _connect(self) -> Connack:
        try:
            self._client.connect(resume=self._resume)
        except (OSError, ValueError) as error:
            raise self._error(*classify(error)) from None
        connack = self._await_answer()
        self._require_welcome(connack.code)
        return connack

    def _await_answer(self) -> Connack:
        """Wait for CONNACK; raise BrokerError where none comes, _NotOfferedError where an older MQTT may help."""
        client = self._client
        may_be_older = client.offered.protocol == "5" and not self._knows_5
        older = Capabilities(protocol="3.1.1")
        limit_s = min(_MUTE_S, self._config.timeout_s) if may_be_older else self._config.timeout_s
        deadline = time.monotonic() + limit_s
        while client.connack is None and client.is_open:
            if may_be_older and time.monotonic() > deadline and not self._stop.is_set():
                raise _NotOfferedError(older)
            if time.monotonic() > deadline or self._stop.is_set():
                raise self._error(BrokerReason.TIMEOUT, f"no answer within {self._config.timeout_s:g} s")
            client.wait(min(_STEP_S, limit_s / 4))
        if client.connack is not None:
            return client.connack
        error = self._lost()
        if may_be_older and error.reason is BrokerReason.CLOSED and client.goodbye is None:
            raise _NotOfferedError(older)
        if self._config.tls and error.reason is BrokerReason.CLOSED:
            # in TLS 1.3 the client is done with the handshake before the broker has looked at its certificate
            raise self._error(BrokerReason.TLS_FAILED, "the broker hung up right after the TLS handshake")
        raise error

    def _require_welcome(self, code: int) -> None:
        """Raise BrokerError unless CONNACK's code is a welcome, _NotOfferedError where asking for less may help."""
        offered = self.capabilities
        if code == _UNSUPPORTED and offered.protocol == "5":
            raise _NotOfferedError(Capabilities(protocol="3.1.1"))
        if code == _NO_RETAIN and offered.retain:
            raise _NotOfferedError(replace(offered, retain=False))
        if code == _NO_QOS_1 and offered.max_qos:
            raise _NotOfferedError(replace(offered, max_qos=0))
        if code >= FIRST_REFUSAL:
            refusal = reason_code(code, "CONNACK")
            detail = f"the broker refused the connection: {refusal.name}{self._quoted_reason()}"
            raise self._error(refusal.reason, detail, refusal.hint)

    def _lost(self) -> BrokerError:
        """Return why the connection is gone, from all that is known."""
        client = self._client
        if client.goodbye is not None:
            end = reason_code(client.goodbye, "DISCONNECT")
            detail = f"the broker ended the connection: {end.name}{self._quoted_reason()}"
            return self._error(end.reason, detail, end.hint)
        if client.is_silent:
            return self._error(BrokerReason.TIMEOUT, "the broker no longer answers")
        if client.is_malformed:
            return self._error(BrokerReason.NOT_MQTT, "the answer is not MQTT")
        if client.connack is not None and client.connack.code < FIRST_REFUSAL:
            return self._error(BrokerReason.CLOSED, "the connection was closed")
        if "SSL" in client.last_error or "alert" in client.last_error.lower():
            return self._error(*classify_tls(client.last_error))
        hint = "check the port: a broker that wants TLS (mqtts://), or no MQTT at all, closes so; see its log"
        return self._error(BrokerReason.CLOSED, "the connection was closed before an answer", hint)

    def _error(self, reason: BrokerReason, detail: str, hint: str | None = None) -> BrokerError:
        hint = HINTS[reason] if hint is None else hint
        # a device has two connections, and `check` others
        hint = hint.replace(ANY_CLIENT_ID, self._config.client_id)
        return BrokerError(self._config.where, reason, detail, hint)

    def _quoted_reason(self) -> str:
        """Return the broker's reason string, bounded and printable, to follow the reason code's name.

        One that repeats a part of the login is left out.
        """
        text = self._client.reason_string
        secrets = (self._config.username, self._config.password)
        if any(secret and secret.casefold() in text.casefold() for secret in secrets):
            return ""
        text = text[:_MAX_REASON]
        printable = "".join(character if character.isprintable() else " " for character in text).strip()
        return f" ({printable})" if printable else ""


class _NotOfferedError(Exception):
    """The broker does not offer MQTT 5, or something else that was asked for."""

    def __init__(self, offered: Capabilities) -> None:
        super().__init__(offered)
        self.offered = offered
