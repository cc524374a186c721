"""Every metric moves with what it measures; the text is what Prometheus takes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from operator import add

import pytest
from dashboard.values import onset

pytest.importorskip("prometheus_client", reason="prometheus_client is not installed: the extra `dashboard` brings it")

from prometheus_client.parser import text_string_to_metric_families

from edgeaudio.dashboard.metrics import FleetCollector, Metrics
from edgeaudio.dashboard.service import Dashboard
from edgeaudio.sinks.mqtt.events import Received
from edgeaudio.wire.payloads import Availability, Health, Removed, SourceNumbers, Status

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW_S = AT.timestamp()
NUMBERS = SourceNumbers("listening", None, "", AT, 100.5, 2.5, 0.25)
HEALTH = Health("dock", AT, "0.1", AT, 3, 12.0, 50.0, 41.5, 900.0, 7, 2048, 65.0, 4, "", {"porch": NUMBERS})
Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def series(dashboard: Dashboard) -> Series:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(Metrics(dashboard).render().decode())
        for sample in family.samples
    }


def of(dashboard: Dashboard, name: str, **labels: str) -> float | None:
    return series(dashboard).get((name, tuple(sorted(labels.items()))))


def test_every_number_of_a_report_is_a_series(dashboard: Dashboard) -> None:
    dashboard.fleet.update(Availability("dock", online=True), NOW_S)
    dashboard.fleet.update(HEALTH, NOW_S)
    found = series(dashboard)
    device = {name: value for (name, labels), value in found.items() if labels == (("device", "dock"),)}
    assert device == {
        "edgeaudio_device_up": 1,
        "edgeaudio_device_last_seen_timestamp_seconds": NOW_S,
        "edgeaudio_device_start_timestamp_seconds": NOW_S,
        "edgeaudio_device_restarts_total": 3,
        "edgeaudio_device_cpu_ratio": 0.12,
        "edgeaudio_device_memory_bytes": 50e6,
        "edgeaudio_device_temperature_celsius": 41.5,
        "edgeaudio_device_disk_free_bytes": 900e6,
        "edgeaudio_outbox_messages": 7,
        "edgeaudio_outbox_bytes": 2048,
        "edgeaudio_outbox_oldest_seconds": 65,
        "edgeaudio_outbox_dropped_total": 4,
    }
    source = {
        name: value for (name, labels), value in found.items() if labels == (("device", "dock"), ("source", "porch"))
    }
    assert source == {
        "edgeaudio_source_state_since_timestamp_seconds": NOW_S,
        "edgeaudio_source_heard_seconds_total": 100.5,
        "edgeaudio_source_lost_seconds_total": 2.5,
        "edgeaudio_source_lag_seconds": 0.25,
    }
    assert of(dashboard, "edgeaudio_device_info", device="dock", version="0.1") == 1


def test_snoozes_and_what_they_withhold_have_series_where_there_are_any(dashboard: Dashboard) -> None:
    for snoozed, withheld in ((2, 5), (0, 7), (0, 0)):
        numbers = replace(NUMBERS, snoozed=snoozed, withheld=withheld)
        dashboard.fleet.update(replace(HEALTH, sources={"porch": numbers}), NOW_S)
        names = ("edgeaudio_source_snoozed_labels", "edgeaudio_source_withheld_total")
        found = [of(dashboard, name, device="dock", source="porch") for name in names]
        assert found == [snoozed or None, withheld or None]


def test_the_state_is_one_series_and_moves(dashboard: Dashboard) -> None:
    for state, reason in (("waiting", "refused"), ("listening", None)):
        dashboard.fleet.update(Status("dock", "porch", state, reason, "", AT, "", None, None, None), NOW_S)
        labels = [dict(labels) for (name, labels) in series(dashboard) if name == "edgeaudio_source_state"]
        assert labels == [{"device": "dock", "source": "porch", "state": state, "reason": reason or ""}]


def test_detections_count_by_label_and_gaps_by_device(dashboard: Dashboard) -> None:
    dashboard.fleet.saw("dock", NOW_S)
    dashboard.recorder.record([onset(), onset("e2", seq=4), onset("e3", label='a"b\\c', seq=5)], NOW_S, 0.0)
    assert of(dashboard, "edgeaudio_detections_total", device="dock", source="porch", label="dog") == 2
    assert of(dashboard, "edgeaudio_detections_total", device="dock", source="porch", label='a"b\\c') == 1
    assert of(dashboard, "edgeaudio_detections_missing", device="dock") == 2


def test_refused_messages_count_by_kind(dashboard: Dashboard) -> None:
    dashboard._take_state([Received("edgeaudio/dock/health", b"{"), Received("edgeaudio/dock/porch/status", b"[]")])
    dashboard._take_detections([Received("edgeaudio/dock/porch/detection", b"7")] * 2)
    for topic, count in {"health": 1, "status": 1, "detection": 2, "availability": 0}.items():
        assert of(dashboard, "edgeaudio_dashboard_refused_messages_total", topic=topic) == count


def test_without_a_connection_the_broker_is_not_up(dashboard: Dashboard) -> None:
    assert of(dashboard, "edgeaudio_broker_up", subscription="detections") == 0
    assert of(dashboard, "edgeaudio_broker_up", subscription="state") == 0


def test_a_device_offline_for_five_minutes_has_no_series(dashboard: Dashboard) -> None:
    dashboard.recorder.record([onset()], NOW_S, 0.0)
    dashboard.fleet.update(HEALTH, NOW_S)
    dashboard.fleet.update(Availability("dock", online=True), NOW_S)
    dashboard.fleet.update(Availability("dock", online=False), NOW_S)
    for later_s, there in ((299.0, True), (301.0, False)):
        families = list(FleetCollector(dashboard, clock=partial(add, NOW_S, later_s)).collect())
        devices = {sample.labels.get("device") for family in families for sample in family.samples}
        assert ("dock" in devices) is there
    (up,) = [f for f in FleetCollector(dashboard, clock=lambda: NOW_S).collect() if f.name == "edgeaudio_device_up"]
    assert up.samples[0].value == 0


def test_the_sources_of_a_shard_offline_for_five_minutes_have_no_series_and_the_shard_has(dashboard: Dashboard) -> None:
    for index, name in enumerate(("porch", "yard")):
        dashboard.fleet.update(replace(HEALTH, shard=index, sources={name: NUMBERS}), NOW_S)
        dashboard.fleet.update(Availability("dock", online=True, shard=index), NOW_S)
    dashboard.fleet.update(Availability("dock", online=False, shard=1), NOW_S)
    for later_s, there in ((299.0, {"porch", "yard"}), (301.0, {"porch"})):
        families = list(FleetCollector(dashboard, clock=partial(add, NOW_S, later_s)).collect())
        (states,) = [family for family in families if family.name == "edgeaudio_source_state"]
        assert {sample.labels["source"] for sample in states.samples} == there
        (up,) = [family for family in families if family.name == "edgeaudio_shard_up"]
        assert [sample.value for sample in up.samples] == [1, 0]


def test_a_device_that_is_no_more_has_no_series(dashboard: Dashboard) -> None:
    dashboard.recorder.record([onset()], NOW_S, 0.0)  # of an earlier run, and of this one
    dashboard.fleet.update(Availability("dock", online=True), NOW_S)
    assert of(dashboard, "edgeaudio_detections_missing", device="dock") == 0
    dashboard.fleet.update(Removed("dock", None), NOW_S)
    assert not [labels for _, labels in series(dashboard) if ("device", "dock") in labels]


def test_series_beyond_the_limit_are_left_out_and_counted(dashboard: Dashboard) -> None:
    for n in range(50):
        dashboard.fleet.update(replace(HEALTH, device=f"d{n}"), NOW_S)
    whole = list(FleetCollector(dashboard, clock=lambda: NOW_S).collect())
    cut = list(FleetCollector(dashboard, max_series=100, clock=lambda: NOW_S).collect())
    total = sum(len(family.samples) for family in whole)
    assert sum(len(family.samples) for family in cut) == 101
    assert cut[-1].name == "edgeaudio_dashboard_series_left_out"
    assert cut[-1].samples[0].value == total - 101
