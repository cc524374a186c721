"""Recognisers that are none: cut at every byte, slow, endless, huge, mute, mutated; and an end from another thread."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support.certificates import authority, issue, names
from support.recognisers import (
    OFFLINE,
    TONE,
    VERBOSE,
    FunasrSession,
    client,
    event_bytes,
    funasr_server,
    http_bytes,
    http_server,
    once,
    saying,
    wyoming_server,
)
from support.serving import serving
from support.waiting import wait_until

from edgeaudio.speech.recogniser import RecogniserError, Recognition, SpeechRecogniser

SCHEMES = ["wyoming", "http", "funasr+ws"]
WYOMING = event_bytes("transcript", {"text": "Turn it off.", "language": "en"})
HTTP = http_bytes({key: VERBOSE[key] for key in ("text", "language")})
LONG: np.ndarray[tuple[int], np.dtype[np.float32]] = np.zeros(30 * 16_000, np.float32)


def raw_frame(answer: dict[str, object]) -> bytes:
    data = json.dumps(answer).encode()
    return bytes([0x81, len(data)]) + data


@contextlib.contextmanager
def raw_server(scheme: str, say: Callable[[socket.socket], object]) -> Iterator[str]:
    """Serve a protocol up to the answer, which `say` sends as bytes."""
    match scheme:
        case "wyoming":
            with wyoming_server(say) as url:
                yield url
        case "http":
            with http_server(say) as url:
                yield url
        case _:
            with funasr_server(lambda session: say(session.connection)) as url:
                yield url


def outcome(recogniser: SpeechRecogniser) -> str | None:
    """The text, or None for the error that is expected of nonsense."""
    problem = None
    try:
        return recogniser.recognise(TONE).text
    except RecogniserError as error:
        problem = error
    assert not problem.is_final
    assert str(problem).startswith("recogniser ")
    assert "\n" not in str(problem)
    return None


@pytest.mark.parametrize(
    ("scheme", "answer", "text"),
    [("wyoming", WYOMING, "Turn it off."), ("http", HTTP, "Turn it off."), ("funasr+ws", raw_frame(OFFLINE), "开灯")],
)
def test_an_answer_that_ends_at_any_byte_is_no_answer(scheme: str, answer: bytes, text: str) -> None:
    left = iter(range(len(answer) + 1))

    def say(connection: socket.socket) -> None:
        connection.sendall(answer[: next(left)])
        connection.shutdown(socket.SHUT_RDWR)

    with raw_server(scheme, say) as url:
        recogniser = client(url)
        results = [outcome(recogniser) for _ in range(len(answer) + 1)]
    assert results == [None] * len(answer) + [text]


def test_a_handshake_that_ends_at_any_byte_is_none() -> None:
    whole = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    left = iter(range(len(whole) + 1))

    def session(connection: socket.socket, _: threading.Event) -> None:
        with connection:
            connection.recv(65536)
            connection.sendall(whole[: next(left)])

    with serving(session) as port:
        recogniser = client(f"funasr+ws://127.0.0.1:{port}")
        assert {outcome(recogniser) for _ in range(len(whole) + 1)} == {None}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_answer_byte_by_byte_ends_at_the_time_limit(scheme: str) -> None:
    answer = {"wyoming": WYOMING, "http": HTTP, "funasr+ws": raw_frame(OFFLINE)}[scheme]
    ended = threading.Event()

    def say(connection: socket.socket) -> None:
        for byte in answer:
            if ended.wait(0.1):
                break
            connection.sendall(bytes([byte]))

    with raw_server(scheme, say) as url:
        begun = time.monotonic()
        with pytest.raises(RecogniserError, match=r"no answer within 0\.4 s"):
            client(url, timeout_s=0.4).recognise(TONE)
        assert time.monotonic() - begun < 2.0
        ended.set()


ENDLESS = {
    "wyoming, a line": ("wyoming", b'{"type": "', b"x" * 65536),
    "wyoming, events": ("wyoming", b"", event_bytes("pong") * 1000),
    "wyoming, a payload": ("wyoming", b'{"type": "x", "payload_length": 3000000}\n', b"x" * 65536),
    "http, a header": ("http", b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536),
    "http, headers": ("http", b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 10_000),
    "http, continue": ("http", b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "http, a body": ("http", b"HTTP/1.1 200 OK\r\n\r\n", b"[" * 65536),
    "http, chunks": ("http", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 10_000),
    "funasr, messages": ("funasr+ws", b"", raw_frame({"mode": "2pass-online", "text": "x"}) * 1000),
    "funasr, pieces": ("funasr+ws", b"\x01\x01x", b"\x00\x01x" * 10_000),
    "funasr, pings": ("funasr+ws", b"", b"\x89\x00" * 10_000),
}


@pytest.mark.parametrize(("scheme", "head", "more"), ENDLESS.values(), ids=ENDLESS)
def test_an_endless_answer_is_not_taken(scheme: str, head: bytes, more: bytes) -> None:
    sent = [0]

    def say(connection: socket.socket) -> None:
        connection.sendall(head)
        with contextlib.suppress(OSError):
            while sent[0] < 100_000_000:
                connection.sendall(more)
                sent[0] += len(more)

    with raw_server(scheme, say) as url, pytest.raises(RecogniserError) as caught:
        client(url, timeout_s=30.0).recognise(TONE)
    assert "no answer within" not in str(caught.value)  # it is given up for what it is
    assert not caught.value.is_final
    assert sent[0] < 50_000_000  # what the kernel holds is beyond what was taken


HUGE = {
    "wyoming, data": ("wyoming", b'{"type": "transcript", "data_length": 1000000000000}\n{}'),
    "wyoming, payload": ("wyoming", b'{"type": "transcript", "payload_length": 99999999999999999999}\n{}'),
    "wyoming, negative": ("wyoming", b'{"type": "transcript", "data_length": -1}\n{}'),
    "wyoming, text": ("wyoming", b'{"type": "transcript", "data_length": "7"}\n{}'),
    "wyoming, fraction": ("wyoming", b'{"type": "transcript", "data_length": 2.0}\n{}'),
    "wyoming, not finite": ("wyoming", b'{"type": "transcript", "data_length": Infinity}\n{}'),
    "wyoming, data of another type": ("wyoming", b'{"type": "transcript", "data_length": 2}\n[]'),
    "wyoming, no data": ("wyoming", b'{"type": "transcript", "data": null}\n'),
    "wyoming, no type": ("wyoming", b'{"data": {"text": "x"}}\n'),
    "wyoming, a type of another type": ("wyoming", b'{"type": ["transcript"], "data": {"text": "x"}}\n'),
    "wyoming, no object": ("wyoming", b'["transcript"]\n'),
    "wyoming, deep": ("wyoming", b"[" * 200_000 + b"\n"),
    "wyoming, no UTF-8": ("wyoming", b'{"type": "transcript", "data": {"text": "\xff\xfe"}}\n'),
    "wyoming, NaN": ("wyoming", b'{"type": "transcript", "data": {"text": NaN}}\n'),
    "wyoming, HTTP": ("wyoming", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "http, length": ("http", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n{}"),
    "http, chunk": ("http", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\n{}"),
    "http, no chunk": ("http", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{}"),
    "http, no status": ("http", b"HTTP/1.1 abc OK\r\n\r\n{}"),
    "http, status of one digit": ("http", b"HTTP/1.1 2 OK\r\n\r\n{}"),
    "http, deep": ("http", http_bytes(b'{"text": ' + b"[" * 200_000)),
    "http, no UTF-8": ("http", http_bytes(b'{"text": "\xff"}')),
    "http, a long number": ("http", http_bytes(b'{"text": "x", "segments": [{"start": ' + b"9" * 5000 + b"}]}")),
    "http, compressed": ("http", http_bytes(b"\x1f\x8b\x08", Content_Encoding="gzip")),
    "http, Wyoming": ("http", WYOMING),
    "funasr, length": ("funasr+ws", b"\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff{}"),
    "funasr, masked": ("funasr+ws", b"\x81\x82abcd{}"),
    "funasr, compressed": ("funasr+ws", b"\xc1\x02{}"),
    "funasr, an opcode that is none": ("funasr+ws", b"\x83\x02{}"),
    "funasr, a piece of nothing": ("funasr+ws", b"\x80\x02{}"),
    "funasr, no UTF-8": ("funasr+ws", b"\x81\x0c" + b'{"text":"\xff"}'),
    "funasr, deep": ("funasr+ws", b"\x81\x7e\xff\xff" + b"[" * 65535),
    "funasr, no object": ("funasr+ws", b"\x81\x02[]"),
    "funasr, a close that is none": ("funasr+ws", b"\x88\x01x"),
}


@pytest.mark.parametrize(("scheme", "answer"), HUGE.values(), ids=HUGE)
def test_what_no_protocol_says_is_nonsense(scheme: str, answer: bytes) -> None:
    with raw_server(scheme, saying(answer)) as url:
        assert outcome(client(url, timeout_s=10.0)) is None


@pytest.mark.parametrize(
    ("scheme", "answer"), [("wyoming", WYOMING), ("http", HTTP), ("funasr+ws", raw_frame(OFFLINE))], ids=SCHEMES
)
def test_a_changed_answer_is_one_or_is_refused(scheme: str, answer: bytes) -> None:
    chance = random.Random(7)

    def say(connection: socket.socket) -> None:
        changed = bytearray(answer)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(changed))
            changed[place : place + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        connection.sendall(changed)
        connection.shutdown(socket.SHUT_RDWR)

    with raw_server(scheme, say) as url:
        recogniser = client(url)
        for _ in range(120):
            with contextlib.suppress(RecogniserError):
                assert isinstance(recogniser.recognise(TONE), Recognition)


# where a call can be when it is ended: the name, the connection, TLS, sending, the answer


@contextlib.contextmanager
def mute(*, backlog: int | None = None, receive_buffer: int | None = None) -> Iterator[int]:
    """Serve nothing at all; with a backlog of 0 that is full, connections are not even made."""
    server = socket.create_server(("127.0.0.1", 0), backlog=backlog)
    if receive_buffer is not None:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    port = server.getsockname()[1]
    fillers: list[socket.socket] = []
    if backlog is not None:
        for _ in range(backlog + 4):
            filler = socket.socket()
            filler.setblocking(False)  # noqa: FBT003 (the socket's own method)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
    try:
        yield port
    finally:
        for each in (*fillers, server):
            each.close()


@contextlib.contextmanager
def waiting_at(stage: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield an address at which a call waits there, for ever."""
    match stage:
        case "name":
            released = threading.Event()
            real = socket.getaddrinfo

            def resolve(host: str, *arguments: object, **more: object) -> object:
                if host == "whisper.test" and not more.get("flags"):
                    released.wait(20)
                return real(host, *arguments, **more)  # type: ignore[arg-type] # what was passed

            monkeypatch.setattr(socket, "getaddrinfo", resolve)
            yield "wyoming://whisper.test:1"
            released.set()
        case "connection":
            with mute(backlog=0) as port:
                yield f"http://127.0.0.1:{port}/v1"
        case "tls":
            with mute() as port:
                yield f"https://127.0.0.1:{port}/v1"
        case "sending":
            with mute(receive_buffer=4096) as port:
                yield f"wyoming://127.0.0.1:{port}"
        case _:
            with mute() as port:
                yield f"{stage}://127.0.0.1:{port}"


