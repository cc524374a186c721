"""Prometheus's own tools take the metrics and the alerts as they are."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest
from dashboard.test_docs_dashboard import ROWS
from dashboard.test_metrics import HEALTH, NOW_S, series
from dashboard.test_with_broker import dog
from dashboard.values import onset
from support.brokers import BrokerProcess, Subscriber
from support.dashboards import RunningDashboard
from support.ports import free_port
from support.programs import require_program
from support.waiting import wait_until
from test_contracts import PAYLOADS

from edgeaudio.dashboard.metrics import Metrics
from edgeaudio.dashboard.service import Dashboard
from edgeaudio.wire.payloads import Availability

ALERTS = Path(__file__).parents[2] / "deploy" / "prometheus"
# what each number of a health report becomes in the unit of its metric
UNITS = {
    "edgeaudio_device_start_timestamp_seconds": 1.0,
    "edgeaudio_device_restarts_total": 1.0,
    "edgeaudio_device_cpu_ratio": 0.01,
    "edgeaudio_device_memory_bytes": 1e6,
    "edgeaudio_device_temperature_celsius": 1.0,
    "edgeaudio_device_disk_free_bytes": 1e6,
    "edgeaudio_outbox_messages": 1.0,
    "edgeaudio_outbox_bytes": 1.0,
    "edgeaudio_outbox_oldest_seconds": 1.0,
    "edgeaudio_outbox_dropped_total": 1.0,
    "edgeaudio_source_state_since_timestamp_seconds": 1.0,
    "edgeaudio_source_heard_seconds_total": 1.0,
    "edgeaudio_source_lost_seconds_total": 1.0,
    "edgeaudio_source_lag_seconds": 1.0,
    "edgeaudio_source_snoozed_labels": 1.0,
    "edgeaudio_source_withheld_total": 1.0,
}


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


def test_a_real_prometheus_takes_every_series_of_a_real_dashboard_and_sees_them_move(
    broker: BrokerProcess, run_dashboard: Callable[..., RunningDashboard], tmp_path: Path
) -> None:
    page = run_dashboard(broker.start()).start().wait_subscribed()
    with prometheus(tmp_path, page.port) as values, Subscriber(broker.port, "nothing") as client:
        wait_until(lambda: values("up") == {"up": 1}, 30)
        for topic in ("edgeaudio/dock", "edgeaudio/hall/_shard/0"):
            client.publish(f"{topic}/availability", "online", retain=True)
        client.publish("edgeaudio/hall/_shard/0/health", report(1))
        client.publish("edgeaudio/dock/porch/detection", json.dumps(dog(1, label='<b>"\\\N{BELL}')))
        for number in (2, 5):
            client.publish("edgeaudio/dock/health", report(number), retain=True)
            client.publish("edgeaudio/dock/porch/detection", json.dumps(dog(number)))
            client.publish("edgeaudio/dock/health", "{")
            wait_until(partial(are_seen, values, {name: number * unit for name, unit in UNITS.items()}), 20)
        expected = {
            'edgeaudio_detections_total{label=~"<b>.*"}': 1,
            'edgeaudio_detections_total{label="dog"}': 2,
            'edgeaudio_detections_missing{device="dock"}': 2,
            'edgeaudio_dashboard_refused_messages_total{topic="health"}': 2,
            'edgeaudio_device_up{device="dock"}': 1,
        }
        wait_until(lambda: all([*values(query).values()] == [value] for query, value in expected.items()), 20)
        wait_until(lambda: values('{__name__=~"edgeaudio_.+"}').keys() == {name for name, _ in ROWS}, 20)
        client.publish("edgeaudio/dock/availability", "offline", retain=True)
        # the alert waits two minutes before it fires
        wait_until(lambda: values('ALERTS{alertname="EdgeaudioDeviceGone",device="dock"}') == {"ALERTS": 1}, 20)


def are_seen(values: Callable[[str], dict[str, float]], wanted: dict[str, float]) -> bool:
    """True if Prometheus has these series of the device, with these values."""
    found = values('{device="dock"}')
    return {name: found.get(name) for name in wanted} == pytest.approx(wanted)


@contextmanager
def prometheus(folder: Path, scraped_port: int) -> Iterator[Callable[[str], dict[str, float]]]:
    """Run a Prometheus that scrapes every second; yields what asks it for the newest values of a query by name."""
    port = free_port()
    config = folder / "prometheus.yml"
    config.write_text(
        f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{ALERTS / 'alerts.yml'}]\n"
        f"scrape_configs: [{{job_name: edgeaudio, static_configs: [{{targets: ['127.0.0.1:{scraped_port}']}}]}}]\n"
    )
    command = [require_program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    with (folder / "prometheus.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=subprocess.STDOUT
        )

    def values(query: str) -> dict[str, float]:
        try:
            with urlopen(f"http://127.0.0.1:{port}/api/v1/query?query={quote(query)}", timeout=5) as answer:
                found = json.load(answer)["data"]["result"]
        except OSError:
            return {}
        return {series["metric"].get("__name__", ""): float(series["value"][1]) for series in found}

    try:
        yield values
    finally:
        server.terminate()
        server.wait(20)


def report(number: int) -> str:
    """Return a health report with this number wherever a metric is made of one."""
    whole: dict[str, Any] = json.loads(PAYLOADS["health"].payload)
    moment = f"1970-01-01T00:00:{number:02}Z"
    whole |= dict.fromkeys(("restarts", "cpu_percent", "memory_mb", "temperature_c", "disk_free_mb"), number)
    whole["outbox"] |= dict.fromkeys(("depth", "bytes", "oldest_s", "dropped"), number)
    whole["sources"]["porch"] |= dict.fromkeys(("heard_s", "lost_s", "lag_s"), number) | {
        "since": moment,
        "snoozed": dict.fromkeys("abcdefgh"[:number], moment),
        "withheld": {"snooze": number},
    }
    return json.dumps(whole | {"started_at": moment})


def promtool(*arguments: str, text: bytes = b"") -> str:
    command = [require_program("promtool"), *arguments]
    done = subprocess.run(command, input=text, capture_output=True, timeout=60, check=False)
    output = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, output
    return output
