"""A broker's reason codes: the name, a BrokerReason, and what to do.

Owns: the codes of CONNACK, DISCONNECT, PUBACK and SUBACK (OASIS MQTT 5.0, table 2-6). Pure.
Does not know: packets, topics, or which client library reads them.

MQTT 3.1.1 has no reason codes of its own here: paho translates CONNACK's return codes 1 to 5 to 0x84 (version), 0x85
(identifier rejected: not allowed, or too long), 0x88 (unavailable), 0x86 (login) and 0x87 (not authorized); other
numbers become 0x80. SUBACK's only refusal, 0x80, means the same in both, PUBACK and DISCONNECT carry nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from edgeaudio.health.broker import BrokerReason

FIRST_REFUSAL: Final = 0x80  # reason codes from here on refuse


@dataclass(frozen=True, slots=True)
class ReasonCode:
    """A reason code in one kind of packet.

    `reason` of a code under 0x80 is CLOSED: it refuses nothing, and only DISCONNECT ends a connection with it.
    """

    value: int
    name: str  # the standard's name
    hint: str  # what to do, one clause
    reason: BrokerReason


_COMMON: Final = {
    code.value: code
    for code in (
        ReasonCode(
            0x80,
            "Unspecified error",
            "the broker gives no reason: look at its log",
            BrokerReason.CLOSED,
        ),
        ReasonCode(
            0x81,
            "Malformed packet",
            "the broker could not parse a packet: look for a proxy between that changes it, and update the broker",
            BrokerReason.PROTOCOL_ERROR,
        ),
        ReasonCode(
            0x82,
            "Protocol error",
            "the broker and edgeaudio read the standard differently: update both, and report it if it stays",
            BrokerReason.PROTOCOL_ERROR,
        ),
        ReasonCode(
            0x83,
            "Implementation specific error",
            "the reason is one of the broker's own: look at its log and its documentation",
            BrokerReason.CLOSED,
        ),
        ReasonCode(
            0x84,
            "Unsupported protocol version",
            "edgeaudio speaks MQTT 5 and 3.1.1: switch one of them on in the broker",
            BrokerReason.NOT_SUPPORTED,
        ),
        ReasonCode(
            0x85,
            "Client identifier not valid",
            "the client id is edgeaudio-<device>: admit it in the broker, or choose another `device` (some "
            "brokers take 23 letters and digits at most)",
            BrokerReason.CLIENT_ID,
        ),
        ReasonCode(
            0x86,
            "Bad user name or password",
            "check the user name and the password (`mqtt.username`, `mqtt.password_file`)",
            BrokerReason.UNAUTHORIZED,
        ),
        ReasonCode(
            0x87,
            "Not authorized",
            "the broker's access rules deny the topic: allow this login to publish it (docs/mqtt.md lists the topics)",
            BrokerReason.NOT_AUTHORIZED_TOPIC,
        ),
        ReasonCode(
            0x88,
            "Server unavailable",
            "the broker runs but is not in service: look at its log; it is tried again",
            BrokerReason.BUSY,
        ),
        ReasonCode(
            0x89,
            "Server busy",
            "the broker has too much to do: look at its load and the number of its clients; it is tried again",
            BrokerReason.BUSY,
        ),
        ReasonCode(
            0x8A,
            "Banned",
            "lift the broker's ban on this client: on the client id edgeaudio-<device>, the login or the address",
            BrokerReason.BANNED,
        ),
        ReasonCode(
            0x8B,
            "Server shutting down",
            "start the broker again if it stays away; until then it is tried again",
            BrokerReason.BUSY,
        ),
        ReasonCode(
            0x8C,
            "Bad authentication method",
            "allow a plain login or a client certificate in the broker: edgeaudio knows no enhanced authentication",
            BrokerReason.UNAUTHORIZED,
        ),
        ReasonCode(
            0x8D,
            "Keep alive timeout",
            "nothing reached the broker for one and a half times the keep-alive: check the network in between",
            BrokerReason.TIMEOUT,
        ),
        ReasonCode(
            0x8E,
            "Session taken over",
            "another client came with the same client id, edgeaudio-<device>: give each device its own `device`",
            BrokerReason.TAKEN_OVER,
        ),
        ReasonCode(
            0x8F,
            "Topic filter invalid",
            "choose another `mqtt.base_topic` or `mqtt.discovery_prefix`: the broker takes no subscription below it",
            BrokerReason.INVALID,
        ),
        ReasonCode(
            0x90,
            "Topic name invalid",
            "choose another `mqtt.base_topic`, `mqtt.discovery_prefix` or `device`: the broker takes no topic made of "
            "it (some limit length or levels)",
            BrokerReason.INVALID,
        ),
        ReasonCode(
            0x91,
            "Packet identifier in use",
            "the broker still holds an older message of the same number: if it stays, delete the session of "
            "edgeaudio-<device> in the broker",
            BrokerReason.PROTOCOL_ERROR,
        ),
        ReasonCode(
            0x93,
            "Receive maximum exceeded",
            "raise the broker's limit of messages in flight from one client: what it announced is kept to",
            BrokerReason.THROTTLED,
        ),
        ReasonCode(
            0x94,
            "Topic alias invalid",
            "look for a proxy or bridge between that adds topic aliases: edgeaudio uses none",
            BrokerReason.PROTOCOL_ERROR,
        ),
        ReasonCode(
            0x95,
            "Packet too large",
            "raise the broker's limit of a packet (Mosquitto: max_packet_size), or set `mqtt.discovery` = false: "
            "Home Assistant's announcement is the longest message",
            BrokerReason.TOO_LARGE,
        ),
        ReasonCode(
            0x96,
            "Message rate too high",
            "raise the number of messages a second that the broker takes from one client",
            BrokerReason.THROTTLED,
        ),
        ReasonCode(
            0x97,
            "Quota exceeded",
            "raise what the broker grants this client (connections, messages, bytes); it is tried again",
            BrokerReason.THROTTLED,
        ),
        ReasonCode(
            0x98,
            "Administrative action",
            "somebody, or a rule, ended the connection in the broker: ask who runs it; it is tried again",
            BrokerReason.CLOSED,
        ),
        ReasonCode(
            0x99,
            "Payload format invalid",
            "the broker checks payloads and refuses this one: correct its schema by docs/mqtt.md",
            BrokerReason.INVALID,
        ),
        ReasonCode(
            0x9A,
            "Retain not supported",
            "allow retained messages (Mosquitto: retain_available), or who subscribes later learns no state",
            BrokerReason.NOT_SUPPORTED,
        ),
        ReasonCode(
            0x9B,
            "QoS not supported",
            "allow QoS 1 in the broker (Mosquitto: max_qos), or no delivery can be confirmed",
            BrokerReason.NOT_SUPPORTED,
        ),
        ReasonCode(
            0x9C,
            "Use another server",
            "the broker sends its clients elsewhere for a while: ask who runs it for the address, for `mqtt.url`",
            BrokerReason.MOVED,
        ),
        ReasonCode(
            0x9D,
            "Server moved",
            "the broker has moved for good: write its new address into `mqtt.url`",
            BrokerReason.MOVED,
        ),
        ReasonCode(
            0x9E,
            "Shared subscriptions not supported",
            "look for a proxy or bridge between that shares subscriptions: edgeaudio asks for none",
            BrokerReason.NOT_SUPPORTED,
        ),
        ReasonCode(
            0x9F,
            "MqttConnection rate exceeded",
            "raise the broker's limit of new connections, or look for devices that restart often; it is tried again",
            BrokerReason.THROTTLED,
        ),
        ReasonCode(
            0xA0,
            "Maximum connect time",
            "nothing to do: the broker lets a connection last only so long, and the next one is opened",
            BrokerReason.CLOSED,
        ),
        ReasonCode(
            0xA1,
            "Subscription identifiers not supported",
            "look for a proxy or bridge between that adds subscription identifiers: edgeaudio uses none",
            BrokerReason.NOT_SUPPORTED,
        ),
        ReasonCode(
            0xA2,
            "Wildcard subscriptions not supported",
            "allow wildcard subscriptions in the broker: commands are subscribed to with them",
            BrokerReason.NOT_SUPPORTED,
        ),
    )
}

_ONLY_IN: Final = {  # codes under 0x80, which mean something else in each packet
    ("CONNACK", 0x00): ("Success", "nothing to do: the broker accepts the connection"),
    ("PUBACK", 0x00): ("Success", "nothing to do: the broker has the message"),
    ("PUBACK", 0x10): ("No matching subscribers", "nothing to do: the broker has the message, and nobody listens now"),
    ("SUBACK", 0x00): ("Granted QoS 0", "allow QoS 1 in the broker, or commands may get lost on their way"),
    ("SUBACK", 0x01): ("Granted QoS 1", "nothing to do: commands are received"),
    ("SUBACK", 0x02): ("Granted QoS 2", "nothing to do: commands are received, with more effort than was asked for"),
    ("DISCONNECT", 0x00): ("Normal disconnection", "the broker closed in good order: look at its log for why"),
    ("DISCONNECT", 0x04): (
        "Disconnect with will message",
        "no broker should send this, only clients may: look for a proxy between",
    ),
}

_HINT_IN: Final = {  # where a code asks for something else than in other packets
    ("CONNACK", 0x87): "check the user name and the password (Mosquitto says this of wrong ones, too), and that the "
    "broker's rules admit this login and the client id edgeaudio-<device>",
    (
        "CONNACK",
        0x90,
    ): "choose another `mqtt.base_topic` or `device`: the broker does not take the will's topic, made of "
    "both (some limit length or levels)",
    (
        "CONNACK",
        0x95,
    ): "raise the broker's limit of a packet's size (Mosquitto: max_packet_size): not even the login fits",
    ("CONNACK", 0x97): "raise the number of connections that the broker grants this client; it is tried again",
    (
        "CONNACK",
        0x99,
    ): "the broker checks payloads and refuses the will's, `offline`: correct its schema by docs/mqtt.md",
    ("PUBACK", 0x80): "the broker does not say why it refuses the message: look at its log",
    ("PUBACK", 0x83): "the broker refuses the message for a reason of its own: look at its log and its documentation",
    ("PUBACK", 0x97): "raise the number of messages or bytes that the broker keeps; the message is tried again",
    ("SUBACK", 0x80): "commands cannot be received: see whether the broker's access rules let this login subscribe "
    "(over MQTT 3.1.1 every refusal looks like this)",
    ("SUBACK", 0x83): "commands cannot be received, for a reason of the broker's own: look at its log",
    ("SUBACK", 0x87): "commands cannot be received: allow this login to subscribe to them in the broker's access rules "
    "(docs/mqtt.md lists the topics)",
    (
        "SUBACK",
        0x8F,
    ): "commands cannot be received: choose another `mqtt.base_topic` or `mqtt.discovery_prefix`, the broker "
    "takes no subscription below it",
    ("SUBACK", 0x91): "commands cannot be received until the next connection: if it stays, delete the session of "
    "edgeaudio-<device> in the broker",
    (
        "SUBACK",
        0x97,
    ): "commands cannot be received: raise the number of subscriptions that the broker grants this client",
    ("SUBACK", 0xA2): "commands cannot be received: allow wildcard subscriptions in the broker",
}

_REASON_IN: Final = {("CONNACK", 0x87): BrokerReason.UNAUTHORIZED}


def reason_code(value: int, packet: str) -> ReasonCode:
    """Return the meaning of `value` (0 to 255) in `packet`: "CONNACK", "DISCONNECT", "PUBACK" or "SUBACK".

    A code that the standard does not know, or not in these packets, is named by its number.
    """
    where = (packet, value)
    if where in _ONLY_IN:
        return ReasonCode(value, *_ONLY_IN[where], BrokerReason.CLOSED)
    if value not in _COMMON:
        hint = f"the standard knows no such code in {packet}: look at the broker's log"
        return ReasonCode(value, f"reason code 0x{value:02X}", hint, BrokerReason.CLOSED)
    code = _COMMON[value]
    return replace(code, hint=_HINT_IN.get(where, code.hint), reason=_REASON_IN.get(where, code.reason))
