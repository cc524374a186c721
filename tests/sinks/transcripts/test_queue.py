"""The queue of utterances: on disk, bounded, and whole after any end of the process."""

from __future__ import annotations

import errno
import os
import re
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.spoken import AT, said

from edgeaudio.sinks.transcripts import utterance_queue
from edgeaudio.sinks.transcripts.errors import TranscriptsError
from edgeaudio.sinks.transcripts.utterance_file import (
    UtteranceFileError,
    UtteranceName,
    decode_utterance,
    encode_utterance,
    parse_name,
)
from edgeaudio.sinks.transcripts.utterance_folder import remove_utterances
from edgeaudio.sinks.transcripts.utterance_queue import UtteranceQueue

KB = 1000
ONE = 16 * KB + 100  # bytes of an utterance of half a second, or a few less


def id_of(number: int) -> str:
    return str(UUID(int=number))


class Clocks:
    """Clocks that a test moves."""

    def __init__(self) -> None:
        self.wall_s, self.steady_s = 1_800_000_000.0, 50.0


def queue_in(folder: Path, clocks: Clocks | None = None, *, open_for: tuple[str, ...] = ("porch",), **limits: int):
    clocks = clocks or Clocks()
    values = {"max_bytes": 1000 * KB, "max_age_s": 3600, "min_free_bytes": 0} | limits
    queue = UtteranceQueue(folder, now=lambda: clocks.wall_s, monotonic=lambda: clocks.steady_s, **values)
    queue.open(open_for)
    return queue


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_utterance_comes_back_as_it_was_queued(tmp_path: Path) -> None:
    queue = queue_in(tmp_path / "state" / "utterances")
    utterance = said(after_s=1.5)
    queue.put(id_of(1), utterance)
    found = queue.take(id_of(1))
    assert found is not None
    assert (found.id, found.source, found.at, found.duration_s) == (id_of(1), "porch", utterance.at, 0.5)
    assert np.abs(found.samples - utterance.samples).max() < 1 / 32767
    assert queue.state() == (1, (tmp_path / "state" / "utterances" / files_in(tmp_path / "state/utterances")[0])
                             .stat().st_size, 0.0)  # fmt: skip


def test_only_this_user_can_read_what_waits(tmp_path: Path) -> None:
    folder = tmp_path / "utterances"
    folder.mkdir(mode=0o755)
    queue_in(folder).put(id_of(1), said())
    (file,) = folder.iterdir()
    assert (oct(folder.stat().st_mode & 0o777), oct(file.stat().st_mode & 0o777)) == ("0o700", "0o600")


def test_another_process_finds_what_waits_in_its_order(tmp_path: Path) -> None:
    first = queue_in(tmp_path)
    for number in (3, 1, 2):
        first.put(id_of(number), said(after_s=number))
    second = queue_in(tmp_path)
    assert second.ids() == [id_of(3), id_of(1), id_of(2)]
    second.put(id_of(9), said())
    assert queue_in(tmp_path).ids() == [id_of(3), id_of(1), id_of(2), id_of(9)]


def test_what_was_removed_leaves_no_file(tmp_path: Path) -> None:
    queue = queue_in(tmp_path)
    queue.put(id_of(1), said())
    queue.take(id_of(1))
    assert queue.remove(id_of(1))
    assert files_in(tmp_path) == []
    assert queue.remove(id_of(1))  # it is gone
    assert queue.take(id_of(1)) is None
    assert queue.dropped == 0


def test_the_same_utterance_is_queued_once(tmp_path: Path) -> None:
    queue = queue_in(tmp_path)
    queue.put(id_of(1), said())
    queue.put(id_of(1), said())
    assert len(files_in(tmp_path)) == 1


def test_a_process_without_a_free_descriptor_drops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = queue_in(tmp_path)
    queue.put(id_of(1), said())

    def refuse(*_: object) -> bytes:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(utterance_queue, "read_regular", refuse)
        with pytest.raises(TranscriptsError, match="cannot be read: Too many open files"):
            queue.take(id_of(1))
    assert queue.take(id_of(1)) is not None
    assert queue.dropped == 0


