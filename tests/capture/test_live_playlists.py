"""Live playlists: each segment is heard once, over connections and restarts; a stale playlist is reported."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.media import sine, write_media
from support.scripted_web import Asked, ScriptedWeb, ok, scripted_web
from support.sources import Heard, hear
from support.waiting import wait_until

from edgeaudio.capture import live_playlists
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.errors import SourceError
from edgeaudio.capture.heard_segments import HeardSegments
from edgeaudio.capture.live_playlists import BegunAnewError, LivePlaylists
from edgeaudio.capture.opening import SourceMemory
from edgeaudio.capture.playlist import MediaPlaylist
from edgeaudio.capture.playlist_parser import parse_playlist
from edgeaudio.capture.reader import Reader
from edgeaudio.clock import Clock
from edgeaudio.types import Reason, SourceState, SourceStatus

RATE = 16000
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def system_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def half_second(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "a.ts"
    write_media(path, "aac", sine(1000, RATE, 0.5), RATE)
    return path.read_bytes()


@dataclass
class Live:
    """A live playlist of segments of half a second, and its server."""

    sound: bytes
    first: int = 1
    last: int = 3
    name: str = "s{n}.ts"
    dated: datetime | None = None  # of segment 0
    numbered: bool = True
    end: str = ""
    duration_s: float = 0.5
    broken: bool = False  # the segments are no sound
    web: ScriptedWeb = field(default_factory=lambda: ScriptedWeb(0))

    def text(self) -> str:
        number = f"#EXT-X-MEDIA-SEQUENCE:{self.first}\n" if self.numbered else ""
        lines = [f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n{number}"]
        for n in range(self.first, self.last + 1):
            if self.dated is not None:
                lines.append(
                    f"#EXT-X-PROGRAM-DATE-TIME:{(self.dated + timedelta(seconds=n * self.duration_s)).isoformat()}\n"
                )
            lines.append(f"#EXTINF:{self.duration_s},\n{self.name.format(n=n, time=time.monotonic_ns())}\n")
        return "".join(lines) + self.end

    def answer(self, asked: Asked) -> bytes:
        if asked.target.startswith("/list.m3u8"):
            return ok(self.text().encode())
        return ok(b"no sound" * 1000 if self.broken else self.sound)

    def fetched(self) -> list[str]:
        """The segments that were asked for since this was asked last."""
        targets = [target.strip("/").partition("?")[0] for target in self.web.targets if "list" not in target]
        self.web.asked.clear()
        return targets

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.web.port}/list.m3u8"

    def hear(self, memory: SourceMemory, segments: int = 3, **options: Any) -> Heard:
        """Hear until the last of so many segments has begun."""
        seconds = 0.58 * (segments - 1) + 0.1  # AAC's last frame reaches beyond the half second
        limits = {"open_timeout_s": 5, "read_timeout_s": 5, **options}
        return hear(self.url, seconds, media=True, memory=memory, **limits)

    def refusal(self, memory: SourceMemory) -> SourceError:
        with pytest.raises(SourceError) as caught:
            self.hear(memory, 99)
        return caught.value


@pytest.fixture
def live(half_second: bytes) -> Iterator[Live]:
    made = Live(half_second)
    with scripted_web(made.answer) as made.web:
        yield made


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A playlist counts as stale soon; what was heard of one that stands still is only then known to be all."""
    monkeypatch.setattr(live_playlists, "MIN_STALE_S", 0.4)
    monkeypatch.setattr(live_playlists, "STALE_TARGETS", 0)
    return monkeypatch


