"""`edgeaudio archive compact`: nothing is lost or counted twice, wherever it is killed."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
from support.archive_results import BEGIN, Heard, contents, key_of, put_result

from edgeaudio.archive.compact import compact
from edgeaudio.archive.query import query
from edgeaudio.archive.rows import SCHEMA
from edgeaudio.archive.selection import Filters
from edgeaudio.archive.storage import LocalFolder

DAY = timedelta(days=1)


def put_month(place, first: int = 0, count: int = 3) -> None:
    for index in range(first, first + count):
        heard = [Heard("dog", 10.5, score=0.7), Heard("orca", 20)]
        put_result(place, f"jetty/{index}.wav", BEGIN + index * DAY, heard)


def counts(place):
    """Return the counts by day, of which nothing is left out."""
    lines: list[str] = []
    answer = query(place, ("day", "label"), Filters(), lines.append)
    assert lines == []
    return answer.rows


def rows(place):
    """Return all rows of all files."""
    found = []
    for file in place.rglob("*.parquet"):
        found += [tuple(row.values()) for row in pq.read_table(file).to_pylist()]
    return sorted(found, key=repr)


def test_parts_become_months_to_the_bit(place, out, archive) -> None:
    put_month(place)
    put_result(place, "jetty/april.wav", BEGIN + 40 * DAY, [Heard("dog", 1)])
    before, answer = rows(place), counts(place)
    assert archive("compact", out) == (0, [f"{place}: 4 results into 2 months"], [])
    assert {name for name in contents(place) if not name.startswith(".")} == {
        "place.json", "months/2026-03.parquet", "months/2026-04.parquet",
    }  # fmt: skip
    assert rows(place) == before
    assert counts(place) == answer
    assert pq.read_schema(place / "months" / "2026-03.parquet").equals(SCHEMA, check_metadata=True)


def test_it_can_be_called_again_and_takes_in_what_is_new(place) -> None:
    put_month(place)
    compact(place, print)
    month = place / "months" / "2026-03.parquet"
    before = month.read_bytes()
    assert compact(place, print).months == 0
    assert month.read_bytes() == before
    put_month(place, 3, 2)
    wanted, answer = rows(place), counts(place)
    done = compact(place, print)
    assert (done.months, done.parts, done.left_out) == (1, 2, 0)
    assert (rows(place), counts(place)) == (wanted, answer)
    assert not (place / "parts" / "2026-03").exists()


def test_rows_lie_by_kind_label_and_time(place) -> None:
    put_month(place)
    compact(place, print)
    table = pq.read_table(place / "months" / "2026-03.parquet")
    order = [tuple(row[name] or "" for name in ("kind", "label", "begins_at")) for row in table.to_pylist()]
    assert order == sorted(order)
    assert len({kind for kind, _, _ in order}) == 2


def test_a_bad_part_stays_and_costs_only_itself(place, out, archive) -> None:
    put_month(place)
    damaged = put_result(place, "jetty/bad.wav", BEGIN)
    damaged.write_bytes(damaged.read_bytes()[:100])
    renamed = place / "parts" / "2026-03" / "copied-0123456789.parquet"
    renamed.write_bytes((place / "parts" / "2026-03" / f"{key_of('jetty/0.wav')}.parquet").read_bytes())
    status, lines, errors = archive("compact", out)
    assert (status, lines) == (1, [f"{place}: 3 results into 1 month; 2 left as they are"])
    assert sorted(error.split(": ")[1] for error in errors) == sorted(map(str, (damaged, renamed)))
    assert damaged.exists()
    assert renamed.exists()


def test_a_damaged_month_is_never_written_over(place, out, archive) -> None:
    put_month(place)
    compact(place, print)
    month = place / "months" / "2026-03.parquet"
    month.write_bytes(month.read_bytes()[:-9])
    put_month(place, 3, 1)
    before = contents(place)
    status, _, errors = archive("compact", out)
    assert (status, len(errors)) == (1, 1)
    assert contents(place) == before


def test_a_second_one_waits_for_nobody(place, out, archive) -> None:
    put_month(place)
    with (place / ".compact.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        status, _, errors = archive("compact", out)
    assert (status, errors) == (2, [f"edgeaudio: {place}: is being compacted by another process; wait for it"])


def test_a_place_that_cannot_be_written_is_one_line(place, out, archive) -> None:
    put_month(place)
    (place / ".compact.lock").mkdir()  # root may write anywhere else
    status, lines, errors = archive("compact", out)
    assert (status, lines, len(errors)) == (2, [], 1)
    assert "cannot be written: Is a directory" in errors[0]
    assert len(list(place.glob("parts/*/*"))) == 3


def test_a_full_disk_leaves_everything_as_it_was(place, out, archive, monkeypatch) -> None:
    put_month(place)
    before = contents(place)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    status, _, errors = archive("compact", out)
    assert (status, len(errors)) == (2, 1)
    assert "No space left on device; parts stay as they are" in errors[0]
    assert {name: content for name, content in contents(place).items() if name != ".compact.lock"} == before


# a process that forks one for each step, which is killed at it: `fsync`, `replace` and `unlink` are the steps
KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from edgeaudio.archive import compact as module

place, n_steps = Path(sys.argv[1]), 0

def step(do):
    def stepping(*arguments, **more):
        global n_steps
        if n_steps == wanted:
            os.kill(os.getpid(), signal.SIGKILL)
        n_steps += 1
        return do(*arguments, **more)
    return stepping

wanted = 0
while True:
    copy = place.with_name(f"killed-{wanted}")
    shutil.copytree(place, copy)
    child = os.fork()
    if child == 0:
        os.fsync, Path.replace, Path.unlink, Path.rmdir = map(step, (os.fsync, Path.replace, Path.unlink, Path.rmdir))
        module.compact(copy, print)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        break
    wanted += 1
"""


