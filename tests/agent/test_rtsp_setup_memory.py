"""The RTSP set-up learned from a camera is published over MQTT, and remembered over a restart."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.agents import Listener, RunningAgent
from support.brokers import BrokerProcess
from support.camera import Script, camera
from support.waiting import wait_until

Run = Callable[..., RunningAgent]
ListenTo = Callable[[BrokerProcess], Listener]


@pytest.mark.parametrize("way_out", [signal.SIGTERM, signal.SIGKILL])
def test_a_camera_that_refused_audio_alone_is_not_asked_again_after_a_restart(
    way_out: signal.Signals, broker: BrokerProcess, run_agent: Run, listen_to: ListenTo, tmp_path: Path
) -> None:
    script = Script(video=True, refuse_audio_alone="500 Internal Server Error")
    broker.start()
    listener = listen_to(broker)
    with camera(script) as url:
        agent = run_agent(broker, f'[sources.porch]\nurl = "{url.replace("://", "://me:hunter2@")}"\n')
        agent.start()
        status = listener.wait_state("porch", "listening")
        assert (status["media"], status["transport"]) == ("all", "tcp")
        agent.signal(way_out)
        agent.wait()
        with closing(sqlite3.connect(tmp_path / "state" / "outbox.sqlite")) as outbox:
            kept = dict(outbox.execute("SELECT key, value FROM settings").fetchall())
        assert kept["asking.porch"].startswith("all tcp 20")
        assert "hunter2" not in str(kept)
        script.seen.clear()
        agent.start()
        wait_until(lambda: "PLAY " in script.seen, 20)
        assert script.seen.index("SETUP video") < script.seen.index("PLAY ")
