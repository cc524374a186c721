"""Small recognisers on loopback that speak the real protocols, and say what a test has them say."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
from support.serving import serving
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol
from wyoming.event import Event, read_event, write_event

from edgeaudio.speech.opening import RecogniserConfig, open_recogniser
from edgeaudio.speech.recogniser import SpeechRecogniser
from edgeaudio.types import Samples

Json = dict[str, Any]
Reply = Callable[[socket.socket], object]  # sends what a server says, on a connection that has heard an utterance

TONE: Samples = (0.5 * np.sin(np.arange(16_000) * 0.1)).astype(np.float32)  # a second
INFO: Json = {"asr": [{"name": "double", "attribution": {"name": "", "url": ""}, "installed": True, "models": []}]}
VERBOSE: Json = {
    "task": "transcribe",
    "language": "english",
    "duration": 1.0,
    "text": " Turn it off. ",
    "segments": [
        {
            "id": 0,
            "start": 0.0,
            "end": 1.0,
            "text": " Turn it off.",
            "avg_logprob": -0.5,
            "no_speech_prob": 0.125,
            "compression_ratio": 0.75,
        }
    ],
}
OFFLINE: Json = {"mode": "offline", "text": "开灯", "wav_name": "utterance", "is_final": False}


def client(url: str, *, model: str | None = None, **settings: Any) -> SpeechRecogniser:
    return open_recogniser(RecogniserConfig(url, model, **({"timeout_s": 5.0} | settings)))


def saying(data: bytes) -> Reply:
    """Return a reply of these bytes, after which the connection is closed."""

    def send(connection: socket.socket) -> None:
        connection.sendall(data)

    return send


def event_bytes(kind: str, data: Json | None = None) -> bytes:
    """Return an event of Wyoming as the library writes it."""
    file = io.BytesIO()
    write_event(Event(kind, data or {}), file)
    return file.getvalue()


def http_bytes(body: Json | bytes, status: str = "200 OK", **headers: str) -> bytes:
    """Return an answer of HTTP."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(data)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + data


@contextlib.contextmanager
def wyoming_server(reply: Reply, heard: list[Event] | None = None) -> Iterator[str]:
    """Serve Wyoming; yields the address. `heard` gets the events of each utterance."""

    def session(connection: socket.socket, _: threading.Event) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            file = connection.makefile("rb")
            while (event := read_event(cast("Any", file))) is not None:
                if heard is not None:
                    heard.append(event)
                if event.type == "describe":
                    connection.sendall(event_bytes("info", INFO))
                if event.type == "audio-stop":
                    reply(connection)
                    return

    with serving(session) as port:
        yield f"wyoming://127.0.0.1:{port}"


@contextlib.contextmanager
def http_server(*replies: Reply, heard: list[bytes] | None = None) -> Iterator[str]:
    """Serve HTTP, the last reply again and again; yields the address. `heard` gets the requests."""
    left = list(replies)

    def session(connection: socket.socket, _: threading.Event) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(65536) or b"\r\n\r\n"
            head, _blank, body = request.partition(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:"))
            while len(body) < length and (more := connection.recv(65536)):
                body += more
            if heard is not None:
                heard.append(head + b"\r\n\r\n" + body)
            (left.pop(0) if len(left) > 1 else left[0])(connection)

    with serving(session) as port:
        yield f"http://127.0.0.1:{port}/v1"


class FunasrSession:
    """The server's end of a WebSocket, over a socket; `reply` of a test is called with it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.protocol = ServerProtocol(subprotocols=["binary"])  # type: ignore[list-item] # a str for the library
        self.path = ""

    def messages(self) -> Iterator[str | bytes]:
        """Yield what the client sends, after a handshake."""
        while came := self.connection.recv(65536):
            self.protocol.receive_data(came)
            for event in self.protocol.events_received():
                if isinstance(event, Frame):
                    if event.opcode in {Opcode.TEXT, Opcode.BINARY}:
                        data = bytes(event.data)
                        yield data.decode() if event.opcode is Opcode.TEXT else data
                else:
                    self.path = event.path  # type: ignore[union-attr] # a request: it is a server
                    self.headers = event.headers
                    self.protocol.send_response(self.protocol.accept(event))  # type: ignore[arg-type] # as above
            self.flush()

    def say(self, *answers: Json) -> None:
        for answer in answers:
            if self.protocol.state is State.OPEN:
                self.protocol.send_text(json.dumps(answer).encode())
        self.flush()

    def flush(self) -> None:
        self.connection.sendall(b"".join(self.protocol.data_to_send()))


@contextlib.contextmanager
def funasr_server(
    reply: Callable[[FunasrSession], object],
    heard: list[str | bytes] | None = None,
    sessions: list[FunasrSession] | None = None,
) -> Iterator[str]:
    """Serve FunASR's WebSocket: sound before `chunk_size` ends the session, as the Python server does."""

    def serve(connection: socket.socket, _: threading.Event) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            session = FunasrSession(connection)
            if sessions is not None:
                sessions.append(session)
            is_set_up = False
            for message in session.messages():
                if heard is not None:
                    heard.append(message)
                if isinstance(message, bytes) and not is_set_up:
                    return
                if isinstance(message, str):
                    control = json.loads(message)
                    is_set_up |= "chunk_size" in control
                    if control["is_speaking"] is False:
                        reply(session)
                        break
            with contextlib.suppress(OSError):
                while connection.recv(65536):  # until the client goes
                    pass

    with serving(serve) as port:
        yield f"funasr+ws://127.0.0.1:{port}"


def once(*says: bytes, pause_s: float = 0.0) -> Callable[[socket.socket, threading.Event], None]:
    """Return a session, for `serving`, that hears something, says this whatever it was, and closes."""

    def session(connection: socket.socket, _: threading.Event) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(1000)
            for data in says:
                connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            time.sleep(pause_s)

    return session