@pytest.fixture(params=["the same process", "a new process"])
def again(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Memories for one connection after the other."""
    path = tmp_path / "heard.json"
    kept = SourceMemory(heard=HeardSegments(path))
    if request.param == "the same process":
        yield lambda: kept
    else:
        yield lambda: SourceMemory(heard=HeardSegments(path))


def test_a_first_connection_begins_with_the_last_three_segments(live: Live) -> None:
    live.last = 9
    live.hear(SourceMemory())
    assert live.fetched() == ["s7.ts", "s8.ts", "s9.ts"]


def test_no_segment_is_heard_twice(live: Live, again: Any) -> None:
    live.hear(again())
    assert live.fetched() == ["s1.ts", "s2.ts", "s3.ts"]
    live.last = 4
    live.hear(again(), 1)
    assert live.fetched() == ["s4.ts"]
    live.first, live.last = 3, 6
    live.hear(again(), 2)
    assert live.fetched() == ["s5.ts", "s6.ts"]
    live.first, live.last = 9, 13  # others have come and gone in between
    live.hear(again(), 5)
    assert live.fetched() == ["s9.ts", "s10.ts", "s11.ts", "s12.ts", "s13.ts"]


def test_a_connection_waits_for_what_is_new(live: Live, impatience: pytest.MonkeyPatch) -> None:
    memory = SourceMemory()
    live.hear(memory)
    live.fetched()
    impatience.setattr(live_playlists, "MIN_STALE_S", 1.5)
    timer = threading.Timer(0.5, lambda: setattr(live, "last", 4))
    timer.start()
    live.hear(memory, 1)
    timer.join()
    assert live.fetched() == ["s4.ts"]


def test_a_playlist_with_nothing_new_yet_is_no_stale_one(live: Live, impatience: pytest.MonkeyPatch) -> None:
    memory = SourceMemory()
    live.hear(memory)
    live.fetched()
    impatience.setattr(live_playlists, "MIN_STALE_S", 30.0)
    with pytest.raises(SourceError) as caught:
        live.hear(memory, 1, open_timeout_s=1)
    assert caught.value.reason is Reason.TIMEOUT
    assert caught.value.detail == "the playlist has nothing new as yet"
    assert live.fetched() == []


def test_a_playlist_that_stands_still_is_stale_until_it_goes_on(live: Live, again: Any) -> None:
    error = live.refusal(again())
    assert error.reason is Reason.PLAYLIST_STALE
    assert "no new segment for" in error.detail
    assert live.fetched() == ["s1.ts", "s2.ts", "s3.ts"]
    assert live.refusal(again()).reason is Reason.PLAYLIST_STALE
    assert live.fetched() == []
    live.first, live.last = 2, 5
    live.hear(again(), 2)
    assert live.fetched() == ["s4.ts", "s5.ts"]


@contextlib.contextmanager
def reading(live: Live, runtime_dir: Path) -> Iterator[list[SourceStatus]]:
    """A reader at work; yields the states that it tells."""
    states: list[SourceStatus] = []
    stop = threading.Event()
    reader = Reader(
        SourceConfig("test", live.url),
        on_block=lambda _: None,
        on_status=states.append,
        stop=stop,
        clock=Clock(),
        runtime_dir=runtime_dir,
    )
    thread = threading.Thread(target=reader.run)
    thread.start()
    try:
        yield states
    finally:
        stop.set()
        thread.join()


def test_a_reader_says_stalled_and_hears_on(live: Live, tmp_path: Path) -> None:
    with reading(live, tmp_path) as states:
        wait_until(lambda: any(status.reason is Reason.PLAYLIST_STALE for status in states))
        stale = next(status for status in states if status.reason is Reason.PLAYLIST_STALE)
        assert stale.state is SourceState.STALLED
        live.last = 6
        wait_until(lambda: "/s6.ts" in live.web.targets)
    live.last = 7
    with reading(live, tmp_path):
        wait_until(lambda: "/s7.ts" in live.web.targets)
    assert live.fetched() == [f"s{n}.ts" for n in range(1, 8)]


@pytest.mark.parametrize("change", ["other names", "other dates", "far back"])
def test_a_server_that_begins_anew_is_heard(change: str, live: Live, again: Any) -> None:
    live.first, live.last, live.dated = 4, 6, NOON if change == "other dates" else None
    live.hear(again())
    live.fetched()
    if change == "far back":
        live.first, live.last = 0, 1
    else:
        live.first, live.last = 4, 6
    if change == "other names":
        live.name = "t{n}.ts"
    elif change == "other dates":
        live.dated = NOON + timedelta(hours=1)
    live.hear(again(), 2)
    assert len(live.fetched()) >= 2


def test_a_server_that_begins_anew_while_it_is_heard_is_heard_on(live: Live, impatience: pytest.MonkeyPatch) -> None:
    impatience.setattr(live_playlists, "MIN_STALE_S", 30.0)
    memory = SourceMemory()
    live.first, live.last = 7, 9
    timer = threading.Timer(1.0, lambda: vars(live).update(first=0, last=1))
    timer.start()
    error = live.refusal(memory)
    timer.join()
    assert (error.reason, error.detail) == (Reason.END_OF_STREAM, "the server began its playlist anew")
    live.fetched()
    impatience.setattr(live_playlists, "MIN_STALE_S", 0.4)
    live.hear(memory, 2)
    assert live.fetched() == ["s0.ts", "s1.ts"]


@pytest.mark.parametrize("name", ["s{n}.ts?token={time}", "{time}/s{n}.ts"])
def test_a_segment_is_known_again_behind_another_address(name: str, live: Live) -> None:
    live.name = name
    memory = SourceMemory()
    live.hear(memory)
    live.fetched()
    live.last = 4
    live.hear(memory, 1)
    assert [target.rpartition("/")[2] for target in live.fetched()] == ["s4.ts"]


def test_a_playlist_is_known_again_under_another_name(live: Live) -> None:
    """A server gives each session an address of its own, as Wowza does."""
    memory = SourceMemory()
    sessions = iter(["17", "4711"])
    session = ""

    def answer(asked: Asked) -> bytes:
        nonlocal session
        if asked.target == "/start":
            session = next(sessions)
            live.name = f"media_w{session}_{{n}}.ts"
            return ok(b"", f"Location: /{session}/list.m3u8_w{session}.m3u8", status="302 Found")
        if "list" in asked.target:
            return ok(live.text().encode())
        return live.answer(asked)

    with scripted_web(answer) as live.web:
        for last, seconds, expected in ((3, 1.3, ["1", "2", "3"]), (4, 0.1, ["4"])):
            live.last = last
            hear(f"http://127.0.0.1:{live.web.port}/start", seconds, memory=memory, open_timeout_s=5)
            fetched = [name for name in live.fetched() if name != "start"]
            assert [name.rpartition("_")[2].removesuffix(".ts") for name in fetched] == expected


def test_a_segment_is_known_again_though_it_is_dated_anew(live: Live) -> None:
    live.dated = NOON
    memory = SourceMemory()
    live.hear(memory)
    live.fetched()
    live.last, live.dated = 4, NOON + timedelta(seconds=7)
    live.hear(memory, 1)
    assert live.fetched() == ["s4.ts"]


def test_names_that_come_again_are_new_segments(live: Live) -> None:
    memory = SourceMemory()
    live.name = "s.ts"
    live.hear(memory)
    live.first, live.last = 3, 5
    live.fetched()
    live.hear(memory, 2)
    assert len(live.fetched()) == 2


def test_a_playlist_without_numbers(live: Live) -> None:
    live.numbered = False
    memory = SourceMemory()
    live.hear(memory)
    live.fetched()
    live.first, live.last = 2, 5
    live.hear(memory, 2)
    assert live.fetched() == ["s4.ts", "s5.ts"]


def test_what_gave_no_sound_was_not_heard(live: Live) -> None:
    memory = SourceMemory()
    live.broken = True
    with pytest.raises(SourceError):
        live.hear(memory, open_timeout_s=2)
    live.fetched()
    live.broken = False
    live.hear(memory)
    assert live.fetched() == ["s1.ts", "s2.ts", "s3.ts"]


def test_a_stream_that_has_ended_is_heard_to_its_end_and_once(live: Live) -> None:
    memory = SourceMemory()
    live.hear(memory)
    live.fetched()
    live.last, live.end = 4, "#EXT-X-ENDLIST\n"
    assert live.hear(memory, 99).seconds > 0.4
    assert live.fetched() == ["s4.ts"]
    error = live.refusal(memory)
    assert (error.reason, error.detail) == (Reason.END_OF_STREAM, "the stream has ended, and was heard to its end")
    assert live.fetched() == []


def test_a_recording_is_heard_from_its_beginning_each_time(live: Live) -> None:
    memory = SourceMemory()
    live.last, live.end = 5, "#EXT-X-ENDLIST\n"
    for _ in range(2):
        live.hear(memory, 5)
        assert live.fetched() == [f"s{n}.ts" for n in range(1, 6)]


DAMAGED = [b"", b"{", b"[]", b'{"a": 1}', b'{"a": {"newest": "x", "new_s": 0, "marks": []}}', b"\x00\xff"]


@pytest.mark.parametrize("data", DAMAGED)
def test_a_damaged_file_is_forgotten(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "heard.json"
    path.write_bytes(data)
    assert HeardSegments(path).recall("a", []) == {}


def test_the_file_holds_no_name(live: Live, tmp_path: Path) -> None:
    path = tmp_path / "heard.json"
    live.name = "hunter2-{n}.ts?key=hunter2"
    live.hear(SourceMemory(heard=HeardSegments(path)))
    assert path.stat().st_size > 10
    assert "hunter2" not in path.read_text()
    assert "m3u8" not in path.read_text()


def test_a_folder_that_cannot_be_written_costs_nothing(live: Live, tmp_path: Path) -> None:
    memory = SourceMemory(heard=HeardSegments(tmp_path / "gone" / "heard.json"))
    live.hear(memory)
    live.fetched()
    live.last = 4
    live.hear(memory, 1)
    assert live.fetched() == ["s4.ts"]


# without a server


def shown(live: LivePlaylists, first: int, last: int, **about: Any) -> list[int] | None:
    text = Live(b"", first, last, duration_s=1.0, **about).text().encode()
    playlist = parse_playlist(text, lambda uri: uri, 10)
    assert isinstance(playlist, MediaPlaylist)
    given = live.show("a", playlist)
    return None if given is None else [segment.number for segment in given.segments]


def test_what_ffmpeg_is_shown_never_goes_back() -> None:
    live = LivePlaylists(HeardSegments())
    assert shown(live, 1, 5) == [3, 4, 5]
    assert shown(live, 1, 6) == [3, 4, 5, 6]
    assert shown(live, 1, 4) == [3, 4, 5, 6]  # of a server that is behind
    assert shown(live, 5, 8) == [5, 6, 7, 8]
    assert shown(live, 1, 0) == [5, 6, 7, 8]  # of one that has nothing
    with pytest.raises(BegunAnewError):
        shown(live, 0, 1)
    assert shown(live, 5, 9, name="other{n}.ts") == [5, 6, 7, 8, 9]  # of one that names them anew each time


def test_a_playlist_that_is_dated_anew_is_begun_anew() -> None:
    live = LivePlaylists(HeardSegments())
    assert shown(live, 1, 5, dated=NOON) == [3, 4, 5]
    assert shown(live, 2, 6, dated=NOON + timedelta(seconds=3)) == [3, 4, 5, 6]
    with pytest.raises(BegunAnewError):
        shown(live, 2, 6, dated=NOON + timedelta(hours=1))


def test_no_more_is_caught_up_on_than_half_a_minute() -> None:
    heard = HeardSegments()
    live = LivePlaylists(heard)
    shown(live, 1, 3)
    playlist = parse_playlist(Live(b"").text().encode(), lambda uri: uri, 10)
    assert isinstance(playlist, MediaPlaylist)
    live.track("a", ("x", 0), playlist.segments[-1])
    live.begin(("x", 0))
    heard.sound()
    heard.end()
    assert shown(LivePlaylists(heard), 1, 100) == list(range(71, 101))
    assert shown(LivePlaylists(heard), 1, 10) == list(range(4, 11))


def test_a_playlist_that_grows_for_ever_is_shown_from_where_it_is_heard() -> None:
    live = LivePlaylists(HeardSegments())
    shown(live, 1, 3)
    playlist = parse_playlist(Live(b"", 1, 1000).text().encode(), lambda uri: uri, 10)
    assert isinstance(playlist, MediaPlaylist)
    live.track("a", ("x", 0), playlist.segments[899])
    live.begin(("x", 0))
    assert (shown(live, 1, 1001) or [])[0] == 897