def test_killed_at_any_step_it_loses_nothing_and_counts_nothing_twice(place, out) -> None:
    put_month(place)
    compact(place, print)
    put_month(place, 3, 3)
    before, answer = set(rows(place)), counts(place)
    subprocess.run([sys.executable, "-c", KILLED, place], check=True, timeout=110)
    killed = sorted(out.glob("killed-*"), key=lambda copy: int(copy.name.partition("-")[2]))
    # sync, rename, sync of the folder, the temporary name, three parts and their folder; the last copy ran to its end
    assert len(killed) == 9
    stages = set()
    for copy in killed:
        stages.add((len(list(copy.glob("parts/*/*"))), pq.read_metadata(copy / "months" / "2026-03.parquet").num_rows))
        assert set(rows(copy)) == before
        assert counts(copy) == answer
        compact(copy, print)
        assert set(rows(copy)) == before
        assert len(rows(copy)) == len(before)
        assert counts(copy) == answer
        assert not list(copy.glob("months/.*"))
    assert stages == {(3, 9), (3, 18), (2, 18), (1, 18), (0, 18)}


def test_a_part_that_vanishes_while_it_is_asked_is_read_from_its_month(place, monkeypatch) -> None:
    put_month(place)
    answer = counts(place)
    from edgeaudio.archive import results  # noqa: PLC0415

    listed = results.files_of

    def listing(folder: Path):
        found = listed(folder)
        monkeypatch.setattr(results, "files_of", listed)
        compact(place, print)  # between the look at the folder and the reading
        return found

    monkeypatch.setattr(results, "files_of", listing)
    assert counts(place) == answer


def test_a_folder_that_is_compacted_away_while_a_part_is_moved_there_ends_no_run(place, monkeypatch) -> None:
    part = put_result(place, "a.wav", BEGIN, [Heard("dog", 10)])
    content, name = part.read_bytes(), part.relative_to(place).as_posix()
    part.unlink()
    replace = Path.replace
    removed: list[Path] = []

    def replaced(self: Path, target: Path) -> Path:
        if not removed:
            target.parent.rmdir()
            removed.append(target.parent)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", replaced)
    LocalFolder(place).write(name, content)
    assert removed
    assert part.read_bytes() == content
