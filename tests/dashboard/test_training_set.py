"""What was reviewed as a training set: in a folder, as an archive, and read by the trainer's own loader."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shlex
import sqlite3
import time
import unicodedata
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from dashboard.test_reviews import KEEP_S, LAYOUT_1, SHA, judged
from dashboard.values import AT_MS, NOW_S, history_of, offset, onset
from support.dashboards import own_history
from support.published_media import clip, tone

from edgeaudio import cli
from edgeaudio.dashboard import training_set
from edgeaudio.dashboard.history import Filter, History
from edgeaudio.dashboard.media.archive import MediaArchive
from edgeaudio.dashboard.media.wire import BY_SUFFIX, Medium
from edgeaudio.dashboard.missed import MissedSounds
from edgeaudio.dashboard.reviews import Reviews
from edgeaudio.dashboard.service import Dashboard
from edgeaudio.dashboard.training_set import Sound
from tools.training.dataset import read_dataset, source_of
from tools.training.recordings import read_audio

DAY_S = 86_400.0
HOSTILE = "../<b>:x"
Run = Callable[..., tuple[int, str, str]]


def fill(history: History) -> None:
    """Of three days: right ones, one of another label, wrong ones, one of a hostile label, some that nobody judged."""
    for day in range(3):
        after_s = (day - 3) * DAY_S
        names = [f"{kind}-{day}" for kind in ("right", "other", "wrong", "none")]
        history.write([onset(name, after_s=after_s + n, seq=n) for n, name in enumerate(names)], NOW_S)
        history.write([offset(names[0], after_s=after_s, lasted_s=2.0, seq=9)], NOW_S)
        verdicts = [judged(names[0], "right"), judged(names[1], "other", "cat"), judged(names[2], "wrong")]
        Reviews(history).judge(verdicts, "anna", NOW_S)
    history.write([onset("hostile", label=HOSTILE), onset("test", test=True)], NOW_S)
    Reviews(history).judge([judged("hostile", "right")], "anna", NOW_S)
    MissedSounds(history.database).add("dock", "porch", "owl", (AT_MS, AT_MS + 5000), "anna", NOW_S)


def put_clips(media: MediaArchive) -> None:
    """Clips of all that is judged but the first day's: WAV, and FLAC of the last day."""
    for day, form in ((1, "wav"), (2, "flac")):
        content = clip(tone(440.0, seconds=0.5), form)  # type: ignore[arg-type]
        for kind in ("right", "other", "wrong"):
            assert media.put(Medium("dock", "porch", f"{kind}-{day}", BY_SUFFIX[form], content), None, NOW_S)
    assert media.put(Medium("dock", "porch", "hostile", BY_SUFFIX["opus"], clip(tone(440.0, seconds=0.5))), None, NOW_S)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "dashboard.sqlite"
    with history_of(path, keep_s=KEEP_S, sha256_of=lambda *_: SHA["a"]) as history:
        fill(history)
        media = MediaArchive(history.database, tmp_path / "received", max_bytes=10**9, keep_s=KEEP_S, min_free_bytes=0)
        with closing(media):
            put_clips(media)
    return path


