"""Recognisers that speak Wyoming, Home Assistant's protocol: faster-whisper, whisper.cpp, Vosk and others.

Owns: which events are sent and awaited. Does not know: sockets (connection.py); the format of an event, which is the
library's.

The library reads lengths as the peer writes them, takes any JSON for an event, and swallows Ctrl-C: `_Events`, the file
that it reads from, bounds every read and remembers an interrupt.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO, Final, cast

from wyoming.asr import Transcribe
from wyoming.event import Event, read_event, write_event

from edgeaudio.speech.answer import AnswerError, short_name, text_of
from edgeaudio.speech.base import NetworkRecogniser
from edgeaudio.speech.config import Address, RecogniserConfig
from edgeaudio.speech.connection import MAX_RECEIVED, Call, Wire
from edgeaudio.speech.language import code_of
from edgeaudio.speech.recogniser import RecogniserError, Recognition
from edgeaudio.types import UTTERANCE_RATE

_CHUNK: Final = UTTERANCE_RATE * 2  # bytes in an event: a second
_FORMAT: Final = {"rate": UTTERANCE_RATE, "width": 2, "channels": 1}


class WyomingRecogniser(NetworkRecogniser):
    """A recogniser behind `wyoming://host:port`."""

    def __init__(self, address: Address, config: RecogniserConfig) -> None:
        """Raises RecogniserError for what Wyoming has no place for."""
        if config.api_key is not None or address.username is not None:
            raise RecogniserError(f"the recogniser {address.where} takes no login: Wyoming has none; leave it out")
        if address.path not in {"", "/"} or address.query:
            raise RecogniserError(f"the recogniser's address goes on after the port; write {address.where}")
        super().__init__(address, config, config.model or "wyoming")
        self._is_named = config.model is not None

    def _ask(self, call: Call, pcm: bytes) -> Recognition:
        wire = self._connect(call)
        wire.send(self._request(pcm))
        events = _Events(wire)
        chunks: list[str] = []
        while True:
            kind, data = events.next()
            match kind:
                case "info" if not self._is_named:
                    self.name = _software(data) or self.name
                    self._is_named = True
                case "transcript-chunk":
                    chunks.append(text_of(data.get("text"), "a part of the transcript"))
                case "transcript":
                    return Recognition(text_of(data.get("text"), "the transcript"), code_of(data.get("language")))
                case "transcript-stop":  # of a server that sends the parts alone
                    return Recognition(" ".join(filter(None, chunks)))
                case "error":
                    said = short_name(data.get("text")) or "no reason given"
                    raise call.fault(f"it failed ({said})", "look at the recogniser's log")
                case _:
                    pass

    def _request(self, pcm: bytes) -> bytes:
        """Return the events of an utterance; until the server's name is known, it is asked for that too."""
        request = io.BytesIO()
        events = [] if self._is_named else [Event("describe")]
        events += [Transcribe(self._config.model, self._config.language).event(), Event("audio-start", dict(_FORMAT))]
        events += [
            Event("audio-chunk", dict(_FORMAT), pcm[begin : begin + _CHUNK]) for begin in range(0, len(pcm), _CHUNK)
        ]
        for event in [*events, Event("audio-stop")]:
            write_event(event, request)
        return request.getvalue()


class _Events:
    """The events of a connection, and the file that the library reads them from."""

    def __init__(self, wire: Wire) -> None:
        self._call = wire.call
        self._file = wire.makefile("rb")
        self._interrupt: KeyboardInterrupt | None = None
        self._is_at_end = False

    def next(self) -> tuple[str, dict[str, object]]:
        """Return the type and the data of the next event. Raises RecogniserError, and AnswerError for what is none."""
        try:
            event = read_event(cast("BinaryIO", self))  # it calls the two methods below
        except (AttributeError, KeyError, RecursionError, TypeError):  # JSON, but no event
            event = None
        if self._interrupt is not None:
            raise self._interrupt
        if event is None and self._is_at_end:
            raise self._closed()
        kind: object = event and event.type  # of whatever type the peer wrote
        data: object = event and event.data
        if not isinstance(kind, str) or not isinstance(data, dict | None):
            raise AnswerError("is no event of Wyoming")
        return kind, data or {}

    def readline(self) -> bytes:
        line = self._kept(self._file.readline, MAX_RECEIVED)
        self._is_at_end |= not line.endswith(b"\n")
        return line

    def read(self, count: object) -> bytes:
        if not isinstance(count, int) or count > MAX_RECEIVED:
            raise AnswerError("has a length that no event has")
        data = self._kept(self._file.read, count)
        if len(data) < count:
            raise self._closed()  # older ones of the library ask for the rest again and again
        return data

    def _closed(self) -> RecogniserError:
        return self._call.fault("it closed the connection without a transcript", "look at the recogniser's log")

    def _kept(self, read: Callable[[int], bytes], count: int) -> bytes:
        try:
            return read(count)
        except KeyboardInterrupt as interrupt:
            self._interrupt = interrupt
            raise


def _software(data: dict[str, object]) -> str | None:
    """Return the name of the first recogniser that an info event lists."""
    match data.get("asr"):
        case [{"name": name}, *_]:
            return short_name(name)
        case _:
            return None
