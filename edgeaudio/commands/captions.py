"""What was said, as lines of text or JSON, and as captions: SRT and WebVTT.

Owns: the formats, and how long texts become captions. Does not know: where texts come from, or where they are written.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Final, Literal

from edgeaudio.console import clock_time
from edgeaudio.speech.recogniser import Recognition, Segment
from edgeaudio.types import Utterance

Format = Literal["text", "srt", "vtt", "json"]
SUFFIXES: Final[dict[str, Format]] = {
    ".txt": "text", ".srt": "srt", ".vtt": "vtt", ".json": "json", ".jsonl": "json", ".ndjson": "json",
}  # fmt: skip
LINE: Final = 42  # characters of a caption's line, as broadcasters have it
LINES: Final = 2
# C0 but white space, DEL, C1, and lone surrogates, which are no Unicode text
_CONTROLS: Final = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff]")
_ARROW: Final = re.compile("--+>")  # stands between the times of a caption, and nowhere else
_LEAST_S: Final = 0.2  # that a caption is shown
_HEADS: Final[dict[Format, str]] = {"text": "", "srt": "", "vtt": "WEBVTT\n\n", "json": ""}


@dataclass(frozen=True, slots=True)
class Said:
    """An utterance, and what was said in it."""

    utterance: Utterance
    recognition: Recognition
    recogniser: str

    @property
    def text(self) -> str:
        return cleaned(self.recognition.text)


@dataclass(frozen=True, slots=True)
class Caption:
    """Text of at most LINES lines, and when it is shown, in seconds."""

    begin_s: float
    end_s: float
    lines: tuple[str, ...]


class Writer:
    """Texts in one format. Nothing is printed for an utterance without a text."""

    def __init__(self, form: Format, *, recorded: bool, start: datetime) -> None:
        """`start`: of the recording, or of the listening, from which captions count."""
        self._recorded = recorded
        self._start = start
        self._number = 0
        self._end_s = 0.0
        self._write: Callable[[Said], str] = {
            "text": self._text, "json": self._json, "srt": self._srt, "vtt": self._vtt,
        }[form]  # fmt: skip
        self.head = _HEADS[form]  # of the file

    def write(self, said: Said) -> str:
        """Return what is appended, whole lines; "" for nothing."""
        return self._write(said) if said.text else ""

    def _position_s(self, at: datetime) -> float:
        return (at - self._start).total_seconds()

    def _text(self, said: Said) -> str:
        at = said.utterance.at
        if self._recorded:
            return f"{clock_time(self._position_s(at)):>10}  {said.text}\n"
        return f"{at:%H:%M:%S}.{at.microsecond // 10_000:02d}  {said.text}\n"

    def _json(self, said: Said) -> str:
        utterance, recognition = said.utterance, said.recognition
        time: dict[str, object] = {"at": utterance.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
        if self._recorded:
            time = {"offset_s": round(self._position_s(utterance.at), 3)}
        confidence = recognition.confidence
        fields = time | {
            "duration_s": round(utterance.duration_s, 3),
            "text": said.text,
            "language": recognition.language,
            "confidence": None if confidence is None else round(confidence, 3),
            "recogniser": said.recogniser,
        }
        return json.dumps(fields, ensure_ascii=False) + "\n"

    def _srt(self, said: Said) -> str:
        return "".join(
            f"{self._numbered()}\n{_stamp(each.begin_s, ',')} --> {_stamp(each.end_s, ',')}\n{_joined(each.lines)}\n\n"
            for each in self._captions(said)
        )

    def _vtt(self, said: Said) -> str:
        return "".join(
            f"{_stamp(each.begin_s, '.')} --> {_stamp(each.end_s, '.')}\n{escape(_joined(each.lines), quote=False)}\n\n"
            for each in self._captions(said)
        )

    def _numbered(self) -> int:
        self._number += 1
        return self._number

    def _captions(self, said: Said) -> Iterator[Caption]:
        """Yield captions in order of time: none begins before the last one ends."""
        for caption in captions(said, self._position_s(said.utterance.at)):
            # rounded as they are written: WebVTT takes no caption that ends when it begins
            begin_s = round(max(caption.begin_s, self._end_s), 3)
            self._end_s = round(max(caption.end_s, begin_s + 0.001), 3)
            yield Caption(begin_s, self._end_s, caption.lines)


def captions(said: Said, begin_s: float) -> Iterator[Caption]:
    """Yield the captions of an utterance that begins at `begin_s`; each segment has its own, long ones several.

    A recogniser's times are held to the utterance: whisper's last segment often ends after it.
    """
    length_s = said.utterance.duration_s
    segments = said.recognition.segments or (Segment(0.0, length_s, said.recognition.text),)
    after_s = 0.0  # the end of what is shown
    for index, segment in enumerate(segments):
        first_s = min(max(segment.begin_s, after_s), max(length_s - _LEAST_S, 0.0))
        next_s = min((later.begin_s for later in segments[index + 1 :] if later.begin_s > first_s), default=length_s)
        after_s = max(min(segment.end_s, next_s, length_s), first_s + _LEAST_S)
        pages = _pages(segment.text)
        total = sum(sum(map(len, page)) for page in pages)
        shown = 0
        for page in pages:
            page_begin_s = first_s + (after_s - first_s) * shown / total
            shown += sum(map(len, page))
            page_end_s = first_s + (after_s - first_s) * shown / total
            yield Caption(begin_s + page_begin_s, begin_s + page_end_s, page)


def cleaned(text: str) -> str:
    """Return a text in one line, without control characters."""
    return " ".join(_CONTROLS.sub("", text).split())


def _pages(text: str) -> list[tuple[str, ...]]:
    lines = textwrap.wrap(cleaned(text), LINE)
    return [tuple(lines[first : first + LINES]) for first in range(0, len(lines), LINES)]


def _joined(lines: tuple[str, ...]) -> str:
    return _ARROW.sub("->", "\n".join(lines))


def _stamp(seconds: float, point: str) -> str:
    """Return a caption's time, as 01:02:03,456; days are hours."""
    whole, milliseconds = divmod(round(max(seconds, 0.0) * 1000), 1000)
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{point}{milliseconds:03d}"
