"""OpenAI's HTTP interface: the request, the fields of an answer, what a status means."""

from __future__ import annotations

import email
import email.policy
import io
import json
import wave
from email.message import EmailMessage

import numpy as np
import pytest
from support.recognisers import TONE, VERBOSE, client, http_bytes, http_server, saying

from edgeaudio.speech.connection import MAX_RECEIVED
from edgeaudio.speech.recogniser import RecogniserError, Recognition, Segment

SECRET = "hunter2hunter2"
GOOD = saying(http_bytes(VERBOSE))


def parts_of(request: bytes) -> dict[str, bytes]:
    """The fields of a form, read by the standard library's parser of MIME."""
    head, _, body = request.partition(b"\r\n\r\n")
    content_type = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Type:"))
    message = email.message_from_bytes(content_type + b"\r\n\r\n" + body, policy=email.policy.HTTP)
    fields: dict[str, bytes] = {}
    for part in message.iter_parts():
        assert isinstance(part, EmailMessage)
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        fields[part.get_param("name", header="content-disposition")] = content  # type: ignore[index] # there is one
    return fields


def test_an_utterance_is_sent_as_a_form_with_a_wav_file() -> None:
    heard: list[bytes] = []
    with http_server(GOOD, heard=heard) as url:
        recogniser = client(url, model="tiny.en", language="en", api_key=SECRET)
        recogniser.recognise(TONE)
    assert recogniser.name == "tiny.en"
    head = heard[0].partition(b"\r\n\r\n")[0].decode()
    assert head.startswith("POST /v1/audio/transcriptions HTTP/1.1\r\n")
    assert f"\r\nHost: {url[7:-3]}\r\n" in head
    assert f"\r\nAuthorization: Bearer {SECRET}" in head
    fields = parts_of(heard[0])
    sound = fields.pop("file")
    assert fields == {"model": b"tiny.en", "language": b"en", "response_format": b"verbose_json"}
    with wave.open(io.BytesIO(sound)) as file:
        assert file.getparams()[:4] == (1, 2, 16_000, 16_000)
        pcm = np.frombuffer(file.readframes(16_000), "<i2")
    assert np.abs(pcm - 32767.0 * TONE).max() <= 0.51


def test_what_is_said_comes_with_what_the_recogniser_knows_of_it() -> None:
    with http_server(GOOD) as url:
        recognition = client(url).recognise(TONE)
    segment = Segment(0.0, 1.0, "Turn it off.", 0.125, -0.5, 0.75)
    assert recognition == Recognition("Turn it off.", "en", recognition.confidence, (segment,))
    assert recognition.confidence == pytest.approx(np.exp(-0.5))


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("", "/v1/audio/transcriptions"),
        ("/", "/v1/audio/transcriptions"),
        ("/v1/", "/v1/audio/transcriptions"),
        ("/openai/v1", "/openai/v1/audio/transcriptions"),
        ("/v1/audio/transcriptions", "/v1/audio/transcriptions"),
        ("/inference", "/inference"),
        ("/v1?tenant=7", "/v1/audio/transcriptions?tenant=7"),
    ],
)
def test_the_whole_path_or_its_beginning_is_enough(path: str, target: str) -> None:
    heard: list[bytes] = []
    with http_server(GOOD, heard=heard) as url:
        client(url.removesuffix("/v1") + path).recognise(TONE)
    assert heard[0].split(b" ")[1].decode() == target


def test_a_login_of_the_address_is_sent_as_basic() -> None:
    heard: list[bytes] = []
    with http_server(GOOD, heard=heard) as url:
        client(url.replace("://", "://me:a%3Ab@")).recognise(TONE)
    assert b"\r\nAuthorization: Basic bWU6YTpi\r\n" in heard[0].replace(b"\r\n\r\n", b"\r\n")


@pytest.mark.parametrize("is_chunked", [False, True])
def test_an_answer_that_is_too_long_says_so(is_chunked: bool) -> None:
    body = json.dumps({"text": "x" * 2 * MAX_RECEIVED}).encode()
    answer = http_bytes(body)
    if is_chunked:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = head + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    with http_server(saying(answer)) as url, pytest.raises(RecogniserError, match="goes on beyond 1000000 bytes"):
        client(url).recognise(TONE)


