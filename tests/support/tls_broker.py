"""A broker's end of TLS on loopback, with certificates made for it, and an agent's connection to it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from support.certificates import Identity, authority, issue, names
from support.scripted_broker import ScriptedBroker

from edgeaudio.health.broker import BrokerReason
from edgeaudio.sinks.mqtt.broker import MqttConfig
from edgeaudio.sinks.mqtt.connect_errors import classify
from edgeaudio.sinks.mqtt.tls import tls_context

CA = authority("our authority")
CLIENTS = authority("authority of clients")
HERE = names("localhost")
GOOD = issue("broker", CA, extensions=[HERE])
OWN = issue("broker", extensions=[HERE])
BETWEEN = authority("between", CA)
BELOW = issue("broker", BETWEEN, extensions=[HERE])
WEAK = rsa.generate_private_key(65537, 1024)  # noqa: S505 (it has to be refused)
TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3

Told = tuple[BrokerReason, str, str | None]


def serve(context: ssl.SSLContext) -> ScriptedBroker:
    """Start a server that greets each client after the handshake."""

    def script(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False) as tls:
            try:
                tls.do_handshake()
            except ssl.SSLError:
                # to close at once would be a reset, which can overtake the alert
                tls.shutdown(socket.SHUT_WR)
            else:
                tls.sendall(b"hello")
            while tls.recv(4096):
                pass

    return ScriptedBroker(script)


def server_context(folder: Path, identity: Identity, chain: Sequence[Identity] = ()) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # so that it serves what a client has to refuse
    context.load_cert_chain(*identity.write(folder, "server", *chain))
    return context


def dial(config: MqttConfig) -> Told | None:
    """Connect as client.py does, and read the greeting; return why that failed, or None."""
    try:
        with (
            socket.create_connection(("127.0.0.1", config.port), 10) as plain,
            tls_context(config).wrap_socket(plain, server_hostname=config.host) as tls,
        ):
            assert tls.recv(5) == b"hello"
    except (OSError, ValueError) as error:
        return classify(error)
    return None


def config(
    port: int,
    host: str = "localhost",
    *,
    ca_file: Path | None = None,
    cert_file: Path | None = None,
    key_file: Path | None = None,
) -> MqttConfig:
    return MqttConfig(host, port, "edgeaudio-dock", tls=True, ca_file=ca_file, cert_file=cert_file, key_file=key_file)


def meet(
    folder: Path,
    identity: Identity = GOOD,
    *chain: Identity,
    trusts: Sequence[Identity] = (CA,),
    host: str = "localhost",
) -> Told | None:
    """Let an agent that trusts these meet a broker with that certificate."""
    ca_file = folder / "ca.pem"
    ca_file.write_bytes(b"".join(trusted.pem for trusted in trusts))
    with serve(server_context(folder, identity, chain)) as broker:
        return dial(config(broker.port, host, ca_file=ca_file if trusts else None))
