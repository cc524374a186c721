"""`edgeaudio archive query`: counts, hours, filters, and what is left out."""

from __future__ import annotations

import csv
import json
import os
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.archive_results import BEGIN, Heard, key_of, put_place, put_result
from support.examples import examples

from edgeaudio.archive.database import UnreadableError, database
from edgeaudio.archive.hearing import RESULTS
from edgeaudio.archive.query import query
from edgeaudio.archive.results import ask
from edgeaudio.archive.rows import SCHEMA
from edgeaudio.archive.selection import Filters, Merging, choose, events_of, place_recordings

NOTHING = Filters()


@pytest.fixture
def asked(place):
    """Return the rows of a question, of which nothing is left out."""

    def asking(*by, **filters):
        lines: list[str] = []
        merge_s = filters.pop("merge_s", None)
        answer = query(place, by, Filters(**filters), lines.append, merge_s=merge_s)
        assert lines == []
        return answer.rows

    return asking


def test_counts_are_beside_the_hours_listened(place, asked) -> None:
    put_result(place, "jetty/a.wav", BEGIN, [Heard("dog", 10), Heard("dog", 20), Heard("orca", 30)])
    put_result(place, "pier/b.wav", BEGIN + timedelta(hours=1), [Heard("dog", 5)], duration_s=1800)
    assert asked("label") == [("dog", 3, 1.5), ("orca", 1, 1.5)]
    assert asked("site", "label") == [
        ("jetty", "dog", 2, 1),
        ("jetty", "orca", 1, 1),
        ("pier", "dog", 1, 0.5),
        ("pier", "orca", 0, 0.5),
    ]
    assert asked("hour") == [(0, 3, 1.0), (1, 1, 0.5)]


def test_a_day_without_events_is_told_from_one_without_recordings(place, asked) -> None:
    put_result(place, "a.wav", BEGIN, [Heard("dog", 10)])
    put_result(place, "b.wav", BEGIN + timedelta(days=2))
    assert asked("day") == [(date(2026, 3, 1), 1, 1.0), (date(2026, 3, 3), 0, 1.0)]


def test_a_recording_over_midnight_is_listened_to_on_both_days(place, asked) -> None:
    put_result(place, "a.wav", BEGIN - timedelta(minutes=40), [Heard("dog", 10), Heard("dog", 3000)])
    assert asked("day") == [(date(2026, 2, 28), 1, pytest.approx(2 / 3)), (date(2026, 3, 1), 1, pytest.approx(1 / 3))]
    assert asked("month") == [("2026-02", 1, pytest.approx(2 / 3)), ("2026-03", 1, pytest.approx(1 / 3))]


def test_hours_are_those_of_the_zones_clock(place, asked) -> None:
    # on 29 March 2026 clocks in Berlin go from 2 to 3
    put_result(place, "a.wav", datetime(2026, 3, 29, 0, tzinfo=UTC), [Heard("dog", 3700)], duration_s=7200)
    assert asked("hour", zone="Europe/Berlin") == [(1, 0, 1.0), (3, 1, 1.0)]
    assert asked("hour", zone="Asia/Kolkata") == [(5, 0, 0.5), (6, 1, 1.0), (7, 0, 0.5)]
    # and on 25 October the hour from 2 comes twice
    put_result(place, "b.wav", datetime(2026, 10, 25, 0, tzinfo=UTC), duration_s=7200)
    assert asked("day", "hour", zone="Europe/Berlin")[-1] == (date(2026, 10, 25), 2, 0, 2.0)


def test_filters_hold_for_counts_and_hours(place, asked) -> None:
    put_result(
        place, "jetty/a.wav", BEGIN, [Heard("dog", 10, score=0.7), Heard("dog", 1900, score=0.4), Heard("cat", 5)]
    )
    put_result(place, "pier/a.wav", BEGIN, [Heard("dog", 10)])
    half = BEGIN + timedelta(minutes=30)
    assert asked("label", labels=("dog", "owl")) == [("dog", 3, 2.0), ("owl", 0, 2.0)]
    assert asked("label", labels=("dog",), score=0.7) == [("dog", 2, 2.0)]
    assert asked("label", labels=("dog",), begin=half) == [("dog", 1, 1.0)]
    assert asked("label", labels=("dog",), end=half, sites=("pier",)) == [("dog", 1, 0.5)]
    assert asked("label", labels=("dog",), hours=(23, 1)) == [("dog", 3, 2.0)]
    assert asked("label", labels=("dog",), hours=(1, 23)) == [("dog", 0, 0.0)]


def test_values_are_never_sql(place, asked) -> None:
    evil = "'); DROP TABLE files; --"
    put_result(place, f"{evil}/a.wav", BEGIN, [Heard(evil, 10)])
    assert asked("site", "label", labels=(evil,), sites=(evil,)) == [(evil, evil, 1, 1.0)]