@pytest.fixture
def run(database: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `edgeaudio dashboard export`; its status, and what it printed on standard output and standard error."""
    settings = [f"dashboard.database={database}", f"dashboard.clips_dir={database.with_name('received')}"]

    def run(*words: object) -> tuple[int, str, str]:
        status = cli.main(["dashboard", *(f"--set={setting}" for setting in settings), "export", *map(str, words)])
        return (status, *capsys.readouterr())

    return run


def test_the_trainer_reads_what_is_exported(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "set"
    status, printed, _ = run(out)
    assert status == 0
    assert printed == (
        f"{out}: 7 sounds of 11 records in reviews.jsonl\n"
        f"next: python -m tools.train_model {out}/labels --negatives {out}/negatives --out runs/NAME\n"
    )
    entries = read_dataset(out / "labels", [out / "negatives"], 1)
    labels = [entry.label for entry in entries]
    (hostile,) = {label for label in labels if label} - {"dog", "cat"}
    assert hostile.startswith("b-x-")
    assert sorted(map(str, labels)) == sorted(["dog", "dog", "cat", "cat", hostile, "None", "None"])
    for entry in entries:
        assert len(read_audio(entry.path, 8000)) == pytest.approx(4000, abs=200), entry.path
    assert {entry.path.suffix for entry in entries} == {".wav", ".flac", ".opus"}
    # recordings of one source and day stay together
    assert {source_of(entry.path) for entry in entries} == {f"202611{day}_dock_porch" for day in ("18", "19", "20")}
    records = {entry.path: json.loads(entry.path.with_suffix(".json").read_text()) for entry in entries}
    for path, record in records.items():
        assert out / record["file"] == path
        assert (record["reviewer"], record["model"], record["model_sha256"]) == ("anna", "home", SHA["a"])
    (right,) = [record for record in records.values() if record["id"] == "right-1"]
    assert right == {
        "version": 1,
        "kind": "event",
        "label": "dog",
        "verdict": "right",
        "reviewer": "anna",
        "reviewed_at": "2026-11-20T12:01:01.000Z",
        "id": "right-1",
        "device": "dock",
        "source": "porch",
        "detected_label": "dog",
        "score": 0.9,
        "model": "home",
        "model_sha256": SHA["a"],
        "begin": "2026-11-18T12:01:00.000Z",
        "end": "2026-11-18T12:01:02.000Z",
        "duration_s": 2.0,
        "file": "labels/dog/20261118_dock_porch-120100000Z_right_1.wav",
    }
    (other,) = [record for record in records.values() if record["id"] == "other-2"]
    assert (other["label"], other["detected_label"], other["verdict"]) == ("cat", "dog", "other")
    (wrong,) = [record for record in records.values() if record["id"] == "wrong-2"]
    assert (wrong["label"], wrong["detected_label"]) == (None, "dog")
    assert wrong["file"].startswith("negatives/dog/")


def test_all_records_are_in_one_file_those_without_sound_too(run: Run, tmp_path: Path) -> None:
    run(tmp_path / "set")
    lines = [json.loads(line) for line in (tmp_path / "set" / "reviews.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines if line["kind"] == "event" and line["file"] is None] == [
        f"{kind}-0" for kind in ("right", "other", "wrong")
    ]
    (missed,) = [line for line in lines if line["kind"] == "missed"]
    assert missed == {
        "version": 1,
        "kind": "missed",
        "label": "owl",
        "reviewer": "anna",
        "reviewed_at": "2026-11-20T12:01:01.000Z",
        "device": "dock",
        "source": "porch",
        "begin": "2026-11-20T12:01:00.000Z",
        "end": "2026-11-20T12:01:05.000Z",
        "duration_s": 5.0,
        "covered_by": None,
        "file": None,
    }
    assert {path.name for path in (tmp_path / "set").iterdir()} == {"labels", "negatives", "reviews.jsonl"}


def test_filters_choose(run: Run, tmp_path: Path) -> None:
    assert run("--label", "cat", tmp_path / "cats")[1].startswith(f"{tmp_path / 'cats'}: 2 sounds of 3 records")
    since = run("--since", "2026-11-19T00:00Z", "--until", "2026-11-20T00:00Z", tmp_path / "day")[1]
    assert since.startswith(f"{tmp_path / 'day'}: 3 sounds of 3 records")
    status, printed, problem = run("--device", "shed", tmp_path / "none")
    assert (status, printed, problem) == (0, "", "edgeaudio: nothing is reviewed, or nothing passes the filters\n")
    assert not (tmp_path / "none").exists()


def test_a_folder_with_another_set_is_left_alone(run: Run, tmp_path: Path) -> None:
    run(tmp_path / "set")
    before = sorted(tmp_path.joinpath("set").rglob("*"))
    status, _, problem = run(tmp_path / "set")
    assert status == 2
    assert problem == (
        f"edgeaudio: {tmp_path / 'set'}: is not empty, and verdicts may have changed since: export to a new folder\n"
    )
    assert sorted(tmp_path.joinpath("set").rglob("*")) == before
    (tmp_path / "file").touch()
    status, _, problem = run(tmp_path / "file" / "x")
    assert status == 2
    assert problem.endswith("cannot be written: Not a directory\n")


def test_a_clip_that_is_shorter_than_it_was_is_none(run: Run, tmp_path: Path) -> None:
    for file in (tmp_path / "received").glob("media-*"):
        os.truncate(file, 100)
    _, printed, _ = run(tmp_path / "set")
    assert printed.endswith("of none of them a clip is here: set clips.publish on the devices (docs/clips.md)\n")
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["reviews.jsonl"]


def test_a_clip_that_shrinks_while_it_is_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "clip").write_bytes(b"1234")
    entry = training_set.Entry({"id": "e1"}, ("dock", "porch", "e1"), PurePosixPath("labels/dog/x"))
    sound = Sound(os.open(tmp_path / "clip", os.O_RDONLY), 5, "wav")
    assert list(training_set.items([entry], lambda _: sound)) == [training_set.Item((), '{"id": "e1", "file": null}\n')]


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda path: None, "is not there; set dashboard.database to that of the dashboard"),
        (lambda path: path.write_bytes(b"x" * 5000), "file is not a database"),
        (
            lambda path: sqlite3.connect(path).executescript(LAYOUT_1).close(),
            "is of an older edgeaudio: start the dashboard once, which brings it up to date",
        ),
    ],
)
def test_a_history_that_cannot_be_read_is_one_line(
    make: Callable[[Path], object], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.sqlite"
    make(path)
    status = cli.main(["dashboard", "export", "--set", f"dashboard.database={path}", str(tmp_path / "set")])
    assert status == 2
    assert capsys.readouterr().err == f"edgeaudio: history {path}: {problem}\n"


def test_a_running_dashboard_is_no_obstacle(run: Run, database: Path, tmp_path: Path) -> None:
    with history_of(database, keep_s=KEEP_S) as history:
        history.write([onset("more")], NOW_S)
        Reviews(history).judge([judged("more", "right")], "anna", NOW_S)
        assert "7 sounds of 12 records" in run(tmp_path / "set")[1]


def test_a_sound_whose_verdict_changes_meanwhile_is_there_once(tmp_path: Path) -> None:
    with history_of(tmp_path / "h.sqlite", keep_s=KEEP_S) as history:
        history.write([onset(f"e{n}", after_s=n, seq=n) for n in range(3)], NOW_S)
        reviews = Reviews(history)
        reviews.judge([judged(f"e{n}", "right") for n in range(3)], "anna", NOW_S)
        found = training_set.entries(history, MissedSounds(history.database), Filter())
        events = [next(found).event]
        reviews.judge([judged("e0", "wrong"), judged("e2", "wrong")], "bob", NOW_S)
        events += [entry.event for entry in found]
    assert sorted(filter(None, events)) == [("dock", "porch", f"e{n}") for n in range(3)]


def test_labels_that_file_systems_take_for_one_have_folders_of_their_own(tmp_path: Path) -> None:
    labels = ["Dog", "dog", "DOG", "café", "cafe\u0301", "lpt\u00b9", "con .x"]
    with history_of(tmp_path / "h.sqlite", keep_s=KEEP_S) as history:
        history.write([onset(f"e{n}", label=label, seq=n) for n, label in enumerate(labels)], NOW_S)
        Reviews(history).judge([judged(f"e{n}", "right") for n in range(len(labels))], "anna", NOW_S)
        found = list(training_set.entries(history, MissedSounds(history.database), Filter()))
    folders = {entry.place.parts[1] for entry in found if entry.place is not None}
    assert len({unicodedata.normalize("NFKC", folder).casefold() for folder in folders}) == len(labels)
    assert not any(folder.startswith(("lpt\u00b9", "con ")) for folder in folders)


def test_the_command_that_trains_can_be_pasted_whatever_the_folder_s_name(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "my set; it's"
    (line,) = (line for line in run(target)[1].splitlines() if line.startswith("next: "))
    assert shlex.split(line)[4:7] == [f"{target}/labels", "--negatives", f"{target}/negatives"]


@pytest.fixture
def filled(dashboard: Dashboard) -> Dashboard:
    fill(own_history(dashboard))
    put_clips(dashboard.media)
    return dashboard


def download(dashboard: Dashboard, query: str = "") -> tuple[int, dict[str, str], bytes]:
    app = pytest.importorskip("edgeaudio.dashboard.web.app", reason="starlette is not installed")
    messages: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        messages.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/api/export",
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost")],
    }
    asyncio.run(app.make_app(dashboard)(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
    return messages[0]["status"], headers, b"".join(message["body"] for message in messages[1:])


def test_a_browser_downloads_the_same_set(filled: Dashboard, run: Run, tmp_path: Path) -> None:
    status, headers, content = download(filled)
    assert (status, headers["content-type"]) == (200, "application/zip")
    assert headers["content-disposition"].startswith('attachment; filename="edgeaudio-training-20')
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "unpacked")
    run(tmp_path / "set")
    names = [
        sorted(path.relative_to(top) for path in top.rglob("*")) for top in (tmp_path / "unpacked", tmp_path / "set")
    ]
    assert names[0] == names[1]
    read_dataset(tmp_path / "unpacked" / "labels", [tmp_path / "unpacked" / "negatives"], 1)
    only_cats = zipfile.ZipFile(io.BytesIO(download(filled, "label=cat&verdict=other")[2]))
    assert len(only_cats.read("reviews.jsonl").splitlines()) == 3
    assert download(filled, "verdict=unreviewed")[0] == 400


def test_an_archive_that_is_too_large_says_so(filled: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    routes = pytest.importorskip("edgeaudio.dashboard.web.export_routes", reason="starlette is not installed")
    for limit, value, problem in (
        ("MAX_RECORDS", 2, "there are over 2 records; narrow it"),
        ("MAX_BYTES", 1, "the sounds have over 0 MB; narrow it"),
        ("LIMIT_S", 0.0, "it took over 0 min; narrow it"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(routes, limit, value)
            archive = zipfile.ZipFile(io.BytesIO(download(filled)[2]))
        text = archive.read("INCOMPLETE.txt").decode()
        assert text.startswith(f"Something is missing: {problem}")
        assert len(archive.read("reviews.jsonl").splitlines()) < 11


def test_a_database_that_fails_meanwhile_leaves_a_whole_archive_that_says_so(
    filled: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(filled.database.path)) as db:
        db.execute("DROP TABLE missed")
    archive = zipfile.ZipFile(io.BytesIO(download(filled)[2]))
    assert "no such table: missed" in archive.read("INCOMPLETE.txt").decode()
    assert len(archive.read("reviews.jsonl").splitlines()) == 10


def test_what_has_no_verdict_is_in_no_set(filled: Dashboard) -> None:
    found = list(training_set.entries(filled.history, filled.missed, Filter(verdict="unreviewed")))
    assert found == []


def test_a_browser_that_takes_nothing_holds_up_others_for_a_while_alone(
    filled: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = pytest.importorskip("edgeaudio.dashboard.web.app", reason="starlette is not installed")
    routes = pytest.importorskip("edgeaudio.dashboard.web.export_routes")
    served = app.make_app(filled)
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/api/export",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
    }
    statuses: list[int] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def ask(stalled: asyncio.Event | None = None) -> None:
        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
            elif stalled is not None:
                stalled.set()
                await asyncio.Event().wait()

        await served(scope, receive, send)

    async def all_of_it() -> None:
        monkeypatch.setattr(routes, "LIMIT_S", 60.0)
        stalled = asyncio.Event()
        first = asyncio.create_task(ask(stalled))
        await stalled.wait()
        await ask()
        now_s = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now_s + 61.0)
        await ask()
        await ask()
        monkeypatch.undo()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)

    asyncio.run(all_of_it())
    assert statuses == [200, 503, 200, 200]
