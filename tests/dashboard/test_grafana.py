"""The committed Grafana dashboard: its queries are valid, ask for metrics that exist, and come from the script."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.programs import require_program

from tools.maintenance import grafana_dashboard

pytest.importorskip("prometheus_client", reason="prometheus_client is not installed: the extra `dashboard` brings it")

from dashboard.test_prometheus import promtool

from edgeaudio.dashboard.metrics import FleetCollector
from edgeaudio.dashboard.service import Dashboard

TABLE: dict[str, Any] = json.loads(grafana_dashboard.FILE.read_text())
QUERIES = [target["expr"] for panel in TABLE["panels"] for target in panel["targets"]]
VARIABLES = [variable["query"] for variable in TABLE["templating"]["list"]]


def test_every_query_asks_for_metrics_that_exist(dashboard: Dashboard) -> None:
    families = list(FleetCollector(dashboard).collect())
    there = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    for query in (*QUERIES, *VARIABLES[1:]):
        named = set(re.findall(r"edgeaudio_[a-z_]+", query))
        assert named, query
        assert named <= there, query


def test_every_query_is_valid(tmp_path: Path) -> None:
    require_program("promtool")
    queries = [re.sub(r"\$(device|source)", ".*", query).replace("$__rate_interval", "5m") for query in QUERIES]
    rules = [{"record": f"edgeaudio:{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "edgeaudio", "rules": rules}]}))  # JSON is YAML
    promtool("check", "rules", str(file))


def test_the_file_is_what_the_script_writes() -> None:
    pytest.importorskip("grafana_foundation_sdk", reason="grafana-foundation-sdk==0.0.21 is not installed")
    assert grafana_dashboard.dashboard() == TABLE