STAGES = ["name", "connection", "tls", "sending", "wyoming", "http", "funasr+ws"]


@pytest.mark.parametrize("stage", STAGES)
def test_closing_from_another_thread_ends_a_call_within_half_a_second(
    stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with waiting_at(stage, monkeypatch) as url:
        recogniser = client(url, timeout_s=30.0)
        raised: list[RecogniserError] = []
        took_s: list[float] = []

        def recognise() -> None:
            begun = time.monotonic()
            with contextlib.suppress(RecogniserError):
                try:
                    recogniser.recognise(LONG if stage == "sending" else TONE)
                except RecogniserError as error:
                    raised.append(error)
            took_s.append(time.monotonic() - begun)

        thread = threading.Thread(target=recognise)
        thread.start()
        time.sleep(0.3)
        assert thread.is_alive(), raised
        closed = time.monotonic()
        recogniser.close()
        thread.join(5)
        assert time.monotonic() - closed < 0.5
        assert str(raised[0]).endswith(": closed while it was asked")
        assert not raised[0].is_final


@pytest.mark.parametrize("stage", STAGES)
def test_a_call_has_its_time_limit_wherever_it_waits(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with waiting_at(stage, monkeypatch) as url:
        begun = time.monotonic()
        with pytest.raises(RecogniserError, match=r"no answer within 0\.3 s|connecting took too long"):
            client(url, timeout_s=0.3).recognise(LONG if stage == "sending" else TONE)
        assert 0.25 < time.monotonic() - begun < 2.0


def test_closing_without_a_call_is_nothing_and_a_later_call_connects_again() -> None:
    with wyoming_server(saying(WYOMING)) as url:
        recogniser = client(url)
        recogniser.close()
        for _ in range(2):
            assert recogniser.recognise(TONE).text == "Turn it off."
            recogniser.close()


def test_a_server_that_is_gone_and_comes_back_is_used_again() -> None:
    with wyoming_server(saying(WYOMING)) as url:
        pass
    recogniser = client(url)
    with pytest.raises(RecogniserError, match="nothing listens on that port; check the port, and that the rec") as away:
        recogniser.recognise(TONE)
    assert away.value.is_for_all


def test_no_connection_and_no_thread_stays() -> None:
    threads = threading.active_count()
    closed = threading.Event()

    def reply(session: FunasrSession) -> None:
        session.say(OFFLINE)
        while session.connection.recv(65536):
            pass
        closed.set()

    with funasr_server(reply) as url:
        recogniser = client(url.replace("127.0.0.1", "localhost"))
        recogniser.recognise(TONE)
        wait_until(closed.is_set)
    wait_until(lambda: threading.active_count() <= threads)


def test_what_was_said_before_the_server_stopped_listening_is_heard() -> None:
    """413 comes while the sound is still being sent, and the server closes."""
    with (
        serving(
            once(http_bytes(b"", "413 Content Too Large"), pause_s=0.2),
            receive_buffer=4096,
        ) as port,
        pytest.raises(RecogniserError, match="it answers 413") as caught,
    ):
        client(f"http://127.0.0.1:{port}/v1").recognise(np.tile(LONG, 10))
    assert caught.value.is_final


# TLS

CA = authority("our authority")


@contextlib.contextmanager
def tls_server(folder: Path, host: str = "localhost") -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*issue("whisper", CA, extensions=[names(host)]).write(folder, "server"))

    def session(plain: socket.socket, _: threading.Event) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
            request = b""
            while not request.rstrip().endswith(b"--"):
                request += connection.recv(65536)
            connection.sendall(http_bytes(VERBOSE))
        plain.close()

    with serving(session) as port:
        yield port


def test_a_certificate_of_the_system_s_authorities_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ca.pem").write_bytes(CA.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with tls_server(tmp_path) as port:
        assert client(f"https://localhost:{port}").recognise(TONE).text == "Turn it off."
        with pytest.raises(RecogniserError, match="its certificate is not trusted: IP address mismatch"):
            client(f"https://127.0.0.1:{port}").recognise(TONE)


def test_a_certificate_of_another_authority_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with (
        tls_server(tmp_path) as port,
        pytest.raises(RecogniserError, match="its certificate is not trusted: ") as caught,
    ):
        client(f"https://localhost:{port}", api_key="hunter2hunter2").recognise(TONE)
    assert "an authority of this system" in str(caught.value)
    with tls_server(tmp_path) as port, pytest.raises(RecogniserError, match="its certificate is not trusted"):
        client(f"funasr+wss://localhost:{port}").recognise(TONE)


def test_a_server_without_tls_says_so() -> None:
    plain = http_bytes(b"", "400 Bad Request")
    with (
        serving(once(plain)) as port,
        pytest.raises(RecogniserError, match="does not speak TLS on that port"),
    ):
        client(f"https://127.0.0.1:{port}").recognise(TONE)