@pytest.mark.parametrize("status", ["400 Bad Request", "422 Unprocessable Content", "501 Not Implemented"])
def test_a_server_that_refuses_verbose_json_is_asked_for_json_from_then_on(status: str) -> None:
    heard: list[bytes] = []
    refusal = saying(http_bytes({"error": {"message": "no", "param": "response_format"}}, status))
    with http_server(refusal, saying(http_bytes({"text": "x"})), heard=heard) as url:
        recogniser = client(url)
        assert recogniser.recognise(TONE) == Recognition("x")
        assert recogniser.recognise(TONE) == Recognition("x")
    assert [parts_of(request)["response_format"] for request in heard] == [b"verbose_json", b"json", b"json"]


def test_an_utterance_that_is_refused_is_refused_once_and_for_all() -> None:
    heard: list[bytes] = []
    refusal = saying(http_bytes({"detail": f"too short: {SECRET}, see http://me:swordfish77@x"}, "400 Bad Request"))
    with http_server(refusal, refusal, GOOD, heard=heard) as url:
        recogniser = client(url, api_key=SECRET)
        with pytest.raises(RecogniserError, match=r"it answers 400 \(too short: ") as caught:
            recogniser.recognise(TONE)
        assert caught.value.is_final
        assert SECRET not in str(caught.value)
        assert "swordfish77" not in str(caught.value)
        recogniser.recognise(TONE)  # the next is asked for with all that is known again
    assert [parts_of(request)["response_format"] for request in heard] == [b"verbose_json", b"json", b"verbose_json"]


@pytest.mark.parametrize("status", ["400 Bad Request", "502 Bad Gateway"])
@pytest.mark.parametrize(
    ("address", "key", "said"),
    [
        ("http://{}/v1", "sk-" + "Q7xW" * 40, "no quota is left for the key {key}, sorry"),  # longer than what is shown
        ("http://{}/v1", "sk-" + "Q7xW" * 40, "k" * 130 + " {key}"),
        ("http://me:Q7xWQ7xW@{}/v1", None, "me:Q7xWQ7xW may not"),
        ("http://me:Q7xWQ7xW@{}/v1", None, "Basic bWU6UTd4V1E3eFc= may not"),
        ("http://{}/Q7xWQ7xWQ7xWQ7xWQ7xW/v1", None, "Cannot POST /Q7xWQ7xWQ7xWQ7xWQ7xW/v1/audio/transcriptions"),
        ("http://{}/v1?api-key=Q7xWQ7xW", None, "no route to /v1?api-key=Q7xWQ7xW; was api-key=Q7xWQ7xW meant?"),
    ],
)
def test_a_server_that_repeats_a_login_puts_it_in_no_message(
    address: str, key: str | None, said: str, status: str
) -> None:
    with http_server(saying(http_bytes({"detail": said.format(key=key)}, status))) as url:
        recogniser = client(address.format(url.split("/")[2]), api_key=key)
        with pytest.raises(RecogniserError, match=f"it answers {status[:3]}") as caught:
            recogniser.recognise(TONE)
    assert "Q7xW" not in str(caught.value)
    assert "bWU6" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "is_final", "what"),
    [
        (
            "401 Unauthorized",
            {"error": {"message": f"Incorrect key {SECRET}"}},
            False,
            "it answers 401; check the API key",
        ),
        ("403 Forbidden", {}, False, "check the API key, and what it may do"),
        ("404 Not Found", {"detail": "Not Found"}, False, r"it answers 404 \(Not Found\); check the address"),
        ("405 Method Not Allowed", b"", False, "ends in /v1"),
        ("413 Content Too Large", b"<html>", True, "it answers 413; it does not take this utterance"),
        ("415 Unsupported Media Type", {}, True, "does not take this utterance"),
        ("422 Unprocessable Content", {"detail": [{"loc": ["body", "file"], "msg": "x"}]}, True, r"\(file: x\)"),
        ("422 Unprocessable Content", {"detail": [{"loc": ["body", "model"], "msg": "x"}]}, False, "check the model"),
        ("400 Bad Request", {"error": {"message": "x", "param": "language"}}, False, "check the model and the lang"),
        ("400 Bad Request", {"error": {"message": "x", "code": "model_not_found"}}, False, "check the model"),
        ("400 Bad Request", {"detail": {"error": {"message": "Unknown model: a"}}}, False, "check the model"),
        ("400 Bad Request", {"error": {"message": 7}}, True, "it answers 400; it does not"),
        ("429 Too Many Requests", {}, False, "raise what the server grants"),
        (
            "500 Internal Server Error",
            {"error": "CUDA"},
            False,
            r"it answers 500 \(CUDA\); look at the recogniser's log",
        ),
        ("503 Service Unavailable", {}, False, "still loading its model"),
    ],
)
def test_a_status_says_what_to_do(status: str, body: dict[str, object] | bytes, is_final: bool, what: str) -> None:
    with http_server(saying(http_bytes(body, status))) as url, pytest.raises(RecogniserError, match=what) as caught:
        client(url, api_key=SECRET).recognise(TONE)
    assert caught.value.is_final == is_final
    assert caught.value.is_for_all == (status[:3] in {"401", "403", "404", "405", "429", "503"})
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"]
)
def test_a_redirect_is_refused_and_no_login_goes_elsewhere(status: str) -> None:
    elsewhere: list[bytes] = []
    with http_server(GOOD, heard=elsewhere) as other:
        redirect = saying(http_bytes(b"", status, Location=f"{other}/audio/transcriptions?key={SECRET}"))
        with http_server(redirect) as url, pytest.raises(RecogniserError) as caught:
            client(url, api_key=SECRET).recognise(TONE)
    assert "sends its clients elsewhere; write the address" in str(caught.value)
    assert not caught.value.is_final
    assert SECRET not in str(caught.value)
    assert elsewhere == []


