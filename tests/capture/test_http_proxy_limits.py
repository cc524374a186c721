"""Answers beyond a limit, and those that would crash FFmpeg, are refused, and cost little memory."""

import itertools
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.scripted_web import Answer, Asked, ok, scripted_web
from support.sources import hear
from support.web import web_server
from support.web_sources import files, media_list, refusal, seconds

from edgeaudio.capture import playlist_parser
from edgeaudio.types import Reason

RATE = 16000

pytestmark = pytest.mark.usefixtures("system_without_a_proxy")


def endless(start: bytes, piece: bytes) -> Answer:
    def answer(_: Asked) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n\r\n" + start
        yield from itertools.repeat(piece)

    return answer


def test_an_endless_head_is_too_large() -> None:
    def answer(_: Asked) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n"
        yield from itertools.repeat(b"X-Header: x\r\n" * 1000)

    with scripted_web(answer) as web:
        assert refusal(f"http://127.0.0.1:{web.port}/x").reason is Reason.TOO_LARGE
    many = b"".join(b"X-%d: x\r\n" % number for number in range(1000))
    with scripted_web(lambda _: b"HTTP/1.1 200 OK\r\n" + many + b"\r\n") as web:
        assert refusal(f"http://127.0.0.1:{web.port}/x").reason is Reason.TOO_LARGE


def peak_mb() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1000


ENDLESS = {
    "segments": b"#EXTINF:1,\nsegment.ts\n" * 1000,
    "segments with maps": b'#EXT-X-MAP:URI="x"\n#EXTINF:1,\nsegment.ts\n' * 1000,
    "keys": b'#EXT-X-KEY:METHOD=AES-128,URI="x"\n' * 1000,
    "variants": b"#EXT-X-STREAM-INF:BANDWIDTH=1\nx.m3u8\n" * 1000,
    "renditions": b'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="x.m3u8"\n' * 1000,
    "blank lines": b"\n" * 60000,
    "one line": b"x" * 60000,
    "comments": b"# x\n" * 10000,
}


@pytest.mark.parametrize("what", ENDLESS)
def test_an_endless_list_is_too_large_and_costs_little(what: str) -> None:
    with scripted_web(endless(b"#EXTM3U\n", ENDLESS[what])) as web:
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from now
        before_mb = peak_mb()
        error = refusal(f"http://127.0.0.1:{web.port}/list.m3u8")
    assert error.reason is Reason.TOO_LARGE
    assert peak_mb() - before_mb < 40


@pytest.mark.parametrize("what", ["segments", "variants", "renditions"])
def test_a_list_with_too_much_in_it_is_too_large(what: str) -> None:
    body = b"#EXTM3U\n" + ENDLESS[what] * 60
    with scripted_web(lambda _: ok(body)) as web:
        error = refusal(f"http://127.0.0.1:{web.port}/list.m3u8")
    assert error.reason is Reason.TOO_LARGE
    assert re.search(r"more than [\d,]+ (segments|lists)", error.detail)


def test_the_largest_list_that_is_read(sound: dict[str, bytes]) -> None:
    """A day of segments of 4 s, with addresses as they are signed."""
    entries = [line for n in range(21600) for line in ("#EXTINF:4.0,", f"a.ts?n={n:08}&{'s' * 200}")]
    body = media_list(*entries)
    assert len(body) < playlist_parser.MAX_BYTES
    with scripted_web(files(list_m3u8=ok(body), a_ts=ok(sound["a.ts"]))) as web:
        assert hear(f"http://127.0.0.1:{web.port}/list.m3u8", 1.5, media=True).seconds >= 1.5


