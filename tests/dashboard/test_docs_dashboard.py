"""docs/dashboard.md says what the code does."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from dashboard.test_metrics import HEALTH, NOW_S, series
from dashboard.test_reviews import judged
from dashboard.values import onset
from support.dashboards import own_history

from edgeaudio.dashboard import (
    commands,
    control_feed,
    control_wire,
    controls,
    database,
    fleet,
    history,
    live_feed,
    metrics,
    missed,
    recorder,
    reviews,
    service,
    training_set,
    viewers,
)
from edgeaudio.dashboard.advice import advice_for
from edgeaudio.dashboard.media import archive, decoder, wav_copy
from edgeaudio.dashboard.media import wire as media_wire
from edgeaudio.dashboard.service import Dashboard
from edgeaudio.sinks.live import leases, sink
from edgeaudio.types import Reason
from edgeaudio.wire import payloads
from edgeaudio.wire.payloads import Availability

TEXT = (Path(__file__).parents[2] / "docs" / "dashboard.md").read_text()
ROWS = re.findall(r"^\| `(edgeaudio_\w+)` \|([^|]*)\|", TEXT, re.MULTILINE)


def test_every_metric_is_documented_with_its_labels_and_nothing_else(dashboard: Dashboard) -> None:
    numbers = {name: replace(numbers, snoozed=1, withheld=1) for name, numbers in HEALTH.sources.items()}
    dashboard.fleet.update(replace(HEALTH, sources=numbers), NOW_S)
    dashboard.fleet.update(Availability("dock", online=True), NOW_S)
    dashboard.fleet.update(replace(HEALTH, device="hall", shard=0), NOW_S)
    dashboard.fleet.update(Availability("hall", online=True, shard=0), NOW_S)
    dashboard.recorder.record([onset()], NOW_S, 0.0)
    found = {(name, tuple(label for label, _ in labels)) for name, labels in series(dashboard)}
    assert {(name, tuple(sorted(re.findall(r"`(\w+)`", labels)))) for name, labels in ROWS} == found


def test_limits_are_those_of_the_code() -> None:
    assert (
        f"{fleet.MAX_DEVICES:,} devices or {fleet.MAX_SOURCES:,} sources, or {fleet.MAX_OF_DEVICE:,} of one device"
        in TEXT
    )
    assert f"at most\n{history.MAX_EVENTS // 1_000_000} million" in TEXT
    assert f"Up to {recorder.MAX_WAITING:,} wait" in TEXT
    assert f"takes over {database._READ_LIMIT_S:g} s" in TEXT
    assert f"limit of {metrics.MAX_SERIES:,}" in TEXT
    assert f"among the last\n{recorder.MAX_RECENT} onsets and offsets" in TEXT
    assert f"Of more than {payloads.MAX_RAISED} of a source, {payloads.MAX_RAISED} are named" in TEXT
    assert f"Messages over\n{payloads.MAX_PAYLOAD // 1_000_000} MB" in TEXT
    assert f"for {live_feed.LEASE_S} s and renews that every {live_feed.RENEW_S:g} s" in TEXT
    assert f"slow browser {viewers.MAX_QUEUED} messages are kept" in TEXT
    assert f"allows {leases.MAX_SOURCES} sources at once" in TEXT
    assert f"does not answer within {control_feed.ANSWER_S:g} s" in TEXT
    assert f"at most {controls.MAX_SOURCES} at once, and forgotten {controls.VISIT_S:g} s" in TEXT
    assert f"up to {controls.MAX_LABELS:,} labels" in TEXT
    assert f"At most {control_feed.MAX_COMMANDS} commands" in TEXT
    assert f"scores over {sink.LEAST_SCORE}," in TEXT
    assert f"Files over {media_wire.MAX_BYTES // 1_000_000} MB" in TEXT
    assert f"Clips of at most {archive.MAX_DEVICES:,} devices" in TEXT
    assert f"{archive.MIN_FREE_BYTES // 1_000_000} MB of the disk stay free" in TEXT
    gib, copy_mb = decoder.MEMORY_BYTES >> 30, wav_copy.MAX_COPY_BYTES // 1_000_000
    assert f"limits of CPU ({decoder.CPU_S} s), memory ({gib} GiB), files and output ({copy_mb} MB)" in TEXT
    assert f"at most {decoder.SAMPLE_RATE // 1000} kHz and two\nchannels" in TEXT
    assert service.SESSION_EXPIRY_S == 7 * 24 * 3600  # "a week"
    assert metrics.GONE_AFTER_S == 5 * 60


def test_limits_of_reviews_are_those_of_the_code() -> None:
    body, export_routes, review_values = (
        pytest.importorskip(f"edgeaudio.dashboard.web.{name}") for name in ("body", "export_routes", "review_values")
    )
    assert f"the last {reviews.MAX_LOGGED} changes" in TEXT
    assert f"at most {reviews.MAX_REVIEWED:,} sounds" in TEXT
    assert f"There are at most\n{missed.MAX_MISSED:,}." in TEXT
    assert f"the labels that are known, at most {missed.MAX_LABELS}" in TEXT
    assert f"at most {body.MAX_BODY // 1024} KiB, which come within {body._LIMIT_S:g} s" in TEXT
    assert f"1 to {review_values.MAX_AT_ONCE};" in TEXT
    assert f"at most {review_values.MAX_MISSED_S} s" in TEXT
    limits = export_routes.MAX_RECORDS, export_routes.MAX_BYTES // 1_000_000, export_routes.LIMIT_S / 60
    assert "at most {:,} records, {:,} MB of sounds and {:g} min".format(*limits) in TEXT


def test_the_record_of_a_training_set_is_documented(dashboard: Dashboard) -> None:
    own_history(dashboard).write([onset()], NOW_S)
    dashboard.reviews.judge([judged("e1", "right")], "anna", NOW_S)
    (entry,) = training_set.entries(dashboard.history, dashboard.missed, history.Filter())
    (row,) = re.findall(r"^\| a `.json` beside each sound \|(.*)\|$", TEXT, re.MULTILINE)
    names = set(re.findall(r"`(\w+)`", row)) - {"null"}
    assert names == (entry.record.keys() | {"file"}) - {"version", "kind"}


def test_the_access_rules_are_those_of_the_subscriptions() -> None:
    rules = re.findall(r"^    topic read (.*)$", TEXT, re.MULTILINE)
    picture, sound = viewers.Watched("+", "+"), viewers.Watched("+", "+", "sound")
    live = [rule for each in (picture, sound) for rule in live_feed.live_filters("edgeaudio", each)]
    media = media_wire.media_filters("edgeaudio")
    settings = control_wire.setting_filters("edgeaudio", "+", "+")
    wanted = [*payloads.state_filters("edgeaudio"), payloads.detection_filter("edgeaudio"), *media, *live, *settings]
    assert sorted(rules) == sorted(set(wanted))
    assert control_wire.answer_topic("edgeaudio", "+") in rules
    written = re.findall(r"^    topic write (.*)$", TEXT, re.MULTILINE)
    leases = [live_feed.lease_topic("edgeaudio", each) for each in (picture, sound)]
    assert written == [*leases, *commands.command_topics("edgeaudio")]
    shipped = (Path(__file__).parents[2] / "deploy" / "mosquitto" / "acl").read_text()
    section = shipped.partition("user dashboard\n")[2].partition("\n\n")[0]
    assert section.splitlines() == [f"topic read {rule}" for rule in rules] + [
        f"topic write {rule}" for rule in written
    ]


def test_every_reason_has_advice() -> None:
    assert [reason for reason in Reason if not advice_for(reason.value)] == []
