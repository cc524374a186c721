"""The demo: its judgement, and the whole of it as a user sees it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace

import pytest

from edgeaudio.demo.stage import Camera, Detection, judge, read_cameras

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


@pytest.mark.skipif(
    importlib.util.find_spec("amqtt") is None, reason="amqtt is not installed: the extra `demo` brings it"
)
def test_the_demo_works():
    done = subprocess.run(
        [sys.executable, "-m", "edgeaudio", "demo"], capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 of 4 sounds detected, 0 false detections" in done.stdout
    assert done.stderr == ""


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
