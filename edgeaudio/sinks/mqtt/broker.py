"""How to reach the broker: the settings and the errors of the connection.

Owns: the configuration and the errors of the sender, and the syntax of a broker's URL. Pure.
Does not know: MQTT's packets (paho_client.py), what is sent (sender.py), or where settings come from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edgeaudio.errors import EdgeaudioError
from edgeaudio.health.broker import BrokerReason
from edgeaudio.urls import UrlSyntaxError, split_url

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
ANY_CLIENT_ID: Final = "edgeaudio-<device>"  # in hints, where a connection's own goes

HINTS: Final = {
    BrokerReason.NAME_NOT_FOUND: "check the host name and the DNS",
    BrokerReason.REFUSED: "check the port, and that the broker runs",
    BrokerReason.UNREACHABLE: "check the network",
    BrokerReason.TIMEOUT: "check the address, and that no firewall swallows the connection",
    BrokerReason.TLS_UNTRUSTED: "name the authority that signed it as ca_file, and the host as the certificate has it",
    BrokerReason.CLOCK: "set this machine's clock",
    BrokerReason.TLS_FAILED: "check that the port speaks TLS, and the client certificate if the broker wants one",
    BrokerReason.UNAUTHORIZED: "check the user name and the password",
    BrokerReason.CLIENT_ID: "the client id is edgeaudio-<device>: admit it in the broker, or choose another `device`",
    BrokerReason.BANNED: "lift the broker's ban on this client",
    BrokerReason.NOT_MQTT: "check the port",
    BrokerReason.PROTOCOL_ERROR: "look for a proxy between, and update the broker",
    BrokerReason.NOT_SUPPORTED: "switch on in the broker what it does not offer",
    BrokerReason.BUSY: "look at the broker's log",
    BrokerReason.THROTTLED: "raise what the broker grants this client",
    BrokerReason.TOO_LARGE: "raise the broker's limit of a packet's size",
    BrokerReason.INVALID: "look at what the broker demands of topics and payloads",
    BrokerReason.MOVED: "write the broker's new address into `mqtt.url`",
    BrokerReason.TAKEN_OVER: "give each device its own name, and each shard of a centre its own index",
    BrokerReason.CLOSED: "look at the broker's log (two devices of one name throw each other out like that)",
    BrokerReason.QUARANTINED: "allow its topic, or longer messages, in the broker",
    BrokerReason.NOT_AUTHORIZED_TOPIC: "look at the broker's access rules",
}


class BrokerError(EdgeaudioError):
    """The broker cannot be used: a reason, and one line that says where, why and what to do."""

    def __init__(self, where: str, reason: BrokerReason, detail: str, hint: str | None = None) -> None:
        """`hint`: what to do, where more is known than the reason; None: the hint in HINTS."""
        self.reason = reason
        self.detail = detail
        self.hint = HINTS[reason] if hint is None else hint
        super().__init__(f"broker {where}: {detail}; {self.hint}")


@dataclass(frozen=True, slots=True)
class Complaint:
    """A fault of the broker while it is connected."""

    reason: BrokerReason
    about: str  # a topic, or what is lacking
    detail: str  # what is wrong with it
    hint: str

    @property
    def key(self) -> str:
        """The identity of the fault, whatever its words."""
        return f"{self.reason} {self.about}"

    def text(self, where: str) -> str:
        """Return one line for people, like that of a BrokerError."""
        return f"broker {where}: {self.about} {self.detail}; {self.hint}"


@dataclass(frozen=True, slots=True)
class MqttConfig:
    """How to connect. With `tls`, certificate and host name are always verified."""

    host: str
    port: int
    client_id: str  # stable, so that the broker ends a half-open older connection (and its will) before a new one
    tls: bool = False
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None  # None: the authorities that the system trusts
    cert_file: Path | None = None  # the client's, for brokers that want one
    key_file: Path | None = None
    keepalive_s: int = 30
    timeout_s: float = 10.0  # for connecting, for the broker's answer, and for an acknowledgement
    retry_min_s: float = 1.0
    retry_max_s: float = 30.0
    window: int = 20  # messages sent and not yet acknowledged
    under_way_max: int | None = None  # bytes that the network may hold at once; None: as the system likes
    rate_per_s: float = 500.0  # the most messages a second, so that a long outage does not end in a burst
    max_payload: int = 1024  # bytes of a message that is received
    max_packet: int = 16 * 1024  # bytes; a broker of MQTT 5 is asked to send nothing longer
    session_expiry_s: int = 600  # for which a broker of MQTT 5 keeps the session of a lost connection
    keeps_session: bool = False  # after a disconnection too, and over MQTT 3.1.1, where it never expires
    receive_max: int | None = None  # messages of QoS 1 that a broker of MQTT 5 may have under way; None: as it likes
    retains: bool = True  # False: no message is sent as a retained one, whatever it is
    manual_ack: bool = False  # a message of QoS 1 is acknowledged by `MqttConnection.acknowledge`, not as it comes

    @property
    def where(self) -> str:
        """The broker's URL without the login."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """The parts of a broker's URL."""

    host: str
    port: int
    tls: bool
    username: str | None = field(repr=False)
    password: str | None = field(repr=False)


def parse_broker_url(url: str) -> BrokerAddress:
    """Parse `mqtt://[user[:password]@]host[:port]`, or `mqtts://` for TLS; raise EdgeaudioError on anything else.

    The error never holds the login, nor anything that could be one.
    """
    if url.partition("://")[0].lower() not in _PORTS:
        raise EdgeaudioError("MQTT URL must begin with mqtt:// or mqtts://, as in mqtt://broker.local:1883")
    try:
        parts = split_url(url)
    except UrlSyntaxError as error:
        raise EdgeaudioError(f"MQTT URL cannot be read: it {error}") from None
    if not parts.host:
        raise EdgeaudioError("MQTT URL names no host; write it as in mqtt://broker.local:1883")
    if parts.path not in {"", "/"} or parts.query:
        raise EdgeaudioError(
            f"MQTT URL of {parts.host} goes on after the port; write it as in mqtt://broker.local:1883"
        )
    default_port = _PORTS[parts.scheme]
    if parts.port == 0:
        raise EdgeaudioError(f"MQTT URL of {parts.host} has port 0; leave it out for {default_port}")
    return BrokerAddress(
        host=parts.host,
        port=parts.port or default_port,
        tls=parts.scheme == "mqtts",
        username=parts.username,
        password=parts.password,
    )
