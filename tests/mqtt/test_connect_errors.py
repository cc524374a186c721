"""Connections to the broker that cannot be made: alerts, ports without TLS, files that cannot be used."""

from __future__ import annotations

import errno
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.certificates import CLIENT, DAY, SERVER, Identity, authority, issue
from support.scripted_broker import WELCOME_5, WELCOME_311, ScriptedBroker
from support.tls_broker import CA, CLIENTS, GOOD, TLS_1_2, TLS_1_3, WEAK, Told, config, dial, serve, server_context

from edgeaudio.health.broker import BrokerReason
from edgeaudio.sinks.mqtt.broker import HINTS, BrokerError
from edgeaudio.sinks.mqtt.connect_errors import classify, classify_tls
from edgeaudio.sinks.mqtt.tls import tls_context

# --- alerts: the broker refuses this device's certificate ---


@dataclass(frozen=True)
class Ours:
    identity: Identity | None
    detail: str
    hint: str


OURS = {
    "unknown authority": Ours(issue("dock", CA, extensions=[CLIENT]), "unknown ca", "add it to the broker's"),
    "signed by itself": Ours(issue("dock"), "unknown ca", "does not know the authority"),
    "expired": Ours(issue("dock", CLIENTS, first_day=-3 * DAY, last_day=-DAY), "certificate expired", "renew"),
    "not yet valid": Ours(issue("dock", CLIENTS, first_day=DAY, last_day=3 * DAY), "bad certificate", "first day"),
    "a server's": Ours(issue("dock", CLIENTS, extensions=[SERVER]), "unsupported certificate", "clientAuth"),
    "an authority made anew": Ours(issue("dock", authority("authority of clients")), "decrypt error", "another key"),
    "none": Ours(None, "certificate required|handshake failure", "set `mqtt.cert_file` and `mqtt.key_file`"),
}


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize("case", OURS.values(), ids=OURS.keys())
def test_our_certificate_is_refused(case: Ours, version: ssl.TLSVersion, tmp_path: Path) -> None:
    reason, detail, hint = met_by_a_broker_that_wants_one(case.identity, version, tmp_path) or (None, "", "")
    assert reason is BrokerReason.TLS_FAILED
    assert re.fullmatch(f"the broker ended TLS: ({case.detail})", detail)
    assert hint is not None
    assert case.hint in hint


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])
def test_our_certificate_is_taken(version: ssl.TLSVersion, tmp_path: Path) -> None:
    ours = issue("dock", CLIENTS, extensions=[CLIENT])
    assert met_by_a_broker_that_wants_one(ours, version, tmp_path) is None


def met_by_a_broker_that_wants_one(ours: Identity | None, version: ssl.TLSVersion, folder: Path) -> Told | None:
    context = server_context(folder, GOOD)
    context.minimum_version = context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=CLIENTS.pem.decode())
    (folder / "ca.pem").write_bytes(CA.pem)
    cert_file, key_file = ours.write(folder, "ours") if ours else (None, None)
    with serve(context) as broker:
        return dial(config(broker.port, ca_file=folder / "ca.pem", cert_file=cert_file, key_file=key_file))


@contextmanager
def hung_up(context: ssl.SSLContext, folder: Path) -> Iterator[ssl.SSLSocket]:
    """Give a connection whose handshake is over, and which the broker has reset since."""
    closed = threading.Event()

    def script(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by a reset
        try:
            context.wrap_socket(connection, server_side=True).close()
        finally:
            closed.set()

    (folder / "ca.pem").write_bytes(CA.pem)
    with (
        ScriptedBroker(script) as broker,
        socket.create_connection(("127.0.0.1", broker.port), 10) as plain,
        tls_context(config(broker.port, ca_file=folder / "ca.pem")).wrap_socket(
            plain, server_hostname="localhost"
        ) as tls,
    ):
        assert closed.wait(10)
        yield tls


def test_an_alert_is_not_lost_where_the_broker_hangs_up_before_anything_is_sent(tmp_path: Path) -> None:
    context = server_context(tmp_path, GOOD)
    context.minimum_version = TLS_1_3  # where for us the handshake is over before the broker knows our certificate
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=CLIENTS.pem.decode())
    with hung_up(context, tmp_path) as tls:
        for _ in range(2):  # paho tries it again, and only the last error counts
            with pytest.raises(ssl.SSLError) as caught:
                tls.send(b"CONNECT")
            assert classify(caught.value)[1] == "the broker ended TLS: certificate required"


