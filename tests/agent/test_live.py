"""Live views of a running agent: a lease, columns and scores over a real broker, and nothing once nobody watches."""

from __future__ import annotations

import signal
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from support.agents import LABEL, Listener, RunningAgent
from support.brokers import BrokerProcess, Subscriber
from support.opus import heard as decoded_streams
from support.ports import free_port
from support.rtsp import CODECS, start_gst_server
from support.waiting import wait_until

from edgeaudio.types import LiveSound, Samples

Run = Callable[..., RunningAgent]
ListenTo = Callable[[BrokerProcess], Listener]
ROOT = "edgeaudio/testbox"
LIVE, SET = f"{ROOT}/porch/live", f"{ROOT}/porch/live/set"
HEADER = struct.Struct("<4B2Iq5f2H")
AUDIO, SET_AUDIO = f"{LIVE}/audio", f"{LIVE}/audio/set"
SOUND_HEADER = struct.Struct("<4B2IqQI2H")
AUDIBLE = "[live]\naudio = true\n"


@contextmanager
def camera(codec: str = "opus") -> Iterator[str]:
    """Yield the address of an RTSP camera that plays a tone of 1 kHz."""
    with start_gst_server(f"( {CODECS[codec][1]} )") as server:
        yield server.url


def source(url: str, name: str = "porch") -> str:
    return f'[sources.{name}]\nurl = "{url}"\n'


def command(listener: Listener, payload: str | bytes, topic: str = SET) -> dict[str, object]:
    """Publish a command, and return its result."""
    count = len(listener.payloads("testbox/command"))
    listener.publish(topic, payload)
    wait_until(lambda: len(listener.payloads("testbox/command")) > count, what=f"no result of {payload[:40]!r}")
    result: dict[str, object] = listener.payloads("testbox/command")[count]
    assert result["topic"] == topic
    return result


def next_packets(listener: Listener, count: int = 1, topic: str = LIVE) -> list[bytes]:
    """Wait for that many messages from now on."""
    before = len(listener.of(topic))
    wait_until(lambda: len(listener.of(topic)) >= before + count, 20, "no columns come")
    return listener.of(topic)[before:]


def n_threads(agent: RunningAgent) -> int:
    assert agent.process is not None
    return len(list(Path(f"/proc/{agent.process.pid}/task").iterdir()))


def heard_of(payloads: list[bytes]) -> list[LiveSound]:
    """Read sound as docs/mqtt.md has it."""
    found = []
    for payload in payloads:
        _, _, flags, _, stream, sequence, at_us, position, count, pre_skip, n = SOUND_HEADER.unpack_from(payload)
        lengths = struct.unpack_from(f"<{n}H", payload, SOUND_HEADER.size)
        ends = np.cumsum([SOUND_HEADER.size + 2 * n, *lengths])
        packets = tuple(payload[begin:end] for begin, end in pairwise(ends))
        assert ends[-1] == len(payload)
        at = datetime.fromtimestamp(at_us / 1e6, UTC)
        is_judged, follows_gap = bool(flags & 2), bool(flags & 1)
        found.append(
            LiveSound("porch", stream, sequence, at, position, pre_skip, count, follows_gap, is_judged, packets)
        )
    return found


def loudest_hz(samples: Samples) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * 48_000 / len(samples))


def assert_heard_now(messages: list[LiveSound], tone_hz: float, *, is_judged: bool = False) -> None:
    """Assert that sound without a hole is a tone, of about now."""
    assert {message.is_judged for message in messages} == {is_judged}
    assert not any(message.follows_gap for message in messages)
    (stream,) = decoded_streams(messages)
    assert abs((stream.at - datetime.now(UTC)).total_seconds()) < 30
    assert abs(loudest_hz(stream.samples[4800:]) - tone_hz) < 10


def ended(listener: Listener) -> int:
    """Wait until two health reports came without a live message between them; return how many there were in all."""

    def count() -> int:
        return sum(message.topic.endswith(("/live", "/live/audio", "/scores")) for message in listener.heard)

    def wait_report() -> None:
        reports = len(listener.payloads("/health"))
        wait_until(lambda: len(listener.payloads("/health")) > reports, 20, "no health")

    for _ in range(10):
        before = count()
        wait_report()
        wait_report()
        if count() == before:
            return before
    raise AssertionError("live messages still come")


