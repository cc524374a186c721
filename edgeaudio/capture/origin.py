"""Connections to the servers of a source: only hosts of its own address class, only verified certificates.

Owns: name resolution, address classes, TLS, the system's proxies.
Does not know: HTTP beyond CONNECT, what is fetched, logins.
"""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from edgeaudio.capture.http_message import MessageError, read_head, write_head
from edgeaudio.capture.network_probe import explain_connecting, explain_handshake, unreadable_authorities
from edgeaudio.capture.schemes import SCHEMES
from edgeaudio.capture.tls import unverified_context, verifying_context
from edgeaudio.types import Reason

CONNECT_S = 5.0

Kind = Literal["this machine", "the local network", "the internet"]


HOST = re.compile(r"[A-Za-z0-9._~-]{1,255}|[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9._~-]{1,32})?")


class LeadError(Exception):
    """A server of a source cannot be reached or read: why, and what to do.

    `final`: nothing more of the source may be read, even if other servers can be reached.
    """

    def __init__(self, reason: Reason, detail: str, hint: str | None = None, *, final: bool = False) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.hint = hint  # None: the reason's own
        self.final = final


@dataclass(frozen=True, slots=True)
class Origin:
    """A server, and whether it is reached through TLS."""

    host: str  # in lower case, without brackets
    port: int
    tls: bool

    @property
    def authority(self) -> str:
        """Value of a Host header."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == SCHEMES["https" if self.tls else "http"].port else f"{name}:{self.port}"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def kind_of(address: str) -> Kind:
    """Return the class of an IP address."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    if parsed.is_loopback or parsed.is_unspecified:
        return "this machine"
    return "the internet" if parsed.is_global else "the local network"


class Dialler:
    """Connections to hosts of the address class of `host`, with verified certificates.

    If the environment names a proxy (`http_proxy`, `https_proxy`, `no_proxy`), the proxy decides which hosts are
    reached; certificates are verified through it.
    """

    def __init__(self, host: str, *, tls_verify: bool, ca_file: Path | None) -> None:
        self._host = host
        self._tls_verify = tls_verify
        self._ca_file = ca_file
        self._context: ssl.SSLContext | None = None

    def connect(self, origin: Origin, known: Callable[[socket.socket], None]) -> tuple[socket.socket, Proxy | None]:
        """Return the connection, through TLS if the origin has it, and the proxy that takes absolute addresses, if any.

        `known` is called with each socket before any wait. Raises LeadError.
        """
        proxy = proxy_for(origin)
        connection = self._reach(proxy.host, proxy.port, known, any_kind=True) if proxy else self._direct(origin, known)
        try:
            if not origin.tls:
                return connection, proxy
            if proxy is not None:
                _ask_through(connection, proxy, origin)
            return self._secured(connection, origin, known), None
        except BaseException:
            connection.close()
            raise

    def _direct(self, origin: Origin, known: Callable[[socket.socket], None]) -> socket.socket:
        return self._reach(origin.host, origin.port, known, any_kind=False)

    def _reach(self, host: str, port: int, known: Callable[[socket.socket], None], *, any_kind: bool) -> socket.socket:
        addresses = _addresses(host)
        if not any_kind:
            allowed = kind_of(_addresses(self._host)[0])
            good = [address for address in addresses if kind_of(address) == allowed]
            if not good:
                kind = kind_of(addresses[0])
                detail = f"led to {host}, a host of {kind}; not followed, for the source's own is of {allowed}"
                raise LeadError(Reason.INVALID_DATA, detail, "", final=True)
            addresses = good
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        failure = OSError()
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            connection = socket.socket(family, socket.SOCK_STREAM)
            try:
                known(connection)
                connection.settimeout(CONNECT_S)
                connection.connect(socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0][4])
            except OSError as error:
                failure = error
                connection.close()
            else:
                return connection
        raise _not_reached(failure, where)

    def _secured(
        self, connection: socket.socket, origin: Origin, known: Callable[[socket.socket], None]
    ) -> socket.socket:
        host = origin.host
        context = self._tls()
        secured: ssl.SSLSocket | None = None
        try:
            secured = context.wrap_socket(
                connection, server_hostname=host.partition("%")[0], do_handshake_on_connect=False
            )
            known(secured)
            secured.do_handshake()
        except (OSError, ValueError) as error:
            found = explain_handshake(error, host)
            failure = LeadError(*found, final=found.reason in {Reason.TLS_UNTRUSTED, Reason.CLOCK})
        else:
            return secured
        if secured is not None:
            secured.close()
        raise failure

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            try:
                self._context = verifying_context(self._ca_file) if self._tls_verify else unverified_context()
            except OSError:
                raise LeadError(*unreadable_authorities(self._ca_file), final=True) from None
        return self._context


