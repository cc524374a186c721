"""Clips and pictures over a connection of their own, with real brokers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.brokers import BrokerProcess, MosquittoFactory, Subscriber, config_for, make_certificates
from support.media_receiver import MediaReceiver
from support.narrow_line import NarrowLine
from support.scripted_broker import WELCOME_5, read_packet
from support.serving import serving
from support.sinks import opened, running
from support.waiting import wait_until

from edgeaudio.agent.sink_runner import SinkRunner
from edgeaudio.hub import Hub
from edgeaudio.sinks.mqtt import media_spool
from edgeaudio.sinks.mqtt.broker import MqttConfig
from edgeaudio.sinks.mqtt.media_sink import PACKET_MAX, MediaSink
from edgeaudio.sinks.mqtt.media_spool import MAX_TRIES
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import ClipReady

SECRET = "pa55-w0rd"
TOPICS = Topics("edgeaudio", "dock")
KBIT = 125.0  # bytes a second
AT = datetime(2026, 11, 30, 12, 0, 1, 500_000, UTC)


@contextmanager
def sending(
    broker_port: int, broker: BrokerProcess, *kinds: str, **changes: object
) -> Iterator[tuple[MediaSink, Hub, SinkRunner]]:
    sink = MediaSink(TOPICS, config_for(broker, port=broker_port, **changes), kinds or ("clip", "image"))  # type: ignore[arg-type]
    hub = Hub()
    with running(sink, hub) as runner:
        opened(sink, hub)
        yield sink, hub, runner


class Folder:
    """Makes clips of any size."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def clip(self, n_bytes: int = 50_000, *, image: bool = True, label: str = "Dog bark") -> ClipReady:
        self._count += 1
        sound = self._folder / f"{self._count}.opus"
        sound.write_bytes(bytes([self._count]) * n_bytes)
        picture = self._folder / f"{self._count}.jpg" if image else None
        if picture is not None:
            picture.write_bytes(b"\xff\xd8" + bytes([self._count]) * 1000)
        return ClipReady(f"id-{self._count}", "porch", label, 0.91, "home", AT, sound, "opus", picture)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "clips").mkdir()
    return Folder(tmp_path / "clips")


def test_sound_and_picture_arrive_with_their_properties(mosquitto: MosquittoFactory, folder: Folder):
    broker = mosquitto().start()
    clip = folder.clip(label="Großer Hund <img src=x>")
    with MediaReceiver(broker.port) as receiver, sending(broker.port, broker) as (sink, hub, runner):
        hub.publish(clip)
        (sound,) = receiver.wait_for("/porch/clip")
        (picture,) = receiver.wait_for("/porch/image")
        (info,) = receiver.wait_for("/porch/image/info")
        wait_until(lambda: sink.sent == 2)
    assert sound.payload == clip.sound.read_bytes()
    assert clip.picture is not None
    assert picture.payload == clip.picture.read_bytes()
    assert [each.topic.rpartition("porch/")[2] for each in receiver.heard] == [
        "image/info",
        "image",
        "clip/info",
        "clip",
    ]
    assert (sound.content_type, picture.content_type) == ("audio/ogg", "image/jpeg")
    expected = {"id": "id-1", "label": clip.label, "source": "porch", "at": "2026-11-30T12:00:01.500Z"}
    assert sound.user == expected | {"kind": "clip"}
    assert picture.user == expected | {"kind": "image"}
    assert {each.qos for each in receiver.heard} == {0}
    assert not any(each.retain for each in receiver.heard)
    assert all(each.expiry_s is not None and 55 <= each.expiry_s <= 60 for each in receiver.heard)
    assert len(info.payload) < 2000
    assert (sink.lost, runner.numbers().detail) == (0, "")
    assert "as edgeaudio-dock-media" in broker.log()


def test_only_what_is_asked_for_is_sent(mosquitto: MosquittoFactory, folder: Folder):
    broker = mosquitto().start()
    with MediaReceiver(broker.port) as receiver, sending(broker.port, broker, "image") as (sink, hub, _):
        hub.publish(folder.clip())
        hub.publish(folder.clip(image=False))
        hub.publish(folder.clip())
        receiver.wait_for("/image", 2)
        wait_until(lambda: sink.sent == 2)
    assert receiver.of("/clip") == []


