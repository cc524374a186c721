"""Texts and captions: their formats, held against FFmpeg's parsers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.commands.captions import LINE, LINES, Format, Said, Writer, captions
from edgeaudio.speech.recogniser import Recognition, Segment
from edgeaudio.types import UTTERANCE_RATE, Utterance

START = datetime(1970, 1, 1, tzinfo=UTC)


def said(text: str, *segments: Segment, at_s: float = 0.0, length_s: float = 4.0) -> Said:
    samples = np.zeros(round(length_s * UTTERANCE_RATE), np.float32)
    utterance = Utterance("given", 0, START + timedelta(seconds=at_s), at_s, samples)
    return Said(utterance, Recognition(text, "en", 0.7654, segments), "whisper")


def written(form: Format, *texts: Said, recorded: bool = True, start: datetime = START) -> str:
    writer = Writer(form, recorded=recorded, start=start)
    return writer.head + "".join(map(writer.write, texts))


def parsed(path: Path, text: str) -> list[tuple[float, float, str]]:
    """Return begin, end and text of captions, as FFmpeg reads them."""
    path.write_text(text)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux() if packet.size]
        return [
            (
                float((packet.pts or 0) * packet.time_base),
                float(((packet.pts or 0) + (packet.duration or 0)) * packet.time_base),
                bytes(packet).decode(),
            )
            for packet in packets
        ]


def test_a_text_has_its_position_or_its_time() -> None:
    assert written("text", said(" Hello  there. ", at_s=61.5)) == "  01:01.50  Hello there.\n"
    assert written("text", said("Hello.", at_s=61.5), recorded=False) == "00:01:01.50  Hello.\n"


def test_json_is_an_object_a_line() -> None:
    live = json.loads(written("json", said("Grüße, 世界.", at_s=61.5), recorded=False))
    assert live == {
        "at": "1970-01-01T00:01:01.500Z",
        "duration_s": 4.0,
        "text": "Grüße, 世界.",
        "language": "en",
        "confidence": 0.765,
        "recogniser": "whisper",
    }
    assert "Grüße, 世界." in written("json", said("Grüße, 世界."))


def test_control_characters_are_left_out_and_marks_of_direction_stay() -> None:
    assert written("srt", said("\x1b[31mred\x00\ud800\u200f.\x0b\n")).splitlines()[2] == "[31mred\u200f."


@pytest.mark.parametrize("form", ["text", "srt", "vtt", "json"])
def test_nothing_said_is_nothing_written(form: Format) -> None:
    assert written(form, said("  ")) == ("WEBVTT\n\n" if form == "vtt" else "")


def test_an_srt_file(tmp_path: Path) -> None:
    segments = Segment(0.5, 1.5, " One. "), Segment(2.0, 9.0, "Two & <three>.")
    text = written("srt", said("One. Two & <three>.", *segments, at_s=3600), said("Four --> five.", at_s=3610))
    assert text == (
        "1\n01:00:00,500 --> 01:00:01,500\nOne.\n\n"
        "2\n01:00:02,000 --> 01:00:04,000\nTwo & <three>.\n\n"
        "3\n01:00:10,000 --> 01:00:14,000\nFour -> five.\n\n"
    )
    assert parsed(tmp_path / "a.srt", text) == [
        (3600.5, 3601.5, "One."),
        (3602.0, 3604.0, "Two & <three>."),
        (3610.0, 3614.0, "Four -> five."),
    ]


def test_a_webvtt_file(tmp_path: Path) -> None:
    text = written("vtt", said("Two & <three>.", at_s=360_000), said("Four --> five.", at_s=360_010))
    assert text == (
        "WEBVTT\n\n"
        "100:00:00.000 --> 100:00:04.000\nTwo &amp; &lt;three&gt;.\n\n"
        "100:00:10.000 --> 100:00:14.000\nFour -&gt; five.\n\n"
    )
    assert [(begin, end) for begin, end, _ in parsed(tmp_path / "a.vtt", text)] == [
        (360_000.0, 360_004.0),
        (360_010.0, 360_014.0),
    ]


def test_long_texts_are_several_captions_one_after_the_other() -> None:
    words = " ".join(["word"] * 100)
    found = list(captions(said(words, length_s=30.0), 10.0))
    assert len(found) == 7
    assert (found[0].begin_s, found[-1].end_s) == (10.0, 40.0)
    assert all(first.end_s == then.begin_s for first, then in pairwise(found))
    assert " ".join(" ".join(each.lines) for each in found) == words


def test_words_that_fill_lines_are_broken() -> None:
    assert [len(line) for each in captions(said("x" * 100), 0.0) for line in each.lines] == [42, 42, 16]


def test_a_text_holds_no_arrow_as_the_times_do(tmp_path: Path) -> None:
    for arrow in ("-->", "--->", "---->", "--\x07>"):
        text = written("srt", said(f"One {arrow} two."))
        assert text.splitlines()[2] == "One -> two."


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_no_caption_ends_when_it_begins_as_it_is_written(form: Format) -> None:
    for tenth in range(10):
        segments = [Segment(1e9, 1e9, "late")] * 20
        text = written(form, said("late", *segments, at_s=20 + tenth / 10_000))
        times = [line.split(" --> ") for line in text.splitlines() if "-->" in line]
        assert len(times) == 20
        assert all(begin < end for begin, end in times)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(times))


TIME = st.floats(-5.0, 40.0)


@given(
    st.lists(st.lists(st.tuples(TIME, TIME, st.text("ab >-&<\n", max_size=120)), max_size=4), max_size=4),
    st.floats(0.01, 30.0),
)
def test_captions_are_in_order_within_their_utterance_and_short(
    utterances: list[list[tuple[float, float, str]]], length_s: float
) -> None:
    texts = [
        said("something", *(Segment(*segment) for segment in segments), at_s=100.0 * index, length_s=length_s)
        for index, segments in enumerate(utterances)
    ]
    writer = Writer("srt", recorded=True, start=START)
    shown = [(index, each) for index, text in enumerate(texts) for each in writer._captions(text)]
    for index, each in shown:
        assert 100.0 * index <= each.begin_s < each.end_s <= 100.0 * index + max(length_s, 0.2) + 1e-6 + 0.2 * 4
        assert 1 <= len(each.lines) <= LINES
        assert all(0 < len(line) <= LINE for line in each.lines)
    assert all(first.end_s <= then.begin_s for (_, first), (_, then) in pairwise(shown))
