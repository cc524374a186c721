"""`edgeaudio clips export`: what each layout has, and what is left out."""

from __future__ import annotations

import csv
import json
import os
import re
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from support.clip_sounds import ATTACKS, changed, clicks, fitted, put_wave
from support.clips import RATE, put_clip

from edgeaudio import cli
from edgeaudio.clips.library import Clip
from edgeaudio.clips.record import Gap
from edgeaudio.slugs import label_folder
from tools.training.dataset import read_dataset, source_of

AT = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
LAYOUTS = ["audacity", "raven", "macaulay", "training"]
pytestmark = pytest.mark.usefixtures("_in_berlin")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "clips"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def export(capsys, folder, out):
    """Run `edgeaudio clips export`; its status, and the lines on standard output and standard error."""

    def running(layout, *arguments):
        status = cli.main(
            ["clips", "export", "--folder", str(folder), "--layout", layout, *map(str, arguments), str(out)]
            if not arguments or str(arguments[0]).startswith("-")
            else ["clips", "export", "--folder", str(folder), "--layout", layout, str(out), *map(str, arguments)]
        )
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err.splitlines()

    return running


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}


def table(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.read_text().splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


def test_audacity_has_each_sound_and_its_label_track(export, folder, out) -> None:
    clip = put_wave(folder, "a", AT, label="Dog bark")
    changed(clip, gaps=(Gap(at=RATE, lost_s=0.25),))
    before = contents(folder)
    assert export("audacity") == (0, [f"{out}: 1 clip exported"], [])
    stem = "20261130T233000000Z_porch-dog_a"
    assert files(out) == {f"{stem}.wav", f"{stem}.txt"}
    assert (out / f"{stem}.wav").read_bytes() == clip.sound.read_bytes()
    assert (out / f"{stem}.txt").read_text() == (
        "3.000000\t5.000000\tDog bark\n1.000000\t1.000000\tgap: 0.25 s are missing\n"
    )
    assert contents(folder) == before  # copied, never moved


def test_raven_has_a_selection_table_over_the_sequence_of_sounds(export, folder, out) -> None:
    put_wave(folder, "late", AT + timedelta(hours=1), clicks(7))
    put_wave(folder, "early", AT, clicks(6.5))
    clip = put_wave(folder, "other", AT, clicks(8, rate=8000), rate=8000)
    changed(clip, origin=clip.record.origin.model_copy(update={"sample_rate": 4000}), end=None,
            sound=clip.record.sound.model_copy(update={"offset": None}))  # fmt: skip
    assert export("raven")[0] == 0
    assert files(out) == {
        "20261130T233000000Z_porch-dog_early.wav",
        "20261130T233000000Z_porch-dog_other.wav",
        "20261201T003000000Z_porch-dog_late.wav",
        "selections_16000hz_1ch.txt",
        "selections_8000hz_1ch.txt",
    }
    first, second = table(out / "selections_16000hz_1ch.txt")
    assert list(first)[:7] == [
        "Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)",
    ]  # fmt: skip
    assert first == {
        "Selection": "1",
        "View": "Spectrogram 1",
        "Channel": "1",
        "Begin Time (s)": "3.000000000",
        "End Time (s)": "5.000000000",
        "Low Freq (Hz)": "0.000",
        "High Freq (Hz)": "8000.000",
        "Begin Path": f"{out}/20261130T233000000Z_porch-dog_early.wav",
        "File Offset (s)": "3.000000000",
        "Begin File": "20261130T233000000Z_porch-dog_early.wav",
        "Annotation": "Dog",
        "Score": "0.9000",
        "Source": "porch",
        "Onset (UTC)": "2026-11-30T23:30:00.000Z",
        "Id": "early",
    }
    assert (second["Begin Time (s)"], second["End Time (s)"]) == ("9.500000000", "11.500000000")
    assert (second["Selection"], second["File Offset (s)"]) == ("2", "3.000000000")
    (other,) = table(out / "selections_8000hz_1ch.txt")
    assert (other["End Time (s)"], other["High Freq (Hz)"]) == ("8.000000000", "2000.000")  # of the stream


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # of pandas, in crowsetta
def test_crowsetta_reads_the_selection_table_and_the_label_tracks(export, folder, out) -> None:
    crowsetta = pytest.importorskip("crowsetta", reason="crowsetta is not installed: it is in no extra")
    labels = ["Dog", *ATTACKS]
    for number, label in enumerate(labels):
        put_wave(folder, f"a-{number}", AT + timedelta(seconds=number), label=label)
    assert export("raven")[0] == 0
    boxes = crowsetta.formats.bbox.Raven.from_file(out / "selections_16000hz_1ch.txt").to_annot().bboxes
    assert [(box.onset, box.offset) for box in boxes] == [(7 * n + 3, 7 * n + 5) for n in range(len(labels))]
    assert [(box.low_freq, box.high_freq) for box in boxes] == [(0, 8000)] * len(labels)
    assert [boxes[n].label for n, label in enumerate(labels) if label.isprintable() and '"' not in label] == [
        label for label in labels if label.isprintable() and '"' not in label
    ]
    assert export("audacity", "--overwrite")[0] == 0
    for track in out.glob("*_a-*.txt"):
        sequence = crowsetta.formats.seq.AudSeq.from_file(track).to_seq()
        assert (sequence.onsets_s.tolist(), sequence.offsets_s.tolist()) == ([3], [5])


def test_macaulay_has_a_folder_for_each_source_and_local_day(export, folder, out) -> None:
    clip = put_wave(folder, "a-1", AT, label="=Turdus merula")
    changed(clip, gaps=(Gap(at=5, lost_s=0.5), Gap(at=9, lost_s=0.25)))
    assert export("macaulay")[0] == 0
    name = "porch/2026-12-01/20261201_002957_porch_turdus-merula_a-1.wav"
    assert files(out) == {name, "recordings.csv"}
    with (out / "recordings.csv").open(newline="") as lines:
        (row,) = csv.DictReader(lines)
    assert {key: value for key, value in row.items() if value} == {
        "File": name,
        "Date": "2026-12-01",
        "Time": "00:29:57",  # when the file begins
        "UTC offset": "UTC+01:00",
        "Length (s)": "7.000",
        "Sound begins at (s)": "3.000",
        "Sound ends at (s)": "5.000",
        "Label": "'=Turdus merula",  # which a spreadsheet would compute
        "Score": "0.900",
        "Model": "home",
        "Source": "porch",
        "Device": "garden",
        "Stream rate (Hz)": "16000",
        "Original format": "wav",
        "Seconds missing": "0.75",
        "Id": "a-1",
    }
    assert {"Species", "Location", "Latitude", "Longitude", "Recordist"} <= set(row)


def test_training_has_what_train_model_reads(export, folder, out) -> None:
    for day in range(3):
        for number, label in enumerate(["smoke_alarm", "Dog bark", "a/b:c", "犬"]):
            put_wave(folder, f"a-{day}-{number}", AT + timedelta(days=day, minutes=number), label=label)
    assert export("training")[0] == 0
    entries = read_dataset(out, [], 1)
    labels = {entry.label for entry in entries}
    assert labels == {"smoke_alarm", "Dog bark", "犬", label_folder("a/b:c")}
    assert len(entries) == 12
    assert {source_of(entry.path) for entry in entries} == {"20261130_porch", "20261201_porch", "20261202_porch",
                                                            "20261203_porch"} - {"20261203_porch"}  # fmt: skip
    records = [json.loads(entry.path.with_suffix(".json").read_text()) for entry in entries]
    assert {record["label"] for record in records} == {"smoke_alarm", "Dog bark", "a/b:c", "犬"}


def test_labels_that_differ_by_case_alone_have_folders_on_any_file_system(export, folder, out) -> None:
    for number, label in enumerate(["dog", "Dog", "dog"]):
        put_wave(folder, f"a-{number}", AT + timedelta(minutes=number), label=label)
    assert export("training")[0] == 0
    names = sorted(path.name for path in out.iterdir())
    assert len(names) == len({name.casefold() for name in names}) == 2
    assert sum(1 for _ in (out / "dog").glob("*.wav")) == 2


def test_labels_that_look_alike_have_folders_of_their_own() -> None:
    labels = ["a b", "a-b", "a/b", "a:b", "a//b", "A b", "..", ".", "../a b"]
    assert len({label_folder(label) for label in labels}) == len(labels)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("label", ATTACKS)
def test_no_label_becomes_a_path_or_breaks_a_table(export, folder, out, tmp_path, layout, label) -> None:
    for event_id, text in (("a", label), ("b", "Dog")):
        clip = put_wave(folder, event_id, AT, label=text)
        changed(clip, source=text, device=text, model=text)
    before = files(tmp_path)
    status, lines, errors = export(layout)
    assert (status, lines, errors) == (0, [f"{out}: 2 clips exported"], [])
    made = files(tmp_path) - before
    assert all(name.startswith("out/") for name in made)
    safe = re.compile(r"[\w][\w .-]*", re.ASCII)
    assert all(safe.fullmatch(part) and len(part) < 200 for name in made for part in Path(name).parts)
    for file in out.rglob("*.txt"):
        text = file.read_text()
        assert text.replace("\n", "").replace("\t", "").isprintable()
        widths = {line.count("\t") for line in text.splitlines()}
        assert widths == {14 if layout == "raven" else 2}
        assert len(text.splitlines()) == (3 if layout == "raven" else 1)
    for file in out.rglob("*.csv"):
        with file.open(newline="") as lines_of_it:
            rows = list(csv.reader(lines_of_it))
        assert {len(row) for row in rows} == {26}
        assert len(rows) == 3
        assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)


