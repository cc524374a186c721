"""The run of the demo: broker, agent, cameras and subscriber, and what is shown of them.

Owns: their order, the printed lines. Does not know: how any of them works inside, how they are started (processes.py).
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from edgeaudio.console import table
from edgeaudio.demo.processes import DEVICE, START_S, agent, embedded_broker, free_ports, playing
from edgeaudio.demo.scenario import Camera, Detection, Outcome, judge, read_cameras
from edgeaudio.errors import EdgeaudioError
from edgeaudio.redact import mask_url
from edgeaudio.sinks.mqtt.broker import BrokerAddress, parse_broker_url
from edgeaudio.terminal import bad, good, print_error, print_out, width_of
from edgeaudio.urls import holds_login
from edgeaudio.version import __version__

USERNAME, PASSWORD = "EDGEAUDIO_MQTT__USERNAME", "EDGEAUDIO_MQTT__PASSWORD"  # the agent's settings
LINGER_S = 1.5  # after the last sound, for messages on their way
LATE_S = 20.0  # longer, while a sound is not detected: a slow board lags


def check_broker(broker: str | None) -> None:
    """Raise EdgeaudioError if this is no broker's URL, or one with a login in it."""
    if broker and holds_login(broker):
        raise EdgeaudioError(f"--broker: a login here would show in the process list; set {USERNAME} and {PASSWORD}")
    if broker:
        parse_broker_url(broker)


def run_demo(broker: str | None) -> int:
    """Run the demo; returns 0 if every sound played was detected, and nothing else, else 1.

    broker: the URL of a broker to use instead of the embedded one; its login is read from the environment.
    Raises EdgeaudioError if something cannot be started.
    """
    length_s, cameras = read_cameras()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeaudio-demo-")))
        url = broker or stack.enter_context(embedded_broker())
        address = parse_broker_url(url)
        print_out(f"edgeaudio {__version__} demo: {len(cameras)} cameras, one agent, one broker ({mask_url(url)})\n")
        inbox = stack.enter_context(_subscriber(address))
        ports = dict(zip((camera.name for camera in cameras), free_ports(len(cameras)), strict=True))
        log = stack.enter_context((folder / "agent.log").open("w+"))
        stack.enter_context(agent(folder, url, ports, log))
        show = _Show(cameras, inbox, length_s)
        pushing = [stack.enter_context(playing(camera, ports[camera.name])) for camera in cameras]
        show.watch(pushing)
        outcomes = judge(cameras, show.began_s, show.detections)
        _sum_up(outcomes, show.memory_mb)
        good = all(outcome.right for outcome in outcomes)
        if not good:
            log.seek(0)
            print_error("\nThe agent's log:\n" + log.read())
    return 0 if good else 1


class _Show:
    """Prints what is played and what is received as it happens, and records it."""

    def __init__(
        self, cameras: Sequence[Camera], inbox: SimpleQueue[tuple[float, str, bytes]], length_s: float
    ) -> None:
        self.began_s: dict[str, float] = {}
        self.detections: list[Detection] = []
        self.memory_mb: float | None = None
        self._cameras = {camera.name: camera for camera in cameras}
        self._inbox = inbox
        self._length_s = length_s
        self._start_s = time.time()
        self._printed: set[tuple[str, str]] = set()

    def watch(self, pushing: Sequence[SimpleQueue[float]]) -> None:
        """Receive until the sounds have been played and their detections have arrived."""
        deadline_s = time.time() + START_S + self._length_s + LATE_S
        end_s = deadline_s
        while time.time() < min(end_s, deadline_s):
            heard = {detection.source for detection in self.detections}
            for camera, began in zip(self._cameras.values(), pushing, strict=True):
                with suppress(Empty):
                    self.began_s[camera.name] = began.get_nowait()
            end_s = deadline_s
            if len(self.began_s) == len(self._cameras):
                late = any(camera.label and camera.name not in heard for camera in self._cameras.values())
                end_s = max(self.began_s.values()) + self._length_s + (LATE_S if late else LINGER_S)
            self._print_played()
            with suppress(Empty):
                self._receive(*self._inbox.get(timeout=0.1))

    def _print_played(self) -> None:
        for name, began_s in self.began_s.items():
            camera = self._cameras[name]
            if (name, "stream") not in self._printed:
                self._printed.add((name, "stream"))
                stream = f"{camera.codec.removeprefix('lib')}, {camera.sample_rate / 1000:g} kHz"
                self._line(began_s, "plays", f"{name}: {camera.surroundings} ({stream})")
            sound_s = began_s + camera.begin_s
            if camera.label and (name, "sound") not in self._printed and time.time() >= sound_s:
                self._printed.add((name, "sound"))
                self._line(sound_s, "plays", f"{name}: {camera.label} begins")

    def _receive(self, received_s: float, topic: str, payload: bytes) -> None:
        short = topic.removeprefix(f"edgeaudio/{DEVICE}/")
        if short == "health":
            self.memory_mb = json.loads(payload).get("memory_mb")
        elif short == "availability":
            self._line(received_s, "hears", f"{short}  {payload.decode()}")
        elif short.endswith("/status"):
            status = json.loads(payload)
            # the end of each stream is the end of the demo
            if status["state"] != "connecting" and status["reason"] != "end_of_stream":
                self._line(received_s, "hears", f"{short}  {status['state']} {status['reason'] or ''}".rstrip())
        elif short.endswith("/detection"):
            self._detection(received_s, short, json.loads(payload))

    def _detection(self, received_s: float, short: str, event: dict[str, str | float]) -> None:
        source, label, score = str(event["source"]), str(event["label"]), float(event["score"])
        self._line(received_s, "hears", f"{short}  {label} {event['kind']}  score {score:.2f}")
        if event["kind"] == "onset":
            at_s = datetime.fromisoformat(str(event["at"])).timestamp()
            self.detections.append(Detection(source, label, score, at_s, received_s))

    def _line(self, at_s: float, who: str, what: str) -> None:
        print_out(f"{at_s - self._start_s:6.1f} s  {who}  {what}", flush=True)


