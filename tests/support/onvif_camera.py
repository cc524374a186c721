"""A camera with ONVIF, on loopback: it answers WS-Discovery's probes and GetStreamUri.

Logins are checked as in the profile: a digest of nonce, time and password, by the camera's own clock.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

GROUP, PORT = "239.255.255.250", 3702
MATCH = """<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"
 xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"
 xmlns:dn="http://www.onvif.org/ver10/network/wsdl"><s:Header><a:RelatesTo>{message}</a:RelatesTo></s:Header><s:Body>
<d:ProbeMatches><d:ProbeMatch><d:Types>dn:NetworkVideoTransmitter</d:Types><d:Scopes>
onvif://www.onvif.org/name/{name} onvif://www.onvif.org/hardware/T%201</d:Scopes><d:XAddrs>{services}</d:XAddrs>
</d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>"""
PROFILES = """<m:GetProfilesResponse><m:Profiles token="large"><t:VideoEncoderConfiguration><t:Resolution><t:Width>2560
</t:Width></t:Resolution></t:VideoEncoderConfiguration><t:AudioEncoderConfiguration/></m:Profiles>
<m:Profiles token="small"><t:VideoEncoderConfiguration><t:Resolution><t:Width>640</t:Width></t:Resolution>
</t:VideoEncoderConfiguration><t:AudioEncoderConfiguration/></m:Profiles><m:Profiles token="mute">
<t:VideoEncoderConfiguration><t:Resolution><t:Width>320</t:Width></t:Resolution></t:VideoEncoderConfiguration>
</m:Profiles></m:GetProfilesResponse>"""
DATE = """<d:GetSystemDateAndTimeResponse><t:UTCDateTime><t:Time><t:Hour>3</t:Hour><t:Minute>4</t:Minute><t:Second>5
</t:Second></t:Time><t:Date><t:Year>2001</t:Year><t:Month>2</t:Month><t:Day>6</t:Day></t:Date></t:UTCDateTime>
</d:GetSystemDateAndTimeResponse>"""
ENVELOPE = """<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"
 xmlns:t="http://www.onvif.org/ver10/schema" xmlns:d="http://www.onvif.org/ver10/device/wsdl"
 xmlns:m="http://www.onvif.org/ver10/media/wsdl"><s:Body>{body}</s:Body></s:Envelope>"""


@dataclass(slots=True)
class OnvifCamera:
    """Its behaviour, and the requests that it received."""

    stream: str = "rtsp://10.0.0.9:554/small"  # as it knows itself behind a router
    username: str = "viewer"
    password: str = "hunter2"
    name: str = "Porch%1b%5b2J"
    match: Callable[[str], bytes] | None = None  # its answer to a probe's message id, in place of a good one
    answer: bytes | None = None  # to every question, likewise
    asked: list[str] = field(default_factory=list)
    service: str = ""


@contextlib.contextmanager
def onvif_camera(camera: OnvifCamera) -> Iterator[OnvifCamera]:
    """Answer on loopback until the end of the block."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            question = self.rfile.read(int(self.headers["Content-Length"])).decode()
            camera.asked.append(question)
            content = camera.answer if camera.answer is not None else _answer(camera, question)
            self.send_response(200 if content else 401)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, _discovery(camera):
        camera.service = f"http://127.0.0.1:{server.server_port}/onvif/device_service"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield camera
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def _discovery(camera: OnvifCamera) -> Iterator[None]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((GROUP, PORT))
        group = struct.pack("4s4xi", socket.inet_aton(GROUP), socket.if_nametoindex("lo"))
        listening.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        listening.settimeout(0.05)
        ended = threading.Event()

        def serve() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as answering:
                answering.bind(("127.0.0.1", 0))
                while not ended.is_set():
                    with contextlib.suppress(TimeoutError):
                        probe, (_, port) = listening.recvfrom(65_535)
                        (message,) = re.findall(r"MessageID>(urn:[^<]+)<", probe.decode())
                        answering.sendto(_match(camera, message), ("127.0.0.1", port))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _match(camera: OnvifCamera, message: str) -> bytes:
    if camera.match is not None:
        return camera.match(message)
    services = f"http://10.0.0.9/onvif/device_service {camera.service}"
    return MATCH.format(message=message, name=camera.name, services=services).encode()


def _answer(camera: OnvifCamera, question: str) -> bytes:
    """The answer; empty for a login that is refused."""
    if "GetSystemDateAndTime" in question:
        return ENVELOPE.format(body=DATE).encode()
    if not _let_in(camera, question):
        return b""
    if "GetCapabilities" in question:
        elsewhere = camera.service.replace("127.0.0.1", "10.0.0.9")
        body = f"<d:Capabilities><t:Media><t:XAddr>{elsewhere}</t:XAddr></t:Media></d:Capabilities>"
    elif "GetProfiles" in question:
        body = PROFILES
    elif "ProfileToken>small<" in question:
        body = f"<m:MediaUri><t:Uri>{camera.stream}</t:Uri></m:MediaUri>"
    else:
        body = "<nothing/>"
    return ENVELOPE.format(body=body).encode()


def _let_in(camera: OnvifCamera, question: str) -> bool:
    said = {
        name: (re.findall(rf"<{name}[^>]*>([^<]*)</{name}>", question) or [""])[0]
        for name in ("Username", "Password", "Nonce", "Created")
    }
    secret = base64.b64decode(said["Nonce"]) + said["Created"].encode() + camera.password.encode()
    digest = base64.b64encode(hashlib.sha1(secret).digest()).decode()  # noqa: S324 (as the profile says)
    return (said["Username"], said["Password"]) == (camera.username, digest) and said["Created"].startswith(
        "2001-02-06"
    )
