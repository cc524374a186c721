"""`edgeaudio archive export`: what other programs read, read back by one that knows their formats."""

from __future__ import annotations

import csv
from datetime import timedelta

import pytest
from support.archive_results import BEGIN, RATE, Heard, contents, put_place, put_result
from support.clip_sounds import ATTACKS


@pytest.fixture
def to(tmp_path):
    return tmp_path / "exported"


@pytest.fixture
def two(place):
    put_result(place, "jetty/a.wav", BEGIN, [Heard("dog", 10.25, 2, 0.75), Heard("Orca call", 3.5, 1.5, 0.5)])
    put_result(place, "pier/b.flac", BEGIN + timedelta(hours=1), [Heard("dog", 0, 1)])
    put_result(place, "pier/quiet.flac", BEGIN + timedelta(hours=2))


@pytest.mark.usefixtures("two")
@pytest.mark.filterwarnings("ignore:The inplace keyword")  # crowsetta's use of pandas
def test_crowsetta_reads_the_selection_tables_of_raven(out, to, archive) -> None:
    crowsetta = pytest.importorskip("crowsetta", reason="the extra archive-test is not installed")
    assert archive("export", out, "--format", "raven", "--to", to) == (0, [f"{to}: 3 events in 2 files"], [])
    assert set(contents(to)) == {"jetty/a.wav.selections.txt", "pier/b.flac.selections.txt"}
    boxes = crowsetta.formats.bbox.Raven.from_file(to / "jetty" / "a.wav.selections.txt").to_bbox()
    assert [(box.onset, box.offset, box.low_freq, box.high_freq, box.label) for box in boxes] == [
        (3.5, 5.0, 0.0, RATE / 2, "Orca call"),
        (10.25, 12.25, 0.0, RATE / 2, "dog"),
    ]


@pytest.mark.usefixtures("two")
def test_crowsetta_reads_the_label_tracks_of_audacity(out, to, archive) -> None:
    crowsetta = pytest.importorskip("crowsetta", reason="the extra archive-test is not installed")
    assert archive("export", out, "--format", "audacity", "--to", to)[0] == 0
    assert set(contents(to)) == {"jetty/a.wav.txt", "pier/b.flac.txt"}
    sequence = crowsetta.formats.seq.AudSeq.from_file(to / "jetty" / "a.wav.txt")
    assert list(sequence.start_times) == [3.5, 10.25]
    assert list(sequence.end_times) == [5.0, 12.25]
    assert list(sequence.labels) == ["Orca call", "dog"]


@pytest.mark.usefixtures("two")
def test_kaleidoscope_has_one_table_with_recordings_in_three_pieces(out, to, archive) -> None:
    assert archive("export", out, "--format", "kaleidoscope", "--to", to, "--recordings", "/archive")[0] == 0
    first, *rows = csv.DictReader((to / "kaleidoscope.csv").read_text().splitlines())
    assert len(rows) == 2
    assert first == {
        "INDIR": "/archive", "FOLDER": "jetty", "IN FILE": "a.wav", "CHANNEL": "0", "OFFSET": "3.500",
        "DURATION": "1.500", "DATE": "2026-03-01", "TIME": "00:00:03", "HOUR": "00", "TOP1MATCH": "Orca call",
        "MANUAL ID": "", "SCORE": "0.5000", "SITE": "jetty", "MODEL": "home",
    }  # fmt: skip


@pytest.mark.usefixtures("two")
def test_csv_has_sites_recorders_and_depths(out, to, archive, tmp_path) -> None:
    sites = tmp_path / "sites.csv"
    sites.write_text("prefix,site,recorder,depth_m,latitude,longitude\npier,Pier 4,ST-600,12.5,53.9,-9.1\n")
    archive("export", out, "--format", "csv", "--to", to, "--sites", sites)
    rows = list(csv.DictReader((to / "events.csv").read_text().splitlines()))
    assert [row["site"] for row in rows] == ["(no site)", "(no site)", "Pier 4"]
    assert rows[-1] == {
        "recording": "pier/b.flac", "begins_at": "2026-03-01T01:00:00.000Z", "ends_at": "2026-03-01T01:00:01.000Z",
        "offset_s": "0.000000", "duration_s": "1.000000", "label": "dog", "score": "0.9000", "detections": "1",
        "model": "home", "site": "Pier 4", "recorder": "ST-600", "depth_m": "12.5", "latitude": "53.9",
        "longitude": "-9.1",
    }  # fmt: skip


