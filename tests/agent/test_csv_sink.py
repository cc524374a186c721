"""examples/csv_sink.py with an agent, a broker, a recording, and a folder that is deleted and made again."""

from __future__ import annotations

import csv
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.agents import LABEL, Listener, RunningAgent
from support.brokers import BrokerProcess
from support.media import sine, write_media
from support.waiting import wait_until

SCRIPT = Path(__file__).parents[2] / "examples" / "csv_sink.py"


def rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_csv_sink_writes_again_after_its_folder_was_deleted(
    broker: BrokerProcess,
    run_agent: Callable[..., RunningAgent],
    listen_to: Callable[[BrokerProcess], Listener],
    tmp_path: Path,
):
    broker.start()
    listener = listen_to(broker)
    tape = tmp_path / "tape.wav"
    write_media(tape, "pcm_s16le", sine(1000.0, 8000, 4.0), 8000)
    path = tmp_path / "usb" / "detections.csv"
    path.parent.mkdir()
    sources = f'[sources.porch]\nurl = "{tape}"\n'
    agent = run_agent(broker, sources)
    with agent.log_file.open("ab") as log:
        agent.process = subprocess.Popen(
            [sys.executable, SCRIPT, agent.config, path], env=agent.environment, stdout=log, stderr=log
        )

    def hear_another(name: str) -> None:
        nonlocal sources
        sources += f'[sources.{name}]\nurl = "{tape}"\n'
        agent.write(sources)
        agent.signal(signal.SIGHUP)

    def in_health() -> dict[str, Any]:
        reports = listener.payloads("/health")
        return reports[-1].get("sinks", {}).get("csv", {}) if reports else {}

    try:
        wait_until(lambda: len(rows(path)) == 2, 20, "it wrote no two rows")
        told = [listener.wait_detection(kind) for kind in ("onset", "offset")]
        keys = ("time", "source", "label", "kind")
        assert [tuple(row[key] for key in keys) for row in rows(path)] == [
            (event["at"], "porch", LABEL, event["kind"]) for event in told
        ]
        assert [float(row["score"]) for row in rows(path)] == [round(event["score"], 3) for event in told]
        assert [float(row["duration_s"]) for row in rows(path)] == [round(event["duration_s"], 3) for event in told]
        wait_until(lambda: in_health().get("state") == "running")

        shutil.rmtree(path.parent)
        hear_another("garden")
        listener.wait_detection("onset", count=2)  # MQTT is not affected
        wait_until(lambda: in_health().get("state") == "failed", 20)
        assert str(path) in in_health()["detail"]
        listener.wait_detection("offset", count=2)

        path.parent.mkdir()
        wait_until(lambda: in_health().get("state") == "running", 20)
        hear_another("cellar")
        wait_until(lambda: [row["source"] for row in rows(path)] == ["cellar", "cellar"], 20)
        agent.signal(signal.SIGTERM)
        assert agent.wait() == 0
        assert "sink csv is disabled" in agent.log
    finally:
        # the provoked failures are logged with tracebacks
        agent.log_file.write_text(agent.log.replace("Traceback", "traceback"))


def test_wrong_settings_are_one_line(tmp_path: Path):
    settings = tmp_path / "edgeaudio.toml"
    settings.write_text("[mqtt]\nurl = 3\n")
    ended = subprocess.run(
        [sys.executable, SCRIPT, settings, tmp_path / "detections.csv"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert ended.stderr.startswith("csv_sink: ")
