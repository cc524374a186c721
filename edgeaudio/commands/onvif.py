"""Cameras on this network, by ONVIF: which there are (WS-Discovery), and where each streams (GetStreamUri).

Owns: the two requests and their limits. Of an answer, only what is on the host that sent it is used.
Does not know: the user, the settings, or how a stream is opened.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import re
import secrets
import select
import socket
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote, urlsplit
from uuid import uuid4
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from edgeaudio.capture.schemes import family_of
from edgeaudio.terminal import one_line

GROUP, PORT = "239.255.255.250", 3702
SEARCH_S = 3.0
MOST_CAMERAS, MOST_ANSWERS = 64, 512
ANSWER_S = 5.0  # timeout of each request to a camera
MAX_BYTES = 1_000_000

_PROBE = """<?xml version="1.0" encoding="UTF-8"?>
<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"
 xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"
 xmlns:n="http://www.onvif.org/ver10/network/wsdl"><e:Header><w:MessageID>{id}</w:MessageID>
<w:To e:mustUnderstand="1">urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To>
<w:Action e:mustUnderstand="1">http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</w:Action></e:Header>
<e:Body><d:Probe><d:Types>n:NetworkVideoTransmitter</d:Types></d:Probe></e:Body></e:Envelope>"""
_REQUEST = """<?xml version="1.0" encoding="UTF-8"?>
<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" xmlns:s="http://www.onvif.org/ver10/schema"
 xmlns:device="http://www.onvif.org/ver10/device/wsdl" xmlns:media="http://www.onvif.org/ver10/media/wsdl">
<e:Header>{login}</e:Header><e:Body>{body}</e:Body></e:Envelope>"""
# OASIS Web Services Security: UsernameToken Profile 1.0
_WSS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
_LOGIN = (
    '<Security xmlns="{wss}wssecurity-secext-1.0.xsd" e:mustUnderstand="1"><UsernameToken>'
    "<Username>{username}</Username>"
    '<Password Type="{wss}username-token-profile-1.0#PasswordDigest">{digest}</Password>'
    '<Nonce EncodingType="{wss}soap-message-security-1.0#Base64Binary">{nonce}</Nonce>'
    '<Created xmlns="{wss}wssecurity-utility-1.0.xsd">{created}</Created></UsernameToken></Security>'
)


@dataclass(frozen=True, slots=True)
class FoundCamera:
    """A camera that answered."""

    host: str  # where the answer came from
    name: str  # its own, in one printable line; may be empty
    service: str  # its device service, on that host


@dataclass(frozen=True, slots=True)
class Login:
    """A user of a camera."""

    username: str
    password: str


def find_cameras(search_s: float = SEARCH_S, interfaces: Sequence[str] | None = None) -> list[FoundCamera]:
    """Return the cameras that answer within `search_s`, by address. interfaces: names; None: all."""
    message = f"urn:uuid:{uuid4()}"
    found: dict[str, FoundCamera] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        begin_s = time.monotonic()
        asked = 0
        for _ in range(MOST_ANSWERS):
            passed_s = time.monotonic() - begin_s
            if asked < 2 and passed_s >= asked * search_s / 3:  # twice: datagrams get lost
                asked += 1
                _multicast(asking, _PROBE.format(id=message).encode(), interfaces)
            if passed_s >= search_s or len(found) >= MOST_CAMERAS:
                break
            next_s = asked * search_s / 3 if asked < 2 else search_s
            if select.select([asking], [], [], max(0.0, next_s - passed_s))[0]:
                with suppress(OSError):
                    answer, (host, _) = asking.recvfrom(65_535)
                    camera = _camera(answer, host, message)
                    if camera:
                        found[host] = camera
    return sorted(found.values(), key=lambda camera: socket.inet_aton(camera.host))


class LoginRefusedError(Exception):
    """The camera refuses the login, or wants one."""


def stream_url(camera: FoundCamera, login: Login | None) -> str | None:
    """Return the URL of the camera's stream, without a login, None if it has none. Raises LoginRefusedError.

    Of several streams it is the one with sound and the smallest picture: the picture is not used.
    """
    ask = _Client(camera.host, login)
    try:
        ask.set_clock(camera.service)
        capabilities = ask(
            camera.service, "<device:GetCapabilities><device:Category>Media</device:Category></device:GetCapabilities>"
        )
        media = _text(capabilities, "Media", "XAddr") or camera.service
        profiles = _all(ask(media, "<media:GetProfiles/>"), "Profiles")
        profile = min(profiles, key=lambda one: (not _all(one, "AudioEncoderConfiguration"), _width(one)))
        answer = ask(
            media,
            "<media:GetStreamUri><media:StreamSetup><s:Stream>RTP-Unicast</s:Stream>"
            "<s:Transport><s:Protocol>RTSP</s:Protocol></s:Transport></media:StreamSetup>"
            f"<media:ProfileToken>{escape(profile.get('token', ''))}</media:ProfileToken></media:GetStreamUri>",
        )
        return _own_url(_text(answer, "MediaUri", "Uri"), camera.host)
    except (OSError, ValueError, http.client.HTTPException):
        return None


class _Client:
    """SOAP over HTTP to one host; the password itself is never sent."""

    def __init__(self, host: str, login: Login | None) -> None:
        self._host = host
        self._login = login
        self._ahead = timedelta()  # of the camera's clock, relative to this machine's

    def set_clock(self, service: str) -> None:
        """Read the camera's clock: it refuses a login with another time. Without an answer, keep this machine's."""
        with suppress(OSError, ValueError, http.client.HTTPException, LoginRefusedError):
            answer = self(service, "<device:GetSystemDateAndTime/>", anonymous=True)
            year, month, day, hour, minute, second = (
                int(_text(answer, "UTCDateTime", name)) for name in ("Year", "Month", "Day", "Hour", "Minute", "Second")
            )
            self._ahead = datetime(year, month, day, hour, minute, second, tzinfo=UTC) - datetime.now(UTC)

    def __call__(self, service: str, body: str, *, anonymous: bool = False) -> ET.Element:
        """Return the answer. Raises OSError, ValueError, HTTPException, LoginRefusedError."""
        address = urlsplit(service)
        if address.scheme != "http":
            raise ValueError("only plain HTTP is asked")
        connection = http.client.HTTPConnection(self._host, address.port or 80, timeout=ANSWER_S)
        login = self._header() if self._login and not anonymous else ""
        connection.connect()
        # an answer that comes byte by byte exceeds no timeout but this one
        limit = threading.Timer(ANSWER_S, _cut, [connection.sock])
        limit.start()
        try:
            connection.request(
                "POST",
                address.path or "/",
                _REQUEST.format(login=login, body=body).encode(),
                {"Content-Type": "application/soap+xml; charset=utf-8"},
            )
            answer = connection.getresponse()
            content = b""
            while piece := answer.read1(65_536):
                content += piece
                if len(content) > MAX_BYTES:
                    raise ValueError("an answer without end")
        finally:
            limit.cancel()
            limit.join()
            connection.close()
        if answer.status in {http.client.UNAUTHORIZED, http.client.FORBIDDEN} or b":NotAuthorized" in content:
            raise LoginRefusedError
        if answer.status != http.client.OK:
            raise ValueError(f"HTTP {answer.status}")
        return _parsed(content)

    def _header(self) -> str:
        if self._login is None:
            return ""
        nonce = secrets.token_bytes(16)
        created = (datetime.now(UTC) + self._ahead).strftime("%Y-%m-%dT%H:%M:%SZ")
        sha1 = hashlib.sha1(nonce + created.encode() + self._login.password.encode())  # noqa: S324 (as the profile says)
        return _LOGIN.format(
            wss=_WSS,
            username=escape(self._login.username),
            digest=base64.b64encode(sha1.digest()).decode(),
            nonce=base64.b64encode(nonce).decode(),
            created=created,
        )


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # it has ended by itself
        connection.shutdown(socket.SHUT_RDWR)


def _multicast(asking: socket.socket, question: bytes, interfaces: Sequence[str] | None) -> None:
    for number, name in socket.if_nameindex():
        if interfaces is None or name in interfaces:
            with suppress(OSError):  # it is down, or has no address
                asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("4x4xi", number))
                asking.sendto(question, (GROUP, PORT))


def _camera(answer: bytes, host: str, message: str) -> FoundCamera | None:
    """Return the camera that sent this answer to that message; None if it is no such answer."""
    try:
        envelope = _parsed(answer)
    except ValueError:
        return None
    types = [kind.rpartition(":")[2] for kind in _text(envelope, "ProbeMatch", "Types").split()]
    if _text(envelope, "Header", "RelatesTo") != message or "NetworkVideoTransmitter" not in types:
        return None
    services = [service for service in _text(envelope, "ProbeMatch", "XAddrs").split() if _is_asked(service, host)]
    scopes = [_scope(scope) for scope in _text(envelope, "ProbeMatch", "Scopes").split()]
    named = {kind: unquote(value) for kind, _, value in scopes}
    name = " ".join(filter(None, [named.get("name"), named.get("hardware")]))
    service = next(iter(services), f"http://{host}/onvif/device_service")
    return FoundCamera(host, one_line(name)[:60], service)


def _scope(scope: str) -> tuple[str, str, str]:
    """Return the kind and the value of a scope: onvif://www.onvif.org/name/Porch."""
    return re.sub(r"^onvif://www\.onvif\.org/", "", scope).partition("/")


