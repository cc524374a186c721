"""What is shown of a URL, alone and anywhere in a line; and that it is nothing secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.redact import mask, mask_url
from edgeaudio.urls import holds_login, is_plain


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rtsp://cam/stream", "rtsp://cam/stream"),
        ("rtsp://cam:554/stream?channel=1", "rtsp://cam:554/stream?channel=1"),
        ("RTSP://Cam/Stream", "rtsp://cam/Stream"),
        # logins
        ("rtsp://admin@cam/stream", "rtsp://***@cam/stream"),  # it may be a token
        ("rtsp://admin:hunter2@cam:554/stream", "rtsp://admin:***@cam:554/stream"),
        ("rtsp://admin:@cam/", "rtsp://admin:***@cam/"),
        ("rtsp://:hunter2@cam/", "rtsp://***@cam/"),
        ("rtsp://Gx7Qk2Zp:hunter2@cam/", "rtsp://***@cam/"),
        ("rtsp://hunter%402:hunter2@cam/", "rtsp://***@cam/"),
        ("srt://admin:hunter2@cam", "srt://admin:***@cam"),
        ("udp://@239.0.0.1:5004", "udp://239.0.0.1:5004"),
        # more than one way to read it
        ("rtsp://admin:hun@ter2@cam/", "rtsp://***"),
        ("rtsp://admin:hun/ter2@cam/live", "rtsp://***"),
        ("rtsp://admin:hun?t#er2@cam/live", "rtsp://***"),
        ("rtsp://admin:hunter2", "rtsp://***"),
        ("rtsp://cam:554/user@home", "rtsp://***"),
        ("http://cam/video#hunter2", "http://***"),
        # queries
        ("http://cam/video?usr=admin&pwd=hunter2&x=1", "http://cam/video?usr=***&pwd=***"),
        ("http://cam/video?loginpas=hunter2", "http://cam/video?loginpas=***"),
        ("http://cam/video?hunter2", "http://cam/video?***"),
        ("http://cam/video?hunter2=1&channel=hunter2", "http://cam/video?***&channel=***"),
        ("http://cam/video?password=hunter_2;subtype=0", "http://cam/video?password=***&subtype=0"),
        ("http://cam/x?channel=12345678&sample_rate=48000", "http://cam/x?channel=***&sample_rate=48000"),
        (
            "rtsp://cam/cam/realmonitor?channel=1&subtype=0&unicast=true&proto=Onvif",
            "rtsp://cam/cam/realmonitor?channel=1&subtype=0&unicast=true&proto=Onvif",
        ),
        # paths
        (
            "rtsp://cam/user=admin_password=tl_Jw_channel=1_stream=0.sdp",
            "rtsp://cam/user=***_password=***_channel=1_stream=0.sdp",
        ),
        ("rtsp://cam/user=admin&password=hunter2&channel=1", "rtsp://cam/user=***&password=***&channel=1"),
        ("rtsp://cam/trackID=1", "rtsp://cam/trackID=1"),
        ("rtsp://cam/monkey=1", "rtsp://cam/***"),
        ("http://cam/token/hunter2/live", "http://cam/token/***/live"),
        ("rtsps://192.168.1.1:7441/vY1Zr2AtkXbLp0Qs?enableSrtp", "rtsps://192.168.1.1:7441/***?***"),
        ("http://web/550e8400-e29b-41d4-a716-446655440000/a.m3u8", "http://web/***/a.m3u8"),
        ("rtsp://cam/p%40ss", "rtsp://cam/***"),
        # no URLs
        ("/recordings/a:b@c.wav", "/recordings/a:b@c.wav"),
        ("/tape/token=1.wav", "/tape/token=1.wav"),
        ("./a@b.wav", "./a@b.wav"),
        ("a.wav", "a.wav"),
        ("file:///recordings/a@b.wav", "file:///recordings/a@b.wav"),
        ("alsa:plughw:CARD=mic?channels=1", "alsa:plughw:CARD=mic?channels=1"),
        ("", ""),
        # URLs that lack something
        ("user:hunter2@cam/x", "***@cam/x"),
        ("hunter2@cam/x", "***@cam/x"),
        ("//user:hunter2@cam/x", "***@cam/x"),
        ("cam/x?token=hunter2", "cam/x?token=***"),
    ],
)
def test_a_url_keeps_all_but_its_secrets(url: str, expected: str) -> None:
    assert mask_url(url) == expected
    assert mask_url(expected) == expected or expected.startswith("***")


PATHS = [
    "live/porch", "stream1", "h264/ch1/main", "h264Preview_01_main", "cam/realmonitor", "Streaming/Channels/101",
    "ch0_0.h264", "videoMain", "axis-media/media.amp", "onvif-media/media.amp", "MediaInput/h264/stream_1",
    "LiveMedia/ch1/Media1", "ISAPI/Streaming/channels/1", "live/ch00_0", "mjpeg.cgi", "img/video.asf", "proxied_stream",
    "groovesalad-128-mp3", "20261128T101500.wav", "profile1m", "trackID=1", "11", "IPCamera", "hydrophone-north.m3u8",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_the_paths_that_cameras_have_are_shown(path: str) -> None:
    assert mask_url(f"rtsp://cam/{path}") == f"rtsp://cam/{path}"


def test_urls_are_found_anywhere_in_a_line() -> None:
    text = "tried rtsp://a:b1@c/d, then 'mqtts://e:f2@g:8883'; neither (see http://h/i?token=j3) answered"
    expected = "tried rtsp://a:***@c/d, then 'mqtts://e:***@g:8883'; neither (see http://h/i?token=***) answered"
    assert mask(text) == expected
    assert mask(expected) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[rtsp://[::1]] (rtsp://[::1]/x).", "[rtsp://[::1]] (rtsp://[::1]/x)."),
        ("url='rtsp://a:b1@c/d', next", "url='rtsp://a:***@c/d', next"),
        ("rtsp://a:my hunter2 word@c/d failed", "rtsp://*** failed"),
        ("rtsp://a:hun'ter2@c/d: failed", "rtsp://a:***@c/d: failed"),
        ('{"url":"rtsp://a:hunter2@c/d","x":"y"} then', '{"url":"rtsp://***"} then'),
        ("rtsp://a:hunter2/x\nbob@example.org", "rtsp://***\nbob@example.org"),
        ("Redirecting to http://c/d?token=hunter2!!!!", "Redirecting to http://c/d?token=***!!!"),
        ("models/http:/me:hunter2@web/x: is not a directory", "models/http://***: is not a directory"),
        ("write udp://0.0.0.0:5004; use rtsp://, rtmp://", "write udp://0.0.0.0:5004; use rtsp://, rtmp://"),
        ("12:30:01 C:/a and mail to bob@example.org", "12:30:01 C:/a and mail to bob@example.org"),
    ],
)
def test_lines_with_urls(text: str, expected: str) -> None:
    assert mask(text) == expected


@given(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1), st.booleans())
def test_no_password_survives(secret: str, in_a_line: bool) -> None:
    password = f"0x{secret}x0"
    url = f"rtsp://admin:{password}@cam.example/stream"
    masked = mask(f"cannot open {url} now") if in_a_line else mask_url(url)
    assert password not in masked
    assert masked.removeprefix("cannot open ").startswith("rtsp://")


@given(st.text())
def test_masked_text_stays_as_it_is(text: str) -> None:
    assert mask(mask(text)) == mask(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://me:x@cam/", True),
        ("rtsp://x@cam/", True),
        ("rtsp://me:a/b@cam/", True),
        ("me:x@cam/live", True),
        ("http://cam/x?user=me&pwd=x", True),
        ("rtsp://cam/user=me_password=x_channel=1", True),
        ("http://radio/listen?id=7&session=3", False),
        ("udp://@239.0.0.1:5004", False),
        ("rtsp://cam/live", False),
        ("/tape/a:b@c.wav", False),
        ("rec@home.wav", False),
        ("alsa:hw:1,0", False),
    ],
)
def test_what_must_not_stand_on_a_command_line(text: str, expected: bool) -> None:
    assert holds_login(text) is expected


def test_words_are_plain_and_tokens_are_not() -> None:
    assert all(map(is_plain, ["porch", "wohnzimmerkamera", "h264", "a.b-c_d", ""]))
    assert not any(map(is_plain, ["Gx7Qk2Zp", "QXZJVKQX", "abcdefGHIJKL1234", "a b", "p%40", "\u00fc", "x" * 65]))


def test_the_key_of_an_object_is_no_secret_and_a_signed_address_is() -> None:
    key = "s3://sea/heard/home-04ce8d1a2b3c/parts/9f86d081884c7d659a2feaa0c55ad015.parquet"
    assert mask(f"{key}: cannot be read") == f"{key}: cannot be read"
    assert "9f86d081" not in mask("s3://sea/heard?X-Amz-Signature=9f86d081884c7d659a2feaa0c55ad015")
    assert "hunter2x" not in mask("s3://key:hunter2x@sea/heard")
    assert "hunter2x" not in mask("s3://sea/token=hunter2x/heard")
