"""The child process of the proof of a fleet: many devices, each the real outbox and the real sender, in one process.

Run as `python -m chaos.clients`, see `main`. Each device has as much state as an agent with one source. It prints a
line for each change of a device's connection. At a line on standard input each device commits its detections, and a
line says so; when the input ends, so does the process as soon as all outboxes are empty.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import NAMESPACE_DNS, uuid5

from edgeaudio.health.broker import BrokerStatus
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.broker import MqttConfig
from edgeaudio.sinks.mqtt.sender import Sender
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Event, Message

LABELS = 14  # of the bundled model
DISCOVERY_BYTES = 16_000  # what Home Assistant is told of one source
HEALTH_BYTES = 1_500


class Device:
    """One sender with its outbox."""

    def __init__(self, name: str, config: MqttConfig, folder: Path) -> None:
        self.name = name
        self._topics = Topics("edgeaudio", name)
        self.outbox = Outbox(folder / f"{name}.sqlite")
        self._stop = threading.Event()
        self._state = ""
        self._sender = Sender(config, self.outbox, self._topics, stop=self._stop, on_status=self._tell)
        for label in range(LABELS):
            self._sender.put(messages.label_state(self._topics, "yard", f"label-{label}", on=False))
            self._sender.put(messages.threshold(self._topics, "yard", f"label-{label}", 0.5))
        self._sender.put(messages.enabled(self._topics, "yard", on=True))
        self._sender.put(Message(f"homeassistant/device/{name}/config", b"x" * DISCOVERY_BYTES, qos=1, retain=True))
        self._sender.put(Message(self._topics.health, b"x" * HEALTH_BYTES, qos=1, retain=True))
        self._thread = threading.Thread(target=self._sender.run)
        self._thread.start()

    def commit(self, count: int) -> None:
        epoch, seq = self.outbox.number(count)
        made = [self._detection(epoch, seq + number) for number in range(count)]
        self.outbox.add(made)

    def _detection(self, epoch: str, seq: int) -> Message:
        event = Event(
            str(uuid5(NAMESPACE_DNS, f"{self.name} {seq}")),
            "onset",
            "yard",
            "test",
            "label",
            0.9,
            datetime.now(UTC),
            0.1,
        )
        return messages.detection(self._topics, event, seq_epoch=epoch, seq=seq)

    def _tell(self, status: BrokerStatus) -> None:
        if status.state != self._state:
            self._state = status.state
            sys.stdout.write(f"{time.time():.3f} {self.name} {status.state}\n")
            sys.stdout.flush()

    def end(self) -> None:
        self._stop.set()
        self._sender.wake()
        self._thread.join()
        self.outbox.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--devices", type=int, required=True)
    parser.add_argument("--detections", type=int, required=True)
    parser.add_argument("--rate", type=float)
    options = parser.parse_args()
    config = MqttConfig("127.0.0.1", options.port, "")
    if options.rate is not None:
        config = replace(config, rate_per_s=options.rate)
    names = [f"device-{options.first + number}" for number in range(options.devices)]
    devices = [Device(name, replace(config, client_id=f"edgeaudio-{name}"), options.folder) for name in names]
    for _ in sys.stdin:
        for device in devices:
            device.commit(options.detections)
        print(f"{time.time():.3f} all committed", flush=True)
    waiting = set(devices)
    while waiting:
        for device in [device for device in waiting if not device.outbox.stats().depth]:
            waiting.remove(device)
            print(f"{time.time():.3f} {device.name} drained", flush=True)
        time.sleep(0.05)
    for device in devices:
        device.end()


if __name__ == "__main__":
    main()
