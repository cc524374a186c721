"""Notes that a process leaves, the verdict on its crash, and the quarantine that follows."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.agent.crash_notes import CrashNotes, Phase, read_notes, write_notes
from edgeaudio.agent.crash_suspects import suspects_of
from edgeaudio.agent.source_quarantine import SourceQuarantine
from edgeaudio.capture.admission import Hold
from edgeaudio.capture.config import SourceConfig
from edgeaudio.clock import Clock
from edgeaudio.runtime_files import RuntimeDir, find_runtime_dir

NOTES = CrashNotes(
    "boot",
    1,
    0,
    opened={"away": (Phase.OPENING, 17), "young": (Phase.SOUNDING, 18), "old": (Phase.PROVEN, 19)},
)
SEGV = "Fatal Python error: Segmentation fault\n\n{}hread 0x{:016x} (most recent call first):\n  File x\n"


@pytest.mark.parametrize(
    ("notes", "stacks", "kills", "suspects"),
    [
        (NOTES, SEGV.format("Current t", 1), 0, {"away", "young"}),
        (NOTES, SEGV.format("T", 17), 0, {"away", "young"}),  # a thread of FFmpeg's own
        (NOTES, SEGV.format("Current t", 17), 0, {"away"}),
        (NOTES, SEGV.format("Current t", 19), 0, {"old"}),  # proven or not
        (NOTES, SEGV.format("Current t", 1).replace("Segmentation fault", "Aborted"), 0, set()),
        (NOTES, SEGV.format("Current t", 18).replace("Segmentation fault", "Aborted"), 0, {"young"}),
        (NOTES, SEGV.format("Current t", 20) + '  File "/x/edgeaudio/agent/recogniser.py", line 9\n\nThread', 0, set()),
        (
            NOTES,
            SEGV.format("Current t", 20) + '\nThread\n  File "/x/edgeaudio/agent/recogniser.py"',
            0,
            {"away", "young"},
        ),
        (NOTES, "", 1, {"away", "young"}),
        (NOTES, "", 0, set()),
        (NOTES, "", None, set()),
        (NOTES, "Timeout (0:02:00)!\nThread 0x0000000000000011 (most recent call first):\n", 1, set()),
        (replace(NOTES, trial="young"), SEGV.format("Current t", 1), 0, {"young"}),
        (replace(NOTES, trial="old"), SEGV.format("Current t", 1), 0, {"away", "young"}),
        (replace(NOTES, stuck="old", aborted="it hung"), "", 0, {"old"}),
        (replace(NOTES, aborted="the sender hung"), "", 1, set()),
        (replace(NOTES, killed={"away": 2, "young": 2}), "", 0, {"away"}),
        (replace(NOTES, killed={"away": 1}), "", 0, set()),
    ],
)
def test_the_strongest_evidence_counts(notes: CrashNotes, stacks: str, kills: int | None, suspects: set[str]):
    assert set(suspects_of(notes, stacks, kills).suspects) == suspects


def test_kills_in_a_row_are_counted():
    death = suspects_of(NOTES, "", 0)
    assert death.killed == {"away": 1}
    assert suspects_of(replace(NOTES, killed=death.killed), "", 0).killed == {"away": 2}
    assert suspects_of(replace(NOTES, killed={"away": 2}), "", 0).killed == {}


def test_notes_are_read_as_they_were_written(tmp_path: Path):
    for notes in (
        NOTES,
        CrashNotes("", 0, None),
        replace(NOTES, trial="young", stuck="old", aborted="x", killed={"away": 1}),
    ):
        write_notes(tmp_path / "x.opened", notes)
        assert read_notes(tmp_path / "x.opened") == notes
    assert [path.name for path in tmp_path.iterdir()] == ["x.opened"]


@given(
    st.binary(max_size=300)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda v: json.dumps(v).encode())
)
def test_unreadable_notes_are_none(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    path = tmp_path_factory.getbasetemp() / "notes"
    path.write_bytes(content)
    assert read_notes(path) is None


@given(
    st.sampled_from(["boot_id", "main_thread", "opened", "trial", "stuck", "aborted", "killed", "kernel_kills"]),
    st.data(),
)
def test_notes_with_a_wrong_value_are_none(tmp_path_factory: pytest.TempPathFactory, key: str, data: st.DataObject):
    path = tmp_path_factory.getbasetemp() / "notes"
    write_notes(path, NOTES)
    values = json.loads(path.read_text())
    values[key] = data.draw(st.recursive(st.floats() | st.text(), st.lists) | st.dictionaries(st.text(), st.text()))
    path.write_text(json.dumps(values))
    notes = read_notes(path)
    assert notes is None or suspects_of(notes, "", 0).suspects is not None


def test_endless_notes_are_none(tmp_path: Path):
    (tmp_path / "x").write_text('{"boot_id": "' + "x" * 10_000_000)
    assert read_notes(tmp_path / "x") is None
    (tmp_path / "x").write_text("[" * 100_000)
    assert read_notes(tmp_path / "x") is None
    assert read_notes(tmp_path) is None


class Kept:
    """A store in memory that counts its writes."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {"restarts": "1"}
        self.writes = 0

    def settings(self) -> dict[str, str]:
        return dict(self.values)

    def set_setting(self, key: str, value: str | None) -> None:
        self.writes += 1
        if value is None:
            self.values.pop(key, None)
        else:
            self.values[key] = value


def config(name: str, url: str = "rtsp://cam/x") -> SourceConfig:
    return SourceConfig(name, url)


