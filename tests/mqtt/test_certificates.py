"""Certificates of brokers: which are accepted is the same on every Python, and each refusal has its own hint."""

from __future__ import annotations

import re
import ssl
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from support.certificates import CLIENT, DAY, SERVER, Identity, authority, issue, key_usage, names
from support.programs import require_program
from support.tls_broker import BELOW, BETWEEN, CA, CLIENTS, GOOD, HERE, OWN, TLS_1_2, WEAK, config, dial, meet, serve

from edgeaudio.health.broker import BrokerReason
from edgeaudio.sinks.mqtt.tls import tls_context


@pytest.fixture(autouse=True)
def evidence(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """What there is against this machine's clock: nothing, but what a test says."""

    def say(why: str | None) -> None:
        monkeypatch.setattr("edgeaudio.tls_errors.why_behind", lambda: why)

    say(None)
    return say


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
