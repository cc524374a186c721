"""Recognisers behind the HTTP interface of OpenAI: speaches, vLLM, whisper.cpp's server, FunASR's, OpenAI itself.

Owns: the request, what a status means, the fields of an answer.
Does not know: sockets (connection.py), which text is invented (invented.py).

The client is the standard library's, which follows no redirect and uses no proxy; its socket is a Wire. `verbose_json`
has what tells invented text: a server or a model that refuses it is asked for `json`, from then on.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, IncompleteRead, RemoteDisconnected
from typing import Final

from edgeaudio.speech.answer import AnswerError, number_of, read_json, short_name, text_of
from edgeaudio.speech.base import NetworkRecogniser
from edgeaudio.speech.config import Address, RecogniserConfig
from edgeaudio.speech.connection import MAX_RECEIVED, Call, Wire
from edgeaudio.speech.language import code_of
from edgeaudio.speech.recogniser import RecogniserError, Recognition, Segment, confidence_of
from edgeaudio.types import UTTERANCE_RATE
from edgeaudio.version import __version__

_DEFAULT_MODEL: Final = "whisper-1"  # a server of one model takes any name
_PATH: Final = "/audio/transcriptions"
_WHOLE_PATHS: Final = ("/transcriptions", "/inference")  # the latter is whisper.cpp's, unless it is told another
_MAX_SEGMENTS: Final = 1000
_REFUSED: Final = frozenset({400, 413, 415, 422})
_FOR_ALL: Final = frozenset({401, 403, 404, 405, 429, 503})  # whatever the utterance is
_PERHAPS_THE_FORMAT: Final = frozenset({400, 422, 501})
_HINTS: Final = {
    401: "check the API key",
    403: "check the API key, and what it may do",
    404: "check the address (it ends in /v1 on most servers), and that the server has the model",
    405: "check the address: it ends in /v1 on most servers",
    429: "wait, or raise what the server grants",
    503: "see whether it is still loading its model, or overloaded",
}
_LOG: Final = "look at the recogniser's log"
_SET_UP: Final = frozenset({"model", "language", "response_format"})


class HttpRecogniser(NetworkRecogniser):
    """A recogniser behind `http(s)://host[:port]/v1`."""

    def __init__(self, address: Address, config: RecogniserConfig) -> None:
        super().__init__(address, config, config.model or _DEFAULT_MODEL)
        self._takes_verbose = True
        base = address.path.rstrip("/") or "/v1"
        path = address.path if base.endswith(_WHOLE_PATHS) else base + _PATH
        self._target = path + (f"?{address.query}" if address.query else "")

    def _ask(self, call: Call, pcm: bytes) -> Recognition:
        if self._takes_verbose:
            status, body = self._post(call, pcm, "verbose_json")
            if status not in _PERHAPS_THE_FORMAT:
                return self._recognition(call, status, body)
            call.release()
        recognition = self._recognition(call, *self._post(call, pcm, "json"))
        self._takes_verbose = False
        return recognition

    def _post(self, call: Call, pcm: bytes, response_format: str) -> tuple[int, bytes]:
        """Return the status and the body of an answer."""
        fields = {"model": self._config.model or _DEFAULT_MODEL, "response_format": response_format}
        if self._config.language is not None:
            fields["language"] = self._config.language
        boundary = secrets.token_hex(16)
        client = _Client(self._address, self._connect(call))
        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Accept": "application/json",
            "User-Agent": f"edgeaudio/{__version__}",
            "Connection": "close",
        } | self._login
        try:
            client.request("POST", self._target, _form(boundary, fields, pcm), headers)
            answer = client.getresponse()
            body = answer.read(2 * MAX_RECEIVED)  # more than the wire lets through: it says so
        except (RemoteDisconnected, IncompleteRead):
            raise call.fault("it closed the connection before the end of its answer", _LOG) from None
        except (HTTPException, ValueError) as error:
            # of the standard library's sentences some have what the peer sent in them
            raise call.nonsense(f"is no HTTP ({type(error).__name__})") from None
        if answer.length:
            raise call.fault("it closed the connection before the end of its answer", _LOG)
        return answer.status, body

    def _recognition(self, call: Call, status: int, body: bytes) -> Recognition:
        if not _is_success(status):
            raise self._refusal(call, status, body)
        answer = read_json(body)
        text = text_of(answer.get("text"), "text")
        segments = _segments(answer.get("segments"))
        return Recognition(text, code_of(answer.get("language")), confidence_of(segments), segments)

    def _refusal(self, call: Call, status: int, body: bytes) -> RecogniserError:
        """Return the error for a status that is no success."""
        if 300 <= status < 400:
            return call.fault(
                f"it answers {status} and sends its clients elsewhere",
                "write the address that it sends them to: no sound and no login goes where nobody named",
            )
        complaint, is_set_up = _complaint(body)
        said = None if status in {401, 403} else self._words(complaint, 160)  # some servers repeat a part of the key
        what = f"it answers {status}" + (f" ({said})" if said else "")
        if status in _REFUSED and not is_set_up:
            return call.fault(what, "it does not take this utterance", is_final=True)
        hint = "check the model and the language" if is_set_up else _HINTS.get(status, _LOG)
        return call.fault(what, hint, is_for_all=status in _FOR_ALL)


class _Client(HTTPConnection):
    """The standard library's client over a connection that is there."""

    auto_open = 0  # it makes none

    def __init__(self, address: Address, wire: Wire) -> None:
        super().__init__(address.host, address.port)
        if address.port == {"http": 80, "https": 443}[address.scheme]:
            self.port = self.default_port = address.port  # not in the Host header
        self.sock = wire


