"""Writes deploy/grafana/edgeaudio.json, a Grafana dashboard of the metrics of `edgeaudio dashboard`.

    pip install grafana-foundation-sdk==0.0.21
    python -m tools.maintenance.grafana_dashboard

Owns: which panels there are, and their queries. The names of the metrics are those of edgeaudio/dashboard/metrics.py.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = Path(__file__).parents[2] / "deploy" / "grafana" / "edgeaudio.json"
_DEVICE = 'device=~"$device"'
_SOURCE = f'{_DEVICE}, source=~"$source"'
# as the alert EdgeaudioSourceDeaf has it
_DEAF = (
    f'edgeaudio_source_state{{{_SOURCE}, state=~"connecting|waiting|stalled|failed|quarantined"}} or '
    f'edgeaudio_source_state{{{_SOURCE}, state="silent", reason=~"digital_silence|channels_cancel"}}'
)


@dataclass(frozen=True)
class Number:
    """One value of now; `bad_from`: from which on it is red."""

    title: str
    query: str
    bad_from: float


@dataclass(frozen=True)
class Curves:
    """Values over time; units are those of Grafana."""

    title: str
    query: str
    legend: str
    unit: str = "short"


NUMBERS = (
    Number("Devices offline", f"count(edgeaudio_device_up{{{_DEVICE}}} == 0) or vector(0)", 1),
    Number("Sources that hear nothing", f"count({_DEAF}) or vector(0)", 1),
    Number("Detections that did not arrive", f"sum(edgeaudio_detections_missing{{{_DEVICE}}})", 1),
    Number("Subscriptions that are not granted", "count(edgeaudio_broker_up == 0) or vector(0)", 1),
)
CURVES = (
    Curves("Sounds an hour", f"sum by (label) (increase(edgeaudio_detections_total{{{_SOURCE}}}[1h]))", "{{label}}"),
    Curves(
        "Sound lost",
        f"rate(edgeaudio_source_lost_seconds_total{{{_SOURCE}}}[$__rate_interval])",
        "{{device}}: {{source}}",
        "percentunit",
    ),
    Curves("Lag", f"edgeaudio_source_lag_seconds{{{_SOURCE}}}", "{{device}}: {{source}}", "s"),
    Curves("States of the sources", f"count by (state) (edgeaudio_source_state{{{_SOURCE}}})", "{{state}}"),
    Curves("Detections that wait on devices", f"edgeaudio_outbox_messages{{{_DEVICE}}}", "{{device}}"),
    Curves("Age of the oldest of them", f"edgeaudio_outbox_oldest_seconds{{{_DEVICE}}}", "{{device}}", "s"),
    Curves("CPU of the agents", f"edgeaudio_device_cpu_ratio{{{_DEVICE}}}", "{{device}}", "percentunit"),
    Curves("Memory of the agents", f"edgeaudio_device_memory_bytes{{{_DEVICE}}}", "{{device}}", "bytes"),
    Curves("Temperature", f"edgeaudio_device_temperature_celsius{{{_DEVICE}}}", "{{device}}", "celsius"),
    Curves("Disk left", f"edgeaudio_device_disk_free_bytes{{{_DEVICE}}}", "{{device}}", "bytes"),
)


def dashboard() -> Mapping[str, Any]:
    """Return the dashboard as Grafana imports it. Raises ImportError without grafana-foundation-sdk."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the newer layout is not known to older Grafana
        from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries  # noqa: PLC0415
    from grafana_foundation_sdk.cog.encoder import JSONEncoder  # noqa: PLC0415
    from grafana_foundation_sdk.models.common import BigValueColorMode, DataSourceRef  # noqa: PLC0415
    from grafana_foundation_sdk.models.dashboard import Threshold, ThresholdsMode  # noqa: PLC0415

    source = DataSourceRef("prometheus", "${datasource}")
    made = (
        dashboard.Dashboard("edgeaudio")
        .uid("edgeaudio")
        .tags(["edgeaudio"])
        .time("now-24h", "now")
        .refresh("1m")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    for name, query in (
        ("device", "label_values(edgeaudio_device_last_seen_timestamp_seconds, device)"),
        ("source", f"label_values(edgeaudio_source_state{{{_DEVICE}}}, source)"),
    ):
        variable = dashboard.QueryVariable(name).label(name.capitalize()).datasource(source).query(query)
        made.with_variable(variable.multi(True).include_all(True).all_value(".*"))  # noqa: FBT003 (of the library)
    for number in NUMBERS:
        steps = [Threshold(value=None, color="green"), Threshold(value=number.bad_from, color="red")]
        made.with_panel(
            stat.Panel()
            .title(number.title)
            .datasource(source)
            .height(4)
            .span(6)
            .color_mode(BigValueColorMode.VALUE)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
            .thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
            .with_target(prometheus.Dataquery().expr(number.query).instant())
        )
    for curves in CURVES:
        made.with_panel(
            timeseries.Panel()
            .title(curves.title)
            .datasource(source)
            .unit(curves.unit)
            .height(8)
            .span(12)
            .with_target(prometheus.Dataquery().expr(curves.query).legend_format(curves.legend))
        )
    table: Mapping[str, Any] = json.loads(json.dumps(made.build(), cls=JSONEncoder))
    return table


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(dashboard(), indent=2) + "\n")