def test_what_is_longer_than_the_broker_takes_is_not_sent_and_counted(
    mosquitto: MosquittoFactory, folder: Folder, caplog: pytest.LogCaptureFixture
):
    broker = mosquitto("max_packet_size 20000").start()
    with MediaReceiver(broker.port) as receiver, sending(broker.port, broker) as (sink, hub, runner):
        hub.publish(folder.clip(19_700))
        hub.publish(folder.clip(20_000))
        hub.publish(folder.clip(5_000))
        receiver.wait_for("/image", 3)
        receiver.wait_for("/clip", 2)
        wait_until(lambda: sink.sent == 5)
        assert runner.numbers().lost == 1
    assert [len(each.payload) for each in receiver.of("/clip")] == [19_700, 5_000]
    assert "1 clips or pictures were not sent so far; the last: its 20000 bytes are more than a packet of 20000" in (
        caplog.text
    )


def test_without_a_limit_of_the_broker_no_packet_is_over_900_kb(mosquitto: MosquittoFactory, folder: Folder):
    broker = mosquitto().start()
    with MediaReceiver(broker.port) as receiver, sending(broker.port, broker, "clip") as (sink, hub, _):
        hub.publish(folder.clip(PACKET_MAX))
        hub.publish(folder.clip(PACKET_MAX - 300))
        receiver.wait_for("/clip")
        wait_until(lambda: sink.lost == 1)
    assert [len(each.payload) for each in receiver.of("/clip")] == [PACKET_MAX - 300]


def test_clips_wait_for_a_broker_that_is_away(
    mosquitto: MosquittoFactory, folder: Folder, caplog: pytest.LogCaptureFixture
):
    broker = mosquitto()
    with sending(broker.port, broker, retry_max_s=0.2) as (sink, hub, runner):
        hub.publish(folder.clip())
        wait_until(lambda: "connection refused" in runner.numbers().detail)
        assert runner.numbers().detail.startswith("2 files wait: broker mqtt://127.0.0.1:")
        broker.start()
        with MediaReceiver(broker.port) as receiver:
            hub.publish(folder.clip())
            receiver.wait_for("/clip", 1)
            wait_until(lambda: sink.sent == 4)
        assert (runner.numbers().detail, runner.numbers().failures) == ("", 0)
    assert caplog.text.count("clips and pictures wait to be sent") == 1


