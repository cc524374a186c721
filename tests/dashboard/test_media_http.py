"""Clips and pictures from a real broker to whoever asks for them over HTTP."""

from __future__ import annotations

import http.client
import json
import wave
from collections.abc import Callable, Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from dashboard.test_with_broker import dog, events
from support.brokers import BrokerProcess
from support.dashboards import RunningDashboard, WebSocketClient
from support.published_media import RATE, MediaPublisher, clip, picture, tone
from support.waiting import wait_until

Run = Callable[..., RunningDashboard]
MARKUP = '"><img src=x onerror=alert(1)>\r\nX-Evil: 1'
E1 = "/api/events/dock/porch/e1"


@pytest.fixture
def page(broker: BrokerProcess, run_dashboard: Run) -> RunningDashboard:
    page = run_dashboard(broker.start()).start().wait_subscribed()
    return wait_for_media(page)


@pytest.fixture
def agent(page: RunningDashboard, broker: BrokerProcess) -> Iterator[MediaPublisher]:
    with MediaPublisher(broker.port) as agent:
        yield agent


def wait_for_media(page: RunningDashboard) -> RunningDashboard:
    wait_until(lambda: page.metric('edgeaudio_broker_up{subscription="media"}') == 1, 20, page.log)
    return page


def wait_for_files(page: RunningDashboard, count: int) -> None:
    wait_until(lambda: page.metric("edgeaudio_dashboard_clips_files") == count, 20, page.log)


def samples_of(wav: bytes) -> tuple[int, np.ndarray]:
    """Return rate and samples `(n, channels)` of a WAV file of 16 bits."""
    with closing(wave.open(BytesIO(wav))) as file:
        assert file.getsampwidth() == 2
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        return file.getframerate(), samples.reshape(-1, file.getnchannels()) / 32768


