"""Other protocols, reasons by evidence, TLS, and hostile servers."""

import contextlib
import itertools
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.camera import Script, camera
from support.certificates import authority, issue, names
from support.icecast import live_server
from support.media import sine, write_media
from support.ports import free_port
from support.programs import require_program
from support.rtsp import push, running
from support.scripted_web import Asked, scripted_web
from support.sources import hear, pitch_hz
from support.waiting import wait_until
from support.web import Certificate, make_certificate, tls_front, web_server

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import open_source
from edgeaudio.capture.errors import SourceError
from edgeaudio.capture.network_probe import probe_address
from edgeaudio.capture.opening import SourceMemory
from edgeaudio.capture.source_urls import parse_url
from edgeaudio.types import Block, Reason


def refusal(url: str, **config: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        hear(url, 5, **{"open_timeout_s": 2, "read_timeout_s": 1, **config})
    assert caught.value.__context__ is None
    assert "\n" not in str(caught.value)
    return caught.value


def test_rtmp() -> None:
    port = free_port()
    url = f"rtmp://127.0.0.1:{port}/live/camera"
    # PyAV cannot be an RTMP server
    command = [require_program("ffmpeg"), "-hide_banner", "-loglevel", "error", "-nostdin", "-re"]
    command += ["-f", "lavfi", "-i", "sine=frequency=1000:sample_rate=44100"]
    command += ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=10"]
    command += ["-c:a", "aac", "-c:v", "libx264", "-preset", "ultrafast", "-g", "5", "-t", "30"]
    with running([*command, "-f", "flv", "-listen", "1", url], stderr=subprocess.DEVNULL):
        wait_until(lambda: listens(port))
        heard = hear(url, 1.5)
    assert heard.connection.info.codec == "aac"
    assert pitch_hz(heard.samples[11025:], 44100) == pytest.approx(1000, abs=3)
    assert heard.epochs == [0]


def listens(port: int) -> bool:
    """Whether something listens, without connecting: FFmpeg serves only one."""
    address = f"{0x0100007F:08X}:{port:04X}"
    return any(line.split()[1] == address for line in Path("/proc/net/tcp").read_text().splitlines()[1:])


def test_mpegts_over_udp() -> None:
    port = free_port(socket.SOCK_DGRAM)
    with push(f"udp://127.0.0.1:{port}?pkt_size=1316", "mpegts", "aac", 44100):
        heard = hear(f"udp://127.0.0.1:{port}", 1.5)
    assert pitch_hz(heard.samples[11025:], 44100) == pytest.approx(1000, abs=3)
    assert heard.epochs == [0]


def test_live_hls(tmp_path: Path) -> None:
    playlist = tmp_path / "live.m3u8"
    with push(str(playlist), "hls", "aac", 44100), web_server(tmp_path) as port:
        wait_until(lambda: playlist.exists() and playlist.read_text().count("#EXTINF") >= 3)
        heard = hear(f"http://127.0.0.1:{port}/live.m3u8", 2.5)
        assert not heard.connection.recorded
        # a list is some segments old
        assert 0 < (datetime.now(UTC) - heard.blocks[-1].at).total_seconds() < 15
    assert pitch_hz(heard.samples[11025:], 44100) == pytest.approx(1000, abs=3)
    assert heard.epochs == [0]


def test_a_recording_over_http(tmp_path: Path) -> None:
    write_media(tmp_path / "a.mp4", "aac", sine(1000, 48000, 2.0), 48000, video=True)
    with web_server(tmp_path) as port:
        heard = hear(f"http://127.0.0.1:{port}/a.mp4", media=True)
        assert heard.seconds == pytest.approx(2.0, abs=0.1)
        assert refusal(f"http://127.0.0.1:{port}/b.mp4").reason is Reason.NOT_FOUND


# stored or live


def noise_mp3(path: Path, seconds: float) -> bytes:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, round(16000 * seconds))).astype(np.float32)
    write_media(path, "libmp3lame", noise, 16000, bit_rate=64000, options={"write_xing": "0", "id3v2_version": "0"})
    return path.read_bytes()


