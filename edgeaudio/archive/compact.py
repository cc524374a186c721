"""Parts of months become one file a month, which DuckDB reads in a fraction of the time.

Owns: the order of the steps, after each of which a kill loses nothing and counts nothing twice, and what a month's
file is sorted by. Does not know: what is asked of results.

For each month: its parts and its file of before are read, sorted and written under a temporary name; that file is
synced and gets its name; only then are the parts removed, of which every row is in it. A reader takes a recording that
is in a month's file from there, and leaves its part alone (results.py): so it does not matter which parts are still
there. Rows of a recording that was replaced are taken out of their month first, while the newer part is still one. Rows
lie by kind, label and time, so that DuckDB skips what is not asked for.
"""

from __future__ import annotations

import fcntl
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from edgeaudio.archive.database import Database, UnreadableError, database
from edgeaudio.archive.results import Say, files_of, problem_of, recordings_in, replaced_keys
from edgeaudio.archive.rows import RECORDING, SCHEMA
from edgeaudio.errors import EdgeaudioError
from edgeaudio.files import sync_folder

ROW_GROUP: Final = 65_536  # rows, the unit of what DuckDB skips
_LOCK = ".compact.lock"
_NOT_REPLACED = "key NOT IN (FROM replaced)"
_ORDER = "kind, label, begins_at, recording, key, offset_s, ends_at, score"


class CompactError(EdgeaudioError):
    """A month cannot be compacted; it stays as it is."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """What was done."""

    months: int = 0  # files written
    parts: int = 0  # removed
    left_out: int = 0  # parts and months that stay as they are


def compact(place: Path, say: Say) -> Compacted:
    """Compact all months of a place; may be killed, and called again. Each part that cannot be used is told, and stays.

    Raises EdgeaudioError where nothing more can be written, or another one compacts the place.
    """
    count = Compacted()
    with _locked(place):
        files = files_of(place)
        for file in files.strange:
            say(f"{file}: is no file of results; it stays as it is")
        months = {file.stem: file for file in files.months if _readable(file, say)}
        parts = [part for part in files.parts if _usable(part, say)]
        left_out = len(files.strange) + len(files.months) - len(months) + len(files.parts) - len(parts)
        by_month: dict[str, list[Path]] = defaultdict(list)
        for part in parts:
            by_month[part.parent.name].append(part)
        replaced = _replaced(place, [*months.values()], parts)
        for target in months.values() if replaced else ():
            written = _compact_month(place, target, [], replaced)
            count = Compacted(count.months + written, count.parts)
        damaged = {file.stem for file in files.months} - months.keys()
        for month, good in sorted(by_month.items()):
            if month not in damaged:
                written = _compact_month(place, place / "months" / f"{month}.parquet", good, replaced)
                count = Compacted(count.months + written, count.parts + len(good))
    return Compacted(count.months, count.parts, left_out)


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    """Hold the place alone: of two at once, one would put its month in place of the other's."""
    try:
        with (place / _LOCK).open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise EdgeaudioError(f"{place}: is being compacted by another process; wait for it") from None
            yield
    except OSError as error:
        raise CompactError(f"{error.filename or place}: cannot be written: {error.strerror}") from None


def _readable(month: Path, say: Say) -> bool:
    if (problem := problem_of(month)) is not None:
        say(f"{month}: {problem}; the month stays as it is")
    return problem is None


def _replaced(place: Path, months: list[Path], parts: list[Path]) -> set[str]:
    """Return the keys of results of which newer ones took the place."""
    with database(place) as results:
        results.read_from([*months, *parts])
        results.make(recordings_in("results"))
        return replaced_keys(results, parts)


def _usable(part: Path, say: Say) -> bool:
    """True for a whole result of one recording, that of its name."""
    if (problem := problem_of(part, part.stem)) is not None:
        say(f"{part}: {problem}; it stays as it is")
    return problem is None


def _compact_month(place: Path, target: Path, parts: list[Path], replaced: set[str]) -> int:
    """Have all rows of the parts in the month's file, then remove the parts; return 1 if it was written anew.

    Rows of replaced results are in neither.
    """
    is_new = False
    with database(place) as results:
        done: set[str] = set()
        before = [target] if target.exists() else []
        if before:
            results.read_from(before)
            keys = f"SELECT DISTINCT key FROM results WHERE kind = '{RECORDING}'"
            done = {key for (key,) in results.rows(keys)}
        new = [part for part in parts if part.stem not in done | replaced]
        if before and done <= replaced and not new:
            target.unlink()
        elif new or done & replaced:
            is_new = True
            results.read_from([*before, *new])
            _write(results, target, replaced)
    for part in parts:
        part.unlink()
    if parts:
        with suppress(OSError):  # another part was written meanwhile
            parts[0].parent.rmdir()
    return int(is_new)


def _write(results: Database, target: Path, replaced: set[str]) -> None:
    """Write the rows under a temporary name, and give the file its own when the disk has it."""
    results.keep("replaced", "key VARCHAR", [sorted(replaced)])
    ((wanted,),) = results.rows(f"SELECT count(*) FROM results WHERE {_NOT_REPLACED}")
    target.parent.mkdir(exist_ok=True)
    new = target.with_name(f".{target.name}.new")  # of one that was killed: written over
    try:
        written = 0
        with new.open("wb") as file:
            with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
                for batch in results.batches(
                    f"SELECT * FROM results WHERE {_NOT_REPLACED} ORDER BY {_ORDER}", {}, ROW_GROUP
                ):
                    table = pa.Table.from_batches([batch]).cast(SCHEMA)
                    writer.write_table(table, row_group_size=ROW_GROUP)
                    written += len(table)
            file.flush()
            os.fsync(file.fileno())
        if written != wanted:
            raise CompactError(f"{target}: {written} rows were read of {wanted}; the month stays as it is")
        new.replace(target)
        sync_folder(target.parent)
    except UnreadableError as error:
        raise CompactError(f"{target}: cannot be made: {error}") from None
    except (pa.ArrowException, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CompactError(f"{target}: cannot be written: {reason}; parts stay as they are") from None
    finally:
        new.unlink(missing_ok=True)