def test_neighbours_are_merged_over_recordings_that_follow_but_not_over_gaps(place, asked) -> None:
    put_result(place, "a/20260301_000000.wav", BEGIN, [Heard("dog", 3590, 5), Heard("dog", 3597, 3)])
    next_hour = BEGIN + timedelta(hours=1)
    put_result(place, "a/20260301_010000.wav", next_hour, [Heard("dog", 1, 2), Heard("cat", 1, 2)])
    put_result(place, "a/20260301_020010.wav", BEGIN + timedelta(hours=2, seconds=10), [Heard("dog", 0, 1)])
    put_result(place, "b/20260301_010000.wav", next_hour, [Heard("dog", 0, 1)])
    counts = {row[:-1] for row in asked("site", "label", merge_s=5)}
    assert counts == {("a", "dog", 2), ("a", "cat", 1), ("b", "dog", 1), ("b", "cat", 0)}
    assert {row[:-1] for row in asked("site", "label", merge_s=3000)} == counts  # 10 s were not listened to


@settings(max_examples=examples(25))
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 60), st.integers(0, 20)), max_size=25),
    st.integers(0, 10),
)
def test_merging_is_what_a_loop_over_sorted_events_makes(events, gap_s) -> None:
    wanted: dict[str, list[list[float]]] = {"a": [], "b": []}
    for label, begin, length in sorted(events, key=lambda each: each[1]):
        runs = wanted[label]
        if runs and begin <= runs[-1][1] + gap_s:
            runs[-1][1] = max(runs[-1][1], begin + length)
        else:
            runs.append([begin, begin + length])
    assert merged(events, gap_s) == wanted


def merged(events, gap_s):
    """Return begin and end of what is merged, by label."""
    with tempfile.TemporaryDirectory() as folder:  # a fixture would be one for all examples
        place = put_place(Path(folder))
        put_result(place, "a.wav", BEGIN, [Heard(label, begin, length) for label, begin, length in events])

        def work(results):
            place_recordings(results, None, ())
            choose(results, NOTHING, Merging(gap_s, "chain"))
            rows = "SELECT label, offset_s, offset_s + duration_s, detections FROM chosen ORDER BY offset_s"
            return list(results.rows(rows))

        found: dict[str, list[list[float]]] = {"a": [], "b": []}
        rows = ask(place, events_of(NOTHING), print, work)
        for label, begin, end, _ in rows:
            found[label].append([begin, end])
        assert sum(row[-1] for row in rows) == len(events)
        return found


def test_bad_files_cost_only_themselves(place, archive, out) -> None:
    put_result(place, "a.wav", BEGIN, [Heard("dog", 10)])
    damaged = put_result(place, "b.wav", BEGIN, [Heard("dog", 10)])
    damaged.write_bytes(damaged.read_bytes()[:-20])
    other = place / "parts" / "2026-03" / "0123456789abcdef.parquet"
    pq.write_table(pa.table({"kind": ["event"], "label": ["dog"]}), other)
    (place / "parts" / "2026-03" / "notes.txt").write_text("mine")
    status, lines, errors = archive("query", out, "--csv")
    assert (status, lines) == (1, ["label,events,hours", "dog,1,1.0"])
    assert sorted(error.split(": ", 2)[1] for error in errors) == sorted(
        map(str, (damaged, other, place / "parts" / "2026-03" / "notes.txt"))
    )
    assert all(error.endswith("it is left out") for error in errors)


def test_a_flipped_byte_in_the_events_costs_only_its_file(place, archive, out) -> None:
    put_result(place, "a.wav", BEGIN, [Heard("dog", 10)])
    damaged = put_result(place, "b.wav", BEGIN, [Heard("dog", 10)] * 50)
    content = bytearray(damaged.read_bytes())
    content[4:400] = b"\xff" * 396  # the pages, not the footer
    damaged.write_bytes(bytes(content))
    status, lines, errors = archive("query", out, "--csv")
    assert (status, lines, len(errors)) == (1, ["label,events,hours", "dog,1,1.0"], 1)


