"""The demo: its judgement, and the whole of it as a user sees it."""

from __future__ import annotations

import html
import importlib.util
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import av
import numpy as np
import pytest

from edgeaudio import cli
from edgeaudio.demo.demo import proven
from edgeaudio.demo.scenario import Camera, Detection, judge, read_cameras
from edgeaudio.recognise.bundled_models import find_model
from edgeaudio.recognise.model import load_model
from edgeaudio.recognise.pipeline import ModelBinding, SourcePipeline
from edgeaudio.types import Block, Event, Samples

KITCHEN = Camera("kitchen", "aac", 16000, "music", "smoke_alarm", begin_s=3.0, end_s=12.0)
GARDEN = Camera("garden", "aac", 16000, "birds")
BEGAN = {"kitchen": 100.0, "garden": 100.0}
HEARD = Detection("kitchen", "smoke_alarm", 0.9, at_s=104.0, received_s=107.0)


def right(*detections: Detection, began: dict[str, float] | None = None) -> list[bool]:
    return [outcome.right for outcome in judge([KITCHEN, GARDEN], BEGAN if began is None else began, detections)]


def test_every_alarm_heard_and_nothing_else_is_right():
    assert right(HEARD) == [True, True]
    outcome = judge([KITCHEN], BEGAN, [HEARD])[0]
    assert (outcome.played_s, outcome.heard, outcome.wrong) == (103.0, HEARD, ())


@pytest.mark.parametrize(
    ("detections", "wanted"),
    [
        ([], [False, True]),
        ([replace(HEARD, label="siren")], [False, True]),
        ([HEARD, replace(HEARD, label="siren")], [False, True]),
        ([HEARD, replace(HEARD, source="garden")], [True, False]),
        ([replace(HEARD, at_s=100.2)], [False, True]),  # before it began
        ([replace(HEARD, at_s=112.5)], [False, True]),  # after it ended
        ([HEARD, replace(HEARD, at_s=110.0)], [True, True]),  # twice within the alarm
    ],
)
def test_what_is_missing_or_too_much_is_wrong(detections: list[Detection], wanted: list[bool]):
    assert right(*detections) == wanted


def test_a_camera_that_never_played_is_wrong():
    assert right(HEARD, began={"kitchen": 100.0}) == [True, False]


def test_the_demo_has_alarms_speech_and_a_camera_without_a_sound():
    length_s, cameras = read_cameras()
    assert {camera.label for camera in cameras} >= {"smoke_alarm", "co_alarm", "siren", "speech", None}
    assert all(camera.file.is_file() and camera.end_s <= length_s for camera in cameras)


def decoded(camera: Camera) -> Samples:
    """The sound of a camera as its stream carries it, but for the codec."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=camera.sample_rate)
    with av.open(str(camera.file)) as recording:
        frames = [frame for part in [*recording.decode(audio=0), None] for frame in resampler.resample(part)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


ROOT = Path(__file__).parents[2]
CLEAR = 0.3  # of the way from the threshold up to 1
SHIFTS_S = (0.0, 0.1, 0.2, 0.3, 0.4)  # a clip begins each 0.5 s, wherever in the sound the stream was opened


@pytest.mark.parametrize("camera", read_cameras()[1], ids=lambda camera: camera.name)
def test_each_sound_is_clearly_heard_wherever_in_it_the_clips_begin(camera: Camera):
    model = load_model(find_model("home"))
    sound = decoded(camera)
    for shift_s in SHIFTS_S:
        pipeline = SourcePipeline(camera.name, [ModelBinding(model)], namespace=UUID(int=0))
        samples = sound[round(shift_s * camera.sample_rate) :]
        block = Block(camera.name, 0, 0, datetime.fromtimestamp(0, UTC), camera.sample_rate, samples)
        onsets = [
            result
            for result in [*pipeline.feed(block), *pipeline.flush()]
            if isinstance(result, Event) and result.kind == "onset"
        ]
        assert [onset.label for onset in onsets] == [camera.label] * (camera.label is not None), shift_s
        for onset in onsets:
            on = model.manifest.threshold(onset.label).on
            assert (onset.score - on) / (1 - on) > CLEAR, f"{onset.score:.2f} from {shift_s} s on"


@pytest.mark.skipif(
    importlib.util.find_spec("amqtt") is None, reason="amqtt is not installed: the extra `demo` brings it"
)
def test_the_demo_works():
    done = subprocess.run(
        [sys.executable, "-m", "edgeaudio", "demo"], capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "end_of_stream" not in done.stdout
    last = done.stdout[done.stdout.index("\nProven: ") :].splitlines()[1:]
    assert last[0] == "Proven: 4 of 4 sounds detected, 0 false detections, on 5 cameras"
    assert last[1] == "  smoke_alarm on kitchen, co_alarm on hall, siren on street, speech on gate, nothing on garden"
    assert last[2].startswith("  each by RTSP into the agent, and by MQTT to a subscriber, at most ")
    assert len(last) == 3


def test_the_picture_in_the_readme_is_of_this_demo():
    picture = html.unescape(re.sub("<[^>]*>", "", (ROOT / "docs" / "demo.svg").read_text())).replace("\xa0", " ")
    assert "end_of_stream" not in picture
    assert "Proven: 4 of 4 sounds detected, 0 false detections, on 5 cameras" in picture
    assert "smoke_alarm on kitchen, co_alarm on hall, siren on street, speech on gate, nothing on garden" in picture
    for camera in read_cameras()[1]:
        assert f"plays  {camera.name}: {camera.surroundings} (" in picture


def test_what_was_not_proven_is_said():
    outcomes = judge([KITCHEN, GARDEN], BEGAN, [replace(HEARD, source="garden")])
    assert proven(outcomes, None)[:2] == [
        "Not proven: 0 of 1 sounds detected, 1 false detections, on 2 cameras",
        "  nothing on kitchen, smoke_alarm (false) on garden",
    ]


def test_a_broker_that_is_not_there_is_one_line():
    done = subprocess.run(
        [sys.executable, "-m", "edgeaudio", "demo", "--broker", "mqtt://127.0.0.1:9"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "edgeaudio: broker 127.0.0.1:9 cannot be reached: Connection refused\n"


def test_a_login_that_is_not_utf8_is_one_line(monkeypatch, capsys):
    monkeypatch.setenv("EDGEAUDIO_MQTT__USERNAME", "me")
    monkeypatch.setenv("EDGEAUDIO_MQTT__PASSWORD", "hunter\udcff")
    assert cli.main(["demo", "--broker", "mqtt://127.0.0.1:1"]) == 2
    assert capsys.readouterr().err == (
        "edgeaudio: EDGEAUDIO_MQTT__USERNAME and EDGEAUDIO_MQTT__PASSWORD must be UTF-8 text\n"
    )
