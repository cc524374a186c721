"""Render the sounds of `edgeaudio demo`: `python -m tools.maintenance.demo_sounds`, from the project's root.

Owns: the sound of each camera and its time. All sounds are synthesised, so that the package has no recording of others.
Does not know: how the demo plays them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream

from edgeaudio import toml_writer
from tools.synth.acoustics import at_level, rms, room
from tools.synth.alarm_sounds import active_rms, make_alarm
from tools.synth.espeak import SPEECH
from tools.synth.held_out_speech import SENTENCES, espeak
from tools.synth.other_sounds import make_other
from tools.synth.scenes import Samples, mixed

SAMPLE_RATE = 16_000
LENGTH_S = 16.0
BEGIN_S = 3.0
SNR_DB = 15.0
LEVEL_DBFS = -26.0
BIT_RATE = 32_000
HEAD = "# The cameras of the demo; written by tools/maintenance/demo_sounds.py\n"
FOLDER = Path(__file__).parents[2] / "edgeaudio" / "demo" / "sounds"


@dataclass(frozen=True, slots=True)
class CameraSound:
    """Sound at one camera of the demo; `sound` None: nothing is to be detected."""

    name: str
    codec: str  # of its RTSP stream, FFmpeg's name
    sample_rate: int  # of its RTSP stream, Hz
    surroundings: tuple[str, ...]  # kinds of tools.synth.other_sounds
    sound: str | None  # a label of tools.synth.alarm_sounds, or speech
    seed: int


# What a model makes of a sound depends on where in a clip it lies: the alarm of seed 11, three beeps each four seconds,
# had 0.3 to 0.9, whatever the noise, and the siren of seed 13 was missed from some beginnings. How often a model hears
# is in its card; the demo shows how edgeaudio works. So these are heard wherever in them the clips begin, which
# tests/demo/test_demo.py proves.
CAMERAS = (
    CameraSound("kitchen", "aac", 16_000, ("engine",), "smoke_alarm", 33),
    CameraSound("hall", "pcm_alaw", 8_000, ("music",), "co_alarm", 12),
    CameraSound("street", "libopus", 48_000, ("engine",), "siren", 38),
    CameraSound("gate", "aac", 16_000, ("birds",), SPEECH, 14),
    CameraSound("garden", "pcm_mulaw", 8_000, ("birds",), None, 15),
)


def render(camera: CameraSound) -> tuple[Samples, float]:
    """Return the sound at the camera, float32 (n,), and the end of the alarm or speech in it, in seconds."""
    rng = np.random.default_rng(camera.seed)
    background = np.zeros(round(LENGTH_S * SAMPLE_RATE), dtype=np.float32)
    for kind in camera.surroundings:
        background += at_level(make_other(LENGTH_S, SAMPLE_RATE, rng, kind)[: len(background)], LEVEL_DBFS)
    if camera.sound is None:
        return at_level(background, LEVEL_DBFS), 0.0
    if camera.sound == SPEECH:
        dry = espeak(" ".join(SENTENCES), SAMPLE_RATE, rng)[: round((LENGTH_S - BEGIN_S - 1.0) * SAMPLE_RATE)]
        level, length_s = rms(dry), len(dry) / SAMPLE_RATE
    else:
        alarm = make_alarm(camera.sound, LENGTH_S - BEGIN_S - 1.0, SAMPLE_RATE, rng)
        dry, level = alarm.samples, active_rms(alarm.samples, alarm.pulses, SAMPLE_RATE)
        length_s = max(stop for _, stop in alarm.pulses if stop <= LENGTH_S - BEGIN_S)
    begin = round(BEGIN_S * SAMPLE_RATE)
    placed = np.zeros_like(background)
    part = room(dry, SAMPLE_RATE, rng)[: len(placed) - begin]
    placed[begin : begin + len(part)] = part
    return at_level(mixed(placed, background, level, SNR_DB), LEVEL_DBFS), BEGIN_S + length_s


def write(path: Path, samples: Samples) -> None:
    """Write samples as Ogg Opus."""
    with av.open(str(path), "w", format="ogg") as output:
        stream = output.add_stream("libopus", rate=48_000, layout="mono")
        if not isinstance(stream, AudioStream):
            raise TypeError(stream)
        stream.bit_rate = BIT_RATE
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=48_000, frame_size=960)
        frame = AudioFrame.from_ndarray(np.clip(samples, -1, 1)[None], format="flt", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))


def main() -> None:
    """Render all cameras, and write the table of what can be heard at each."""
    cameras: dict[str, dict[str, object]] = {}
    for camera in CAMERAS:
        samples, end_s = render(camera)
        write(FOLDER / f"{camera.name}.opus", samples)
        cameras[camera.name] = {
            "codec": camera.codec,
            "sample_rate": camera.sample_rate,
            "surroundings": " and ".join(camera.surroundings),
        }
        if camera.sound:
            cameras[camera.name] |= {"label": camera.sound, "begin_s": BEGIN_S, "end_s": round(end_s, 2)}
    (FOLDER / "cameras.toml").write_text(HEAD + toml_writer.dumps({"length_s": LENGTH_S, "cameras": cameras}))


if __name__ == "__main__":
    main()
