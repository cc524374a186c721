"""TLS: what is verified is the same on every Python, and each certificate's fault is told with what to do about it.

Each case is a real handshake on loopback, with certificates made for it.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from support.certificates import CLIENT, DAY, SERVER, Identity, authority, issue, key_usage, names
from support.programs import require_program
from support.scripted_broker import WELCOME_5, WELCOME_311, ScriptedBroker

from edgeaudio.health.broker import BrokerReason
from edgeaudio.sinks.mqtt.broker import HINTS, BrokerError, MqttConfig
from edgeaudio.sinks.mqtt.connect_errors import classify, classify_tls
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


@pytest.fixture(autouse=True)
def evidence(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """What there is against this machine's clock: nothing, but what a test says."""

    def say(why: str | None) -> None:
        monkeypatch.setattr("edgeaudio.tls_errors.why_behind", lambda: why)

    say(None)
    return say


# --- a broker's end of TLS ---


def serve(context: ssl.SSLContext) -> ScriptedBroker:
    """Greet whoever comes through the handshake."""

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
    """Connect as client.py does, and hear the broker's first word; None: all is well."""
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


# --- what is taken ---


@pytest.mark.parametrize(
    ("identity", "chain", "trusts", "host"),
    [
        pytest.param(GOOD, (), [CA], "localhost", id="an authority without keyUsage, as openssl req -x509 makes it"),
        pytest.param(issue("b", CA, extensions=[names("127.0.0.1")]), (), [CA], "127.0.0.1", id="an address"),
        pytest.param(issue("localhost", CA), (), [CA], "localhost", id="a CN, without subjectAltName"),
        pytest.param(issue("b", CA, extensions=[HERE, SERVER]), (), [CA], "localhost", id="meant for servers"),
        pytest.param(OWN, (), [OWN], "localhost", id="signed by itself, and named"),
        pytest.param(GOOD, (), [GOOD], "localhost", id="the broker's own certificate named"),
        pytest.param(BELOW, (BETWEEN,), [CA], "localhost", id="an authority in between, sent"),
        pytest.param(BELOW, (), [BETWEEN], "localhost", id="an authority in between, named"),
        pytest.param(GOOD, (), [authority("another"), CA], "localhost", id="one of several authorities"),
    ],
)
def test_a_certificate_that_is_taken(
    identity: Identity, chain: Sequence[Identity], trusts: Sequence[Identity], host: str, tmp_path: Path
) -> None:
    assert meet(tmp_path, identity, *chain, trusts=trusts, host=host) is None


def test_an_authority_made_by_the_openssl_program_is_taken(tmp_path: Path) -> None:
    openssl = require_program("openssl")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], check=True, capture_output=True, cwd=tmp_path, timeout=30)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    run("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=home", "-days", "2")
    run("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    signing = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"]
    run("x509", "-req", "-in", "server.csr", "-out", "server.crt", *signing)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    with serve(context) as broker:
        assert dial(config(broker.port, ca_file=tmp_path / "ca.crt")) is None


def test_what_is_verified_does_not_depend_on_python() -> None:
    context = tls_context(config(1))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.verify_flags == ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN
    assert context.minimum_version is TLS_1_2


# --- what is refused ---


@dataclass(frozen=True)
class Case:
    """A broker's certificate that is refused: what is said of it, and what is to be done."""

    identity: Identity
    detail: str
    hint: str
    chain: tuple[Identity, ...] = ()
    trusts: tuple[Identity, ...] = (CA,)
    host: str = "localhost"


def signed_by(by: Identity | None, *extensions: x509.ExtensionType) -> Identity:
    return issue("broker", by, extensions=[HERE, *extensions])


BASIC_NO = x509.BasicConstraints(ca=False, path_length=None)
TOP = authority("root of one step", pathlen=0)
LOWER = authority("below it", TOP)
NO_AUTHORITY = issue("no authority", CA, extensions=[BASIC_NO])
MAY_NOT_SIGN = authority("may not sign", CA, key_usage("digital_signature"))
GONE = issue(
    "gone",
    extensions=[x509.BasicConstraints(ca=True, path_length=None)],
    first_day=-3 * DAY,
    last_day=-DAY,
)
FOR_CLIENTS = authority("for clients", None, CLIENT)
SHORT = issue("short key", extensions=[x509.BasicConstraints(ca=True, path_length=None)], key=WEAK)
ELSEWHERE = authority("elsewhere", None, x509.NameConstraints([x509.DNSName("example.org")], None))
NOT_HERE = authority("not here", None, x509.NameConstraints(None, [x509.DNSName("localhost")]))

