"""A disk that fails, is full or slow, and a killed process: clips are lost and counted, and nothing half is left."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support.clip_studio import LOUD, Listener, Studio, clips_in, config, limits, quiet
from support.clips import listing_of, put_clip
from support.sinks import opened, running
from support.sound_files import decoded
from support.waiting import wait_until

from edgeaudio.health.report import SinkState
from edgeaudio.hub import Hub
from edgeaudio.recognise.manifest import ClipSection
from edgeaudio.sinks.clips import folder as clip_folder
from edgeaudio.sinks.clips.errors import ClipsError
from edgeaudio.sinks.clips.sink import ClipsSink
from edgeaudio.types import Block, EpochEnd, Event, Level, Scores

pytestmark = pytest.mark.integration

RATE = 8000
CLIP = ClipSection(sample_rate=4000, n_samples=1200, period_ms=70)


def bangs(n_s: int, *at_s: int):
    sound = quiet(n_s * RATE)
    for each in at_s:
        sound[each * RATE : each * RATE + 4000] *= 100
    return sound


def studio_of(sink: ClipsSink) -> Studio:
    studio = Studio(sink, [Listener("bangs", CLIP, hold_s=0.2)])
    studio.connect()
    return studio


class Publishing:
    """Stands for a sink whose items come by the hub."""

    def __init__(self, hub: Hub) -> None:
        self.handle = hub.publish

    def tick(self) -> None:
        pass


class Paced(Publishing):
    """Publishes no faster than what it publishes is handled."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self._hub = hub
        self.handle = self._publish

    def _publish(self, item: object) -> None:
        self._hub.publish(item)
        for subscription in self._hub._by_type.get(type(item), ()):
            subscription.wait_idle(1.0)


def test_a_full_disk_disables_the_sink_with_one_line_and_it_writes_again_afterwards(tmp_path, monkeypatch, caplog):
    full = threading.Event()
    real = os.write

    def write(descriptor: int, data: bytes) -> int:
        if full.is_set():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data)

    monkeypatch.setattr("edgeaudio.media.writer.os.write", write)
    hub, sink = Hub(), ClipsSink(config(tmp_path))
    with running(sink, hub) as runner:
        opened(sink, hub)
        studio = studio_of(Publishing(hub))  # type: ignore[arg-type]
        full.set()
        studio.play(bangs(20, 8, 12), RATE)
        wait_until(lambda: sink.lost)
        wait_until(lambda: runner.numbers().failures)
        assert runner.numbers().lost == sink.lost
        full.clear()
        wait_until(lambda: runner.numbers().state is SinkState.RUNNING)
        opened(sink, hub)
        studio.connect(after_s=1.0)
        studio.play(bangs(20, 8), RATE)
        wait_until(lambda: sink.written)
        detail = next(line for line in caplog.messages if "is disabled" in line)
    assert "No space left on device" in detail
    assert "clips are lost so far" in detail
    assert "Traceback" not in caplog.text
    assert len(clips_in(tmp_path)) == 1