@pytest.mark.parametrize(
    "changes",
    [
        {"avg_logprob": None},
        {"avg_logprob": float("nan")},
        {"avg_logprob": 0.5},
        {"avg_logprob": float("-inf")},
    ],
)
def test_without_a_probability_there_is_no_confidence(changes: dict[str, object]) -> None:
    answer = VERBOSE | {"segments": [VERBOSE["segments"][0] | changes]}
    with http_server(saying(http_bytes(answer))) as url:
        recognition = client(url).recognise(TONE)
    assert recognition.confidence is None
    assert recognition.segments[0].log_probability is None


@pytest.mark.parametrize(
    "changes",
    [
        *[{"text": None}, {"text": 1}, {"text": ["x"]}, {"segments": 1}, {"segments": {}}, {"segments": [1]}],
        *[{"segments": [{}]}, {"segments": [{"text": 1}]}, {"segments": [{"text": "x", "start": "0"}]}],
        *[{"segments": [{"text": "x", "avg_logprob": []}]}, {"segments": [{"text": "x"}] * 1001}],
    ],
)
def test_an_answer_of_wrong_types_is_nonsense(changes: dict[str, object]) -> None:
    with http_server(saying(http_bytes(VERBOSE | changes))) as url, pytest.raises(RecogniserError) as caught:
        client(url).recognise(TONE)
    assert f"recogniser {url[:-3]}: its answer has " in str(caught.value)
    assert not caught.value.is_final


def test_an_answer_in_chunks_is_read() -> None:
    body = b'{"text": "x"}'
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(b"1;x=y\r\n%c\r\n" % byte for byte in body) + b"0\r\nTrailer: x\r\n\r\n"
    with http_server(saying(b"HTTP/1.1 100 Continue\r\n\r\n" + head + chunks)) as url:
        assert client(url).recognise(TONE).text == "x"


def test_no_sound_is_no_question() -> None:
    assert client("http://127.0.0.1:1/v1").recognise(TONE[:0]) == Recognition("")


def test_a_body_that_ends_too_soon_is_no_answer() -> None:
    cut = http_bytes({"text": "x"})[:-3]
    with http_server(saying(cut)) as url, pytest.raises(RecogniserError, match="closed the connection before the end"):
        client(url).recognise(TONE)
