"""From sound to message: a sound of the demo through RTSP, the agent and Mosquitto, to a subscriber.

Owns: what is played, and which moments are compared. Does not know: how the sound is recognised.

A camera of the demo pushes the sound, so that the moment of its beginning is known; both clocks are this machine's.
The model `home` runs as it is bundled, for what a user waits, and a second time without votes and hold, so that there
are more messages.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import PIPE

import av
import numpy as np
from support.brokers import Heard
from support.ports import free_port

from edgeaudio.demo.scenario import Camera, read_cameras
from edgeaudio.recognise.bundled_models import DEFAULT_MODEL, find_model
from edgeaudio.recognise.manifest import FILE_NAME, MODEL_FILE_NAME, DetectorSection
from edgeaudio.recognise.manifest_file import manifest_toml, read_manifest
from edgeaudio.types import Samples
from tools.benchmarks.capacity import ask
from tools.benchmarks.contenders import PERIOD_S, ROOT, AgentProcess, agent_process
from tools.benchmarks.cores import MEASURED, SERVERS, pinned
from tools.benchmarks.figures import Figure, Measured, Target
from tools.benchmarks.live_servers import can_run

RATE = 48_000
PACKET_S = 1024 / RATE  # of AAC
PLAYED_S = 8.0  # of each sound of the demo
BEFORE_S = 0.3  # the end of the stream ends events, and no clip decides that
EARLY_S = 2.0  # an event may be dated this much before its sound
QUICK = "quick"  # the second copy of the model
DEFAULT, LEAST = "by default", "latency_ms = 0"
# seconds from the beginning of a sound to its message, beyond one period
BEYOND_S = {DEFAULT: 0.6, LEAST: 0.2}


@dataclass(frozen=True, slots=True)
class Moments:
    """Seconds, of each message of one run."""

    clip_to_message: list[float]
    received_to_message: list[float]  # from when capture had handed on the Block with the end of that clip
    onset_to_message: list[float]  # of the sounds played, and the model as it is bundled
    onset_to_clip: list[float]  # of the same: to the end of the clip that decided


def measure(*, short: bool) -> Iterator[Measured]:
    """Measure the default and the least latency; nothing in the short form."""
    if short or not can_run("from sound to message", ["mosquitto"]):
        return
    with pinned(SERVERS), tempfile.TemporaryDirectory(prefix="edgeaudio-bench-") as temporary:
        folder = Path(temporary)
        sounds = [camera for camera in read_cameras()[1] if camera.label]
        _write(folder / "sounds.wav", sounds)
        _quick_model(folder / QUICK)
        for name, settings in ((DEFAULT, ""), (LEAST, "latency_ms = 0")):
            moments = _moments(folder, sounds, settings)
            for percent, limit_ms in ((50, 10.0), (95, 30.0)):
                clip_ms, received_ms = (
                    1000 * float(np.percentile(values, percent))
                    for values in (moments.clip_to_message, moments.received_to_message)
                )
                yield Figure(
                    f"end of the deciding clip to the message, {name}, p{percent}",
                    "ms",
                    clip_ms,
                    {},
                    Target(limit_ms),
                    f"{len(moments.clip_to_message)} messages; {received_ms:.0f} ms from when capture has handed on "
                    "the Block with the clip's end; before that the sender's encoder and its packet take up to "
                    f"{1000 * PACKET_S:.0f} ms each, and what resampling looks ahead 30 ms",
                )
            onset_s = statistics.median(moments.onset_to_message)
            decided = (
                f"{len(sounds)} sounds; the clip that decides ends {statistics.median(moments.onset_to_clip):.2f} s "
            )
            yield Figure(
                f"beginning of the sound to the message, {name}",
                "s",
                onset_s,
                {},
                Target(PERIOD_S + BEYOND_S[name]),
                decided + "after the beginning: so long the model needs to be sure",
            )


def _moments(folder: Path, sounds: list[Camera], settings: str) -> Moments:
    url = f"{free_port()}/camera"
    tables = (
        f'[models.{DEFAULT_MODEL}]\n[models.{QUICK}]\npath = "{folder / QUICK}"\n'
        f'[sources.s0]\nurl = "rtsp+listen://127.0.0.1:{url}"\n{settings}\n'
    )
    program = ["-m", "tools.benchmarks.heard_agent", "--blocks"]
    with agent_process(tables, program, 1, piped=True) as running:
        running.move(MEASURED)
        began_s = _play(folder / "sounds.wav", f"rtsp://127.0.0.1:{url}", len(sounds) * PLAYED_S)
        decided_s = ask(running.process)["decided_s"]
        return _compared(running, sounds, began_s, decided_s)


def _play(file: Path, url: str, seconds: float) -> float:
    """Push a file to an RTSP listener, in real time; return when it began, in seconds since 1970."""
    command = [sys.executable, "-m", "edgeaudio.demo.camera", url, str(file), "aac", str(RATE)]
    process = subprocess.Popen(command, text=True, cwd=ROOT, stdout=PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        began_s = float(process.stdout.readline().split()[1])
        time.sleep(max(0.0, began_s + seconds - BEFORE_S - time.time()))
        return began_s
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _compared(
    running: AgentProcess, sounds: list[Camera], began_s: float, decided_s: Mapping[str, tuple[float, float | None]]
) -> Moments:
    messages: list[Heard] = [message for message in running.listener.heard if message.topic.endswith("/detection")]
    moments = Moments([], [], [], [])
    for message, event in zip(messages, running.listener.payloads("/detection"), strict=True):
        # decided after the question
        if (decided := decided_s.get(f"{event['id']} {event['kind']}")) is None:
            continue
        clip_end_s, received_s = decided
        moments.clip_to_message.append(message.at_s - clip_end_s)
        if received_s is not None:
            moments.received_to_message.append(message.at_s - received_s)
        number = next((index for index, sound in enumerate(sounds) if sound.label == event["label"]), None)
        if event["kind"] == "onset" and event["model"] == DEFAULT_MODEL and number is not None:
            onset_s = began_s + number * PLAYED_S + sounds[number].begin_s
            if message.at_s > onset_s:
                moments.onset_to_message.append(message.at_s - onset_s)
                moments.onset_to_clip.append(clip_end_s - onset_s)
    return moments


def _write(file: Path, sounds: list[Camera]) -> None:
    """Write the beginnings of the demo's sounds, one after the other."""
    whole = np.concatenate([_decoded(sound.file)[: round(PLAYED_S * RATE)] for sound in sounds])
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes((np.clip(whole, -1, 1) * 32767).astype("<i2").tobytes())


def _decoded(file: Path) -> Samples:
    resampler = av.AudioResampler("flt", "mono", RATE)
    with av.open(str(file)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def _quick_model(folder: Path) -> None:
    """Write a copy of the bundled model whose every clip may begin or end an event."""
    bundled = find_model(DEFAULT_MODEL)
    folder.mkdir()
    (folder / MODEL_FILE_NAME).write_bytes((bundled / MODEL_FILE_NAME).read_bytes())
    manifest = replace(read_manifest(bundled / FILE_NAME), name=QUICK, detector=DetectorSection())
    (folder / FILE_NAME).write_text(manifest_toml(manifest))
