"""How long detections wait while a clip of 1 MB is sent over a link of 512 kbit/s, with the kernel's TCP and queues.

    python -m tools.maintenance.slow_link [SECONDS_MAX]

Needs root, Mosquitto, `ip` and `tc`: the agent's side and the broker's are two network namespaces, and the pair of
interfaces between them is a modem with a queue (tc-tbf). Each row is one way to send the clip. The table is for
docs/mqtt.md.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from edgeaudio.outbox.outbox import Outbox
from edgeaudio.sinks.mqtt import media_sink
from edgeaudio.sinks.mqtt.broker import MqttConfig
from edgeaudio.sinks.mqtt.media_sink import MediaSink
from edgeaudio.sinks.mqtt.sender import Sender
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import ClipReady, Message

ROOT = Path(__file__).parents[2]
NEAR, FAR = "edgeaudio-near", "edgeaudio-far"
NEAR_ADDRESS, FAR_ADDRESS, PORT = "10.99.0.1", "10.99.0.2", 21_883
KBIT_PER_S = 512
QUEUES_KB = (32, 128)
CLIP_BYTES = 1_000_000
PERIOD_S = 0.5  # from detection to detection
TOPICS = Topics("edgeaudio", "dock")
WAYS = {
    "a connection of its own, 16 KB under way": media_sink.UNDER_WAY_MAX,
    "a connection of its own, as much under way as TCP likes": None,
}


def main(limit_s: float) -> None:
    """Measure, and print the table."""
    print("| queue of the modem | way | the clip takes | detections wait, median | at most |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        stack.enter_context(namespaces())
        stack.enter_context(mosquitto(folder))
        for queue_kb in QUEUES_KB:
            limit_link(queue_kb)
            for number, way in enumerate(WAYS):
                command = [sys.executable, "-m", "tools.maintenance.slow_link", "send", str(number), str(limit_s)]
                done = run("ip", "netns", "exec", NEAR, *command)
                print(f"| {queue_kb} KB | {way} | {done.strip()} |", flush=True)


def send(under_way_max: int | None, limit_s: float) -> None:
    """Send a clip and detections, in the near namespace; print how long they took."""
    with tempfile.TemporaryDirectory() as name:
        sound = Path(name, "clip.opus")
        sound.write_bytes(bytes(CLIP_BYTES))
        clip = ClipReady("id", "porch", "dog", 0.9, "home", datetime.now(UTC), sound, "opus", None)
        config = MqttConfig(FAR_ADDRESS, PORT, "edgeaudio-dock")
        outbox, stop = Outbox(Path(name, "outbox")), threading.Event()
        sender = Sender(config, outbox, TOPICS, stop=stop)
        threading.Thread(target=sender.run, daemon=True).start()
        time.sleep(2.0)
        sink = MediaSink(TOPICS, config, ["clip"])
        sink._config = replace(sink._config, under_way_max=under_way_max)  # noqa: SLF001 (what is measured)
        sink.handle(clip)
        begin_s = time.monotonic()
        thread = threading.Thread(target=send_all, args=(sink, begin_s + limit_s))
        thread.start()
        waits_s: list[float] = []
        while thread.is_alive():
            added_s = time.monotonic()
            outbox.add([Message(TOPICS.detection("porch"), b"%d" % len(waits_s), qos=1)])
            while outbox.stats().depth and time.monotonic() < added_s + limit_s:
                time.sleep(0.005)
            waits_s.append(time.monotonic() - added_s)
            time.sleep(max(0.0, PERIOD_S - waits_s[-1]))
        took_s = time.monotonic() - begin_s
        stop.set()
        sender.wake()
    print(f"{took_s:.1f} s | {sorted(waits_s)[len(waits_s) // 2]:.2f} s | {max(waits_s):.2f} s")


def send_all(sink: MediaSink, until_s: float) -> None:
    """Let the sink work until the clip is sent."""
    while not sink.sent and time.monotonic() < until_s:
        sink.tick()
    sink.close()


@contextmanager
def namespaces() -> Iterator[None]:
    """Make both, and the link between them."""
    try:
        for space in (NEAR, FAR):
            run("ip", "netns", "add", space)
        run("ip", "link", "add", "near0", "netns", NEAR, "type", "veth", "peer", "name", "far0", "netns", FAR)
        for space, link, address in ((NEAR, "near0", NEAR_ADDRESS), (FAR, "far0", FAR_ADDRESS)):
            run("ip", "-n", space, "address", "add", f"{address}/24", "dev", link)
            run("ip", "-n", space, "link", "set", link, "up")
        yield
    finally:
        for space in (NEAR, FAR):
            subprocess.run(["ip", "netns", "delete", space], check=False, capture_output=True)  # noqa: S603, S607


def limit_link(queue_kb: int) -> None:
    """Give the link towards the broker its rate and its queue."""
    rate = f"{KBIT_PER_S}kbit"
    shape = ("root", "tbf", "rate", rate, "burst", "3200", "limit", str(queue_kb * 1024))
    run("ip", "netns", "exec", NEAR, "tc", "qdisc", "replace", "dev", "near0", *shape)


@contextmanager
def mosquitto(folder: Path) -> Iterator[None]:
    """Run the broker in the far namespace."""
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {PORT} {FAR_ADDRESS}\nallow_anonymous true\nmax_packet_size 2000000\nlog_dest none\n")
    process = subprocess.Popen(  # noqa: S603 (our own words)
        ["ip", "netns", "exec", FAR, "mosquitto", "-c", str(config)],  # noqa: S607
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(1.0)
        yield
    finally:
        process.terminate()
        process.wait(10)


def run(*command: str) -> str:
    """Run a program, and return its output."""
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)  # noqa: S603 (our own words)
    return done.stdout


if __name__ == "__main__":
    if sys.argv[1:2] == ["send"]:
        send(list(WAYS.values())[int(sys.argv[2])], float(sys.argv[3]))
        os._exit(0)
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 90.0)
