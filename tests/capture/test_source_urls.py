"""Source addresses: accepted, refused with a message, and shown without a login."""

import contextlib
import traceback
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.schemes import SCHEMES, family_of
from edgeaudio.capture.source_urls import SourceUrl, UrlError, parse_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rtsp://cam/live", SourceUrl("rtsp", "cam", None, "/live")),
        ("RTSP://Cam:8554/Live?x=1", SourceUrl("rtsp", "cam", 8554, "/Live?x=1")),
        ("rtsps://[::1]:322/a", SourceUrl("rtsps", "::1", 322, "/a")),
        ("https://h/a.m3u8", SourceUrl("https", "h", None, "/a.m3u8")),
        ("udp://0.0.0.0:5004", SourceUrl("udp", "0.0.0.0", 5004, "")),
        ("udp://:5004", SourceUrl("udp", "", 5004, "")),
        ("udp://@239.0.0.1:5004", SourceUrl("udp", "239.0.0.1", 5004, "")),  # as FFmpeg's documents have it
        (
            "RTSP://u:p%40%2F@[fe80::1%25eth0]/a",
            SourceUrl("rtsp", "fe80::1%25eth0", None, "/a", username="u", password="p@/"),
        ),
        ("rtsp://u:a:b!$&'()*+,;=~@h/", SourceUrl("rtsp", "h", None, "/", username="u", password="a:b!$&'()*+,;=~")),
        ("rtsp://kamera-\u00e4.example/x", SourceUrl("rtsp", "kamera-\u00e4.example", None, "/x")),
        ("rtsp://cam/x?y=/z?%40", SourceUrl("rtsp", "cam", None, "/x?y=/z?%40")),
        ("file:///tmp/50%25#1?.wav", SourceUrl("file", path=Path("/tmp/50%#1?.wav"))),
        ("/recordings/a:b@c.wav", SourceUrl("file", path=Path("/recordings/a:b@c.wav"))),
        ("./a:b@c.wav", SourceUrl("file", path=Path("a:b@c.wav"))),
        ("rec@home.wav", SourceUrl("file", path=Path("rec@home.wav"))),
        ("rtsp+listen://127.0.0.1/x", SourceUrl("rtsp+listen", "127.0.0.1", 8554, "/x")),
        ("a.wav", SourceUrl("file", path=Path("a.wav"))),
        ("/tmp/50% off.wav", SourceUrl("file", path=Path("/tmp/50% off.wav"))),
        ("file:///tmp/a%20b.wav", SourceUrl("file", path=Path("/tmp/a b.wav"))),
        ("alsa:hw:1,0", SourceUrl("alsa", device="hw:1,0")),
        (
            "alsa:plughw:CARD=mic?sample_rate=192000&channels=1",
            SourceUrl("alsa", device="plughw:CARD=mic", sample_rate=192000, channels=1),
        ),
    ],
)
def test_addresses_that_are_taken(url: str, expected: SourceUrl) -> None:
    assert parse_url(url) == expected


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "a source needs a url"),
        ("rtsp://a\nb", "a source needs a url"),
        ("ftp://host/x", "unsupported kind of address 'ftp'"),
        ("concat:a|b", "unsupported kind of address 'concat'"),
        ("rtsp://", "names no host"),
        ("http:/host/x", "names no host"),
        ("rtsp://host:99999/x", "not a valid address"),
        ("rtsp://host:x/x", "not a valid address"),
        ("rtsp://[::1/x", "not a valid address"),
        ("rtsp://ho st/x", "not a valid address"),
        ("rtsp://u:a#b@host/x", "not a valid address"),
        ("rtsp://host/x#y", "write %23"),
        ("udp://0.0.0.0", "names no port"),
        ("udp://u:p@0.0.0.0:1", "take no username or password"),
        ("file://server/share.wav", "file:///path/to/file"),
        ("alsa:", "names no sound card"),
        ("alsa:default?rate=1", "unknown 'rate'"),
        ("alsa:default?channels=0", "channels must be a whole number from 1 to 64"),
        ("alsa:default?sample_rate=4.5", "sample_rate must be a whole number"),
    ],
)
def test_addresses_that_are_refused_say_why(url: str, says: str) -> None:
    with pytest.raises(UrlError, match=r".") as caught:
        parse_url(url)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "username", "password", "says"),
    [
        ("rtsp://u:p@host/x", "u", "p", "given twice"),
        ("rtsp://host/x", None, "p", "no username"),
        ("/a.wav", "u", "p", "take no username"),
    ],
)
def test_logins_that_contradict(url: str, username: str | None, password: str | None, says: str) -> None:
    with pytest.raises(UrlError, match=says):
        parse_url(url, username, password)


TEXT = st.characters(exclude_categories=["C"])


@given(st.text(TEXT.filter(lambda character: character != ":"), min_size=1), st.text(TEXT))
def test_a_login_reaches_ffmpeg_whole_and_shows_nowhere(username: str, secret: str) -> None:
    password = f"0x{secret}x0"
    beside = SourceConfig(name="a", url="rtsp://cam/live", username=username, password=password)
    inside = SourceConfig(name="a", url=f"rtsp://{quote(username, safe='')}:{quote(password, safe='')}@cam/live")
    assert inside.address == beside.address
    assert parse_url(beside.address.with_login()) == beside.address
    for config in (beside, inside):
        assert password not in repr(config) + str(config.address) + repr(config.address)


