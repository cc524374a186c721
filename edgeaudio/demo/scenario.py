"""The sounds of the demo, and the comparison of sounds played with detections received. Pure.

Does not know: processes, MQTT, the screen.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SOUNDS = Path(__file__).parent / "sounds"
TABLE = SOUNDS / "cameras.toml"
# an event may be dated this much before its sound
EARLY_S = 2.5


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera: its sound file, how it is streamed, and the sound to be detected in it, if there is one."""

    name: str
    codec: str
    sample_rate: int  # Hz
    surroundings: str
    label: str | None = None
    begin_s: float = 0.0
    end_s: float = 0.0

    @property
    def file(self) -> Path:
        return SOUNDS / f"{self.name}.opus"


@dataclass(frozen=True, slots=True)
class Detection:
    """One onset as a subscriber received it. Times are seconds since 1970."""

    source: str
    label: str
    score: float
    at_s: float
    received_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was received of one camera's sound."""

    camera: Camera
    played_s: float | None  # when the sound began, or the stream without one; None: never
    heard: Detection | None  # the first right detection
    wrong: tuple[Detection, ...]

    @property
    def right(self) -> bool:
        heard_enough = self.camera.label is None or self.heard is not None
        return self.played_s is not None and heard_enough and not self.wrong


def read_cameras() -> tuple[float, list[Camera]]:
    """Return the length of the sounds in seconds, and the cameras."""
    table = tomllib.loads(TABLE.read_text())
    return table["length_s"], [Camera(name, **entry) for name, entry in table["cameras"].items()]


def judge(cameras: Sequence[Camera], began_s: Mapping[str, float], detections: Sequence[Detection]) -> list[Outcome]:
    """Compare what was played with what was received. began_s: start of each camera's stream, seconds since 1970."""
    outcomes = []
    for camera in cameras:
        stream_s = began_s.get(camera.name)
        mine = [detection for detection in detections if detection.source == camera.name]
        right = [
            detection
            for detection in mine
            if stream_s is not None
            and detection.label == camera.label
            and camera.begin_s - EARLY_S <= detection.at_s - stream_s <= camera.end_s
        ]
        outcomes.append(
            Outcome(
                camera=camera,
                played_s=None if stream_s is None else stream_s + camera.begin_s,
                heard=right[0] if right else None,
                wrong=tuple(detection for detection in mine if detection not in right),
            )
        )
    return outcomes
