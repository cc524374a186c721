"""The collector's rendered pod, run with a real PostgreSQL: it is ready once it is subscribed, and stops in time."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest
from support.brokers import BrokerProcess, broker
from support.chart_values import COLLECT
from support.charts import rendered
from support.kubelet import Volume, inside, named
from support.loading import is_setting
from support.ports import free_port
from support.waiting import wait_until

from edgeaudio.cli import parser

postgres_server = pytest.importorskip("support.postgres", reason="this checkout has no edgeaudio collect")

ROOT = Path(__file__).parents[2]
ENTRY = ROOT / "deploy" / "balena" / "entry.py"
NAME = "hall-edgeaudio-collect"

__all__ = ["broker"]


def test_its_command_is_one_that_there_is() -> None:
    options = parser().parse_args(rendered(COLLECT).container(NAME)["args"])
    assert (str(options.config), options.group) == ("/etc/edgeaudio/edgeaudio.toml", "edgeaudio-collect")
    assert options.keep_months is None
    assert not options.no_sharing
    alone = rendered({**COLLECT, "collect": {**COLLECT["collect"], "sharing": False}})
    assert "--group" not in alone.container(NAME)["args"]
    assert parser().parse_args(alone.container(NAME)["args"]).no_sharing
    kept = rendered({**COLLECT, "collect": {**COLLECT["collect"], "keepMonths": 12}})
    assert parser().parse_args(kept.container(NAME)["args"]).keep_months == 12


def test_it_is_ready_when_it_is_subscribed_and_stops_in_time(broker: BrokerProcess, tmp_path: Path) -> None:
    broker.start()
    values = {
        "settings": {"mqtt": {"url": f"mqtt://127.0.0.1:{broker.port}"}},
        "collect": {"enabled": True, "databaseSecret": "database"},
    }
    whole = rendered(values)
    pod = whole.one("StatefulSet", NAME)["spec"]["template"]["spec"]
    container = whole.container(NAME)
    port = free_port()
    Volume(tmp_path / "etc/edgeaudio").replace({"edgeaudio.toml": whole.toml("hall-edgeaudio-programs")})
    arguments = [inside(tmp_path, each).replace("0.0.0.0:9465", f"127.0.0.1:{port}") for each in container["args"]]
    variables = {key: value.replace("@/run", f"@{tmp_path}/run") for key, value in whole.variables(NAME).items()}
    others = {key: value for key, value in os.environ.items() if not is_setting(key)}
    probe = container["readinessProbe"]["httpGet"]
    (metrics,) = container["ports"]
    assert (probe["port"], metrics["name"], metrics["containerPort"]) == ("metrics", "metrics", 9465)

    def ready() -> bool:
        with suppress(OSError), closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request("GET", probe["path"])
            return connection.getresponse().status == 200
        return False

    log = tmp_path / "log"
    with postgres_server.running_postgres(*postgres_server.FAST) as server:
        Volume(tmp_path / "run/secrets/edgeaudio/database").replace({"url": server.url()})
        with log.open("wb") as output:
            command = [*named(f"{NAME}-1"), sys.executable, str(ENTRY), *arguments]
            environment = {**others, **variables, "PYTHONPATH": str(ROOT)}
            process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        try:
            wait_until(ready, 60, log.read_text)
            process.send_signal(signal.SIGTERM)
            assert process.wait(pod["terminationGracePeriodSeconds"]) == 0
        finally:
            process.kill()
            process.wait(10)