def _is_asked(service: str, host: str) -> bool:
    """True for a service by plain HTTP on that host: a camera may list others first, with TLS or by IPv6."""
    with suppress(ValueError):
        address = urlsplit(service)
        return (address.scheme, address.hostname) == ("http", host)
    return False


def _own_url(url: str, host: str) -> str | None:
    """Return the URL with the camera's own host: behind a router, the camera often names another one."""
    address = urlsplit(url)
    if family_of(address.scheme) != "rtsp" or address.username is not None or not url.isascii():
        return None
    port = f":{address.port}" if address.port else ""
    query = f"?{address.query}" if address.query else ""
    return f"{address.scheme}://{host}{port}{address.path}{query}"


def _parsed(content: bytes) -> ET.Element:
    """Parse XML without a document type, which could define endless entities. Raises ValueError.

    Bytes that are not UTF-8, as in some cameras' names, are replaced: tags and addresses are ASCII.
    """
    text = content.decode("utf-8-sig", "replace")
    if "<!DOCTYPE" in text:
        raise ValueError("a document type")
    try:
        return ET.fromstring(text)  # noqa: S314 (no document type, so no entities)
    except ET.ParseError:
        raise ValueError("no XML") from None


def _all(element: ET.Element, name: str) -> list[ET.Element]:
    """Return every element of that name below this one, in any namespace."""
    return [one for one in element.iter() if one.tag.rpartition("}")[2] == name]


def _text(element: ET.Element, *names: str) -> str:
    """Return the text of the first element at that path of names; empty for none."""
    found = [element]
    for name in names:
        found = [below for one in found for below in _all(one, name)]
    return (found[0].text or "").strip() if found else ""


def _width(profile: ET.Element) -> int:
    width = _text(profile, "VideoEncoderConfiguration", "Width")
    return int(width) if re.fullmatch("[0-9]{1,5}", width) else 99_999
