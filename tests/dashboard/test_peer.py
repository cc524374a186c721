"""Which headers of proxies count."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

pytest.importorskip("starlette", reason="starlette is not installed: the extra `dashboard` brings it")

from edgeaudio.dashboard.config import AccessConfig
from edgeaudio.dashboard.web.peer import Peer, is_own_origin, peer_of

PROXIES = tuple(map(ipaddress.ip_network, ("10.0.0.0/24", "fd00::/64")))
CONFIG = AccessConfig(trusted_proxies=PROXIES, user_header="X-Remote-User-Name", base_path="/set")


def peer(client: str = "10.0.0.1", *headers: tuple[str, str], **more: Any) -> Peer:
    encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return peer_of({"type": "http", "scheme": "http", "client": (client, 1), "headers": encoded} | more, CONFIG)


ALL = (
    ("Host", "127.0.0.1:8420"),
    ("X-Forwarded-For", "203.0.113.9, 198.51.100.7"),
    ("X-Forwarded-Host", "home.example"),
    ("X-Forwarded-Proto", "https"),
    ("X-Ingress-Path", "/api/hassio_ingress/AbC_1-2"),
    ("X-Forwarded-Prefix", "/x"),
    ("X-Remote-User-Name", "Anna"),
)


def test_headers_of_a_trusted_proxy_count() -> None:
    found = peer("10.0.0.1", *ALL)
    assert (found.address, found.scheme, found.host, found.user) == ("198.51.100.7", "https", "home.example", "anna")
    assert (found.base_path, found.is_ingress, found.is_proxied) == ("/api/hassio_ingress/AbC_1-2", True, True)
    assert found.authorities == {"127.0.0.1:8420", "home.example"}
    assert peer("::ffff:10.0.0.1", *ALL).user == "anna"
    assert peer("fd00::7", *ALL).user == "anna"


def test_headers_of_anybody_else_do_not() -> None:
    for client in ("10.0.1.1", "127.0.0.1", "fd00:0:0:1::1", "", "x"):
        found = peer(client, *ALL)
        assert (found.scheme, found.host, found.user) == ("http", "127.0.0.1", "")
        assert (found.base_path, found.is_ingress, found.is_proxied) == ("/set", False, False)
        assert found.address in {client, ""}
        assert found.is_forwarded


@pytest.mark.parametrize(
    ("hops", "address"),
    [
        (["203.0.113.9"], "203.0.113.9"),
        (["198.51.100.7, 203.0.113.9"], "203.0.113.9"),  # what is before it, anybody can send
        (["198.51.100.7", "203.0.113.9"], "203.0.113.9"),
        (["198.51.100.7, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        (["None, 203.0.113.9"], "203.0.113.9"),
        (["203.0.113.9, <b>"], "10.0.0.1"),
        (["203.0.113.9:51234"], "203.0.113.9"),
        (["[2001:db8::1]:51234, [fd00::2]"], "2001:db8::1"),
        (["203.0.113.9:1:2"], "10.0.0.1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["10.0.0.3"], "10.0.0.3"),
        ([], "10.0.0.1"),
        ([", ".join(["10.0.0.2"] * 999)], "10.0.0.2"),
    ],
)
def test_the_address_is_that_of_the_last_hop_that_is_not_trusted(hops: list[str], address: str) -> None:
    assert peer("10.0.0.1", *(("X-Forwarded-For", hop) for hop in hops)).address == address


@pytest.mark.parametrize(
    ("path", "base"),
    [
        ("/x", "/x"),
        ("/x/", "/x"),
        ("/api/hassio_ingress/AbC_1-2.~", "/api/hassio_ingress/AbC_1-2.~"),
        ("x", "/set"),
        ("//evil.example", "/set"),
        ("/x//y", "/set"),
        ("/../x", "/set"),
        ("/x/..", "/set"),
        ("/x/./y", "/set"),
        ("/x;Domain=evil", "/set"),
        ("/x y", "/set"),
        ("/\xe9", "/set"),
        ("/" + "x" * 101, "/set"),
        ("/x" * 11, "/set"),
        ("", "/set"),
    ],
)
def test_a_base_path_is_a_plain_path(path: str, base: str) -> None:
    assert peer("10.0.0.1", ("X-Forwarded-Prefix", path)).base_path == base
    assert peer("10.0.0.1", ("X-Ingress-Path", path)).base_path == base


def test_a_user_who_is_named_twice_or_oddly_is_nobody() -> None:
    header = "X-Remote-User-Name"
    assert peer("10.0.0.1", (header, "anna"), (header, "root")).user == ""
    assert peer("10.0.0.1", (header, "a\x00b")).user == ""
    assert peer("10.0.0.1", (header, "x" * 65)).user == ""


def test_a_user_is_named_in_utf_8_and_is_nobody_else_who_looks_alike() -> None:
    def user(name: str) -> str:
        return peer("10.0.0.1", ("X-Remote-User-Name", name.encode().decode("latin-1"))).user

    assert user("Anna") == "anna"
    assert user("Strauß") == "Strauß"
    assert user("\u212aate") != "kate"  # the sign of Kelvin
    assert peer("10.0.0.1", ("X-Remote-User-Name", "Stra\xe9")).user == "Stra\xe9"  # in Latin-1


def test_an_origin_is_of_this_server_by_host_port_and_known_scheme() -> None:
    https = peer("10.0.0.1", ("Host", "home.example"), ("X-Forwarded-Proto", "https"))
    assert is_own_origin("https://home.example", https)
    for origin in ("http://home.example", "https://home.example:8443", "https://home.example.evil", "null", ""):
        assert not is_own_origin(origin, https), origin
    with_port = peer("10.0.0.1", ("Host", "127.0.0.1:1"), ("X-Forwarded-Host", "home.example:443"))
    assert is_own_origin("https://home.example", with_port)
    assert not is_own_origin("http://home.example", with_port)
    direct = peer("192.0.2.1", ("Host", "home.example"))
    assert is_own_origin("http://home.example", direct)
    assert is_own_origin("https://home.example", direct)  # TLS ends at a proxy that was not named
    assert not is_own_origin("ftp://home.example", direct)
    assert not is_own_origin("https://", peer("192.0.2.1", ("Host", "")))