CASES = {
    "unknown issuer": Case(GOOD, "unable to get local issuer", "name the authority that signed it", trusts=()),
    "another authority": Case(GOOD, "unable to get local issuer", "mqtt.ca_file", trusts=(CLIENTS,)),
    "in between, not sent": Case(BELOW, "unable to get local issuer", "the certificates in between"),
    "signed by itself": Case(
        signed_by(None), "self.signed certificate", "a copy of that certificate as `mqtt.ca_file`"
    ),
    "an authority sent, not trusted": Case(
        GOOD, "self.signed certificate in certificate chain", "at the end of the broker's chain", (CA,), (CLIENTS,)
    ),
    "an authority made anew": Case(
        GOOD, "certificate signature failure", "made anew", trusts=(authority("our authority"),)
    ),
    "another host": Case(
        issue("localhost", CA, extensions=[names("other.example")]),
        "not valid for 'localhost'",
        "issue it for this host",
    ),
    "another address": Case(GOOD, "not valid for '127.0.0.1'", "as an IP entry", host="127.0.0.1"),
    "expired": Case(
        issue("broker", CA, extensions=[HERE], first_day=-3 * DAY, last_day=-DAY),
        "has expired",
        "renew the certificate",
    ),
    "an authority expired": Case(signed_by(GONE), "has expired", "or of its authority", trusts=(GONE,)),
    "not yet valid": Case(
        issue("broker", CA, extensions=[HERE], first_day=DAY, last_day=3 * DAY),
        "not yet valid",
        "set this machine's clock",
    ),
    "a client's": Case(signed_by(CA, CLIENT), "certificate purpose", "extendedKeyUsage serverAuth"),
    "an authority for clients": Case(
        signed_by(FOR_CLIENTS), "certificate purpose", "or its authority's", trusts=(FOR_CLIENTS,)
    ),
    "keyUsage": Case(signed_by(CA, key_usage("key_cert_sign")), "certificate purpose", "keyUsage digitalSignature"),
    "keyUsage of the authority": Case(
        signed_by(MAY_NOT_SIGN), "invalid CA certificate", "keyCertSign where there is a keyUsage", (MAY_NOT_SIGN,)
    ),
    "signed by no authority": Case(
        signed_by(NO_AUTHORITY), "invalid CA certificate", "basicConstraints CA:TRUE", (NO_AUTHORITY,)
    ),
    "an authority of one step": Case(signed_by(LOWER), "path length constraint exceeded", "pathlen", (LOWER,), (TOP,)),
    "a short key": Case(issue("broker", CA, extensions=[HERE], key=WEAK), "EE certificate key too weak", "2048 bits"),
    "an authority's short key": Case(
        signed_by(SHORT), "CA certificate key too weak", "make the authority anew with RSA of 2048", trusts=(SHORT,)
    ),
    "other names only": Case(signed_by(ELSEWHERE), "permitted subtree", "nameConstraints", trusts=(ELSEWHERE,)),
    "not this name": Case(signed_by(NOT_HERE), "excluded subtree", "nameConstraints", trusts=(NOT_HERE,)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_certificate_that_is_refused(case: Case, tmp_path: Path) -> None:
    told = meet(tmp_path, case.identity, *case.chain, trusts=case.trusts, host=case.host)
    assert told is not None
    reason, detail, hint = told
    assert reason is BrokerReason.TLS_UNTRUSTED
    assert detail.startswith("certificate not trusted: ")
    assert re.search(case.detail, detail)
    assert hint is not None
    assert case.hint in hint
    assert "\n" not in detail + hint


def test_a_weak_digest_is_refused(tmp_path: Path) -> None:
    openssl = require_program("openssl")  # `cryptography` signs nothing with SHA-1
    CA.write(tmp_path, "ca")
    GOOD.write(tmp_path, "good")
    request = ["req", "-new", "-key", "good.key", "-subj", "/CN=localhost", "-out", "weak.csr"]
    signing = ["-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial", "7", "-days", "2", "-sha1"]
    for command in (request, ["x509", "-req", "-in", "weak.csr", "-out", "weak.crt", *signing]):
        subprocess.run([openssl, *command], check=True, capture_output=True, cwd=tmp_path, timeout=30)
    weak = Identity(x509.load_pem_x509_certificate((tmp_path / "weak.crt").read_bytes()), GOOD.key)
    told = meet(tmp_path, weak)
    assert told is not None
    assert told[:2] == (BrokerReason.TLS_UNTRUSTED, "certificate not trusted: CA signature digest algorithm too weak")
    assert "SHA-256" in str(told[2])


@pytest.mark.parametrize("name", ["expired", "not yet valid"])
def test_a_wrong_date_is_told_with_the_time_of_this_machine(name: str, tmp_path: Path) -> None:
    before = datetime.now(UTC).replace(second=0, microsecond=0)
    told = meet(tmp_path, CASES[name].identity)
    assert told is not None
    found = re.search(r"(\d{4}-\d\d-\d\d \d\d:\d\d) UTC", str(told[2]))
    assert found is not None
    assert before <= datetime.strptime(found[1], "%Y-%m-%d %H:%M").replace(tzinfo=UTC) <= datetime.now(UTC)
    assert not re.search(r"\d\d:\d\d", told[1])  # a detail that changes would be news each time


def test_a_clock_that_is_known_to_be_behind_is_to_blame(evidence: Callable[[str | None], None], tmp_path: Path) -> None:
    evidence("was not synchronised since its start")
    told = meet(tmp_path, CASES["not yet valid"].identity)
    assert told is not None
    assert told[0] is BrokerReason.CLOCK
    assert told[1].endswith("is not yet valid by this machine's clock, which was not synchronised since its start")
    assert "NTP" in str(told[2])
    expired = meet(tmp_path, CASES["expired"].identity)
    assert expired is not None
    assert expired[0] is BrokerReason.TLS_UNTRUSTED


def test_each_fault_has_a_hint_of_its_own(tmp_path: Path) -> None:
    hints: dict[str, str] = {}
    for name in ("unknown issuer", "signed by itself", "another host", "another address", "expired", "not yet valid"):
        case = CASES[name]
        told = meet(tmp_path, case.identity, *case.chain, trusts=case.trusts, host=case.host)
        assert told is not None
        hints[name] = str(told[2])
    assert len({*hints.values()}) == len(hints)


# --- what the broker says of ours ---


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


# --- our files ---


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