@pytest.mark.parametrize("stored_s", [0.0, 4.0])
def test_what_a_server_had_in_store_is_dated_before_it_came(stored_s: float, tmp_path: Path) -> None:
    content = noise_mp3(tmp_path / "a.mp3", 30)
    with live_server(content, 8000, stored_s=stored_s) as url:
        began, arrived = datetime.now(UTC), []
        with open_source(SourceConfig("test", url), threading.Event()) as connection:
            for block in connection:
                arrived.append((block, datetime.now(UTC)))
                if sum(each.duration_s for each, _ in arrived) > stored_s + 3:
                    break
    assert not connection.recorded
    first = arrived[0][0]
    assert (began - first.at).total_seconds() == pytest.approx(stored_s, abs=1.0)
    block, came = arrived[-1]
    assert (came - block.at).total_seconds() < 1.5  # neither paced nor dated late
    assert {each.epoch for each, _ in arrived} == {0}


def test_what_came_before_a_server_fell_silent_is_heard(tmp_path: Path) -> None:
    content = noise_mp3(tmp_path / "a.mp3", 4)
    with live_server(content, 8000, stored_s=4.0, open_end=True) as url:
        blocks: list[Block] = []
        with (
            open_source(SourceConfig("test", url, read_timeout_s=1.0), threading.Event()) as connection,
            pytest.raises(SourceError) as caught,
        ):
            blocks.extend(connection)
    assert caught.value.reason is Reason.TIMEOUT
    assert sum(block.duration_s for block in blocks) > 3.0


def test_a_piece_that_comes_late_moves_no_time_and_leaves_no_hole(tmp_path: Path) -> None:
    content = noise_mp3(tmp_path / "a.mp3", 24)

    def answer(_: Asked) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nicy-name: x\r\nContent-Type: audio/mpeg\r\n\r\n" + content[: 12 * 8000]
        began_s = time.monotonic()
        for number, at in enumerate(range(12 * 8000, 18 * 8000, 8000), 1):  # a second at a time
            late_s = 1.3 if number == 2 else 0.0
            time.sleep(max(0.0, began_s + number + late_s - time.monotonic()))
            yield content[at : at + 8000]

    with scripted_web(answer) as web:
        began = datetime.now(UTC)
        heard = hear(f"http://127.0.0.1:{web.port}/live", 17.0)
    assert heard.epochs == [0]
    assert (began - heard.blocks[0].at).total_seconds() == pytest.approx(12, abs=1.0)
    for before, after in itertools.pairwise(heard.blocks):
        step_s = (after.at - before.at).total_seconds()
        assert step_s == pytest.approx(before.duration_s, abs=0.2)  # the beginning is found to be a little earlier
    first, last = heard.blocks[0], heard.blocks[-1]
    assert (last.at - first.at).total_seconds() == pytest.approx(heard.seconds - last.duration_s, abs=0.3)


def test_what_was_heard_before_a_connection_broke_off_is_not_heard_again(tmp_path: Path) -> None:
    content = noise_mp3(tmp_path / "a.mp3", 40)
    memory = SourceMemory()
    with live_server(content, 8000, stored_s=5.0) as url:
        first = hear(url, 6.0, memory=memory)
        second = hear(url, 2.0, memory=memory)
    end = first.blocks[-1].at + timedelta(seconds=first.blocks[-1].duration_s)
    assert abs((second.blocks[0].at - end).total_seconds()) < 0.5
    # the sound itself goes on: what came last is nowhere in what came first
    tail = second.samples[8000:16000, ...].ravel()
    power = float(np.dot(tail, tail))
    ahead = np.correlate(first.samples.ravel(), tail, mode="valid")
    assert float(np.abs(ahead).max()) < 0.3 * power


def test_a_recording_over_http_goes_on_where_its_connection_broke_off(tmp_path: Path) -> None:
    write_media(tmp_path / "a.wav", "pcm_s16le", sine(1000, 8000, 3.0), 8000)
    memory = SourceMemory()
    with web_server(tmp_path) as port:
        url = f"http://127.0.0.1:{port}/a.wav"
        first = hear(url, 1.0, memory=memory)
        assert first.connection.recorded
        rest = hear(url, memory=memory)
        assert first.seconds + rest.seconds == pytest.approx(3.0, abs=0.6)  # no more than one frame is cut
        assert rest.connection.finished


