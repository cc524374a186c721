"""A centre is one device whose shards come and go by themselves: one that is offline makes its own sources deaf."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dashboard.values import NOW_S, PAYLOAD, history_of, onset

from edgeaudio.dashboard.fleet import Device, Fleet
from edgeaudio.dashboard.recorder import RecorderNumbers
from edgeaudio.dashboard.web.values import fleet_json
from edgeaudio.wire.payload_fields import WireError
from edgeaudio.wire.payloads import Availability, Detection, Health, Removed, SourceNumbers, parse

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
ROOT = "edgeaudio/hall/_shard"


def health(shard: int | None, *sources: str, after_s: float = 0.0) -> Health:
    at = AT + timedelta(seconds=after_s)
    numbers = {name: SourceNumbers("listening", None, "", AT, 10.0, 1.0, 0.1) for name in sources}
    return Health("hall", at, "1", AT, 1, 10.0, 50.0, 40.0, 900.0, 2, 20, 3.0, 0, "", numbers, shard=shard)


@pytest.fixture
def fleet() -> Fleet:
    fleet = Fleet()
    for index, names in enumerate([("a", "b"), ("c",)]):
        fleet.update(Availability("hall", online=True, shard=index), NOW_S)
        fleet.update(health(index, *names), NOW_S)
    return fleet


def only(fleet: Fleet) -> Device:
    (device,) = fleet.snapshot().devices
    return device


def test_topics_of_shards_are_read() -> None:
    assert parse("edgeaudio", f"{ROOT}/2/availability", b"online") == Availability("hall", online=True, shard=2)
    assert parse("edgeaudio", f"{ROOT}/2/availability", b"") == Removed("hall", None, 2)
    report = parse("edgeaudio", f"{ROOT}/0/health", b'{"schema_version": 1, "at": "2026-11-20T20:51:15.823Z"}')
    assert isinstance(report, Health)
    assert report.shard == 0
    for topic in (f"{ROOT}/02/availability", f"{ROOT}/1000/health", f"{ROOT}/x/health", f"{ROOT}/1/count"):
        assert parse("edgeaudio", topic, b"online") is None


def test_a_detection_names_the_shard_that_counts_it() -> None:
    topic = "edgeaudio/hall/porch/detection"
    found = parse("edgeaudio", topic, json.dumps({**PAYLOAD, "shard": 3}).encode())
    assert isinstance(found, Detection)
    assert found.counter == "hall/3"
    plain = parse("edgeaudio", topic, json.dumps(PAYLOAD).encode())
    assert isinstance(plain, Detection)
    assert plain.counter == "hall"
    with pytest.raises(WireError, match="shard: is over 999"):
        parse("edgeaudio", topic, json.dumps({**PAYLOAD, "shard": 1000}).encode())


def test_a_centre_is_one_device_with_the_sum_of_its_shards(fleet: Fleet) -> None:
    device = only(fleet)
    assert (device.online, [index for index, _ in device.shards]) == (True, [0, 1])
    assert [(source.name, source.shard) for source in device.sources] == [("a", 0), ("b", 0), ("c", 1)]
    assert device.health is not None
    assert (device.health.outbox_messages, device.health.memory_mb, device.health.disk_free_mb) == (4, 100.0, 900.0)


def test_a_shard_that_is_offline_makes_its_sources_deaf_and_no_other(fleet: Fleet) -> None:
    fleet.update(Availability("hall", online=False, shard=0), NOW_S + 1)
    device = only(fleet)
    assert [device.is_deaf(source) for source in device.sources] == [True, True, False]
    assert device.online is True
    assert not fleet.is_offline("hall")
    fleet.update(Availability("hall", online=False, shard=1), NOW_S + 2)
    assert fleet.is_offline("hall")
    assert only(fleet).offline_since_s == NOW_S + 2


def test_a_source_that_moves_is_taken_over_and_not_dropped_by_its_old_shard(fleet: Fleet) -> None:
    fleet.update(health(1, "b", "c", after_s=1), NOW_S)
    fleet.update(health(0, "a", after_s=2), NOW_S)
    assert [(source.name, source.shard) for source in only(fleet).sources] == [("a", 0), ("b", 1), ("c", 1)]
    fleet.update(health(1, "c", after_s=3), NOW_S)  # taken out of the settings
    assert [source.name for source in only(fleet).sources] == ["a", "c"]


def test_a_shard_that_is_cleared_is_no_more_and_with_the_last_the_device(fleet: Fleet) -> None:
    fleet.update(Removed("hall", None, 1), NOW_S)
    assert [index for index, _ in only(fleet).shards] == [0]
    fleet.update(Removed("hall", None), NOW_S)  # what the device retained before it was a centre
    assert [source.name for source in only(fleet).sources] == ["a", "b", "c"]
    fleet.update(Removed("hall", None, 0), NOW_S)
    assert fleet.snapshot().devices == ()


def test_shards_are_bounded_as_devices_are() -> None:
    fleet = Fleet(max_devices=3)
    for index in range(5):
        fleet.update(Availability("hall", online=True, shard=index), NOW_S)
    assert (len(only(fleet).shards), fleet.snapshot().left_out) == (3, 2)


def test_each_shard_counts_its_detections_by_itself(tmp_path: Path, fleet: Fleet) -> None:
    with history_of(tmp_path / "history.sqlite", keep_s=1e9) as history:
        for number, (shard, seq) in enumerate([(0, 1), (1, 900), (0, 2), (1, 901), (0, 3), (1, 904)]):
            event = replace(onset(f"e{number}"), device="hall", shard=shard, seq=seq, seq_epoch=f"epoch-{shard}")
            history.write([event], NOW_S)
        history.prune(NOW_S)
        sequences = history.sequences()
    assert {name: sequence.missing for name, sequence in sequences.items()} == {"hall/0": 0, "hall/1": 2}
    (device,) = fleet_json(fleet.snapshot(), RecorderNumbers({}, 0, 0, 0, sequences))["devices"]
    assert (device["missing"], [(gap["shard"], gap["first"], gap["last"]) for gap in device["gaps"]]) == (
        2,
        [(1, 902, 903)],
    )
    assert [shard["online"] for shard in device["shards"]] == [True, True]
    assert [(source["shard"], source["offline"]) for source in device["sources"]] == [
        (0, False),
        (0, False),
        (1, False),
    ]
