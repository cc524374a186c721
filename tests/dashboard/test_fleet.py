from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edgeaudio.dashboard import fleet as module
from edgeaudio.dashboard.fleet import LONG_AGO_S, Fleet
from edgeaudio.wire.payloads import Availability, Health, Removed, SourceNumbers, Status

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW_S = AT.timestamp() + 60


def status(source: str = "porch", state: str = "listening", since: datetime = AT, device: str = "dock") -> Status:
    return Status(device, source, state, None, "", since, "aac", 48_000, 1, None)


def health(*sources: str, at: datetime = AT, state: str = "listening", since: datetime = AT) -> Health:
    numbers = {name: SourceNumbers(state, None, "", since, 10.0, 1.0, 0.1) for name in sources}
    return Health("dock", at, "1", None, 0, 1.0, 50.0, None, None, 0, 0, None, 0, "", numbers)


def only(fleet: Fleet):
    (device,) = fleet.snapshot().devices
    return device


def test_what_comes_is_shown_by_name() -> None:
    fleet = Fleet()
    for name in ("shed", "attic"):
        fleet.update(Availability(name, online=True), NOW_S)
    fleet.update(status("yard", device="shed"), NOW_S)
    fleet.update(status("hall", device="shed"), NOW_S)
    attic, shed = fleet.snapshot().devices
    assert (attic.name, [source.name for source in shed.sources]) == ("attic", ["hall", "yard"])


def test_a_report_leaves_no_more_sources_in_memory_than_the_bound() -> None:
    fleet = Fleet(max_sources=2)
    fleet.update(health("a", "b", "c"), NOW_S)
    assert only(fleet).health.sources == {}
    assert [source.name for source in only(fleet).sources] == ["a", "b"]


def test_a_device_was_seen_when_it_sent_something_and_not_when_the_broker_did() -> None:
    fleet = Fleet()
    fleet.update(health(), NOW_S, retained=True)
    assert only(fleet).seen_s == AT.timestamp()  # retained: when it was made
    fleet.update(Availability("dock", online=False), NOW_S + 5)
    assert only(fleet).seen_s == AT.timestamp()  # a last will
    fleet.update(health(), NOW_S + 9)
    assert only(fleet).seen_s == NOW_S + 9
    fleet.saw("dock", NOW_S + 11)
    assert only(fleet).seen_s == NOW_S + 11


def test_a_device_is_gone_after_it_was_offline_for_long() -> None:
    fleet = Fleet()
    fleet.update(Availability("dock", online=True), NOW_S)
    fleet.update(Availability("dock", online=False), NOW_S + 10)
    fleet.update(Availability("dock", online=False), NOW_S + 90, retained=True)  # the broker repeats it
    device = only(fleet)
    assert not device.is_gone(NOW_S + 300, 300)
    assert device.is_gone(NOW_S + 311, 300)
    fleet.update(Availability("dock", online=True), NOW_S + 400)
    assert not only(fleet).is_gone(NOW_S + 1e6, 300)


def test_a_device_that_was_offline_before_is_gone_at_once() -> None:
    fleet = Fleet()
    fleet.update(Availability("dock", online=False), NOW_S, retained=True)
    assert only(fleet).offline_since_s == LONG_AGO_S
    assert only(fleet).is_gone(NOW_S, 300)


def test_an_outage_that_was_missed_begins_when_it_is_learnt_of() -> None:
    fleet = Fleet()
    fleet.update(Availability("dock", online=True), NOW_S)
    fleet.update(Availability("dock", online=False), NOW_S + 50, retained=True)
    assert only(fleet).offline_since_s == NOW_S + 50


def test_of_status_and_report_the_state_that_began_later_holds() -> None:
    fleet = Fleet()
    fleet.update(status(state="waiting"), NOW_S)
    fleet.update(health("porch", state="listening", since=AT + timedelta(seconds=5)), NOW_S)
    assert only(fleet).sources[0].newest.state == "listening"
    fleet.update(status(state="stalled", since=AT + timedelta(seconds=9)), NOW_S)
    assert only(fleet).sources[0].newest.state == "stalled"


def test_a_source_that_left_the_settings_goes_with_the_next_report() -> None:
    fleet = Fleet()
    fleet.update(status("porch"), NOW_S)
    fleet.update(status("new", since=AT + timedelta(seconds=30)), NOW_S)
    fleet.update(health("hall", at=AT + timedelta(seconds=20)), NOW_S)
    assert [source.name for source in only(fleet).sources] == ["hall", "new"]


def test_a_device_that_only_detects_is_known_within_the_bound() -> None:
    fleet = Fleet(max_devices=1)
    fleet.saw("dock", NOW_S)
    fleet.saw("attic", NOW_S)
    assert (only(fleet).name, only(fleet).online, only(fleet).seen_s) == ("dock", None, NOW_S)
    assert fleet.snapshot().left_out == 1


def test_cleared_topics_remove_source_and_device() -> None:
    fleet = Fleet()
    fleet.update(status("porch"), NOW_S)
    fleet.update(status("hall"), NOW_S)
    fleet.update(Removed("dock", "hall"), NOW_S)
    assert [source.name for source in only(fleet).sources] == ["porch"]
    fleet.update(Removed("dock", None), NOW_S)
    fleet.update(Removed("dock", "porch"), NOW_S)
    assert fleet.snapshot().devices == ()


def test_beyond_the_bounds_messages_are_left_out_and_counted() -> None:
    fleet = Fleet(max_devices=2, max_sources=3)
    for device in ("a", "b", "c"):
        fleet.update(Availability(device, online=True), NOW_S)
    for number in range(5):
        fleet.update(status(f"s{number}", device="a"), NOW_S)
    snapshot = fleet.snapshot()
    assert [device.name for device in snapshot.devices] == ["a", "b"]
    assert [source.name for source in snapshot.devices[0].sources] == ["s0", "s1", "s2"]
    assert snapshot.left_out == 3
    fleet.update(Removed("a", "s0"), NOW_S)
    fleet.update(status("s4", device="a"), NOW_S)
    assert [source.name for source in fleet.snapshot().devices[0].sources] == ["s1", "s2", "s4"]


def test_a_device_with_endless_sources_leaves_room_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OF_DEVICE", 2)
    fleet = Fleet(max_sources=4)
    fleet.update(health("a", "b", "c", "d", "e"), NOW_S)
    fleet.update(status("porch", device="attic"), NOW_S)
    attic, dock = fleet.snapshot().devices
    assert [source.name for source in attic.sources] == ["porch"]
    assert [source.name for source in dock.sources] == ["a", "b"]
    assert fleet.snapshot().left_out == 3


def test_the_hash_of_a_model_is_that_of_the_last_report() -> None:
    fleet = Fleet()
    assert fleet.model_sha256("dock", "home") is None
    for sha256 in ("aa", "bb"):
        fleet.update(replace(health(), models={"home": sha256}), NOW_S)
    assert fleet.model_sha256("dock", "home") == "bb"
    assert fleet.model_sha256("dock", "alarms") is None
    assert fleet.model_sha256("shed", "home") is None
