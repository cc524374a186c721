"""Certificates are verified at every connection that a source leads to, and nothing is read of a stranger."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.camera import Script, camera
from support.certificates import authority, issue, names
from support.media import sine, write_media
from support.scripted_web import Asked, ScriptedWeb, ok, scripted_web
from support.serving import pump_both, serving
from support.sources import hear
from support.web import Certificate, make_certificate, tls_front

from edgeaudio.capture.errors import SourceError
from edgeaudio.types import Reason

FUTURE = timedelta(days=1)
PROXY_NAMES = ("http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY")


@pytest.fixture(autouse=True)
def system_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate of an authority made by plain openssl, whose file the sources trust."""
    folder = tmp_path_factory.mktemp("ours")
    made = authority()
    made.write(folder, "ca")
    return Certificate(*issue("server", made, extensions=[names("localhost")]).write(folder, "server"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("stranger"))


def trust(ours: Certificate) -> Path:
    return ours.certificate.with_name("ca.crt")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("sound")
    write_media(folder / "a.ts", "aac", sine(1000, 16000, 1.0), 16000)
    write_media(folder / "a.wav", "pcm_s16le", sine(1000, 8000, 1.0), 8000)
    fragments = {"movflags": "+frag_keyframe+empty_moov+default_base_moof", "frag_duration": "500000"}
    write_media(folder / "a.mp4", "aac", sine(1000, 16000, 1.0), 16000, options=fragments)
    return {name: (folder / name).read_bytes() for name in ("a.ts", "a.wav", "a.mp4")}


def playlist(entry: str, end: str = "#EXT-X-ENDLIST\n") -> str:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:1\n{entry}\n{end}"


LISTS = {
    "segment": playlist("#EXTINF:1,\n{there}/a.ts"),
    "segment after a good one": playlist("#EXTINF:1,\na.ts\n#EXTINF:1,\n{there}/a.ts"),
    "segment by a name without a scheme": playlist("#EXTINF:1,\n{bare}/a.ts"),
    "key": playlist('#EXT-X-KEY:METHOD=AES-128,URI="{there}/key"\n#EXTINF:1,\na.ts'),
    "map": playlist('#EXT-X-MAP:URI="{there}/a.mp4"\n#EXTINF:1,\na.ts'),
    "list": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=64000\n{there}/b.m3u8\n",
    "audio track": '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x",URI="{there}/b.m3u8"\n'
    '#EXT-X-STREAM-INF:BANDWIDTH=64000,AUDIO="a"\nnext.m3u8\n',
    "list behind a list": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=64000\nnext.m3u8\n",
    "segment that redirects": playlist("#EXTINF:1,\naway"),
    "redirected list": "",
}


def refusal(url: str, **options: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        hear(url, media=True, **{"open_timeout_s": 5, "read_timeout_s": 5, **options})
    return caught.value


@contextlib.contextmanager
def leading(what: str, there: ScriptedWeb, sound: dict[str, bytes], ours: Certificate) -> Iterator[str]:
    """A trusted server, whose list leads to `there`; yields the URL of the list."""
    address = f"https://localhost:{there.port}"

    def answer(asked: Asked) -> bytes:
        name = asked.target.strip("/")
        if name == "list.m3u8" and what == "redirected list":
            return ok(b"", f"Location: {address}/list.m3u8", status="302 Found")
        if name == "list.m3u8":
            return ok(LISTS[what].format(there=address, bare=address.removeprefix("https:")).encode())
        if name == "next.m3u8":
            return ok(LISTS["segment"].format(there=address).encode())
        if name == "away":
            return ok(b"", f"Location: {address}/a.ts", status="307 Temporary Redirect")
        return ok(sound[name]) if name in sound else ok(b"", status="404 Not Found")

    with scripted_web(answer, context=ours.server_context()) as web:
        yield f"https://localhost:{web.port}/list.m3u8"


@pytest.mark.parametrize("what", LISTS)
def test_nothing_is_read_of_a_stranger(
    what: str, sound: dict[str, bytes], ours: Certificate, stranger: Certificate
) -> None:
    with (
        scripted_web(lambda _: ok(sound["a.ts"]), context=stranger.server_context()) as there,
        leading(what, there, sound, ours) as url,
    ):
        error = refusal(url, ca_file=trust(ours))
        assert error.reason is Reason.TLS_UNTRUSTED
        assert error.detail == "certificate of localhost: self-signed certificate"
        assert there.asked == []
        with contextlib.suppress(SourceError):
            hear(url, media=True, tls_verify=False, open_timeout_s=5)
        assert there.asked != []


def test_every_connection_is_verified_and_right_ones_work(
    sound: dict[str, bytes], ours: Certificate, tmp_path: Path
) -> None:
    def there_answers(asked: Asked) -> bytes:
        if asked.target == "/key":
            return ok(bytes(range(16)))
        return ok(
            LISTS["segment after a good one"].format(there=".").encode() if "list" in asked.target else sound["a.ts"]
        )

    with scripted_web(there_answers, context=ours.server_context()) as there:
        for what in ("segment", "segment by a name without a scheme", "segment that redirects", "redirected list"):
            with leading(what, there, sound, ours) as url:
                assert hear(url, media=True, ca_file=trust(ours)).seconds > 0.9, what


def test_a_server_whose_certificate_changes_is_left_at_the_next_reload(
    sound: dict[str, bytes], ours: Certificate, stranger: Certificate
) -> None:
    live = playlist("#EXTINF:1,\na.ts", end="")

    def answer(asked: Asked) -> bytes:
        if asked.target == "/a.ts":
            web.context = stranger.server_context()
            return ok(sound["a.ts"])
        return ok(live.encode())

    with scripted_web(answer, context=ours.server_context()) as web:
        error = refusal(f"https://localhost:{web.port}/list.m3u8", ca_file=trust(ours))
    assert error.reason is Reason.TLS_UNTRUSTED
    assert web.targets == ["/list.m3u8", "/a.ts"]


@pytest.mark.parametrize("what", ["segment", "key", "map", "list", "segment that redirects", "redirected list"])
def test_an_encrypted_source_leads_to_nothing_unencrypted(
    what: str, sound: dict[str, bytes], ours: Certificate
) -> None:
    with scripted_web(lambda _: ok(sound["a.ts"])) as there:

        def answer(asked: Asked) -> bytes:
            address = f"http://localhost:{there.port}"
            if asked.target == "/list.m3u8" and what != "redirected list":
                return ok(LISTS[what].format(there=address).encode())
            if asked.target in {"/away", "/list.m3u8"}:
                return ok(b"", f"Location: {address}/a.ts", status="302 Found")
            return ok(sound["a.ts"])

        with scripted_web(answer, context=ours.server_context()) as web:
            error = refusal(f"https://localhost:{web.port}/list.m3u8", ca_file=trust(ours))
    assert there.asked == []
    assert error.explanation == f"led from https to localhost:{there.port}, which is not encrypted; not followed"


def test_a_plain_source_that_leads_to_tls_has_that_verified(
    sound: dict[str, bytes], ours: Certificate, stranger: Certificate
) -> None:
    for identity, reason in ((ours, None), (stranger, Reason.TLS_UNTRUSTED)):
        with scripted_web(lambda _: ok(sound["a.wav"]), context=identity.server_context()) as there:
            location = f"Location: https://localhost:{there.port}/a.wav?key=1#part"
            with scripted_web(lambda _: ok(b"", location, status="301 Moved")) as web:  # noqa: B023 (asked within the round)
                url = f"http://localhost:{web.port}/a.wav"
                if reason is None:
                    assert hear(url, media=True, ca_file=trust(ours)).seconds == pytest.approx(1.0)
                    assert there.targets == ["/a.wav?key=1"]
                else:
                    assert refusal(url, ca_file=trust(ours)).reason is reason


def test_a_host_is_named_as_its_clients_name_it(sound: dict[str, bytes], ours: Certificate) -> None:
    with scripted_web(lambda _: ok(sound["a.wav"]), context=ours.server_context()) as web:
        hear(f"https://localhost:{web.port}/a.wav", media=True, ca_file=trust(ours))
    assert f"\r\nHost: localhost:{web.port}\r\n" in web.asked[0].text
    assert "roxy" not in web.asked[0].text


def test_a_missing_file_of_certificates_is_told(tmp_path: Path) -> None:
    error = refusal("https://localhost:9/a.wav", ca_file=tmp_path / "none.pem")
    assert error.reason in {Reason.TLS_UNTRUSTED, Reason.REFUSED}


@contextlib.contextmanager
def redirecting_camera(location: str) -> Iterator[int]:
    """An RTSP server that leads elsewhere."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.05)
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError), server.accept()[0] as connection:
                connection.settimeout(5)
                while request := connection.recv(4096).decode():
                    sequence = next(line for line in request.splitlines() if line.lower().startswith("cseq"))
                    moved = f"302 Moved\r\nLocation: {location}" if request.startswith("DESCRIBE") else "200 OK"
                    connection.sendall(f"RTSP/1.0 {moved}\r\n{sequence}\r\n\r\n".encode())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        ended.set()
        thread.join()
        server.close()


def test_an_encrypted_camera_leads_nowhere_unverified(ours: Certificate, stranger: Certificate) -> None:
    script = Script()
    with camera(script) as plain:
        port = int(plain.split(":")[2].partition("/")[0])
        with tls_front(port, stranger.server_context()) as strange:
            for location in (plain, f"rtsps://localhost:{strange}/camera"):
                with redirecting_camera(location) as moved, tls_front(moved, ours.server_context()) as front:
                    refusal(f"rtsps://localhost:{front}/camera", ca_file=trust(ours), open_timeout_s=1)
    assert script.seen == []


# the system's proxy


@contextlib.contextmanager
def proxy() -> Iterator[ScriptedWeb]:
    """A proxy that knows CONNECT and absolute addresses, and notes what it is asked."""
    noted = ScriptedWeb(0)

    def session(near: socket.socket, _: threading.Event) -> None:
        near.settimeout(10)
        with near, contextlib.suppress(OSError):
            text = near.recv(65536).decode("latin-1")
            method, target, _rest = text.split(" ", 2)
            noted.asked.append(Asked(target, text))
            host, port = target.removeprefix("http://").split("/")[0].split(":")
            with socket.create_connection((host, int(port)), 5) as far:
                if method == "CONNECT":
                    near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    far.sendall(text.replace(f"http://{host}:{port}", "", 1).encode("latin-1"))
                pump_both(near, far)

    with serving(session) as noted.port:
        yield noted


def test_certificates_are_verified_through_the_systems_proxy(
    sound: dict[str, bytes], ours: Certificate, stranger: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy() as between, scripted_web(lambda _: ok(sound["a.wav"]), context=ours.server_context()) as web:
        monkeypatch.setenv("https_proxy", f"http://user:pass@127.0.0.1:{between.port}")
        url = f"https://localhost:{web.port}/a.wav"
        assert hear(url, media=True, ca_file=trust(ours)).seconds == pytest.approx(1.0)
        assert between.targets == [f"localhost:{web.port}"]
        assert "\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n" in between.asked[0].text
        web.context = stranger.server_context()
        assert refusal(url, ca_file=trust(ours)).reason is Reason.TLS_UNTRUSTED
        assert len(web.asked) == 1
        monkeypatch.setenv("no_proxy", "example.org,localhost")
        before = dict(os.environ)
        web.context = ours.server_context()
        assert hear(url, media=True, ca_file=trust(ours)).seconds == pytest.approx(1.0)
        assert len(between.asked) == 2
        assert dict(os.environ) == before
        # past our proxy FFmpeg would verify nothing
        web.context = stranger.server_context()
        assert refusal(url, ca_file=trust(ours)).reason is Reason.TLS_UNTRUSTED


def test_what_is_plain_goes_through_the_systems_proxy(sound: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy() as between, scripted_web(lambda _: ok(sound["a.wav"])) as web:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{between.port}")
        url = f"http://localhost:{web.port}/a.wav?x=1"
        assert hear(url, media=True).seconds == pytest.approx(1.0)
        assert between.targets == [url]
        assert web.targets == ["/a.wav?x=1"]


def test_a_proxy_that_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://user:hunter2@127.0.0.1:1080")
    error = refusal("https://localhost:9/a.wav")
    assert error.reason is Reason.UNREACHABLE
    assert "hunter2" not in str(error)


@pytest.mark.parametrize("evidence", [None, "was not synchronised since its start"])
@pytest.mark.parametrize("scheme", ["https", "rtsps"])
def test_a_certificate_of_tomorrow_may_be_the_clocks_fault(
    scheme: str, evidence: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("edgeaudio.tls_errors.why_behind", lambda: evidence)
    made = authority()
    ca_file = made.write(tmp_path, "ca")[0]
    later = issue("server", made, extensions=[names("localhost")], first_day=FUTURE, last_day=2 * FUTURE)
    context = Certificate(*later.write(tmp_path, "server")).server_context()
    with camera(Script()) as url, tls_front(int(url.split(":")[2].split("/")[0]), context) as port:
        error = refusal(f"{scheme}://localhost:{port}/x", ca_file=ca_file)
    assert error.reason is (Reason.CLOCK if evidence else Reason.TLS_UNTRUSTED)
    assert ("wait until NTP sets it" in error.hint) is bool(evidence)
