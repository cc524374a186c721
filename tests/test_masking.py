"""No password of a URL gets through to people."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.masking import mask, mask_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rtsp://cam/stream", "rtsp://cam/stream"),
        ("rtsp://cam:554/stream?channel=1", "rtsp://cam:554/stream?channel=1"),
        ("rtsp://admin@cam/stream", "rtsp://admin@cam/stream"),
        ("rtsp://admin:hunter2@cam:554/stream", "rtsp://admin:***@cam:554/stream"),
        ("rtsp://admin:@cam/", "rtsp://admin:***@cam/"),
        ("rtsp://:hunter2@cam/", "rtsp://:***@cam/"),
        ("rtsp://admin:hun@ter2@cam/", "rtsp://admin:***@cam/"),
        ("rtsp://admin:hun/ter2@cam/live", "rtsp://admin:***@cam/live"),
        ("rtsp://admin:hun?t#er2@cam/live", "rtsp://admin:***@cam/live"),
        ("rtsp://cam:554/user@home", "rtsp://cam:554/user@home"),
        ("rtsp://[fe80::1]/user@home", "rtsp://[fe80::1]/user@home"),
        ("http://cam/video?usr=admin&pwd=hunter2&x=1", "http://cam/video?usr=admin&pwd=***&x=1"),
        ("http://cam/video?password=hunter_2", "http://cam/video?password=***"),
        ("http://cam/video?access_token=hunter2#end", "http://cam/video?access_token=***#end"),
        (
            "rtsp://cam/user=admin_password=tl_Jw_channel=1_stream=0.sdp",
            "rtsp://cam/user=admin_password=***_channel=1_stream=0.sdp",
        ),
        ("rtsp://cam/monkey=1", "rtsp://cam/monkey=1"),
        ("/recordings/a:b@c.wav", "/recordings/a:b@c.wav"),
        ("", ""),
    ],
)
def test_a_url_keeps_all_but_its_secrets(url: str, expected: str) -> None:
    assert mask_url(url) == expected


def test_urls_are_found_anywhere_in_a_line() -> None:
    text = "tried rtsp://a:b1@c/d, then 'mqtts://e:f2@g:8883'; neither (see http://h/i?token=j3) answered"
    expected = "tried rtsp://a:***@c/d, then 'mqtts://e:***@g:8883'; neither (see http://h/i?token=*** answered"
    assert mask(text) == expected


@given(st.text(st.characters(exclude_categories=["Z", "C"], exclude_characters="\"'<>"), min_size=1), st.booleans())
def test_no_password_survives(secret: str, in_a_line: bool) -> None:
    password = f"0x{secret}x0"
    url = f"rtsp://admin:{password}@cam.example/stream"
    masked = mask(f"cannot open {url} now") if in_a_line else mask_url(url)
    assert password not in masked
    assert "cam.example/stream" in masked
