"""FunASR's servers, over its WebSocket protocol: the C++ and the Python server, for whole sentences and for two passes.

Owns: what is sent, and which of the answers ends an utterance. Does not know: sockets (connection.py), or WebSocket's
frames, which are the library's (the part of it that has neither threads nor sockets).

The first message holds `chunk_size`: the Python server drops a connection whose sound comes before it. Each server ends
an utterance in its own way, and mode "offline" is what tells them apart:

- C++ for whole sentences: one answer of mode "offline", `is_final` false.
- C++ for two passes: a "2pass-offline" for each part, then an answer with `is_final`, mostly an empty one.
- Python until July 2026: `is_final` is what the client said last of `is_speaking`: true for parts, false for the last.
  If it hears no speech, some versions say nothing at all.
- Python since: an answer with `is_end`, if the client asks for it.

Where an answer may be the last one, more is waited for as long as that one took, and a second at least.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from enum import Enum, auto
from typing import Final
from unicodedata import east_asian_width
from urllib.parse import parse_qsl, urlencode

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from edgeaudio.speech.answer import AnswerError, read_json, text_of
from edgeaudio.speech.base import NetworkRecogniser
from edgeaudio.speech.config import Address, RecogniserConfig
from edgeaudio.speech.connection import Call, Wire
from edgeaudio.speech.language import tagged_language
from edgeaudio.speech.recogniser import RecogniserError, Recognition
from edgeaudio.types import UTTERANCE_RATE
from edgeaudio.urls import Url

_MODES: Final = ("offline", "2pass")
_FRAME: Final = UTTERANCE_RATE * 60 // 1000 * 2  # bytes of 60 ms: the Python server's voice activity counts in them
_MAX_MESSAGE: Final = 1_000_000  # bytes
_MAX_FRAMES: Final = 10_000  # of all answers: so many pings take 0.05 s of CPU to read
_GRACE_S: Final = 1.0

_silent = logging.getLogger(f"{__name__}.frames")  # of the library's: it would write texts and logins
_silent.disabled = True


class FunasrRecogniser(NetworkRecogniser):
    """A recogniser behind `funasr+ws(s)://host:port[/path][?mode=2pass]`."""

    def __init__(self, address: Address, config: RecogniserConfig) -> None:
        """Raises RecogniserError for what FunASR has no place for."""
        if config.model is not None:
            raise RecogniserError(f"the recogniser {address.where} has the model it was started with: leave it out")
        query = parse_qsl(address.query, keep_blank_values=True)
        self._mode = dict(query).get("mode", _MODES[0])
        if self._mode not in _MODES:
            raise RecogniserError(f"the mode of {address.where} must be offline or 2pass, as in ?mode=2pass")
        super().__init__(address, config, "funasr")
        rest = urlencode([(name, value) for name, value in query if name != "mode"])
        place = Url("ws", address.host, address.port).place
        self._uri = parse_uri(
            f"{'wss' if address.tls else 'ws'}://{place}{address.path or '/'}{'?' * bool(rest)}{rest}"
        )

    def _ask(self, call: Call, pcm: bytes) -> Recognition:
        channel = _Channel(
            self._connect(call),
            ClientProtocol(self._uri, subprotocols=[Subprotocol("binary")], max_size=_MAX_MESSAGE, logger=_silent),
        )
        channel.open(self._login)
        begin: dict[str, object] = {
            "mode": self._mode,
            "wav_name": "utterance",
            "wav_format": "pcm",
            "audio_fs": UTTERANCE_RATE,
            "is_speaking": True,
            "chunk_size": [5, 10, 5],
            "chunk_interval": 10,
            "encoder_chunk_look_back": 4,
            "decoder_chunk_look_back": 0,
            "hotwords": "",
            "itn": True,
        }
        if self._config.language is not None:  # of SenseVoice's; others know one language
            begin |= {"svs_lang": self._config.language, "svs_itn": True}
        channel.send(_json(begin))
        for start in range(0, len(pcm), _FRAME):
            channel.send(pcm[start : start + _FRAME])
        channel.send(_json({"is_speaking": False, "is_end": True}))
        channel.flush()
        texts = list(self._texts(call, channel))
        channel.close()
        language = next(filter(None, map(tagged_language, texts)), None)
        return Recognition(joined([text_of(text, "text") for text in texts]), language)

    def _texts(self, call: Call, channel: _Channel) -> Iterator[str]:
        """Yield the parts of what was said."""
        asked_s = time.monotonic()
        grace_s: float | None = None
        while True:
            try:
                message = channel.receive(grace_s)
            except TimeoutError:
                return
            if message is None and grace_s is not None:
                return
            if message is None:
                raise call.fault("it closed the connection without a last text", "look at the recogniser's log")
            answer = read_json(message)
            if answer.get("is_end") and answer.get("is_final") is False:
                said = self._words(answer.get("error"), 64) or "no reason given"
                raise call.fault(f"it failed ({said})", "look at the recogniser's log")
            if not str(answer.get("mode", "")).endswith("online") and "text" in answer:
                text = answer["text"]
                text_of(text, "text")
                yield str(text)
            match what_follows(answer, self._mode):
                case Follows.NOTHING:
                    return
                case Follows.PERHAPS:
                    grace_s = max(_GRACE_S, time.monotonic() - asked_s)
                case Follows.MORE:
                    grace_s = None


class Follows(Enum):
    """What comes after an answer."""

    MORE = auto()
    PERHAPS = auto()
    NOTHING = auto()


def what_follows(answer: Mapping[str, object], mode: str) -> Follows:
    """Return what comes after an answer, for an utterance that was sent in that mode; see the head of this module."""
    kind, is_final = answer.get("mode"), answer.get("is_final")
    if is_final is not None and not isinstance(is_final, bool):
        raise AnswerError("has no true or false as is_final")
    if answer.get("is_end"):
        return Follows.NOTHING
    match kind, bool(is_final):
        case "offline", False:
            return Follows.NOTHING
        case "offline", True:
            return Follows.PERHAPS
        case "2pass-offline", False if mode == "2pass":
            return Follows.PERHAPS
        case _, True:
            return Follows.NOTHING
        case _:
            return Follows.MORE


def joined(texts: list[str]) -> str:
    """Return parts as one text: with blanks, but beside characters that are written without."""
    whole = ""
    for text in filter(None, texts):
        dense = bool(whole) and (east_asian_width(whole[-1]) in "WF" or east_asian_width(text[0]) in "WF")
        whole += ("" if dense or not whole else " ") + text
    return whole


class _Channel:
    """A WebSocket over a Wire."""

    def __init__(self, wire: Wire, protocol: ClientProtocol) -> None:
        self._wire = wire
        self._protocol = protocol
        self._parts: list[bytes] = []  # of a message that is not complete
        self._messages: list[bytes] = []
        self._frames = 0

    def open(self, headers: Mapping[str, str]) -> None:
        """Shake hands. Raises RecogniserError."""
        request = self._protocol.connect()
        request.headers.update(headers)
        self._protocol.send_request(request)
        self.flush()
        call = self._wire.call
        while self._protocol.state is State.CONNECTING:
            is_open = self._feed(self._wire.receive())
            match self._protocol.handshake_exc:
                case InvalidStatus(response=response):
                    raise _refusal(call, response)
                case None if is_open:
                    pass
                case _ if not is_open:
                    raise call.fault("it closed the connection during the handshake", "check the address and its port")
                case _:
                    raise call.nonsense("is no WebSocket")

    def send(self, message: str | bytes) -> None:
        """Send a message, perhaps later; `flush` sends at once."""
        if self._protocol.state is not State.OPEN:
            return  # closed by the server: what it said before is still to be received
        if isinstance(message, str):
            self._protocol.send_text(message.encode())
        else:
            self._protocol.send_binary(message)

    def flush(self) -> None:
        self._wire.send(b"".join(self._protocol.data_to_send()))

    def receive(self, wait_s: float | None) -> bytes | None:
        """Return a message; None: closed. Raises RecogniserError, and TimeoutError after `wait_s`."""
        until_s = None if wait_s is None else time.monotonic() + wait_s
        while not self._messages:
            if self._protocol.parser_exc is not None:
                raise self._wire.call.nonsense("is no WebSocket message")
            if self._protocol.state is not State.OPEN:
                return None
            left_s = None if until_s is None else max(until_s - time.monotonic(), 0.0)
            self._feed(self._wire.receive(wait_s=left_s))
        return self._messages.pop(0)

    def close(self) -> None:
        """Say goodbye; the server's is not waited for."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
            self.flush()

    def _feed(self, data: bytes) -> bool:
        """Take what came; False: it was the end."""
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        events = self._protocol.events_received()
        self._frames += len(events)
        if self._frames > _MAX_FRAMES:
            raise self._wire.call.nonsense(f"has more than {_MAX_FRAMES} parts")
        for event in events:
            if isinstance(event, Frame) and event.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
                self._parts.append(bytes(event.data))
                if event.fin:
                    self._messages.append(b"".join(self._parts))
                    self._parts.clear()
        self.flush()  # answers to pings
        return bool(data)


def _refusal(call: Call, response: Response) -> RecogniserError:
    status = response.status_code
    if 300 <= status < 400:
        return call.fault(
            f"it answers {status} and sends its clients elsewhere",
            "write the address that it sends them to: no sound and no login goes where nobody named",
        )
    hint = "check the login" if status in {401, 403} else "check the address, and that it is a server of FunASR"
    return call.fault(f"it answers {status} instead of a WebSocket", hint)


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, separators=(",", ":"))