def test_clips_are_chosen_by_filters_or_by_ids(export, folder, out) -> None:
    for number, label in enumerate(["Dog", "Cat", "Dog"]):
        put_wave(folder, f"id-{number}", AT + timedelta(seconds=number), label=label)
    assert export("audacity", "--label", "Cat")[1] == [f"{out}: 1 clip exported"]
    assert {name for name in files(out) if name.endswith(".wav")} == {"20261130T233001000Z_porch-dog_id-1.wav"}
    status, lines, errors = export("audacity", "id-2", "id-0", "nothing")
    assert (status, lines) == (2, [f"{out}: 2 clips exported; 1 left out"])
    assert len(errors) == 1
    assert len(files(out)) == 6
    assert export("audacity", "--label", "Horse") == (0, [], ["edgeaudio: no clips"])


def test_ids_and_filters_exclude_each_other(capsys, folder, out) -> None:
    put_wave(folder, "a", AT)
    arguments = ["clips", "export", "--folder", str(folder), "--layout", "raven", "--kept", str(out), "a"]
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err == "edgeaudio: clips are named and filtered; do one of the two\n"
    assert not out.exists()


@pytest.mark.parametrize("layout", ["audacity", "training"])
def test_nothing_is_overwritten_unless_asked_for(export, folder, out, layout) -> None:
    put_wave(folder, "a", AT)
    export(layout)
    put_wave(folder, "b", AT)
    (mine,) = out.rglob("*_a.wav")
    mine.write_text("mine")
    status, lines, errors = export(layout)
    assert (status, lines) == (2, [f"{out}: 1 clip exported; 1 left out"])
    assert errors == [f"edgeaudio: {mine}: is there already, and is left as it is; --overwrite replaces it"]
    assert mine.read_text() == "mine"
    assert export(layout, "--overwrite") == (0, [f"{out}: 2 clips exported"], [])
    assert mine.stat().st_size == 2 * 7 * RATE + 44


