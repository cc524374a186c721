"""Parts of a file, as browsers and others ask for them."""

from __future__ import annotations

import pytest

pytest.importorskip("starlette", reason="starlette is not installed: `dashboard` brings it")

from edgeaudio.dashboard.web.ranges import Span, UnsatisfiableError, is_known, span_of

TAG = '"v1"'


@pytest.mark.parametrize(
    ("asked", "span"),
    [
        ("bytes=0-", (0, 100)),
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=10-999999", (10, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        ("BYTES=5-6", (5, 7)),
        (" bytes=99-99 ", (99, 100)),
    ],
)
def test_one_range(asked: str, span: tuple[int, int]) -> None:
    assert span_of({"range": asked}, 100, TAG) == Span(*span)


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=100-200", "bytes=999999999999999-", "bytes=-0"])
def test_a_range_behind_the_end_cannot_be_satisfied(asked: str) -> None:
    with pytest.raises(UnsatisfiableError):
        span_of({"range": asked}, 100, TAG)


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "bytes=-",
        "bytes=5-4",
        "bytes=0-1,3-4",
        "items=0-1",
        "bytes=x-",
        "bytes=0x1-",
        "bytes=+1-",
        "bytes=\u0661-",
        "bytes=" + "9" * 400 + "-",
        "bytes=" + ",".join(["0-"] * 10_000),
    ],
)
def test_anything_else_is_the_whole_file(asked: str) -> None:
    assert span_of({"range": asked}, 100, TAG) is None


def test_a_range_of_another_content_is_the_whole_file() -> None:
    assert span_of({"range": "bytes=1-2", "if-range": TAG}, 100, TAG) == Span(1, 3)
    for other in ('"v2"', f"W/{TAG}", "Mon, 30 Nov 2026 12:00:00 GMT"):
        assert span_of({"range": "bytes=1-2", "if-range": other}, 100, TAG) is None
    assert span_of({}, 100, TAG) is None


def test_what_the_browser_has_is_known() -> None:
    for known in (TAG, f'"v0", {TAG}', f"W/{TAG}", "*"):
        assert is_known({"if-none-match": known}, TAG)
    for other in ('"v0"', "v1", "", "W/"):
        assert not is_known({"if-none-match": other}, TAG)
    assert not is_known({}, TAG)
