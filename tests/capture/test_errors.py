"""Every reason with its detail and its hint, from real servers, sockets, files and certificates.

Sound cards: test_alsa.py. HTTP: test_http_proxy*.py.
"""

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.camera import Packet, Script, camera
from support.certificates import authority, issue, names
from support.media import sine, write_media
from support.ports import free_port
from support.sources import hear
from support.web import Certificate, tls_front, web_server

from edgeaudio.capture.errors import SourceError
from edgeaudio.types import Reason

Expected = tuple[Reason, str, str]
SHA256 = 'Digest realm="camera", nonce="a", algorithm=SHA-256'
MD5 = 'Digest realm="camera", nonce="a", algorithm="MD5"'


def told(url: str, *, media: bool = False, **config: Any) -> Expected:
    settings: dict[str, Any] = {"open_timeout_s": 2.0, "read_timeout_s": 0.7, **config}
    with pytest.raises(SourceError) as caught:
        hear(url, 5, media=media, **settings)
    assert caught.value.__context__ is None
    assert "hunter2" not in str(caught.value)
    return caught.value.reason, caught.value.detail, caught.value.hint


def port_of(url: str) -> str:
    return url.rpartition(":")[2].partition("/")[0]


class Certificates:
    """An authority, and the certificates that it issued."""

    def __init__(self, folder: Path) -> None:
        ours = authority()
        other = authority("another authority")
        self.ca = ours.write(folder, "ca")[0]
        host = [names("localhost")]
        day = timedelta(days=1)
        self.good = Certificate(*issue("good", ours, extensions=host).write(folder, "good"))
        self.made = {
            "other": issue("x", other, extensions=host),
            "name": issue("x", ours, extensions=[names("elsewhere.example")]),
            "late": issue("x", ours, extensions=host, first_day=-9 * day, last_day=-day),
            "early": issue("x", ours, extensions=host, first_day=day, last_day=9 * day),
            "itself": authority("localhost", None, names("localhost")),
        }
        self.bad = {name: Certificate(*made.write(folder, name)) for name, made in self.made.items()}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


# RTSP, by what a server answers


@pytest.mark.parametrize(
    ("answer", "reason", "detail", "hint"),
    [
        ("403 Forbidden", Reason.UNAUTHORIZED, "the server forbids access (403)", "check the username and password"),
        ("404 Not Found", Reason.NOT_FOUND, "the server knows no such stream (404)", "check the path"),
        ("453 Not Enough Bandwidth", Reason.SERVER_BUSY, "the server serves no further viewer (453, to DESCRIBE)", ""),
        ("503 Unavailable", Reason.SERVER_BUSY, "the server serves no further viewer (503, to DESCRIBE)", ""),
        ("400 Bad Request", Reason.INVALID_DATA, "the server refused the request (4xx)", "check that the address"),
        ("454 No Session", Reason.INVALID_DATA, "the server refused the request (454, to DESCRIBE)", "check the path"),
        ("500 Internal Error", Reason.INVALID_DATA, "the server failed (500, to DESCRIBE)", "server's log"),
    ],
)
def test_rtsp_answers(answer: str, reason: Reason, detail: str, hint: str) -> None:
    with camera(Script(refuse=answer)) as url:
        found = told(url.replace("//", "//me:hunter2@"))
    assert found[:2] == (reason, detail)
    assert hint in found[2]


@pytest.mark.parametrize(
    ("challenges", "detail", "hint"),
    [
        (
            [SHA256],
            "the server asks for a kind of login that is not supported, Digest SHA-256 (401)",
            "Digest with MD5",
        ),
        ([MD5, SHA256], "the server asks for a kind of login that is not supported, Digest SHA-256 (401)", "MD5"),
        ([SHA256, MD5], "the server refused the login (401)", "check the username and password"),
        (["Bearer realm=x"], "the server asks for a kind of login that is not supported, Bearer (401)", "to Basic"),
        (['Basic realm="x"'], "the server refused the login (401)", "check the username and password"),
        ([], "the server refused the login (401)", "check the username and password"),
    ],
)
@pytest.mark.parametrize("tls", [False, True])
def test_logins_by_what_the_server_asks_for(
    challenges: list[str], detail: str, hint: str, tls: bool, certificates: Certificates
) -> None:
    refuse = "\r\n".join(["401 Unauthorized", *(f"WWW-Authenticate: {challenge}" for challenge in challenges)])
    with camera(Script(refuse=refuse), tls=certificates.good.server_context() if tls else None) as url:
        found = told(url.replace("//", "//me:hunter2@"), ca_file=certificates.ca)
        assert found[:2] == (Reason.UNAUTHORIZED, detail)
        assert hint in found[2]
        expected = (
            Reason.UNAUTHORIZED,
            "the server asks for a login, and none is given (401)",
            "set username and password for this source",
        )
        assert told(url, ca_file=certificates.ca) == expected


