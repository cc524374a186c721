"""Parts of months become one file a month, which DuckDB reads in a fraction of the time.

Owns: the order of the steps, after each of which a kill loses nothing and counts nothing twice, and what a month's
file is sorted by. Does not know: what is asked of results.

For each month: its parts and its file of before are read, sorted and written under a temporary name; that file is
synced and gets its name; only then are the parts removed, of which every row is in it. A reader takes a recording that
is in a month's file from there, and leaves its part alone (results.py): so it does not matter which parts are still
there. Rows lie by kind, label and time, so that DuckDB skips what is not asked for.
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
from edgeaudio.archive.results import Say, files_of, problem_of
from edgeaudio.archive.rows import RECORDING, SCHEMA
from edgeaudio.errors import EdgeaudioError
from edgeaudio.files import sync_folder

ROW_GROUP: Final = 65_536  # rows, the unit of what DuckDB skips
_LOCK = ".compact.lock"
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
        by_month: dict[str, list[Path]] = defaultdict(list)
        for part in files.parts:
            by_month[part.parent.name].append(part)
        for file in files.strange:
            say(f"{file}: is no file of results; it stays as it is")
        left_out = len(files.strange)
        for month, parts in sorted(by_month.items()):
            good = [part for part in parts if _usable(part, say)]
            left_out += len(parts) - len(good)
            target = place / "months" / f"{month}.parquet"
            if target in files.months and (problem := problem_of(target)) is not None:
                say(f"{target}: {problem}; the month stays as it is")
                left_out += 1
                continue
            if good:
                written = _compact_month(place, target, good)
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


def _usable(part: Path, say: Say) -> bool:
    """True for a whole result of one recording, that of its name."""
    if (problem := problem_of(part, part.stem)) is not None:
        say(f"{part}: {problem}; it stays as it is")
    return problem is None


def _compact_month(place: Path, target: Path, parts: list[Path]) -> int:
    """Have all rows of the parts in the month's file, then remove the parts; return 1 if it was written anew."""
    with database(place) as results:
        done: set[str] = set()
        before = [target] if target.exists() else []
        if before:
            results.read_from(before)
            keys = f"SELECT DISTINCT key FROM results WHERE kind = '{RECORDING}'"
            done = {key for (key,) in results.rows(keys)}
        new = [part for part in parts if part.stem not in done]
        if new:
            results.read_from([*before, *new])
            _write(results, target, [*before, *new])
    for part in parts:
        part.unlink()
    with suppress(OSError):  # another part was written meanwhile
        parts[0].parent.rmdir()
    return 1 if new else 0


def _write(results: Database, target: Path, sources: list[Path]) -> None:
    """Write the rows under a temporary name, and give the file its own when the disk has it."""
    wanted = sum(pq.read_metadata(source).num_rows for source in sources)
    target.parent.mkdir(exist_ok=True)
    new = target.with_name(f".{target.name}.new")  # of one that was killed: written over
    try:
        written = 0
        with new.open("wb") as file:
            with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
                for batch in results.batches(f"SELECT * FROM results ORDER BY {_ORDER}", {}, ROW_GROUP):
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