def test_what_waits_is_bounded_and_the_oldest_gives_way(
    mosquitto: MosquittoFactory, folder: Folder, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(media_spool, "MAX_BYTES", 100_000)
    broker = mosquitto()
    with sending(broker.port, broker, "clip") as (sink, hub, runner):
        for _ in range(5):
            hub.publish(folder.clip(30_000))
        wait_until(lambda: runner.numbers().lost == 2)
        broker.start()
        with MediaReceiver(broker.port) as receiver:
            hub.publish(folder.clip(1))
            wait_until(lambda: sink.sent + sink.lost == 6)
    assert {each.payload[0] for each in receiver.of("/clip")} <= {3, 4, 5, 6}
    assert (sink.sent, sink.lost) == (4, 2)


def test_a_clip_that_was_removed_meanwhile_is_counted_and_holds_up_nothing(mosquitto: MosquittoFactory, folder: Folder):
    broker = mosquitto()
    with sending(broker.port, broker, "clip") as (sink, hub, _):
        gone, stays = folder.clip(), folder.clip()
        hub.publish(gone)
        hub.publish(stays)
        wait_until(lambda: sink.trouble)
        gone.sound.unlink()
        broker.start()
        wait_until(lambda: (sink.sent, sink.lost) == (1, 1))


def test_a_connection_that_is_cut_in_a_clip_sends_it_again(mosquitto: MosquittoFactory, folder: Folder):
    broker = mosquitto().start()
    with NarrowLine(broker.port, 512 * KBIT) as line, sending(line.port, broker, "clip") as (sink, hub, _):
        hub.publish(folder.clip(200_000))
        wait_until(lambda: line.forwarded > 30_000)
        broker.kill()
        wait_until(lambda: sink.trouble)
        broker.start()
        with MediaReceiver(broker.port) as receiver:
            receiver.wait_for("/clip")
            wait_until(lambda: sink.sent == 1)
    assert sink.lost == 0


def test_nothing_is_kept_for_a_persistent_session_that_is_away(mosquitto: MosquittoFactory, folder: Folder):
    broker = mosquitto("max_queued_messages 1000").start()
    with Subscriber(broker.port, "#", session="archive"):
        pass
    with MediaReceiver(broker.port) as receiver, sending(broker.port, broker) as (sink, hub, _):
        for _ in range(20):
            hub.publish(folder.clip())
        wait_until(lambda: sink.sent == 40)
        receiver.wait_for("/clip", 20)
    with Subscriber(broker.port, "#", session="archive") as back:
        back.publish("marker", b"1")
        back.wait_for(lambda heard: any(each.topic == "marker" for each in heard))
        assert [each.topic for each in back.heard] == ["marker"]


def test_a_broker_of_mqtt_3_1_1_receives_them_without_properties(any_broker: BrokerProcess, folder: Folder):
    any_broker.start()
    with Subscriber(any_broker.port, "#") as receiver, sending(any_broker.port, any_broker) as (sink, hub, _):
        hub.publish(folder.clip())
        wait_until(lambda: sink.sent == 2)
        receiver.wait_for(lambda heard: any(each.topic.endswith("/clip") for each in heard))


def test_a_connection_without_work_is_closed(
    mosquitto: MosquittoFactory, folder: Folder, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("edgeaudio.sinks.mqtt.media_sink.IDLE_S", 0.2)
    broker = mosquitto().start()
    with sending(broker.port, broker) as (sink, hub, _):
        hub.publish(folder.clip())
        wait_until(lambda: sink.sent == 2)
        wait_until(lambda: "Client edgeaudio-dock-media disconnected." in broker.log())
        hub.publish(folder.clip())
        wait_until(lambda: sink.sent == 4)


def test_over_tls_with_a_login_that_is_never_shown(
    mosquitto: MosquittoFactory, folder: Folder, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    certificates = make_certificates(tmp_path / "certificates")
    broker = mosquitto(tls=certificates, users={"dock": SECRET})
    login = {"host": "localhost", "tls": True, "ca_file": certificates.ca, "username": "dock", "password": SECRET}
    with sending(broker.port, broker, **login) as (sink, hub, runner):
        hub.publish(folder.clip(300_000))
        wait_until(lambda: runner.numbers().detail)
        broker.start()
        wait_until(lambda: sink.sent == 2)
    with sending(broker.port, broker, **login | {"password": f"{SECRET}?"}) as (sink, hub, runner):
        hub.publish(folder.clip())
        wait_until(lambda: "user name" in runner.numbers().detail)
        assert SECRET not in runner.numbers().detail
    assert SECRET not in caplog.text


def test_a_file_over_which_connections_end_is_given_up(folder: Folder, caplog: pytest.LogCaptureFixture):
    tries = 0

    def impatient(near: socket.socket, _ended: threading.Event) -> None:
        nonlocal tries
        with near:
            read_packet(near)
            near.sendall(WELCOME_5)
            if near.recv(1000):
                tries += 1

    with serving(impatient, receive_buffer=4096) as port:
        config = MqttConfig("127.0.0.1", port, "edgeaudio-dock", retry_min_s=0.01)
        sink = MediaSink(TOPICS, config, ["clip"])
        sink.handle(folder.clip(500_000))
        until_s = time.monotonic() + 20
        while not sink.lost:
            assert time.monotonic() < until_s
            sink.tick()
        sink.close()
    assert (tries, sink.trouble) == (MAX_TRIES, "")
    assert "connections end over it: the connection was closed" in caplog.text


def test_labels_with_control_characters_end_no_connection(mosquitto: MosquittoFactory, folder: Folder):
    broker = mosquitto().start()
    with MediaReceiver(broker.port) as receiver, sending(broker.port, broker, "image") as (sink, hub, _):
        hub.publish(folder.clip(label="a\x00b\x07/c\n"))
        (picture,) = receiver.wait_for("/porch/image")
        wait_until(lambda: sink.sent == 1)
    assert picture.user["label"].isprintable()