def _sum_up(outcomes: Sequence[Outcome], memory_mb: float | None) -> None:
    rows = [["", "camera", "played", "heard", "score", "after"]]
    for outcome in outcomes:
        camera, heard = outcome.camera, outcome.heard
        row = [good("ok") if outcome.right else bad("NO"), camera.name, camera.label or "nothing"]
        if heard and outcome.played_s is not None:
            row += [heard.label, f"{heard.score:.2f}", f"{heard.received_s - outcome.played_s:.1f} s"]
        else:
            row += ["nothing" if not outcome.wrong else ""]
        if outcome.played_s is None:
            row[2] += ", but the stream was never opened"
        rows.append(row)
        rows += [["", "", "", f"{wrong.label}, which was not played", f"{wrong.score:.2f}"] for wrong in outcome.wrong]
    print_out()
    for line in table(rows, width=width_of(sys.stdout)):
        print_out(*line)
    print_out()
    print_out("\n".join(proven(outcomes, memory_mb)))


def proven(outcomes: Sequence[Outcome], memory_mb: float | None) -> list[str]:
    """Return the lines of the verdict."""
    sounds = [outcome for outcome in outcomes if outcome.camera.label]
    found = sum(outcome.heard is not None for outcome in sounds)
    wrong = sum(len(outcome.wrong) for outcome in outcomes)
    verdict = "Proven" if all(outcome.right for outcome in outcomes) else "Not proven"
    counts = f"{found} of {len(sounds)} sounds detected, {wrong} false detections, on {len(outcomes)} cameras"
    heard = ", ".join(f"{_heard_on(outcome)} on {outcome.camera.name}" for outcome in outcomes)
    lines = [f"{verdict}: {counts}", f"  {heard}"]
    after_s = [
        outcome.heard.received_s - outcome.played_s
        for outcome in outcomes
        if outcome.heard and outcome.played_s is not None
    ]
    if after_s:
        used = f"; the agent used {memory_mb:.0f} MB" if memory_mb else ""
        lines.append(
            "  each by RTSP into the agent, and by MQTT to a subscriber, "
            f"at most {max(after_s):.1f} s after it began{used}"
        )
    return lines


def _heard_on(outcome: Outcome) -> str:
    right = [outcome.heard.label] if outcome.heard else []
    return " and ".join([*right, *(f"{wrong.label} (false)" for wrong in outcome.wrong)]) or "nothing"


@contextmanager
def _subscriber(address: BrokerAddress) -> Iterator[SimpleQueue[tuple[float, str, bytes]]]:
    inbox: SimpleQueue[tuple[float, str, bytes]] = SimpleQueue()
    ready = threading.Event()
    client = Client(CallbackAPIVersion.VERSION2)

    def on_connect(_client: Client, *_: object) -> None:
        client.subscribe(f"edgeaudio/{DEVICE}/#", qos=1)

    def on_message(_client: Client, _userdata: object, message: MQTTMessage) -> None:
        if not message.retain:  # of an earlier demo
            inbox.put((time.time(), message.topic, bytes(message.payload)))

    client.on_connect = on_connect
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = on_message
    if username := os.environ.get(USERNAME):
        try:
            client.username_pw_set(username, os.environ.get(PASSWORD))
        except UnicodeEncodeError:
            raise EdgeaudioError(f"{USERNAME} and {PASSWORD} must be UTF-8 text") from None
    if address.tls:
        client.tls_set()
    try:
        client.connect(address.host, address.port)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise EdgeaudioError(f"broker {address.host}:{address.port} cannot be reached: {reason}") from None
    client.loop_start()
    try:
        if not ready.wait(START_S):
            raise EdgeaudioError(f"broker {address.host}:{address.port} lets nobody subscribe; check the login")
        yield inbox
    finally:
        client.disconnect()
        client.loop_stop()