def loudest_hz(samples: np.ndarray, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


def test_a_clip_is_served_whole_in_parts_and_as_a_download(page: RunningDashboard, agent: MediaPublisher) -> None:
    sound, drawing = clip(tone(440, seconds=60.0)), picture()  # more than a socket takes at once
    agent.publish("edgeaudio/dock/porch/detection", json.dumps(dog(1, label=MARKUP)).encode())
    wait_until(lambda: events(page))
    assert events(page)[0]["media"] == {}
    assert page.get(f"{E1}/clip").status == 404
    agent.send(drawing, "image/jpeg", "e1", plot=[0.1, 0.9])
    agent.send(sound, "audio/ogg", "e1", label=MARKUP)
    agent.send(sound, "audio/ogg", "unknown")  # of an event that the history does not know
    wait_for_files(page, 3)
    media = {
        "clip": {"type": "audio/ogg", "bytes": len(sound), "plot": None},
        "picture": {"type": "image/jpeg", "bytes": len(drawing), "plot": [0.1, 0.9]},
    }
    assert page.get(E1).json()["media"] == events(page)[0]["media"] == media

    whole = page.get(f"{E1}/clip")
    assert (whole.status, whole.body) == (200, sound)
    wanted = {
        "content-type": "audio/ogg",
        "content-length": str(len(sound)),
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
        "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "same-origin",
    }
    assert wanted.items() <= whole.headers.items()
    assert "content-disposition" not in whole.headers
    head = page.get(f"{E1}/clip", "HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(sound)))
    part = page.get(f"{E1}/clip", Range="bytes=100-199")
    assert (part.status, part.body) == (206, sound[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(sound)}"
    assert page.get(f"{E1}/clip", Range="bytes=-10").body == sound[-10:]
    beyond = page.get(f"{E1}/clip", Range=f"bytes={len(sound)}-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{len(sound)}")
    etag = whole.headers["etag"]
    assert page.get(f"{E1}/clip", Range="bytes=1-2", If_Range="x").body == sound[1:3]  # a header of another name
    assert page.get(f"{E1}/clip", **{"Range": "bytes=1-2", "If-Range": '"other"'}).status == 200
    assert page.get(f"{E1}/clip", **{"Range": "bytes=1-2", "If-Range": etag}).status == 206
    known = page.get(f"{E1}/clip", **{"If-None-Match": etag})
    assert (known.status, known.body) == (304, b"")

    download = page.get(f"{E1}/clip?download")
    assert download.body == sound
    assert download.headers["content-disposition"] == (
        'attachment; filename="20261120T205115Z_dock-porch-img-src-x-onerror-alert-1-x-evil-1_e1.opus"'
    )
    assert "x-evil" not in download.headers
    image = page.get(f"{E1}/picture?download")
    assert (image.body, image.headers["content-type"]) == (drawing, "image/jpeg")
    assert image.headers["content-disposition"].endswith('_e1.jpg"')
    other = page.get("/api/events/dock/porch/unknown/clip?download")
    assert other.headers["content-disposition"] == 'attachment; filename="dock-porch_unknown.opus"'

    leave_in_the_middle(page)
    with WebSocketClient(page.port) as client:
        message = client.read_until(lambda message: "media" in message)
    porch = {"device": "dock", "source": "porch"}
    assert (
        message["media"]
        == page.get("/api/recent").json()["media"]
        == [
            porch | {"id": "e1", "kind": "picture", "type": "image/jpeg"},
            porch | {"id": "e1", "kind": "clip", "type": "audio/ogg"},
            porch | {"id": "unknown", "kind": "clip", "type": "audio/ogg"},
        ]
    )
    assert page.stop() == 0
    page.start()
    assert page.get(f"{E1}/clip").body == sound


def leave_in_the_middle(page: RunningDashboard) -> None:
    """Ask for a clip again and again without reading it: nothing may stay open."""
    assert page.process is not None
    descriptors = Path(f"/proc/{page.process.pid}/fd")
    before = len(list(descriptors.iterdir()))
    for method in ("GET", "HEAD"):
        for _ in range(20):
            with closing(http.client.HTTPConnection("127.0.0.1", page.port, timeout=10)) as connection:
                connection.request(method, f"{E1}/clip")
                connection.getresponse().read(10)
    wait_until(lambda: len(list(descriptors.iterdir())) <= before + 3, 10)


def test_every_format_has_a_copy_as_wav(page: RunningDashboard, agent: MediaPublisher) -> None:
    stereo = np.stack([tone(440, seconds=1.0), tone(880, seconds=1.0)], axis=1)
    many = np.stack([tone(440, seconds=0.5, rate=96_000)] * 4, axis=1)
    agent.send(clip(tone(440)), "audio/ogg", "opus")
    agent.send(clip(stereo, "flac"), "audio/flac", "flac")
    agent.send(clip(many, "flac", 96_000), "audio/flac", "many")
    agent.send(clip(stereo, "wav"), "audio/wav", "wav")
    wait_for_files(page, 4)
    copies = {name: page.get(f"/api/events/dock/porch/{name}/clip?format=wav") for name in ("opus", "flac", "many")}
    assert {(copy.status, copy.headers["content-type"]) for copy in copies.values()} == {(200, "audio/wav")}
    for name, rate, channels, seconds in (("opus", 48_000, 1, 4.0), ("flac", RATE, 2, 1.0), ("many", 48_000, 2, 0.5)):
        found_rate, samples = samples_of(copies[name].body)
        assert (found_rate, samples.shape[1]) == (rate, channels)
        assert len(samples) == pytest.approx(seconds * rate, abs=0.05 * rate)
        assert loudest_hz(samples[:, 0], rate) == pytest.approx(440, abs=3)
        assert np.abs(samples).max() > 0.05
    assert loudest_hz(samples_of(copies["flac"].body)[1][:, 1], RATE) == pytest.approx(880, abs=3)
    part = page.get("/api/events/dock/porch/opus/clip?format=wav", Range="bytes=44-143")
    assert (part.status, part.body) == (206, copies["opus"].body[44:144])
    assert part.headers["etag"] != page.get("/api/events/dock/porch/opus/clip").headers["etag"]
    wav = page.get("/api/events/dock/porch/wav/clip")
    assert page.get("/api/events/dock/porch/wav/clip?format=wav").body == wav.body  # as it is
    download = page.get("/api/events/dock/porch/opus/clip?format=wav&download")
    assert download.headers["content-disposition"].endswith('_opus.wav"')
    refused = page.get("/api/events/dock/porch/opus/clip?format=mp3")
    assert (refused.status, refused.json()) == (400, {"error": "format: is not wav"})


def test_hostile_files_are_refused_and_nothing_else_suffers(page: RunningDashboard, agent: MediaPublisher) -> None:
    sound = clip(tone(440))
    topic = "edgeaudio/dock/porch"
    agent.publish(f"{topic}/clip", sound, "text/html", {"id": "e1"})
    agent.publish(f"{topic}/clip", b"<script>alert(1)</script>", "audio/ogg", {"id": "e1"})
    agent.publish(f"{topic}/image", b"<svg onload=alert(1)>", "image/svg+xml", {"id": "e1"})
    agent.publish(f"{topic}/clip", sound, "audio/ogg", {"id": "../../../etc/passwd"})
    agent.publish(f"{topic}/clip", sound, "audio/ogg")
    agent.publish(f"{topic}/clip", sound + bytes(8_000_000), "audio/ogg", {"id": "e1"})
    agent.publish(f"{topic}/clip/info", b"[" * 3000)
    agent.publish(f"{topic}/clip", sound, "audio/ogg", {"id": "kept"}, retain=True)
    agent.send(sound[:2000] + bytes(3000), "audio/ogg", "broken")
    agent.send(b"RIFF\xff\xff\xff\xffWAVEfmt " + b"\xff" * 400, "audio/wav", "nonsense")
    agent.send(b"fLaC" + bytes(range(256)) * 40, "audio/flac", "noise")
    wait_for_files(page, 4)  # the retained one was new when it came
    assert page.get("/api/events/dock/porch/e1/clip").status == 404
    for name in ("nonsense", "noise"):
        answer = page.get(f"/api/events/dock/porch/{name}/clip?format=wav")
        if name == "noise":
            assert (answer.status, answer.json()) == (
                422,
                {"error": "there is no copy of this clip: it cannot be decoded: it is damaged, or no sound"},
            )
        assert page.get(f"/api/events/dock/porch/{name}/clip").headers["content-type"] in {"audio/wav", "audio/flac"}
    for path in (
        "..%2f..%2fetc/passwd/x/clip",
        "dock/porch/..%2fe1/clip",
        "dock/porch/%00/clip",
        "dock/%27--/x/picture",
    ):
        assert page.get(f"/api/events/{path}").status == 404
    assert (page.metric('edgeaudio_dashboard_refused_messages_total{topic="clip"}') or 0) >= 3
    assert page.metric('edgeaudio_dashboard_refused_messages_total{topic="image"}') == 1
    assert page.metric('edgeaudio_dashboard_refused_messages_total{topic="info"}') == 1
    agent.publish(f"{topic}/detection", json.dumps(dog(1)).encode())
    wait_until(lambda: events(page))


@pytest.mark.parametrize("any_broker", ["amqtt"], indirect=True)
def test_over_mqtt_3_a_file_belongs_to_what_was_published_before_it(
    any_broker: BrokerProcess, run_dashboard: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "received"
    page = run_dashboard(any_broker.start(), settings=f'clips_dir = "{folder}"\n').start()
    wait_for_media(page)
    sound, drawing = clip(tone(440)), picture("webp")
    with MediaPublisher(any_broker.port, is_5=False) as agent:
        for number in range(3):
            agent.send(drawing, "image/webp", f"e{number}", plot=[0.1, 0.9])
            agent.send(sound, "audio/ogg", f"e{number}")
        agent.publish("edgeaudio/dock/porch/clip", sound)
        wait_for_files(page, 6)
        wait_until(lambda: page.metric('edgeaudio_dashboard_refused_messages_total{topic="clip"}') == 1)
    for number in range(3):
        assert page.get(f"/api/events/dock/porch/e{number}/clip").body == sound
        assert page.get(f"/api/events/dock/porch/e{number}/picture").body == drawing
    assert "comes without the id of its event: it needs MQTT 5, or a newer agent" in page.log
    assert len(list(folder.glob("media-*.opus"))) == 3
