"""FunASR's WebSocket: what is sent, and which answer is the last one of each of its servers."""

from __future__ import annotations

import json
import logging
import time

import pytest
from support.recognisers import OFFLINE, TONE, FunasrSession, Json, client, funasr_server, http_bytes, once
from support.serving import serving

from edgeaudio.speech.funasr import Follows, joined, what_follows
from edgeaudio.speech.recogniser import RecogniserError, Recognition

SECRET = "hunter2hunter2"
ONLINE = {"mode": "2pass-online", "text": "开", "is_final": False}
PART = {"mode": "2pass-offline", "text": "Turn it", "is_final": False}
LAST = {"text": "", "is_final": True, "wav_name": "utterance"}
ACKNOWLEDGED = {"is_end": True, "is_final": True}


def test_the_set_up_comes_before_the_sound_and_an_end_is_asked_for() -> None:
    heard: list[str | bytes] = []
    sessions: list[FunasrSession] = []
    with funasr_server(lambda session: session.say(OFFLINE), heard, sessions) as url:
        recogniser = client(f"{url}/asr?mode=2pass&tenant=7", language="en", api_key=SECRET)
        assert recogniser.name == "funasr"
        recogniser.recognise(TONE)
    assert isinstance(heard[0], str)
    assert (
        json.loads(heard[0]).items()
        >= {
            "mode": "2pass",
            "chunk_size": [5, 10, 5],
            "audio_fs": 16_000,
            "wav_format": "pcm",
            "is_speaking": True,
            "svs_lang": "en",
        }.items()
    )
    assert isinstance(heard[-1], str)
    assert json.loads(heard[-1]) == {"is_speaking": False, "is_end": True}
    sound = [message for message in heard if isinstance(message, bytes)]
    assert {len(frame) for frame in sound[:-1]} == {1920}  # 60 ms
    assert sum(map(len, sound)) == 2 * len(TONE)
    assert sessions[0].path == "/asr?tenant=7"
    assert sessions[0].headers["Authorization"] == f"Bearer {SECRET}"
    assert sessions[0].headers["Sec-WebSocket-Protocol"] == "binary"


SERVERS = {
    "C++, whole sentences": ("offline", [OFFLINE], "开灯"),
    "C++, whole sentences, nothing heard": ("offline", [OFFLINE | {"text": ""}], ""),
    "C++, two passes, asked for one": ("offline", [PART, PART | {"text": "off."}, LAST], "Turn it off."),
    "C++, two passes": ("2pass", [ONLINE, PART, ONLINE, PART | {"text": "off.", "is_final": True}], "Turn it off."),
    "C++, two passes, nothing heard": ("2pass", [LAST], ""),
    "Python": ("offline", [OFFLINE | {"is_final": True}, OFFLINE | {"text": "吧"}], "开灯吧"),
    "Python, with an end": ("2pass", [ONLINE, PART | {"is_final": False}, ACKNOWLEDGED], "Turn it"),
    "Python, with an end, nothing heard": ("offline", [ACKNOWLEDGED], ""),
    "SenseVoice": ("offline", [OFFLINE | {"text": "<|en|><|NEUTRAL|><|Speech|><|withitn|>Yes."}], "Yes."),
}


@pytest.mark.parametrize(("mode", "answers", "text"), SERVERS.values(), ids=SERVERS)
def test_the_last_answer_of_each_server_is_known(mode: str, answers: list[Json], text: str) -> None:
    with funasr_server(lambda session: session.say(*answers)) as url:
        recogniser = client(f"{url}?mode={mode}")
        begun = time.monotonic()
        recognition = recogniser.recognise(TONE)
    assert recognition == Recognition(text, "en" if text == "Yes." else None)
    assert time.monotonic() - begun < 0.9  # no grace was waited for


@pytest.mark.parametrize(
    ("mode", "answers", "text"),
    [("offline", [OFFLINE | {"is_final": True}], "开灯"), ("2pass", [ONLINE, PART], "Turn it")],
)
def test_where_more_may_come_it_is_waited_for_a_second(mode: str, answers: list[Json], text: str) -> None:
    with funasr_server(lambda session: session.say(*answers)) as url:
        begun = time.monotonic()
        assert client(f"{url}?mode={mode}").recognise(TONE).text == text
    assert 0.9 < time.monotonic() - begun < 4.0