def test_the_oldest_give_way_beyond_the_bytes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    queue = queue_in(tmp_path, max_bytes=3 * ONE)
    for number in range(5):
        queue.put(id_of(number), said(after_s=number))
    assert queue.ids() == [id_of(2), id_of(3), id_of(4)]
    assert len(files_in(tmp_path)) == 3
    assert queue.dropped == 2
    assert [record.getMessage() for record in caplog.records] == [  # once, not for each
        "utterances that waited for the recogniser are dropped, 1 so far: more than 0.0483 MB wait"
    ]


def test_what_the_recogniser_has_does_not_give_way(tmp_path: Path) -> None:
    queue = queue_in(tmp_path, max_bytes=2 * ONE)
    for number in range(2):
        queue.put(id_of(number), said(after_s=number))
    assert queue.take(id_of(0)) is not None
    queue.put(id_of(2), said(after_s=2))
    assert queue.ids() == [id_of(0), id_of(2)]


def test_what_is_too_old_is_dropped(tmp_path: Path) -> None:
    clocks = Clocks()
    queue = queue_in(tmp_path, clocks, max_age_s=60)
    queue.put(id_of(1), said())
    clocks.steady_s += 59
    queue.put(id_of(2), said(after_s=1))
    queue.expire()
    assert queue.ids() == [id_of(1), id_of(2)]
    assert queue.state()[2] == 59
    clocks.steady_s += 2
    queue.expire()
    assert queue.ids() == [id_of(2)]
    assert (queue.dropped, len(files_in(tmp_path))) == (1, 1)


def test_a_step_of_the_clock_drops_nothing(tmp_path: Path) -> None:
    clocks = Clocks()
    queue = queue_in(tmp_path, clocks, max_age_s=60)
    queue.put(id_of(1), said())
    clocks.wall_s += 1e6
    queue.expire()
    assert queue.ids() == [id_of(1)]


def test_age_counts_over_restarts(tmp_path: Path) -> None:
    clocks = Clocks()
    queue_in(tmp_path, clocks).put(id_of(1), said())
    clocks.wall_s += 50
    assert queue_in(tmp_path, clocks, max_age_s=60).state()[2] == 50
    clocks.wall_s += 50
    assert queue_in(tmp_path, clocks, max_age_s=60).ids() == []
    assert files_in(tmp_path) == []


def test_what_was_queued_before_another_is_at_least_as_old(tmp_path: Path) -> None:
    """The clock was set back in between."""
    clocks = Clocks()
    first = queue_in(tmp_path, clocks)
    clocks.wall_s += 100
    first.put(id_of(1), said())
    clocks.wall_s -= 100
    first.put(id_of(2), said(after_s=1))
    first.put(id_of(3), said(after_s=2))
    clocks.wall_s += 50
    assert queue_in(tmp_path, clocks, max_age_s=60).state()[2] == 50
    assert queue_in(tmp_path, clocks, max_age_s=40).ids() == []


def test_what_was_queued_before_the_board_had_its_time_is_no_older_than_what_was_before(tmp_path: Path) -> None:
    clocks = Clocks()
    queue_in(tmp_path, clocks).put(id_of(1), said())
    clocks.wall_s = 100.0  # 1970, after a power cut
    queue_in(tmp_path, clocks).put(id_of(2), said(after_s=1))
    clocks.wall_s = Clocks().wall_s + 30
    queue_in(tmp_path, clocks).put(id_of(3), said(after_s=2))
    clocks.wall_s += 20
    assert queue_in(tmp_path, clocks, max_age_s=60).ids() == [id_of(1), id_of(2), id_of(3)]
    assert queue_in(tmp_path, clocks, max_age_s=40).ids() == [id_of(3)]


def test_a_clock_that_is_behind_makes_nothing_older(tmp_path: Path) -> None:
    clocks = Clocks()
    queue_in(tmp_path, clocks).put(id_of(1), said())
    clocks.wall_s = 0.0  # a board without a battery
    assert queue_in(tmp_path, clocks, max_age_s=60).state()[2] == 0.0