@pytest.mark.parametrize("codec", ["pcm_alaw", "pcm_s16be"])
def test_a_lease_brings_columns_and_scores_until_it_ends(
    codec: str, broker: BrokerProcess, run_agent: Run, listen_to: ListenTo
):
    broker.start()
    listener = listen_to(broker)
    # a retained lease would have a camera watched for ever
    listener.publish(SET, "60", retain=True)
    listener.publish(SET_AUDIO, "60", retain=True)
    with camera(codec) as url:
        agent = run_agent(broker, source(url), settings=AUDIBLE).start()
        onset = listener.wait_detection("onset")
        assert ended(listener) == 0
        resting = n_threads(agent)

        assert command(listener, "60")["ok"] is True
        packets = next_packets(listener, 15)
        wait_until(lambda: n_threads(agent) == resting + 1, what="it has no thread of its own")
        headers = [HEADER.unpack_from(packet) for packet in packets]
        assert [header[5] for header in headers] == list(range(headers[0][5], headers[0][5] + len(headers)))
        for version, scale, flags, _, stream, _, at_us, hop_us, low_hz, high_hz, *_, n_columns, n_bands in headers:
            assert (version, scale, flags, low_hz, n_columns, n_bands) == (1, 0, 0, 0.0, 10, 256)
            assert (stream, high_hz) == (headers[0][4], CODECS[codec][0] / 2)
            assert abs(hop_us - 20_000) < 1
            assert abs(at_us / 1e6 - time.time()) < 30
        steps_us = np.diff([header[6] for header in headers])
        assert np.abs(steps_us - 200_000).max() < 30_000
        levels = np.frombuffer(packets[-1], np.uint8, offset=HEADER.size).reshape(10, 256)
        # the camera's tone of 1 kHz
        assert np.abs(levels.argmax(axis=1) + 0.5 - 1000 / high_hz * 256).max() <= 1
        assert max(map(len, packets)) * 5 + 5 * 64 < 16_000

        wait_until(lambda: listener.payloads("porch/scores"), 20, "no scores")
        found = listener.payloads("porch/scores")[-1]
        assert (found["schema_version"], found["model"]) == (1, onset["model"])
        assert found["scores"][LABEL] > 0.65
        assert min(found["scores"].values()) > 0.05
        heard = [message for message in listener.heard if message.topic.startswith((LIVE, f"{ROOT}/porch/scores"))]
        assert not any(message.retain for message in heard if message.topic not in {SET, SET_AUDIO})
        assert listener.of(AUDIO) == []  # which needs a lease of its own
        assert command(listener, "60", SET_AUDIO)["ok"] is True
        assert_heard_now(heard_of(next_packets(listener, 8, AUDIO)), 1000)
        assert command(listener, "0", SET_AUDIO)["ok"] is True
        assert "source porch is listened to live" in agent.log

        # a second viewer who leaves early ends nothing for the first
        assert command(listener, "1")["ok"] is True
        began_s = time.monotonic()
        wait_until(lambda: next_packets(listener) and time.monotonic() - began_s > 2.5)
        assert command(listener, "0")["ok"] is True
        ended(listener)
        wait_until(lambda: n_threads(agent) == resting, what="its thread is still there")

        # one that is not renewed ends by itself, and the next one has a stream of its own
        assert command(listener, "2")["ok"] is True
        assert HEADER.unpack_from(next_packets(listener)[0])[4] != headers[0][4]
        ended(listener)
        wait_until(lambda: n_threads(agent) == resting, what="its thread is still there")
    live = listener.payloads("/health")[-1]["sinks"]["live"]
    assert (live["state"], live["failures"], live["dropped"], live["dropped_s"]) == ("running", 0, 0, 0.0)


def test_a_fifth_source_is_refused_until_another_ends(broker: BrokerProcess, run_agent: Run, listen_to: ListenTo):
    broker.start()
    listener = listen_to(broker)
    names = [f"camera-{number}" for number in range(5)]
    dead = f"rtsp://127.0.0.1:{free_port()}/x"
    agent = run_agent(broker, "".join(source(dead, name) for name in names)).start()
    wait_until(lambda: listener.of(f"{ROOT}/availability"), what="not online")
    listener.wait_state("camera-4", "waiting")
    *four, fifth = (f"{ROOT}/{name}/live/set" for name in names)
    for topic in four:
        assert command(listener, "60", topic)["ok"] is True
    refused = command(listener, "60", fifth)
    assert refused["ok"] is False
    assert refused["error"] == (
        "4 other sources are watched live, and no more may be: wait up to 60 s, or end one with 0"
    )
    off = command(listener, "60", f"{ROOT}/camera-0/live/audio/set")
    assert (off["ok"], off["error"]) == (False, "live sound is switched off in the settings: set live.audio")
    assert command(listener, "60", four[0])["ok"] is True  # a renewal
    assert command(listener, "0", four[3])["ok"] is True
    assert command(listener, "60", fifth)["ok"] is True
    # a source that is no more gives up its place, and one of another address keeps it
    others = source(dead, "garage") + source(f"{dead}/y", names[1]) + "".join(source(dead, name) for name in names[2:])
    agent.write(others)
    agent.signal(signal.SIGHUP)
    wait_until(lambda: "1 restarted, 1 added, 1 removed\n" in agent.log, what="not reloaded")
    assert command(listener, "60", f"{ROOT}/garage/live/set")["ok"] is True
    assert command(listener, "60", four[3])["ok"] is False


ATTACKS = [b"", b"1000000", b"61", b"-1", b"nan", b"inf", b"1e99", b"60;", b'{"s":30}', b"\xff\x00", b"9" * 1024]