def test_a_label_track_that_is_there_keeps_its_sound_out(export, folder, out) -> None:
    clip = put_wave(folder, "a", AT)
    out.mkdir()
    mine = out / clip.sound.with_suffix(".txt").name
    mine.write_text("mine")
    assert export("audacity")[0] == 2
    assert contents(out) == {mine.name: b"mine"}


@pytest.mark.parametrize("layout", ["raven", "macaulay"])
def test_a_table_of_another_export_is_not_replaced(export, folder, out, layout) -> None:
    put_wave(folder, "a", AT)
    export(layout)
    before = contents(out)
    put_wave(folder, "b", AT)
    status, lines, [error] = export(layout)
    assert (status, lines) == (2, [])
    assert error.endswith("is the table of another export; export to an empty folder, or replace it by --overwrite")
    assert contents(out) == before
    assert export(layout, "--overwrite") == (0, [f"{out}: 2 clips exported"], [])


def gone(clip: Clip) -> None:
    clip.sound.unlink()


def cut(clip: Clip) -> None:
    clip.sound.write_bytes(clip.sound.read_bytes()[:-1])


def link(clip: Clip) -> None:
    secret = clip.sound.with_name("secret")
    secret.write_bytes(clip.sound.read_bytes())
    clip.sound.unlink()
    clip.sound.symlink_to(secret)


