"""Prometheus's own tools take the metrics and the alerts as they are."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

from dashboard.test_metrics import HEALTH, NOW_S, series
from dashboard.test_with_broker import dog
from dashboard.values import onset
from support.brokers import BrokerProcess, Subscriber
from support.dashboards import RunningDashboard
from support.ports import free_port
from support.programs import require_program
from support.waiting import wait_until

from edgeaudio.dashboard.metrics import Metrics
from edgeaudio.dashboard.service import Dashboard
from edgeaudio.wire.payloads import Availability

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


def test_a_real_prometheus_takes_the_series_of_a_real_dashboard(
    broker: BrokerProcess, run_dashboard: Callable[..., RunningDashboard], tmp_path: Path
) -> None:
    page = run_dashboard(broker.start()).start().wait_subscribed()
    port = free_port()
    config = tmp_path / "prometheus.yml"
    config.write_text(
        f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{ALERTS / 'alerts.yml'}]\n"
        f"scrape_configs: [{{job_name: edgeaudio, static_configs: [{{targets: ['127.0.0.1:{page.port}']}}]}}]\n"
    )
    command = [require_program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'tsdb'}"]
    with (tmp_path / "prometheus.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=subprocess.STDOUT
        )

    def value(query: str) -> str | None:
        try:
            with urlopen(f"http://127.0.0.1:{port}/api/v1/query?query={quote(query)}", timeout=5) as answer:
                found = json.load(answer)["data"]["result"]
        except OSError:
            return None
        return found[0]["value"][1] if found else None

    try:
        wait_until(lambda: value("up") == "1", 30)
        with Subscriber(broker.port, "nothing") as client:
            client.publish("edgeaudio/dock/availability", "online", retain=True)
            client.publish("edgeaudio/dock/porch/detection", json.dumps(dog(1, label='<b>"\\\N{BELL}')))
            wait_until(lambda: value("sum(edgeaudio_device_up)") == "1", 20)
            wait_until(lambda: value('edgeaudio_detections_total{label=~"<b>.*"}') == "1", 20)
            client.publish("edgeaudio/dock/availability", "offline", retain=True)
        # the alert waits two minutes before it fires
        wait_until(lambda: value('ALERTS{alertname="EdgeaudioDeviceGone",device="dock"}') == "1", 20)
    finally:
        server.terminate()
        server.wait(20)


def promtool(*arguments: str, text: bytes = b"") -> str:
    command = [require_program("promtool"), *arguments]
    done = subprocess.run(command, input=text, capture_output=True, timeout=60, check=False)
    output = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, output
    return output