def test_lists_of_lists_are_not_followed_without_end() -> None:
    numbers = itertools.count()
    with scripted_web(lambda _: ok(f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{next(numbers)}.m3u8\n".encode())) as web:
        error = refusal(f"http://127.0.0.1:{web.port}/list.m3u8")
    assert error.reason is Reason.INVALID_DATA
    assert len(web.asked) == 2


@pytest.mark.parametrize("first", ["/list.m3u8", "/master.m3u8"])
def test_a_list_that_becomes_another_kind_of_list_does_not_crash_ffmpeg(first: str, sound: dict[str, bytes]) -> None:
    numbers = itertools.count()

    def answer(asked: Asked) -> bytes:
        if asked.target.endswith(".ts"):
            return ok(sound["a.ts"])
        if asked.target == "/master.m3u8":
            return ok(b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlist.m3u8\n")
        if next(numbers) == 0:
            return ok(media_list("#EXTINF:1,", "a.ts", end=""))
        return ok(b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nother.m3u8\n")

    with scripted_web(answer) as web:
        error = refusal(f"http://127.0.0.1:{web.port}{first}")
    assert error.reason is Reason.INVALID_DATA
    assert "a list of lists where a list of segments belongs" in error.detail


def test_a_list_that_names_audio_tracks_when_it_is_read_again_does_not_crash_ffmpeg(sound: dict[str, bytes]) -> None:
    numbers = itertools.count()
    track = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x",URI="other.m3u8"'

    def answer(asked: Asked) -> bytes:
        if asked.target.endswith(".ts"):
            return ok(sound["a.ts"])
        number = next(numbers)
        tracks = [track] if number else []
        lines = [line for n in range(number + 1) for line in ("#EXTINF:1,", f"{n}.ts")]
        return ok(media_list(*tracks, *lines, end="" if number < 2 else "#EXT-X-ENDLIST\n"))

    with scripted_web(answer) as web:
        assert hear(f"http://127.0.0.1:{web.port}/list.m3u8", media=True).seconds > 2.7
    assert "/other.m3u8" not in web.targets


@pytest.mark.parametrize("how", ["METHOD=SAMPLE-AES-CTR", 'METHOD=AES-128,KEYFORMAT="com.apple"'])
def test_what_is_encrypted_in_another_way_is_refused(how: str, sound: dict[str, bytes]) -> None:
    """FFmpeg takes it for plain."""
    listed = media_list(f'#EXT-X-KEY:{how},URI="key"', "#EXTINF:1,", "a.ts")
    with scripted_web(files(list_m3u8=ok(listed), key=ok(bytes(16)), a_ts=ok(sound["a.ts"]))) as web:
        error = refusal(f"http://127.0.0.1:{web.port}/list.m3u8")
    assert error.reason is Reason.INVALID_DATA
    assert "encrypted in a way that cannot be read" in error.detail


def test_a_part_that_is_encrypted_within_is_refused(sound: dict[str, bytes]) -> None:
    """FFmpeg crashes over it."""
    listed = media_list("#EXTINF:1,", "a.ts", '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="key"', "#EXTINF:1,", "a.ts")
    with scripted_web(files(list_m3u8=ok(listed), key=ok(bytes(16)), a_ts=ok(sound["a.ts"]))) as web:
        error = refusal(f"http://127.0.0.1:{web.port}/list.m3u8")
    assert error.reason is Reason.INVALID_DATA
    assert "only a part of it is encrypted" in error.detail


EMPTY = media_list()


@pytest.mark.parametrize("empty", ["sound.m3u8", "all.m3u8"])
def test_an_empty_list_of_a_track_does_not_crash_ffmpeg(empty: str, sound: dict[str, bytes]) -> None:
    master = (
        b'#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x",URI="sound.m3u8"\n'
        b'#EXT-X-STREAM-INF:BANDWIDTH=64000,AUDIO="a"\nall.m3u8\n'
    )
    listed = {
        name: ok(EMPTY if name == empty else media_list("#EXTINF:1,", "a.ts")) for name in ("sound.m3u8", "all.m3u8")
    }
    answers = {"list.m3u8": ok(master), "a.ts": ok(sound["a.ts"]), **listed}
    assert seconds(lambda asked: answers[asked.target.strip("/")], "/list.m3u8") > 0.9


def test_a_playlist_without_segments_is_told() -> None:
    with scripted_web(lambda _: ok(EMPTY)) as web:
        error = refusal(f"http://127.0.0.1:{web.port}/list.m3u8")
    assert (error.reason, error.explanation) == (
        Reason.INVALID_DATA,
        f"the playlist of 127.0.0.1:{web.port} has no segments",
    )


def test_a_list_of_addresses_is_told_from_a_playlist(sound: dict[str, bytes]) -> None:
    with scripted_web(lambda _: ok(b"#EXTM3U\n#EXTINF:-1,Radio\nhttp://127.0.0.1:9/live\n")) as web:
        error = refusal(f"http://127.0.0.1:{web.port}/radio.m3u")
    assert error.reason is Reason.INVALID_DATA
    assert "no HLS playlist; give one of them" in error.detail


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
def test_a_list_of_empty_segments_is_not_run_through(status: str) -> None:
    listed = ok(media_list(*(f"#EXTINF:1,\n{n}.ts" for n in range(20000))))
    with scripted_web(lambda asked: listed if "list" in asked.target else ok(b"", status=status)) as web:
        began_s = time.monotonic()
        refusal(f"http://127.0.0.1:{web.port}/list.m3u8", open_timeout_s=1)
        assert len(web.asked) <= 210 + 50 * (time.monotonic() - began_s)


def test_the_proxy_leaves_no_thread_of_many_connections(sound: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_bytes(sound["a.ts"])
    (tmp_path / "list.m3u8").write_bytes(media_list(*["#EXTINF:1,", "a.ts"] * 30))
    with web_server(tmp_path) as port:
        assert hear(f"http://127.0.0.1:{port}/list.m3u8", media=True).seconds > 29
    assert not [thread for thread in threading.enumerate() if thread.name == "proxy"]