def test_whatever_is_sent_as_a_lease_is_refused_in_one_line(broker: BrokerProcess, run_agent: Run, listen_to: ListenTo):
    broker.start()
    listener = listen_to(broker)
    with camera() as url:
        agent = run_agent(broker, source(url)).start()
        listener.wait_detection("onset")
        for payload in ATTACKS:
            result = command(listener, payload)
            assert result["ok"] is False
            assert str(result["error"]).startswith("live takes seconds, a number from 0 to 60, not ")
            assert len(str(result["error"])) < 300
        assert "there is no source" in str(command(listener, "30", f"{ROOT}/roof/live/set")["error"])
        # never taken: too long for a command, and, over MQTT 5, not even passed on by the broker
        with Subscriber(broker.port, "nothing") as attacker:
            for size in (1025, 10_000_000):
                attacker.publish(SET, b"6" * size)
        assert ended(listener) == 0
        assert command(listener, "30")["ok"] is True
        next_packets(listener, 3)
    assert agent.process is not None
    assert agent.process.poll() is None


def test_a_reconnection_of_the_camera_begins_a_stream_that_tells_of_the_gap(
    broker: BrokerProcess, run_agent: Run, listen_to: ListenTo
):
    broker.start()
    listener = listen_to(broker)
    port = free_port()

    def headers() -> list[tuple[int, ...]]:
        return [HEADER.unpack_from(packet) for packet in listener.of(LIVE)]

    def streams() -> list[int]:
        return list(dict.fromkeys(header[4] for header in headers()))

    pipeline = f"( {CODECS['pcm_alaw'][1]} )"
    with start_gst_server(pipeline, port=port) as server:
        run_agent(broker, source(server.url)).start()
        listener.wait_state("porch", "listening")
        command(listener, "60")
        next_packets(listener, 3)
    listener.wait_state("porch", "waiting")
    with start_gst_server(pipeline, port=port):
        command(listener, "60")
        wait_until(lambda: len(streams()) == 2 and headers()[-1][5] > 2, 30, "no columns come again")
    first, second = streams()
    assert not any(header[2] for header in headers() if header[4] == first)
    assert [header[2] for header in headers() if header[4] == second][:3] == [1, 0, 0]


def test_sound_that_may_not_be_heard_is_not_sent_and_other_sound_after_it_was_judged(
    broker: BrokerProcess, run_agent: Run, listen_to: ListenTo
):
    broker.start()
    listener = listen_to(broker)
    _, tone = CODECS["pcm_mulaw"]
    other = tone.replace("freq=1000", "freq=3000")
    assert other != tone
    audio = {name: f"{ROOT}/{name}/live/audio" for name in ("porch", "yard")}
    with start_gst_server(f"( {tone} )") as loud, start_gst_server(f"( {other} )") as quiet:
        # the model has a tone of 1 kHz as LABEL
        settings = f"{AUDIBLE}[clips.never_with]\n{LABEL} = 0.65\n"
        run_agent(broker, source(loud.url) + source(quiet.url, "yard"), settings=settings).start()
        listener.wait_state("yard", "listening")
        listener.wait_detection("onset")
        for topic in audio.values():
            assert command(listener, "60", f"{topic}/set")["ok"] is True
        assert command(listener, "60")["ok"] is True
        assert_heard_now(heard_of(next_packets(listener, 6, audio["yard"])), 3000, is_judged=True)
        assert listener.of(LIVE)
        assert listener.of(audio["porch"]) == []


def test_a_lease_of_sound_is_refused_with_the_reason(broker: BrokerProcess, run_agent: Run, listen_to: ListenTo):
    broker.start()
    listener = listen_to(broker)
    names = [f"s{number}" for number in range(6)]
    addresses = {name: source(f"rtsp+listen://127.0.0.1:{free_port()}/x", name) for name in names}
    addresses["s5"] += 'models = ["test"]\n'
    agent = run_agent(broker, "", settings=f"{AUDIBLE}[clips.never_with]\nvoice = 0.2\n")
    # another model has the label, and s5 does not run it
    other = f'[models.other]\npath = "{agent.model_folder}"\n[models.other.groups]\nvoice = ["first"]\n'
    agent.write("".join(addresses.values()) + other)
    agent.start()
    listener.wait_state("s5", "connecting")
    topics = [f"{ROOT}/{name}/live/audio/set" for name in names]
    results = [command(listener, "60", topic) for topic in topics]
    assert [result["ok"] for result in results] == [True] * 4 + [False] * 2
    assert "4 other sources are listened to live" in str(results[4]["error"])
    assert str(results[5]["error"]).startswith("no model of s5 has the label 'voice', which clips.never_with forbids")
    # watching is counted for itself
    assert command(listener, "60", f"{ROOT}/s4/live/set")["ok"] is True
    assert command(listener, "1e6", topics[0])["error"] == "live takes seconds, a number from 0 to 60, not '1e6'"