def test_the_end_is_an_end_where_a_slow_server_let_the_first_look_run_out(tmp_path: Path) -> None:
    write_media(tmp_path / "a.wav", "pcm_u8", sine(1000, 8000, 2.0), 8000)
    content = (tmp_path / "a.wav").read_bytes()

    def slowly(_: Asked) -> Iterator[bytes]:
        yield f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        for at in range(0, len(content), 400):
            yield content[at : at + 400]
            time.sleep(0.05)

    with scripted_web(slowly) as web:
        heard = hear(f"http://127.0.0.1:{web.port}/a.wav", media=True, open_timeout_s=0.5)
    assert heard.seconds == pytest.approx(2.0, abs=0.01)
    assert heard.connection.finished


@pytest.mark.parametrize("kind", ["audio/mpeg", "application/octet-stream"])
def test_bytes_without_sound_in_them_are_told_from_silence_of_the_server(kind: str) -> None:
    def zeros(_: Asked) -> Iterator[bytes]:
        yield f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode()
        while True:
            yield bytes(4000)
            time.sleep(0.02)

    with scripted_web(zeros) as web:
        error = refusal(f"http://127.0.0.1:{web.port}/a.mp3", open_timeout_s=1)
    assert error.reason is Reason.TIMEOUT
    assert "bytes came, and no sound was found in them" in str(error)


def test_a_login_over_http(tmp_path: Path) -> None:
    write_media(tmp_path / "a.wav", "pcm_s16le", sine(1000, 8000, 0.5), 8000)
    with web_server(tmp_path, login="Basic dXNlcjpwQHNz") as port:
        url = f"http://127.0.0.1:{port}/a.wav"
        assert hear(url, media=True, username="user", password="p@ss").seconds == pytest.approx(0.5)
        error = refusal(url, username="user", password="hunter2")
        assert error.reason is Reason.UNAUTHORIZED
        assert "hunter2" not in str(error)


# reasons


def test_nothing_listens() -> None:
    for scheme in ("rtsp", "rtsps", "rtmp", "http", "https"):
        error = refusal(f"{scheme}://127.0.0.1:{free_port()}/x")
        assert error.reason is Reason.REFUSED, scheme


def test_a_name_that_does_not_resolve() -> None:
    for scheme in ("rtsp", "rtsps", "rtmp", "http", "https"):
        error = refusal(f"{scheme}://user:hunter2@nohost.invalid/x")
        assert error.reason is Reason.NAME_NOT_FOUND, scheme
        assert "hunter2" not in str(error)


