"""`edgeaudio dashboard --hash-password`, and what the settings of its users become."""

from __future__ import annotations

import io
import ipaddress
import subprocess
import sys
from pathlib import Path

import pytest

from edgeaudio.commands.dashboard import access_config, print_password_hash
from edgeaudio.dashboard.config import User
from edgeaudio.dashboard.roles import Role
from edgeaudio.errors import EdgeaudioError
from edgeaudio.password_hashes import PasswordHash
from edgeaudio.settings import Settings
from edgeaudio.toml_reader import loads

HASH = "$scrypt$ln=14,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$0LupyHkzAIgDr9UDsriAAf87vMbCbcaUfDvFOAHk0D0"


def test_a_line_of_standard_input_becomes_a_line_of_the_settings() -> None:
    command = [sys.executable, "-m", "edgeaudio", "dashboard", "--hash-password"]
    text = "correct horse ä'\"\n".encode()
    done = subprocess.run(command, input=text, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    (line,) = done.stdout.decode().splitlines()  # and no question
    assert PasswordHash.parse(loads(line)["password"]).matches("correct horse ä'\"")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "there is no password on standard input"),
        (b"\n", "a password has 8 characters or more, and at most 1024 bytes"),
        (b"short\n", "a password has 8 characters or more, and at most 1024 bytes"),
        (b"x" * 1025 + b"\n", "a password has 8 characters or more, and at most 1024 bytes"),
        (b"\xff\xfe12345678\n", "the password is not text in UTF-8"),
    ],
)
def test_what_can_be_no_password_is_one_line(
    text: bytes, problem: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text), "utf-8"))
    with pytest.raises(EdgeaudioError) as caught:
        print_password_hash()
    assert str(caught.value) == problem
    assert "scrypt" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("named", "meant"),
    [("::ffff:127.0.0.1", "127.0.0.1/32"), ("::ffff:10.0.0.0/120", "10.0.0.0/24")],
)
def test_an_ipv4_proxy_may_be_written_as_ipv6(named: str, meant: str) -> None:
    table = {"users": {"anna": {"password": HASH}}, "trusted_proxies": [named]}
    settings = Settings.model_validate({"mqtt": {"url": "mqtt://127.0.0.1"}, "dashboard": table})
    assert list(map(str, access_config(settings).trusted_proxies)) == [meant]


def test_the_settings_become_users_and_ways(tmp_path: Path) -> None:
    token = tmp_path / "metrics.token"
    token.write_text("a token of metrics\n")
    table = {
        "listen": "[::]:8421",
        "url": "https://Sounds.example.org:8443/under/x/",
        "public": True,
        "hosts": "other.example.org, THIRD",
        "trusted_proxies": ["10.0.0.0/24", "fd00::1"],
        "user_header": "X-User",
        "user_role": "reader",
        "frame_ancestors": ["self", "https://home.example.org:8123"],
        "metrics_token_file": str(token),
        "users": {"anna": {"password": HASH, "role": "owner"}, "bea@home": {}},
    }
    access = access_config(Settings.model_validate({"dashboard": table}))
    assert access.users == {
        "anna": User(Role.OWNER, PasswordHash.parse(HASH)),
        "bea@home": User(Role.READER, None),
    }
    assert access.hosts == {"sounds.example.org", "other.example.org", "third"}
    assert access.base_path == "/under/x"
    assert access.trusted_proxies == (ipaddress.ip_network("10.0.0.0/24"), ipaddress.ip_network("fd00::1/128"))
    assert (access.user_header, access.user_role, access.is_public) == ("X-User", Role.READER, True)
    assert access.frame_ancestors == ("'self'", "https://home.example.org:8123")
    assert (access.metrics_token, access.port, access.has_login) == ("a token of metrics", 8421, True)
    assert "a token" not in repr(access)
    assert "MDEy" not in repr(access)
    other = access_config(Settings.model_validate({"dashboard": table | {"base_path": "/y/"}}))
    assert other.base_path == "/y"