def test_a_server_that_asks_for_sha_256_over_http(tmp_path: Path) -> None:
    with web_server(tmp_path, login="Digest never", challenge=SHA256) as port:
        found = told(f"http://127.0.0.1:{port}/x.wav", username="me", password="hunter2")
        assert found[:2] == (
            Reason.UNAUTHORIZED,
            "the server asks for a kind of login that is not supported, Digest SHA-256 (401)",
        )
        assert "none is given" in told(f"http://127.0.0.1:{port}/x.wav")[1]


def test_a_redirect_that_leads_nowhere_is_told_of_where_it_led() -> None:
    port = free_port()
    with camera(Script(refuse=f"302 Found\r\nLocation: rtsp://127.0.0.1:{port}/x")) as url:
        assert told(url) == (
            Reason.REFUSED,
            f"the server redirects, and nothing listens on 127.0.0.1:{port}",
            "mend the redirect, or set the address that it means",
        )
    with camera(Script(refuse="302 Found\r\nLocation: rtsp://me:hunter2@nohost.invalid/x")) as url:
        assert told(url)[:2] == (
            Reason.NAME_NOT_FOUND,
            "the server redirects to nohost.invalid, which does not resolve",
        )


def test_packets_that_cannot_be_decoded_are_no_silence_of_the_sender() -> None:
    sdp = (
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\na=control:*\r\nm=audio 0 RTP/AVP 96\r\n"
        "a=rtpmap:96 mpeg4-generic/16000\r\na=control:audio\r\na=fmtp:96 streamtype=5; mode=AAC-hbr; config=1408; "
        "sizeLength=13; indexLength=3; indexDeltaLength=3\r\n"
    )
    units = b"\x00\x10" + (64 << 3).to_bytes(2, "big")

    def packets() -> Iterator[Packet]:
        for index in range(10**6):
            yield Packet(index * 1024, units + b"\xf0" + bytes([index % 251] * 63), 0.02)

    with camera(Script(sdp=sdp, packets=packets)) as url:
        reason, detail, hint = told(url)
    assert reason is Reason.INVALID_DATA
    count = int(detail.split()[0])
    assert 10 < count < 1000
    assert detail == f"{count} packets came, and none of them could be decoded"
    assert hint.startswith("restart the camera")


def test_a_server_that_closes_without_a_word() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)

        def close() -> None:
            with contextlib.suppress(OSError):
                while True:
                    server.accept()[0].close()

        thread = threading.Thread(target=close)
        thread.start()
        reason, _, hint = told(f"rtsp://127.0.0.1:{server.getsockname()[1]}/x")
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert reason is Reason.INVALID_DATA
    assert "address" in hint or "port" in hint


# UDP


def test_udp_without_a_sender() -> None:
    port = free_port(socket.SOCK_DGRAM)
    reason, detail, hint = told(f"udp://127.0.0.1:{port}")
    assert (reason, detail) == (Reason.TIMEOUT, f"nothing that could be read came to port {port} within 2 s")
    assert f"firewall lets UDP to port {port} of this machine pass" in hint
    assert told(f"udp://239.255.1.2:{port}")[0] is Reason.TIMEOUT


def test_udp_ports_and_addresses_that_cannot_be_listened_on() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        assert told(f"udp://{where}") == (
            Reason.DEVICE_BUSY,
            f"another program listens on {where}",
            "stop it, or choose another port",
        )
    for url in ("udp://198.51.100.7:5004", "rtsp+listen://198.51.100.7:8554/x"):
        assert told(url) == (
            Reason.UNREACHABLE,
            "this machine has no address 198.51.100.7",
            "write an address of this machine, or 0.0.0.0 for all of them",
        )


def test_rtsp_over_udp_through_which_nothing_comes() -> None:
    """A camera whose packets a firewall keeps back, as far as can be seen: it sends them elsewhere."""
    with camera(Script(udp=True)) as url:
        reason, detail, hint = told(url, transport="udp")
    assert (reason, detail) == (Reason.TIMEOUT, "no sound within 0.7 s")
    assert hint == 'let a firewall pass UDP from the camera to this machine, or set transport = "tcp" for this source'


# a port of a pushed source


def test_a_port_that_another_program_listens_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        assert told(f"rtsp+listen://{where}/x") == (
            Reason.DEVICE_BUSY,
            f"another program listens on {where}",
            "stop it, or choose another port",
        )


