"""What clips cost the dashboard, and how fast it serves them.

    python -m tools.maintenance.dashboard_clips [--seconds 60] [--per-second 5] [--kilobytes 100]

Mosquitto brings clips of that length, and a picture of 40 kB with each. The dashboard runs once with clips switched off
and once with them. Printed are CPU and memory of both; then, while clips go on, how long a detection of another device
takes until a page has it; and how long a clip, a part of it and its copy as WAV take. Needs the program mosquitto.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import tempfile
import threading
import time
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgeaudio.media.writer import AudioForm, AudioWriter
from tools.maintenance.dashboard_scale import cpu_s, dashboard, memory_mb, mosquitto

RATE = 16_000  # Hz
DETECTION_EVERY_S = 0.1
TRIES = 15


def main() -> None:
    """Run both, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--per-second", type=float, default=5.0)
    parser.add_argument("--kilobytes", type=int, default=100)
    arguments = parser.parse_args()
    clip = made_clip(arguments.kilobytes * 1000)
    print(f"load {os.getloadavg()[0]:.1f}; {arguments.per_second:g} clips of {len(clip) / 1000:.0f} kB a second\n")
    print("| clips | CPU | memory | detection until a page has it, median | slowest |\n|---|---|---|---|---|")
    for is_on in (False, True):
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            broker = stack.enter_context(mosquitto())
            process, port = stack.enter_context(
                dashboard(Path(folder) / "d.sqlite", broker, clips_max_mb="1000" if is_on else "0")
            )
            time.sleep(3)
            sender = threading.Thread(
                target=send, args=(broker, clip, 1.5 * arguments.seconds, 1 / arguments.per_second), daemon=True
            )
            before_s, began_s = cpu_s(process.pid), time.monotonic()
            sender.start()
            time.sleep(arguments.seconds)
            cpu = 100 * (cpu_s(process.pid) - before_s) / (time.monotonic() - began_s)
            waits_ms = detect(broker, port, arguments.seconds / 2)
            sender.join()
            word, memory = "on" if is_on else "off", memory_mb(process.pid)
            print(f"| {word} | {cpu:.1f} % | {memory:.0f} MB | {median(waits_ms):.0f} ms | {max(waits_ms):.0f} ms |")
            if is_on:
                ask(port)
                print(f"memory after that: {memory_mb(process.pid):.0f} MB")


def made_clip(n_bytes: int) -> bytes:
    """Return an Opus file of noise of about that length."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "clip.opus"
        writer = AudioWriter(file, AudioForm.of("opus", RATE, 1))
        chance = np.random.default_rng(1)
        while not file.stat().st_size >= n_bytes:
            writer.write((0.1 * chance.standard_normal(RATE)).astype(np.float32))
        writer.close()
        return file.read_bytes()


def send(broker: int, clip: bytes, seconds: float, every_s: float) -> None:
    """Publish clips and pictures."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.connect("127.0.0.1", broker)
    client.loop_start()
    picture = b"\xff\xd8\xff\xe0" + os.urandom(40_000)
    began_s = time.monotonic()
    number = 0
    while time.monotonic() < began_s + seconds:
        for topic, content_type, content in (("clip", "audio/ogg", clip), ("image", "image/jpeg", picture)):
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho left it without types
            properties.ContentType = content_type
            properties.UserProperty = [("id", f"c{number}"), ("kind", topic)]
            client.publish(f"edgeaudio/dock/porch/{topic}", content, 0, properties=properties)
        number += 1
        time.sleep(max(0.0, began_s + number * every_s - time.monotonic()))
    client.disconnect()
    client.loop_stop()


def detect(broker: int, port: int, seconds: float) -> list[float]:
    """Publish detections, and return how many milliseconds each takes until `/api/recent` has it."""
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker)
    client.loop_start()
    waits_ms = []
    end_s = time.monotonic() + seconds
    after = number = 0
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        while time.monotonic() < end_s:
            number += 1
            detection = {
                "schema_version": 1,
                "id": f"d{number}",
                "kind": "onset",
                "label": "dog",
                "score": 0.9,
                "at": datetime.now(UTC).isoformat(),
                "at_error_s": None,
                "duration_s": 0.5,
                "model": "home",
                "seq": number,
                "seq_epoch": "a",
            }
            began_s = time.perf_counter()
            client.publish("edgeaudio/shed/yard/detection", json.dumps(detection), 1)
            while True:
                connection.request("GET", f"/api/recent?after={after}")
                found = json.loads(connection.getresponse().read())["recent"]
                if found:
                    break
                time.sleep(0.002)
            after = found[-1]["number"]
            waits_ms.append(1000 * (time.perf_counter() - began_s))
            time.sleep(DETECTION_EVERY_S)
    client.disconnect()
    client.loop_stop()
    return waits_ms


def ask(port: int) -> None:
    """Print how long answers take."""
    print("\n| answer | median | slowest |\n|---|---|---|")
    place = "/api/events/dock/porch"
    for name, path, headers in (
        ("clip", "c{}/clip", {}),
        ("last 1,000 bytes of a clip", "c{}/clip", {"Range": "bytes=-1000"}),
        ("picture", "c{}/picture", {}),
        ("copy as WAV, first time", "c{}/clip?format=wav", {}),
        ("copy as WAV, again", "c14/clip?format=wav", {"Range": "bytes=0-999"}),
    ):
        times_ms = []
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            for number in range(TRIES):
                began_s = time.perf_counter()
                connection.request("GET", f"{place}/{path.format(number)}", headers=headers)
                answer = connection.getresponse()
                body = answer.read()
                times_ms.append(1000 * (time.perf_counter() - began_s))
                if answer.status not in {200, 206}:
                    print(f"{name}: {answer.status} {body[:100]!r}")
        print(f"| {name} | {median(times_ms):.1f} ms | {max(times_ms):.1f} ms |")


if __name__ == "__main__":
    main()
