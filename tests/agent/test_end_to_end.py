"""The agent as a process: real streams in, a real broker out."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.agents import LABEL, Listener, RunningAgent
from support.brokers import BrokerProcess
from support.ports import free_port
from support.programs import with_mounts
from support.rtsp import CODECS, VIDEO, push_rtsp, start_gst_server
from support.waiting import wait_until

Run = Callable[..., RunningAgent]
ListenTo = Callable[[BrokerProcess], Listener]


def pushed(port: int, name: str = "porch") -> str:
    return f'[sources.{name}]\nurl = "rtsp+listen://127.0.0.1:{port}/x"\n'


def test_a_pushed_stream_is_detected_and_published(any_broker: BrokerProcess, run_agent: Run, listen_to: ListenTo):
    any_broker.start()
    listener = listen_to(any_broker)
    port = free_port()
    agent = run_agent(any_broker, pushed(port)).start()
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
        status = listener.wait_state("porch", "listening")
        onset = listener.wait_detection("onset")
        wait_until(lambda: b"ON" in listener.of(f"edgeaudio/testbox/porch/label/{LABEL}"), what="no ON")
    offset = listener.wait_detection("offset")
    assert (status["codec"], status["sample_rate"], status["channels"]) == ("pcm_alaw", 8000, 1)
    assert onset | {"kind": 0, "at": 0, "at_error_s": 0, "score": 0, "duration_s": 0} == {
        "schema_version": 1,
        "id": offset["id"],
        "kind": 0,
        "label": LABEL,
        "score": 0,
        "at": 0,
        "at_error_s": 0,
        "duration_s": 0,
        "model": "test",
        "source": "porch",
        "device": "testbox",
        "seq": 1,
        "seq_epoch": offset["seq_epoch"],
    }
    assert offset["seq"] == 2
    assert 0.65 <= onset["score"] <= 1
    assert 0 < onset["at_error_s"] < 1
    assert abs((datetime.fromisoformat(onset["at"]) - datetime.now(UTC)).total_seconds()) < 30
    assert offset["duration_s"] > onset["duration_s"]
    listener.wait_state("porch", "waiting", "end_of_stream")
    wait_until(lambda: listener.of(f"edgeaudio/testbox/porch/label/{LABEL}")[-1:] == [b"OFF"], what="no OFF")
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    wait_until(lambda: listener.of("edgeaudio/testbox/availability")[-1:] == [b"offline"], what="no offline")


# each codec once; tests/capture has each with pictures
@pytest.mark.parametrize(
    ("codec", "video"),
    [
        ("pcm_alaw", False),
        ("pcm_s16be", False),
        ("opus", False),
        ("aac", True),
        pytest.param("pcm_alaw", True, marks=pytest.mark.slow),
        pytest.param("pcm_s16be", True, marks=pytest.mark.slow),
        pytest.param("opus", True, marks=pytest.mark.slow),
        pytest.param("aac", False, marks=pytest.mark.slow),
    ],
)
def test_an_alarm_at_a_camera_is_detected(
    codec: str, video: bool, broker: BrokerProcess, run_agent: Run, listen_to: ListenTo
):
    broker.start()
    listener = listen_to(broker)
    rate, pipeline = CODECS[codec]
    with start_gst_server(f"( {pipeline} {VIDEO if video else ''} )") as server:
        run_agent(broker, f'[sources.porch]\nurl = "{server.url}"\n').start()
        status = listener.wait_state("porch", "listening")
        onset = listener.wait_detection("onset")
    assert (status["codec"], status["sample_rate"]) == (codec, rate)
    assert onset["label"] == LABEL


def test_a_bad_source_never_stops_a_good_one(any_broker: BrokerProcess, run_agent: Run, listen_to: ListenTo):
    any_broker.start()
    listener = listen_to(any_broker)
    port, nobody = free_port(), free_port()
    sources = pushed(port) + f'[sources.dead]\nurl = "rtsp://user:hunter2@127.0.0.1:{nobody}/x"\n'
    agent = run_agent(any_broker, sources).start()
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
        status = listener.wait_state("dead", "waiting", "refused")
        listener.wait_detection("onset")
        assert agent.process is not None
        processes = agent.command_lines
        assert "edgeaudio" in processes
    assert status["next_try"] > status["since"]
    said = agent.log + processes + "".join(message.payload.decode() for message in listener.heard)
    assert "hunter2" not in said
    assert "user:***@" in agent.log


def test_sigterm_ends_within_2_s_with_everything_committed(broker: BrokerProcess, run_agent: Run, listen_to: ListenTo):
    broker.start()
    listener = listen_to(broker)
    port = free_port()
    agent = run_agent(broker, pushed(port)).start()
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
        onset = listener.wait_detection("onset")
        began_s = time.monotonic()
        agent.signal(signal.SIGTERM)
        assert agent.wait() == 0
        took_s = time.monotonic() - began_s
    assert took_s < 2.0
    assert listener.wait_detection("offset")["id"] == onset["id"]
    wait_until(lambda: listener.of("edgeaudio/testbox/availability")[-1:] == [b"offline"], what="no offline")


def test_a_killed_agent_ends_its_events_at_the_next_start(broker: BrokerProcess, run_agent: Run, listen_to: ListenTo):
    broker.start()
    listener = listen_to(broker)
    port = free_port()
    agent = run_agent(broker, pushed(port)).start()
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
        onset = listener.wait_detection("onset")
        agent.kill()
    wait_until(lambda: listener.of("edgeaudio/testbox/availability")[-1:] == [b"offline"], what="the will did not come")
    agent.start()
    offset = listener.wait_detection("offset")
    assert offset["id"] == onset["id"]
    wait_until(lambda: [h for h in listener.payloads("/health") if h["restarts"] == 1], what="no restart was counted")
    # if the kill came before the acknowledgement, the same onset is sent again
    assert {(event["id"], event["kind"]) for event in listener.detections()} == {
        (onset["id"], "onset"),
        (onset["id"], "offset"),
    }


def test_health_has_every_part(broker: BrokerProcess, run_agent: Run, listen_to: ListenTo):
    broker.start()
    listener = listen_to(broker)
    port = free_port()
    run_agent(broker, pushed(port)).start()
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
        wait_until(
            lambda: any(
                health["sources"]["porch"]["heard_s"] > 3 and health["models"]["test"]["p50_ms"]
                for health in listener.payloads("/health")
            ),
            20,
            "nothing heard",
        )
    health = listener.payloads("/health")[-1]
    source = health["sources"]["porch"]
    assert abs(source["heard_s"] + source["lost_s"] - health["uptime_s"]) < 2
    assert health["outbox"]["depth"] == 0
    assert health["outbox"]["trouble"] is None
    assert health["broker"]["state"] == "connected"
    assert len(health["models"]["test"]["sha256"]) == 64
    # 100 MB as the kernel counts them (VmRSS of 102,400 kB). That includes what is mapped of the libraries, and those
    # that Python 3.12 and later get (PyAV 19, NumPy 2.5) map more: 102 to 109 MB were seen, 42 of them the agent's own
    assert 20 < health["memory_mb"] < (104.8 if sys.version_info < (3, 12) else 120)
    assert health["restarts"] == 0


def test_the_agent_writes_in_its_state_directory_alone(
    broker: BrokerProcess, run_agent: Run, listen_to: ListenTo, tmp_path: Path
):
    broker.start()
    listener = listen_to(broker)
    port = free_port()
    agent = run_agent(broker, pushed(port))
    state = tmp_path / "state"
    state.mkdir()
    # everything is read-only, except the state directory, a mount of its own
    lock = f"mount --bind {state} {state}; mount -o remount,bind,ro /; ! touch {tmp_path}/x 2>/dev/null"
    agent.start(prefix=with_mounts(lock))
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"):
        listener.wait_detection("onset")
    assert [path.name for path in state.iterdir()]
