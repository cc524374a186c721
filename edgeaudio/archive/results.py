"""The results of one place, to be asked: which of its files count, and each recording once.

Owns: the choice of the place, what `compact` and a killed `compact` left, and that a bad file costs only itself.
Does not know: what is asked.

Files are read once: to open one takes longer than to read it, and there may be 10,000.

    OUT/<place>/parts/<YYYY-MM>/<key>.parquet    one recording
    OUT/<place>/months/<YYYY-MM>.parquet         parts that were compacted; where a part is there too, the month counts

Of a recording with results of several keys, which was replaced, the part that was written last counts.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from edgeaudio.archive.database import Database, UnreadableError, database
from edgeaudio.archive.hearing import RESULTS
from edgeaudio.archive.places import DESCRIPTION
from edgeaudio.archive.rows import RECORDING, SCHEMA
from edgeaudio.errors import EdgeaudioError
from edgeaudio.files import read_regular

MOST_DESCRIPTION_BYTES: Final = 1 << 20
LONGEST: Final = timedelta(days=400)  # of a recording
_FIRST, _LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_KEY = re.compile(r"[0-9A-Za-z_-]{8,128}")
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")

T = TypeVar("T")
Say = Callable[[str], None]  # takes a line about a file that is left out


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is read of results, beside the rows of recordings."""

    condition: str  # of a row, in SQL
    values: Mapping[str, object]  # of its parameters
    columns: str = ", ".join(SCHEMA.names)  # with those of `recordings_in`


@dataclass(frozen=True, slots=True)
class ResultFiles:
    """The files of a place."""

    months: list[Path]
    parts: list[Path]
    strange: list[Path] = field(default_factory=list)  # that have no name of ours


def choose_place(out: Path, wanted: str | None = None) -> Path:
    """Return the place below OUT, or OUT where it is one. Raises EdgeaudioError if it is none or there are several."""
    try:
        found = sorted(path.parent for path in out.glob(f"*/{DESCRIPTION}"))
        if (out / DESCRIPTION).is_file() and wanted is None:
            found = [out]
    except OSError as error:
        raise EdgeaudioError(f"{out}: cannot be read: {error.strerror}") from None
    if wanted is not None:
        found = [place for place in found if place.name == wanted or place.name.startswith(f"{wanted}-")]
    if len(found) > 1:
        names = ", ".join(place.name for place in found)
        raise EdgeaudioError(f"{out}: has results of several models or settings: name one by --results: {names}")
    if not found:
        which = f"results of {wanted}" if wanted else "results"
        raise EdgeaudioError(f"{out}: has no {which}; they are made by `edgeaudio archive run`")
    _require_version(found[0] / DESCRIPTION)
    return found[0]


