"""Recordings that were really listened to: answered, exported and compacted, over a border too."""

from __future__ import annotations

import csv

import pytest
from support.archives import heard, record_in_parts, thuds

from edgeaudio.archive.places import places_below
from edgeaudio.archive.results import choose_place

pytestmark = pytest.mark.integration  # models


def counts(archive, out, *options):
    status, lines, errors = archive("query", out, "--csv", *options)
    assert (status, errors) == (0, [])
    return [(row["label"], row["events"]) for row in csv.DictReader(lines)]


def test_what_is_heard_is_counted_exported_and_cut(tmp_path, model, archive) -> None:
    recordings, out, to = tmp_path / "recordings", tmp_path / "heard", tmp_path / "to"
    record_in_parts(recordings / "jetty", thuds(30, (4, 5), (9, 11), (24, 25)), 10, 20)
    events = heard(recordings, model, out)
    assert any(event["offset_s"] < 0 for event in events)  # over a border
    before = counts(archive, out)
    assert sum(int(count) for _, count in before) == len(events)
    assert {label for label, _ in before} == {event["label"] for event in events}
    assert archive("export", out, "--format", "audacity", "--to", to)[0] == 0
    begins = [float(file.read_text().partition("\t")[0]) for file in sorted(to.rglob("*.txt"))]
    assert all(begin_s >= 0 for begin_s in begins)
    options = ("--format", "clips", "--recordings", recordings, "--to", tmp_path / "clips")
    assert archive("export", out, *options)[:2] == (0, [f"{tmp_path / 'clips'}: {len(events)} clips"])
    done = keys_of(out)
    assert archive("compact", out)[0] == 0
    assert counts(archive, out) == before
    assert keys_of(out) == done  # `run` has nothing to do
    assert len(done) == 3


def keys_of(out) -> set[str]:
    (place,) = places_below(str(out))
    assert choose_place(out).name == place.address.rpartition("/")[2]
    return {name.rpartition("/")[2] for name in place.done()}