def test_sources_that_are_not_transcribed_any_more_leave_nothing(tmp_path: Path) -> None:
    queue = queue_in(tmp_path, open_for=("porch", "attic"))
    queue.put(id_of(1), said("porch"))
    queue.put(id_of(2), said("attic"))
    assert queue_in(tmp_path, open_for=("attic",)).ids() == [id_of(2)]
    assert len(files_in(tmp_path)) == 1


def test_an_agent_that_transcribes_nothing_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "utterances"
    queue_in(folder).put(id_of(1), said())
    assert remove_utterances(folder) == 1
    assert not folder.exists()
    assert remove_utterances(folder) == 0


def test_a_folder_with_the_name_of_an_utterance_keeps_no_voice_on_the_disk(tmp_path: Path) -> None:
    """Whatever a backup or a person made: the files around it are removed, and the queue works."""
    folder = tmp_path / "utterances"
    for number in range(20):  # in whatever order the disk lists them
        (folder / f"{number:012d}.1.{id_of(number)}.porch.utterance").mkdir(parents=True)
    queue_in(folder).put(id_of(90), said())
    queue_in(folder).put(id_of(91), said(after_s=1))
    assert remove_utterances(folder) == 2
    assert [path for path in folder.iterdir() if path.is_file()] == []


def test_what_failed_and_waits_again_gives_way_with_age(tmp_path: Path) -> None:
    clocks = Clocks()
    queue = queue_in(tmp_path, clocks, max_age_s=60)
    queue.put(id_of(1), said())
    assert queue.take(id_of(1)) is not None
    clocks.steady_s += 61
    queue.expire()
    assert queue.ids() == [id_of(1)]  # the recogniser has it
    queue.put_back(id_of(1))
    queue.expire()
    assert (queue.ids(), files_in(tmp_path)) == ([], [])


def test_files_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    queue_in(tmp_path).put(id_of(1), said())
    remove_utterances(tmp_path)
    assert files_in(tmp_path) == ["mine.txt"]


def test_half_a_file_is_removed_at_the_start(tmp_path: Path) -> None:
    queue_in(tmp_path).put(id_of(1), said())
    (file,) = tmp_path.iterdir()
    file.rename(tmp_path / f"{file.name}.new")
    assert queue_in(tmp_path).ids() == []
    assert files_in(tmp_path) == []


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _content: b"",
    "short": lambda content: content[:-100],
    "long": lambda content: content + b"\0\0",
    "another bit": lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    "no head": lambda content: content.partition(b"\n")[2],
    "a list": lambda content: b"[1]\n" + content,
    "deep": lambda content: b"[" * 400 + b"\n" + content,
    "a newer version": lambda content: content.replace(b'"version": 1', b'"version": 2'),
    "before all time": lambda content: re.sub(rb'"at": "[^"]*"', b'"at": "0001-01-01T00:00:00+23:59"', content),
    "no zone": lambda content: content.replace(b"+00:00", b""),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_not_whole_is_dropped_and_the_next_is_taken(damage: str, tmp_path: Path) -> None:
    queue = queue_in(tmp_path)
    queue.put(id_of(1), said())
    queue.put(id_of(2), said(after_s=1))
    first = min(tmp_path.iterdir())
    first.write_bytes(DAMAGES[damage](first.read_bytes()))
    assert queue.take(id_of(1)) is None
    assert queue.take(id_of(2)) is not None
    assert (queue.ids(), queue.dropped, len(files_in(tmp_path))) == ([id_of(2)], 1, 1)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_utterance_or_refused(content: bytes) -> None:
    with pytest.raises(UtteranceFileError):
        decode_utterance(UtteranceName(1, 1, id_of(1), "porch"), content)


def test_names_say_what_they_say_and_others_are_none() -> None:
    name = UtteranceName(12, 1_800_000_000, id_of(7), "front-door")
    assert parse_name(str(name)) == name
    for other in ("", ".utterance", f"{name}.new", f"x{name}", str(name).replace("front-door", "Front_Door")):
        assert parse_name(other) is None