def test_what_began_in_the_recording_before_begins_with_the_one_it_ends_in(place, out, to, archive) -> None:
    put_result(place, "a.wav", BEGIN, [Heard("dog", -4, 6)])
    for layout in ("raven", "audacity", "kaleidoscope", "csv"):
        archive("export", out, "--format", layout, "--to", to)
    (selection,) = csv.DictReader((to / "a.wav.selections.txt").read_text().splitlines(), delimiter="\t")
    assert (float(selection["Begin Time (s)"]), float(selection["End Time (s)"])) == (0, 2)
    assert (to / "a.wav.txt").read_text() == "0.000000\t2.000000\tdog\n"
    (row,) = csv.DictReader((to / "kaleidoscope.csv").read_text().splitlines())
    assert (row["OFFSET"], row["DURATION"], row["DATE"], row["TIME"]) == ("0.000", "2.000", "2026-02-28", "23:59:56")
    (row,) = csv.DictReader((to / "events.csv").read_text().splitlines())
    assert (row["offset_s"], row["duration_s"]) == ("-4.000000", "6.000000")


def test_neighbours_are_merged_within_a_recording(place, out, to, archive) -> None:
    put_result(place, "a/1.wav", BEGIN, [Heard("dog", 10, 2), Heard("dog", 13, 1), Heard("dog", 3599, 1)])
    put_result(place, "a/2.wav", BEGIN + timedelta(hours=1), [Heard("dog", 0, 1)])
    archive("export", out, "--format", "csv", "--to", to, "--merge", 2)
    rows = list(csv.DictReader((to / "events.csv").read_text().splitlines()))
    assert [
        (row["recording"], float(row["offset_s"]), float(row["duration_s"]), row["detections"]) for row in rows
    ] == [
        ("a/1.wav", 10, 4, "2"),
        ("a/1.wav", 3599, 1, "1"),
        ("a/2.wav", 0, 1, "1"),
    ]


@pytest.mark.parametrize("layout", ["raven", "audacity", "kaleidoscope", "csv"])
def test_no_text_of_a_result_becomes_a_path_a_formula_or_a_line(place, out, to, archive, layout, tmp_path) -> None:
    attacks = [*ATTACKS, "../../../escaped", "/absolute/a.wav", "a/../../b", "a\\b", "A.wav", "a.wav", "a" * 300]
    for index, text in enumerate(attacks):
        put_result(place, text, BEGIN + timedelta(hours=index), [Heard(text, 1), Heard("=cmd|' /C calc'!A0", 2)])
    before = set(contents(tmp_path))
    status, lines, errors = archive("export", out, "--format", layout, "--to", to)
    assert (status, errors) == (0, [])
    assert f"{2 * len(attacks)} events" in lines[0]
    new = set(contents(tmp_path)) - before
    assert all(name.startswith("exported/") for name in new)
    assert len(new) == (len(attacks) if layout in {"raven", "audacity"} else 1)
    assert len({name.casefold() for name in new}) == len(new)
    for name in new:
        content = (tmp_path / name).read_text()
        assert content.isprintable() or set(filter(lambda letter: not letter.isprintable(), content)) <= set("\t\r\n")
        if layout in {"kaleidoscope", "csv"}:
            rows = list(csv.reader(content.splitlines()))
            assert len(rows) == 2 * len(attacks) + 1
            assert not any(cell.startswith(("=", "+", "@", "-")) for row in rows for cell in row)
        else:
            assert len(content.splitlines()) == (3 if layout == "raven" else 2)


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize("layout", ["raven", "csv"])
def test_nothing_is_replaced_without_being_asked(out, to, archive, layout) -> None:
    archive("export", out, "--format", layout, "--to", to)
    for file in to.rglob("*.*"):
        file.write_text("mine")
    before = contents(to)
    status, lines, errors = archive("export", out, "--format", layout, "--to", to)
    assert status == 1
    more = f" (and {len(before) - 1} more like it)" if len(before) > 1 else ""
    assert len(errors) == 1
    assert errors[0].endswith(f": is there already, and is left as it is; --overwrite replaces it{more}")
    assert lines == [f"{to}: 0 events in 0 files; {len(before)} left out"]
    assert contents(to) == before
    assert archive("export", out, "--format", layout, "--to", to, "--overwrite")[0] == 0
    assert "mine" not in {content.decode() for content in contents(to).values()}


@pytest.mark.usefixtures("two")
def test_an_export_goes_nowhere_near_results_and_recordings(out, place, archive, tmp_path) -> None:
    status, _, errors = archive("export", out, "--format", "csv", "--to", place / "parts")
    assert (status, errors) == (
        2,
        [f"edgeaudio: {place / 'parts'}: is where the results are; export to another folder"],
    )
    recordings = tmp_path / "recordings"
    status, _, errors = archive("export", out, "--format", "csv", "--to", recordings / "x", "--recordings", recordings)
    assert (status, len(errors)) == (2, 1)


def test_a_place_that_does_not_say_its_rate_is_one_line(out, to, archive) -> None:
    put_place(out, model={"name": "home"})
    status, _, errors = archive("export", out, "--format", "raven", "--to", to)
    assert (status, len(errors)) == (2, 1)