def begun(kept: Kept, runtime_dir: RuntimeDir | None, *configs: SourceConfig, stacks: str = "") -> SourceQuarantine:
    made = SourceQuarantine(kept, Clock())
    made.begin(runtime_dir, stacks, {each.name: each for each in configs})
    return made


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_camera_that_is_away_costs_no_writes_to_a_disk(
    in_memory: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    writes = 0

    def counted(path: Path, notes: CrashNotes) -> None:
        nonlocal writes
        writes += 1
        write_notes(path, notes)

    monkeypatch.setattr("edgeaudio.agent.crash_notes.write_notes", counted)
    kept, away, good = Kept(), config("away"), config("good")
    quarantine = begun(kept, RuntimeDir(tmp_path, in_memory), away, good)
    for admission in (quarantine.admission(good), quarantine.admission(away)):
        assert admission.ask() is None
        admission.sounding()
        admission.proven()
    admission.over()
    before = writes
    for _ in range(1000):
        assert admission.ask() is None
        admission.over()
    assert writes - before == (2000 if in_memory else 1)
    assert kept.writes == 0
    quarantine.end()
    assert not list(tmp_path.iterdir())


def test_a_suspect_that_is_away_costs_no_writes_to_a_disk_either(tmp_path: Path):
    kept, away = Kept(), config("away")
    folder = RuntimeDir(tmp_path, in_memory=False)
    first = begun(kept, folder, away)
    assert first.admission(away).ask() is None
    second = begun(kept, folder, away, stacks=SEGV.format("Current t", threading.get_ident()))
    assert isinstance(second.admission(away).ask(), Hold)
    sentence = json.loads(kept.values["quarantine/away"])
    assert sentence["crashes"] == 1
    kept.values["quarantine/away"] = json.dumps({**sentence, "until": "2020-01-01T00:00:00+00:00"})
    third = begun(kept, folder, away)
    admission, tries, writes = third.admission(away), 0, 0
    before = kept.writes
    for _ in range(100):
        stamp = folder.file("opened").stat().st_ino
        if admission.ask() is None:
            tries += 1
            admission.over()
        writes += folder.file("opened").stat().st_ino != stamp
    assert tries > 30
    assert writes <= 1
    assert kept.writes == before


def test_a_sentence_ends_when_the_source_s_address_changes(tmp_path: Path):
    kept, folder = Kept(), RuntimeDir(tmp_path, in_memory=True)
    assert begun(kept, folder, config("cam")).admission(config("cam")).ask() is None
    stacks = SEGV.format("Current t", threading.get_ident())
    quarantine = begun(kept, folder, config("cam"), stacks=stacks)
    assert quarantine.admission(config("cam")).ask() is not None
    # reloaded
    assert quarantine.admission(config("cam", "rtsp://other/x")).ask() is None
    assert "quarantine/cam" not in kept.values


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"address": 1, "crashes": "x", "until": 2}', '{"until": "2020"}'])
def test_an_unreadable_sentence_is_none(text: str, tmp_path: Path):
    kept = Kept()
    kept.values["quarantine/cam"] = text
    quarantine = begun(kept, RuntimeDir(tmp_path, in_memory=True), config("cam"))
    assert quarantine.admission(config("cam")).ask() is None
    assert kept.values == {"restarts": "1"}


def test_a_wrong_clock_makes_no_sentence_longer(tmp_path: Path):
    kept, folder, cam = Kept(), RuntimeDir(tmp_path, in_memory=True), config("cam")
    begun(kept, folder, cam).admission(cam).ask()
    begun(kept, folder, cam, stacks=SEGV.format("Current t", threading.get_ident()))
    sentence = json.loads(kept.values["quarantine/cam"])
    kept.values["quarantine/cam"] = json.dumps({**sentence, "until": "2100-01-01T00:00:00+00:00"})
    hold = begun(kept, None, cam).admission(cam).ask()
    assert hold is not None
    assert 50 < hold.wait_s <= 60


def test_agents_that_share_a_directory_do_not_share_notes(tmp_path: Path):
    environ = {"RUNTIME_DIRECTORY": str(tmp_path / "run")}
    names = set()
    for device, state in (("a", "x"), ("a", "y"), ("b", "x"), ("a-x", "x")):
        found = find_runtime_dir(device, tmp_path / state, environ)
        assert found is not None
        assert found.folder.parent == tmp_path / "run"
        assert found.folder.stat().st_mode & 0o077 == 0
        names.add(found.file("opened"))
    assert len(names) == 4


def test_the_state_directory_is_the_last_resort(tmp_path: Path):
    found = find_runtime_dir(
        "box", tmp_path / "state", {"RUNTIME_DIRECTORY": "/dev/null/x", "XDG_RUNTIME_DIR": "/dev/null"}
    )
    assert found is not None
    assert (found.folder, found.last_resort) == (tmp_path / "state", True)
    assert find_runtime_dir("box", Path("/dev/null/state"), {"RUNTIME_DIRECTORY": "/dev/null/x"}) is None


def test_a_directory_in_memory_is_recognised(memory_dir: Path):
    environ = {"RUNTIME_DIRECTORY": str(memory_dir)}
    found = find_runtime_dir("box", memory_dir, environ)
    assert found is not None
    assert found.in_memory
    found = find_runtime_dir("box", memory_dir, {"RUNTIME_DIRECTORY": str(Path(__file__).parent / "__pycache__")})
    assert found is not None
    assert not found.in_memory