def test_sound_beyond_full_scale_and_without_a_number_is_bounded() -> None:
    utterance = said()
    utterance.samples[:4] = (2.0, -2.0, np.nan, np.inf)
    found = decode_utterance(UtteranceName(1, 1, id_of(1), "porch"), encode_utterance(utterance))
    assert found.samples[:4].tolist() == [1.0, -1.0, 0.0, 1.0]
    assert found.at == AT


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("mine")
    with pytest.raises(TranscriptsError) as caught:
        queue_in(tmp_path / "blocked" / "utterances")
    assert str(caught.value) == (f"utterances cannot be kept in {tmp_path}/blocked/utterances: Not a directory")


def test_a_folder_that_was_deleted_is_one_line_and_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "utterances"
    queue = queue_in(folder)
    folder.rmdir()
    with pytest.raises(TranscriptsError, match="No such file"):
        queue.put(id_of(1), said())
    queue.open(["porch"])
    queue.put(id_of(1), said())
    assert queue.ids() == [id_of(1)]


def test_a_file_system_that_syncs_no_folder_keeps_utterances(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = queue_in(tmp_path)
    fsync = os.fsync

    def files_alone(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(22, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", files_alone)
    queue.put(id_of(1), said())
    assert not queue.remove(id_of(1))  # it is gone, and after a power cut it may be back
    assert files_in(tmp_path) == []


def test_a_file_that_cannot_be_removed_is_not_certain_to_be_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = queue_in(tmp_path)
    queue.put(id_of(1), said())

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        assert not queue.remove(id_of(1))
    assert queue.ids() == []  # it is not recognised again
    assert queue_in(tmp_path).ids() == [id_of(1)]  # and the next start asks the journal


def test_a_full_disk_drops_the_oldest_and_leaves_room_for_the_outbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = queue_in(tmp_path, min_free_bytes=100 * KB)

    class Disk:
        f_frsize = KB

        @property
        def f_bavail(self) -> int:
            return 150 - sum(path.stat().st_size for path in tmp_path.iterdir()) // KB

    monkeypatch.setattr(os, "statvfs", lambda _path: Disk())
    for number in range(5):
        queue.put(id_of(number), said(after_s=number))
    assert len(queue.ids()) == 3
    assert queue.dropped == 2
    # somebody else fills it: to drop all that waits would not make room enough
    monkeypatch.setattr(Disk, "f_bavail", 1)
    with pytest.raises(TranscriptsError, match=r"the disk has 0 MB left, and 0\.1 stay free for the outbox"):
        queue.put(id_of(9), said())
    assert (len(queue.ids()), queue.dropped, len(files_in(tmp_path))) == (3, 2, 3)


def test_state_and_ids_do_not_wait_for_a_slow_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The main thread asks for them."""
    queue = queue_in(tmp_path, max_bytes=2 * ONE)
    seen: list[int] = []

    def slowly(_descriptor: int) -> None:
        assert not queue._changed._is_owned()
        seen.append(len(queue.ids()))

    monkeypatch.setattr(os, "fsync", slowly)
    for number in range(3):
        queue.put(id_of(number), said(after_s=number))
    assert seen == [1, 1, 2, 2, 2, 2]  # what is being synced can be recognised already


KILLED = """
    import os, sys
    from pathlib import Path
    from support.spoken import said
    from edgeaudio.sinks.transcripts.utterance_queue import UtteranceQueue
    queue = UtteranceQueue(Path(sys.argv[1]), max_bytes=10**9, max_age_s=3600, min_free_bytes=0)
    queue.open(["porch"])
    for number in range(100_000):
        queue.put(f"00000000-0000-0000-0000-{number:012x}", said(after_s=number, length_s=1.0))
        os.write(1, b"%d\\n" % number)
"""


@pytest.mark.integration
def test_kill_9_loses_nothing_that_was_queued(tmp_path: Path) -> None:
    program = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(program, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().splitlines()
    queue = queue_in(tmp_path, max_bytes=10**9, max_age_s=10**9)
    assert len(queue.ids()) >= 20 + len([line for line in rest if line])
    assert all(queue.take(each) is not None for each in queue.ids())
    assert queue.dropped == 0
