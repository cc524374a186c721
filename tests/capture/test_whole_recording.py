"""Recordings whose index is at their end, from servers with and without byte ranges."""

import gzip
import re
from collections.abc import Callable, Iterator

import pytest
from support.media import sine, write_media
from support.scripted_web import Asked, ok, scripted_web
from support.sources import hear, pitch_hz

from edgeaudio.capture import whole_recording
from edgeaudio.capture.errors import SourceError
from edgeaudio.capture.whole_recording import index_is_last
from edgeaudio.types import Reason

RATE = 16000
SECONDS = 60  # far more than FFmpeg keeps of what it has read


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("recordings")
    samples = sine(1000, RATE, SECONDS)
    write_media(folder / "a.m4a", "aac", samples, RATE)
    write_media(folder / "picture.mp4", "aac", samples, RATE, video=True)
    write_media(folder / "a.mov", "pcm_s16le", samples, RATE)
    write_media(folder / "front.m4a", "aac", samples, RATE, options={"movflags": "faststart"})
    write_media(folder / "fragments.mp4", "aac", samples, RATE, options={"movflags": "frag_keyframe+empty_moov"})
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def in_pieces(content: bytes) -> Iterator[bytes]:
    yield f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\n\r\n".encode()
    yield from (content[at : at + 1] for at in range(100))
    yield from (content[at : at + 20_000] for at in range(100, len(content), 20_000))


def chunked(content: bytes) -> bytes:
    chunks = [content[at : at + 30_000] for at in range(0, len(content), 30_000)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"


WHOLE: dict[str, Callable[[bytes], bytes | Iterator[bytes]]] = {
    "at once": ok,
    "in pieces": in_pieces,
    "in chunks": chunked,
    "without a length": lambda content: b"HTTP/1.0 200 OK\r\n\r\n" + content,
    "packed": lambda content: ok(gzip.compress(content), "Content-Encoding: gzip"),
    "without ranges": lambda content: ok(content, "Accept-Ranges: none"),
}


@pytest.mark.parametrize("how", WHOLE)
@pytest.mark.parametrize("name", ["a.m4a", "picture.mp4", "a.mov"])
def test_an_index_at_the_end_is_read_from_a_server_that_gives_no_parts(
    how: str, name: str, recordings: dict[str, bytes]
) -> None:
    with scripted_web(lambda _: WHOLE[how](recordings[name])) as web:
        heard = hear(f"http://127.0.0.1:{web.port}/{name}", media=True)
        assert len(web.asked) == 1
    assert heard.seconds == pytest.approx(SECONDS, abs=0.1)
    assert pitch_hz(heard.samples[: 10 * RATE], RATE) == pytest.approx(1000, abs=3)
    assert heard.connection.recorded


def test_where_a_server_gives_parts_no_more_is_asked_for(recordings: dict[str, bytes]) -> None:
    content = recordings["a.m4a"]

    def parts(asked: Asked) -> bytes:
        match = re.search(r"Range: bytes=(\d+)-", asked.text)
        assert match is not None
        begin = int(match[1])
        part = f"Content-Range: bytes {begin}-{len(content) - 1}/{len(content)}"
        return ok(content[begin:], part, status="206 Partial Content")

    with scripted_web(parts) as web:
        assert hear(f"http://127.0.0.1:{web.port}/a.m4a", media=True).seconds == pytest.approx(SECONDS, abs=0.1)
        assert len(web.asked) > 1


@pytest.mark.parametrize("name", ["front.m4a", "fragments.mp4"])
def test_what_can_be_read_from_front_to_back_is_not_kept(
    name: str, recordings: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_recording, "MAX_WHOLE_BYTES", 0)
    with scripted_web(lambda _: ok(recordings[name])) as web:
        assert hear(f"http://127.0.0.1:{web.port}/{name}", media=True).seconds == pytest.approx(SECONDS, abs=0.1)


@pytest.mark.parametrize("how", WHOLE)
def test_one_that_does_not_fit_is_told(how: str, recordings: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_recording, "MAX_WHOLE_BYTES", 1 << 17)
    with scripted_web(lambda _: WHOLE[how](recordings["a.m4a"])) as web, pytest.raises(SourceError) as caught:
        hear(f"http://127.0.0.1:{web.port}/a.m4a", media=True)
    assert caught.value.reason is Reason.TOO_LARGE
    assert "its index at its end" in str(caught.value)
    assert "faststart" in str(caught.value)
    assert len(web.asked) == 1


def test_one_that_breaks_off_is_not_taken_for_whole(recordings: dict[str, bytes]) -> None:
    content = ok(recordings["a.m4a"])
    with scripted_web(lambda _: content[:-5000]) as web, pytest.raises(SourceError) as caught:
        hear(f"http://127.0.0.1:{web.port}/a.m4a", media=True)
    assert caught.value.reason is Reason.END_OF_STREAM


def test_where_the_index_is(recordings: dict[str, bytes]) -> None:
    last = {name for name, content in recordings.items() if index_is_last(content[:256])}
    assert last == {"a.m4a", "picture.mp4", "a.mov"}
    assert index_is_last(b"\0\0\0\1mdat" + bytes(8))  # its size follows
    for front in (b"", b"ftyp", b"RIFF\0\0\0\0WAVE", b"\0\0\0\0ftyp", b"\0\0\1\0ftyp", b"\0\0\0\x08free"):
        assert not index_is_last(front)