@given(st.text())
def test_any_text_is_an_address_or_a_clear_refusal(text: str) -> None:
    with contextlib.suppress(UrlError):
        assert str(parse_url(text))


SECRET = "hunter"
AMBIGUOUS = [
    "rtsp://user:se@cret/hunter@host/x",
    "rtsp://user:hunter/2@host/x",
    "rtsp://user:12/hunter@host/x",
    "rtsp://hunter/2@host/x",
    "rtsp://user:hunter?2@host/x",
    "rtsp://user:hunter#2@host/x",
    "rtsp://user:hunter 2@host/x",
    "rtsp://user:hunter\\2@host/x",
    'rtsp://user:hunter"2@host/x',
    "rtsp://user:hunter\t2@host/x",
    "rtsp://user:hunter\u200b2@host/x",
    "rtsp://user:hunter@2@host/x",
    "rtsp://user:pass@host/hunter@2",
    "rtsp://user:pass@host/x?hunter=a@b",
    "rtsp://host/hunter@home",
    "rtsp://user:hunter",
    "rtsp://user:hunter/x",
    "rtsp://user:hunter%40host/x",
    "rtsp://hunter%40host/x",
    "rtsp://host:/hunter",
    "rtsp://user:hunter[@host/x",
    "rtsp://[hunter]/x",
    "rtsp://host\uff20hunter/x",
    "rtsp:///user:hunter@host/x",
    "rtsp:/user:hunter@host/x",
    "rtsp:user:hunter@host/x",
    "rtsp//user:hunter@host/x",
    "rtsp;//user:hunter@host/x",
    " rtsp://user:hunter@host/x",
    "rtsp://user:hunter@host/x ",
    "\ufeffrtsp://user:hunter@host/x",
    '"rtsp://user:hunter@host/x"',
    "user:hunter@host/x",
    "us_er:hunter@host/x",
    "//user:hunter@host/x",
    "/rtsp://user:hunter@host/x",
    "srt://user:hunter@host/x",
    "srt://user:hunter/2@host/x",
    "srt:user:hunter@host",
    "file://user:hunter@host/x",
    "alsa:user:hunter@host",
    "alsa://user:hunter@host",
    "udp://user:hunter@239.0.0.1:5004",
    "rtsp+listen://user:hunter@127.0.0.1/x",
]


@pytest.mark.parametrize("url", AMBIGUOUS)
def test_what_can_be_read_in_two_ways_is_refused_and_no_part_of_it_shown(url: str) -> None:
    with pytest.raises(UrlError) as caught:
        parse_url(url)
    told = "".join(traceback.format_exception(caught.value))
    assert SECRET not in told.replace(f'"{url}"', "")
    assert "host/x" not in str(caught.value).replace("rtsp://host/path", "") or "***@host/x" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "rtsp://admin:hunter2@cam/Streaming/Channels/101?channel=1",
            "rtsp://admin:***@cam/Streaming/Channels/101?channel=1",
        ),
        ("rtsp://hunter2@cam/live/porch", "rtsp://***@cam/live/porch"),
        ("rtsps://h:7441/vY1Zr2AtkXbLp0Qs?enableSrtp", "rtsps://h:7441/***?***"),
        ("hunter2@cam/live", "***@cam/live"),
        ("192.168.1.2/x?token=hunter2", "192.168.1.2/x?token=***"),
        ("/tape/token=1/a.wav", "/tape/token=1/a.wav"),
        ("alsa:hw:1,0?channels=1", "alsa:hw:1,0"),
    ],
)
def test_what_is_shown_of_an_address(url: str, shown: str) -> None:
    assert str(parse_url(url)) == shown


def test_special_passwords_survive_in_text_that_people_paste() -> None:
    with pytest.raises(UrlError) as caught:
        parse_url("rtsp://admin:hunter#2@cam/live")
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(("url", "username"), [("rtsp://h/x", "me:a"), ("rtsp://me%3Aa:secret@h/x", None)])
def test_a_user_name_that_no_login_can_carry_is_refused(url: str, username: str | None) -> None:
    with pytest.raises(UrlError, match="user name has a ':'") as caught:
        parse_url(url, username, None if username is None else "secret")
    assert "me" not in str(caught.value).replace("user name", "")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("scheme", "port"), [("rtsp", 554), ("rtsps", 322), ("rtmp", 1935), ("https", 443)])
def test_an_address_without_a_port_has_the_schemes_own(scheme: str, port: int) -> None:
    address = parse_url(f"{scheme}://cam/x")
    assert (address.port, address.server_port, address.place) == (None, port, f"cam:{port}")
    assert parse_url(f"{scheme}://cam:99/x").server_port == 99


def test_each_scheme_has_one_family() -> None:
    asked = {scheme: SourceUrl(scheme, "h") for scheme in SCHEMES}
    assert {scheme for scheme, url in asked.items() if url.is_rtsp} == {"rtsp", "rtsps"}
    assert {scheme for scheme, url in asked.items() if url.is_http} == {"http", "https"}
    assert {scheme for scheme, url in asked.items() if url.is_pushed} == {"rtsp+listen"}
    assert {scheme for scheme, url in asked.items() if url.is_tls} == {"rtsps", "rtmps", "https"}
    assert {scheme for scheme, url in asked.items() if not url.is_network} == {"file", "alsa"}
    assert family_of("ftp") is None