# TLS


@pytest.mark.parametrize("scheme", ["rtsps", "https"])
@pytest.mark.parametrize(
    ("which", "hint"),
    [
        ("other", "name the authority that signed it as this source's `ca_file`"),
        ("name", "write the host in `url` as the certificate has it"),
        ("late", "renew the certificate of the server or of its authority"),
        ("early", "set this machine's clock"),
        ("itself", "name a copy of that certificate as this source's `ca_file`"),
    ],
)
def test_each_fault_of_a_certificate_has_its_own_hint(
    which: str, hint: str, scheme: str, certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeaudio.tls_errors.why_behind", lambda: None)
    with contextlib.ExitStack() as stack:
        if scheme == "https":
            port = stack.enter_context(web_server(tmp_path, certificate=certificates.bad[which]))
        else:
            plain = stack.enter_context(camera(Script()))
            port = stack.enter_context(tls_front(int(port_of(plain)), certificates.bad[which].server_context()))
        found = told(f"{scheme}://localhost:{port}/x", ca_file=certificates.ca)
    assert found[0] is Reason.TLS_UNTRUSTED
    assert found[1].startswith("certificate of localhost: ")
    assert hint in found[2]
    assert "broker" not in found[1] + found[2]
    assert "mqtt" not in found[2]


@pytest.mark.parametrize("scheme", ["rtsps", "https"])
def test_a_port_without_tls(scheme: str, tmp_path: Path) -> None:
    with web_server(tmp_path) as port:
        assert told(f"{scheme}://127.0.0.1:{port}/x") == (
            Reason.INVALID_DATA,
            "127.0.0.1 does not speak TLS on this port",
            "use the server's port for TLS, or an address without it (rtsp://, http://)",
        )


# files


def touched(folder: Path) -> Path:
    (folder / "empty.wav").touch()
    return folder / "empty.wav"


def text(folder: Path) -> Path:
    (folder / "text.wav").write_text("no recording")
    return folder / "text.wav"


def unreadable(folder: Path) -> Path:
    path = folder / "locked.wav"
    write_media(path, "pcm_s16le", sine(1000, 8000, 0.5), 8000)
    path.chmod(0)
    return path


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda folder: folder / "none.wav", (Reason.NOT_FOUND, "there is no such file", "check the path")),
        (lambda folder: folder, (Reason.NOT_FOUND, "this is a directory", "name a recording in it")),
        (touched, (Reason.INVALID_DATA, "the file is empty", "copy or record it again")),
        (
            text,
            (
                Reason.INVALID_DATA,
                "not a recording that can be read, or its end is cut off",
                "check that it plays elsewhere",
            ),
        ),
    ],
)
def test_files(make: Callable[[Path], Path], expected: Expected, tmp_path: Path) -> None:
    assert told(str(make(tmp_path)), media=True) == expected


def test_what_is_wrong_with_a_recording_is_not_mended_in_a_camera(tmp_path: Path) -> None:
    silent = tmp_path / "silent.mp4"
    write_media(silent, "aac", sine(1000, 16000, 0.5), 16000, video=True, sound=False)
    assert told(str(silent), media=True) == (
        Reason.NO_AUDIO_TRACK,
        "no audio track, only video",
        "name a recording that has sound",
    )


@pytest.mark.parametrize("scheme", ["rtsps", "https"])
def test_a_file_of_authorities_that_holds_none(scheme: str, certificates: Certificates, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("no certificate")
    with camera(Script(), tls=certificates.good.server_context()) as url:
        found = told(url.replace("rtsps", scheme), ca_file=nothing)
    assert found == (
        Reason.TLS_UNTRUSTED,
        f"the file of trusted certificates {nothing} cannot be read",
        "see that it holds certificates as PEM, and that edgeaudio may read it",
    )


def test_a_file_that_must_not_be_read_is_no_question_of_a_password(tmp_path: Path) -> None:
    """In a process of its own: root may read everything, and tests may run as root."""
    path = unreadable(tmp_path)
    script = (
        "import os, sys, threading\n"
        "from edgeaudio.capture.config import SourceConfig\n"
        "from edgeaudio.capture.connection import open_source\n"
        "from edgeaudio.capture.errors import SourceError\n"
        "if os.geteuid() == 0:\n    os.setegid(65534); os.seteuid(65534)\n"
        "try:\n    open_source(SourceConfig('a', sys.argv[1]), threading.Event())\n"
        "except SourceError as error:\n    print(error.reason, error.detail, error.hint, sep='|')\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == (
        "unauthorized|not allowed to read this file|let the user that edgeaudio runs as read it, and enter its folders"
    )
