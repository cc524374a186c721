"""State of the connection to the broker, for health."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal


class BrokerState(StrEnum):
    """State of the connection to the broker."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"  # for the next try
    STOPPED = "stopped"


class BrokerReason(StrEnum):
    """Evidence of why there is no connection, or not a fully working one."""

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
    NOT_MQTT = "not_mqtt"  # the answer is not MQTT
    PROTOCOL_ERROR = "protocol_error"  # the broker reports an error in our packets
    NOT_SUPPORTED = "not_supported"  # the broker lacks a needed feature: retain, QoS 1, a version, wildcards
    BUSY = "busy"  # the broker is temporarily unavailable
    THROTTLED = "throttled"  # a quota of connections, messages or bytes is exceeded
    TOO_LARGE = "too_large"  # a packet exceeds the broker's limit
    INVALID = "invalid"  # the broker rejects a topic or a payload
    MOVED = "moved"  # the broker refers to another broker
    TAKEN_OVER = "taken_over"  # another client with our id connected
    CLOSED = "closed"  # the connection was closed without a reason, or for another one
    QUARANTINED = "quarantined"  # a message is suspected of ending connections, and sent apart from others
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
    refused_topics: tuple[str, ...] = ()  # topics that the broker refuses for now; their messages are kept and retried
    quarantined: tuple[tuple[str, int], ...] = ()  # topics, and how many messages of each are quarantined
