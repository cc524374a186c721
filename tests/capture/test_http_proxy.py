"""Playlists and redirects to hosts of another address class are not followed, and reported once."""

import contextlib
import errno
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.media import sine, write_media
from support.sources import hear
from support.waiting import wait_until
from support.web import Certificate, make_certificate, web_server

from edgeaudio.capture import origin
from edgeaudio.capture.errors import SourceError
from edgeaudio.capture.http_proxy import HttpProxy
from edgeaudio.capture.origin import kind_of
from edgeaudio.capture.source_urls import parse_url
from edgeaudio.types import Reason

ELSEWHERE = "127.0.0.2"  # of another kind, in these tests


@pytest.fixture(autouse=True)
def system_without_a_proxy() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
            patch.delenv(name, raising=False)
        yield


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "this machine"),
        ("::1", "this machine"),
        ("0.0.0.0", "this machine"),
        ("::ffff:127.0.0.1", "this machine"),
        ("192.168.1.1", "the local network"),
        ("10.0.0.1", "the local network"),
        ("169.254.169.254", "the local network"),
        ("100.64.0.1", "the local network"),
        ("fe80::1%eth0", "the local network"),
        ("fd00::1", "the local network"),
        ("::ffff:10.0.0.1", "the local network"),
        ("1.1.1.1", "the internet"),
        ("2606:4700::1111", "the internet"),
    ],
)
def test_kinds_of_hosts(address: str, kind: str) -> None:
    assert kind_of(address) == kind


class Canary:
    """A server that must not be reached."""

    def __init__(self) -> None:
        self._server = socket.create_server((ELSEWHERE, 0))
        self._server.settimeout(0)
        self.port: int = self._server.getsockname()[1]

    @property
    def reached(self) -> bool:
        try:
            self._server.accept()[0].close()
        except (BlockingIOError, TimeoutError):
            return False
        return True

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Canary]:
    truth = origin.kind_of
    monkeypatch.setattr(
        origin, "kind_of", lambda address: "the local network" if address == ELSEWHERE else truth(address)
    )
    made = Canary()
    yield made
    made.close()


def playlist(entry: str) -> str:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n{entry}\n#EXT-X-ENDLIST\n"


LISTS = {
    "segment": playlist("#EXTINF:1,\n{there}/a.ts"),
    "segment after a good one": playlist("#EXTINF:0.6,\ngood.ts\n#EXTINF:1,\n{there}/a.ts"),
    "key": playlist('#EXT-X-KEY:METHOD=AES-128,URI="{there}/key"\n#EXTINF:1,\ngood.ts'),
    "map": playlist('#EXT-X-MAP:URI="{there}/a.mp4"\n#EXTINF:1,\ngood.ts'),
    "list": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=64000\n{there}/b.m3u8\n",
    "list behind a list": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=64000\nnext.m3u8\n",
    "segment that redirects": playlist("#EXTINF:1,\naway.ts"),
}


def attempt(url: str, **options: Any) -> None:
    with contextlib.suppress(SourceError):
        hear(url, 2, media=True, open_timeout_s=1, read_timeout_s=1, **options)


def refusal(url: str, **options: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        hear(url, 5, media=True, **{"open_timeout_s": 5, "read_timeout_s": 5, **options})
    return caught.value


@pytest.fixture
def served(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    folder.mkdir()
    write_media(folder / "good.ts", "aac", sine(1000, 16000, 0.6), 16000)
    return folder


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize(
    ("scheme", "what"), [*(("http", what) for what in LISTS), ("https", "segment"), ("https", "list")]
)
def test_a_list_leads_to_no_other_kind_of_host(
    scheme: str, what: str, canary: Canary, served: Path, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = f"{scheme}://{ELSEWHERE}:{canary.port}"
    (served / "list.m3u8").write_text(LISTS[what].format(there=there))
    (served / "next.m3u8").write_text(LISTS["segment"].format(there=there))
    identity = certificate if scheme == "https" else None
    with web_server(served, certificate=identity, redirects={"/away.ts": f"{there}/a.ts"}) as port:
        url = f"{scheme}://127.0.0.1:{port}/list.m3u8"
        attempt(url, tls_verify=False)
        assert not canary.reached
        monkeypatch.undo()  # now it is a host like the other: that it would have been reached
        attempt(url, tls_verify=False)
        assert canary.reached


def test_a_redirect_leads_to_no_other_kind_of_host_and_that_is_told(canary: Canary, tmp_path: Path) -> None:
    with web_server(tmp_path, redirects={"/a.wav": f"http://{ELSEWHERE}:{canary.port}/a.wav"}) as port:
        error = refusal(f"http://127.0.0.1:{port}/a.wav")
    assert not canary.reached
    assert error.reason is Reason.INVALID_DATA
    assert error.explanation.startswith("led to 127.0.0.2, a host of the local network; not followed")


def test_the_proxy_ends_with_the_connection(served: Path) -> None:
    with web_server(served) as port:
        hear(f"http://127.0.0.1:{port}/good.ts", 0.3, media=True)
        with pytest.raises(SourceError):
            hear(f"http://127.0.0.1:{port}/nowhere.ts")
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name == "proxy"])


def client_of(opened: HttpProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(opened.url.rsplit(":", 1)[1])), 5)


def proxy_for(url: str) -> HttpProxy:
    return HttpProxy(parse_url(url), tls_verify=True, ca_file=None)


def test_a_proxy_closes_at_once_though_nobody_reads() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with proxy_for(url) as opened, client_of(opened) as client:
            client.sendall(f"GET {url} HTTP/1.1\r\n\r\n".encode())
            with server.accept()[0] as far:
                assert far.recv(100).startswith(b"GET / HTTP/1.1\r\n")
                began_s = time.monotonic()
                opened.__exit__()
                assert time.monotonic() - began_s < 1.0


@pytest.mark.parametrize(
    "request_",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET http://[/ HTTP/1.1\r\n\r\n",
        b"GET http://a\xff/ HTTP/1.1\r\n\r\n",
        b"GET http://" + b"a" * 300 + b"/ HTTP/1.1\r\n\r\n",
        b"GET http://127.0.0.1:99999/ HTTP/1.1\r\n\r\n",
        b"GET /here HTTP/1.1\r\n\r\n",
        b"CONNECT 127.0.0.1:9 HTTP/1.1\r\n\r\n",
        b"\xff" * 70000,
    ],
)
def test_garbage_is_closed_without_an_answer(request_: bytes) -> None:
    with proxy_for("http://127.0.0.1/") as opened, client_of(opened) as client, contextlib.suppress(ConnectionError):
        client.sendall(request_)
        assert client.recv(100) == b""


def test_a_machine_without_a_free_port_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(socket, "create_server", full)
    with pytest.raises(SourceError, match="Too many open files") as caught:
        hear("http://127.0.0.1:9/x")
    assert caught.value.reason is Reason.UNREACHABLE
