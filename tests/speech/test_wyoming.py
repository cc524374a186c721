"""Wyoming: what is sent, which events are an answer, and the library's own server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from support.ports import free_port
from support.recognisers import INFO, TONE, client, event_bytes, saying, wyoming_server
from support.waiting import wait_until
from wyoming.asr import Transcribe, Transcript
from wyoming.event import Event
from wyoming.server import AsyncEventHandler, AsyncServer

from edgeaudio.speech.recogniser import RecogniserError, Recognition


def test_an_utterance_is_sent_as_pcm_and_its_text_comes_back() -> None:
    heard: list[Event] = []
    samples = np.concatenate([TONE, np.array([2.0, -2.0, np.nan, np.inf], np.float32)])
    with wyoming_server(saying(event_bytes("transcript", {"text": " Turn it off.\n"})), heard) as url:
        recogniser = client(url, language="en", model="tiny")
        assert recogniser.name == "tiny"
        assert recogniser.recognise(samples) == Recognition("Turn it off.", "en")
    assert [event.type for event in heard] == ["transcribe", "audio-start", "audio-chunk", "audio-chunk", "audio-stop"]
    assert heard[0].data == {"name": "tiny", "language": "en"}
    assert all(event.data == {"rate": 16_000, "width": 2, "channels": 1} for event in heard[1:4])
    pcm = np.frombuffer(b"".join(event.payload or b"" for event in heard), "<i2")
    assert np.abs(pcm[:-4] - 32767.0 * TONE).max() <= 0.51
    assert pcm[-4:].tolist() == [32767, -32767, 0, 32767]


def test_the_name_is_the_server_s_and_is_asked_for_once() -> None:
    heard: list[Event] = []
    with wyoming_server(saying(event_bytes("transcript", {"text": "x", "language": "de"})), heard) as url:
        recogniser = client(url)
        assert recogniser.name == "wyoming"
        assert recogniser.recognise(TONE).language == "de"
        assert recogniser.name == "double"
        recogniser.recognise(TONE)
    assert [event.type for event in heard].count("describe") == 1


@pytest.mark.parametrize("info", [{}, {"asr": []}, {"asr": [{}]}, {"asr": [{"name": 1}]}, {"asr": 1}, {"asr": [[]]}])
def test_a_server_without_a_name_has_the_protocol_s(info: dict[str, object]) -> None:
    reply = event_bytes("info", info) + event_bytes("transcript", {"text": "x"})
    with wyoming_server(saying(reply)) as url:
        recogniser = client(url)
        recogniser.recognise(TONE)
    assert recogniser.name in {"wyoming", "double"}


def test_text_in_parts_is_one_text_and_the_whole_one_counts() -> None:
    parts = event_bytes("transcript-start") + b"".join(
        event_bytes("transcript-chunk", {"text": text}) for text in (" Turn it", "", "off. ")
    )
    whole = event_bytes("transcript", {"text": "Turn it OFF."})
    for end, text in ((event_bytes("transcript-stop"), "Turn it off."), (whole, "Turn it OFF.")):
        with wyoming_server(saying(parts + end)) as url:
            assert client(url).recognise(TONE).text == text


def test_an_error_event_is_an_error_that_may_pass() -> None:
    reply = event_bytes("error", {"text": "CUDA is out of\nmemory", "code": "x"})
    with wyoming_server(saying(reply)) as url, pytest.raises(RecogniserError) as caught:
        client(url).recognise(TONE)
    assert str(caught.value) == f"recogniser {url}: it failed (CUDA is out of memory); look at the recogniser's log"
    assert not caught.value.is_final


def test_other_events_are_not_for_us() -> None:
    others = event_bytes("pong") + event_bytes("info", INFO) + event_bytes("voice-started", {"timestamp": 1})
    payload = b'{"type": "audio-chunk", "data": {}, "payload_length": 4}\n\n\n\n\n'
    with wyoming_server(saying(others + payload + event_bytes("transcript", {"text": "x"}))) as url:
        assert client(url).recognise(TONE).text == "x"


def test_ctrl_c_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("edgeaudio.speech.connection.Wire.receive_into", interrupted)
    with wyoming_server(saying(b"")) as url, pytest.raises(KeyboardInterrupt):
        client(url).recognise(TONE)


class _Handler(AsyncEventHandler):
    async def handle_event(self, event: Event) -> bool:
        self.pcm: bytes = getattr(self, "pcm", b"")
        if Transcribe.is_type(event.type):
            self.language = Transcribe.from_event(event).language
        self.pcm += (event.payload or b"") if event.type == "audio-chunk" else b""
        if event.type == "describe":
            await self.write_event(Event("info", INFO))
        if event.type == "audio-stop":
            await self.write_event(Transcript(f"{len(self.pcm)} bytes", language=self.language).event())
        return event.type != "audio-stop"


@pytest.fixture
def library_server() -> Iterator[str]:
    """The library's own server."""
    port = free_port()
    loop = asyncio.new_event_loop()
    server = AsyncServer.from_uri(f"tcp://127.0.0.1:{port}")
    started = threading.Event()

    async def run() -> None:
        await server.start(_Handler)
        started.set()

    def serve() -> None:
        loop.run_until_complete(run())
        loop.run_forever()

    thread = threading.Thread(target=serve)
    thread.start()
    wait_until(started.is_set)
    yield f"wyoming://127.0.0.1:{port}"

    async def stop() -> None:
        await server.stop()
        loop.stop()

    asyncio.run_coroutine_threadsafe(stop(), loop)
    thread.join()
    loop.close()


def test_the_library_s_own_server_understands_us(library_server: str) -> None:
    recogniser = client(library_server, language="nl")
    for _ in range(2):
        assert recogniser.recognise(np.tile(TONE, 3)) == Recognition("96000 bytes", "nl")
    assert recogniser.name == "double"