@pytest.fixture
def mute() -> Iterator[int]:
    """A server that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("scheme", ["rtsp", "rtmp", "http"])
def test_a_mute_server(scheme: str, mute: int) -> None:
    began = time.monotonic()
    error = refusal(f"{scheme}://127.0.0.1:{mute}/x", open_timeout_s=1)
    assert error.reason is Reason.TIMEOUT
    assert time.monotonic() - began < 2.5


def test_a_server_of_something_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for _ in range(3):  # audio alone, the probe for evidence, the whole stream
                with contextlib.suppress(OSError), server.accept()[0] as connection:
                    connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                    connection.recv(4096)

        server.settimeout(5)
        thread = threading.Thread(target=answer)
        thread.start()
        assert refusal(f"rtsp://127.0.0.1:{server.getsockname()[1]}/x").reason is Reason.INVALID_DATA
        thread.join()


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["https", "rtsps"])
def tls_server(request: pytest.FixtureRequest, certificate: Certificate, tmp_path: Path) -> Iterator[str]:
    """`{host}` in the URL is to be filled in."""
    if request.param == "https":
        write_media(tmp_path / "camera", "pcm_s16le", sine(1000, 8000, 1.0), 8000, container="wav")
        with web_server(tmp_path, certificate=certificate) as port:
            yield f"https://{{host}}:{port}/camera"
    else:
        with (
            camera(Script()) as url,
            tls_front(int(url.split(":")[2].split("/")[0]), certificate.server_context()) as port,
        ):
            yield f"rtsps://{{host}}:{port}/camera"


def test_a_certificate_is_verified(tls_server: str, certificate: Certificate) -> None:
    url = tls_server.format(host="localhost")
    assert hear(url, 0.3, ca_file=certificate.certificate).seconds >= 0.3
    error = refusal(url)
    assert error.reason is Reason.TLS_UNTRUSTED
    assert "self-signed" in error.detail
    assert hear(url, 0.3, tls_verify=False).seconds >= 0.3


def test_the_name_in_a_certificate_is_verified(tls_server: str, certificate: Certificate) -> None:
    error = refusal(tls_server.format(host="127.0.0.1"), ca_file=certificate.certificate)
    assert error.reason is Reason.TLS_UNTRUSTED


def test_an_authority_made_by_plain_openssl_is_not_taken_for_the_fault(tmp_path: Path) -> None:
    ours = authority()
    ca_file = ours.write(tmp_path, "ca")[0]
    identity = Certificate(*issue("server", ours, extensions=[names("localhost")]).write(tmp_path, "server"))
    with web_server(tmp_path, certificate=identity) as port:
        url = parse_url(f"https://localhost:{port}/x.wav")
        assert probe_address(url, tls_verify=True, ca_file=ca_file) is None


def test_a_server_without_tls_is_told(tmp_path: Path) -> None:
    with web_server(tmp_path) as port:
        assert refusal(f"https://127.0.0.1:{port}/x").reason is Reason.INVALID_DATA


# hostile servers


@pytest.mark.parametrize(
    "target", ["file://{secret}", "{secret}", "concat:{secret}", "subfile,,start,0,end,0,,:{secret}"]
)
@pytest.mark.parametrize("name", ["list.m3u8", "list"])
def test_a_playlist_reads_no_local_file(target: str, name: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    write_media(secret, "pcm_s16le", sine(1000, 8000, 1.0), 8000)
    served = tmp_path / "served"
    served.mkdir()
    target = target.format(secret=secret)
    (served / name).write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{target}\n#EXT-X-ENDLIST\n")
    with web_server(served) as port:
        assert refusal(f"http://127.0.0.1:{port}/{name}").reason in {Reason.INVALID_DATA, Reason.NOT_FOUND}


def test_redirects_are_followed_but_not_for_ever(tmp_path: Path) -> None:
    write_media(tmp_path / "a.wav", "pcm_s16le", sine(1000, 8000, 0.5), 8000)
    with web_server(tmp_path, redirects={"/once.wav": "/a.wav", "/loop.wav": "/loop.wav"}) as port:
        assert hear(f"http://127.0.0.1:{port}/once.wav", media=True).seconds == pytest.approx(0.5)
        assert refusal(f"http://127.0.0.1:{port}/loop.wav").reason is Reason.INVALID_DATA


def test_an_encrypted_source_is_not_led_to_an_unencrypted_one(tmp_path: Path, certificate: Certificate) -> None:
    write_media(tmp_path / "a.wav", "pcm_s16le", sine(1000, 8000, 0.5), 8000)
    with web_server(tmp_path) as plain:
        leads = {"/r.wav": f"http://127.0.0.1:{plain}/a.wav"}
        with web_server(tmp_path, certificate=certificate, redirects=leads) as port:
            refusal(f"https://localhost:{port}/r.wav", ca_file=certificate.certificate)


def test_a_redirect_reads_no_local_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    write_media(secret, "pcm_s16le", sine(1000, 8000, 1.0), 8000)
    with web_server(tmp_path, redirects={"/a.wav": f"file://{secret}"}) as port:
        refusal(f"http://127.0.0.1:{port}/a.wav")


def test_a_session_description_opens_no_port(tmp_path: Path) -> None:
    (tmp_path / "s.sdp").write_text("v=0\no=- 1 1 IN IP4 127.0.0.1\ns=x\nt=0 0\nm=audio 5004 RTP/AVP 0\n")
    with web_server(tmp_path) as port:
        assert refusal(f"http://127.0.0.1:{port}/s.sdp").reason is Reason.INVALID_DATA
