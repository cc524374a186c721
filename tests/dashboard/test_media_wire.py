"""Clips, pictures and what is published before them, as they come and as they should not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.dashboard.media import inbox as inbox_module
from edgeaudio.dashboard.media.inbox import MediaInbox
from edgeaudio.dashboard.media.wire import MAX_BYTES, MediaInfo, Medium, media_filters, parse_media
from edgeaudio.sinks.mqtt.events import Received
from edgeaudio.wire.payload_fields import WireError

HEADS = {
    "audio/ogg": b"OggS" + bytes(24) + b"OpusHead",
    "audio/flac": b"fLaC\0",
    "audio/wav": b"RIFF\0\0\0\0WAVEfmt ",
    "image/jpeg": b"\xff\xd8\xff\xe0",
    "image/webp": b"RIFF\0\0\0\0WEBPVP8 ",
    "image/png": b"\x89PNG\r\n\x1a\n",
}
INFO = {"schema_version": 1, "id": "e1", "bytes": 5}


def received(kind: str, payload: bytes, content_type: str = "", **changes: Any) -> Received:
    values = {"user_properties": (("id", "e1"), ("label", "<b>"))} | changes
    return Received(f"edgeaudio/dock/porch/{kind}", payload, content_type=content_type, **values)


def topic_of(content_type: str) -> str:
    return "clip" if content_type.startswith("audio/") else "image"


@pytest.mark.parametrize("content_type", HEADS)
def test_each_type_is_known_by_its_first_bytes(content_type: str) -> None:
    kind = topic_of(content_type)
    for declared in (content_type, ""):
        medium = parse_media("edgeaudio", received(kind, HEADS[content_type] + b"x", declared))
        assert isinstance(medium, Medium)
        assert (medium.device, medium.source, medium.id) == ("dock", "porch", "e1")
        assert (medium.type.content_type, medium.content) == (content_type, HEADS[content_type] + b"x")
    for other in HEADS.keys() - {content_type}:
        with pytest.raises(WireError):
            parse_media("edgeaudio", received(kind, HEADS[content_type], other))
    with pytest.raises(WireError):
        parse_media("edgeaudio", received("image" if kind == "clip" else "clip", HEADS[content_type], content_type))


@pytest.mark.parametrize(
    "payload", [b"x", b"<!doctype html><script>", b"<svg xmlns=", b"OggS" + bytes(24) + b"\x01vorbis", b"\xff\xd8"]
)
def test_nothing_else_is_taken_whatever_it_claims(payload: bytes) -> None:
    for kind, content_type in (("clip", "audio/ogg"), ("image", "image/png"), ("image", "image/svg+xml"), ("clip", "")):
        with pytest.raises(WireError):
            parse_media("edgeaudio", received(kind, payload, content_type))


@pytest.mark.parametrize("event_id", ["../../x", "a/b", "x" * 65, "a b", "<b>", "\0", "e1\n", "é"])
def test_an_id_is_never_a_path(event_id: str) -> None:
    for message in (
        received("clip", HEADS["audio/ogg"], user_properties=(("id", event_id),)),
        received("clip/info", json.dumps(INFO | {"id": event_id}).encode()),
    ):
        with pytest.raises(WireError, match=r"id: is not made of"):
            parse_media("edgeaudio", message)


def test_what_is_none_of_it_is_ignored() -> None:
    for topic in ("edgeaudio/dock/porch/detection", "other/dock/porch/clip", "edgeaudio/dock/porch/clip/set", "x"):
        assert parse_media("edgeaudio", Received(topic, HEADS["audio/ogg"])) is None
    for topic in ("edgeaudio/DOCK/porch/clip", "edgeaudio/dock/<b>/clip", "edgeaudio/dock/../clip"):
        assert parse_media("edgeaudio", Received(topic, HEADS["audio/ogg"])) is None
    assert parse_media("edgeaudio", received("clip", HEADS["audio/ogg"], retained=True)) is None
    assert parse_media("edgeaudio", received("clip", b"", user_properties=(("kind", "check"),))) is None


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(WireError, match="is longer than"):
        parse_media("edgeaudio", received("clip", HEADS["audio/ogg"].ljust(MAX_BYTES + 1)))
    with pytest.raises(WireError, match="is longer than"):
        parse_media("edgeaudio", received("clip/info", json.dumps(INFO | {"label": "x" * 4000}).encode()))


BROKEN: list[tuple[str, Any]] = [
    *[("bytes", value) for value in (0, -1, True, 1.5, "5", None, MAX_BYTES + 1)],
    *[("id", value) for value in (None, 5, "")],
    *[("plot", [0.1]), ("plot", [0.9, 0.1]), ("plot", [0, 2]), ("plot", ["0", "1"]), ("plot", "01"), ("plot", {})],
    *[("plot", [True, 1]), ("plot", [float("nan"), 1])],
]


@pytest.mark.parametrize(("key", "value"), BROKEN)
def test_a_broken_info_is_refused(key: str, value: Any) -> None:
    with pytest.raises(WireError):
        parse_media("edgeaudio", received("image/info", json.dumps(INFO | {key: value}).encode()))


@given(st.binary(max_size=100), st.sampled_from(["clip", "image", "clip/info", "image/info"]), st.text(max_size=20))
def test_any_bytes_are_taken_or_refused(payload: bytes, kind: str, content_type: str) -> None:
    refusal = ""
    try:
        parse_media("edgeaudio", received(kind, payload, content_type))
    except WireError as error:
        refusal = str(error)
    assert len(refusal) < 100


def test_the_filters_are_the_topics_that_are_read() -> None:
    assert media_filters("edgeaudio") == tuple(
        f"edgeaudio/+/+/{kind}" for kind in ("clip/info", "clip", "image/info", "image")
    )


def medium(kind: str = "clip", *, event_id: str = "", n_bytes: int = 50, source: str = "porch") -> Medium:
    content = HEADS["audio/ogg" if kind == "clip" else "image/png"].ljust(n_bytes)
    found = parse_media("edgeaudio", Received(f"edgeaudio/dock/{source}/{kind}", content))
    assert isinstance(found, Medium)
    return Medium(found.device, found.source, event_id, found.type, found.content)


def info(
    event_id: str = "e1", kind: Any = "clip", *, n_bytes: int = 50, source: str = "porch", **more: Any
) -> MediaInfo:
    return MediaInfo("dock", source, kind, event_id, n_bytes, more.get("plot"))


def test_without_properties_a_file_belongs_to_what_was_published_before_it() -> None:
    inbox = MediaInbox()
    inbox.take_info(info("other", source="hall"), 0.0)
    inbox.take_info(info("picture", "picture", plot=(0.1, 0.9)), 0.0)
    inbox.take_info(info("lost"), 0.0)
    inbox.take_info(info("e1"), 1.0)
    assert inbox.assign(medium(), 2.0)[0].id == "e1"
    found, plot = inbox.assign(medium("image"), 2.0)
    assert (found.id, plot) == ("picture", (0.1, 0.9))
    with pytest.raises(WireError, match="without the id of its event"):  # each belongs to one file
        inbox.assign(medium(), 2.0)
    inbox.take_info(info("e2", n_bytes=51), 3.0)
    with pytest.raises(WireError):  # of another length
        inbox.assign(medium(), 3.0)
    inbox.take_info(info("e3"), 3.0)
    with pytest.raises(WireError):
        inbox.assign(medium(), 4.0 + inbox_module.MAX_AGE_S)


def test_properties_count_more_than_what_was_published_before() -> None:
    inbox = MediaInbox()
    inbox.take_info(info("e1", "picture", plot=(0.1, 0.9)), 0.0)
    found, plot = inbox.assign(medium("image", event_id="e2"), 0.0)
    assert (found.id, plot) == ("e2", None)


def test_what_waits_for_its_file_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "MAX_INFOS", 2)
    inbox = MediaInbox()
    for source in ("a", "b", "c"):
        inbox.take_info(info(source, source=source), 0.0)
    with pytest.raises(WireError):
        inbox.assign(medium(source="a"), 0.0)
    assert inbox.assign(medium(source="c"), 0.0)[0].id == "c"