def test_a_real_disk_that_is_full_loses_clips_and_leaves_no_half_one(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting needs root")
    try:
        hub, sink = Hub(), ClipsSink(config(disk / "clips"))
        with running(sink, hub):
            opened(sink, hub)
            studio = studio_of(Paced(hub))  # type: ignore[arg-type]
            studio.play(bangs(60, 8, 20, 32, 44), RATE, block=4000)
            wait_until(lambda: sink.lost)
        assert len(studio.events) == 8
        assert sink.written >= 1
        assert len(clips_in(disk / "clips")) == sink.written
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_too_little_room_removes_old_clips_and_else_is_one_line(tmp_path, monkeypatch):
    for number in range(3):
        put_clip(tmp_path, f"id-{number}", studio_start(), n_bytes=100_000, keep=number == 0)
    free = [950_000]
    sink = ClipsSink(config(tmp_path, limits=limits(min_free_bytes=1_000_000)))
    monkeypatch.setattr(sink._folder, "free_bytes", lambda: free[0] + 100_000 * (3 - len(list(tmp_path.glob("*.wav")))))
    sink._retention._free_bytes = sink._folder.free_bytes
    sink.open()
    assert listing_of(tmp_path).count == 2
    studio = studio_of(sink)
    free[0] = 100_000
    with pytest.raises(ClipsError, match=r"1 clips are lost so far: the disk .* has 0 MB left, and clips\.min_free_mb"):
        studio.play(bangs(20, 8), RATE)
    sink.close()
    with pytest.raises(ClipsError, match=r"clips\.min_free_mb keeps 1 free; remove something, or lower it"):
        sink.open()
    assert [clip.record.review.keep for clip in listing_of(tmp_path).clips] == [True]


def test_a_slow_disk_loses_sound_and_clips_but_the_hub_goes_on(tmp_path, monkeypatch):
    let_go = threading.Event()
    monkeypatch.setattr(clip_folder.ClipFolder, "put", lambda *_: let_go.wait(60) and 0)
    hub, sink = Hub(), ClipsSink(config(tmp_path))
    others = hub.subscribe("others", {Event})
    with running(sink, hub) as runner:
        opened(sink, hub)
        studio = studio_of(Publishing(hub))  # type: ignore[arg-type]
        begin_s = time.monotonic()
        studio.play(bangs(120, 8, 60), RATE)
        assert time.monotonic() - begin_s < 30
        assert len(others.take(1.0)) == 4
        wait_until(lambda: runner.numbers().dropped_s > 0)
        let_go.set()


@pytest.mark.parametrize("blocked", ["a file", "a folder without permission"])
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, blocked):
    folder = tmp_path / "clips"
    if blocked == "a file":
        folder.write_text("mine")
    else:
        if os.geteuid() == 0:
            pytest.skip("root may write everywhere")
        folder.mkdir(mode=0o500)
    for attempt in (ClipsSink(config(folder)).open, clip_folder.ClipFolder(folder).try_out):
        with pytest.raises(ClipsError, match=f"clips cannot be written to {folder}: ") as caught:
            attempt()
        assert "\n" not in str(caught.value)


def test_two_agents_do_not_share_a_folder(tmp_path):
    first, second = ClipsSink(config(tmp_path)), ClipsSink(config(tmp_path))
    first.open()
    with pytest.raises(ClipsError, match="another edgeaudio writes clips"):
        second.open()
    first.close()
    second.open()
    second.close()


_KILLED = """
import os, signal, sys
from pathlib import Path
from support.clip_studio import Listener, Studio, config
from test_disk import bangs, studio_of, RATE
from edgeaudio.sinks.clips import folder
from edgeaudio.sinks.clips.sink import ClipsSink
where, path = sys.argv[1], Path(sys.argv[2])
kill = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
if where == "before the record":
    folder.write_new = kill
if where == "in the record":
    def write_half(path, content, real=folder.write_new):
        real(path, content[: len(content) // 2])
        kill()
    folder.write_new = write_half
if where == "before the moves":
    Path.replace = kill
if where == "between the moves":
    real = Path.replace
    Path.replace = lambda self, to: kill() if self.suffix == ".json" else real(self, to)
sink = ClipsSink(config(path))
sink.open()
studio = studio_of(sink)
sound = bangs(30, 8, 20)
studio.play(sound[: 9 * RATE] if where == "while it is written" else sound, RATE)
assert list((path / ".incomplete").iterdir())
kill()
"""


@pytest.mark.parametrize(
    ("where", "n_clips"),
    [
        ("while it is written", 0),
        ("before the record", 0),
        ("in the record", 0),
        ("before the moves", 1),
        ("between the moves", 1),
    ],
)
def test_a_killed_process_leaves_no_half_clip_and_the_next_one_tidies_up(tmp_path, where, n_clips):
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, where, tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (here, here.parents[1], here.parents[2])))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert listing_of(tmp_path).count == 0
    assert list((tmp_path / ".incomplete").iterdir())
    sink = ClipsSink(config(tmp_path))
    sink.open()
    sink.close()
    clips = clips_in(tmp_path)
    assert len(clips) == n_clips
    for clip in clips:
        found, _ = decoded(clip.sound)
        assert len(found) == clip.record.sound.count


def test_trying_a_folder_leaves_nothing(tmp_path):
    clip_folder.ClipFolder(tmp_path / "state" / "clips").try_out()
    assert list(tmp_path.iterdir()) == []
    sink = ClipsSink(config(tmp_path / "clips"))
    sink.open()
    clip_folder.ClipFolder(tmp_path / "clips").try_out()
    sink.close()
    assert [file.name for file in (tmp_path / "clips").iterdir()] == [".incomplete"]