def _addresses(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise _not_reached(error, host) from None
    return [str(info[4][0]) for info in found]


def _not_reached(error: OSError | ValueError, place: str) -> LeadError:
    return LeadError(*(explain_connecting(error, place) or (Reason.UNREACHABLE, f"no connection to {place}")))


# the system's proxies


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy named by the environment."""

    host: str
    port: int
    headers: tuple[tuple[str, str], ...]  # its login


def proxy_for(origin: Origin) -> Proxy | None:
    """Return the proxy that the environment names for a server. Raises LeadError if it is unusable."""
    names = ("https_proxy", "HTTPS_PROXY", "http_proxy") if origin.tls else ("http_proxy",)
    value = next((value for name in names if (value := os.environ.get(name))), "")
    if not value or _is_exempt(origin.host):
        return None
    parts = urlsplit(value if "://" in value else f"http://{value}")
    with contextlib.suppress(ValueError):
        if parts.scheme == "http" and parts.hostname:
            headers: tuple[tuple[str, str], ...] = ()
            if parts.username is not None:
                login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
                headers = (("Proxy-Authorization", f"Basic {base64.b64encode(login.encode()).decode()}"),)
            return Proxy(parts.hostname, parts.port or 80, headers)
    detail = "the proxy that the system names (http_proxy, https_proxy) is not http://HOST:PORT"
    raise LeadError(Reason.UNREACHABLE, detail, "")


def hide_exemptions() -> None:
    """Keep FFmpeg from connecting past its proxy to the hosts of `no_proxy`.

    FFmpeg reads the C library's environment, from which this removes the variable. Python's copy stays: urllib,
    `proxy_for` and children that are given `os.environ` use it. The variable is never restored: a thread that reads the
    environment in C meanwhile would read freed memory.
    """
    if "no_proxy" in os.environ:
        os.unsetenv("no_proxy")


def _is_exempt(host: str) -> bool:
    for entry in (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").lower().split(","):
        name = entry.strip().lstrip("*").lstrip(".")
        if entry.strip() == "*" or (name and (host == name or host.endswith(f".{name}"))):
            return True
        with contextlib.suppress(ValueError):
            if ipaddress.ip_address(host) in ipaddress.ip_network(name, strict=False):
                return True
    return False


def _ask_through(connection: socket.socket, proxy: Proxy, origin: Origin) -> None:
    where = str(origin)
    try:
        connection.sendall(write_head(f"CONNECT {where} HTTP/1.1", [("Host", where), *proxy.headers]))
        # a byte at a time: the bytes after the head belong to TLS
        head, _ = read_head(lambda: connection.recv(1))
        status = head.status
    except TimeoutError:
        raise LeadError(Reason.TIMEOUT, f"the proxy {proxy.host}:{proxy.port} does not answer") from None
    except (OSError, MessageError):
        raise LeadError(Reason.INVALID_DATA, f"the proxy {proxy.host}:{proxy.port} does not speak HTTP") from None
    if status // 100 != 2:
        detail = f"the proxy {proxy.host}:{proxy.port} does not lead to {where} ({status})"
        raise LeadError(Reason.UNAUTHORIZED if status in {403, 407} else Reason.UNREACHABLE, detail, "")