def pipe(clip: Clip) -> None:
    clip.sound.unlink()
    os.mkfifo(clip.sound)


def no_record(clip: Clip) -> None:
    clip.file.write_text("{}")


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (gone, r"left out: its sound .* is missing"),
        (cut, "has 224043 bytes, and its record says 224044"),
        (link, "cannot be read: a link is not followed"),
        (pipe, "left out: its sound .* is missing"),
        (no_record, "left out: "),
    ],
)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_clip_that_cannot_be_used_is_one_line_and_the_rest_goes_on(export, folder, out, layout, harm, why) -> None:
    put_wave(folder, "a", AT)
    harm(put_wave(folder, "bad", AT + timedelta(seconds=1)))
    put_wave(folder, "c", AT + timedelta(seconds=2))
    status, lines, [error] = export(layout)
    assert (status, lines) == (2, [f"{out}: 2 clips exported; 1 left out"])
    assert re.search(why, error)
    assert sorted(name.rsplit("_", 1)[1] for name in files(out) if name.endswith(".wav")) == ["a.wav", "c.wav"]
    if layout == "raven":
        (_, second) = table(out / "selections_16000hz_1ch.txt")
        assert second["Begin Time (s)"] == "10.000000000"  # what was left out takes no time


def test_a_folder_that_cannot_be_written_to_is_one_line(export, folder, out) -> None:
    put_wave(folder, "a", AT)
    out.write_text("a file")
    assert export("audacity") == (2, [], [f"edgeaudio: {out}: cannot be written: File exists"])
    out.unlink()
    out.mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    if not os.access(out, os.W_OK):  # root may write anywhere
        assert export("audacity") == (2, [], [f"edgeaudio: {out}: cannot be written: Permission denied"])


def test_a_folder_in_the_place_of_a_file_is_one_line(export, folder, out) -> None:
    clip = put_wave(folder, "a", AT)
    (out / clip.sound.name).mkdir(parents=True)
    assert export("audacity", "--overwrite") == (
        2,
        [f"{out}: 0 clips exported; 1 left out"],
        [f"edgeaudio: {out}/{clip.sound.name}: is a folder, where a file is to be written"],
    )


@pytest.mark.parametrize("inside", ["", "export", "../clips/x", "../link"])
def test_clips_are_not_exported_to_where_they_are(capsys, folder, tmp_path, inside) -> None:
    put_wave(folder, "a", AT)
    (tmp_path / "link").symlink_to(folder)
    before = files(folder)
    target = f"{folder}/{inside}"
    assert cli.main(["clips", "export", "--folder", str(folder), "--layout", "audacity", target]) == 2
    assert "is where the clips are; export to another folder" in capsys.readouterr().err
    assert files(folder) == before


def test_an_onset_after_the_end_of_the_sound_stays_within_it(export, folder, out) -> None:
    clip = put_wave(folder, "a", AT)
    changed(clip, sound=clip.record.sound.model_copy(update={"onset": 1 << 50, "offset": 0}))
    assert export("audacity")[0] == 0
    assert (out / clip.sound.with_suffix(".txt").name).read_text() == "7.000000\t7.000000\tDog\n"


def test_what_an_export_that_was_killed_left_is_no_obstacle(export, folder, out) -> None:
    clip = put_wave(folder, "a", AT)
    out.mkdir()
    (out / f".{clip.sound.name}.part").write_text("half")
    assert export("audacity")[0] == 0
    assert files(out) == {clip.sound.name, clip.sound.with_suffix(".txt").name}


def test_sound_of_several_channels_has_a_table_of_its_own(export, folder, out) -> None:
    put_wave(folder, "a", AT, np.zeros((7 * RATE, 2)))
    assert export("raven")[0] == 0
    assert "selections_16000hz_2ch.txt" in files(out)


def test_a_layout_is_asked_for(folder, out, capsys) -> None:
    clip = put_clip(folder, "a", AT)
    fitted(clip, np.zeros(7), RATE)
    with pytest.raises(SystemExit):
        cli.main(["clips", "export", "--folder", str(folder), str(out)])
    assert capsys.readouterr().err == (
        "edgeaudio: the following arguments are required: --layout; see edgeaudio clips export --help\n"
    )
