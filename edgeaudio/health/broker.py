"""How the connection to the broker is: its states and reasons, as health has them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal


class BrokerState(StrEnum):
    """How the connection to the broker is."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"  # for the next try
    STOPPED = "stopped"


class BrokerReason(StrEnum):
    """Why there is no connection, or not a whole one, told apart by evidence."""

    NAME_NOT_FOUND = "name_not_found"  # the host name does not resolve
    REFUSED = "refused"  # nothing listens on that port
    UNREACHABLE = "unreachable"  # no route to the host or the network
    TIMEOUT = "timeout"  # no answer within the limit
    TLS_UNTRUSTED = "tls_untrusted"  # the broker's certificate or its host name failed verification
    CLOCK = "clock"  # the broker's certificate is not valid yet, and this machine's clock is known to be behind
    TLS_FAILED = "tls_failed"  # no TLS there, or it refused our certificate
    UNAUTHORIZED = "unauthorized"  # the login was refused
    CLIENT_ID = "client_id"  # the client id was refused
    BANNED = "banned"  # the broker has shut this client out
    NOT_MQTT = "not_mqtt"  # an answer came, and it is not MQTT
    PROTOCOL_ERROR = "protocol_error"  # the broker finds fault with our packets
    NOT_SUPPORTED = "not_supported"  # something that is needed is not offered: retain, QoS 1, a version, wildcards
    BUSY = "busy"  # the broker says that it cannot just now
    THROTTLED = "throttled"  # more connections, messages or bytes than the broker grants
    TOO_LARGE = "too_large"  # a packet is longer than the broker takes
    INVALID = "invalid"  # the broker will not have a topic or a payload
    MOVED = "moved"  # the broker names another as the one to use
    TAKEN_OVER = "taken_over"  # another client with our id connected
    CLOSED = "closed"  # the connection ended without a word, or with one that fits none of these
    QUARANTINED = "quarantined"  # connections end while a message is in flight, which is sent no more with others
    NOT_AUTHORIZED_TOPIC = "not_authorized_topic"  # access rules deny a topic


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """The connection to the broker, for health."""

    state: BrokerState
    since: datetime
    reason: BrokerReason | None = None
    detail: str = ""  # one line for people, without secrets
    next_try: datetime | None = None
    protocol: str | None = None  # "5" or "3.1.1", while connected
    delivery: Literal["confirmed", "unconfirmed"] | None = None  # unconfirmed: the broker offers QoS 0 only
    refused_topics: tuple[str, ...] = ()  # what the broker will not take just now; kept and tried again
    quarantined: tuple[tuple[str, int], ...] = ()  # topics, and how many messages of each are sent no more with others