def test_hanging_up_without_an_alert_stays_what_it_is(tmp_path: Path) -> None:
    with (
        hung_up(server_context(tmp_path, GOOD), tmp_path) as tls,
        pytest.raises((ssl.SSLEOFError, ConnectionResetError, BrokenPipeError)),
    ):
        tls.send(b"CONNECT")


@pytest.mark.parametrize(
    ("alert", "detail", "hint"),
    [
        (ssl.ALERT_DESCRIPTION_ACCESS_DENIED, "access denied", "rules do not admit"),
        (ssl.ALERT_DESCRIPTION_CERTIFICATE_REVOKED, "certificate revoked", "revoked"),
        (ssl.ALERT_DESCRIPTION_CERTIFICATE_UNKNOWN, "certificate unknown", "does not accept"),
        (ssl.ALERT_DESCRIPTION_INSUFFICIENT_SECURITY, "insufficient security", "stronger ciphers"),
        (ssl.ALERT_DESCRIPTION_INTERNAL_ERROR, "internal error", "the broker failed"),
        (ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME, "unrecognized name", "serves no host of that name"),
        (120, "no application protocol", "ALPN"),  # which older Pythons have no name for
    ],
)
def test_the_broker_says_why_it_ends_tls(alert: int, detail: str, hint: str, tmp_path: Path) -> None:
    context = server_context(tmp_path, GOOD)
    context.sni_callback = lambda *_: alert
    told = dialled(context)
    assert told[:2] == (BrokerReason.TLS_FAILED, f"the broker ended TLS: {detail}")
    assert hint in str(told[2])


def test_no_version_in_common(tmp_path: Path) -> None:
    context = server_context(tmp_path, GOOD)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    told = dialled(context)
    assert told[:2] == (BrokerReason.TLS_FAILED, "the broker ended TLS: protocol version")
    assert "TLS 1.2 or 1.3" in str(told[2])


def test_no_cipher_in_common(tmp_path: Path) -> None:
    context = server_context(tmp_path, GOOD)
    context.maximum_version = TLS_1_2
    context.set_ciphers("AES128-SHA")  # by a key that the certificate does not have
    told = dialled(context)
    assert told[:2] == (BrokerReason.TLS_FAILED, "the broker ended TLS: handshake failure")
    assert "no cipher in common" in str(told[2])


def dialled(context: ssl.SSLContext) -> Told:
    with serve(context) as broker:
        told = dial(config(broker.port))
    assert told is not None
    return told


# --- no TLS at all ---

NOT_TLS = "wrong version number|record layer failure|unexpected message"


