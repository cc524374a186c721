"""Where a request comes from: the address of whoever asks, and by which host, scheme and path he sees the page. Pure.

Owns: which headers of proxies count. Does not know: roles, answers.

`X-Forwarded-For`, `-Host`, `-Proto`, `-Prefix`, `X-Ingress-Path` (Home Assistant) and the header that names a user
count only where the connection comes from a trusted proxy: anybody else can send them too.
"""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope

from edgeaudio.dashboard.config import AccessConfig, Network

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{0,5})?")
_PATH: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]{1,100}){1,10}")
_HOP: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
_MAX_HOPS: Final = 20
_MAX_USER: Final = 64
_PORTS: Final = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True)
class Peer:
    """Who asks, as far as the connection and the headers of trusted proxies say it."""

    address: str  # of the browser, else of the last proxy that is not trusted
    is_proxied: bool  # a trusted proxy asks for somebody
    is_forwarded: bool  # some proxy does
    scheme: str  # "http" or "https"; where no trusted proxy says which, that of the connection
    is_scheme_known: bool
    host: str  # without its port, in small letters; "": it is none
    authorities: frozenset[str]  # host and port, as browsers write them in an origin
    base_path: str  # "" or as in "/sounds"
    is_ingress: bool  # of Home Assistant
    user: str  # whom a trusted proxy names, in small letters if it is ASCII; "": nobody


def peer_of(scope: Scope, config: AccessConfig) -> Peer:
    """Read where a request comes from."""
    headers = Headers(scope=scope)
    connected = address_of((scope.get("client") or ("",))[0])
    is_proxied = is_in(connected, config.trusted_proxies)
    host = _single(headers, "host")
    base_path, scheme, user, is_ingress = config.base_path, _http_scheme(scope.get("scheme")), "", False
    is_scheme_known = False
    if is_proxied:
        forwarded_host = _last(headers, "x-forwarded-host")
        authorities = {host, forwarded_host}
        host = forwarded_host or host
        if (said := _last(headers, "x-forwarded-proto").lower()) in _PORTS:
            scheme, is_scheme_known = said, True
        ingress = _path(_single(headers, "x-ingress-path"))
        is_ingress = bool(ingress)
        base_path = ingress or _path(_single(headers, "x-forwarded-prefix")) or base_path
        if config.user_header:
            user = _user(_single(headers, config.user_header))
        connected = _first_untrusted(headers, connected, config.trusted_proxies)
    else:
        authorities = {host}
    return Peer(
        address=connected,
        is_proxied=is_proxied,
        is_forwarded=any(name in headers for name in _FORWARDED),
        scheme=scheme,
        is_scheme_known=is_scheme_known,
        host=host_of(host),
        authorities=frozenset(each.lower() for each in authorities if host_of(each)),
        base_path=base_path,
        is_ingress=is_ingress,
        user=user,
    )


def host_of(authority: str) -> str:
    """Return the host of a Host header without its port; empty where it is none."""
    found = _HOST.fullmatch(authority)
    return found[1].strip("[]").lower() if found else ""


def is_own_origin(origin: str, peer: Peer) -> bool:
    """True if an Origin header names the page of this server, as whoever asks sees it."""
    scheme, separator, authority = origin.partition("://")
    if not separator or scheme not in _PORTS or (peer.is_scheme_known and scheme != peer.scheme):
        return False
    # proxies may name a port that browsers leave out
    return not {authority, f"{authority}:{_PORTS[scheme]}"}.isdisjoint(peer.authorities)


def _single(headers: Headers, name: str) -> str:
    """Return a header that is there once: of two, nobody knows which the proxy has set."""
    values = headers.getlist(name)
    return values[0].strip() if len(values) == 1 else ""


def _last(headers: Headers, name: str) -> str:
    """Return the value that the proxy nearest to this server has put at the end."""
    values = headers.getlist(name)
    return values[-1].rpartition(",")[2].strip() if values else ""


def _path(text: str) -> str:
    path = text.rstrip("/")
    return path if _PATH.fullmatch(path) else ""


def _user(text: str) -> str:
    """Return a name: proxies write it in UTF-8, and servers read every header as Latin-1."""
    with suppress(UnicodeError):
        text = text.encode("latin-1").decode()
    if not text.isprintable() or len(text) > _MAX_USER:
        return ""
    return text.lower() if text.isascii() else text  # the sign of Kelvin would become the k of a user of the settings


def _http_scheme(scheme: str | None) -> str:
    return {"ws": "http", "wss": "https"}.get(scheme or "http", scheme or "http")


def _first_untrusted(headers: Headers, connected: str, trusted: tuple[Network, ...]) -> str:
    """Return the last address of X-Forwarded-For that is of no trusted proxy: what is left of it anybody can send."""
    hops = ",".join(headers.getlist("x-forwarded-for")).split(",")
    nearest = connected
    for hop in reversed(hops[-_MAX_HOPS:]):
        address = address_of(_without_port(hop.strip()))
        if not address:
            break
        nearest = address
        if not is_in(address, trusted):
            break
    return nearest


def _without_port(hop: str) -> str:
    """Return the address of a hop: some proxies add the port from which it came."""
    found = _HOP.fullmatch(hop)
    return found[1] or found[2] if found else hop


def address_of(text: str) -> str:
    """Return an address as Python writes it, IPv4 as such; empty where it is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def is_in(address: str, networks: tuple[Network, ...]) -> bool:
    """True if an address of `address_of` is in one of the networks."""
    return bool(address and networks) and any(ipaddress.ip_address(address) in network for network in networks)
