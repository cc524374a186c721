"""The clients against real recognisers with a real model, and beside FunASR's own kind of client."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
import wave
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from support.real_recognisers import VENV, Server, faster_whisper_server, spoken, wyoming_faster_whisper
from support.recognisers import FunasrSession, client, funasr_server

from edgeaudio.recognise.utterances import UtterancePipeline
from edgeaudio.speech.invented import without_invented
from edgeaudio.speech.recogniser import RecogniserError, Recognition
from edgeaudio.types import Block, Samples

SENTENCE = "The kettle is boiling in the kitchen."
# FunASR's protocol from the other side: PyPI's funasr-client, which shares nothing with ours but the frames' library
# (its asynchronous client: the other one's `close` waits for a lock that it holds)
OTHER_CLIENT = """
import asyncio, json, sys, wave
from funasr_client import AsyncFunASRClient
url, path, mode = sys.argv[1:]
with wave.open(path) as sound:
    pcm = sound.readframes(sound.getnframes())

async def main():
    client = AsyncFunASRClient(
        url, mode=mode, wav_name="utterance", wav_format="pcm", audio_fs=16000, itn=True, blocking=True
    )
    await client.connect()
    for begin in range(0, len(pcm), 1920):
        await client.send(pcm[begin:begin + 1920])
    await client.signal_close()
    print(json.dumps([m["text"] async for m in client.stream() if m.get("mode") != "2pass-online" and m["text"]]))
    await client.close()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recognisers")


@pytest.fixture(scope="module")
def speech(folder: Path) -> Samples:
    return spoken(SENTENCE, folder)


@pytest.fixture(scope="module")
def wyoming(folder: Path) -> Iterator[Server]:
    with wyoming_faster_whisper(folder) as server:
        yield server


@pytest.fixture(scope="module")
def http(folder: Path) -> Iterator[Server]:
    with faster_whisper_server(folder) as server:
        yield server


def test_whisper_behind_wyoming_hears_the_sentence(wyoming: Server, speech: Samples) -> None:
    recogniser = client(wyoming.url, language="en", timeout_s=120.0)
    assert [recogniser.recognise(speech) for _ in range(2)] == [Recognition(SENTENCE, "en")] * 2
    assert recogniser.name == "faster-whisper"


def test_whisper_behind_http_hears_the_sentence_and_says_how_sure_it_is(http: Server, speech: Samples) -> None:
    recognition = client(http.url, language="en", timeout_s=120.0).recognise(speech)
    assert recognition.text == SENTENCE
    assert recognition.language == "en"
    assert 0.4 < (recognition.confidence or 0.0) < 1.0
    (segment,) = recognition.segments
    assert segment.text == SENTENCE
    assert 0.0 <= (segment.no_speech or 0.0) < 0.3
    assert -1.0 < (segment.log_probability or -9.0) < 0.0
    assert 0.3 < (segment.compression or 0.0) < 1.5
    assert without_invented(recognition) == (recognition, ())


def test_noise_has_no_text_after_the_sieve(http: Server) -> None:
    noise = np.random.default_rng(7).normal(0, 0.1, 16_000 * 3).astype(np.float32)
    recognition = client(http.url, language="en", timeout_s=120.0).recognise(noise)
    assert without_invented(recognition)[0].text == ""


@pytest.mark.parametrize("protocol", ["wyoming", "http"])
def test_a_stalled_recogniser_costs_the_time_limit_and_is_used_again(
    protocol: str, speech: Samples, request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(protocol)
    with server.stalled():
        begun = time.monotonic()
        with pytest.raises(RecogniserError, match="no answer within 1 s"):
            client(server.url, language="en", timeout_s=1.0).recognise(speech)
        assert time.monotonic() - begun < 3.0
        recogniser = client(server.url, timeout_s=60.0)
        threading.Timer(0.5, recogniser.close).start()
        begun = time.monotonic()
        with pytest.raises(RecogniserError, match="closed while it was asked"):
            recogniser.recognise(speech)
        assert time.monotonic() - begun < 1.5
    assert client(server.url, language="en", timeout_s=120.0).recognise(speech).text == SENTENCE


@pytest.mark.parametrize("protocol", ["wyoming", "http"])
def test_a_killed_recogniser_is_an_error_at_once_and_a_restarted_one_is_used(
    protocol: str, speech: Samples, request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(protocol)
    recogniser = client(server.url, language="en", timeout_s=120.0)
    killer = threading.Timer(0.3, server.stop, (signal.SIGKILL,))
    killer.start()
    begun = time.monotonic()
    with pytest.raises(RecogniserError, match=r"closed the connection|cut the connection"):
        recogniser.recognise(np.tile(speech, 8))
    assert time.monotonic() - begun < 5.0
    killer.join()
    with pytest.raises(RecogniserError, match="nothing listens on that port"):
        recogniser.recognise(speech)
    server.start()
    assert recogniser.recognise(speech).text == SENTENCE


@pytest.mark.parametrize("mode", ["offline", "2pass"])
def test_funasr_s_other_client_hears_the_same_from_the_same_server(
    mode: str, http: Server, folder: Path, speech: Samples
) -> None:
    """The double has real Whisper inside, and answers as FunASR's C++ server of two passes does."""
    inner = client(http.url, language="en", timeout_s=120.0)
    heard: list[str | bytes] = []
    sounds: list[bytes] = []

    def reply(session: FunasrSession) -> None:
        pcm = b"".join(message for message in heard if isinstance(message, bytes))
        heard.clear()
        sounds.append(pcm)
        text = inner.recognise(np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)).text
        if mode == "2pass":
            session.say({"mode": "2pass-online", "text": text[:7], "wav_name": "utterance", "is_final": False})
        first, second = text[:10], text[10:]
        for part in (first, second):
            session.say({"mode": "2pass-offline", "text": part.strip(), "wav_name": "utterance", "is_final": False})
        session.say({"text": "", "wav_name": "utterance", "is_final": True})

    with funasr_server(reply, heard) as url:
        ours = client(f"{url}?mode={mode}", timeout_s=120.0).recognise(speech)
        with wave.open(str(folder / "funasr.wav"), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(sounds[0])
        theirs = subprocess.run(
            [VENV / "bin" / "python", "-c", OTHER_CLIENT, url.removeprefix("funasr+"), folder / "funasr.wav", mode],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert theirs.returncode == 0, theirs.stderr
    assert ours.text == " ".join(json.loads(theirs.stdout)) == SENTENCE
    assert sounds[0] == sounds[1]


def test_an_utterance_that_was_cut_is_heard_like_the_whole(http: Server, speech: Samples) -> None:
    pipeline = UtterancePipeline()
    block = Block("x", 0, 0, datetime.now(UTC), 16_000, np.pad(speech, 16_000))
    (utterance,) = [*pipeline.feed(block), *pipeline.flush()]
    assert client(http.url, language="en", timeout_s=120.0).recognise(utterance.samples).text == SENTENCE