def answer(plainly: bytes) -> Callable[[socket.socket], None]:
    def script(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(plainly)

    return script


def hang_up(connection: socket.socket) -> None:
    connection.recv(4096)


def hang_up_on_what_is_unread(connection: socket.socket) -> None:
    connection.recv(1)  # which is a reset: what Mosquitto's port without TLS does


@pytest.mark.parametrize(
    ("script", "detail"),
    [
        pytest.param(answer(WELCOME_5 * 10), NOT_TLS, id="MQTT 5"),
        pytest.param(answer(WELCOME_311 * 10), NOT_TLS, id="MQTT 3.1.1"),
        pytest.param(answer(b"HTTP/1.1 400 Bad Request\r\n\r\n"), NOT_TLS, id="HTTP"),
        pytest.param(answer(b"SSH-2.0-OpenSSH_9.2p1\r\n"), NOT_TLS, id="SSH"),
        pytest.param(answer(b"\xff" * 20), NOT_TLS, id="something else"),
        pytest.param(hang_up, "the broker hung up", id="silence"),
        pytest.param(hang_up_on_what_is_unread, "the broker hung up", id="a reset"),
    ],
)
def test_a_port_without_tls(script: Callable[[socket.socket], None], detail: str) -> None:
    with ScriptedBroker(script) as broker:
        told = dial(config(broker.port))
    assert told is not None
    reason, said, hint = told
    assert reason is BrokerReason.TLS_FAILED
    assert re.fullmatch(f"TLS failed: ({detail})", said)
    assert "8883" in str(hint)


@pytest.mark.parametrize(
    ("text", "detail", "hint"),
    [
        # newer OpenSSL, whose words are others, and older Pythons, which have no name for them
        ("[SSL] record layer failure (_ssl.c:1032)", "TLS failed: record layer failure", "speaks no TLS"),
        (
            "[SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED] ssl/tls alert certificate expired (_ssl.c:2590)",
            "the broker ended TLS: certificate expired",
            "renew",
        ),
        # as a client library tells it that swallowed the exception
        (
            "[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca (_ssl.c:2580)",
            "the broker ended TLS: unknown ca",
            "add",
        ),
        ("EOF occurred in violation of protocol (_ssl.c:992)", "TLS failed: the broker hung up", "8883"),
    ],
)
def test_other_words_for_the_same(text: str, detail: str, hint: str) -> None:
    _, said, what_to_do = classify_tls(text)
    assert said == detail
    assert hint in str(what_to_do)


@pytest.mark.parametrize("text", ["", "x", "[SSL: X] something new (_ssl.c:1)", "tlsv1 alert something new"])
def test_words_that_nobody_knows_have_the_general_hint(text: str) -> None:
    _, detail, hint = classify_tls(text)
    assert hint is None
    assert "new" in detail or not text or text == "x"


# --- files of certificates and keys ---


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    ours, other = issue("dock", CLIENTS), issue("other", CLIENTS)
    cert, key = ours.write(tmp_path, "ours")
    other_key = other.write(tmp_path, "other")[1]
    weak_cert, weak_key = issue("weak", CLIENTS, key=WEAK).write(tmp_path, "weak")
    bad, none, locked, cut = (tmp_path / name for name in ("bad.pem", "none.pem", "locked.key", "cut.pem"))
    bad.write_text("nonsense")
    cut.write_bytes(ours.pem[:200])
    locked.write_bytes(ours.key_pem(b"secret"))
    for files, detail, hint in (
        ({"ca_file": none}, f"cannot use ca_file {none}: No such file or directory", "may read it"),
        ({"ca_file": tmp_path}, f"cannot use ca_file {tmp_path}: Is a directory", "may read it"),
        ({"ca_file": bad}, f"cannot use ca_file {bad}: no certificate or crl found", "holds no certificate"),
        ({"ca_file": key}, f"cannot use ca_file {key}: no certificate or crl found", "BEGIN CERTIFICATE"),
        ({"ca_file": cut}, f"cannot use ca_file {cut}: pem lib", "damaged"),
        ({"cert_file": bad, "key_file": key}, f"cannot use cert_file {bad} with key_file {key}: pem lib", "damaged"),
        ({"cert_file": cert, "key_file": locked}, "pem lib", "without a password"),
        ({"cert_file": cert, "key_file": none}, "No such file or directory", "may read it"),
        ({"cert_file": cert, "key_file": other_key}, "key values mismatch", "the one that it was issued for"),
        ({"cert_file": weak_cert, "key_file": weak_key}, "ee key too small", "2048 bits"),
    ):
        with pytest.raises(BrokerError) as caught:
            tls_context(
                config(
                    1, ca_file=files.get("ca_file"), cert_file=files.get("cert_file"), key_file=files.get("key_file")
                )
            )
        assert caught.value.reason is BrokerReason.TLS_FAILED
        assert detail in caught.value.detail
        assert hint in caught.value.hint
        assert "_ssl.c" not in str(caught.value)


def test_every_other_error_has_the_general_hint() -> None:
    for error, reason in (
        (socket.gaierror(-2, "Name or service not known"), BrokerReason.NAME_NOT_FOUND),
        (ConnectionRefusedError(), BrokerReason.REFUSED),
        (TimeoutError(), BrokerReason.TIMEOUT),
        (OSError(errno.ETIMEDOUT, "Connection timed out"), BrokerReason.TIMEOUT),
        (ConnectionResetError(), BrokerReason.CLOSED),
        (ConnectionAbortedError(), BrokerReason.CLOSED),
        (OSError(errno.EHOSTUNREACH, "No route to host"), BrokerReason.UNREACHABLE),
        (OSError(errno.ENETDOWN, "Network is down"), BrokerReason.UNREACHABLE),
        (OSError(errno.EPERM, "Operation not permitted"), BrokerReason.UNREACHABLE),
        (ValueError("label too long"), BrokerReason.NAME_NOT_FOUND),
    ):
        told = classify(error)
        assert (told[0], told[2]) == (reason, None)
        assert HINTS[reason]