def test_the_clip_of_an_event_that_finds_no_folder_counts_as_lost(tmp_path):
    sink = ClipsSink(config(tmp_path / "clips"))
    sink.open()
    studio = studio_of(sink)
    studio.play(bangs(4), RATE)
    shutil.rmtree(tmp_path / "clips")
    with pytest.raises(ClipsError, match=r"^1 clips are lost so far: .*No such file or directory"):
        studio.play(bangs(20, 8), RATE)
    assert sink.lost == 1
    sink.close()


def test_on_a_disk_that_clips_fill_the_oldest_give_way_before_the_next_is_lost(tmp_path, monkeypatch):
    capacity = 1_500_000
    sink = ClipsSink(config(tmp_path, limits=limits(min_free_bytes=1_000_000)))
    used = lambda: sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())  # noqa: E731
    monkeypatch.setattr(sink._folder, "free_bytes", lambda: capacity - used())
    sink._retention._free_bytes = sink._folder.free_bytes
    sink.open()
    studio_of(sink).play(bangs(128, *range(8, 120, 8)), RATE)
    assert sink.written == 14
    assert sink.lost == 0
    assert 1 < len(clips_in(tmp_path)) < 5
    sink.close()


def test_what_others_have_in_a_folder_called_incomplete_stays(tmp_path):
    incomplete = tmp_path / ".incomplete"
    incomplete.mkdir()
    (incomplete / "film.part").write_text("of another program")
    ours = ("20261130T101900123Z_porch-dog_x.wav", "20261130T101900123Z_porch-dog_x.json")
    for name in ours:
        (incomplete / name).write_text("left")
    sink = ClipsSink(config(tmp_path))
    sink.open()
    assert [file.name for file in incomplete.iterdir()] == ["film.part"]
    sink.close()


def test_nothing_is_removed_behind_a_link(tmp_path):
    theirs = tmp_path / "theirs" / "20261130T101900123Z_porch-dog_x.wav"
    theirs.parent.mkdir()
    theirs.write_text("sound")
    clips = tmp_path / "clips"
    clips.mkdir()
    (clips / ".incomplete").symlink_to(theirs.parent)
    for attempt in (ClipsSink(config(clips)).open, clip_folder.ClipFolder(clips).try_out):
        with pytest.raises(ClipsError, match=r"clips/\.incomplete is a symbolic link; remove it"):
            attempt()
    assert theirs.exists()


@pytest.mark.parametrize("left", ["another's sound", "a link", "a shorter sound"])
def test_a_record_that_does_not_fit_its_sound_completes_nothing(tmp_path, left):
    clip = put_clip(tmp_path / "made", "id-1", studio_start())
    other = put_clip(tmp_path / "clips", "id-2", studio_start(), n_bytes=1500)
    incomplete = tmp_path / "clips" / ".incomplete"
    incomplete.mkdir()
    record = clip.record
    if left == "another's sound":
        record = record.model_copy(update={"sound": other.record.sound})
        (incomplete / other.sound.name).write_bytes(bytes(other.record.sound.bytes))
    elif left == "a link":
        (incomplete / clip.sound.name).symlink_to(clip.sound)
    else:
        (incomplete / clip.sound.name).write_bytes(bytes(record.sound.bytes - 1))
    (incomplete / clip.file.name).write_text(record.to_json())
    before = other.sound.stat().st_ino
    sink = ClipsSink(config(tmp_path / "clips"))
    sink.open()
    sink.close()
    assert [each.record.id for each in clips_in(tmp_path / "clips")] == ["id-2"]
    assert other.sound.stat().st_ino == before
    assert clip.sound.exists()


def test_a_stop_finishes_clips_with_the_sound_that_came(tmp_path):
    hub, sink = Hub(), ClipsSink(config(tmp_path))
    with running(sink, hub):
        opened(sink, hub)
        studio = studio_of(Publishing(hub))  # type: ignore[arg-type]
        studio.play(bangs(9, 8), RATE)
        studio.disconnect()
    (clip,) = clips_in(tmp_path)
    assert clip.record.label == LOUD
    assert clip.record.origin.first + clip.record.sound.count == 9 * RATE
    assert sink.accepts == {Block, EpochEnd, Level, Scores, Event}


def studio_start():
    return Studio(ClipsSink(config(Path("/nowhere"))), [])._at