def test_what_may_be_all_is_all_when_the_server_closes() -> None:
    def reply(session: FunasrSession) -> None:
        session.say(PART)
        session.protocol.send_close(1000)
        session.flush()

    with funasr_server(reply) as url:
        begun = time.monotonic()
        assert client(f"{url}?mode=2pass").recognise(TONE).text == "Turn it"
        assert time.monotonic() - begun < 0.9
        with pytest.raises(RecogniserError, match="closed the connection without a last text"):
            client(url).recognise(TONE)


def test_pings_are_answered_and_a_message_may_come_in_pieces() -> None:
    def reply(session: FunasrSession) -> None:
        session.protocol.send_ping(b"x")
        data = json.dumps(OFFLINE, ensure_ascii=False).encode()
        session.protocol.send_text(data[:21], fin=False)
        session.protocol.send_ping(b"y")
        session.flush()
        pongs = b""
        while b"\x8a\x81" not in pongs[-12:]:  # a masked pong of a byte, the second
            pongs += session.connection.recv(65536)
        session.protocol.send_continuation(data[21:], fin=True)
        session.flush()

    with funasr_server(reply) as url:
        assert client(url).recognise(TONE).text == "开灯"


def test_a_failure_that_the_server_reports_is_an_error_that_may_pass() -> None:
    with (
        funasr_server(lambda session: session.say({"is_end": True, "is_final": False, "error": "no\nmodel"})) as url,
        pytest.raises(RecogniserError) as caught,
    ):
        client(url).recognise(TONE)
    assert str(caught.value) == f"recogniser {url}: it failed (no model); look at the recogniser's log"
    assert not caught.value.is_final


@pytest.mark.parametrize("changes", [{"text": 1}, {"text": None}, {"text": ["x"]}, {"is_final": "no"}, {"is_final": 1}])
def test_an_answer_of_wrong_types_is_nonsense(changes: Json) -> None:
    with funasr_server(lambda session: session.say(OFFLINE | changes)) as url:
        with pytest.raises(RecogniserError, match="its answer has no") as caught:
            client(url).recognise(TONE)
        assert not caught.value.is_final


@pytest.mark.parametrize(
    ("status", "what"),
    [
        ("302 Found", "sends its clients elsewhere"),
        ("401 Unauthorized", "it answers 401 instead of a WebSocket; check the login"),
        ("404 Not Found", "it answers 404 instead of a WebSocket; check the address"),
        ("200 OK", "it answers 200 instead of a WebSocket"),
        ("101 Switching Protocols", "is no WebSocket"),
    ],
)
def test_what_is_no_websocket_says_so(status: str, what: str) -> None:
    answer = http_bytes(b"", status, Location=f"ws://elsewhere/?{SECRET}")
    with (
        serving(once(answer)) as port,
        pytest.raises(RecogniserError, match=what) as caught,
    ):
        client(f"funasr+ws://127.0.0.1:{port}", api_key=SECRET).recognise(TONE)
    assert SECRET not in str(caught.value)


def test_a_login_that_a_server_repeats_is_not_in_the_message() -> None:
    key = "Q7xW" * 40
    with funasr_server(lambda session: session.say({"is_end": True, "is_final": False, "error": f"key {key}?"})) as url:
        recogniser = client(url, api_key=key)
        with pytest.raises(RecogniserError, match="it failed") as caught:
            recogniser.recognise(TONE)
    assert "Q7xW" not in str(caught.value)


def test_neither_texts_nor_logins_are_logged_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with funasr_server(lambda session: session.say(OFFLINE)) as url:
        client(url, api_key=SECRET).recognise(TONE)
    ours = [record for record in caplog.records if not record.name.startswith("websockets.server")]
    assert "开灯" not in str(ours) + "".join(record.getMessage() for record in ours)
    assert SECRET not in "".join(record.getMessage() for record in ours)


@pytest.mark.parametrize(
    ("texts", "whole"),
    [([], ""), (["", "a", ""], "a"), (["a.", "b"], "a. b"), (["你好", "吗"], "你好吗"), (["好", "OK"], "好OK")],
)
def test_parts_are_joined_as_they_are_written(texts: list[str], whole: str) -> None:
    assert joined(texts) == whole


def test_an_answer_of_no_known_mode_is_followed_by_more() -> None:
    assert what_follows({"mode": "2pass-online", "text": "x", "is_final": False}, "2pass") is Follows.MORE
    assert what_follows({"text": "x"}, "offline") is Follows.MORE