def description_of(place: Path) -> dict[str, object]:
    """Return what a place says of its model and settings. Raises EdgeaudioError."""
    file = place / DESCRIPTION
    try:
        found = json.loads(read_regular(file, MOST_DESCRIPTION_BYTES))
    except OSError as error:
        raise EdgeaudioError(f"{file}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise EdgeaudioError(f"{file}: is no description of results; name another folder") from None
    if not isinstance(found, dict):
        raise EdgeaudioError(f"{file}: is no description of results; name another folder")
    return found


def require_labels(place: Path, wanted: Sequence[str]) -> None:
    """Raise EdgeaudioError if a label is none of those of a place's model: it would be counted as never heard."""
    model = description_of(place).get("model")
    known = model.get("labels") if isinstance(model, dict) else None
    if not isinstance(model, dict) or not isinstance(known, list):
        return  # results of another program: any label may be in them
    groups = model.get("groups")
    names = [name for name in (*known, *(groups if isinstance(groups, dict) else ())) if isinstance(name, str)]
    for label in wanted:
        if label not in names:
            near = difflib.get_close_matches(label, names, 1)
            advice = f"did you mean {near[0]}?" if near else f"there are {', '.join(names[:20])}"
            raise EdgeaudioError(f"{place}: its model has no label {label}; {advice}")


def _require_version(file: Path) -> None:
    version = description_of(file.parent).get("results")
    if version != RESULTS:
        raise EdgeaudioError(
            f"{file}: has results of version {version}, and this edgeaudio reads {RESULTS}; ask with the edgeaudio "
            "that made them"
        )


def files_of(place: Path) -> ResultFiles:
    """Return the files of a place, sorted. Raises EdgeaudioError."""
    strange: list[Path] = []
    months: list[Path] = []
    parts: list[Path] = []
    try:
        # parts first: one that is compacted meanwhile is then in a month that is listed
        for folder in _entries(place / "parts"):
            inner = sorted(_entries(folder)) if _MONTH.fullmatch(folder.name) and folder.is_dir() else []
            if not inner and not folder.is_dir():
                strange.append(folder)
            for file in inner:
                (parts if _is_result(file, _KEY) else strange).append(file)
        for file in sorted(_entries(place / "months")):
            (months if _is_result(file, _MONTH) else strange).append(file)
    except OSError as error:
        raise EdgeaudioError(f"{error.filename}: cannot be read: {error.strerror}") from None
    return ResultFiles(months, parts, strange)


def _entries(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            yield from sorted(folder / entry.name for entry in entries if not entry.name.startswith("."))
    except FileNotFoundError:
        return


def _is_result(file: Path, name: re.Pattern[str]) -> bool:
    # a pipe would be waited for
    return file.suffix == ".parquet" and name.fullmatch(file.stem) is not None and file.is_file()


def ask(place: Path, wanted: Wanted, say: Say, work: Callable[[Database], T]) -> T:
    """Return what `work` makes of a database with what is wanted of a place, each recording once.

    It has two tables: `heard`, the wanted rows, and `recordings`: key, recording, begins_at, ends_at. Each file that
    cannot be read is told in one line, and left out; `work` is then called again, so what it writes it writes after all
    reading. Raises EdgeaudioError.
    """
    for careful in (False, True):
        lines: list[str] = []
        try:
            with database(place) as results:
                _load(results, files_of(place), wanted, lines.append, careful=careful)
                answer = work(results)
        except UnreadableError:
            if careful:
                raise
            continue  # a file is damaged, of another version, or was compacted meanwhile: look at each
        for line in lines:
            say(line)
        return answer
    raise AssertionError("the second try returns or raises")


def _load(results: Database, files: ResultFiles, wanted: Wanted, say: Say, *, careful: bool) -> None:
    for file in files.strange:
        say(f"{file}: is no file of results; it is left out")
    months, parts = files.months, files.parts
    if careful:
        months = [file for file in months if _told(file, say)]
        parts = [file for file in parts if _told(file, say, file.stem)]
    if months:
        results.read_from(months, by_name=careful)
        keys = f"SELECT DISTINCT key FROM results WHERE kind = '{RECORDING}'"
        compacted = {key for (key,) in results.rows(keys)}
        parts = [file for file in parts if file.stem not in compacted]
    results.read_from([*months, *parts], by_name=careful)
    condition = f"kind = '{RECORDING}' OR ({wanted.condition})"
    results.make(f"CREATE TABLE heard AS SELECT {wanted.columns} FROM results WHERE {condition}", wanted.values)
    results.make(recordings_in("heard"))
    results.make(f"DELETE FROM heard WHERE kind = '{RECORDING}'")
    if not careful and list(results.rows(_COPIED)):
        raise UnreadableError("a recording has its rows in two files")
    if replaced := replaced_keys(results, parts):
        results.keep("replaced", "key VARCHAR", [sorted(replaced)])
        for table in ("recordings", "heard"):
            results.make(f"DELETE FROM {table} WHERE key IN (FROM replaced)")
    _check(results, say)


def recordings_in(table: str) -> str:
    """Return the SQL that makes the table `recordings` of one with rows of results."""
    columns = "key, recording, begins_at, ends_at"
    return f"CREATE TABLE recordings AS SELECT {columns} FROM {table} WHERE kind = '{RECORDING}'"


def replaced_keys(results: Database, parts: Sequence[Path]) -> set[str]:
    """Return the keys in the table `recordings` of results of which a newer one took the place.

    The newer one is a part: a run writes no other file. `parts`: those that the rows are of.
    """
    by_recording: dict[str, set[str]] = {}
    for recording, key in results.rows(_WITH_SEVERAL):
        by_recording.setdefault(recording, set()).add(key)
    files = {part.stem: part for part in parts}

    def written(key: str) -> tuple[int, str]:
        with suppress(KeyError, FileNotFoundError):  # in a month's file; compacted meanwhile
            return files[key].stat().st_mtime_ns, key
        return 0, key

    return {key for keys in by_recording.values() for key in sorted(keys, key=written)[:-1]}


_WITH_SEVERAL = """
SELECT DISTINCT recording, key FROM recordings
WHERE recording IN (SELECT recording FROM recordings GROUP BY recording HAVING count(DISTINCT key) > 1)
"""

# a copy of a file, under another name
_COPIED = "SELECT key FROM recordings GROUP BY key HAVING count(*) > 1 LIMIT 1"


def _told(file: Path, say: Say, key: str | None = None) -> bool:
    """True if a file holds results, those of one recording if a key is given; else that is said."""
    if (problem := problem_of(file, key)) is None:
        return True
    say(f"{file}: {problem}; it is left out")
    return False


def problem_of(file: Path, key: str | None = None) -> str | None:
    """Return what is wrong with a file of results, read whole; None if nothing is.

    key: of the one recording that all of it is about.
    """
    recordings, is_strange = 0, False
    try:
        with pq.ParquetFile(file) as found:
            schema = found.schema_arrow
            for wanted in SCHEMA:
                index = schema.get_field_index(wanted.name)
                if index < 0 or schema.field(index).type != wanted.type:
                    return "holds other rows than this version of edgeaudio writes"
            for batch in found.iter_batches(columns=SCHEMA.names):
                batch.validate(full=True)  # text may be no UTF-8
                recordings += pc.sum(pc.equal(batch["kind"], RECORDING), min_count=0).as_py()
                is_strange = is_strange or not pc.all(pc.equal(batch["key"], key or "")).as_py()
    except FileNotFoundError:
        return "is gone"
    except (OSError, pa.ArrowException) as error:
        line = str(error).strip().partition("\n")[0]
        return f"is damaged, or no Parquet file ({line[:120]})"
    if key is not None and (is_strange or recordings != 1):
        return "has not the rows of one recording, that of its name"
    return None


def _check(results: Database, say: Say) -> None:
    """Take recordings out whose times cannot be, and tell of those that are there twice."""
    limits = {"first": _FIRST, "last": _LAST, "longest": LONGEST}
    impossible = (
        "NOT (begins_at >= $first AND ends_at <= $last AND ends_at >= begins_at AND ends_at - begins_at <= $longest)"
    )
    wrong = f"SELECT key, recording FROM recordings WHERE {impossible} ORDER BY recording, key"
    for key, recording in results.rows(wrong, limits):
        say(f"{recording}: has times that cannot be in its result {key}; its hours are left out")
    results.make(f"DELETE FROM recordings WHERE {impossible}", limits)
    twice = "SELECT recording, count(*) FROM recordings GROUP BY recording HAVING count(*) > 1 ORDER BY recording"
    for recording, count in results.rows(twice):
        say(f"{recording}: is in {count} months' files, with one key; all of them count: keep one of those files")
