"""`edgeaudio clips list`, `show` and `keep`, in folders of real records."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest
from support.clip_sounds import ATTACKS, changed
from support.clips import put_clip

from edgeaudio import cli
from edgeaudio.clips.library import Clip, ClipLibrary
from edgeaudio.clips.record import Gap, Length
from edgeaudio.commands.clips.listing import PAGE
from edgeaudio.commands.troubles import MAX_LINES

AT = datetime(2026, 11, 30, 10, 19, tzinfo=UTC)
pytestmark = pytest.mark.usefixtures("_in_berlin")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "clips"


@pytest.fixture
def clips(capsys, folder):
    """Run `edgeaudio clips`; its status, and the lines on standard output and standard error."""

    def running(action, *arguments):
        status = cli.main(["clips", action, "--folder", str(folder), *map(str, arguments)])
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err.splitlines()

    return running


def test_the_list_has_the_newest_first_in_local_time(clips, folder) -> None:
    put_clip(folder, "ab-1", AT, score=0.914)
    put_clip(folder, "ab-22", AT + timedelta(hours=14), label="Dog bark", keep=True)
    assert clips("list") == (
        0,
        [
            "when                     source  label     score  length  kept  id",
            "2026-12-01 01:19:00 CET  porch   Dog bark   0.90   7.0 s  kept  ab-22",
            "2026-11-30 11:19:00 CET  porch   Dog        0.91   7.0 s        ab-1",
        ],
        [],
    )


def test_long_labels_and_ids_are_cut(clips, folder) -> None:
    put_clip(folder, "0123456789abcdef", AT, label="x" * 200)
    put_clip(folder, "fedcba9876543210", AT, label="犬" * 100)
    _, lines, _ = clips("list")
    assert lines[1:] == [
        f"2026-11-30 11:19:00 CET  porch   {'犬' * 14}...    0.90   7.0 s        fedcba98",
        f"2026-11-30 11:19:00 CET  porch   {'x' * 29}...   0.90   7.0 s        01234567",
    ]
    assert clips("show", "01234567")[0] == 0


def test_the_hour_that_comes_twice_is_told_apart(clips, folder) -> None:
    put_clip(folder, "first", datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    put_clip(folder, "second", datetime(2026, 10, 25, 1, 30, tzinfo=UTC))
    _, lines, _ = clips("list")
    assert [line[:24] for line in lines[1:]] == ["2026-10-25 02:30:00 CET ", "2026-10-25 02:30:00 CEST"]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ([], "dcba"),
        (["--label", "Smoke alarm"], "b"),
        (["--label", "smoke-alarm", "--label", "Cat"], "cb"),
        (["--label", "smoke"], ""),
        (["--source", "porch"], "dba"),
        (["--source", "porch", "--source", "pond"], "dcba"),
        (["--min-score", "0.8"], "dc"),
        (["--kept"], "d"),
        (["--since", "2026-11-30T11:20"], "dcb"),
        (["--since", "2026-11-30T10:20Z"], "dcb"),
        (["--until", "2026-11-30T10:20Z"], "a"),
        (["--since", "2026-12-01"], "d"),
        (["--until", "2026-12-01", "--source", "pond"], "c"),
    ],
)
def test_filters_choose(clips, folder, filters, found) -> None:
    put_clip(folder, "a", AT, score=0.5)
    put_clip(folder, "b", AT + timedelta(minutes=1), score=0.79, label="Smoke alarm")
    pond = put_clip(folder, "c", AT + timedelta(minutes=2), score=0.8, label="Cat")
    changed(pond, source="pond")
    put_clip(folder, "d", datetime(2026, 11, 30, 23, tzinfo=UTC), keep=True)
    status, lines, errors = clips("list", "--json", *filters)
    assert "".join(json.loads(line)["id"] for line in lines) == found
    assert (status, errors) == (0, [] if found else ["edgeaudio: no clips"])


def test_json_has_the_whole_record_and_its_folder(clips, folder) -> None:
    clip = put_clip(folder, "a", AT, label="Hund ü")
    _, [line], _ = clips("list", "--json")
    assert json.loads(line) == {"folder": str(folder), **json.loads(clip.file.read_text())}
    assert "ü" in line
    assert clips("show", "a", "--json")[1] == [line]


def test_what_is_broken_is_a_line_each_and_the_rest_is_listed(clips, folder) -> None:
    put_clip(folder, "whole", AT)
    put_clip(folder, "mute", AT).sound.unlink()
    (folder / "cut.json").write_text('{"version": 1')
    (folder / "notes.txt").write_text("mine")
    status, lines, errors = clips("list")
    assert status == 2
    assert [line.split()[-1] for line in lines] == ["id", "whole"]
    assert len(errors) == 2
    assert errors[0].startswith(f"edgeaudio: {folder}/cut.json: left out: ")
    assert errors[1].endswith("_porch-dog_mute.wav is missing")


def test_what_is_broken_is_counted_where_it_is_too_much(clips, folder) -> None:
    put_clip(folder, "whole", AT)
    for number in range(MAX_LINES + 5):
        (folder / f"{number}.json").write_text("{")
    status, lines, errors = clips("list")
    assert (status, len(lines), len(errors)) == (2, 2, MAX_LINES + 1)
    assert errors[-1] == "edgeaudio: and 5 more"


@pytest.mark.parametrize("action", [["list"], ["show", "a"], ["keep", "a"], ["export", "--layout", "raven", "out"]])
def test_a_folder_that_is_not_there_is_one_line(clips, folder, monkeypatch, tmp_path, action) -> None:
    monkeypatch.chdir(tmp_path)
    status, lines, errors = clips(*action)
    assert (status, lines) == (2, [])
    assert errors == [
        (
            f"edgeaudio: the clips in {folder} cannot be read: No such file or directory; "
            "the agent makes it where clips.enabled is true"
        )
    ]


@pytest.mark.parametrize(("line", "where"), [("", "state/clips"), ('clips.folder = "{0}/usb"', "usb")])
def test_the_folder_is_that_of_the_settings(capsys, tmp_path, line, where) -> None:
    put_clip(tmp_path / where, "a", AT)
    config = tmp_path / "edgeaudio.toml"
    config.write_text(f'state_dir = "{tmp_path}/state"\n{line.format(tmp_path)}\n')
    assert cli.main(["clips", "list", "--config", str(config), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["folder"] == str(tmp_path / where)


@pytest.mark.parametrize("action", ["list", "show", "keep"])
@pytest.mark.parametrize("label", ATTACKS)
def test_no_label_breaks_what_is_printed(clips, folder, label, action) -> None:
    put_clip(folder, "a", AT, label=label)
    put_clip(folder, "b", AT)
    status, lines, errors = clips(action, *([] if action == "list" else ["a"]))
    assert (status, errors) == (0, [])
    assert all(line.isprintable() for line in lines)
    if action == "list":
        assert [line.split()[-1] for line in lines] == ["id", "b", "a"]


def test_thousands_are_listed_and_no_more_than_their_names_are_in_memory(clips, folder) -> None:
    count = 2 * PAGE + 500
    for number in range(count):
        put_clip(folder, f"id-{number}", AT + timedelta(seconds=number), n_bytes=1)
    _, lines, _ = clips("list")
    assert [line.split()[-1] for line in lines[1:]] == [f"id-{number}" for number in reversed(range(count))]
    found = ClipLibrary(folder).in_order(lambda _: True, newest_first=True)
    tracemalloc.start()
    ids = sum(isinstance(each, Clip) for each in found)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert ids == count
    assert peak_bytes / count < 1000  # of records it would be 7000


def test_all_that_is_known_is_shown_in_words(clips, folder) -> None:
    clip = put_clip(folder, "5f3a-1", AT, keep=True)
    clip = changed(
        clip,
        before=Length(asked_s=3, got_s=1.25),
        members={"home": 0.95, "yamnet": 0.8},
        gaps=tuple(Gap(at=16_000 * number, lost_s=0.5) for number in range(25)),
        picture=clip.sound.with_suffix(".webp").name,
    )
    status, lines, errors = clips("show", "5f")
    assert (status, errors) == (0, [])
    text = "\n".join(" ".join(line.split()) for line in lines)
    for fact in (
        "id 5f3a-1",
        "when 2026-11-30 11:19:00.000 CET (2026-11-30T10:19:00.000Z)",
        "source porch of garden",
        "score 0.900 at its highest; an event begins at 0.5 and ends under 0.25\n",
        "under 0.25\nof which 0.950 by home\n0.800 by yamnet\nmodel",
        f"model home, sha256 {'0' * 64}",
        "event begins at 3.000 s of the file (sample 48000), ends at 5.000 s (sample 80000), 2.000 s",
        "before 1.25 s of 3 s asked for: the clip has less than was asked for",
        "after 2 s of 2 s asked for\n",
        "gaps 0.5 s missing at 0.000 s of the file (sample 0)\n0.5 s missing at 1.000 s",
        "and 5 more; --json has all",
        f"sound {clip.sound}\nwav, 16000 Hz, 1 channel, 112000 samples, 1000 bytes",
        f"picture {clip.picture}",
        f"record {clip.file}",
        "stream 16000 Hz; the clip begins at sample 0 of epoch 1",
        "kept yes: it is never removed",
    ):
        assert fact in text


def test_an_event_that_goes_on_after_its_clip_is_said(clips, folder) -> None:
    clip = put_clip(folder, "a", AT)
    changed(clip, end=None, threshold=None, sound=clip.record.sound.model_copy(update={"offset": None}))
    _, lines, _ = clips("show", "a")
    text = "\n".join(" ".join(line.split()) for line in lines)
    assert "event begins at 3.000 s of the file (sample 48000) and goes on after it" in text
    assert "score 0.900 at its highest\n" in text


def test_the_record_of_an_older_edgeaudio_has_no_off_threshold(clips, folder) -> None:
    changed(put_clip(folder, "a", AT), off_threshold=None)
    _, lines, _ = clips("show", "a")
    assert any(line.endswith(" 0.900 at its highest; an event begins at 0.5") for line in lines)


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ("ab", "'ab' begins the ids of several clips, such as ab-1 and ab-2"),
        ("z", "no clip in {folder} has the id 'z'; `edgeaudio clips list` shows them"),
        ("", "the clip's id is empty; `edgeaudio clips list` shows them"),
    ],
)
@pytest.mark.parametrize("action", ["show", "keep"])
def test_an_id_that_is_none_or_several_is_one_line(clips, folder, action, wanted, why) -> None:
    for event_id in ("ab-1", "ab-2"):
        put_clip(folder, event_id, AT)
    assert clips(action, wanted) == (2, [], [f"edgeaudio: {why.format(folder=folder)}"])


def test_clips_are_kept_and_let_go(clips, folder) -> None:
    for event_id in ("ab-1", "ab-2", "c"):
        put_clip(folder, event_id, AT)
    status, lines, errors = clips("keep", "ab-1", "none", "c", "ab-1")
    assert (status, lines) == (2, ["ab-1: kept", "c: kept"])
    assert len(errors) == 1
    assert [json.loads(line)["id"] for line in clips("list", "--kept", "--json")[1]] == ["c", "ab-1"]
    assert clips("keep", "--not", "c", "ab-2") == (0, ["c: no longer kept", "ab-2: no longer kept"], [])
    assert [json.loads(line)["id"] for line in clips("list", "--kept", "--json")[1]] == ["ab-1"]


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "0001-01-01", "9999-12-31T23:59:59-14:00"])
def test_what_is_no_time_is_one_line(clips, folder, capsys, text) -> None:
    folder.mkdir()
    with pytest.raises(SystemExit) as ended:
        clips("list", "--since", text)
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.startswith(f"edgeaudio: argument --since: {text} is no time; write 2026-11-30")
    assert error.count("\n") == 1
