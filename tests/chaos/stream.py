"""The child of the proofs about outages: the real outbox and the real sender under a steady stream of events.

Run as `python -m chaos.stream`, see `main`. It prints a line for each event once it is on the disk, as the agent's
log does, and ten times a second how deep the outbox is. When its standard input ends so do the events, and when the
outbox is empty so does the process.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import NAMESPACE_DNS, uuid5

from support.agents import DEVICE

from edgeaudio.outbox.outbox import Outbox
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.broker import MqttConfig
from edgeaudio.sinks.mqtt.sender import Sender
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Event

DEPTH_EVERY_S = 0.1


def event(number: int) -> Event:
    """Onsets and offsets in turn, two to an id; the time is that of the commit, so that lags can be told."""
    name = str(uuid5(NAMESPACE_DNS, str(number // 2)))
    kind = "offset" if number % 2 else "onset"
    return Event(name, kind, "yard", "test", f"label {number // 2}", 0.9, datetime.now(UTC), 0.1)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--retry-max", type=float, required=True)
    parser.add_argument("--timeout", type=float, required=True)
    parser.add_argument("--user", required=True)
    options = parser.parse_args()
    topics, outbox = Topics("edgeaudio", DEVICE), Outbox(options.folder / "outbox.db")
    stop, enough = threading.Event(), threading.Event()
    config = MqttConfig(
        "127.0.0.1",
        options.port,
        f"edgeaudio-{DEVICE}",
        username=options.user,
        password=options.user,
        retry_min_s=min(1.0, options.retry_max),
        retry_max_s=options.retry_max,
        timeout_s=options.timeout,
    )
    sender = Sender(config, outbox, topics, stop=stop)
    thread = threading.Thread(target=sender.run)
    thread.start()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        enough.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    begin_s = told_s = time.monotonic()
    number = 0
    while not enough.is_set():
        made = event(number)
        epoch, seq = outbox.number(1)
        outbox.add([messages.detection(topics, made, seq_epoch=epoch, seq=seq)])
        print(f"committed {made.kind} {made.id}", flush=True)
        number += 1
        if time.monotonic() >= told_s + DEPTH_EVERY_S:
            told_s = time.monotonic()
            print(f"depth {outbox.stats().depth}", flush=True)
        time.sleep(max(0.0, begin_s + number / options.rate - time.monotonic()))
    while outbox.stats().depth:
        time.sleep(DEPTH_EVERY_S)
    stop.set()
    sender.wake()
    thread.join()
    outbox.close()


if __name__ == "__main__":
    main()