def _form(boundary: str, fields: Mapping[str, str], pcm: bytes) -> bytes:
    """Return a form of fields and the sound (RFC 7578)."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="utterance.wav"\r\n'
        "Content-Type: audio/wav\r\n\r\n"
    )
    return b"".join([*(part.encode() for part in parts), wave_of(pcm), f"\r\n--{boundary}--\r\n".encode()])


def wave_of(pcm: bytes) -> bytes:
    """Return mono PCM of 16 bit at UTTERANCE_RATE as a WAV file."""
    rate = UTTERANCE_RATE
    head = b"".join(
        value.to_bytes(length, "little")
        for value, length in ((16, 4), (1, 2), (1, 2), (rate, 4), (2 * rate, 4), (2, 2), (16, 2))
    )
    chunks = b"WAVEfmt " + head + b"data" + len(pcm).to_bytes(4, "little") + pcm
    return b"RIFF" + len(chunks).to_bytes(4, "little") + chunks


def _is_success(status: int) -> bool:
    return 200 <= status < 300


def _segments(value: object) -> tuple[Segment, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > _MAX_SEGMENTS:
        raise AnswerError(f"has no list of at most {_MAX_SEGMENTS} segments")
    return tuple(map(_segment, value))


def _segment(value: object) -> Segment:
    if not isinstance(value, dict):
        raise AnswerError("has a segment that is no object")
    begin_s = number_of(value.get("start"), "a segment's start", 0.0) or 0.0
    return Segment(
        begin_s=begin_s,
        end_s=max(begin_s, number_of(value.get("end"), "a segment's end", 0.0) or 0.0),
        text=text_of(value.get("text"), "a segment's text"),
        no_speech=number_of(value.get("no_speech_prob"), "no_speech_prob", 0.0, 1.0),
        log_probability=number_of(value.get("avg_logprob"), "avg_logprob", most=0.0),
        compression=number_of(value.get("compression_ratio"), "compression_ratio", 0.0),
    )


def _complaint(body: bytes) -> tuple[object, bool]:
    """Return what a server says of its refusal, and whether it is about the set-up rather than the sound."""
    said: object = None
    is_set_up = False
    try:
        answer = read_json(body)
    except AnswerError:
        return None, False
    match answer:
        case {"error": dict(error)} | {"detail": {"error": dict(error)}}:  # OpenAI's
            said = error.get("message")
            is_set_up = error.get("param") in _SET_UP or error.get("code") == "model_not_found"
        case {"detail": [{"loc": [*_, where], "msg": problem}, *_]}:  # FastAPI's own
            said = f"{where}: {problem}"
            is_set_up = where in _SET_UP
        case {"detail": problem} | {"message": problem} | {"error": problem}:
            said = problem
        case _:
            pass
    # servers that name no parameter: "Unknown model: ...", "The model `...` does not exist."
    return said, is_set_up or re.search(r"\bmodels?\b", short_name(said, 160) or "", re.IGNORECASE) is not None
