"""Clips and pictures of running agents over a real broker: they arrive, decode, and are those on the disk."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.agents import LABEL, Listener, RunningAgent
from support.brokers import BrokerProcess, MosquittoFactory
from support.clip_studio import clips_in, quiet
from support.clips import listing_of
from support.media import sine, write_media
from support.media_receiver import MediaReceiver
from support.sound_files import decoded
from support.waiting import wait_until

from edgeaudio.clips.library import ClipLibrary
from edgeaudio.clips.record import read_record
from edgeaudio.extras import installing

MakeAgent = Callable[..., RunningAgent]
MakeListener = Callable[[BrokerProcess], Listener]
RATE = 8000
CLIPS = f'[clips]\nenabled = true\nlabels = ["{LABEL}"]\nmin_free_mb = 0\npicture = "jpeg"\n'
PUBLISHED = CLIPS + 'publish = ["clip", "image"]\n'


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    """A recording with a tone of 1 kHz after 5 s."""
    sound = quiet(12 * RATE).astype(np.float64)
    tone = sine(1000.0, RATE, 1.0).ravel()
    sound[5 * RATE :][: len(tone)] += tone / np.abs(tone).max() / 2
    write_media(tmp_path / "tape.wav", "pcm_s16le", sound[None].astype(np.float32), RATE)
    return tmp_path / "tape.wav"


def source(tape: Path, name: str = "porch") -> str:
    return f'[sources.{name}]\nurl = "{tape}"\n'


def test_a_detections_clip_and_picture_arrive_and_decode(
    mosquitto: MosquittoFactory, run_agent: MakeAgent, tape: Path, tmp_path: Path
):
    broker = mosquitto(users={"testbox": "s3cret-pass"}).start()
    with MediaReceiver(broker.port, username="testbox", password="s3cret-pass") as receiver:
        login = 'username = "testbox"\npassword = "s3cret-pass"\n'
        agent = run_agent(broker, PUBLISHED + source(tape), settings="")
        agent.config.write_text(agent.config.read_text().replace("[health]", login + "[health]"))
        agent.start()
        (sound,) = receiver.wait_for("/porch/clip")
        (picture,) = receiver.wait_for("/porch/image")
        (clip,) = clips_in(tmp_path / "state" / "clips")
        record = clip.record
        assert sound.payload == clip.sound.read_bytes()
        assert clip.picture is not None
        assert picture.payload == clip.picture.read_bytes()
        assert len(picture.payload) < 100_000
        assert Image.open(BytesIO(picture.payload)).size == (960, 480)
        assert oct(clip.picture.stat().st_mode & 0o777) == "0o600"
        received = tmp_path / "received.opus"
        received.write_bytes(sound.payload)
        samples, _ = decoded(received)
        assert len(samples) == record.sound.count
        onset = next(each for each in receiver.of("/detection") if b'"onset"' in each.payload)
        assert sound.user["id"].encode() in onset.payload
        assert (sound.user["id"], sound.user["label"]) == (record.id, LABEL)
        assert (sound.content_type, picture.content_type) == ("audio/ogg", "image/jpeg")
        config = next(each for each in receiver.of("source_porch/config"))
        assert b'"porch_image":{"p":"image"' in config.payload
    assert "s3cret" not in agent.log
    assert "edgeaudio-testbox-media" in broker.log()


def test_pictures_stay_on_the_device_unless_published_and_go_with_their_clips(
    broker: BrokerProcess, run_agent: MakeAgent, listen_to: MakeListener, tape: Path, tmp_path: Path
):
    broker.start()
    listener = listen_to(broker)
    run_agent(broker, CLIPS.replace("jpeg", "png") + source(tape)).start()
    folder = tmp_path / "state" / "clips"
    wait_until(lambda: listing_of(folder).count if folder.exists() else 0, 30)
    (clip,) = clips_in(folder)
    assert clip.picture is not None
    assert clip.picture.read_bytes().startswith(b"\x89PNG")
    assert read_record(clip.file.read_bytes()).picture == clip.picture.name
    assert not [each for each in listener.heard if each.topic.endswith(("/clip", "/image"))]
    assert ClipLibrary(folder).remove_unless_kept(clip.file, clip.record.id)
    assert clips_in(folder) == []


def test_two_agents_send_to_one_broker(
    broker: BrokerProcess, run_agent: MakeAgent, tape: Path, tmp_path: Path, model: Path
):
    broker.start()
    other = RunningAgent(tmp_path, broker.port, "", device="attic")
    other.config = tmp_path / "attic.toml"
    other.log_file = tmp_path / "attic.log"
    with MediaReceiver(broker.port, "edgeaudio/+/+/clip", "edgeaudio/+/+/image") as receiver:
        run_agent(broker, PUBLISHED + source(tape)).start()
        other.write(PUBLISHED + source(tape))
        text = other.config.read_text()
        other.config.write_text(text.replace(f'"{tmp_path / "state"}"', f'"{tmp_path / "attic"}"'))
        other.start()
        try:
            receiver.wait_for("/clip", 2)
            receiver.wait_for("/image", 2)
        finally:
            other.kill()
    topics = sorted(each.topic for each in receiver.heard)
    assert topics == [
        f"edgeaudio/{device}/porch/{kind}" for device in ("attic", "testbox") for kind in ("clip", "image")
    ]
    assert len({each.user["id"] for each in receiver.heard}) == 2


@pytest.mark.parametrize(
    ("clips", "line"),
    [
        (
            '[clips]\nenabled = true\npublish = ["image"]\n',
            'clips.publish: has "image", and picture is "none"; set picture = "jpeg"',
        ),
        ('[clips]\npicture = "gif"\n', "clips.picture: "),
        ('[clips]\npublish = ["video"]\n', "clips.publish"),
    ],
)
def test_settings_that_cannot_be_are_one_line(broker: BrokerProcess, run_agent: MakeAgent, clips: str, line: str):
    agent = run_agent(broker, clips).start()
    assert agent.wait() == 2
    assert any(line in each for each in agent.log.splitlines()), agent.log


def test_without_pillow_pictures_are_refused_in_one_line(broker: BrokerProcess, run_agent: MakeAgent):
    agent = run_agent(broker, CLIPS).start(patch="import sys\nsys.modules['PIL'] = None\n")
    assert agent.wait() == 2
    assert [each for each in agent.log.splitlines() if "Pillow" in each] == [
        f"edgeaudio: pictures need Pillow (import of PIL halted; None in sys.modules): {installing('pictures')}"
    ]


def test_clips_without_pictures_need_no_pillow(
    broker: BrokerProcess, run_agent: MakeAgent, listen_to: MakeListener, tape: Path, tmp_path: Path
):
    broker.start()
    patch = "import sys\nsys.modules['PIL'] = None\n"
    run_agent(broker, CLIPS.replace('picture = "jpeg"\n', 'publish = ["clip"]\n') + source(tape)).start(patch=patch)
    with MediaReceiver(broker.port, "edgeaudio/+/+/clip") as receiver:
        receiver.wait_for("/clip")


def health_of(listener: Listener, sink: str) -> dict[str, Any]:
    reports = listener.payloads("/health")
    return reports[-1].get("sinks", {}).get(sink, {}) if reports else {}


def test_health_counts_what_the_broker_does_not_take(
    mosquitto: MosquittoFactory, run_agent: MakeAgent, listen_to: MakeListener, tape: Path
):
    broker = mosquitto("max_packet_size 17000").start()
    listener = listen_to(broker)
    clips = PUBLISHED.replace("min_free_mb", 'format = "wav"\nmin_free_mb')
    run_agent(broker, clips + source(tape)).start()
    listener.wait_detection("offset")
    wait_until(lambda: health_of(listener, "media").get("lost") == 2, 30)
    assert health_of(listener, "media")["state"] == "running"
