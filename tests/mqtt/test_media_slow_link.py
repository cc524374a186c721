"""On a slow link no detection waits for a clip."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from support.brokers import MosquittoFactory, Subscriber, config_for
from support.delivery import DETECTION, TOPICS, RunningSender, detections
from support.media_receiver import MediaReceiver
from support.narrow_line import NarrowLine
from support.scripted_broker import WELCOME_5, read_packet
from support.serving import serving
from support.sinks import opened, running
from support.waiting import wait_until

from edgeaudio.hub import Hub
from edgeaudio.sinks.mqtt.broker import MqttConfig
from edgeaudio.sinks.mqtt.client import MqttConnection
from edgeaudio.sinks.mqtt.media_sink import UNDER_WAY_MAX, MediaSink
from edgeaudio.types import ClipReady, Message

RATE = 512_000 / 8  # bytes a second
N_BYTES = 400_000  # 6 s of that link


def test_a_detection_arrives_within_a_second_while_a_clip_of_seconds_is_under_way(
    mosquitto: MosquittoFactory, run_sender: Callable[..., RunningSender], tmp_path: Path
):
    broker = mosquitto("max_packet_size 2000000").start()
    sound = tmp_path / "clip.opus"
    sound.write_bytes(bytes(N_BYTES))
    clip = ClipReady("id", "porch", "dog", 0.9, "home", datetime.now(UTC), sound, "opus", None)
    with (
        NarrowLine(broker.port, RATE) as line,
        MediaReceiver(broker.port, "+/+/+/clip") as receiver,
        Subscriber(broker.port, DETECTION) as subscriber,
    ):
        sender = run_sender(config_for(broker, port=line.port))
        sender.wait_connected()
        sink, hub = MediaSink(TOPICS, config_for(broker, port=line.port), ["clip"]), Hub()
        with running(sink, hub):
            opened(sink, hub)
            began_s = time.monotonic()
            hub.publish(clip)
            waits_s: list[float] = []
            while not receiver.of("/clip"):
                added_s = time.monotonic()
                assert added_s - began_s < 60
                number = len(waits_s)
                sender.outbox.add(detections(number, 1))
                wait_until(partial(lambda count: len(subscriber.heard) > count, number), 30)
                waits_s.append(time.monotonic() - added_s)
                time.sleep(0.2)
            took_s = time.monotonic() - began_s
    print(f"the clip took {took_s:.1f} s; detections at most {max(waits_s):.2f} s, of {len(waits_s)}")
    assert len(receiver.of("/clip")[0].payload) == N_BYTES
    assert N_BYTES / RATE < took_s < 1.5 * N_BYTES / RATE
    assert len(waits_s) > 10
    assert max(waits_s) < 1.0


def test_the_network_holds_little_of_a_clip():
    """A queue of a modem is as long as what TCP has not acknowledged yet."""

    def stuck(near: socket.socket, ended: threading.Event) -> None:
        with near:
            read_packet(near)
            near.sendall(WELCOME_5)
            ended.wait(30)

    with serving(stuck, receive_buffer=4096) as port:
        config = MqttConfig("127.0.0.1", port, "edgeaudio-dock-media", under_way_max=UNDER_WAY_MAX)
        connection = MqttConnection(config, will=None, stop=threading.Event())
        try:
            connection.publish(Message("a/clip", bytes(N_BYTES)))
            until_s = time.monotonic() + 0.5
            polls = 0
            while time.monotonic() < until_s:
                connection.poll(0.1)
                assert connection.backlog <= UNDER_WAY_MAX
                polls += 1
            assert connection.congested
            assert connection.backlog > UNDER_WAY_MAX / 2
            assert polls < 100  # it does not spin
        finally:
            connection.abort()