def test_text_that_is_no_utf_8_and_times_beyond_python_cost_only_themselves(place, archive, out) -> None:
    put_result(place, "a.wav", BEGIN, [Heard("dog", 10)])
    strange = put_result(place, "b.wav", BEGIN, [Heard("dog", 10)])
    table = pq.read_table(strange)
    text = pa.array([b"\xff\xfe", None], pa.binary())
    broken = pa.StringArray.from_buffers(2, text.buffers()[1], text.buffers()[2], text.buffers()[0])
    pq.write_table(table.set_column(SCHEMA.get_field_index("label"), SCHEMA.field("label"), broken), strange)
    far = put_result(place, "c.wav", BEGIN, [Heard("dog", 10)])
    table = pq.read_table(far)
    times = pa.array([2**62, 0], pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    pq.write_table(table.set_column(SCHEMA.get_field_index("ends_at"), SCHEMA.field("ends_at"), times), far)
    status, lines, errors = archive("query", out, "--csv")
    assert (status, lines[-1].split(",")[:2]) == (1, ["dog", "1"])
    assert len(errors) == 2
    assert archive("export", out, "--format", "csv", "--to", out.with_name("csv"))[1] == [
        f"{out.with_name('csv')}: 1 event in 1 file; 2 left out"
    ]


def test_a_newer_file_with_more_columns_is_read(place, archive, out) -> None:
    first = put_result(place, "a.wav", BEGIN, [Heard("dog", 10)])
    second = put_result(place, "b.wav", BEGIN, [Heard("dog", 10)])
    for file in sorted((first, second))[:1]:
        table = pq.read_table(file)
        pq.write_table(table.append_column("azimuth_deg", pa.array([0.0] * len(table))), file)
    assert archive("query", out, "--csv")[:2] == (0, ["label,events,hours", "dog,2,2.0"])


def test_a_recording_counts_once_though_part_and_month_hold_it(place, archive, out) -> None:
    part = put_result(place, "a.wav", BEGIN, [Heard("dog", 10)])
    (place / "months").mkdir()
    pq.write_table(pq.read_table(part), place / "months" / "2026-03.parquet")
    assert archive("query", out, "--csv")[1] == ["label,events,hours", "dog,1,1.0"]


def test_a_copy_of_a_result_counts_once(place, archive, out) -> None:
    part = put_result(place, "a.wav", BEGIN, [Heard("dog", 10)])
    copy = part.with_name("copy-of-a-result.parquet")
    copy.write_bytes(part.read_bytes())
    status, lines, errors = archive("query", out, "--csv")
    assert (status, lines) == (1, ["label,events,hours", "dog,1,1.0"])
    assert errors == [f"edgeaudio: {copy}: has not the rows of one recording, that of its name; it is left out"]


def test_impossible_times_are_told(place, archive, out) -> None:
    put_result(place, "a.wav", BEGIN)
    put_result(place, "b.wav", datetime(1500, 1, 1, tzinfo=UTC))
    put_result(place, "c.wav", BEGIN, duration_s=1e9)
    status, lines, errors = archive("query", out, "--by", "site", "--csv")
    assert (status, lines) == (1, ["site,events,hours", ".,0,1.0"])
    assert [error.split(": ")[1] for error in errors] == ["b.wav", "c.wav"]


def test_of_two_results_of_one_name_the_newer_one_counts(place, archive, out) -> None:
    old = put_result(place, "a.wav", BEGIN, [Heard("dog", 10)])
    new = put_result(place, "a.wav", BEGIN, [Heard("cat", 10)], duration_s=1800.0, key=key_of("a.wav, changed"))
    for last, label, hours in ((new, "cat", 0.5), (old, "dog", 1.0)):
        os.utime(last, ns=(time.time_ns() + 10**9,) * 2)
        assert archive("query", out, "--csv") == (0, ["label,events,hours", f"{label},1,{hours}"], [])
        os.utime(last, ns=(0, 0))


def test_one_of_several_places_is_named(out, place, archive) -> None:
    other = put_place(out, "alarms-abcdefabcdef")
    put_result(place, "a.wav", BEGIN, [Heard("dog", 10)])
    put_result(other, "a.wav", BEGIN, [Heard("siren", 10)])
    status, _, errors = archive("query", out)
    assert (status, len(errors)) == (2, 1)
    assert errors[0].endswith(f"name one by --results: {other.name}, {place.name}")
    assert archive("query", out, "--results", "alarms", "--csv")[1] == ["label,events,hours", "siren,1,1.0"]
    assert archive("query", place, "--csv")[1] == ["label,events,hours", "dog,1,1.0"]


def test_results_of_another_version_or_none_are_one_line(out, archive) -> None:
    none = f"edgeaudio: {out}: has no results; they are made by `edgeaudio archive run`"
    assert archive("query", out)[0::2] == (2, [none])
    place = put_place(out, results=7)
    status, _, errors = archive("query", out)
    assert (status, len(errors)) == (2, 1)
    assert f"has results of version 7, and this edgeaudio reads {RESULTS}" in errors[0]
    (place / "place.json").write_text("[" * 100_000)
    status, _, errors = archive("query", out)
    assert (status, len(errors)) == (2, 1)


def test_answers_are_tables_csv_and_json(place, out, archive) -> None:
    put_result(place, "jetty/a.wav", BEGIN, [Heard("=dog", 10)], duration_s=7200)
    put_result(place, "pier/a.wav", BEGIN)
    assert archive("query", out, "--by", "site,label")[:2] == (
        0,
        [
            "site   label  events  hours  an hour",
            "jetty  =dog        1   2.00     0.50",
            "pier   =dog        0   1.00     0.00",
        ],
    )
    rows = list(csv.DictReader(archive("query", out, "--by", "day,label", "--csv")[1]))
    assert rows == [{"day": "2026-03-01", "label": "'=dog", "events": "1", "hours": "3.0"}]
    lines = archive("query", out, "--by", "day,label", "--json")[1]
    assert [json.loads(line) for line in lines] == [{"day": "2026-03-01", "label": "=dog", "events": 1, "hours": 3.0}]


@pytest.mark.parametrize(
    "wrong",
    [
        ("--zone", "Europe/Nowhere"),
        ("--zone", "../../etc/passwd"),
        ("--hours", "25-3"),
        ("--by", "week"),
        ("--since", "yesterday"),
        ("--since", "2026-03-02", "--until", "2026-03-01"),
        ("--place", "53.9,9.1"),
        ("--picture", "a.gif"),
        ("--picture", "a.png", "--by", "label"),
        ("--site", "nowhere"),
        ("--sites", "missing.csv"),
        ("--merge", "-1"),
    ],
)
def test_wrong_options_are_one_line(place, out, archive, wrong) -> None:
    put_result(place, "a.wav", BEGIN)
    status, lines, errors = archive("query", out, *wrong)
    assert (status, lines, len(errors)) == (2, [], 1)


def test_a_label_that_the_model_has_not_is_refused_and_not_counted_as_never_heard(out, archive, tmp_path) -> None:
    place = put_place(out, model={"name": "home", "labels": ["dog", "rain"], "groups": {"animals": ["dog"]}})
    put_result(place, "a.wav", BEGIN, [Heard("dog", 10)])
    for arguments in (("query", out), ("export", out, "--format", "csv", "--to", tmp_path / "tables")):
        status, lines, errors = archive(*arguments, "--label", "dogs")
        assert (status, lines) == (2, [])
        assert errors == [f"edgeaudio: {place}: its model has no label dogs; did you mean dog?"]
    assert archive("query", out, "--csv", "--label", "dog", "--label", "rain")[1] == [
        "label,events,hours", "dog,1,1.0", "rain,0,1.0",
    ]  # fmt: skip
    assert archive("query", out, "--label", "animals")[0] == 0


def test_results_in_a_bucket_are_to_be_copied_first(archive) -> None:
    status, _, errors = archive("query", "s3://bucket/heard")
    assert (status, len(errors)) == (2, 1)
    assert "copy them from the bucket to this machine first" in errors[0]


@pytest.mark.parametrize(
    "arguments", [("run", "x", "--out", ""), ("plan", "", "--out", "x"), ("status", "--out", ""), ("query", "")]
)
def test_a_shells_variable_that_was_never_set_is_no_folder(arguments, archive) -> None:
    status, _, (error,) = archive(*arguments)  # --out '' would be /
    assert (status, error.partition(": ")[2][-100:].count("'' is no folder")) == (2, 1)


def test_times_without_a_zone_are_of_the_given_one(place, out, archive) -> None:
    put_result(place, "a.wav", datetime(2026, 7, 1, 12, tzinfo=UTC), [Heard("dog", 10)])
    options = ("--zone", "Europe/Berlin", "--csv", "--by", "hour")
    assert archive("query", out, *options, "--since", "2026-07-01T14:30")[1] == ["hour,events,hours", "14,0,0.5"]
    assert archive("query", out, *options, "--since", "2026-07-01T12:00Z")[1] == ["hour,events,hours", "14,1,1.0"]


def test_a_machine_without_a_temporary_folder_is_one_line(place, out, archive, monkeypatch) -> None:
    put_result(place, "a.wav", BEGIN)
    monkeypatch.setattr(tempfile, "tempdir", str(out / "gone"))
    status, lines, errors = archive("query", out)
    assert (status, lines) == (2, [])
    assert errors == ["edgeaudio: no temporary folder can be made: No such file or directory; name one by TMPDIR"]


def test_the_database_reads_nothing_else(place, tmp_path) -> None:
    put_result(place, "a.wav", BEGIN)
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with database(place) as results:
        for sql in (
            f"FROM read_csv('{secret}')",
            f"FROM read_parquet('{tmp_path}/heard/../x.parquet')",
            f"COPY (SELECT 1) TO '{secret}'",
            "SELECT * FROM 'http://127.0.0.1:9/x.parquet'",
            "INSTALL httpfs",
            "LOAD httpfs",
            f"ATTACH '{tmp_path}/x.db'",
            "SET enable_external_access = true",
            "SET memory_limit = '100GB'",
        ):
            with pytest.raises(UnreadableError):
                results.make(sql)
    assert secret.read_text() == "a\n1\n"
