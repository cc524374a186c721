"""Prometheus's own tools take the metrics and the alerts as they are."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from dashboard.test_metrics import HEALTH, NOW_S, series
from dashboard.values import onset
from support.programs import require_program

from edgeaudio.dashboard.metrics import Metrics
from edgeaudio.dashboard.service import Dashboard
from edgeaudio.dashboard.wire import Availability

ALERTS = Path(__file__).parents[2] / "deploy" / "prometheus"


def test_promtool_finds_nothing_to_say_of_the_text(dashboard: Dashboard) -> None:
    dashboard.recorder.record([onset(label="<img src=x>\N{GREEK SMALL LETTER ALPHA}")], NOW_S, 0.0)
    dashboard.fleet.update(HEALTH, NOW_S)
    assert promtool("check", "metrics", text=Metrics(dashboard).render()) == ""


def test_the_alerts_are_valid_and_fire_when_they_should() -> None:
    promtool("check", "rules", str(ALERTS / "alerts.yml"))
    promtool("test", "rules", str(ALERTS / "alerts_test.yml"))


def test_the_alerts_use_metrics_that_are_there(dashboard: Dashboard) -> None:
    dashboard.fleet.update(HEALTH, NOW_S)
    dashboard.fleet.update(Availability("dock", online=True), NOW_S)
    named = set(re.findall(r"edgeaudio_[a-z_]+", (ALERTS / "alerts.yml").read_text()))
    assert named <= {name for name, _ in series(dashboard)}


def promtool(*arguments: str, text: bytes = b"") -> str:
    command = [require_program("promtool"), *arguments]
    done = subprocess.run(command, input=text, capture_output=True, timeout=60, check=False)
    output = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, output
    return output
